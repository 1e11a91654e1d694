#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/maintenance.h"

#define HOUR_S   3600
#define DAY_S    86400
#define SUNDAY_S (INT64_C(1542499200)) /* 2018-11-18T00:00:00Z, a Sunday */

static void a_window_given_by_times_opens_and_closes_once(void **state)
{
    const struct model_maintenance window = { .from_s = 1000, .to_s = 2000 };
    int64_t then;

    (void)state;
    assert_false(maintenance_is_open(&window, 999, &then));
    assert_true(then == 1000);
    assert_true(maintenance_is_open(&window, 1000, &then));
    assert_true(then == 2000);
    assert_true(maintenance_is_open(&window, 1999, &then));
    assert_false(maintenance_is_open(&window, 2000, &then));
    assert_true(then == INT64_MAX);
}

static void a_weekly_one_opens_on_its_days(void **state)
{
    const struct model_maintenance window = {
        .weekly = true,
        .weekdays = 1 << 0 | 1 << 3, /* Sunday and Wednesday */
        .start_s = 2 * HOUR_S,
        .duration_s = 2 * HOUR_S,
    };
    int64_t then;

    (void)state;
    assert_false(maintenance_is_open(&window, SUNDAY_S, &then));
    assert_true(then == SUNDAY_S + 2 * HOUR_S);
    assert_true(maintenance_is_open(&window, SUNDAY_S + 2 * HOUR_S, &then));
    assert_true(then == SUNDAY_S + 4 * HOUR_S);
    assert_false(maintenance_is_open(&window, SUNDAY_S + 4 * HOUR_S, &then));
    assert_true(then == SUNDAY_S + 3 * DAY_S + 2 * HOUR_S);
    assert_false(maintenance_is_open(&window, SUNDAY_S + DAY_S + 3 * HOUR_S, &then));
    assert_false(maintenance_is_open(&window, SUNDAY_S + 4 * DAY_S, &then));
    assert_true(then == SUNDAY_S + 7 * DAY_S + 2 * HOUR_S);
}

static void one_that_runs_over_midnight_stays_open(void **state)
{
    const struct model_maintenance window = {
        .weekly = true,
        .weekdays = 1 << 6, /* Saturday, into Sunday */
        .start_s = 23 * HOUR_S,
        .duration_s = 3 * HOUR_S,
    };
    int64_t then;

    (void)state;
    assert_true(maintenance_is_open(&window, SUNDAY_S + HOUR_S, &then));
    assert_true(then == SUNDAY_S + 2 * HOUR_S);
    assert_false(maintenance_is_open(&window, SUNDAY_S + 2 * HOUR_S, &then));
}

static void windows_that_touch_are_one(void **state)
{
    const struct model_maintenance window = {
        .weekly = true,
        .weekdays = 1 << 0 | 1 << 1,
        .start_s = 0,
        .duration_s = DAY_S,
    };
    int64_t then;

    (void)state;
    assert_true(maintenance_is_open(&window, SUNDAY_S + HOUR_S, &then));
    assert_true(then == SUNDAY_S + 2 * DAY_S);
}

static void what_is_said_of_the_next_change_is_true(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed < 400; seed++) {
        const struct model_maintenance window = {
            .weekly = true,
            .weekdays = (uint8_t)(seed * 37 % 127 + 1),
            .start_s = seed * 7919 % DAY_S,
            .duration_s = seed * 104729 % (2 * DAY_S) + 1,
        };
        int64_t now = SUNDAY_S + (int64_t)seed * 15485863 % (14 * DAY_S);
        int64_t then, ignored;
        bool open = maintenance_is_open(&window, now, &then);
        if (then == INT64_MAX) {
            continue;
        }
        assert_true(then > now);
        for (int64_t at = now; at < then; at += (then - now) / 7 + 1) {
            assert_int_equal(maintenance_is_open(&window, at, &ignored), open);
        }
        assert_int_equal(maintenance_is_open(&window, then - 1, &ignored), open);
        if (!open) {
            assert_true(maintenance_is_open(&window, then, &ignored));
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_given_by_times_opens_and_closes_once),
        cmocka_unit_test(a_weekly_one_opens_on_its_days),
        cmocka_unit_test(one_that_runs_over_midnight_stays_open),
        cmocka_unit_test(windows_that_touch_are_one),
        cmocka_unit_test(what_is_said_of_the_next_change_is_true),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
