#include "resolver/forward/measure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void nothing_is_known_at_first(void **state)
{
    struct measure m = { .count = 0 };

    (void)state;
    assert_int_equal(measure_smoothed_us(&m), 0);
    assert_int_equal(measure_p95_us(&m, 1000), 0);
    assert_int_equal(measure_loss_permille(&m, 1000), 0);
    assert_false(measure_is_lossy(&m, 1, 40, 5, 1000));
}

static void few_answers_give_smoothed_and_four_variations(void **state)
{
    struct measure m = { .count = 0 };

    (void)state;
    measure_answered(&m, 8000, 1000);
    assert_int_equal(measure_smoothed_us(&m), 8000);
    assert_int_equal(measure_p95_us(&m, 1000), 8000 + 4 * 4000);
    measure_answered(&m, 16000, 1000);
    assert_int_equal(measure_smoothed_us(&m), 9000);
    assert_int_equal(measure_p95_us(&m, 1000), 9000 + 4 * 5000);
}

static void one_in_twenty_is_above_the_percentile(void **state)
{
    struct measure m = { .count = 0 };

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        measure_answered(&m, i * 37 % 100 + 1, 1000 + i);
    }
    assert_int_equal(measure_p95_us(&m, 2000), 95);
}

static void old_times_say_nothing(void **state)
{
    struct measure m = { .count = 0 };

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        measure_answered(&m, 90000, 1000);
    }
    assert_int_equal(measure_p95_us(&m, 1000), 90000);
    for (unsigned i = 0; i < MEASURE_FEW; i++) {
        measure_answered(&m, 2000, 1001 + MEASURE_WINDOW_MS);
    }
    assert_int_equal(measure_p95_us(&m, 2000 + MEASURE_WINDOW_MS), 2000);
}

static void the_smoothed_time_follows(void **state)
{
    struct measure m = { .count = 0 };

    (void)state;
    measure_answered(&m, 40000, 0);
    for (unsigned i = 0; i < 200; i++) {
        measure_answered(&m, 80000, 0);
    }
    assert_in_range(measure_smoothed_us(&m), 79990, 80000);
    for (unsigned i = 0; i < 200; i++) {
        measure_answered(&m, 0, 0);
    }
    assert_in_range(measure_smoothed_us(&m), 1, 10); /* 0 means that nothing is known */
    measure_answered(&m, UINT32_MAX, 0);
    assert_true(measure_smoothed_us(&m) <= MEASURE_MOST_US);
}

static void losses_and_failures_are_shares_of_five_seconds(void **state)
{
    struct measure m = { .count = 0 };

    (void)state;
    for (unsigned i = 0; i < 7; i++) {
        measure_answered(&m, 1000, 10000 + 100 * i);
    }
    measure_lost(&m, 2, 10800);
    measure_failed(&m, 10900);
    assert_int_equal(measure_loss_permille(&m, 11000), 200);
    measure_found(&m, 1, 11000);
    assert_int_equal(measure_loss_permille(&m, 11000), 100);
    assert_int_equal(measure_loss_permille(&m, 17000), 0);
    measure_forget_losses(&m);
    assert_int_equal(measure_loss_permille(&m, 11000), 0);
}

static void found_ones_cannot_be_more_than_were_lost(void **state)
{
    struct measure m = { .count = 0 };

    (void)state;
    measure_lost(&m, 3, 10000);
    measure_found(&m, 1000, 12000);
    assert_int_equal(measure_loss_permille(&m, 12000), 0);
    measure_lost(&m, 1, 12000);
    assert_int_equal(measure_loss_permille(&m, 12000), 250);
}

static void lossy_is_a_fifth_of_the_last_few(void **state)
{
    struct measure m = { .count = 0 };

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        measure_answered(&m, 1000, 10000 + i); /* long ago, and well */
    }
    measure_lost(&m, 7, 12000);
    assert_false(measure_is_lossy(&m, 8, 40, 5, 12000));
    measure_lost(&m, 1, 12100);
    for (unsigned i = 0; i < 30; i++) {
        measure_answered(&m, 1000, 12100);
    }
    assert_false(measure_is_lossy(&m, 8, 40, 5, 12100)); /* the second before counts too */
    measure_lost(&m, 4, 12400);
    for (unsigned i = 0; i < 36; i++) {
        measure_answered(&m, 1000, 12400);
    }
    assert_false(measure_is_lossy(&m, 8, 40, 5, 12400));
    measure_lost(&m, 8, 12400);
    assert_true(measure_is_lossy(&m, 8, 40, 5, 12400));
}

/* Any mixture: the percentile lies between the least and the most, and above most. */
static void the_percentile_is_one_of_the_times(void **state)
{
    (void)state;
    for (unsigned n = MEASURE_FEW; n < 400; n += 7) {
        struct measure m = { .count = 0 };
        uint32_t times[400], random = n * 2654435761u;
        unsigned above = 0, last = n < MEASURE_SAMPLES ? n : MEASURE_SAMPLES;
        bool found = false;
        for (unsigned i = 0; i < n; i++, random = random * 1664525u + 1013904223u) {
            times[i] = 1 + (random >> 12);
            measure_answered(&m, times[i], 1000);
        }
        uint32_t p95 = measure_p95_us(&m, 1000 + 200);
        for (unsigned i = n - last; i < n; i++) {
            found = found || times[i] == p95;
            above += times[i] > p95;
        }
        assert_true(found);
        assert_true(above * 20 <= last);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_at_first),
        cmocka_unit_test(few_answers_give_smoothed_and_four_variations),
        cmocka_unit_test(one_in_twenty_is_above_the_percentile),
        cmocka_unit_test(old_times_say_nothing),
        cmocka_unit_test(the_smoothed_time_follows),
        cmocka_unit_test(losses_and_failures_are_shares_of_five_seconds),
        cmocka_unit_test(found_ones_cannot_be_more_than_were_lost),
        cmocka_unit_test(lossy_is_a_fifth_of_the_last_few),
        cmocka_unit_test(the_percentile_is_one_of_the_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
