#include "resolver/edns.h"

#include <string.h>

#define LENGTH_AT 9

size_t edns_add_error(uint8_t *opt, size_t size, uint16_t code, const char *text, size_t length)
{
    size_t bytes = EDNS_ERROR_BYTES + length;
    uint8_t *out = opt + size;

    wire_put16(opt + LENGTH_AT, (uint16_t)(wire_get16(opt + LENGTH_AT) + bytes));
    wire_put16(out, WIRE_ERROR);
    wire_put16(out + 2, (uint16_t)(2 + length));
    wire_put16(out + 4, code);
    memcpy(out + EDNS_ERROR_BYTES, text, length);
    return size + bytes;
}

size_t edns_put_error(uint8_t *out, bool dnssec_ok, uint8_t rcode_high, uint16_t code,
                      const char *text)
{
    size_t length = strlen(text);

    length = length < EDNS_TEXT_MAX ? length : EDNS_TEXT_MAX;
    wire_put_opt(out, dnssec_ok, rcode_high);
    return edns_add_error(out, WIRE_OPT_BYTES, code, text, length);
}

size_t edns_add_subnet(uint8_t *opt, size_t size, const struct wire_query *query,
                       uint8_t scope_bits)
{
    size_t bytes = wire_subnet_bytes(query->subnet_bits);
    uint8_t *out = opt + size;

    wire_put16(opt + LENGTH_AT, (uint16_t)(wire_get16(opt + LENGTH_AT) + bytes));
    wire_put16(out, WIRE_SUBNET);
    wire_put16(out + 2, (uint16_t)(bytes - 4));
    wire_put16(out + 4, query->subnet_family);
    out[6] = query->subnet_bits;
    out[7] = scope_bits;
    memcpy(out + 8, query->subnet, bytes - 8);
    return size + bytes;
}
