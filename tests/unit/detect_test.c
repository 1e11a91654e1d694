#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/detect_world.h"

/* ---- first results ---- */

static void the_first_result_alone_decides(void **state)
{
    static const struct {
        enum detect_outcome outcome;
        enum detect_state then;
    } cases[] = {
        { DETECT_PASS, DETECT_UP },      { DETECT_STRONG, DETECT_DOWN },
        { DETECT_SILENT, DETECT_DOWN },  { DETECT_NEUTRAL, DETECT_UNKNOWN },
        { DETECT_VOID, DETECT_UNKNOWN },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        __attribute__((cleanup(end))) struct world w = { 0 };
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
    __attribute__((cleanup(end))) struct world w = { 0 };
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
    __attribute__((cleanup(end))) struct world w = { 0 };
    (void)state;

    begin(&w, &usual_timing, 1);
    break_it(&w, DETECT_SILENT);
    run_until(&w, START_MS + usual_timing.timeout_ms);
    assert_int_equal(w.d.state, DETECT_DOWN);
    assert_true(w.sent <= 6);
}

static void results_of_unknown_probes_are_ignored(void **state)
{
    __attribute__((cleanup(end))) struct world w = { 0 };
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
    __attribute__((cleanup(end))) struct world w = { 0 };
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
    __attribute__((cleanup(end))) struct world w = { 0 };
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
    __attribute__((cleanup(end))) struct world w = { 0 };
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
    __attribute__((cleanup(end))) struct world w = { 0 };
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
    __attribute__((cleanup(end))) struct world w = { 0 };
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

/* ---- coming back ---- */

static void recovery_is_seen_within_a_second_and_a_rise(void **state)
{
    struct model_timing slow = usual_timing;
    (void)state;

    slow.interval_ms = 60000; /* yet a path that was cut is probed each second */
    slow.confirm_interval_ms = 3000;
    for (uint32_t seed = 0; seed < 300; seed++) {
        __attribute__((cleanup(end))) struct world w = { 0 };
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
    __attribute__((cleanup(end))) struct world w = { 0 };
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
    __attribute__((cleanup(end))) struct world w = { 0 };
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
        { 0, 10000 },           { MINUTE, 20000 },      { MINUTE, 40000 },
        { MINUTE, 80000 },      { MINUTE, 160000 },     { MINUTE, 300000 },
        { MINUTE, 300000 },     { 6 * MINUTE, 300000 }, { 11 * MINUTE, 150000 },
        { 16 * MINUTE, 37500 }, { 4 * HOUR, 10000 },    { MINUTE, 20000 },
    };
    __attribute__((cleanup(end))) struct world w = { 0 };
    (void)state;

    begin_up(&w, &usual_timing, 12);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        run_until(&w, w.now_ms + steps[i].quiet_ms);
        assert_int_equal(flap(&w), steps[i].hold_ms);
    }
}

static void a_failure_in_hold_down_ends_it(void **state)
{
    __attribute__((cleanup(end))) struct world w = { 0 };
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
    __attribute__((cleanup(end))) struct world w = { 0 };
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
        __attribute__((cleanup(end))) struct world w = { 0 };
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
        __attribute__((cleanup(end))) struct world w = { 0 };
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
    __attribute__((cleanup(end))) struct world w = { 0 };
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
    __attribute__((cleanup(end))) struct world w = { 0 };
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
    __attribute__((cleanup(end))) struct world w = { 0 };
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
    __attribute__((cleanup(end))) struct world w = { 0 };
    (void)state;

    begin(&w, &usual_timing, 18);
    assert_true(detect_is_short_ttl(&w.d, START_MS));
    assert_true(detect_is_short_ttl(&w.d, START_MS + 59999));
    assert_false(detect_is_short_ttl(&w.d, START_MS + 60000));
    (void)probe_once(&w, DETECT_PASS, 1);
    assert_false(detect_is_short_ttl(&w.d, w.now_ms));
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
