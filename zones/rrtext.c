#include "zones/rrtext.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <ldns/ldns.h>

#include "base/text.h"
#include "zones/name.h"
#include "zones/rdata.h"
#include "zones/wire.h"

#define LDNS_TEXT_MAX 65500 /* what is behind its 65535 bytes ldns loses, silently */

struct rrtext {
    struct text line;    /* what ldns is given */
    ldns_buffer *buffer; /* what it makes of it */
    ldns_rdf *origin;
    uint8_t origin_dname[NAME_MAX_BYTES];
};

/* The record being read. */
struct entry {
    struct rrtext *rrtext;
    uint16_t type;
    const char *type_text;
    const uint8_t *origin;
    const char *path;
    struct error *err;
};

/* Types that one file uses again and again; ldns compares with all it knows. */
static const struct {
    const char *name;
    uint16_t type;
} usual_types[] = {
    { "A", WIRE_A },         { "AAAA", WIRE_AAAA }, { "CNAME", WIRE_CNAME }, { "TXT", WIRE_TXT },
    { "MX", WIRE_MX },       { "SRV", WIRE_SRV },   { "NS", WIRE_NS },       { "PTR", WIRE_PTR },
    { "SOA", WIRE_SOA },     { "CAA", 257 },        { "HTTPS", 65 },         { "SVCB", 64 },
    { "HINFO", WIRE_HINFO }, { "NAPTR", 35 },       { "TLSA", 52 },          { "SSHFP", 44 },
    { "DNAME", WIRE_DNAME }, { "DS", 43 },          { "DNSKEY", 48 },        { "RRSIG", 46 },
};

#define USUAL_TYPES (sizeof(usual_types) / sizeof(usual_types[0]))

struct rrtext *rrtext_new(void)
{
    struct rrtext *rrtext = calloc(1, sizeof(*rrtext));

    if (rrtext == NULL) {
        return NULL;
    }
    rrtext->buffer = ldns_buffer_new(RRTEXT_RDATA_MAX + 1);
    if (rrtext->buffer == NULL) {
        free(rrtext);
        return NULL;
    }
    return rrtext;
}

void rrtext_free(struct rrtext *rrtext)
{
    if (rrtext == NULL) {
        return;
    }
    text_fini(&rrtext->line);
    ldns_buffer_free(rrtext->buffer);
    ldns_rdf_deep_free(rrtext->origin);
    free(rrtext);
}

/* ---- types and times ---- */

/* "TYPE65534" */
static uint16_t numbered_type(const char *text)
{
    unsigned long value = 0;

    if (strncasecmp(text, "TYPE", 4) != 0 || text[4] == '\0' || strlen(text) > 9) {
        return 0;
    }
    for (const char *digit = text + 4; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9') {
            return 0;
        }
        value = value * 10 + (unsigned long)(*digit - '0');
    }
    return value <= UINT16_MAX ? (uint16_t)value : 0;
}

uint16_t rrtext_type(const char *text)
{
    for (size_t i = 0; i < USUAL_TYPES; i++) {
        if (strcasecmp(text, usual_types[i].name) == 0) {
            return usual_types[i].type;
        }
    }
    if (strncasecmp(text, "TYPE", 4) == 0) {
        return numbered_type(text);
    }
    return (uint16_t)ldns_get_rr_type_by_name(text);
}

const char *rrtext_type_nearest(const char *text)
{
    const char *names[USUAL_TYPES];
    char upper[12];
    size_t length = strlen(text);

    if (length >= sizeof(upper)) {
        return NULL;
    }
    for (size_t i = 0; i <= length; i++) {
        upper[i] = text[i] >= 'a' && text[i] <= 'z' ? (char)(text[i] - ('a' - 'A')) : text[i];
    }
    for (size_t i = 0; i < USUAL_TYPES; i++) {
        names[i] = usual_types[i].name;
    }
    return text_nearest(upper, names, USUAL_TYPES);
}

static uint32_t unit_seconds(char unit)
{
    switch (unit) {
    case 's':
    case 'S':
        return 1;
    case 'm':
    case 'M':
        return 60;
    case 'h':
    case 'H':
        return 3600;
    case 'd':
    case 'D':
        return 86400;
    case 'w':
    case 'W':
        return 604800;
    default:
        return 0;
    }
}

enum rrtext_ttl rrtext_ttl(const char *text, uint32_t *out_s)
{
    uint64_t total = 0;

    if (*text < '0' || *text > '9') {
        return RRTEXT_TTL_NONE;
    }
    while (*text != '\0') {
        uint64_t value = 0;
        if (*text < '0' || *text > '9') {
            return RRTEXT_TTL_NONE;
        }
        for (; *text >= '0' && *text <= '9'; text++) {
            value = value * 10 + (uint64_t)(*text - '0');
            value = value > RRTEXT_TTL_MAX ? (uint64_t)RRTEXT_TTL_MAX + 1 : value;
        }
        if (*text != '\0') {
            uint32_t unit = unit_seconds(*text++);
            if (unit == 0) {
                return RRTEXT_TTL_NONE;
            }
            value *= unit;
        }
        total += value;
        total = total > RRTEXT_TTL_MAX ? (uint64_t)RRTEXT_TTL_MAX + 1 : total;
    }
    if (total > RRTEXT_TTL_MAX) {
        return RRTEXT_TTL_TOO_BIG;
    }
    *out_s = (uint32_t)total;
    return RRTEXT_TTL_OK;
}

/* ---- fields of one token ---- */

__attribute__((format(printf, 3, 4))) static int
fail(const struct entry *entry, const struct zonescan_token *token, const char *format, ...)
{
    char message[sizeof(entry->err->message)];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return error_set_at(entry->err, -EINVAL, entry->path, token->line, token->col, "%s", message);
}

static int put_number(const struct entry *entry, const struct zonescan_token *token, uint64_t most)
{
    uint64_t value = 0;
    const char *digit = token->text;

    for (; *digit >= '0' && *digit <= '9' && value <= most; digit++) {
        value = value * 10 + (uint64_t)(*digit - '0');
    }
    if (digit == token->text || *digit != '\0' || value > most) {
        return fail(entry, token, "%s: '%.80s' is not a number from 0 to %llu", entry->type_text,
                    token->text, (unsigned long long)most);
    }
    text_printf(&entry->rrtext->line, " %llu", (unsigned long long)value);
    return 0;
}

static int put_period(const struct entry *entry, const struct zonescan_token *token)
{
    uint32_t seconds;

    if (rrtext_ttl(token->text, &seconds) != RRTEXT_TTL_OK) {
        return fail(entry, token, "%s: '%.80s' is not a time from 0 to %u seconds",
                    entry->type_text, token->text, RRTEXT_TTL_MAX);
    }
    text_printf(&entry->rrtext->line, " %u", seconds);
    return 0;
}

static int put_address(const struct entry *entry, const struct zonescan_token *token, int family)
{
    uint8_t address[16];

    if (inet_pton(family, token->text, address) != 1) {
        return fail(entry, token, "%s: '%.80s' is not an %s address", entry->type_text, token->text,
                    family == AF_INET ? "IPv4" : "IPv6");
    }
    text_printf(&entry->rrtext->line, " %s", token->text);
    return 0;
}

static int put_name(const struct entry *entry, const struct zonescan_token *token)
{
    uint8_t dname[NAME_MAX_BYTES];
    char text[NAME_TEXT_MAX];

    if (strchr(token->text, '"') != NULL) {
        return fail(entry, token, "%s: a name stands without quotes: %.80s", entry->type_text,
                    token->text);
    }
    if (name_parse_within(token->text, entry->origin, dname, entry->err) < 0) {
        char why[sizeof(entry->err->message)];
        memcpy(why, entry->err->message, sizeof(why));
        return fail(entry, token, "%s: %s", entry->type_text, why);
    }
    (void)name_format(dname, text, sizeof(text));
    text_printf(&entry->rrtext->line, dname[0] == 0 ? " %s" : " %s.", text);
    return 0;
}

/* One byte of a string, its escape resolved; -1 for a broken one. Moves `*text` behind it. */
static int string_byte(const char **text)
{
    const char *s = *text;

    *text = s + (*s == '\\' ? 2 : 1);
    if (*s != '\\') {
        return (unsigned char)*s;
    }
    if (s[1] < '0' || s[1] > '9') {
        return (unsigned char)s[1];
    }
    if (s[2] < '0' || s[2] > '9' || s[3] < '0' || s[3] > '9') {
        return -1;
    }
    int value = (s[1] - '0') * 100 + (s[2] - '0') * 10 + (s[3] - '0');
    *text = s + 4;
    return value > 255 ? -1 : value;
}

/* A string in the one form that ldns reads as it should: quoted, with \DDD. */
static int put_string(const struct entry *entry, const struct zonescan_token *token, size_t most)
{
    struct text *line = &entry->rrtext->line;
    bool quoted = token->text[0] == '"';
    const char *s = token->text + (quoted ? 1 : 0);
    size_t length = 0;

    text_put(line, " \"");
    for (; *s != '\0' && !(quoted && *s == '"' && s[1] == '\0'); length++) {
        if (*s == '"') {
            return fail(entry, token, "%s: a quote inside a string is written \\\"",
                        entry->type_text);
        }
        int c = string_byte(&s);
        if (c < 0) {
            return fail(entry, token, "%s: a broken escape in %.80s", entry->type_text,
                        token->text);
        }
        if (c < ' ' || c > '~' || c == '"' || c == '\\') {
            text_printf(line, "\\%03d", c);
        } else {
            text_put_char(line, (char)c);
        }
    }
    text_put_char(line, '"');
    if (length > most) {
        (void)fail(entry, token, "%s: a string of %zu bytes", entry->type_text, length);
        error_hint(entry->err, "a string holds at most 255; write several: \"first\" \"second\"");
        return entry->err->code;
    }
    return 0;
}

/* Is a field of this kind exactly one token? Those that are not end a record. */
static bool is_one_token(ldns_rdf_type kind)
{
    switch (kind) {
    case LDNS_RDF_TYPE_DNAME:
    case LDNS_RDF_TYPE_INT8:
    case LDNS_RDF_TYPE_INT16:
    case LDNS_RDF_TYPE_INT32:
    case LDNS_RDF_TYPE_A:
    case LDNS_RDF_TYPE_AAAA:
    case LDNS_RDF_TYPE_STR:
    case LDNS_RDF_TYPE_LONG_STR:
    case LDNS_RDF_TYPE_PERIOD:
    case LDNS_RDF_TYPE_CERT_ALG:
    case LDNS_RDF_TYPE_ALG:
    case LDNS_RDF_TYPE_TAG:
    case LDNS_RDF_TYPE_CERTIFICATE_USAGE:
    case LDNS_RDF_TYPE_SELECTOR:
    case LDNS_RDF_TYPE_MATCHING_TYPE:
        return true;
    default:
        return false;
    }
}

static int put_field(const struct entry *entry, const struct zonescan_token *token,
                     ldns_rdf_type kind)
{
    switch (kind) {
    case LDNS_RDF_TYPE_DNAME:
        return put_name(entry, token);
    case LDNS_RDF_TYPE_INT8:
        return put_number(entry, token, UINT8_MAX);
    case LDNS_RDF_TYPE_INT16:
        return put_number(entry, token, UINT16_MAX);
    case LDNS_RDF_TYPE_INT32:
        return put_number(entry, token, UINT32_MAX);
    case LDNS_RDF_TYPE_A:
        return put_address(entry, token, AF_INET);
    case LDNS_RDF_TYPE_AAAA:
        return put_address(entry, token, AF_INET6);
    case LDNS_RDF_TYPE_STR:
        return put_string(entry, token, 255);
    case LDNS_RDF_TYPE_LONG_STR:
        return put_string(entry, token, RRTEXT_RDATA_MAX);
    case LDNS_RDF_TYPE_PERIOD:
        return put_period(entry, token);
    default:
        text_printf(&entry->rrtext->line, " %s", token->text);
        return 0;
    }
}

/*
 * Write the fields behind the type into the line, each checked while they are
 * one token each.
 */
static int put_fields(const struct entry *entry, const struct zonescan_token *tokens, size_t count)
{
    const ldns_rr_descriptor *form = ldns_rr_descript(entry->type);
    size_t most = ldns_rr_descriptor_maximum(form);
    size_t least = ldns_rr_descriptor_minimum(form);
    bool known = true;

    for (size_t i = 1; i < count; i++) {
        ldns_rdf_type kind = LDNS_RDF_TYPE_NONE;
        if (known && (i <= most || form->_variable != LDNS_RDF_TYPE_NONE)) {
            kind = ldns_rr_descriptor_field_type(form, i - 1);
        } else if (known) {
            return fail(entry, &tokens[i], "%s takes %zu field%s; '%.80s' is one too many",
                        entry->type_text, most, most == 1 ? "" : "s", tokens[i].text);
        }
        known = known && is_one_token(kind);
        int rc = known ? put_field(entry, &tokens[i], kind)
                       : (text_printf(&entry->rrtext->line, " %s", tokens[i].text), 0);
        if (rc < 0) {
            return rc;
        }
    }
    if (count - 1 < least) {
        return fail(entry, &tokens[count - 1], "%s needs %zu field%s and has %zu", entry->type_text,
                    least, least == 1 ? "" : "s", count - 1);
    }
    return 0;
}

/* ---- rdata ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* "\# 4 0a000001", for any type. RFC 3597, section 5. */
static int read_generic(const struct entry *entry, const struct zonescan_token *tokens,
                        size_t count, uint8_t *out)
{
    char *end = NULL;
    size_t digits = 0;

    if (count < 3 || tokens[2].text[0] < '0' || tokens[2].text[0] > '9') {
        return fail(entry, &tokens[1], "%s: \\# needs a length and hexadecimal digits",
                    entry->type_text);
    }
    unsigned long length = strtoul(tokens[2].text, &end, 10);
    if (*end != '\0' || length > RRTEXT_RDATA_MAX) {
        return fail(entry, &tokens[2], "%s: '%.80s' is not a length from 0 to 65535",
                    entry->type_text, tokens[2].text);
    }
    for (size_t i = 3; i < count; i++) {
        for (const char *c = tokens[i].text; *c != '\0'; c++, digits++) {
            int digit = hex_digit(*c);
            if (digit < 0 || digits == length * 2) {
                return fail(entry, &tokens[i],
                            digit < 0 ? "%s: '%.80s' is not hexadecimal"
                                      : "%s: more data than the length says: '%.80s'",
                            entry->type_text, tokens[i].text);
            }
            uint8_t *byte = out + digits / 2;
            *byte = (uint8_t)(digits % 2 == 0 ? digit << 4 : *byte | digit);
        }
    }
    if (digits != length * 2) {
        return fail(entry, &tokens[2], "%s: less data than the length %lu says", entry->type_text,
                    length);
    }
    return (int)length;
}

static bool set_origin(struct rrtext *rrtext, const uint8_t *origin)
{
    if (rrtext->origin != NULL && name_equal(origin, rrtext->origin_dname)) {
        return true;
    }
    ldns_rdf_deep_free(rrtext->origin);
    memcpy(rrtext->origin_dname, origin, name_length(origin));
    rrtext->origin = ldns_rdf_new_frm_data(LDNS_RDF_TYPE_DNAME, name_length(origin), origin);
    return rrtext->origin != NULL;
}

/* Give the line to ldns; the rdata ends up in the buffer. */
static ldns_status through_ldns(struct rrtext *rrtext)
{
    ldns_rr *rr = NULL;
    ldns_status status =
        ldns_rr_new_frm_str(&rr, text_string(&rrtext->line), 0, rrtext->origin, NULL);

    if (status == LDNS_STATUS_OK) {
        ldns_buffer_clear(rrtext->buffer);
        status = ldns_rr_rdata2buffer_wire(rrtext->buffer, rr);
        ldns_rr_free(rr);
    }
    return status;
}

static int read_fields(const struct entry *entry, const struct zonescan_token *tokens, size_t count,
                       uint8_t *out)
{
    struct rrtext *rrtext = entry->rrtext;
    const struct zonescan_token *first = &tokens[count > 1 ? 1 : 0];

    rrtext->line.length = 0;
    text_printf(&rrtext->line, ". 0 IN TYPE%u", entry->type);
    if (put_fields(entry, tokens, count) < 0) {
        return entry->err->code;
    }
    if (text_failed(&rrtext->line) || !set_origin(rrtext, entry->origin)) {
        return error_set(entry->err, -ENOMEM, "out of memory");
    }
    if (rrtext->line.length > LDNS_TEXT_MAX) {
        (void)fail(entry, first, "%s: more than 64 KiB of text", entry->type_text);
        error_hint(entry->err, "write it as \\# length hexadecimal");
        return entry->err->code;
    }
    ldns_status status = through_ldns(rrtext);
    if (status != LDNS_STATUS_OK) {
        return fail(entry, first, "%s: %s", entry->type_text, ldns_get_errorstr_by_id(status));
    }
    size_t length = ldns_buffer_position(rrtext->buffer);
    if (length > RRTEXT_RDATA_MAX) {
        return fail(entry, first, "%s: more than 65535 bytes of data", entry->type_text);
    }
    memcpy(out, ldns_buffer_begin(rrtext->buffer), length);
    return (int)length;
}

int rrtext_rdata(struct rrtext *rrtext, uint16_t type, const uint8_t *origin,
                 const struct zonescan_token *tokens, size_t count, const char *path, uint8_t *out,
                 struct error *err)
{
    struct entry entry = {
        .rrtext = rrtext,
        .type = type,
        .type_text = tokens[0].text,
        .origin = origin,
        .path = path,
        .err = err,
    };
    bool generic = count > 1 && strcmp(tokens[1].text, "\\#") == 0;
    int length = generic ? read_generic(&entry, tokens, count, out)
                         : read_fields(&entry, tokens, count, out);

    if (length >= 0 && !rdata_sound(type, out, (size_t)length)) {
        return fail(&entry, &tokens[count > 1 ? 1 : 0], "%s: this is not data of the type",
                    entry.type_text);
    }
    return length;
}
