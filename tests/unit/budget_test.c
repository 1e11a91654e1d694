#include "resolver/forward/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void less_than_a_twentieth_of_the_questions_is_earned(void **state)
{
    struct budget_share share;
    unsigned extra = 0;

    (void)state;
    budget_share_init(&share);
    for (unsigned i = 0; i < 100000; i++) {
        budget_share_earn(&share, 1000 + i);
        extra += budget_share_spend(&share); /* as greedily as can be */
    }
    assert_in_range(extra, 100000 / 25, 100000 / 25 + BUDGET_LEAST);
    assert_false(budget_share_spend(&share));
}

static void something_is_saved_from_the_start(void **state)
{
    struct budget_share share;

    (void)state;
    budget_share_init(&share);
    for (unsigned i = 0; i < BUDGET_LEAST; i++) {
        assert_true(budget_share_spend(&share));
    }
    assert_false(budget_share_spend(&share));
}

static void after_two_thousand_questions_it_is_a_twentieth_in_all(void **state)
{
    struct budget_share share;
    unsigned extra = 0;

    (void)state;
    budget_share_init(&share);
    for (unsigned i = 0; i < 10000; i++) {
        budget_share_earn(&share, 1000 + 10 * i);
        extra += budget_share_spend(&share);
        assert_true(i < 2000 || extra * 20 <= i + 1);
    }
}

static void what_must_not_wait_may_be_owed_for_a_while(void **state)
{
    struct budget_share share;
    unsigned owed = 0;

    (void)state;
    budget_share_init(&share);
    while (budget_share_spend(&share)) {
    }
    while (budget_share_owe(&share)) {
        owed++;
    }
    assert_int_equal(owed, BUDGET_OWED_MOST);
    for (unsigned i = 0; i < BUDGET_OWED_MOST * 1000 / BUDGET_EARNED_PERMILLE; i++) {
        assert_false(budget_share_spend(&share)); /* it is paid back first */
        budget_share_earn(&share, 1000 + i);
    }
    assert_true(budget_share_owe(&share));
}

static unsigned empty(struct budget_share *share)
{
    unsigned extra = 0;

    while (budget_share_spend(share)) {
        extra++;
    }
    return extra;
}

static void half_a_second_of_questions_can_be_saved(void **state)
{
    struct budget_share share;

    (void)state;
    budget_share_init(&share);
    for (unsigned i = 0; i < 100000; i++) { /* a thousand a second, for long */
        budget_share_earn(&share, 1000 + i);
    }
    assert_in_range(empty(&share), 499, 501);
    budget_share_init(&share);
    for (unsigned i = 0; i < 10000; i++) { /* one a second */
        budget_share_earn(&share, 1000 + 1000 * i);
    }
    assert_int_equal(empty(&share), BUDGET_LEAST);
}

static void without_a_limit_there_is_always_some(void **state)
{
    struct budget_rate rate = { .per_minute = 0 };

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(budget_rate_has(&rate, 5));
        assert_true(budget_rate_spend(&rate, 5));
    }
}

static void a_tenth_of_a_second_of_a_rate_can_be_saved(void **state)
{
    struct budget_rate rate = { .per_minute = 0 };

    (void)state;
    budget_rate_set(&rate, 60000, 1000);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(budget_rate_has(&rate, 1000));
        assert_true(budget_rate_spend(&rate, 1000));
    }
    assert_false(budget_rate_has(&rate, 1000));
    assert_false(budget_rate_spend(&rate, 1000));
    assert_true(budget_rate_has(&rate, 1001));
    assert_true(budget_rate_spend(&rate, 1001));
    assert_false(budget_rate_has(&rate, 1001));
}

/* Cloud resolvers drop above 1,024 a second: 900/s must stay below that in every second. */
static void no_second_carries_what_a_provider_drops(void **state)
{
    struct budget_rate rate = { .per_minute = 0 };
    unsigned sent = 0;

    (void)state;
    budget_rate_set(&rate, 900 * 60, 1);
    for (uint64_t now_ms = 100000; now_ms < 101000; now_ms++) { /* after a long rest */
        while (budget_rate_has(&rate, now_ms)) {
            sent += budget_rate_spend(&rate, now_ms);
        }
    }
    assert_in_range(sent, 900, 1000);
}

static void small_rates_allow_small_bursts(void **state)
{
    struct budget_rate rate = { .per_minute = 0 };

    (void)state;
    budget_rate_set(&rate, 1, 1000);
    for (unsigned i = 0; i < BUDGET_BURST_LEAST; i++) {
        assert_true(budget_rate_spend(&rate, 1000));
    }
    assert_false(budget_rate_has(&rate, 60999));
    assert_true(budget_rate_has(&rate, 61000));
}

static void over_time_a_rate_is_kept(void **state)
{
    struct budget_rate rate = { .per_minute = 0 };
    unsigned sent = 0;

    (void)state;
    budget_rate_set(&rate, 6000, 1);
    for (uint64_t now_ms = 1; now_ms < 60001; now_ms++) {
        while (budget_rate_has(&rate, now_ms)) {
            sent += budget_rate_spend(&rate, now_ms);
        }
    }
    assert_in_range(sent, 5990, 6020); /* the burst, and a minute's worth */
}

static void a_new_rate_keeps_what_was_spent(void **state)
{
    struct budget_rate rate = { .per_minute = 0 };

    (void)state;
    budget_rate_set(&rate, 600, 1000);
    while (budget_rate_has(&rate, 1000)) {
        assert_true(budget_rate_spend(&rate, 1000));
    }
    budget_rate_set(&rate, 1200, 1000);
    assert_false(budget_rate_has(&rate, 1000));
    budget_rate_set(&rate, 0, 1000);
    assert_true(budget_rate_has(&rate, 1000));
}

static void long_idleness_overflows_nothing(void **state)
{
    struct budget_rate rate = { .per_minute = 0 };

    (void)state;
    budget_rate_set(&rate, UINT32_MAX, 1);
    assert_true(budget_rate_spend(&rate, UINT64_MAX / 2));
    assert_true(budget_rate_spend(&rate, UINT64_MAX));
    assert_true(budget_rate_has(&rate, 0)); /* a clock that ran backwards harms nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_must_not_wait_may_be_owed_for_a_while),
        cmocka_unit_test(less_than_a_twentieth_of_the_questions_is_earned),
        cmocka_unit_test(after_two_thousand_questions_it_is_a_twentieth_in_all),
        cmocka_unit_test(something_is_saved_from_the_start),
        cmocka_unit_test(half_a_second_of_questions_can_be_saved),
        cmocka_unit_test(without_a_limit_there_is_always_some),
        cmocka_unit_test(a_tenth_of_a_second_of_a_rate_can_be_saved),
        cmocka_unit_test(no_second_carries_what_a_provider_drops),
        cmocka_unit_test(small_rates_allow_small_bursts),
        cmocka_unit_test(over_time_a_rate_is_kept),
        cmocka_unit_test(a_new_rate_keeps_what_was_spent),
        cmocka_unit_test(long_idleness_overflows_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
