#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/steer_filter_world.h"

#define LOTS    300u
#define CLIENTS 20000u

/* ---- the wheel ---- */

struct wheel_world {
    uint64_t lots[LOTS];
    struct steer_slot slots[2 * LOTS];
    uint16_t picks[LOTS];
    struct steer_wheel wheel;
    size_t slot_count;
};

static void build(struct wheel_world *w, const uint32_t *weights, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        w->lots[i] = (uint64_t)weights[i] << STEER_LOT_SHIFT | steer_pick(i / 60, i % 60);
    }
    w->slot_count = steer_wheel_slots(count);
    assert_true(w->slot_count >= count && w->slot_count < 2 * LOTS);
    steer_wheel_fill(w->slots, w->slot_count, w->picks, w->lots, count, &w->wheel);
}

/* How much of the wheel is each lot's, in units of 2^-32 of a slot. */
static void add_up(const struct wheel_world *w, unsigned count, uint64_t shares[LOTS])
{
    memset(shares, 0, LOTS * sizeof(*shares));
    for (size_t i = 0; i < w->slot_count; i++) {
        const struct steer_slot *slot = &w->slots[i];
        assert_true(slot->own < count && slot->other < count);
        shares[slot->own] += slot->bound;
        shares[slot->other] += (UINT64_C(1) << 32) - slot->bound;
    }
}

static void the_wheel_is_divided_by_weight(void **state)
{
    static struct wheel_world w;
    static uint64_t shares[LOTS];
    uint32_t weights[LOTS];
    struct dice dice = { .state = 3 };
    (void)state;

    for (unsigned round = 0; round < 500; round++) {
        unsigned count = 1 + roll(&dice, LOTS - 1);
        uint32_t most = round % 3 == 0 ? 1 : round % 3 == 1 ? 10 : 7000000;
        uint64_t sum = 0;
        for (unsigned i = 0; i < count; i++) {
            weights[i] = 1 + roll(&dice, most);
            sum += weights[i];
        }
        build(&w, weights, count);
        add_up(&w, count, shares);
        uint64_t whole = (uint64_t)w.slot_count << 32;
        for (unsigned i = 0; i < count; i++) {
            double wanted = (double)whole * weights[i] / (double)sum;
            double off = (double)shares[i] - wanted;
            /* what is rounded off of all may fall to one */
            assert_true(off > -2.0 && off < LOTS + 2.0);
            assert_int_equal(w.picks[i], steer_pick(i / 60, i % 60));
        }
    }
}

static void a_turn_stops_at_each_lot_by_weight(void **state)
{
    static struct wheel_world w;
    static const uint32_t weights[] = { 1, 2, 3, 4, 90 };
    unsigned counts[5] = { 0 };
    (void)state;

    build(&w, weights, 5);
    for (unsigned n = 0; n < 10 * CLIENTS; n++) {
        uint64_t seed = steer_draw_mix(n + UINT64_C(1), 0);
        struct steer_spin spin = steer_wheel_begin(&w.wheel, seed, 1);
        counts[steer_wheel_next(&spin)]++;
    }
    for (unsigned i = 0; i < 5; i++) {
        int wanted = (int)(10 * CLIENTS * weights[i] / 100);
        assert_in_range(counts[i], wanted - wanted / 4, wanted + wanted / 4);
    }
}

/* The third stop says nothing new where it follows from the two before it. */
static void three_turns_in_a_row_are_independent(void **state)
{
    static struct wheel_world w;
    static const uint32_t weights[] = { 1, 1, 1, 1 };
    unsigned counts[64] = { 0 };
    (void)state;

    build(&w, weights, 4);
    for (unsigned n = 0; n < 64000; n++) {
        uint64_t seed = steer_draw_mix(n + UINT64_C(1), 0x203);
        struct steer_spin spin = steer_wheel_begin(&w.wheel, seed, 1);
        unsigned first = steer_wheel_next(&spin), second = steer_wheel_next(&spin);
        counts[first << 4 | second << 2 | steer_wheel_next(&spin)]++;
    }
    for (unsigned i = 0; i < 64; i++) {
        assert_in_range(counts[i], 800, 1200); /* six deviations */
    }
}

/* ---- answers ---- */

/* Of each endpoint of 6 pools: how often it stands first, and whether it stands at all. */
static void count_answers(const struct filter_world *f, unsigned wanted,
                          unsigned firsts[POOLS][STEER_ENDPOINTS_MAX])
{
    struct dice dice = { .state = 8 };

    memset(firsts, 0, POOLS * sizeof(*firsts));
    for (unsigned n = 0; n < CLIENTS; n++) {
        struct steer_client client = client_at(n, roll(&dice, UINT32_MAX) << 1 ^ n);
        struct steer_choice choice = choose_for(f, ADDR_V4, &client);
        assert_int_equal(choice.pick_count, wanted);
        uint64_t seen[POOLS] = { 0 };
        for (unsigned i = 0; i < wanted; i++) {
            unsigned pool = steer_pick_pool(choice.picks[i]);
            uint64_t bit = UINT64_C(1) << steer_pick_endpoint(choice.picks[i]);
            assert_true((seen[pool] & bit) == 0);
            assert_true((atomic_load(&f->w.groups[pool].up[ADDR_V4]) & bit) != 0);
            seen[pool] |= bit;
        }
        firsts[steer_pick_pool(choice.picks[0])][steer_pick_endpoint(choice.picks[0])]++;
    }
}

static void check_drawn(unsigned ends, unsigned limit)
{
    static struct filter_world f;
    static unsigned firsts[POOLS][STEER_ENDPOINTS_MAX];
    uint64_t sum = 0;

    begin_filters(&f, STEER_ALL | STEER_WEIGHT, POOLS, ends);
    f.w.service.max_addresses = limit;
    for (unsigned p = 0; p < POOLS; p++) {
        for (unsigned e = 0; e < ends; e++) {
            put_weight(&f, p, e, 1 + (p + e) % 4);
        }
    }
    settle(&f);
    assert_non_null(f.policy.wheels[ADDR_V4]);
    set_up(&f.w, 1, 0, 0);                                          /* a region is dead */
    set_up(&f.w, 2, ((UINT64_C(1) << ends) - 1) & ~(uint64_t)2, 0); /* and another endpoint */
    for (unsigned p = 0; p < POOLS; p++) {
        for (unsigned e = 0; e < ends; e++) {
            bool is_up = (atomic_load(&f.w.groups[p].up[ADDR_V4]) >> e & 1) != 0;
            sum += is_up ? 1 + (p + e) % 4 : 0;
        }
    }
    count_answers(&f, limit, firsts);
    for (unsigned p = 0; p < POOLS; p++) {
        unsigned count = 0;
        uint64_t weight = 0;
        for (unsigned e = 0; e < ends; e++) {
            bool is_up = (atomic_load(&f.w.groups[p].up[ADDR_V4]) >> e & 1) != 0;
            weight += is_up ? 1 + (p + e) % 4 : 0;
            count += firsts[p][e];
        }
        double wanted = (double)CLIENTS * (double)weight / (double)sum;
        assert_true(count > wanted - 350 && count < wanted + 350); /* five deviations */
    }
}

static void many_endpoints_are_drawn_by_weight(void **state)
{
    (void)state;
    check_drawn(4, 1);   /* in one word */
    check_drawn(10, 8);  /* 60 */
    check_drawn(11, 3);  /* 66: in two, and a pool in both */
    check_drawn(37, 16); /* in four */
}

static void few_that_are_left_are_all_found(void **state)
{
    static struct filter_world f;
    static unsigned firsts[POOLS][STEER_ENDPOINTS_MAX];
    (void)state;

    begin_filters(&f, STEER_ALL | STEER_WEIGHT, POOLS, 20);
    f.w.service.max_addresses = 3;
    set_weight(&f, 5, 19, 1000);
    for (unsigned p = 0; p < POOLS; p++) {
        set_up(&f.w, p, p < 3 ? UINT64_C(1) << p : 0, 0); /* three of 120 */
    }
    count_answers(&f, 3, firsts);
}

/* ---- sticking to one of all regions ---- */

static void the_short_ttl_is_for_those_who_would_rather_be_elsewhere(void **state)
{
    struct filter_world f;
    unsigned at[POOLS] = { 0 };
    (void)state;

    begin_filters(&f, STEER_ALL | STEER_STICKY, 3, 2);
    for (unsigned n = 0; n < 300; n++) {
        struct steer_client client = client_at(n << 8, n);
        uint32_t home = choose_for(&f, ADDR_V4, &client).pool;
        at[home]++;
        set_up(&f.w, 1, 0, 0);
        set_held(&f.w, 1, 3, 0); /* it is about to come back */
        struct steer_choice now = choose_for(&f, ADDR_V4, &client);
        assert_true(home == 1 ? now.pool != 1 : now.pool == home); /* others stay */
        assert_int_equal(now.short_ttl, home == 1);
        set_up(&f.w, 1, 3, 0);
        set_held(&f.w, 1, 0, 0);
    }
    for (unsigned p = 0; p < 3; p++) {
        assert_in_range(at[p], 50, 150);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wheel_is_divided_by_weight),
        cmocka_unit_test(a_turn_stops_at_each_lot_by_weight),
        cmocka_unit_test(three_turns_in_a_row_are_independent),
        cmocka_unit_test(many_endpoints_are_drawn_by_weight),
        cmocka_unit_test(few_that_are_left_are_all_found),
        cmocka_unit_test(the_short_ttl_is_for_those_who_would_rather_be_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
