#pragma once
/*
 * config_tls - what is said of a peer's certificate, wherever it is said
 *
 * Control thread.
 */
#include <stdbool.h>

#include "base/text.h"
#include "base/tls_settings.h"
#include "policy/config_context.h"

/* May it stand in a certificate: a host name or an address (RFC 6125; RFC 8310, section 8)? */
bool config_tls_is_subject(const char *text);

/* Report a name that may not. `whose` is for the hint: "the resolver's". */
bool config_tls_check_subject(struct config_context *context, const struct config_item *item,
                              const char *name, const char *whose);

/*
 * Read `pins` of the map `item`, and look whether its `ca_file`, which is in
 * `tls` already, can be read. Returns false, reported, when not.
 */
bool config_tls_read_trust(struct config_context *context, const struct config_item *item,
                           struct tls_settings *tls);

/* Write "name: a, pins: [b], ca_file: c", as far as they are given, with commas between. */
void config_tls_put(const struct tls_settings *tls, struct text *out);
