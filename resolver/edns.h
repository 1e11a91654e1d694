#pragma once
/*
 * edns - the OPT record of our answers: an Extended DNS Error, the client's subnet
 *
 * RFC 6891, RFC 8914, RFC 7871. Pure functions on buffers, any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zones/wire.h"

/* RFC 8914, section 4 */
enum edns_error {
    EDNS_OTHER = 0,
    EDNS_STALE_ANSWER = 3,
    EDNS_CACHED_ERROR = 13,
    EDNS_FILTERED = 17,
    EDNS_STALE_NXDOMAIN = 19,
    EDNS_NO_REACHABLE_AUTHORITY = 22,
    EDNS_NETWORK_ERROR = 23,
};

#define EDNS_TEXT_MAX 96u
#define EDNS_OPT_MAX  (WIRE_OPT_BYTES + 6u + EDNS_TEXT_MAX)

/*
 * Add a Client Subnet option to the OPT at `opt`, `size` bytes that end the
 * message: what the query had, and `scope_bits`. Returns the new size.
 */
size_t edns_add_subnet(uint8_t *opt, size_t size, const struct wire_query *query,
                       uint8_t scope_bits);

/*
 * Write OPT with an error and its text (cut at EDNS_TEXT_MAX bytes; "" is
 * fine). `rcode_high` is the upper 8 bits of the rcode. Returns its size.
 */
size_t edns_put_error(uint8_t *out, bool dnssec_ok, uint8_t rcode_high, uint16_t code,
                      const char *text);

/*
 * Add an error and its text to the OPT at `opt`, `size` bytes that end the
 * message; it takes EDNS_ERROR_BYTES and the text. Returns the new size.
 */
#define EDNS_ERROR_BYTES 6u
size_t edns_add_error(uint8_t *opt, size_t size, uint16_t code, const char *text, size_t length);
