#pragma once
/*
 * check_trust - the authorities that checks over TLS trust, loaded once
 *
 * Control loop only.
 */
#include <stdint.h>

#include "base/tls.h"

/*
 * The context for `settings`; one more owner of it, to be given to
 * tls_context_unref(). Loading takes some 20 ms, at first and once a day. What
 * cannot be loaded is not tried again for a few seconds. -errno, explained:
 * trouble of our own.
 */
int check_trust_find(const struct tls_settings *settings, uint64_t now_ms, struct tls_context **out,
                     struct error *err);

/* Forget everything; what is still in use stays for as long as that. */
void check_trust_clear(void);
