#include "resolver/hook.h"

#include <string.h>

#include "base/clock.h"
#include "base/json_writer.h"

#define TIME_BYTES 32

void hook_init(struct hook *hook, uint32_t tries, size_t room)
{
    memset(hook, 0, sizeof(*hook));
    hook->tries = tries;
    hook->room = room;
    hook->due_ms = HOOK_NEVER;
}

void hook_fini(struct hook *hook)
{
    text_fini(&hook->waiting);
    text_fini(&hook->document);
}

static void put_event(const struct journal_entry *entry, uint64_t wall_ms, struct text *out)
{
    struct json_writer json;
    char time[TIME_BYTES];

    clock_format_wall(wall_ms, time, sizeof(time));
    json_writer_init(&json, out);
    json_writer_object_begin(&json, NULL);
    json_writer_string(&json, "time", time);
    journal_put_entry(&json, entry);
    json_writer_object_end(&json);
}

/* Put it behind the others. False: it does not fit. */
static bool keep(struct hook *hook, const struct journal_entry *entry, uint64_t wall_ms)
{
    struct text event = { 0 };

    if (hook->count == HOOK_EVENTS_MAX || hook->left_out > 0) {
        return false; /* what is told is the beginning, without gaps */
    }
    put_event(entry, wall_ms, &event);
    bool fits = !text_failed(&event) && hook->waiting.length + 1 + event.length <= hook->room;
    if (fits) {
        text_put(&hook->waiting, hook->count == 0 ? "" : ",");
        text_put_bytes(&hook->waiting, text_string(&event), event.length);
        hook->count++;
    }
    text_fini(&event);
    return fits;
}

void hook_add(struct hook *hook, const struct journal_entry *entry, uint64_t wall_ms,
              uint64_t now_ms)
{
    if (!keep(hook, entry, wall_ms)) {
        hook->left_out++;
    }
    if (hook->due_ms == HOOK_NEVER && !hook->running) {
        hook->due_ms = now_ms + HOOK_GATHER_MS;
    }
}

bool hook_has_any(const struct hook *hook)
{
    return hook->told > 0 || hook->count > 0 || hook->left_out > 0;
}

uint64_t hook_untold(const struct hook *hook)
{
    return hook->told + hook->count + hook->left_out;
}

/* What waits becomes what is told. */
static void pack(struct hook *hook, const char *node, const char *region)
{
    struct json_writer json;

    json_writer_init(&json, &hook->document);
    json_writer_object_begin(&json, NULL);
    json_writer_string(&json, "node", node);
    if (region != NULL) {
        json_writer_string(&json, "region", region);
    } else {
        json_writer_null(&json, "region");
    }
    json_writer_uint(&json, "left_out", hook->left_out);
    json_writer_list_begin(&json, "events");
    text_put_bytes(&hook->document, text_string(&hook->waiting), hook->waiting.length);
    json_writer_list_end(&json);
    json_writer_object_end(&json);
    text_put_char(&hook->document, '\n');
    hook->told = hook->count + hook->left_out;
    hook->tried = 0;
    text_fini(&hook->waiting);
    hook->count = 0;
    hook->left_out = 0;
}

const struct text *hook_start(struct hook *hook, const char *node, const char *region)
{
    if (hook->told == 0) {
        pack(hook, node, region);
    }
    hook->running = true;
    hook->due_ms = HOOK_NEVER;
    return &hook->document;
}

static uint64_t pause_ms(uint32_t tried)
{
    uint64_t ms = tried > 16 ? HOOK_RETRY_MAX_MS : (uint64_t)HOOK_RETRY_MS << (tried - 1);

    return ms < HOOK_RETRY_MAX_MS ? ms : HOOK_RETRY_MAX_MS;
}

static void drop_document(struct hook *hook, uint64_t now_ms)
{
    text_fini(&hook->document);
    hook->told = 0;
    hook->tried = 0;
    hook->due_ms = hook_has_any(hook) ? now_ms + HOOK_GATHER_MS : HOOK_NEVER;
}

enum hook_outcome hook_end(struct hook *hook, bool is_told, uint64_t now_ms)
{
    hook->running = false;
    hook->failing = !is_told;
    if (is_told) {
        hook->lost = 0;
        drop_document(hook, now_ms);
        return HOOK_TOLD;
    }
    hook->tried++;
    if (hook->tried < hook->tries) {
        hook->due_ms = now_ms + pause_ms(hook->tried);
        return HOOK_AGAIN;
    }
    hook->lost += hook->told;
    drop_document(hook, now_ms);
    return HOOK_LOST;
}

void hook_put_off(struct hook *hook, uint64_t now_ms)
{
    hook->running = false;
    hook->due_ms = now_ms + HOOK_BUSY_MS;
}
