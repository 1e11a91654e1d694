#include "policy/overrides.h"

#include <errno.h>
#include <fnmatch.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json_writer.h"

#define FORMAT_VERSION 1

struct overrides {
    struct override *list;
    size_t count;
    size_t capacity;
};

static const char *const kind_names[] = { "drain", "up", "down" };

const char *override_kind_name(enum override_kind kind)
{
    return kind_names[kind];
}

struct overrides *overrides_new(void)
{
    return calloc(1, sizeof(struct overrides));
}

void overrides_free(struct overrides *overrides)
{
    if (overrides != NULL) {
        free(overrides->list);
        free(overrides);
    }
}

/* A drain and a force may stand side by side; two of a family may not. */
static bool is_same_family(enum override_kind a, enum override_kind b)
{
    return (a == OVERRIDE_DRAIN) == (b == OVERRIDE_DRAIN);
}

static void remove_at(struct overrides *overrides, size_t index)
{
    overrides->count--;
    memmove(&overrides->list[index], &overrides->list[index + 1],
            (overrides->count - index) * sizeof(overrides->list[0]));
}

static bool grow(struct overrides *overrides)
{
    if (overrides->count < overrides->capacity) {
        return true;
    }
    size_t capacity = overrides->capacity == 0 ? 8 : overrides->capacity * 2;
    struct override *list = reallocarray(overrides->list, capacity, sizeof(*list));
    if (list == NULL) {
        return false;
    }
    overrides->list = list;
    overrides->capacity = capacity;
    return true;
}

int overrides_set(struct overrides *overrides, const struct override *override, struct error *err)
{
    if (override->target[0] == '\0') {
        return error_set(err, -EINVAL, "which target? a region, REGION/SERVICE or an address");
    }
    for (size_t i = 0; i < overrides->count; i++) {
        struct override *old = &overrides->list[i];
        if (old->scheduled == override->scheduled && is_same_family(old->kind, override->kind) &&
            strcmp(old->target, override->target) == 0) {
            *old = *override;
            return 0;
        }
    }
    if (overrides->count >= OVERRIDES_MAX) {
        (void)error_set(err, -E2BIG, "there are %u overrides already", OVERRIDES_MAX);
        error_hint(err, "release some, or say several in one with a glob such as seoul/*");
        return err->code;
    }
    if (!grow(overrides)) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    overrides->list[overrides->count++] = *override;
    return 0;
}

static bool is_released(const struct override *override, enum override_release which)
{
    switch (which) {
    case OVERRIDE_RELEASE_DRAIN:
        return override->kind == OVERRIDE_DRAIN;
    case OVERRIDE_RELEASE_FORCE:
        return override->kind != OVERRIDE_DRAIN;
    case OVERRIDE_RELEASE_ALL:
        break;
    }
    return true;
}

size_t overrides_release(struct overrides *overrides, const char *target,
                         enum override_release which, bool scheduled)
{
    size_t before = overrides->count;

    for (size_t i = before; i > 0; i--) {
        const struct override *o = &overrides->list[i - 1];
        if (o->scheduled == scheduled && is_released(o, which) && strcmp(o->target, target) == 0) {
            remove_at(overrides, i - 1);
        }
    }
    return before - overrides->count;
}

const struct override *overrides_find(const struct overrides *overrides, const char *target,
                                      enum override_release which, bool scheduled)
{
    for (size_t i = 0; i < overrides->count; i++) {
        const struct override *o = &overrides->list[i];
        if (o->scheduled == scheduled && is_released(o, which) && strcmp(o->target, target) == 0) {
            return o;
        }
    }
    return NULL;
}

size_t overrides_mute(struct overrides *overrides, const char *target)
{
    size_t count = 0;

    for (size_t i = 0; i < overrides->count; i++) {
        struct override *o = &overrides->list[i];
        if (o->scheduled && !o->muted && strcmp(o->target, target) == 0) {
            o->muted = true;
            count++;
        }
    }
    return count;
}

bool overrides_expire(struct overrides *overrides, int64_t now_s, struct override *out)
{
    for (size_t i = 0; i < overrides->count; i++) {
        if (overrides->list[i].until_s != 0 && overrides->list[i].until_s <= now_s) {
            *out = overrides->list[i];
            remove_at(overrides, i);
            return true;
        }
    }
    return false;
}

int64_t overrides_next_s(const struct overrides *overrides)
{
    int64_t next = INT64_MAX;

    for (size_t i = 0; i < overrides->count; i++) {
        int64_t until = overrides->list[i].until_s;
        next = until != 0 && until < next ? until : next;
    }
    return next;
}

size_t overrides_count(const struct overrides *overrides)
{
    return overrides->count;
}

const struct override *overrides_at(const struct overrides *overrides, size_t index)
{
    return &overrides->list[index];
}

/* ---- what a target means ---- */

bool override_means_region(const struct override *override, const char *region)
{
    return !override->muted && strchr(override->target, '/') == NULL &&
           fnmatch(override->target, region, 0) == 0;
}

/* The whole name, or its first labels. */
static bool means_service(const char *pattern, const char *service)
{
    size_t length = strlen(pattern);

    if (fnmatch(pattern, service, FNM_CASEFOLD) == 0) {
        return true;
    }
    return length > 0 && strncasecmp(service, pattern, length) == 0 && service[length] == '.';
}

bool override_means_pool(const struct override *override, const char *region, const char *service)
{
    const char *slash = strchr(override->target, '/');
    char pattern[OVERRIDE_TARGET_MAX];

    if (slash == NULL || override->muted) {
        return false;
    }
    size_t length = (size_t)(slash - override->target);
    memcpy(pattern, override->target, length);
    pattern[length] = '\0';
    if (fnmatch(pattern, region, 0) != 0) {
        return false;
    }
    length = strlen(slash + 1);
    length -= length > 0 && slash[length] == '.'; /* absolute with or without the last dot */
    memcpy(pattern, slash + 1, length);
    pattern[length] = '\0';
    return means_service(pattern, service);
}

bool override_means_endpoint(const struct override *override, const struct addr *address)
{
    struct addr meant;
    struct error ignored;

    return addr_parse(override->target, 0, &meant, &ignored) == 0 &&
           addr_same_host(&meant, address);
}

/* ---- on disk ---- */

void overrides_render(const struct overrides *overrides, struct text *out)
{
    struct json_writer json;

    json_writer_init(&json, out);
    json_writer_object_begin(&json, NULL);
    json_writer_uint(&json, "version", FORMAT_VERSION);
    json_writer_list_begin(&json, "overrides");
    for (size_t i = 0; i < overrides->count; i++) {
        const struct override *o = &overrides->list[i];
        if (o->scheduled) {
            continue;
        }
        json_writer_object_begin(&json, NULL);
        json_writer_string(&json, "target", o->target);
        json_writer_string(&json, "state", override_kind_name(o->kind));
        json_writer_string(&json, "reason", o->reason);
        json_writer_string(&json, "author", o->author);
        json_writer_int(&json, "since", o->since_s);
        json_writer_int(&json, "until", o->until_s);
        json_writer_object_end(&json);
    }
    json_writer_list_end(&json);
    json_writer_object_end(&json);
    text_put_char(out, '\n');
}

static bool take_text(const json_t *entry, const char *key, char *out, size_t cap)
{
    const char *value = json_string_value(json_object_get(entry, key));

    if (value == NULL || strlen(value) >= cap) {
        return false;
    }
    memcpy(out, value, strlen(value) + 1);
    return true;
}

static bool take_kind(const json_t *entry, enum override_kind *out)
{
    const char *name = json_string_value(json_object_get(entry, "state"));

    for (unsigned i = 0; name != NULL && i < sizeof(kind_names) / sizeof(kind_names[0]); i++) {
        if (strcmp(kind_names[i], name) == 0) {
            *out = (enum override_kind)i;
            return true;
        }
    }
    return false;
}

static bool take_entry(const json_t *entry, struct override *out)
{
    const json_t *since = json_object_get(entry, "since");
    const json_t *until = json_object_get(entry, "until");

    memset(out, 0, sizeof(*out));
    if (!take_text(entry, "target", out->target, sizeof(out->target)) ||
        !take_text(entry, "reason", out->reason, sizeof(out->reason)) ||
        !take_text(entry, "author", out->author, sizeof(out->author)) ||
        !take_kind(entry, &out->kind) || !json_is_integer(since) || !json_is_integer(until)) {
        return false;
    }
    out->since_s = json_integer_value(since);
    out->until_s = json_integer_value(until);
    return true;
}

/* All or nothing. */
static int take_list(struct overrides *overrides, const json_t *list, struct error *err)
{
    struct override entry;

    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!take_entry(json_array_get(list, i), &entry)) {
            return error_set(err, -EINVAL, "entry %zu is not an override", i + 1);
        }
        int rc = overrides_set(overrides, &entry, err);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

int overrides_parse(struct overrides *overrides, const char *text, size_t length, struct error *err)
{
    struct overrides fresh = { 0 };
    json_error_t where;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    int rc;

    if (root == NULL) {
        return error_set(err, -EINVAL, "line %d, column %d: %s", where.line, where.column,
                         where.text);
    }
    const json_t *list = json_object_get(root, "overrides");
    if (json_integer_value(json_object_get(root, "version")) != FORMAT_VERSION ||
        !json_is_array(list)) {
        rc = error_set(err, -EINVAL, "not a list of overrides that this version writes");
    } else {
        rc = take_list(&fresh, list, err);
    }
    json_decref(root);
    if (rc < 0) {
        free(fresh.list);
        return rc;
    }
    free(overrides->list);
    *overrides = fresh;
    return 0;
}
