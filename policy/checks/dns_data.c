#include "policy/checks/dns_data.h"

#include <errno.h>
#include <ldns/ldns.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "policy/checks/check_pattern.h"
#include "policy/checks/check_quote.h"
#include "zones/rdata.h"
#include "zones/wire.h"

_Static_assert(DNS_DATA_SHOWN >= CHECK_QUOTE_MAX, "a quote has room");

/* Room for the rdata when the names in it are no longer compressed. */
#define EXPANDED_BYTES(length) ((size_t)(length) + 2 * NAME_MAX_BYTES)

/*
 * The rdata with its names written out. Our reader follows compression within
 * bounds, which ldns does not. Returns the length, 0 when it is damaged (as is
 * an empty one: no type that is shown has that).
 */
static size_t expand(const struct wire_reader *message, const struct wire_record *record,
                     uint8_t *out)
{
    const struct rdata_layout *layout = rdata_layout(record->type);
    struct wire_reader reader = *message;
    size_t end = record->rdata_at + record->rdata_length;
    size_t size;

    if (layout == NULL || layout->names == 0) {
        memcpy(out, message->message + record->rdata_at, record->rdata_length);
        return record->rdata_length;
    }
    if (record->rdata_length < layout->before) {
        return 0;
    }
    memcpy(out, message->message + record->rdata_at, layout->before);
    size = layout->before;
    reader.at = record->rdata_at + layout->before;
    for (unsigned i = 0; i < layout->names; i++) {
        size_t name = wire_read_name(&reader, out + size);
        if (name == 0) {
            return 0;
        }
        size += name;
    }
    if (reader.at + layout->after != end) {
        return 0;
    }
    memcpy(out + size, message->message + reader.at, layout->after);
    return size + layout->after;
}

/* The text of rdata; to be given to free(). NULL when it is damaged or memory is out. */
static char *text_of(uint16_t type, uint8_t *rr, size_t rdata_length)
{
    ldns_rr *parsed = NULL;
    size_t at = 0;
    char *text = NULL;

    /* a whole record, of the root: what ldns can read */
    rr[0] = 0;
    wire_put16(rr + 1, type);
    wire_put16(rr + 3, WIRE_IN);
    wire_put32(rr + 5, 0);
    wire_put16(rr + 9, (uint16_t)rdata_length);
    if (ldns_wire2rr(&parsed, rr, 11 + rdata_length, &at, LDNS_SECTION_ANSWER) != LDNS_STATUS_OK) {
        return NULL;
    }
    ldns_buffer *buffer = ldns_buffer_new(256);
    for (size_t i = 0; buffer != NULL && i < ldns_rr_rd_count(parsed); i++) {
        if (i > 0) {
            ldns_buffer_write_char(buffer, ' ');
        }
        (void)ldns_rdf2buffer_str(buffer, ldns_rr_rdf(parsed, i));
    }
    if (buffer != NULL) {
        text = ldns_buffer_export2str(buffer);
        ldns_buffer_free(buffer);
    }
    ldns_rr_free(parsed);
    return text;
}

static void match_one(const struct wire_reader *reader, const struct wire_record *record,
                      const char *pattern, struct dns_data *out)
{
    uint8_t *rr = malloc(11 + EXPANDED_BYTES(record->rdata_length));

    if (rr == NULL) {
        out->found = -ENOMEM;
        return;
    }
    size_t size = expand(reader, record, rr + 11);
    char *text = size > 0 && size <= UINT16_MAX ? text_of(record->type, rr, size) : NULL;
    free(rr);
    if (text == NULL) {
        return;
    }
    out->found = check_pattern_match(pattern, text, strlen(text));
    if (out->first[0] == '\0') {
        (void)check_quote(text, strlen(text), out->first);
    }
    free(text);
}

void dns_data_match(const uint8_t *message, size_t length, size_t at, const char *pattern,
                    struct dns_data *out)
{
    struct wire_reader reader;
    struct wire_record record;

    memset(out, 0, sizeof(*out));
    wire_reader_init(&reader, message, length);
    reader.at = at;
    for (unsigned left = wire_get16(message + 6); left > 0 && out->found == 0; left--) {
        if (!wire_read_record(&reader, &record)) {
            return;
        }
        if (record.class == WIRE_IN) {
            match_one(&reader, &record, pattern, out);
        }
    }
}
