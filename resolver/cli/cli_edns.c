#include "resolver/cli/cli_edns.h"

#include <string.h>

#include "zones/wire.h"

#define OPTION_EDE 15u /* RFC 8914, section 2 */

/* The options of one OPT record: code, length, bytes. */
static void read_options(const uint8_t *options, size_t length, struct cli_edns *out)
{
    while (length >= 4) {
        uint16_t code = wire_get16(options);
        size_t size = wire_get16(options + 2);
        if (size > length - 4) {
            return;
        }
        if (code == OPTION_EDE && size >= 2 && out->error_count < CLI_EDNS_ERRORS) {
            out->errors[out->error_count++] = (struct cli_edns_error){
                .code = wire_get16(options + 4),
                .text = (const char *)options + 6,
                .text_length = (uint16_t)(size - 2),
            };
        }
        options += 4 + size;
        length -= 4 + size;
    }
}

void cli_edns_read(const uint8_t *message, size_t length, struct cli_edns *out)
{
    struct wire_reader reader;
    struct wire_record record;
    uint8_t name[NAME_MAX_BYTES];

    memset(out, 0, sizeof(*out));
    wire_reader_init(&reader, message, length);
    reader.at = WIRE_HEADER_BYTES;
    for (unsigned i = wire_get16(message + 4); i > 0 && !reader.failed; i--) {
        (void)wire_read_name(&reader, name);
        (void)wire_read32(&reader);
    }
    unsigned records = 0;
    for (unsigned section = 0; section < 3; section++) {
        records += wire_get16(message + 6 + 2 * section);
    }
    for (; records > 0 && wire_read_record(&reader, &record); records--) {
        if (record.type == WIRE_OPT) {
            out->present = true;
            out->rcode_high = record.ttl_s >> 24;
            read_options(message + record.rdata_at, record.rdata_length, out);
        }
    }
}

const char *cli_edns_error_name(uint16_t code)
{
    static const char *const names[] = {
        "Other",
        "Unsupported DNSKEY Algorithm",
        "Unsupported DS Digest Type",
        "Stale Answer",
        "Forged Answer",
        "DNSSEC Indeterminate",
        "DNSSEC Bogus",
        "Signature Expired",
        "Signature Not Yet Valid",
        "DNSKEY Missing",
        "RRSIGs Missing",
        "No Zone Key Bit Set",
        "NSEC Missing",
        "Cached Error",
        "Not Ready",
        "Blocked",
        "Censored",
        "Filtered",
        "Prohibited",
        "Stale NXDOMAIN Answer",
        "Not Authoritative",
        "Not Supported",
        "No Reachable Authority",
        "Network Error",
        "Invalid Data",
    };

    return code < sizeof(names) / sizeof(names[0]) ? names[code] : "unassigned";
}
