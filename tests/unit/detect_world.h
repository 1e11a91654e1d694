#pragma once
/*
 * detect_world - a target and a prober in simulated time
 *
 * The target has a latency and faults; the prober wakes when the detector asks
 * it to, as the real one does. Nothing here reads a clock. cmocka is included
 * before.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "policy/detect.h"

#define START_MS 1000000u
#define SECOND   1000u
#define MINUTE   60000u
#define HOUR     3600000u
#define NEVER    UINT64_MAX

struct reply {
    uint32_t number;
    uint64_t at_ms;
    enum detect_outcome outcome;
};

struct target {
    uint32_t rtt_ms;
    uint32_t rtt_spread_ms; /* added at random */
    uint32_t loss_percent;
    uint64_t fails_at_ms; /* NEVER: it does not */
    uint64_t heals_at_ms;
    enum detect_outcome fault; /* DETECT_STRONG or DETECT_SILENT */
};

struct world {
    struct detect d;
    struct target target;
    struct reply replies[DETECT_OPEN_MAX];
    unsigned reply_count;
    uint64_t now_ms;
    uint32_t random;
    uint64_t steps;
    uint64_t last_step_ms;
    unsigned steps_at_once; /* without time passing */
    uint64_t sent;
    unsigned most_open;
    unsigned downs;
    uint64_t down_at_ms; /* the newest; 0: never */
    uint64_t silent_run_from_ms;
};

static const struct model_timing usual_timing = {
    .interval_ms = 1000,
    .timeout_ms = 500,
    .confirm_interval_ms = 50,
    .fall = 3,
    .silent_fall = 10,
    .rise = 2,
    .hold_down_ms = 10000,
    .hold_down_max_ms = 300000,
    .jitter_percent = 10,
};

static inline uint32_t next_random(struct world *w)
{
    w->random = w->random * 1664525u + 1013904223u;
    return w->random >> 8;
}

static inline uint32_t between(struct world *w, uint32_t low, uint32_t high)
{
    return low + next_random(w) % (high - low + 1);
}

static inline void end(struct world *w)
{
    detect_fini(&w->d);
}

/* A zeroed world, or one that began before. */
static inline void begin(struct world *w, const struct model_timing *timing, uint32_t seed)
{
    end(w);
    memset(w, 0, sizeof(*w));
    w->now_ms = START_MS;
    w->random = seed * 2654435761u + 1;
    w->target.rtt_ms = 2;
    w->target.fails_at_ms = NEVER;
    w->target.heals_at_ms = NEVER;
    detect_init(&w->d, timing, seed + 1, START_MS);
}

static inline bool has_fault(const struct world *w, uint64_t at_ms)
{
    return at_ms >= w->target.fails_at_ms && at_ms < w->target.heals_at_ms;
}

/* A probe leaves; what will come of it is settled when it reaches the target. */
static inline void send_one(struct world *w)
{
    uint32_t rtt = w->target.rtt_ms +
                   (w->target.rtt_spread_ms == 0 ? 0 : between(w, 0, w->target.rtt_spread_ms));
    struct reply *reply = &w->replies[w->reply_count++];

    reply->number = detect_sent(&w->d, w->now_ms);
    reply->outcome = DETECT_PASS;
    if (has_fault(w, w->now_ms + rtt / 2)) {
        reply->outcome = w->target.fault;
    }
    if (next_random(w) % 100 < w->target.loss_percent || rtt >= w->d.timing.timeout_ms) {
        reply->outcome = DETECT_SILENT;
    }
    reply->at_ms = w->now_ms + (reply->outcome == DETECT_SILENT ? w->d.timing.timeout_ms : rtt);
    w->sent++;
    w->most_open = w->d.open_count > w->most_open ? w->d.open_count : w->most_open;
}

static inline uint64_t next_event_ms(const struct world *w)
{
    uint64_t next = detect_wake_ms(&w->d, w->now_ms);

    assert_true(next >= w->now_ms);
    for (unsigned i = 0; i < w->reply_count; i++) {
        next = w->replies[i].at_ms < next ? w->replies[i].at_ms : next;
    }
    return next > w->now_ms ? next : w->now_ms;
}

static inline void note_state(struct world *w, enum detect_state before)
{
    if (w->d.state == DETECT_DOWN && before != DETECT_DOWN) {
        w->downs++;
        w->down_at_ms = w->now_ms;
        w->silent_run_from_ms = w->d.first_failure_ms;
    }
}

static inline void deliver(struct world *w)
{
    for (unsigned i = 0; i < w->reply_count;) {
        struct reply reply = w->replies[i];
        enum detect_state before = w->d.state;
        if (reply.at_ms > w->now_ms) {
            i++;
            continue;
        }
        w->replies[i] = w->replies[--w->reply_count];
        (void)detect_result(&w->d, reply.number, reply.outcome, w->now_ms);
        note_state(w, before);
    }
}

/* One turn of the prober at `now_ms`. */
static inline void turn(struct world *w)
{
    enum detect_state before;

    w->steps++;
    w->steps_at_once = w->now_ms == w->last_step_ms ? w->steps_at_once + 1 : 0;
    w->last_step_ms = w->now_ms;
    assert_true(w->steps_at_once < 50); /* it spins */
    deliver(w);
    before = w->d.state;
    (void)detect_tick(&w->d, w->now_ms);
    note_state(w, before);
    while (detect_is_due(&w->d, w->now_ms)) {
        send_one(w);
    }
}

static inline void run_until(struct world *w, uint64_t until_ms)
{
    for (;;) {
        uint64_t next = next_event_ms(w);
        if (next > until_ms) {
            w->now_ms = until_ms;
            return;
        }
        w->now_ms = next;
        turn(w);
    }
}

/* Run until the state is reached; false when it is not by `until_ms`. */
static inline bool run_to_state(struct world *w, enum detect_state state, bool held,
                                uint64_t until_ms)
{
    while (w->d.state != state || w->d.held != held) {
        uint64_t next = next_event_ms(w);
        if (next > until_ms) {
            w->now_ms = until_ms;
            return false;
        }
        w->now_ms = next;
        turn(w);
    }
    return true;
}

static inline void break_it(struct world *w, enum detect_outcome fault)
{
    w->target.fault = fault;
    w->target.fails_at_ms = w->now_ms;
    w->target.heals_at_ms = NEVER;
}

static inline void mend_it(struct world *w)
{
    w->target.heals_at_ms = w->now_ms;
}

/* A world whose target has been up for a while. */
static inline void begin_up(struct world *w, const struct model_timing *timing, uint32_t seed)
{
    begin(w, timing, seed);
    run_until(w, START_MS + 10 * timing->interval_ms);
    assert_int_equal(w->d.state, DETECT_UP);
}

/* One probe, sent now, with this result after `after_ms`. Returns "changed". */
static inline bool probe_once(struct world *w, enum detect_outcome outcome, uint64_t after_ms)
{
    uint32_t number = detect_sent(&w->d, w->now_ms);

    w->now_ms += after_ms;
    return detect_result(&w->d, number, outcome, w->now_ms);
}

static inline void begin_down(struct world *w, const struct model_timing *timing, uint32_t seed)
{
    begin_up(w, timing, seed);
    break_it(w, DETECT_STRONG);
    assert_true(run_to_state(w, DETECT_DOWN, false, w->now_ms + 2 * SECOND));
}

static inline uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}
