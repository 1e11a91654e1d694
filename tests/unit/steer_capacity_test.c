#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/steer_capacity.h"
#include "tests/unit/steer_filter_world.h"

#define CLIENTS 10000u
#define TABLES  20u * 20u

static void set_capacity(struct filter_world *f, unsigned pool, uint32_t capacity, uint32_t load)
{
    f->policy.load_sum += load - f->shares[pool].load;
    f->shares[pool].load = load;
    f->policy.has_load = f->policy.has_load || load > 0;
    atomic_store(&f->w.groups[pool].capacity, capacity);
}

/*
 * Each region's clients in proportion to its load, CLIENTS in all: what each
 * pool is sent, in the units of load.
 */
static void pour(const struct filter_world *f, uint64_t pools, double carried[POOLS])
{
    struct dice dice = { .state = 31 };
    double total = (double)f->policy.load_sum;

    memset(carried, 0, POOLS * sizeof(*carried));
    for (unsigned from = 0; from < f->w.service.pool_count; from++) {
        double load = f->shares[from].load;
        unsigned clients = (unsigned)(CLIENTS * load / total);
        const struct steer_burden burden = { .service = &f->w.service, .pools = pools,
                                             .home = (uint8_t)from };
        for (unsigned n = 0; n < clients; n++) {
            uint32_t turn = (uint32_t)(((uint64_t)n << 32) / clients) ^ roll(&dice, 1u << 16);
            uint32_t to = steer_capacity_draw(&burden, turn);
            assert_true(to < f->w.service.pool_count && (pools >> to & 1) != 0);
            carried[to] += load / clients;
        }
    }
}

static void clients_stay_at_home_while_it_can_carry_them(void **state)
{
    struct filter_world f;
    double carried[POOLS];
    (void)state;

    begin_filters(&f, STEER_CAPACITY, 3, 2);
    set_capacity(&f, 0, 100, 90);
    set_capacity(&f, 1, 100, 60);
    set_capacity(&f, 2, 100, 30);
    pour(&f, 7, carried);
    assert_true(carried[0] > 89.9 && carried[0] < 90.1);
    assert_true(carried[1] > 59.9 && carried[1] < 60.1);
    assert_true(carried[2] > 29.9 && carried[2] < 30.1);
}

static void a_dead_regions_share_goes_to_spare_capacity(void **state)
{
    struct filter_world f;
    double carried[POOLS];
    (void)state;

    begin_filters(&f, STEER_CAPACITY, 3, 2);
    set_capacity(&f, 0, 100, 80);
    set_capacity(&f, 1, 100, 60);
    set_capacity(&f, 2, 200, 80);
    pour(&f, 6, carried); /* 40 are spare in one, 120 in the other */
    assert_true(carried[1] > 78 && carried[1] < 82);
    assert_true(carried[2] > 138 && carried[2] < 142);
}

static void when_all_are_full_all_are_equally_full(void **state)
{
    struct filter_world f;
    double carried[POOLS];
    (void)state;

    begin_filters(&f, STEER_CAPACITY, 3, 2);
    set_capacity(&f, 0, 100, 300);
    set_capacity(&f, 1, 200, 100);
    set_capacity(&f, 2, 100, 400);
    pour(&f, 7, carried); /* twice of what they can carry */
    assert_true(carried[0] > 190 && carried[0] < 210);
    assert_true(carried[1] > 390 && carried[1] < 410);
    assert_true(carried[2] > 190 && carried[2] < 210);
}

static void nobody_is_above_capacity_while_another_has_room(void **state)
{
    static struct filter_world f;
    struct dice dice = { .state = 2026 };
    (void)state;

    for (unsigned n = 0; n < TABLES; n++) {
        double carried[POOLS], capacity = 0;
        unsigned pools = 2 + roll(&dice, POOLS - 1);
        begin_filters(&f, STEER_CAPACITY, pools, 2);
        uint64_t alive = 0;
        for (unsigned p = 0; p < pools; p++) {
            set_capacity(&f, p, 1 + roll(&dice, 1000), 1 + roll(&dice, 600));
            alive |= (uint64_t)(roll(&dice, 4) != 0) << p;
        }
        alive = alive == 0 ? 1 : alive;
        pour(&f, alive, carried);
        for (unsigned p = 0; p < pools; p++) {
            capacity += (alive >> p & 1) != 0 ? atomic_load(&f.w.groups[p].capacity) : 0;
        }
        double total = (double)f.policy.load_sum;
        double factor = total > capacity ? total / capacity : 1;
        for (unsigned p = 0; p < pools; p++) {
            double most = factor * atomic_load(&f.w.groups[p].capacity);
            assert_true(carried[p] <= most + total * 0.03);
        }
    }
}

static void without_load_shares_follow_capacity(void **state)
{
    struct filter_world f;
    unsigned counts[POOLS] = { 0 };
    (void)state;

    begin_filters(&f, STEER_CAPACITY, 2, 2);
    const struct steer_burden burden = { .service = &f.w.service, .pools = 3, .home = 0 };
    assert_int_equal(steer_capacity_draw(&burden, 7), STEER_NO_POOL); /* none is given */
    set_capacity(&f, 0, 100, 0);
    set_capacity(&f, 1, 300, 0);
    for (unsigned n = 0; n < 4000; n++) {
        counts[steer_capacity_draw(&burden, n * (UINT32_MAX / 4000))]++;
    }
    assert_in_range(counts[0], 990, 1010);
    assert_in_range(counts[1], 2990, 3010);
}

static void a_region_that_came_back_counts_for_its_ramp(void **state)
{
    struct filter_world f;
    unsigned counts[POOLS] = { 0 };
    (void)state;

    begin_filters(&f, STEER_CAPACITY, 2, 2);
    const struct steer_burden burden = { .service = &f.w.service, .pools = 3, .home = 0 };
    set_capacity(&f, 0, 400, 0);
    set_capacity(&f, 1, 300, 0);
    atomic_store(&f.w.groups[0].flags, HEALTH_GROUP_RAMPING);
    atomic_store(&f.w.groups[0].ramp, WHOLE / 4);
    for (unsigned n = 0; n < 4000; n++) {
        counts[steer_capacity_draw(&burden, n * (UINT32_MAX / 4000))]++;
    }
    assert_in_range(counts[0], 990, 1010);
}

static void large_numbers_keep_their_proportions(void **state)
{
    struct filter_world f;
    double carried[POOLS];
    (void)state;

    begin_filters(&f, STEER_CAPACITY, 2, 2);
    set_capacity(&f, 0, 4000000000u, 2000000000u);
    set_capacity(&f, 1, 1000000000u, 2000000000u);
    pour(&f, 3, carried);
    assert_true(carried[0] > 2.95e9 && carried[0] < 3.05e9);
    assert_true(carried[1] > 0.95e9 && carried[1] < 1.05e9);
}

static void the_explanation_says_what_each_can_carry(void **state)
{
    struct text trace = { 0 };
    struct filter_world f;
    struct steer_client client = client_at(1, 1);
    struct steer_choice choice;
    (void)state;

    begin_filters(&f, STEER_CAPACITY, 2, 2);
    set_capacity(&f, 0, 100, 80);
    set_capacity(&f, 1, 100, 60);
    steer_explain(&f.w.service, ADDR_V4, &client, &choice, &trace);
    assert_non_null(strstr(text_string(&trace), "seoul can carry 100, its own clients bring 80, "
                                                "which leaves 20 for others\n"));
    assert_non_null(strstr(text_string(&trace), "capacity: passes "));
    text_fini(&trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_stay_at_home_while_it_can_carry_them),
        cmocka_unit_test(a_dead_regions_share_goes_to_spare_capacity),
        cmocka_unit_test(when_all_are_full_all_are_equally_full),
        cmocka_unit_test(nobody_is_above_capacity_while_another_has_room),
        cmocka_unit_test(without_load_shares_follow_capacity),
        cmocka_unit_test(a_region_that_came_back_counts_for_its_ramp),
        cmocka_unit_test(large_numbers_keep_their_proportions),
        cmocka_unit_test(the_explanation_says_what_each_can_carry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
