#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/evidence.h"

#define DAY_MS 86400000ull

static const struct model_timing timing = {
    .interval_ms = 1000,
    .timeout_ms = 500,
    .confirm_interval_ms = 50,
    .fall_auto = true,
    .false_alarm_ms = 30 * DAY_MS,
    .fall = 3,
    .silent_fall = 10,
};

/* One probe, its outcome known before the next is sent. */
static void probe(struct evidence *e, enum evidence_kind kind)
{
    evidence_sent(e);
    evidence_note(e, 0, kind);
}

static void probe_times(struct evidence *e, enum evidence_kind kind, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        probe(e, kind);
    }
}

static bool is_told(const struct evidence *e)
{
    return evidence_told(e, &timing) >= evidence_threshold(&timing) - EVIDENCE_ROUNDING;
}

static bool is_silent(const struct evidence *e)
{
    return evidence_silent(e, &timing, 0) >= evidence_threshold(&timing) - EVIDENCE_ROUNDING;
}

static void the_threshold_is_the_logarithm_of_the_chances(void **state)
{
    struct model_timing t = timing;
    (void)state;

    /* ln(2 * 2592000) = 15.46109... */
    assert_true(evidence_threshold(&t) > 15.4610 && evidence_threshold(&t) < 15.4612);
    t.false_alarm_ms = 1000 * 8;
    assert_true(evidence_threshold(&t) > 3.4657 && evidence_threshold(&t) < 3.4658); /* ln 32 */
    t.interval_ms = 0;
    t.false_alarm_ms = UINT64_MAX;
    assert_true(evidence_most_needed(&t, 1) < 40); /* and that many can be in flight */
}

static void one_failure_is_never_enough(void **state)
{
    struct evidence e = { 0 };
    struct model_timing t = timing;
    (void)state;

    for (uint32_t least = 2; least <= 32; least++) {
        assert_int_equal(evidence_least_needed(&timing, least), least);
    }
    assert_int_equal(evidence_least_needed(&timing, 1), 2);
    t.silent_fall = 1;
    probe_times(&e, EVIDENCE_PASS, 1000);
    probe(&e, EVIDENCE_SILENT);
    assert_true(evidence_silent(&e, &t, 0) < evidence_threshold(&t) - EVIDENCE_ROUNDING);
    probe(&e, EVIDENCE_SILENT);
    assert_true(evidence_silent(&e, &t, 0) >= evidence_threshold(&t) - EVIDENCE_ROUNDING);
    t.interval_ms = 10;
    t.false_alarm_ms = 3650 * DAY_MS;
    for (uint32_t least = 3; least <= 32; least++) {
        assert_int_equal(evidence_least_needed(&t, least), least);
    }
}

static void without_loss_as_many_failures_decide_as_are_counted(void **state)
{
    struct evidence e = { 0 };
    (void)state;

    probe_times(&e, EVIDENCE_PASS, 1000);
    probe_times(&e, EVIDENCE_STRONG, 2);
    assert_false(is_told(&e));
    probe(&e, EVIDENCE_STRONG);
    assert_true(is_told(&e));

    e = (struct evidence){ 0 };
    probe_times(&e, EVIDENCE_PASS, 1000);
    probe_times(&e, EVIDENCE_SILENT, 9);
    assert_false(is_silent(&e));
    probe(&e, EVIDENCE_SILENT);
    assert_true(is_silent(&e));
    assert_false(is_told(&e));
    assert_int_equal(evidence_told_needed(&e, &timing), 3);
    assert_int_equal(evidence_silent_needed(&e, &timing), 10);
}

static void known_loss_asks_for_more(void **state)
{
    struct evidence e = { 0 };
    unsigned failures = 0;
    (void)state;

    for (unsigned i = 0; i < 20000; i++) {
        probe(&e, i % 10 < 3 ? EVIDENCE_SILENT : EVIDENCE_PASS);
    }
    assert_true(e.failed_rate > 0.29f && e.failed_rate < 0.31f);
    assert_true(e.strong_rate == 0);
    uint32_t needed = evidence_silent_needed(&e, &timing);
    assert_in_range(needed, 13, 18);
    assert_int_equal(evidence_told_needed(&e, &timing), 3); /* what it says is as good as ever */
    for (; !is_silent(&e); failures++) {
        probe(&e, EVIDENCE_SILENT);
    }
    assert_true(failures <= needed);
}

static void known_errors_ask_for_more(void **state)
{
    struct evidence e = { 0 };
    (void)state;

    for (unsigned i = 0; i < 20000; i++) {
        probe(&e, i % 20 == 0 ? EVIDENCE_STRONG : EVIDENCE_PASS);
    }
    assert_true(e.strong_rate > 0.045f && e.strong_rate < 0.055f);
    assert_in_range(evidence_told_needed(&e, &timing), 5, 7);
    assert_int_equal(evidence_silent_needed(&e, &timing), 10);
}

static void silence_says_nothing_of_the_answers(void **state)
{
    struct evidence e = { 0 };
    (void)state;

    for (unsigned i = 0; i < 20000; i++) {
        probe(&e, i % 2 == 0 ? EVIDENCE_SILENT : i % 8 == 1 ? EVIDENCE_STRONG : EVIDENCE_PASS);
    }
    assert_true(e.strong_rate > 0.24f && e.strong_rate < 0.26f); /* one answer in four */
    assert_true(e.failed_rate > 0.61f && e.failed_rate < 0.64f);
}

static void a_success_outweighs_some_failures_not_all(void **state)
{
    struct evidence e = { 0 };
    (void)state;

    probe_times(&e, EVIDENCE_SILENT, 9);
    probe(&e, EVIDENCE_PASS);
    double left = evidence_silent(&e, &timing, 0);
    assert_true(left > 0 && left < evidence_threshold(&timing) * 9 / 10);
    probe_times(&e, EVIDENCE_PASS, 10);
    assert_true(evidence_silent(&e, &timing, 0) == 0); /* and never falls below 0 */
    probe(&e, EVIDENCE_SILENT);
    assert_true(evidence_silent(&e, &timing, 0) > 0);
}

static void one_probe_in_ten_that_passes_is_a_death(void **state)
{
    struct evidence e = { 0 };
    unsigned sent = 0;
    (void)state;

    probe_times(&e, EVIDENCE_PASS, 1000);
    for (; !is_silent(&e) && sent < 1000; sent++) {
        probe(&e, sent % 10 == 5 ? EVIDENCE_PASS : EVIDENCE_SILENT);
    }
    assert_in_range(sent, 10, 15);
}

static void a_drift_is_learnt_and_a_death_is_not(void **state)
{
    struct evidence e = { 0 };
    (void)state;

    probe_times(&e, EVIDENCE_PASS, 1000);
    float before = e.failed_rate;
    probe_times(&e, EVIDENCE_SILENT, EVIDENCE_PROBES - 1);
    evidence_forget(&e); /* the verdict */
    probe_times(&e, EVIDENCE_PASS, 1000);
    assert_true(e.failed_rate <= before);

    for (unsigned i = 0; i < 5000; i++) {
        probe(&e, i % 10 == 0 ? EVIDENCE_SILENT : EVIDENCE_PASS);
    }
    assert_true(e.failed_rate > 0.09f);
}

static void outcomes_count_in_the_order_of_sending(void **state)
{
    struct evidence early = { 0 }, late = { 0 };
    (void)state;

    /* lost, then passed; the pass is known long before the loss */
    evidence_sent(&early);
    evidence_sent(&early);
    evidence_note(&early, 0, EVIDENCE_PASS);
    evidence_note(&early, 1, EVIDENCE_SILENT);
    assert_true(evidence_silent(&early, &timing, 0) == 0);

    probe(&late, EVIDENCE_PASS);
    probe(&late, EVIDENCE_SILENT);
    assert_true(evidence_silent(&late, &timing, 0) > 0);
    evidence_note(&late, EVIDENCE_PROBES, EVIDENCE_STRONG); /* too old */
    assert_true(evidence_told(&late, &timing) == 0);
}

static void what_is_in_flight_counts_when_it_is_told_to(void **state)
{
    struct evidence e = { 0 };
    (void)state;

    probe_times(&e, EVIDENCE_PASS, 100);
    for (unsigned i = 0; i < 10; i++) {
        evidence_sent(&e);
    }
    assert_true(evidence_silent(&e, &timing, 0) == 0);
    assert_true(evidence_silent(&e, &timing, 0x3ff) >=
                evidence_threshold(&timing) - EVIDENCE_ROUNDING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_threshold_is_the_logarithm_of_the_chances),
        cmocka_unit_test(one_failure_is_never_enough),
        cmocka_unit_test(without_loss_as_many_failures_decide_as_are_counted),
        cmocka_unit_test(known_loss_asks_for_more),
        cmocka_unit_test(known_errors_ask_for_more),
        cmocka_unit_test(silence_says_nothing_of_the_answers),
        cmocka_unit_test(a_success_outweighs_some_failures_not_all),
        cmocka_unit_test(one_probe_in_ten_that_passes_is_a_death),
        cmocka_unit_test(a_drift_is_learnt_and_a_death_is_not),
        cmocka_unit_test(outcomes_count_in_the_order_of_sending),
        cmocka_unit_test(what_is_in_flight_counts_when_it_is_told_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
