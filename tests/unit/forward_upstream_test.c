#include "resolver/forward/upstream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void three_silences_in_a_row_make_suspect(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    assert_false(upstream_silent(&u, 1000));
    assert_false(upstream_silent(&u, 1100));
    assert_true(upstream_silent(&u, 1200));
    assert_int_equal(u.failed, 3);
}

static void a_burst_of_losses_is_no_silence(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        assert_false(upstream_silent(&u, 1000 + i));
    }
    assert_true(upstream_silent(&u, 1000 + UPSTREAM_SILENT_SPAN));
}

static void any_word_since_forgives_a_silence(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    assert_false(upstream_silent(&u, 1000));
    assert_false(upstream_silent(&u, 1200));
    upstream_spoke(&u, 1500);
    assert_false(upstream_silent(&u, 1400)); /* asked before it spoke */
    assert_false(upstream_silent(&u, 1600));
    assert_false(upstream_silent(&u, 1800));
    assert_true(upstream_silent(&u, 2000));
}

static void one_refusal_makes_suspect(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    assert_true(upstream_refused(&u));
    upstream_set(&u, true, "connection refused", 1000);
    assert_string_equal(u.reason, "connection refused");
    assert_int_equal(u.since_ms, 1000);
    assert_false(upstream_refused(&u)); /* it is suspect already */
}

static void three_distinct_questions_failed_make_suspect(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    assert_false(upstream_bad(&u, 7));
    assert_false(upstream_bad(&u, 8));
    for (unsigned i = 0; i < 10; i++) {
        assert_false(upstream_bad(&u, 7));
        assert_false(upstream_bad(&u, 8));
    }
    assert_true(upstream_bad(&u, 9));
    upstream_set(&u, true, "SERVFAIL", 0);
    assert_false(upstream_bad(&u, 10));
}

static void a_good_answer_forgets_the_bad_ones(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    assert_false(upstream_bad(&u, 7));
    assert_false(upstream_bad(&u, 8));
    assert_false(upstream_good(&u, 10, 1000));
    assert_false(upstream_bad(&u, 9));
    assert_false(upstream_bad(&u, 10));
    assert_true(upstream_bad(&u, 11));
}

static void a_good_answer_ends_the_suspicion(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    upstream_set(&u, true, "connection refused", 1000);
    assert_true(upstream_good(&u, 10, 2000));
    upstream_set(&u, false, "", 2000);
    assert_false(upstream_good(&u, 10, 2100));
}

static void a_suspect_is_probed_once_a_second(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    assert_false(upstream_probe_due(&u, 5000)); /* it is not suspect */
    upstream_set(&u, true, "silent", 5000);
    assert_false(upstream_probe_due(&u, 5000 + UPSTREAM_PROBE_MS - 1));
    assert_true(upstream_probe_due(&u, 5000 + UPSTREAM_PROBE_MS));
    assert_false(upstream_probe_due(&u, 5000 + UPSTREAM_PROBE_MS));
    assert_true(upstream_probe_due(&u, 5000 + 3 * UPSTREAM_PROBE_MS));
}

static void what_is_suspect_for_long_is_down(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    assert_false(upstream_is_down(&u, 100000));
    upstream_set(&u, true, "silent", 100000);
    assert_false(upstream_is_down(&u, 100000 + UPSTREAM_PROBE_MS));
    assert_true(upstream_is_down(&u, 100000 + UPSTREAM_DOWN_MS));
    upstream_set(&u, false, "", 200000);
    assert_false(upstream_is_down(&u, 300000));
}

static void what_is_usually_slow_is_silent_later(void **state)
{
    static const uint32_t cases[][2] = {
        { 0, UPSTREAM_SILENT_MS },
        { 1, UPSTREAM_SILENT_MS },
        { 66, UPSTREAM_SILENT_MS },
        { 100, 300 },
        { 199, 597 },
        { 201, UPSTREAM_LISTEN_MS },
        { 60000, UPSTREAM_LISTEN_MS },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct upstream u = { .usual_ms = cases[i][0] };
        assert_int_equal(upstream_silent_ms(&u), cases[i][1]);
    }
}

static void a_word_that_is_no_answer_ends_no_suspicion(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    assert_false(upstream_bad(&u, 7));
    assert_false(upstream_bad(&u, 8));
    assert_false(upstream_silent(&u, 1000));
    assert_false(upstream_silent(&u, 1100));
    upstream_heard(&u, 1150);
    assert_false(upstream_silent(&u, 1200));
    assert_true(upstream_bad(&u, 9));
    assert_int_equal(u.usual_ms, 0);
}

static void few_of_those_overtaken_are_listened_to(void **state)
{
    struct upstream u = { .suspect = false };
    unsigned watched = 0;

    (void)state;
    for (uint64_t now_ms = 5000; now_ms < 6000; now_ms++) {
        watched += upstream_watch_due(&u, now_ms);
    }
    assert_int_equal(watched, 1000 / UPSTREAM_WATCH_MS);
}

static void the_usual_time_follows(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    (void)upstream_good(&u, 40, 0);
    assert_int_equal(u.usual_ms, 40);
    (void)upstream_good(&u, 48, 0);
    assert_int_equal(u.usual_ms, 41);
    for (unsigned i = 0; i < 100; i++) {
        (void)upstream_good(&u, 80, 0);
    }
    assert_int_equal(u.usual_ms, 80);
    for (unsigned i = 0; i < 100; i++) {
        (void)upstream_good(&u, 0, 0);
    }
    assert_int_equal(u.usual_ms, 1); /* 0 means that nothing is known */
    (void)upstream_good(&u, UINT64_MAX, 0);
    assert_true(u.usual_ms <= UINT16_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_silences_in_a_row_make_suspect),
        cmocka_unit_test(a_burst_of_losses_is_no_silence),
        cmocka_unit_test(any_word_since_forgives_a_silence),
        cmocka_unit_test(one_refusal_makes_suspect),
        cmocka_unit_test(three_distinct_questions_failed_make_suspect),
        cmocka_unit_test(a_good_answer_forgets_the_bad_ones),
        cmocka_unit_test(a_good_answer_ends_the_suspicion),
        cmocka_unit_test(a_suspect_is_probed_once_a_second),
        cmocka_unit_test(what_is_suspect_for_long_is_down),
        cmocka_unit_test(what_is_usually_slow_is_silent_later),
        cmocka_unit_test(a_word_that_is_no_answer_ends_no_suspicion),
        cmocka_unit_test(few_of_those_overtaken_are_listened_to),
        cmocka_unit_test(the_usual_time_follows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
