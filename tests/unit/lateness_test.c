#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/checks/lateness.h"

static void percentiles_are_of_what_was_noted(void **state)
{
    struct lateness lateness = { 0 };
    (void)state;

    assert_int_equal(lateness_ms(&lateness, 99), 0);
    for (unsigned i = 0; i < 1000; i++) {
        lateness_note(&lateness, i < 980 ? 2 : 20, 1000);
    }
    assert_int_equal(lateness_ms(&lateness, 50), 2);
    assert_int_equal(lateness_ms(&lateness, 98), 2);
    assert_int_equal(lateness_ms(&lateness, 99), 20);
    assert_int_equal(lateness_most_ms(&lateness), 20);
}

static void what_is_very_late_is_shown_from_above(void **state)
{
    struct lateness lateness = { 0 };
    (void)state;

    lateness_note(&lateness, 100, 1000);
    assert_int_equal(lateness_ms(&lateness, 99), 100); /* never above the latest */
    lateness_note(&lateness, 120, 1000);
    assert_in_range(lateness_ms(&lateness, 50), 100, 120);
    lateness_note(&lateness, UINT64_MAX, 1000);
    assert_int_equal(lateness_most_ms(&lateness), UINT32_MAX);
}

static void the_start_is_soon_forgotten(void **state)
{
    struct lateness lateness = { 0 };
    (void)state;

    for (unsigned i = 0; i < 10000; i++) {
        lateness_note(&lateness, 500, 1000);
    }
    for (uint64_t now_ms = 1000; now_ms < 61000; now_ms += 10) {
        for (unsigned i = 0; i < 100; i++) {
            lateness_note(&lateness, 1, now_ms);
        }
    }
    assert_int_equal(lateness_ms(&lateness, 99), 1);
    assert_int_equal(lateness_most_ms(&lateness), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_of_what_was_noted),
        cmocka_unit_test(what_is_very_late_is_shown_from_above),
        cmocka_unit_test(the_start_is_soon_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
