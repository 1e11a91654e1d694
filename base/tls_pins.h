#pragma once
/*
 * tls_pins - is a public key one of those that settings accept? (RFC 7858, appendix A)
 *
 * Any thread; for tls.c.
 */
#include "base/tls_library.h"
#include "base/tls_settings.h"

/* Is the key of this certificate pinned? False, too, when memory is out. */
bool tls_pins_match(const struct tls_library *library, const struct tls_settings *settings,
                    X509 *certificate);

/* In a chain that was verified any key may be pinned (RFC 7858, section 4.2). */
bool tls_pins_match_chain(const struct tls_library *library, const struct tls_settings *settings,
                          X509_STORE_CTX *store);
