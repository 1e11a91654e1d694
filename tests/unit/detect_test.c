#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/detect.h"

/*
 * A world in simulated time: a target with a latency and faults, and a prober
 * that wakes when the detector asks it to, as the real one does. Nothing here
 * reads a clock.
 */

#define START_MS 1000000u
#define MS       1u
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
    uint64_t sent;
    uint64_t oldest_unanswered_ms; /* sent first of those lost since the last success */
    unsigned most_open;
    unsigned downs;
    uint64_t down_at_ms;  /* the newest; 0: never */
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

static uint32_t next_random(struct world *w)
{
    w->random = w->random * 1664525u + 1013904223u;
    return w->random >> 8;
}

static uint32_t between(struct world *w, uint32_t low, uint32_t high)
{
    return low + next_random(w) % (high - low + 1);
}

static void begin(struct world *w, const struct model_timing *timing, uint32_t seed)
{
    memset(w, 0, sizeof(*w));
    w->now_ms = START_MS;
    w->random = seed * 2654435761u + 1;
    w->target.rtt_ms = 2;
    w->target.fails_at_ms = NEVER;
    w->target.heals_at_ms = NEVER;
    detect_init(&w->d, timing, seed + 1, START_MS);
}

static bool has_fault(const struct world *w, uint64_t at_ms)
{
    return at_ms >= w->target.fails_at_ms && at_ms < w->target.heals_at_ms;
}

/* A probe leaves; what will come of it is settled when it reaches the target. */
static void send_one(struct world *w)
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
    reply->at_ms =
        w->now_ms + (reply->outcome == DETECT_SILENT ? w->d.timing.timeout_ms : rtt);
    w->sent++;
    w->most_open = w->d.open_count > w->most_open ? w->d.open_count : w->most_open;
}

static uint64_t next_event_ms(const struct world *w)
{
    uint64_t next = detect_wake_ms(&w->d, w->now_ms);

    assert_true(next >= w->now_ms);
    for (unsigned i = 0; i < w->reply_count; i++) {
        next = w->replies[i].at_ms < next ? w->replies[i].at_ms : next;
    }
    return next > w->now_ms ? next : w->now_ms;
}

static void note_state(struct world *w, enum detect_state before)
{
    if (w->d.state == DETECT_DOWN && before != DETECT_DOWN) {
        w->downs++;
        w->down_at_ms = w->now_ms;
        w->silent_run_from_ms = w->d.first_failure_ms;
    }
}

static void deliver(struct world *w)
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
static void turn(struct world *w)
{
    enum detect_state before;

    w->steps++;
    deliver(w);
    before = w->d.state;
    (void)detect_tick(&w->d, w->now_ms);
    note_state(w, before);
    while (detect_is_due(&w->d, w->now_ms)) {
        send_one(w);
    }
}

static void run_until(struct world *w, uint64_t until_ms)
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
static bool run_to_state(struct world *w, enum detect_state state, bool held, uint64_t until_ms)
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

static void break_it(struct world *w, enum detect_outcome fault)
{
    w->target.fault = fault;
    w->target.fails_at_ms = w->now_ms;
    w->target.heals_at_ms = NEVER;
}

static void mend_it(struct world *w)
{
    w->target.heals_at_ms = w->now_ms;
}

/* A world whose target has been up for a while. */
static void begin_up(struct world *w, const struct model_timing *timing, uint32_t seed)
{
    begin(w, timing, seed);
    run_until(w, START_MS + 10 * timing->interval_ms);
    assert_int_equal(w->d.state, DETECT_UP);
}

/* ---- first results ---- */

/* One probe, sent now, with this result after `after_ms`. Returns "changed". */
static bool probe_once(struct world *w, enum detect_outcome outcome, uint64_t after_ms)
{
    uint32_t number = detect_sent(&w->d, w->now_ms);

    w->now_ms += after_ms;
    return detect_result(&w->d, number, outcome, w->now_ms);
}

static void the_first_result_alone_decides(void **state)
{
    static const struct {
        enum detect_outcome outcome;
        enum detect_state then;
    } cases[] = {
        { DETECT_PASS, DETECT_UP },
        { DETECT_STRONG, DETECT_DOWN },
        { DETECT_SILENT, DETECT_DOWN },
        { DETECT_NEUTRAL, DETECT_UNKNOWN },
        { DETECT_VOID, DETECT_UNKNOWN },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world w;
        begin(&w, &usual_timing, 1);
        assert_int_equal(w.d.state, DETECT_UNKNOWN);
        assert_true(detect_is_due(&w.d, w.now_ms));
        bool changed = probe_once(&w, cases[i].outcome, 500);
        assert_int_equal(w.d.state, cases[i].then);
        assert_int_equal(changed, cases[i].then != DETECT_UNKNOWN);
        assert_false(w.d.held);
    }
}

static void one_lost_packet_at_the_start_decides_nothing(void **state)
{
    struct world w;
    (void)state;

    begin(&w, &usual_timing, 1);
    send_one(&w);
    w.replies[0].outcome = DETECT_SILENT;
    w.replies[0].at_ms = w.now_ms + usual_timing.timeout_ms;
    run_until(&w, START_MS + usual_timing.timeout_ms + 1);
    assert_int_equal(w.d.state, DETECT_UP);
    assert_int_equal(w.downs, 0);
}

static void a_dead_target_is_known_after_the_first_timeout(void **state)
{
    struct world w;
    (void)state;

    begin(&w, &usual_timing, 1);
    break_it(&w, DETECT_SILENT);
    run_until(&w, START_MS + usual_timing.timeout_ms);
    assert_int_equal(w.d.state, DETECT_DOWN);
    assert_true(w.sent <= 6);
}

static void results_of_unknown_probes_are_ignored(void **state)
{
    struct world w;
    (void)state;

    begin_up(&w, &usual_timing, 1);
    for (uint32_t i = 0; i < 20; i++) {
        assert_false(detect_result(&w.d, 100000 + i, DETECT_STRONG, w.now_ms));
    }
    assert_int_equal(w.d.state, DETECT_UP);
    assert_int_equal(w.d.strong_run, 0);
}

/* ---- suspicion ---- */

static void one_failure_makes_suspect(void **state)
{
    struct model_timing timing = usual_timing;
    struct world w;
    (void)state;

    begin_up(&w, &usual_timing, 2);
    assert_true(probe_once(&w, DETECT_STRONG, 2));
    assert_int_equal(w.d.state, DETECT_SUSPECT);
    assert_true(w.d.next_send_ms <= w.d.last_sent_ms + usual_timing.confirm_interval_ms);

    /* silence does when it is a timeout old, unless it is enough for more by then */
    timing.silent_fall = 20;
    begin_up(&w, &timing, 2);
    break_it(&w, DETECT_SILENT);
    assert_true(run_to_state(&w, DETECT_SUSPECT, false, w.now_ms + 1600));
    assert_int_equal(w.now_ms, w.d.first_failure_ms + 500);
    assert_true(run_to_state(&w, DETECT_DOWN, false, w.now_ms + 600));
}

static void one_success_clears_the_suspicion(void **state)
{
    struct world w;
    (void)state;

    begin_up(&w, &usual_timing, 3);
    (void)probe_once(&w, DETECT_STRONG, 2);
    (void)probe_once(&w, DETECT_STRONG, 2);
    assert_int_equal(w.d.state, DETECT_SUSPECT);
    assert_true(probe_once(&w, DETECT_PASS, 2));
    assert_int_equal(w.d.state, DETECT_UP);
    assert_int_equal(w.d.strong_run, 0);
    /* and the pace is the usual one again */
    assert_true(w.d.next_send_ms >= w.d.last_sent_ms + 900);
    (void)probe_once(&w, DETECT_STRONG, 2);
    (void)probe_once(&w, DETECT_STRONG, 2);
    assert_int_equal(w.d.state, DETECT_SUSPECT);
    assert_true(probe_once(&w, DETECT_STRONG, 2));
    assert_int_equal(w.d.state, DETECT_DOWN);
}

static void a_success_forgives_probes_lost_before_it(void **state)
{
    struct world w;
    uint32_t lost[8];
    (void)state;

    begin_up(&w, &usual_timing, 4);
    for (unsigned i = 0; i < 8; i++) {
        lost[i] = detect_sent(&w.d, w.now_ms);
        w.now_ms += 50;
        (void)detect_tick(&w.d, w.now_ms);
    }
    (void)probe_once(&w, DETECT_PASS, 2);
    assert_int_equal(detect_silent_count(&w.d, w.now_ms + 10000), 0);
    for (unsigned i = 0; i < 8; i++) {
        assert_false(detect_result(&w.d, lost[i], DETECT_SILENT, w.now_ms));
    }
    assert_int_equal(w.d.state, DETECT_UP);
    assert_int_equal(w.d.silent_run, 0);
}

static void an_answer_that_proves_nothing_ends_the_row(void **state)
{
    struct world w;
    (void)state;

    begin_up(&w, &usual_timing, 5);
    (void)probe_once(&w, DETECT_STRONG, 2);
    (void)probe_once(&w, DETECT_STRONG, 2);
    assert_true(probe_once(&w, DETECT_NEUTRAL, 2));
    assert_int_equal(w.d.state, DETECT_UP);
    (void)probe_once(&w, DETECT_STRONG, 2);
    assert_int_equal(w.d.state, DETECT_SUSPECT);
    /* it lifts no verdict, and a target that only says so is not probed in a hurry */
    (void)probe_once(&w, DETECT_STRONG, 2);
    (void)probe_once(&w, DETECT_STRONG, 2);
    assert_int_equal(w.d.state, DETECT_DOWN);
    (void)probe_once(&w, DETECT_PASS, 2);
    assert_false(probe_once(&w, DETECT_NEUTRAL, 2));
    assert_int_equal(w.d.state, DETECT_DOWN);
    assert_int_equal(w.d.pass_run, 0);
    assert_true(w.d.next_send_ms >= w.d.last_sent_ms + 800);
}

static void trouble_of_our_own_is_no_evidence(void **state)
{
    struct world w;
    (void)state;

    begin_up(&w, &usual_timing, 6);
    for (unsigned i = 0; i < 100; i++) {
        assert_false(probe_once(&w, DETECT_VOID, 2));
    }
    assert_int_equal(w.d.state, DETECT_UP);
    (void)probe_once(&w, DETECT_STRONG, 2);
    assert_false(probe_once(&w, DETECT_VOID, 2));
    assert_int_equal(w.d.state, DETECT_SUSPECT);
    assert_int_equal(w.d.strong_run, 1);
}

/* ---- how fast a failure is known ---- */

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t longest_gap_ms(const struct model_timing *t)
{
    return ((uint64_t)t->interval_ms * (100 + t->jitter_percent) + 99) / 100;
}

/* The bounds that detect.h states. `rtt` is the longest round trip. */
static uint64_t strong_bound_ms(const struct model_timing *t, uint64_t rtt)
{
    uint64_t confirm = least(t->confirm_interval_ms, t->interval_ms);
    uint64_t more = t->fall < 2 ? 0 : most(confirm, rtt) + (t->fall - 2) * confirm;

    return longest_gap_ms(t) + rtt + more;
}

static uint64_t silent_bound_ms(const struct model_timing *t, uint64_t rtt)
{
    uint64_t confirm = least(t->confirm_interval_ms, t->interval_ms);
    uint64_t age = least(most(2 * rtt, 10), t->timeout_ms);
    uint64_t more =
        t->silent_fall < 2 ? 0 : most(confirm, age) + (t->silent_fall - 2) * confirm + age;

    return longest_gap_ms(t) + most(t->timeout_ms, more);
}

static void a_failing_target_is_down_within_the_bound_at_any_phase(void **state)
{
    uint64_t worst = 0;
    (void)state;

    for (uint32_t seed = 0; seed < 400; seed++) {
        struct world w;
        begin_up(&w, &usual_timing, seed);
        w.target.rtt_ms = seed % 51; /* up to confirm_interval the plain formula holds */
        run_until(&w, w.now_ms + 20 * SECOND + (seed * 37) % 1000);
        break_it(&w, DETECT_STRONG);
        uint64_t bound = 1100 + 2 * 50 + w.target.rtt_ms;
        assert_true(bound == strong_bound_ms(&usual_timing, w.target.rtt_ms));
        assert_true(run_to_state(&w, DETECT_DOWN, false, w.now_ms + bound + 1));
        worst = most(worst, w.now_ms - w.target.fails_at_ms);
    }
    print_message("failing: at most %ums at 400 phases\n", (unsigned)worst);
}

static void a_silent_target_is_down_within_the_bound_at_any_phase(void **state)
{
    uint64_t worst = 0;
    (void)state;

    for (uint32_t seed = 0; seed < 400; seed++) {
        struct world w;
        begin_up(&w, &usual_timing, seed);
        w.target.rtt_ms = seed % 26; /* up to confirm_interval / 2 the plain formula holds */
        run_until(&w, w.now_ms + 20 * SECOND + (seed * 37) % 1000);
        break_it(&w, DETECT_SILENT);
        uint64_t bound = 1100 + most(500, 9 * 50 + most(2 * w.target.rtt_ms, 10));
        assert_true(run_to_state(&w, DETECT_DOWN, false, w.now_ms + bound + 1));
        assert_true(w.down_at_ms >= w.silent_run_from_ms + usual_timing.timeout_ms);
        worst = most(worst, w.now_ms - w.target.fails_at_ms);
    }
    print_message("silent: at most %ums at 400 phases\n", (unsigned)worst);
}

static struct model_timing random_timing(struct world *w)
{
    static const uint32_t intervals[] = { 50, 100, 200, 500, 1000, 2000, 5000, 30000 };
    struct model_timing t = usual_timing;

    t.interval_ms = intervals[between(w, 0, 7)];
    t.confirm_interval_ms = between(w, 10, 300);
    t.timeout_ms = between(w, 20, 2000);
    t.fall = between(w, 1, 6);
    t.silent_fall = between(w, 1, 20);
    t.rise = between(w, 1, 3);
    t.jitter_percent = between(w, 0, 20);
    return t;
}

static void any_timing_keeps_its_bound(void **state)
{
    (void)state;

    for (uint32_t seed = 0; seed < 4000; seed++) {
        struct world w, dice = { .random = seed * 7919 + 13 };
        struct model_timing t = random_timing(&dice);
        begin(&w, &t, seed);
        w.target.rtt_ms = between(&dice, 0, (uint32_t)least(t.interval_ms, t.timeout_ms) / 2 - 2);
        w.target.rtt_spread_ms = between(&dice, 0, w.target.rtt_ms / 4);
        uint64_t rtt = w.target.rtt_ms + w.target.rtt_spread_ms;
        run_until(&w, START_MS + 30 * t.interval_ms + between(&dice, 0, t.interval_ms));
        assert_int_equal(w.d.state, DETECT_UP);
        break_it(&w, (seed & 1) == 0 ? DETECT_STRONG : DETECT_SILENT);
        uint64_t bound =
            (seed & 1) == 0 ? strong_bound_ms(&t, rtt) : silent_bound_ms(&t, rtt);
        if (!run_to_state(&w, DETECT_DOWN, false, w.now_ms + bound + 2)) {
            fail_msg("seed %u: not down after %ums", seed, (unsigned)bound);
        }
        if ((seed & 1) != 0) {
            assert_true(w.now_ms >= w.silent_run_from_ms + t.timeout_ms);
        }
        assert_true(w.most_open <= DETECT_OPEN_MAX);
    }
}

static void silence_told_early_still_takes_a_timeout(void **state)
{
    struct world w;
    uint64_t from;
    (void)state;

    begin_up(&w, &usual_timing, 7);
    from = w.now_ms;
    while (w.d.state != DETECT_DOWN) {
        (void)probe_once(&w, DETECT_SILENT, 0);
        w.now_ms += 20;
        (void)detect_tick(&w.d, w.now_ms);
    }
    assert_true(w.now_ms >= from + usual_timing.timeout_ms);
    assert_true(w.now_ms < from + usual_timing.timeout_ms + 60);
}

static void a_late_probe_starts_the_confirmations(void **state)
{
    struct world w;
    (void)state;

    begin_up(&w, &usual_timing, 8);
    w.target.rtt_ms = 5;
    run_until(&w, w.now_ms + 30 * SECOND);
    break_it(&w, DETECT_SILENT);
    uint64_t sent = w.sent;
    run_until(&w, w.d.next_send_ms + 220);
    /* one in time, and confirmations at 50, 100, 150 and 200 ms */
    assert_int_equal(w.sent, sent + 5);
    assert_int_equal(w.d.state, DETECT_UP); /* doubted, but nothing is proven yet */
}

/* ---- what is no failure ---- */

static void thirty_percent_loss_is_no_outage(void **state)
{
    unsigned downs = 0, seeds = 6;
    uint64_t sent = 0;
    (void)state;

    for (uint32_t seed = 0; seed < seeds; seed++) {
        struct world w;
        begin(&w, &usual_timing, seed);
        w.target.rtt_ms = 5;
        w.target.rtt_spread_ms = 10;
        w.target.loss_percent = 30;
        run_until(&w, START_MS + 24 * HOUR);
        downs += w.downs;
        sent += w.sent;
        assert_true(w.most_open <= 16);
    }
    /* 86,400 chances a day of 0.3^10: about one false verdict in two days */
    print_message("30%% loss: %u false verdicts in %u days, %.2f probes/s\n", downs, seeds,
                  (double)sent / seeds / 86400);
    assert_true(downs <= seeds);
}

static void a_slow_or_jumpy_target_is_never_suspected(void **state)
{
    struct world w;
    (void)state;

    begin_up(&w, &usual_timing, 9);
    w.target.rtt_ms = 10;
    for (unsigned i = 0; i < 200; i++) {
        w.target.rtt_ms = i % 2 == 0 ? 10 : 480;
        run_until(&w, w.now_ms + 2 * SECOND);
        assert_int_equal(w.d.state, DETECT_UP);
    }
    assert_int_equal(w.downs, 0);
}

static void probes_go_at_the_interval_with_its_jitter(void **state)
{
    (void)state;

    for (uint32_t seed = 0; seed < 50; seed++) {
        struct world w;
        uint64_t last = 0, least_gap = NEVER, most_gap = 0;
        begin_up(&w, &usual_timing, seed);
        uint64_t sent = w.sent, from = w.now_ms;
        while (w.now_ms < from + HOUR) {
            uint64_t before = w.sent;
            w.now_ms = next_event_ms(&w);
            turn(&w);
            if (w.sent != before) {
                uint64_t gap = w.now_ms - last;
                least_gap = last == 0 ? least_gap : least(gap, least_gap);
                most_gap = last == 0 ? most_gap : most(gap, most_gap);
                last = w.now_ms;
            }
        }
        assert_in_range(least_gap, 900, 910);
        assert_in_range(most_gap, 1090, 1100);
        assert_in_range(w.sent - sent, 3550, 3650);
        assert_int_equal(w.most_open, 1);
    }
}

static void targets_that_start_together_do_not_go_in_step(void **state)
{
    unsigned per_tenth[10] = { 0 };
    (void)state;

    for (uint32_t seed = 0; seed < 1000; seed++) {
        struct world w;
        begin(&w, &usual_timing, seed * 31);
        run_until(&w, START_MS + w.target.rtt_ms);
        assert_int_equal(w.d.state, DETECT_UP);
        uint64_t due = w.d.next_send_ms - START_MS;
        assert_true(due <= 1000);
        per_tenth[due * 10 / 1001]++;
    }
    for (unsigned i = 0; i < 10; i++) {
        assert_in_range(per_tenth[i], 60, 150);
    }
}

/* ---- coming back ---- */

static void begin_down(struct world *w, const struct model_timing *timing, uint32_t seed)
{
    begin_up(w, timing, seed);
    break_it(w, DETECT_STRONG);
    assert_true(run_to_state(w, DETECT_DOWN, false, w->now_ms + 2 * SECOND));
}

static void recovery_is_seen_within_a_second_and_a_rise(void **state)
{
    struct model_timing slow = usual_timing;
    (void)state;

    slow.interval_ms = 60000; /* yet a path that was cut is probed each second */
    slow.confirm_interval_ms = 3000;
    for (uint32_t seed = 0; seed < 300; seed++) {
        struct world w;
        const struct model_timing *t = seed % 2 == 0 ? &usual_timing : &slow;
        begin_up(&w, t, seed);
        break_it(&w, seed % 3 == 0 ? DETECT_SILENT : DETECT_STRONG);
        assert_true(run_to_state(&w, DETECT_DOWN, false, w.now_ms + 4 * MINUTE));
        run_until(&w, w.now_ms + 7 * SECOND + seed * 17);
        mend_it(&w);
        uint64_t bound = 1000 + least(t->confirm_interval_ms, 1000) * (t->rise - 1) + 10;
        assert_true(run_to_state(&w, DETECT_DOWN, true, w.now_ms + bound));
    }
}

static void a_target_that_came_back_waits_out_its_hold_down(void **state)
{
    struct world w;
    (void)state;

    begin_down(&w, &usual_timing, 10);
    mend_it(&w);
    assert_true(run_to_state(&w, DETECT_DOWN, true, w.now_ms + 2 * SECOND));
    assert_string_equal(detect_state_name(&w.d), "held");
    uint64_t from = w.now_ms;
    assert_true(run_to_state(&w, DETECT_UP, false, from + 11 * SECOND));
    assert_int_equal(w.now_ms, from + 10 * SECOND);
}

static void no_hold_down_means_none(void **state)
{
    struct model_timing timing = usual_timing;
    struct world w;
    (void)state;

    timing.hold_down_ms = 0;
    begin_down(&w, &timing, 11);
    mend_it(&w);
    assert_true(run_to_state(&w, DETECT_UP, false, w.now_ms + 1100));
}

/* Fall and come back once; returns the hold_down that was kept. */
static uint64_t flap(struct world *w)
{
    break_it(w, DETECT_STRONG);
    assert_true(run_to_state(w, DETECT_DOWN, false, w->now_ms + 2 * SECOND));
    mend_it(w);
    assert_true(run_to_state(w, DETECT_DOWN, true, w->now_ms + 2 * SECOND));
    uint64_t from = w->now_ms;
    assert_true(run_to_state(w, DETECT_UP, false, w->now_ms + HOUR));
    return w->now_ms - from;
}

static void hold_down_doubles_with_each_flap_and_halves_with_quiet(void **state)
{
    static const struct {
        uint64_t quiet_ms;
        uint64_t hold_ms;
    } steps[] = {
        { 0, 10000 },          { MINUTE, 20000 },      { MINUTE, 40000 },
        { MINUTE, 80000 },     { MINUTE, 160000 },     { MINUTE, 300000 },
        { MINUTE, 300000 },    { 6 * MINUTE, 300000 }, { 11 * MINUTE, 150000 },
        { 16 * MINUTE, 37500 * 2 / 2 }, { 4 * HOUR, 10000 },   { MINUTE, 20000 },
    };
    struct world w;
    (void)state;

    begin_up(&w, &usual_timing, 12);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        run_until(&w, w.now_ms + steps[i].quiet_ms);
        assert_int_equal(flap(&w), steps[i].hold_ms);
    }
}

static void a_failure_in_hold_down_ends_it(void **state)
{
    struct world w;
    (void)state;

    begin_down(&w, &usual_timing, 13);
    mend_it(&w);
    assert_true(run_to_state(&w, DETECT_DOWN, true, w.now_ms + 2 * SECOND));
    run_until(&w, w.now_ms + 4 * SECOND);
    assert_true(probe_once(&w, DETECT_STRONG, 1));
    assert_int_equal(w.d.state, DETECT_DOWN);
    assert_false(w.d.held);
    /* it must rise again and wait again, as long as before */
    assert_true(run_to_state(&w, DETECT_DOWN, true, w.now_ms + 2 * SECOND));
    uint64_t from = w.now_ms;
    assert_true(run_to_state(&w, DETECT_UP, false, w.now_ms + 12 * SECOND));
    assert_int_equal(w.now_ms, from + 10 * SECOND);
}

static void a_lost_probe_in_hold_down_does_not_end_it(void **state)
{
    struct world w;
    (void)state;

    begin_down(&w, &usual_timing, 14);
    mend_it(&w);
    assert_true(run_to_state(&w, DETECT_DOWN, true, w.now_ms + 2 * SECOND));
    uint64_t from = w.now_ms;
    run_until(&w, w.now_ms + 4 * SECOND);
    send_one(&w);
    w.replies[w.reply_count - 1].outcome = DETECT_SILENT;
    w.replies[w.reply_count - 1].at_ms = w.now_ms + 500;
    assert_true(run_to_state(&w, DETECT_UP, false, from + 12 * SECOND));
    assert_int_equal(w.now_ms, from + 10 * SECOND);
}

static void silence_in_hold_down_ends_it_before_it_is_over(void **state)
{
    (void)state;

    for (uint32_t seed = 0; seed < 200; seed++) {
        struct world w;
        begin_down(&w, &usual_timing, seed);
        mend_it(&w);
        assert_true(run_to_state(&w, DETECT_DOWN, true, w.now_ms + 2 * SECOND));
        uint64_t hold_until = w.d.hold_until_ms;
        run_until(&w, hold_until - 1 - seed * 8); /* up to 1.6 s before its end */
        break_it(&w, DETECT_SILENT);
        while (w.now_ms < hold_until + MINUTE && w.d.state == DETECT_DOWN) {
            w.now_ms = next_event_ms(&w);
            turn(&w);
        }
        /* only when no probe of the dead target was late yet may it have come up */
        if (w.d.state == DETECT_UP) {
            assert_int_equal(w.now_ms, hold_until);
            assert_true(hold_until - w.target.fails_at_ms <= 1100 + 10);
            assert_true(run_to_state(&w, DETECT_DOWN, false, w.now_ms + 1700));
        }
        assert_false(w.d.held);
    }
}

static void probing_goes_on_while_down(void **state)
{
    (void)state;

    for (uint32_t seed = 0; seed < 20; seed++) {
        struct model_timing timing = usual_timing;
        struct world w;
        timing.interval_ms = seed % 2 == 0 ? 1000 : 30000;
        timing.timeout_ms = seed % 4 < 2 ? 500 : 30000;
        begin_up(&w, &timing, seed);
        break_it(&w, DETECT_SILENT);
        assert_true(run_to_state(&w, DETECT_DOWN, false, w.now_ms + 2 * MINUTE));
        run_until(&w, w.now_ms + MINUTE);
        uint64_t sent = w.sent;
        run_until(&w, w.now_ms + 10 * MINUTE);
        /* each second; with so long a timeout as often as probes in flight allow */
        assert_in_range(w.sent - sent, seed % 4 < 2 ? 600 : 570, 760);
        assert_true(w.most_open <= DETECT_OPEN_MAX);
    }
}

static void a_long_timeout_leaves_room_for_the_probe_that_finds_it_back(void **state)
{
    struct model_timing timing = usual_timing;
    struct world w;
    (void)state;

    timing.timeout_ms = 10000;
    begin_up(&w, &timing, 15);
    break_it(&w, DETECT_SILENT);
    run_until(&w, w.now_ms + 5 * SECOND);
    assert_int_equal(w.d.state, DETECT_UP);
    assert_true(w.most_open >= timing.silent_fall);
    mend_it(&w);
    run_until(&w, w.now_ms + 1 * SECOND);
    assert_int_equal(detect_silent_count(&w.d, w.now_ms), 0);
    run_until(&w, w.now_ms + MINUTE);
    assert_int_equal(w.downs, 0);
}

static void absolving_lifts_a_verdict_at_once_and_is_no_flap(void **state)
{
    struct world w;
    (void)state;

    begin_down(&w, &usual_timing, 16);
    mend_it(&w);
    detect_absolve(&w.d, w.now_ms);
    assert_int_equal(w.d.state, DETECT_UP);
    assert_int_equal(w.d.strong_run, 0);
    run_until(&w, w.now_ms + 10 * SECOND);
    assert_int_equal(w.d.state, DETECT_UP);
    assert_int_equal(flap(&w), 10000);
}

/* ---- TTLs of suspicion ---- */

static void suspicion_shortens_ttls_for_a_minute_and_not_again_for_five(void **state)
{
    struct world w;
    (void)state;

    begin_up(&w, &usual_timing, 17);
    assert_false(detect_is_short_ttl(&w.d, w.now_ms));
    (void)probe_once(&w, DETECT_STRONG, 1);
    uint64_t from = w.now_ms;
    assert_true(detect_is_short_ttl(&w.d, from));
    assert_true(detect_is_short_ttl(&w.d, from + 59999));
    assert_false(detect_is_short_ttl(&w.d, from + 60000));
    (void)probe_once(&w, DETECT_PASS, 1);
    assert_false(detect_is_short_ttl(&w.d, w.now_ms));
    uint64_t end = w.now_ms;

    w.now_ms = end + 5 * MINUTE - 10;
    (void)probe_once(&w, DETECT_STRONG, 1);
    assert_int_equal(w.d.state, DETECT_SUSPECT);
    assert_false(detect_is_short_ttl(&w.d, w.now_ms));
    (void)probe_once(&w, DETECT_PASS, 1);
    w.now_ms = end + 5 * MINUTE + 10;
    (void)probe_once(&w, DETECT_STRONG, 1);
    assert_true(detect_is_short_ttl(&w.d, w.now_ms));
}

static void the_unknown_shortens_ttls_for_a_minute(void **state)
{
    struct world w;
    (void)state;

    begin(&w, &usual_timing, 18);
    assert_true(detect_is_short_ttl(&w.d, START_MS));
    assert_true(detect_is_short_ttl(&w.d, START_MS + 59999));
    assert_false(detect_is_short_ttl(&w.d, START_MS + 60000));
    (void)probe_once(&w, DETECT_PASS, 1);
    assert_false(detect_is_short_ttl(&w.d, w.now_ms));
}

/* ---- leaps of time ---- */

/* Nobody calls for `ms`; then the answers that came are taken, the rest gets its timeout. */
static void stand_still(struct world *w, uint64_t ms)
{
    uint64_t asleep = w->now_ms;

    w->now_ms += ms;
    for (unsigned i = 0; i < w->reply_count; i++) {
        struct reply *reply = &w->replies[i];
        if (reply->outcome == DETECT_SILENT && reply->at_ms > asleep) {
            reply->at_ms += ms; /* as the prober does: a stall is not held against a probe */
        }
    }
}

static void a_leap_of_time_condemns_nobody(void **state)
{
    static const uint64_t leaps[] = { 200, SECOND, 5 * SECOND, MINUTE, HOUR };
    (void)state;

    for (uint32_t seed = 0; seed < 500; seed++) {
        struct world w;
        begin_up(&w, &usual_timing, seed);
        w.target.rtt_ms = 40;
        w.target.loss_percent = 30; /* so that confirmations are often in flight */
        for (unsigned i = 0; i < 20; i++) {
            run_until(&w, w.now_ms + between(&w, 0, 3000));
            stand_still(&w, leaps[between(&w, 0, 4)]);
            if (seed % 2 == 0) {
                turn(&w);
            } else if (detect_is_due(&w.d, w.now_ms)) {
                send_one(&w); /* whatever is told first */
            }
        }
        if (w.downs > 0) {
            fail_msg("seed %u: condemned", seed);
        }
    }
}

static void probes_in_flight_over_a_leap_are_not_old(void **state)
{
    struct world w;
    (void)state;

    begin_up(&w, &usual_timing, 19);
    w.now_ms = w.d.next_send_ms;
    for (unsigned i = 0; i < 12; i++) {
        (void)detect_sent(&w.d, w.now_ms);
    }
    w.now_ms += HOUR;
    assert_false(detect_tick(&w.d, w.now_ms));
    assert_int_equal(w.d.state, DETECT_UP);
    /* that there is no answer now is held against them from now on */
    for (unsigned i = 0; i < 60 && w.d.state != DETECT_DOWN; i++) {
        w.now_ms += 10;
        (void)detect_tick(&w.d, w.now_ms);
    }
    assert_int_equal(w.d.state, DETECT_DOWN);
}

static void a_leap_does_not_pass_for_hold_down(void **state)
{
    struct world w;
    (void)state;

    begin_down(&w, &usual_timing, 20);
    mend_it(&w);
    assert_true(run_to_state(&w, DETECT_DOWN, true, w.now_ms + 2 * SECOND));
    run_until(&w, w.now_ms + 3 * SECOND);
    uint64_t left = w.d.hold_until_ms - w.now_ms;
    stand_still(&w, HOUR);
    turn(&w);
    assert_true(w.d.held);
    assert_in_range(w.d.hold_until_ms - w.now_ms, left - 1100, left);
}

static void a_leap_of_latency_is_soon_forgotten(void **state)
{
    struct world w;
    (void)state;

    begin_up(&w, &usual_timing, 21);
    uint32_t number = detect_sent(&w.d, w.now_ms);
    w.now_ms += HOUR;
    (void)detect_result(&w.d, number, DETECT_PASS, w.now_ms);
    assert_true(w.d.usual_us < 200000);
}

static void a_loop_that_is_always_late_still_finds_what_is_dead(void **state)
{
    struct world w;
    (void)state;

    begin_up(&w, &usual_timing, 22);
    break_it(&w, DETECT_SILENT);
    uint64_t from = w.now_ms;
    while (w.d.state != DETECT_DOWN && w.now_ms < from + MINUTE) {
        w.now_ms = next_event_ms(&w) + 250;
        turn(&w);
    }
    assert_int_equal(w.d.state, DETECT_DOWN);
    assert_true(w.now_ms <= from + 10 * SECOND);
}

/* ---- the cost of waiting ---- */

static void waking_never_spins(void **state)
{
    static const enum detect_outcome faults[] = { DETECT_STRONG, DETECT_SILENT, DETECT_NEUTRAL,
                                                  DETECT_VOID };
    (void)state;

    for (uint32_t seed = 0; seed < 300; seed++) {
        struct world w, dice = { .random = seed * 104729 + 7 };
        struct model_timing t = seed < 4 ? usual_timing : random_timing(&dice);
        begin(&w, &t, seed);
        w.target.rtt_ms = between(&dice, 0, t.timeout_ms + 20);
        w.target.loss_percent = between(&dice, 0, 3) * 30;
        w.target.fault = faults[seed % 4];
        w.target.fails_at_ms = START_MS + between(&dice, 0, 20) * MINUTE;
        w.target.heals_at_ms = w.target.fails_at_ms + between(&dice, 0, 40) * MINUTE;
        run_until(&w, START_MS + HOUR);
        assert_true(w.most_open <= DETECT_OPEN_MAX);
        /* each probe makes a few turns: sent, aged, timed out, answered */
        if (w.steps > 5 * w.sent + 1000) {
            fail_msg("seed %u: %u turns for %u probes", seed, (unsigned)w.steps,
                     (unsigned)w.sent);
        }
        /* and there is never more than one probe in the shorter of the two gaps */
        uint64_t gap = least(t.confirm_interval_ms, t.interval_ms * (100 - t.jitter_percent) / 100);
        if (w.sent > HOUR / gap + 10) {
            fail_msg("seed %u: %u probes", seed, (unsigned)w.sent);
        }
    }
}

static void an_hour_of_health_takes_few_turns(void **state)
{
    struct world w;
    (void)state;

    begin_up(&w, &usual_timing, 23);
    uint64_t steps = w.steps;
    run_until(&w, w.now_ms + HOUR);
    assert_true(w.steps - steps <= 2 * 3700); /* one to send and one to take the answer */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_result_alone_decides),
        cmocka_unit_test(one_lost_packet_at_the_start_decides_nothing),
        cmocka_unit_test(a_dead_target_is_known_after_the_first_timeout),
        cmocka_unit_test(results_of_unknown_probes_are_ignored),
        cmocka_unit_test(one_failure_makes_suspect),
        cmocka_unit_test(one_success_clears_the_suspicion),
        cmocka_unit_test(a_success_forgives_probes_lost_before_it),
        cmocka_unit_test(an_answer_that_proves_nothing_ends_the_row),
        cmocka_unit_test(trouble_of_our_own_is_no_evidence),
        cmocka_unit_test(a_failing_target_is_down_within_the_bound_at_any_phase),
        cmocka_unit_test(a_silent_target_is_down_within_the_bound_at_any_phase),
        cmocka_unit_test(any_timing_keeps_its_bound),
        cmocka_unit_test(silence_told_early_still_takes_a_timeout),
        cmocka_unit_test(a_late_probe_starts_the_confirmations),
        cmocka_unit_test(thirty_percent_loss_is_no_outage),
        cmocka_unit_test(a_slow_or_jumpy_target_is_never_suspected),
        cmocka_unit_test(probes_go_at_the_interval_with_its_jitter),
        cmocka_unit_test(targets_that_start_together_do_not_go_in_step),
        cmocka_unit_test(recovery_is_seen_within_a_second_and_a_rise),
        cmocka_unit_test(a_target_that_came_back_waits_out_its_hold_down),
        cmocka_unit_test(no_hold_down_means_none),
        cmocka_unit_test(hold_down_doubles_with_each_flap_and_halves_with_quiet),
        cmocka_unit_test(a_failure_in_hold_down_ends_it),
        cmocka_unit_test(a_lost_probe_in_hold_down_does_not_end_it),
        cmocka_unit_test(silence_in_hold_down_ends_it_before_it_is_over),
        cmocka_unit_test(probing_goes_on_while_down),
        cmocka_unit_test(a_long_timeout_leaves_room_for_the_probe_that_finds_it_back),
        cmocka_unit_test(absolving_lifts_a_verdict_at_once_and_is_no_flap),
        cmocka_unit_test(suspicion_shortens_ttls_for_a_minute_and_not_again_for_five),
        cmocka_unit_test(the_unknown_shortens_ttls_for_a_minute),
        cmocka_unit_test(a_leap_of_time_condemns_nobody),
        cmocka_unit_test(probes_in_flight_over_a_leap_are_not_old),
        cmocka_unit_test(a_leap_does_not_pass_for_hold_down),
        cmocka_unit_test(a_leap_of_latency_is_soon_forgotten),
        cmocka_unit_test(a_loop_that_is_always_late_still_finds_what_is_dead),
        cmocka_unit_test(waking_never_spins),
        cmocka_unit_test(an_hour_of_health_takes_few_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
