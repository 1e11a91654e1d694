#include "zones/zonefile.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "zones/generate.h"
#include "zones/name.h"
#include "zones/rrtext.h"
#include "zones/wire.h"
#include "zones/zonescan.h"

#define INCLUDE_DEPTH_MAX 16

/* One reading, all files. */
struct reader {
    zonefile_sink *sink;
    void *user;
    struct error *err;
    struct rrtext *rrtext;
    uint64_t budget; /* bytes still to be read */
    unsigned depth;  /* of files open */
    uint8_t rdata[RRTEXT_RDATA_MAX];
};

/* What entries inherit; it begins with the file and ends with it. */
struct scope {
    struct reader *reader;
    const char *path;
    uint8_t origin[NAME_MAX_BYTES];
    uint8_t owner[NAME_MAX_BYTES]; /* of the entry before */
    bool has_owner;
    bool has_default_ttl; /* by $TTL */
    bool has_last_ttl;
    uint32_t default_ttl_s;
    uint32_t last_ttl_s;
};

static int read_file(struct reader *reader, const char *path, const struct scope *outer,
                     const uint8_t *origin);

/* Fill in the place of an error that has none. */
static int fail_at(const struct scope *scope, const struct zonescan_token *token)
{
    struct error *err = scope->reader->err;
    struct error copy = *err;

    (void)error_set_at(err, copy.code, scope->path, token->line, token->col, "%s", copy.message);
    memcpy(err->hint, copy.hint, sizeof(copy.hint));
    return err->code;
}

__attribute__((format(printf, 3, 4))) static int
fail(const struct scope *scope, const struct zonescan_token *token, const char *format, ...)
{
    struct error *err = scope->reader->err;
    char message[sizeof(err->message)];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    (void)error_set(err, -EINVAL, "%s", message);
    return fail_at(scope, token);
}

static int read_name(const struct scope *scope, const struct zonescan_token *token,
                     uint8_t out[NAME_MAX_BYTES])
{
    if (strchr(token->text, '"') != NULL) {
        return fail(scope, token, "a name stands without quotes: %.80s", token->text);
    }
    if (name_parse_within(token->text, scope->origin, out, scope->reader->err) < 0) {
        return fail_at(scope, token);
    }
    return 0;
}

static int read_ttl(const struct scope *scope, const struct zonescan_token *token, uint32_t *out_s)
{
    switch (rrtext_ttl(token->text, out_s)) {
    case RRTEXT_TTL_OK:
        return 0;
    case RRTEXT_TTL_TOO_BIG:
        return fail(scope, token, "the TTL %.80s is more than %u", token->text, RRTEXT_TTL_MAX);
    case RRTEXT_TTL_NONE:
    default:
        return fail(scope, token, "'%.80s' is not a TTL", token->text);
    }
}

/* ---- records ---- */

/* The number of a class, 0 when the token is none. RFC 1035, section 3.2.4. */
static uint16_t class_of(const char *text)
{
    static const struct {
        const char *name;
        uint16_t class;
    } classes[] = { { "IN", 1 }, { "CS", 2 }, { "CH", 3 }, { "HS", 4 } };

    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (strcasecmp(text, classes[i].name) == 0) {
            return classes[i].class;
        }
    }
    if (strncasecmp(text, "CLASS", 5) == 0 && text[5] != '\0') {
        char *end;
        unsigned long value = strtoul(text + 5, &end, 10);
        return *end == '\0' && value <= UINT16_MAX ? (uint16_t)value : 0;
    }
    return 0;
}

/*
 * TTL and class in any order behind the owner. Returns the index of the type's
 * token, or a negative errno.
 */
static int read_ttl_and_class(struct scope *scope, const struct zonescan_token *tokens,
                              size_t count, size_t at, bool *out_has_ttl)
{
    bool has_class = false;

    *out_has_ttl = false;
    for (; at < count; at++) {
        uint32_t ttl_s;
        if (!*out_has_ttl && rrtext_ttl(tokens[at].text, &ttl_s) != RRTEXT_TTL_NONE) {
            if (read_ttl(scope, &tokens[at], &scope->last_ttl_s) < 0) {
                return scope->reader->err->code;
            }
            scope->has_last_ttl = true;
            *out_has_ttl = true;
            continue;
        }
        uint16_t class = has_class ? 0 : class_of(tokens[at].text);
        if (class == 0) {
            return (int)at;
        }
        if (class != WIRE_IN) {
            return fail(scope, &tokens[at], "class %.20s; only IN is served", tokens[at].text);
        }
        has_class = true;
    }
    return fail(scope, &tokens[count - 1], "a record without a type");
}

static int read_type(const struct scope *scope, const struct zonescan_token *token, uint16_t *out)
{
    struct error *err = scope->reader->err;

    *out = rrtext_type(token->text);
    if (*out != 0) {
        return 0;
    }
    (void)fail(scope, token, "unknown record type '%.80s'", token->text);
    const char *near = rrtext_type_nearest(token->text);
    if (token->text[0] == '$') {
        error_hint(err, "a directive begins in the first column of its line");
    } else if (near != NULL) {
        error_hint(err, "did you mean %s?", near);
    } else {
        error_hint(err, "a record is: owner [TTL] [IN] type data");
    }
    return err->code;
}

static int settle_ttl(const struct scope *scope, const struct zonescan_token *type, bool given,
                      uint32_t *out_s)
{
    if (!given && !scope->has_default_ttl && !scope->has_last_ttl) {
        (void)fail(scope, type, "a record without a TTL, and no $TTL before it");
        error_hint(scope->reader->err, "write $TTL 300 above the first record");
        return scope->reader->err->code;
    }
    *out_s = given || !scope->has_default_ttl ? scope->last_ttl_s : scope->default_ttl_s;
    return 0;
}

static int read_owner(struct scope *scope, const struct zonescan_token *tokens, bool indented)
{
    if (!indented) {
        if (read_name(scope, &tokens[0], scope->owner) < 0) {
            return scope->reader->err->code;
        }
        scope->has_owner = true;
    }
    return scope->has_owner
               ? 0
               : fail(scope, &tokens[0], "a record that inherits its owner, and none before it");
}

static int read_record(struct scope *scope, const struct zonescan_token *tokens, size_t count,
                       bool indented)
{
    struct reader *reader = scope->reader;
    struct zonefile_record record = {
        .owner = scope->owner,
        .class = WIRE_IN,
        .rdata = reader->rdata,
        .path = scope->path,
        .line = tokens[0].line,
        .col = tokens[0].col,
    };
    bool has_ttl;

    int rc = read_owner(scope, tokens, indented);
    if (rc < 0) {
        return rc;
    }
    int at = read_ttl_and_class(scope, tokens, count, indented ? 0 : 1, &has_ttl);
    if (at < 0) {
        return at;
    }
    const struct zonescan_token *type = &tokens[at];
    if (read_type(scope, type, &record.type) < 0 ||
        settle_ttl(scope, type, has_ttl, &record.ttl_s) < 0) {
        return reader->err->code;
    }
    int length = rrtext_rdata(reader->rrtext, record.type, scope->origin, type, count - (size_t)at,
                              scope->path, reader->rdata, reader->err);
    if (length < 0) {
        return length;
    }
    record.rdata_length = (uint16_t)length;
    return reader->sink(reader->user, &record, reader->err);
}

/* ---- directives ---- */

static int need_fields(const struct scope *scope, const struct zonescan_entry *entry, size_t least,
                       size_t most, const char *usage)
{
    const struct zonescan_token *last = &entry->tokens[entry->count - 1];

    if (entry->count - 1 >= least && entry->count - 1 <= most) {
        return 0;
    }
    (void)fail(scope, last, "%s with %zu fields", entry->tokens[0].text, entry->count - 1);
    error_hint(scope->reader->err, "write %s", usage);
    return scope->reader->err->code;
}

static int read_origin(struct scope *scope, const struct zonescan_entry *entry)
{
    uint8_t origin[NAME_MAX_BYTES];

    if (need_fields(scope, entry, 1, 1, "$ORIGIN name") < 0 ||
        read_name(scope, &entry->tokens[1], origin) < 0) {
        return scope->reader->err->code;
    }
    memcpy(scope->origin, origin, name_length(origin));
    return 0;
}

static int read_default_ttl(struct scope *scope, const struct zonescan_entry *entry)
{
    if (need_fields(scope, entry, 1, 1, "$TTL 300") < 0 ||
        read_ttl(scope, &entry->tokens[1], &scope->default_ttl_s) < 0) {
        return scope->reader->err->code;
    }
    scope->has_default_ttl = true;
    return 0;
}

/* The path of an included file, without its quotes; NULL when memory is out. */
static char *included_path(const char *including, const char *text)
{
    const char *slash = strrchr(including, '/');
    size_t length = strlen(text);
    struct text path = { 0 };

    if (length >= 2 && text[0] == '"' && text[length - 1] == '"') {
        text++;
        length -= 2;
    }
    if (*text != '/' && slash != NULL) {
        text_put_bytes(&path, including, (size_t)(slash - including) + 1);
    }
    text_put_bytes(&path, text, length);
    if (text_failed(&path)) {
        text_fini(&path);
        return NULL;
    }
    return path.bytes;
}

static int read_include(struct scope *scope, const struct zonescan_entry *entry)
{
    struct reader *reader = scope->reader;
    const struct zonescan_token place = entry->tokens[1 < entry->count ? 1 : 0];
    uint8_t origin[NAME_MAX_BYTES];

    if (need_fields(scope, entry, 1, 2, "$INCLUDE file [origin]") < 0) {
        return reader->err->code;
    }
    if (reader->depth == INCLUDE_DEPTH_MAX) {
        return fail(scope, &place, "$INCLUDE nested more than %d deep; does a file include itself?",
                    INCLUDE_DEPTH_MAX);
    }
    memcpy(origin, scope->origin, name_length(scope->origin));
    if (entry->count == 3 && read_name(scope, &entry->tokens[2], origin) < 0) {
        return reader->err->code;
    }
    char *path = included_path(scope->path, place.text);
    if (path == NULL) {
        return error_set(reader->err, -ENOMEM, "out of memory");
    }
    int rc = read_file(reader, path, scope, origin);
    free(path);
    if (rc < 0 && reader->err->line == 0 && reader->err->path[0] != '\0') {
        /* it could not be opened: the place is here, the file goes into the words */
        struct error *err = reader->err;
        char file[sizeof(err->path)];
        memcpy(file, err->path, sizeof(file));
        (void)error_wrap(err, "%s", file);
        return fail_at(scope, &place);
    }
    return rc;
}

/* One entry of a $GENERATE: the template's tokens, filled in. */
static int generate_one(struct scope *scope, const struct zonescan_entry *template, uint32_t value,
                        struct text *filled, struct zonescan_token *tokens, size_t *starts)
{
    filled->length = 0;
    for (size_t i = 0; i < template->count; i++) {
        starts[i] = filled->length;
        if (generate_expand(template->tokens[i].text, value, filled, scope->reader->err) < 0) {
            return fail_at(scope, &template->tokens[i]);
        }
        text_put_char(filled, '\0');
    }
    if (text_failed(filled)) {
        return error_set(scope->reader->err, -ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < template->count; i++) {
        tokens[i] = template->tokens[i];
        tokens[i].text = filled->bytes + starts[i];
    }
    return read_record(scope, tokens, template->count, false);
}

static int read_generate(struct scope *scope, const struct zonescan_entry *entry)
{
    struct error *err = scope->reader->err;
    struct generate_range range;
    struct text filled = { 0 };

    if (need_fields(scope, entry, 4, SIZE_MAX, "$GENERATE 1-254 host-$ A 10.0.0.$") < 0) {
        return err->code;
    }
    if (generate_range(entry->tokens[1].text, &range, err) < 0) {
        return fail_at(scope, &entry->tokens[1]);
    }
    struct zonescan_entry template = { .tokens = entry->tokens + 2, .count = entry->count - 2 };
    struct zonescan_token *tokens = calloc(template.count, sizeof(*tokens));
    size_t *starts = calloc(template.count, sizeof(*starts));
    int rc = tokens == NULL || starts == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;
    for (uint64_t value = range.first; rc == 0 && value <= range.last; value += range.step) {
        rc = generate_one(scope, &template, (uint32_t)value, &filled, tokens, starts);
    }
    text_fini(&filled);
    free(tokens);
    free(starts);
    return rc;
}

static int read_directive(struct scope *scope, const struct zonescan_entry *entry)
{
    static const char *const names[] = { "$ORIGIN", "$TTL", "$INCLUDE", "$GENERATE" };
    static int (*const readers[])(struct scope *, const struct zonescan_entry *) = {
        read_origin,
        read_default_ttl,
        read_include,
        read_generate,
    };
    const char *word = entry->tokens[0].text;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcasecmp(word, names[i]) == 0) {
            return readers[i](scope, entry);
        }
    }
    (void)fail(scope, &entry->tokens[0], "unknown directive '%.80s'", word);
    const char *near = text_nearest(word, names, sizeof(names) / sizeof(names[0]));
    if (near != NULL) {
        error_hint(scope->reader->err, "did you mean %s?", near);
    } else {
        error_hint(scope->reader->err, "there are $ORIGIN, $TTL, $INCLUDE and $GENERATE; "
                                       "a name that begins with a dollar is written \\$");
    }
    return scope->reader->err->code;
}

/* ---- files ---- */

static int read_entries(struct scope *scope, struct zonescan *scan)
{
    struct zonescan_entry entry;
    int rc;

    while ((rc = zonescan_next(scan, &entry, scope->reader->err)) > 0) {
        bool directive = !entry.indented && entry.tokens[0].text[0] == '$';
        rc = directive ? read_directive(scope, &entry)
                       : read_record(scope, entry.tokens, entry.count, entry.indented);
        if (rc != 0) {
            return rc;
        }
    }
    return rc;
}

static int read_file(struct reader *reader, const char *path, const struct scope *outer,
                     const uint8_t *origin)
{
    struct scope scope = { .reader = reader };
    struct zonescan *scan;

    if (outer != NULL) {
        scope = *outer;
    }
    scope.path = path;
    memcpy(scope.origin, origin, name_length(origin));
    int rc = zonescan_open(&scan, path, &reader->budget, reader->err);
    if (rc < 0) {
        return rc;
    }
    reader->depth++;
    rc = read_entries(&scope, scan);
    reader->depth--;
    zonescan_close(scan);
    return rc;
}

int zonefile_read(const char *path, const uint8_t *origin, zonefile_sink *sink, void *user,
                  struct error *err)
{
    struct reader *reader = calloc(1, sizeof(*reader));

    if (reader == NULL || (reader->rrtext = rrtext_new()) == NULL) {
        free(reader);
        return error_set(err, -ENOMEM, "out of memory");
    }
    reader->sink = sink;
    reader->user = user;
    reader->err = err;
    reader->budget = ZONESCAN_BYTES_MAX;
    int rc = read_file(reader, path, NULL, origin);
    rrtext_free(reader->rrtext);
    free(reader);
    return rc;
}
