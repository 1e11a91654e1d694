#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/detect_world.h"

/* ---- how fast a failure is known ---- */

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
        __attribute__((cleanup(end))) struct world w = { 0 };
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
        __attribute__((cleanup(end))) struct world w = { 0 };
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
        __attribute__((cleanup(end))) struct world w = { 0 };
        struct world dice = { .random = seed * 7919 + 13 };
        struct model_timing t = random_timing(&dice);
        begin(&w, &t, seed);
        w.target.rtt_ms = between(&dice, 0, (uint32_t)least(t.interval_ms, t.timeout_ms) / 2 - 2);
        w.target.rtt_spread_ms = between(&dice, 0, w.target.rtt_ms / 4);
        uint64_t rtt = w.target.rtt_ms + w.target.rtt_spread_ms;
        run_until(&w, START_MS + 30 * t.interval_ms + between(&dice, 0, t.interval_ms));
        assert_int_equal(w.d.state, DETECT_UP);
        break_it(&w, (seed & 1) == 0 ? DETECT_STRONG : DETECT_SILENT);
        uint64_t bound = (seed & 1) == 0 ? strong_bound_ms(&t, rtt) : silent_bound_ms(&t, rtt);
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
    __attribute__((cleanup(end))) struct world w = { 0 };
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
    __attribute__((cleanup(end))) struct world w = { 0 };
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
        __attribute__((cleanup(end))) struct world w = { 0 };
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
    __attribute__((cleanup(end))) struct world w = { 0 };
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
        __attribute__((cleanup(end))) struct world w = { 0 };
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
        __attribute__((cleanup(end))) struct world w = { 0 };
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
        __attribute__((cleanup(end))) struct world w = { 0 };
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
    __attribute__((cleanup(end))) struct world w = { 0 };
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
    __attribute__((cleanup(end))) struct world w = { 0 };
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
    __attribute__((cleanup(end))) struct world w = { 0 };
    (void)state;

    begin_up(&w, &usual_timing, 21);
    uint32_t number = detect_sent(&w.d, w.now_ms);
    w.now_ms += HOUR;
    (void)detect_result(&w.d, number, DETECT_PASS, w.now_ms);
    assert_true(w.d.usual_us < 200000);
}

static void a_loop_that_is_always_late_still_finds_what_is_dead(void **state)
{
    __attribute__((cleanup(end))) struct world w = { 0 };
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
        __attribute__((cleanup(end))) struct world w = { 0 };
        struct world dice = { .random = seed * 104729 + 7 };
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
            fail_msg("seed %u: %u turns for %u probes", seed, (unsigned)w.steps, (unsigned)w.sent);
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
    __attribute__((cleanup(end))) struct world w = { 0 };
    (void)state;

    begin_up(&w, &usual_timing, 23);
    uint64_t steps = w.steps;
    run_until(&w, w.now_ms + HOUR);
    assert_true(w.steps - steps <= 2 * 3700); /* one to send and one to take the answer */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failing_target_is_down_within_the_bound_at_any_phase),
        cmocka_unit_test(a_silent_target_is_down_within_the_bound_at_any_phase),
        cmocka_unit_test(any_timing_keeps_its_bound),
        cmocka_unit_test(silence_told_early_still_takes_a_timeout),
        cmocka_unit_test(a_late_probe_starts_the_confirmations),
        cmocka_unit_test(thirty_percent_loss_is_no_outage),
        cmocka_unit_test(a_slow_or_jumpy_target_is_never_suspected),
        cmocka_unit_test(probes_go_at_the_interval_with_its_jitter),
        cmocka_unit_test(targets_that_start_together_do_not_go_in_step),
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
