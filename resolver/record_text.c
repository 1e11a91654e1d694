#include "resolver/record_text.h"

#include <errno.h>
#include <ldns/ldns.h>
#include <stdio.h>
#include <stdlib.h>

#include "zones/rrtext.h"
#include "zones/wire.h"

int record_text_type(const char *text, uint16_t *out_type, struct error *err)
{
    uint16_t type = rrtext_type(text);

    if (type != 0) {
        *out_type = type;
        return 0;
    }
    const char *near = rrtext_type_nearest(text);
    (void)error_set(err, -EINVAL, "no record type named '%.40s'%s%s%s", text,
                    near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                    near != NULL ? "'?" : "");
    error_hint(err, "A, AAAA, MX, TXT, ... or TYPE123");
    return -EINVAL;
}

void record_text_put_type(struct text *out, uint16_t type)
{
    char *name = ldns_rr_type2str((ldns_rr_type)type);

    if (name == NULL) {
        text_printf(out, "TYPE%u", type);
        return;
    }
    text_put(out, name);
    free(name);
}

/* Tabs and the newline of master file format become single blanks and nothing. */
static void straighten(char *line)
{
    for (char *c = line; *c != '\0'; c++) {
        if (*c == '\t') {
            *c = ' ';
        } else if (*c == '\n') {
            *c = '\0';
            break;
        }
    }
}

/* Show the record at `*at` and step behind it. */
static bool walk_one(const uint8_t *message, size_t length, size_t *at, unsigned section,
                     record_text_each *each, void *user)
{
    ldns_rr *rr = NULL;

    if (ldns_wire2rr(&rr, message, length, at, LDNS_SECTION_ANSWER) != LDNS_STATUS_OK) {
        return false;
    }
    uint16_t type = (uint16_t)ldns_rr_get_type(rr);
    char *line = type == WIRE_OPT ? NULL : ldns_rr2str(rr);
    ldns_rr_free(rr);
    if (line != NULL) {
        straighten(line);
        each(user, section, type, line);
        free(line);
    }
    return true;
}

/* Step behind the question section. */
static bool skip_questions(const uint8_t *message, size_t length, size_t *at)
{
    struct wire_reader reader;
    uint8_t name[NAME_MAX_BYTES];

    wire_reader_init(&reader, message, length);
    reader.at = WIRE_HEADER_BYTES;
    for (unsigned i = wire_get16(message + 4); i > 0 && !reader.failed; i--) {
        (void)wire_read_name(&reader, name);
        (void)wire_read32(&reader);
    }
    *at = reader.at;
    return !reader.failed;
}

bool record_text_walk(const uint8_t *message, size_t length, record_text_each *each, void *user)
{
    size_t at;

    if (length < WIRE_HEADER_BYTES || !skip_questions(message, length, &at)) {
        return false;
    }
    for (unsigned section = 0; section < 3; section++) {
        for (unsigned i = wire_get16(message + 6 + 2 * section); i > 0; i--) {
            if (!walk_one(message, length, &at, section, each, user)) {
                return false;
            }
        }
    }
    return true;
}
