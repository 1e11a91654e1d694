#include "resolver/edns.h"

#include <string.h>

#define OPTION_EDE   15u /* RFC 8914, section 2 */
#define LENGTH_AT    9
#define OPTION_BYTES 6u /* code, length, info code */

size_t edns_put_error(uint8_t *out, bool dnssec_ok, uint8_t rcode_high, uint16_t code,
                      const char *text)
{
    size_t length = strlen(text);

    length = length < EDNS_TEXT_MAX ? length : EDNS_TEXT_MAX;
    wire_put_opt(out, dnssec_ok, rcode_high);
    wire_put16(out + LENGTH_AT, (uint16_t)(OPTION_BYTES + length));
    wire_put16(out + WIRE_OPT_BYTES, OPTION_EDE);
    wire_put16(out + WIRE_OPT_BYTES + 2, (uint16_t)(2 + length));
    wire_put16(out + WIRE_OPT_BYTES + 4, code);
    memcpy(out + WIRE_OPT_BYTES + OPTION_BYTES, text, length);
    return WIRE_OPT_BYTES + OPTION_BYTES + length;
}
