#include "resolver/forward/upstream.h"

#include <stdio.h>

#define USUAL_WEIGHT 8 /* a new time counts one eighth */

static void smooth(struct upstream *upstream, uint64_t took_ms)
{
    uint32_t old = atomic_load_explicit(&upstream->usual_ms, memory_order_relaxed);
    uint32_t took = took_ms < 1 ? 1 : took_ms > UINT16_MAX ? UINT16_MAX : (uint32_t)took_ms;
    uint32_t usual = took;

    if (old != 0) {
        /* rounded towards the new time, so that it is reached in the end */
        uint32_t rest = took > old ? USUAL_WEIGHT - 1 : 0;
        usual = (old * (USUAL_WEIGHT - 1) + took + rest) / USUAL_WEIGHT;
    }
    atomic_store_explicit(&upstream->usual_ms, usual, memory_order_relaxed);
}

void upstream_heard(struct upstream *upstream, uint64_t now_ms)
{
    upstream->heard_ms = now_ms;
    upstream->silent_count = 0;
}

static void count_failure(struct upstream *upstream)
{
    atomic_fetch_add_explicit(&upstream->failed, 1, memory_order_relaxed);
}

bool upstream_good(struct upstream *upstream, uint64_t took_ms, uint64_t now_ms)
{
    smooth(upstream, took_ms);
    upstream_heard(upstream, now_ms);
    upstream->bad_count = 0;
    return upstream->suspect;
}

void upstream_spoke(struct upstream *upstream, uint64_t now_ms)
{
    count_failure(upstream);
    upstream_heard(upstream, now_ms);
}

uint32_t upstream_silent_ms(const struct upstream *upstream)
{
    uint32_t ms = 3 * atomic_load_explicit(&upstream->usual_ms, memory_order_relaxed);

    if (ms < UPSTREAM_SILENT_MS) {
        return UPSTREAM_SILENT_MS;
    }
    return ms < UPSTREAM_LISTEN_MS ? ms : UPSTREAM_LISTEN_MS;
}

bool upstream_silent(struct upstream *upstream, uint64_t sent_ms)
{
    count_failure(upstream);
    if (upstream->heard_ms > sent_ms) {
        return false;
    }
    if (upstream->silent_count == 0) {
        upstream->silent_first_ms = sent_ms;
    }
    upstream->silent_count++;
    return !upstream->suspect && upstream->silent_count >= UPSTREAM_SILENT_COUNT &&
           sent_ms >= upstream->silent_first_ms + UPSTREAM_SILENT_SPAN;
}

bool upstream_refused(struct upstream *upstream)
{
    count_failure(upstream);
    return !upstream->suspect;
}

bool upstream_bad(struct upstream *upstream, uint64_t question)
{
    if (upstream->bad_count >= UPSTREAM_BAD_COUNT) {
        return !upstream->suspect;
    }
    for (unsigned i = 0; i < upstream->bad_count; i++) {
        if (upstream->bad_questions[i] == question) {
            return false;
        }
    }
    upstream->bad_questions[upstream->bad_count++] = question;
    return !upstream->suspect && upstream->bad_count == UPSTREAM_BAD_COUNT;
}

void upstream_set(struct upstream *upstream, bool suspect, const char *reason, uint64_t now_ms)
{
    upstream->suspect = suspect;
    upstream->since_ms = now_ms;
    upstream->probe_due_ms = now_ms + UPSTREAM_PROBE_MS;
    (void)snprintf(upstream->reason, sizeof(upstream->reason), "%s", reason);
}

bool upstream_probe_due(struct upstream *upstream, uint64_t now_ms)
{
    if (!upstream->suspect || now_ms < upstream->probe_due_ms) {
        return false;
    }
    upstream->probe_due_ms = now_ms + UPSTREAM_PROBE_MS;
    return true;
}

bool upstream_is_down(const struct upstream *upstream, uint64_t now_ms)
{
    return upstream->suspect && now_ms >= upstream->since_ms + UPSTREAM_DOWN_MS;
}

bool upstream_watch_due(struct upstream *upstream, uint64_t now_ms)
{
    if (now_ms < upstream->watch_due_ms) {
        return false;
    }
    upstream->watch_due_ms = now_ms + UPSTREAM_WATCH_MS;
    return true;
}
