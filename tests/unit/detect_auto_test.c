/*
 * `fall: auto`: what a target is known to lose decides how much condemns it.
 * Longer times, and a table, are bench-detect-days'.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/detect_world.h"

#define DAY (24ull * HOUR)

static struct model_timing auto_timing(void)
{
    struct model_timing timing = usual_timing;

    timing.fall_auto = true;
    timing.false_alarm_ms = 30 * DAY;
    return timing;
}

static void a_target_without_loss_is_down_within_the_usual_bounds(void **state)
{
    const struct model_timing timing = auto_timing();
    (void)state;

    for (uint32_t seed = 0; seed < 400; seed++) {
        __attribute__((cleanup(end))) struct world w = { 0 };
        bool silent = seed % 2 == 0;
        begin_up(&w, &timing, seed);
        w.target.rtt_ms = seed % 60;
        run_until(&w, w.now_ms + 20 * SECOND + (seed * 37) % 1000);
        break_it(&w, silent ? DETECT_SILENT : DETECT_STRONG);
        uint64_t bound = detect_worst_ms(&timing, silent, w.target.rtt_ms);
        assert_true(run_to_state(&w, DETECT_DOWN, false, w.now_ms + bound + 1));
        assert_int_equal(w.d.silently, silent);
        assert_true(!silent || w.now_ms >= w.silent_run_from_ms + timing.timeout_ms);
    }
}

static void the_bounds_are_those_of_the_old_formulas(void **state)
{
    struct model_timing timing = auto_timing();
    (void)state;

    assert_int_equal(detect_worst_ms(&timing, false, 0), 1100 + 2 * 50);
    assert_int_equal(detect_worst_ms(&timing, false, 20), 1100 + 2 * 50 + 20);
    assert_int_equal(detect_worst_ms(&timing, false, 80), 1100 + 80 + 80 + 50);
    assert_int_equal(detect_worst_ms(&timing, true, 0), 1100 + 500);
    assert_int_equal(detect_worst_ms(&timing, true, 100), 1100 + 200 + 8 * 50 + 200);
    assert_true(detect_worst_lossy_ms(&timing, true, 0) > 1100 + 20 * 50);
    timing.silent_fall = 1;
    timing.timeout_ms = 10;
    assert_int_equal(detect_worst_ms(&timing, true, 0), 1100 + 50 + 10); /* two, not one */
    timing = auto_timing();
    timing.fall_auto = false;
    assert_int_equal(detect_worst_lossy_ms(&timing, true, 0), 1100 + 500);
    timing.fall = 1;
    assert_int_equal(detect_worst_ms(&timing, false, 20), 1100 + 20);
}

static void thirty_percent_loss_is_no_outage(void **state)
{
    const struct model_timing timing = auto_timing();
    unsigned downs = 0, days = 6;
    (void)state;

    for (uint32_t seed = 0; seed < days; seed++) {
        __attribute__((cleanup(end))) struct world w = { 0 };
        begin(&w, &timing, seed);
        w.target.rtt_ms = 5;
        w.target.rtt_spread_ms = 10;
        w.target.loss_percent = 30;
        run_until(&w, START_MS + 24 * HOUR);
        downs += w.downs;
        assert_in_range(detect_evidence(&w.d, w.now_ms).lost_permille, 220, 380);
        assert_true(w.most_open <= 24);
    }
    print_message("30%% loss: %u false verdicts in %u days\n", downs, days);
    assert_true(downs < days); /* the first minutes of each day are the most dangerous */
    assert_true(downs <= 1);
}

static void a_death_at_thirty_percent_loss_is_found_within_its_bound(void **state)
{
    const struct model_timing timing = auto_timing();
    uint64_t worst = 0;
    (void)state;

    for (uint32_t seed = 0; seed < 60; seed++) {
        __attribute__((cleanup(end))) struct world w = { 0 };
        bool silent = seed % 2 == 0;
        begin(&w, &timing, seed);
        w.target.rtt_ms = 5;
        w.target.loss_percent = 30;
        run_until(&w, START_MS + HOUR + (seed * 37) % 1000);
        if (w.d.state == DETECT_DOWN) {
            continue;
        }
        break_it(&w, silent ? DETECT_SILENT : DETECT_STRONG);
        w.target.loss_percent = silent ? 30 : 0; /* a lost refusal would be silence */
        uint64_t bound = detect_worst_lossy_ms(&timing, silent, w.target.rtt_ms);
        assert_true(run_to_state(&w, DETECT_DOWN, false, w.now_ms + bound + 1));
        worst = most(worst, w.now_ms - w.target.fails_at_ms);
    }
    print_message("dead at 30%% loss: at most %ums\n", (unsigned)worst);
}

static void ninety_percent_loss_is_a_death(void **state)
{
    const struct model_timing timing = auto_timing();
    (void)state;

    for (uint32_t seed = 0; seed < 60; seed++) {
        __attribute__((cleanup(end))) struct world w = { 0 };
        begin_up(&w, &timing, seed);
        w.target.rtt_ms = 5;
        run_until(&w, w.now_ms + 10 * MINUTE);
        w.target.loss_percent = 90;
        assert_true(run_to_state(&w, DETECT_DOWN, false, w.now_ms + 20 * SECOND));
        assert_true(w.d.silently);
    }
}

static void a_verdict_starts_the_evidence_anew(void **state)
{
    const struct model_timing timing = auto_timing();
    struct detect_evidence evidence;
    (void)state;

    __attribute__((cleanup(end))) struct world w = { 0 };
    begin_up(&w, &timing, 3);
    run_until(&w, w.now_ms + 10 * MINUTE);
    break_it(&w, DETECT_STRONG);
    assert_true(run_to_state(&w, DETECT_DOWN, false, w.now_ms + 2 * SECOND));
    run_until(&w, w.now_ms + HOUR);
    mend_it(&w);
    assert_true(run_to_state(&w, DETECT_UP, false, w.now_ms + MINUTE));
    run_until(&w, w.now_ms + 10 * MINUTE);
    evidence = detect_evidence(&w.d, w.now_ms);
    assert_int_equal(evidence.lost_permille, 0); /* an hour of death is no loss */
    assert_int_equal(evidence.sum, 0);
    (void)probe_once(&w, DETECT_STRONG, 2);
    evidence = detect_evidence(&w.d, w.now_ms);
    assert_true(evidence.weighed && !evidence.silent);
    assert_in_range(evidence.sum, evidence.needed / 3, evidence.needed / 3 + 1);
    assert_int_equal(w.d.state, DETECT_SUSPECT);
}

static void a_verdict_says_what_was_weighed(void **state)
{
    const struct model_timing timing = auto_timing();
    (void)state;

    for (uint32_t seed = 0; seed < 20; seed++) {
        __attribute__((cleanup(end))) struct world w = { 0 };
        begin_up(&w, &timing, seed);
        run_until(&w, w.now_ms + 10 * SECOND);
        break_it(&w, seed % 2 == 0 ? DETECT_SILENT : DETECT_STRONG);
        assert_int_equal(w.d.verdict_sum, 0);
        assert_true(run_to_state(&w, DETECT_DOWN, false, w.now_ms + 2 * SECOND));
        uint32_t needed = detect_evidence(&w.d, w.now_ms).needed;
        assert_in_range(w.d.verdict_sum, needed, 2 * needed);
    }
}

static void a_verdict_without_evidence_does_not_pretend_any(void **state)
{
    const struct model_timing timing = auto_timing();
    (void)state;

    __attribute__((cleanup(end))) struct world w = { 0 };
    begin(&w, &timing, 1);
    (void)probe_once(&w, DETECT_STRONG, 2); /* the first result alone */
    assert_int_equal(w.d.state, DETECT_DOWN);
    assert_int_equal(w.d.verdict_sum, 0);

    __attribute__((cleanup(end))) struct world counted = { 0 };
    begin_up(&counted, &usual_timing, 1);
    break_it(&counted, DETECT_STRONG);
    assert_true(run_to_state(&counted, DETECT_DOWN, false, counted.now_ms + 2 * SECOND));
    assert_int_equal(counted.d.verdict_sum, 0);
}

static void counted_evidence_is_shown_too(void **state)
{
    (void)state;

    __attribute__((cleanup(end))) struct world w = { 0 };
    begin_up(&w, &usual_timing, 3);
    (void)probe_once(&w, DETECT_STRONG, 2);
    struct detect_evidence evidence = detect_evidence(&w.d, w.now_ms);
    assert_false(evidence.weighed);
    assert_false(evidence.silent);
    assert_int_equal(evidence.sum, 1);
    assert_int_equal(evidence.needed, 3);
}

/* ---- what else is told ---- */

static void silence_that_turns_to_refusal_is_told(void **state)
{
    (void)state;

    __attribute__((cleanup(end))) struct world w = { 0 };
    begin_up(&w, &usual_timing, 5);
    break_it(&w, DETECT_SILENT);
    assert_true(run_to_state(&w, DETECT_DOWN, false, w.now_ms + 2 * SECOND));
    assert_true(w.d.silently);
    assert_false(probe_once(&w, DETECT_STRONG, 2));
    assert_false(probe_once(&w, DETECT_STRONG, 2));
    assert_true(probe_once(&w, DETECT_STRONG, 2));
    assert_false(w.d.silently);
    assert_int_equal(w.d.state, DETECT_DOWN);
}

static void wrong_answers_that_it_always_gave_do_not_end_a_silence(void **state)
{
    const struct model_timing timing = auto_timing();
    (void)state;

    __attribute__((cleanup(end))) struct world w = { 0 };
    begin_up(&w, &timing, 5);
    for (unsigned i = 0; i < 4000; i++) { /* one answer in five is wrong, all its life */
        (void)probe_once(&w, i % 5 == 4 ? DETECT_STRONG : DETECT_PASS, 2);
        assert_int_not_equal(w.d.state, DETECT_DOWN);
    }
    assert_in_range(detect_evidence(&w.d, w.now_ms).wrong_permille, 150, 250);
    break_it(&w, DETECT_SILENT);
    assert_true(run_to_state(&w, DETECT_DOWN, false, w.now_ms + 5 * SECOND));
    assert_true(w.d.silently);
    uint32_t needed = detect_strong_needed(&w.d);
    assert_true(needed > timing.fall); /* what makes the verdict unmakes the silence, no less */
    uint32_t already = w.d.strong_run;
    for (uint32_t i = already + 1; i < needed; i++) {
        assert_false(probe_once(&w, DETECT_STRONG, 2));
        assert_true(w.d.silently);
    }
    assert_true(probe_once(&w, DETECT_STRONG, 2));
    assert_false(w.d.silently);
}

static void a_first_result_tells_how_it_went_down(void **state)
{
    (void)state;

    for (unsigned i = 0; i < 2; i++) {
        __attribute__((cleanup(end))) struct world w = { 0 };
        begin(&w, &usual_timing, 5);
        break_it(&w, i == 0 ? DETECT_SILENT : DETECT_STRONG);
        assert_true(run_to_state(&w, DETECT_DOWN, false, w.now_ms + 2 * SECOND));
        assert_int_equal(w.d.silently, i == 0);
    }
}

static void a_change_of_degraded_is_told(void **state)
{
    (void)state;

    __attribute__((cleanup(end))) struct world w = { 0 };
    begin_up(&w, &usual_timing, 6);
    assert_true(probe_once(&w, DETECT_WARNING, 2));
    assert_true(w.d.degraded);
    assert_int_equal(w.d.state, DETECT_UP);
    assert_false(probe_once(&w, DETECT_WARNING, 2));
    assert_true(probe_once(&w, DETECT_PASS, 2));
    assert_false(w.d.degraded);
    assert_false(probe_once(&w, DETECT_PASS, 2));
}

static void a_target_that_flaps_shows_it(void **state)
{
    (void)state;

    __attribute__((cleanup(end))) struct world w = { 0 };
    begin_up(&w, &usual_timing, 7);
    assert_int_equal(detect_flaps(&w.d, w.now_ms), 0);
    uint64_t from = w.now_ms;
    for (unsigned flap = 1; flap <= 5; flap++) {
        break_it(&w, DETECT_STRONG);
        assert_true(run_to_state(&w, DETECT_DOWN, false, w.now_ms + 2 * SECOND));
        assert_int_equal(detect_flaps(&w.d, w.now_ms), flap);
        assert_int_equal(w.d.hold_now_ms, 10 * SECOND << (flap - 1));
        mend_it(&w);
        assert_true(run_to_state(&w, DETECT_UP, false, w.now_ms + 10 * MINUTE));
    }
    assert_true(w.now_ms - from < 10 * MINUTE);
    assert_int_equal(detect_flaps(&w.d, w.now_ms), 5);
    run_until(&w, w.now_ms + 5 * MINUTE);
    assert_int_equal(detect_flaps(&w.d, w.now_ms), 0);
    break_it(&w, DETECT_STRONG);
    assert_true(run_to_state(&w, DETECT_DOWN, false, w.now_ms + 2 * SECOND));
    assert_int_equal(detect_flaps(&w.d, w.now_ms), 1);
}

static void a_probe_that_is_wanted_is_due(void **state)
{
    (void)state;

    __attribute__((cleanup(end))) struct world w = { 0 };
    begin_up(&w, &usual_timing, 8);
    while (detect_is_due(&w.d, w.now_ms)) {
        turn(&w);
    }
    detect_want_now(&w.d, w.now_ms);
    assert_true(detect_is_due(&w.d, w.now_ms));
    assert_int_equal(detect_wake_ms(&w.d, w.now_ms), w.now_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_without_loss_is_down_within_the_usual_bounds),
        cmocka_unit_test(the_bounds_are_those_of_the_old_formulas),
        cmocka_unit_test(thirty_percent_loss_is_no_outage),
        cmocka_unit_test(a_death_at_thirty_percent_loss_is_found_within_its_bound),
        cmocka_unit_test(ninety_percent_loss_is_a_death),
        cmocka_unit_test(a_verdict_starts_the_evidence_anew),
        cmocka_unit_test(a_verdict_says_what_was_weighed),
        cmocka_unit_test(a_verdict_without_evidence_does_not_pretend_any),
        cmocka_unit_test(counted_evidence_is_shown_too),
        cmocka_unit_test(silence_that_turns_to_refusal_is_told),
        cmocka_unit_test(wrong_answers_that_it_always_gave_do_not_end_a_silence),
        cmocka_unit_test(a_first_result_tells_how_it_went_down),
        cmocka_unit_test(a_change_of_degraded_is_told),
        cmocka_unit_test(a_target_that_flaps_shows_it),
        cmocka_unit_test(a_probe_that_is_wanted_is_due),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
