#pragma once
/*
 * hook - what one hook is still to be told, and when it is next tried
 *
 * Events wait a moment for others of the same crowd and are told together, at
 * most HOOK_EVENTS_MAX of them and a count of the rest: what a million
 * services do at once costs no more than what a hundred do. What could not be
 * told is tried again after 1, 2, 4 ... seconds, and given up in the end.
 * Decides only: it runs nothing and takes the time as an argument, in
 * monotonic milliseconds. Control thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "policy/journal.h"

#define HOOK_EVENTS_MAX   100u
#define HOOK_GATHER_MS    100u  /* an event waits so long for others */
#define HOOK_RETRY_MS     1000u /* the first time, then twice as long each time */
#define HOOK_RETRY_MAX_MS 60000u
#define HOOK_BUSY_MS      250u /* when too many other programs run */
#define HOOK_NEVER        UINT64_MAX

struct hook {
    uint32_t tries;       /* of one document, at most */
    size_t room;          /* bytes that the events of a document may have */
    struct text waiting;  /* events as JSON, a comma between them */
    unsigned count;       /* of them */
    uint64_t left_out;    /* beside them */
    struct text document; /* what is being told; empty: nothing is */
    uint64_t told;        /* events that `document` stands for, those left out too */
    uint32_t tried;       /* how often it was tried in vain */
    bool running;
    bool failing;    /* the last try was in vain */
    uint64_t lost;   /* events given up since the last success */
    uint64_t due_ms; /* when to call hook_start; HOOK_NEVER: not now */
};

enum hook_outcome {
    HOOK_TOLD,
    HOOK_AGAIN, /* it will be tried again */
    HOOK_LOST,  /* it was tried often enough */
};

/* A document is longer than its events by the names given to hook_start and so many bytes. */
#define HOOK_FRAME_MAX 128u
void hook_init(struct hook *hook, uint32_t tries, size_t room);
void hook_fini(struct hook *hook);

/* It happened at `wall_ms` of civil time. What does not fit is counted. */
void hook_add(struct hook *hook, const struct journal_entry *entry, uint64_t wall_ms,
              uint64_t now_ms);

/* Is there anything that was not told yet? */
bool hook_has_any(const struct hook *hook);

/* Events not told yet, those left out too. */
uint64_t hook_untold(const struct hook *hook);

/*
 * What is to be told now, a JSON object; it is the hook's until hook_end or
 * hook_put_off. Only when hook_has_any and it is not running.
 */
const struct text *hook_start(struct hook *hook, const char *node, const char *region);

/* The run has ended, well or not. */
enum hook_outcome hook_end(struct hook *hook, bool is_told, uint64_t now_ms);

/* It could not be run for reasons that are not its own: this was no try. */
void hook_put_off(struct hook *hook, uint64_t now_ms);
