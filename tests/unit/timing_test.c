#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/timing.h"

static const struct model_timing usual = {
    .interval_ms = 1000,
    .timeout_ms = 500,
    .confirm_interval_ms = 50,
    .fall = 3,
    .silent_fall = 10,
    .rise = 2,
    .jitter_percent = 10,
};

static void the_bounds_are_those_documented(void **state)
{
    struct model_timing quick = usual;

    (void)state;
    assert_int_equal(timing_strong_ms(&usual), 1200);
    assert_int_equal(timing_silent_ms(&usual), 1600);
    quick.interval_ms = 200;
    quick.timeout_ms = 200;
    quick.silent_fall = 4;
    assert_int_equal(timing_strong_ms(&quick), 320);
    assert_int_equal(timing_silent_ms(&quick), 420);
}

static void silence_waits_for_the_later_of_timeout_and_probes(void **state)
{
    struct model_timing timing = usual;

    (void)state;
    timing.silent_fall = 20;
    assert_int_equal(timing_silent_ms(&timing), 1100 + 19 * 50);
    timing.timeout_ms = 1000;
    assert_int_equal(timing_silent_ms(&timing), 1100 + 1000);
    timing.silent_fall = 1;
    assert_int_equal(timing_silent_ms(&timing), 1100 + 1000);
}

static struct model_timing weighed(void)
{
    struct model_timing timing = usual;

    timing.fall_auto = true;
    timing.false_alarm_ms = 30ull * 86400000;
    return timing;
}

static void without_loss_what_is_weighed_takes_as_long_as_what_is_counted(void **state)
{
    struct model_timing timing = weighed();

    (void)state;
    assert_int_equal(timing_strong_ms(&timing), 1200);
    assert_int_equal(timing_silent_ms(&timing), 1600);
    timing.timeout_ms = 10;
    timing.silent_fall = 1; /* one lost probe never weighs enough, and two do */
    assert_int_equal(timing_silent_ms(&timing), 1100 + 50);
}

static void a_lossy_target_takes_longer_where_it_is_weighed(void **state)
{
    struct model_check check = { .kind = MODEL_CHECK_TCP, .timing = weighed() };

    (void)state;
    assert_int_equal(timing_check_lossy_ms(&check), 1100 + 24 * 50);
    check.kind = MODEL_CHECK_PUSH;
    check.push_ttl_ms = 20000;
    assert_int_equal(timing_check_lossy_ms(&check), 20000 + 1100 + 24 * 50);
    check.kind = MODEL_CHECK_FILE;
    assert_int_equal(timing_check_lossy_ms(&check), 1100 + 24 * 50);
    check.kind = MODEL_CHECK_EXEC;
    assert_true(timing_check_lossy_ms(&check) > timing_check_strong_ms(&check));
    check.timing.fall_auto = false;
    assert_int_equal(timing_check_lossy_ms(&check), timing_check_strong_ms(&check));
    check.kind = MODEL_CHECK_TCP;
    assert_int_equal(timing_check_lossy_ms(&check), 1600);
}

static void jitter_stretches_the_interval(void **state)
{
    struct model_timing timing = usual;

    (void)state;
    timing.jitter_percent = 0;
    assert_int_equal(timing_strong_ms(&timing), 1100);
    timing.jitter_percent = 50;
    assert_int_equal(timing_strong_ms(&timing), 1600);
}

static void huge_numbers_do_not_wrap(void **state)
{
    struct model_timing timing = usual;

    (void)state;
    timing.interval_ms = UINT32_MAX;
    timing.confirm_interval_ms = UINT32_MAX;
    timing.fall = UINT32_MAX;
    assert_true(timing_strong_ms(&timing) == UINT32_MAX);
    assert_true(timing_silent_ms(&timing) == UINT32_MAX);
}

static void the_slowest_check_of_service_and_regions_decides(void **state)
{
    struct model_check own = { .timing = usual };
    struct model_check regional = { .timing = usual };
    struct model_region regions[2] = { { .name = "a" },
                                       { .name = "b", .checks = &regional, .check_count = 1 } };
    struct model_pool pools[2] = { { .region = 0 }, { .region = 1 } };
    struct model_service service = { .pools = pools, .pool_count = 1 };
    struct model model = { .regions = regions, .region_count = 2 };

    (void)state;
    assert_int_equal(timing_service_ms(&model, &service), 0);
    service.checks = &own;
    service.check_count = 1;
    assert_int_equal(timing_service_ms(&model, &service), 1600);
    regional.timing.interval_ms = 2000;
    assert_int_equal(timing_service_ms(&model, &service), 1600);
    service.pool_count = 2;
    assert_int_equal(timing_service_ms(&model, &service), 2700);
    own.timing.fall = 100;
    assert_int_equal(timing_service_ms(&model, &service), 6050);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bounds_are_those_documented),
        cmocka_unit_test(silence_waits_for_the_later_of_timeout_and_probes),
        cmocka_unit_test(without_loss_what_is_weighed_takes_as_long_as_what_is_counted),
        cmocka_unit_test(a_lossy_target_takes_longer_where_it_is_weighed),
        cmocka_unit_test(jitter_stretches_the_interval),
        cmocka_unit_test(huge_numbers_do_not_wrap),
        cmocka_unit_test(the_slowest_check_of_service_and_regions_decides),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
