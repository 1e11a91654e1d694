#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/checks/schedule.h"

#define ENTRIES 200

static uint32_t next_random(uint32_t *random)
{
    *random = *random * 1664525u + 1013904223u;
    return *random >> 8;
}

static void an_empty_schedule_has_no_first(void **state)
{
    struct schedule schedule = { 0 };
    struct schedule_entry entry = { 0 };
    (void)state;

    assert_null(schedule_first(&schedule));
    schedule_drop(&schedule, &entry); /* it is not in it */
    assert_true(schedule_reserve(&schedule, 1));
    schedule_put(&schedule, &entry, 7);
    assert_ptr_equal(schedule_first(&schedule), &entry);
    schedule_put(&schedule, &entry, 5); /* moved, not there twice */
    assert_int_equal(entry.at_ms, 5);
    schedule_drop(&schedule, &entry);
    assert_null(schedule_first(&schedule));
    schedule_fini(&schedule);
}

static void the_first_is_the_earliest_whatever_is_put_and_dropped(void **state)
{
    struct schedule schedule = { 0 };
    struct schedule_entry entries[ENTRIES] = { { 0 } };
    uint32_t random = 1;
    (void)state;

    assert_true(schedule_reserve(&schedule, ENTRIES));
    for (unsigned step = 0; step < 20000; step++) {
        struct schedule_entry *entry = &entries[next_random(&random) % ENTRIES];
        if (next_random(&random) % 3 == 0) {
            schedule_drop(&schedule, entry);
        } else {
            schedule_put(&schedule, entry, next_random(&random) % 1000);
        }
        const struct schedule_entry *first = schedule_first(&schedule);
        unsigned count = 0;
        for (unsigned i = 0; i < ENTRIES; i++) {
            count += entries[i].place != 0;
            assert_true(entries[i].place == 0 || first->at_ms <= entries[i].at_ms);
        }
        assert_int_equal(count, schedule.count);
    }
    schedule_fini(&schedule);
}

static void all_come_out_in_order(void **state)
{
    struct schedule schedule = { 0 };
    struct schedule_entry entries[ENTRIES] = { { 0 } };
    uint32_t random = 2;
    uint64_t last = 0;
    (void)state;

    assert_true(schedule_reserve(&schedule, ENTRIES));
    for (unsigned i = 0; i < ENTRIES; i++) {
        schedule_put(&schedule, &entries[i], next_random(&random));
    }
    for (unsigned i = 0; i < ENTRIES; i++) {
        struct schedule_entry *first = schedule_first(&schedule);
        assert_true(first->at_ms >= last);
        last = first->at_ms;
        schedule_drop(&schedule, first);
    }
    assert_null(schedule_first(&schedule));
    schedule_fini(&schedule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_schedule_has_no_first),
        cmocka_unit_test(the_first_is_the_earliest_whatever_is_put_and_dropped),
        cmocka_unit_test(all_come_out_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
