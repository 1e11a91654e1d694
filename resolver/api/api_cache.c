#include "resolver/api/api_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "resolver/cache/cache.h"
#include "resolver/control.h"
#include "resolver/record_text.h"
#include "resolver/resolution.h"
#include "resolver/server.h"
#include "zones/name.h"
#include "zones/wire.h"
#include "zones/words.h"

struct pattern {
    bool all;
    bool tree; /* and all below it */
    uint8_t dname[NAME_MAX_BYTES];
};

/* What the service loop is to do, and what came of it. */
struct work {
    const struct pattern *pattern;
    struct json_writer *json;
    uint64_t matching;
    uint64_t shown;
};

static bool read_pattern(const char *text, struct pattern *out, struct api_reply *reply)
{
    struct error err;

    memset(out, 0, sizeof(*out));
    if (text == NULL || text[0] == '\0') {
        api_reply_error(reply, 400, "name_missing",
                        "which names? ?name=www.example.com, ?name=*.example.com or ?name=all");
        return false;
    }
    if (strcmp(text, "all") == 0) {
        out->all = true;
        return true;
    }
    out->tree = strncmp(text, "*.", 2) == 0;
    if (name_parse(out->tree ? text + 2 : text, out->dname, &err) <= 0) {
        api_reply_error(reply, 400, "bad_name", "%s", err.message);
        return false;
    }
    return true;
}

static bool matches(const struct pattern *pattern, const struct cache_entry *entry)
{
    const uint8_t *dname = cache_entry_name(entry);

    return pattern->all || name_equal(dname, pattern->dname) ||
           (pattern->tree && name_is_within(dname, pattern->dname));
}

/* ---- one entry ---- */

static void put_line(void *user, unsigned section, uint16_t type, const char *line)
{
    (void)type;
    if (section == 0) {
        json_writer_string(user, NULL, line);
    }
}

/* Its records, through a message made of it. */
static void put_records(const struct cache_entry *entry, int64_t now_ms, struct json_writer *json)
{
    size_t at = WIRE_QUESTION + entry->name_length + 4u;
    uint8_t *message = malloc(at + entry->body_length);

    json_writer_list_begin(json, "answer");
    if (message != NULL) {
        memset(message, 0, WIRE_HEADER_BYTES);
        wire_put16(message + 4, 1);
        for (unsigned i = 0; i < 3; i++) {
            wire_put16(message + 6 + 2 * (size_t)i, entry->records[i]);
        }
        memcpy(message + WIRE_QUESTION, cache_entry_name(entry), entry->name_length);
        wire_put16(message + at - 4, entry->type);
        wire_put16(message + at - 2, entry->class);
        cache_put_body(entry, now_ms, 0, message + at);
        (void)record_text_walk(message, at + entry->body_length, put_line, json);
        free(message);
    }
    json_writer_list_end(json);
}

static const char *kind_name(enum cache_kind kind)
{
    switch (kind) {
    case CACHE_POSITIVE:
        return "positive";
    case CACHE_NODATA:
        return "nodata";
    case CACHE_NXDOMAIN:
        return "nxdomain";
    case CACHE_FAILURE:
        return "failure";
    }
    return "";
}

void api_cache_put_entry(const struct cache_entry *entry, int64_t now_ms, struct json_writer *json)
{
    static const char *const origins[] = { "own", "other", "public" };
    char name[NAME_TEXT_MAX];
    struct text type = { 0 };
    int64_t age_ms = now_ms - entry->stored_ms;

    (void)name_format(cache_entry_name(entry), name, sizeof(name));
    record_text_put_type(&type, entry->type);
    json_writer_object_begin(json, NULL);
    json_writer_string(json, "name", name);
    json_writer_string(json, "type", text_string(&type));
    json_writer_string(json, "kind", kind_name((enum cache_kind)entry->kind));
    json_writer_bool(json, "fresh", cache_left_s(entry, now_ms) > 0);
    json_writer_uint(json, "ttl_s", entry->ttl_s);
    json_writer_uint(json, "left_s", cache_left_s(entry, now_ms));
    json_writer_uint(json, "age_s", age_ms < 0 ? 0 : (uint64_t)age_ms / 1000);
    json_writer_string(json, "origin", origins[entry->origin % 3]);
    json_writer_bool(json, "dnssec_ok", (entry->key_flags & CACHE_DNSSEC_OK) != 0);
    json_writer_bool(json, "checking_disabled",
                     (entry->key_flags & CACHE_CHECKING_DISABLED) != 0);
    json_writer_uint(json, "bytes", entry->size_bytes);
    put_records(entry, now_ms, json);
    json_writer_object_end(json);
    text_fini(&type);
}

/* ---- the service loop's part ---- */

static void show(void *user, struct resolution *resolution, struct cache *cache)
{
    struct work *work = user;
    int64_t now_ms = (int64_t)clock_now_ms();
    const struct cache_entry *entry;
    uint64_t cursor = 0;

    (void)resolution;
    while ((entry = cache_next(cache, &cursor)) != NULL) {
        if (!matches(work->pattern, entry)) {
            continue;
        }
        work->matching++;
        if (work->shown < API_CACHE_SHOWN) {
            work->shown++;
            api_cache_put_entry(entry, now_ms, work->json);
        }
    }
}

static void flush(void *user, struct resolution *resolution, struct cache *cache)
{
    struct work *work = user;
    const struct pattern *pattern = work->pattern;

    static const uint8_t root[] = { 0 };

    work->matching = cache_flush(cache, pattern->all ? NULL : pattern->dname, pattern->tree);
    /* what is on its way would come back otherwise */
    forwarder_forget(resolution_forwarder(resolution), pattern->all ? root : pattern->dname);
}

/* ---- the control thread's ---- */

void api_cache_put(struct control *control, const char *text, struct api_reply *reply)
{
    struct json_writer json;
    struct pattern pattern;
    struct work work = { .pattern = &pattern, .json = &json };

    if (!read_pattern(text, &pattern, reply)) {
        return;
    }
    reply->status = 200;
    reply->content_type = API_REPLY_JSON;
    json_writer_init(&json, &reply->body);
    json_writer_object_begin(&json, NULL);
    json_writer_list_begin(&json, "entries");
    (void)server_do(control_server(control), show, &work);
    json_writer_list_end(&json);
    json_writer_uint(&json, "matching", work.matching);
    json_writer_uint(&json, "shown", work.shown);
    json_writer_object_end(&json);
    text_put_char(&reply->body, '\n');
}

void api_cache_flush(struct control *control, const char *text, struct api_reply *reply)
{
    struct json_writer json;
    struct pattern pattern;
    struct work work = { .pattern = &pattern };

    if (!read_pattern(text, &pattern, reply)) {
        return;
    }
    (void)server_do(control_server(control), flush, &work);
    reply->status = 200;
    reply->content_type = API_REPLY_JSON;
    json_writer_init(&json, &reply->body);
    json_writer_object_begin(&json, NULL);
    json_writer_uint(&json, "flushed", work.matching);
    json_writer_object_end(&json);
    text_put_char(&reply->body, '\n');
}
