#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/steer_filter_world.h"

#define TABLES  20000u
#define CLIENTS 10000u

/* ---- what holds for any table and client ---- */

/* What the control thread says beside the bits, where it holds. */
static void tell_whole(struct health_group *g)
{
    unsigned up = 0;
    uint64_t degraded = 0;

    for (unsigned family = 0; family < ADDR_FAMILIES; family++) {
        up += (unsigned)__builtin_popcountll(atomic_load(&g->up[family]));
        degraded |= atomic_load(&g->degraded[family]);
    }
    if (up >= g->minimum && degraded == 0) {
        atomic_fetch_or(&g->flags, HEALTH_GROUP_WHOLE);
    }
}

static void roll_filters(struct filter_world *f, struct dice *dice)
{
    static const unsigned all[] = { 0, STEER_ALL, STEER_LATENCY, STEER_CAPACITY };
    bool is_calm = roll(dice, 3) == 0;
    unsigned ill = is_calm ? 0 : 20, hands = is_calm ? 0 : 1, least = is_calm ? 1 : 0;
    unsigned filters = all[roll(dice, 4)];

    filters |= roll(dice, 2) == 0 ? STEER_WEIGHT : 0u;
    filters |= roll(dice, 3) == 0 ? STEER_STICKY : roll(dice, 3) == 0 ? STEER_SHUFFLE : 0u;
    filters |= roll(dice, 3) == 0 ? STEER_TRICKLE : 0u;
    roll_world(&f->w, dice);
    lay_filters(f, filters);
    f->policy.band_us = roll(dice, 20000);
    f->policy.trickle_65536 = roll(dice, WHOLE / 2);
    f->policy.has_load = roll(dice, 2) == 0;
    for (unsigned p = 0; p < f->w.service.pool_count; p++) {
        struct health_group *g = &f->w.groups[p];
        for (unsigned e = 0; e < ENDS; e++) {
            put_weight(f, p, e, least + roll(dice, 4));
        }
        f->shares[p].load = f->policy.has_load ? roll(dice, 1000) : 0;
        f->policy.load_sum += f->shares[p].load;
        atomic_store(&g->capacity, roll(dice, 3) == 0 ? 0 : roll(dice, 1000));
        atomic_store(&g->latency_us, roll(dice, 3) * 10000);
        atomic_store(&g->ramp, roll(dice, WHOLE));
        atomic_store(&g->degraded[ADDR_V4], roll_bits(dice, ENDS, ill));
        atomic_store(&g->degraded[ADDR_V6], roll_bits(dice, ENDS, ill));
        uint32_t flags = roll(dice, 4) == 0 ? HEALTH_GROUP_RAMPING : 0u;
        flags |= roll(dice, 6) == 0 ? HEALTH_GROUP_SHARED : 0u;
        atomic_fetch_or(&g->flags, flags);
        if (is_calm) {
            set_region(&f->w, p, 0);
            atomic_store(&g->flags, 0);
        }
        tell_whole(g);
        for (enum steer_hand hand = 0; hand < STEER_HANDS; hand++) {
            steer_set_hand(&f->w.service, p, hand, roll(dice, 12) < hands);
        }
    }
    f->w.service.max_addresses = 1 + roll(dice, 8);
    settle(f);
}

static bool is_forced_down(const struct filter_world *f, uint32_t pool)
{
    return (atomic_load(&f->w.regions[pool].word) & HEALTH_REGION_FORCED_DOWN) != 0 ||
           steer_has_hand(&f->w.service, pool, STEER_HAND_FORCED_DOWN);
}

static void check_choice(const struct filter_world *f, unsigned family,
                         const struct steer_choice *choice)
{
    uint64_t seen[POOLS] = { 0 };

    for (uint32_t p = 0; p < f->w.service.pool_count; p++) {
        uint64_t bits = bits_of(choice, p);
        assert_true(bits >> f->w.pools[p].counts[family] == 0); /* configured */
        assert_true(bits == 0 || !is_forced_down(f, p));
    }
    assert_true(choice->pick_count <= f->w.service.max_addresses);
    for (unsigned i = 0; i < choice->pick_count; i++) {
        unsigned pool = steer_pick_pool(choice->picks[i]);
        uint64_t bit = UINT64_C(1) << steer_pick_endpoint(choice->picks[i]);
        assert_true((bits_of(choice, pool) & bit) != 0); /* of what was chosen */
        assert_true((seen[pool] & bit) == 0);            /* and once */
        seen[pool] |= bit;
    }
}

/* The same table without filters says which rung it is. */
static unsigned plain_rung(struct filter_world *f, unsigned family, enum steer_result *out)
{
    struct steer_choice choice;

    f->w.service.policy = NULL;
    steer_choose(&f->w.service, family, NULL, &choice);
    f->w.service.policy = &f->policy;
    *out = choice.result;
    return choice.rung;
}

static void filters_choose_among_what_stands_on_the_rung(void **state)
{
    static struct filter_world f;
    struct dice dice = { .state = 4711 };
    (void)state;

    for (unsigned n = 0; n < TABLES; n++) {
        unsigned family = n & 1;
        enum steer_result result;
        roll_filters(&f, &dice);
        struct steer_client client = client_at(roll(&dice, UINT32_MAX), roll(&dice, UINT32_MAX));
        struct steer_choice choice = choose_for(&f, family, &client);
        assert_int_equal(choice.rung, plain_rung(&f, family, &result));
        assert_int_equal(choice.result, result); /* NODATA and all the rest are the ladder's */
        if (choice.result == STEER_ADDRESSES) {
            check_choice(&f, family, &choice);
        }
    }
}

/* The records put at once are those of the choice, also where there is little room. */
static bool check_put(const struct filter_world *f, unsigned family,
                      const struct steer_client *client, uint32_t turn, size_t cap)
{
    uint8_t quick[1024], slow[1024];
    size_t quick_length, slow_length;
    bool quick_cut, slow_cut;
    struct steer_client one = *client, other = *client;
    struct steer_choice choice;

    if (f->w.service.way[family] != STEER_WAY_QUICK) {
        return false;
    }
    int count = steer_put_quick(&f->w.service, family, &one, 12, turn, quick, cap, &quick_length,
                                &quick_cut);
    if (count < 0) {
        return false;
    }
    steer_explain(&f->w.service, family, &other, &choice, NULL); /* the long way */
    assert_int_equal(choice.result, STEER_ADDRESSES);
    assert_int_equal(one.scope_bits, other.scope_bits);
    unsigned again =
        steer_put(&f->w.service, family, &choice, 12, turn, slow, cap, &slow_length, &slow_cut);
    assert_int_equal(count, again);
    assert_int_equal(quick_length, slow_length);
    assert_int_equal(quick_cut, slow_cut);
    assert_memory_equal(quick, slow, slow_length);
    return true;
}

static void what_is_put_at_once_is_what_is_chosen(void **state)
{
    static struct filter_world f;
    struct dice dice = { .state = 815 };
    unsigned put = 0;
    (void)state;

    for (unsigned n = 0; n < TABLES; n++) {
        roll_filters(&f, &dice);
        struct steer_client client = client_at(roll(&dice, UINT32_MAX), roll(&dice, UINT32_MAX));
        size_t cap = roll(&dice, 3) == 0 ? roll(&dice, 200) : 1024;
        put += check_put(&f, n & 1, &client, roll(&dice, UINT32_MAX), cap);
    }
    assert_in_range(put, TABLES / 20, TABLES); /* not all of them call for a closer look */
}

static void nobody_in_particular_is_answered_without_draws(void **state)
{
    static struct filter_world f;
    struct dice dice = { .state = 12 };
    (void)state;

    for (unsigned n = 0; n < TABLES / 4; n++) {
        roll_filters(&f, &dice);
        struct steer_choice choice = choose(&f.w, ADDR_V4);
        assert_true(choice.result != STEER_ADDRESSES || choice.pick_count == 0);
    }
}

/* ---- the order of regions ---- */

static void the_quickest_region_answers_but_near_equals_stay_in_order(void **state)
{
    struct filter_world f;
    (void)state;

    begin_filters(&f, STEER_LATENCY, 3, 2);
    f.policy.band_us = 10000;
    assert_choice(&f.w, ADDR_V4, 1, 0, 3); /* nothing is known */
    atomic_store(&f.w.groups[2].latency_us, 40000);
    assert_choice(&f.w, ADDR_V4, 1, 2, 3); /* what is known is better */
    atomic_store(&f.w.groups[0].latency_us, 60000);
    atomic_store(&f.w.groups[1].latency_us, 50000);
    assert_choice(&f.w, ADDR_V4, 1, 1, 3); /* within the band, and before the quickest */
    atomic_store(&f.w.groups[0].latency_us, 50001);
    assert_choice(&f.w, ADDR_V4, 1, 1, 3);
    set_up(&f.w, 1, 0, 0);
    assert_choice(&f.w, ADDR_V4, 1, 2, 3);
}

static void assert_explained(struct filter_world *f, const char *part)
{
    struct text trace = { 0 };
    struct steer_choice choice;

    steer_explain(&f->w.service, ADDR_V4, NULL, &choice, &trace);
    if (strstr(text_string(&trace), part) == NULL) {
        fail_msg("'%s' is not in:\n%s", part, text_string(&trace));
    }
    text_fini(&trace);
}

static void what_was_measured_of_each_region_is_shown(void **state)
{
    struct filter_world f;
    (void)state;

    begin_filters(&f, STEER_LATENCY, 3, 2);
    f.policy.band_us = 10000;
    assert_explained(&f, "nothing is measured, so the first of them\n");
    atomic_store(&f.w.groups[1].latency_us, 350);
    atomic_store(&f.w.groups[2].latency_us, 41270);
    assert_explained(&f, "latency: seoul not measured, tokyo 0.3ms, singapore 41.2ms; "
                         "band 10.0ms\n");
    assert_explained(&f, "latency: passes tokyo; drops seoul, singapore: the preferred of those "
                         "within the band of the quickest\n");
}

static void all_regions_answer_together(void **state)
{
    struct filter_world f;
    (void)state;

    begin_filters(&f, STEER_ALL, 3, 2);
    set_region(&f.w, 1, gate_1);
    struct steer_choice choice = choose(&f.w, ADDR_V4);
    assert_true(choice.rung == 1 && choice.several && !choice.short_ttl);
    assert_true(choice.bits_of[0] == 3 && choice.bits_of[1] == 0 && choice.bits_of[2] == 3);
}

/* ---- who takes the answer ---- */

/* How many of CLIENTS, each with a turn and an address of its own, get to each pool first. */
static void count_pools(const struct filter_world *f, unsigned counts[POOLS])
{
    struct dice dice = { .state = 99 };

    memset(counts, 0, POOLS * sizeof(*counts));
    for (unsigned n = 0; n < CLIENTS; n++) {
        struct steer_client client =
            client_at(roll(&dice, UINT32_MAX), roll(&dice, UINT32_MAX) << 1 ^ n);
        struct steer_choice choice;
        steer_choose(&f->w.service, ADDR_V4, &client, &choice);
        assert_int_equal(choice.result, STEER_ADDRESSES);
        counts[choice.pick_count > 0 ? steer_pick_pool(choice.picks[0]) : choice.pool]++;
    }
}

static void assert_near(unsigned count, double share)
{
    double wanted = share * CLIENTS;

    double room = 5 * 0.5 * 100; /* five standard deviations, of at most sqrt(CLIENTS) / 2 */
    assert_true((double)count > wanted - room && (double)count < wanted + room);
}

static void a_region_that_came_back_takes_its_ramp(void **state)
{
    unsigned counts[POOLS];
    struct filter_world f;
    (void)state;

    begin_filters(&f, STEER_WEIGHT, 2, 2);
    atomic_store(&f.w.groups[0].flags, HEALTH_GROUP_RAMPING);
    atomic_store(&f.w.groups[0].ramp, WHOLE / 4);
    count_pools(&f, counts);
    assert_near(counts[0], 0.25);
    assert_near(counts[1], 0.75);
    assert_true(choose(&f.w, ADDR_V4).short_ttl);
    set_up(&f.w, 1, 0, 0); /* nobody else is there: all of it */
    count_pools(&f, counts);
    assert_int_equal(counts[0], CLIENTS);
}

static void a_service_without_filters_ramps_as_well(void **state)
{
    unsigned counts[POOLS];
    struct filter_world f;
    (void)state;

    begin_filters(&f, 0, 3, 2);
    f.w.service.policy = NULL;
    f.w.service.way[ADDR_V4] = STEER_WAY_DIRECT;
    atomic_store(&f.w.groups[0].flags, HEALTH_GROUP_RAMPING);
    atomic_store(&f.w.groups[0].ramp, WHOLE / 2);
    count_pools(&f, counts);
    assert_near(counts[0], 0.5);
    assert_near(counts[1], 0.5);
    assert_int_equal(counts[2], 0);
}

static void a_shared_region_answers_with_the_next_one(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 3, 2, 0, 1);
    for (unsigned i = 0; i < 3; i++) {
        set_up(&w, i, 3, 0);
    }
    atomic_store(&w.groups[0].flags, HEALTH_GROUP_SHARED);
    struct steer_choice choice = choose(&w, ADDR_V4);
    assert_true(choice.several && choice.short_ttl && choice.rung == 1);
    assert_true(choice.bits_of[0] == 3 && choice.bits_of[1] == 3 && choice.bits_of[2] == 0);
    atomic_store(&w.groups[0].flags, 0);
    set_region(&w, 0, HEALTH_REGION_SHARED);
    assert_true(choose(&w, ADDR_V4).bits_of[1] == 3);
    set_up(&w, 1, 0, 0);
    set_up(&w, 2, 0, 0);
    assert_choice(&w, ADDR_V4, 1, 0, 3); /* there is nobody to share with */
}

static void a_trickle_keeps_the_next_region_proven(void **state)
{
    unsigned counts[POOLS];
    struct filter_world f;
    (void)state;

    begin_filters(&f, STEER_TRICKLE, 3, 2);
    f.policy.trickle_65536 = WHOLE / 10;
    count_pools(&f, counts);
    assert_near(counts[0], 0.9);
    assert_near(counts[1], 0.1);
    assert_int_equal(counts[2], 0);
    set_region(&f.w, 1, gate_1); /* the next one that stands on the first rung */
    count_pools(&f, counts);
    assert_near(counts[2], 0.1);
    set_region(&f.w, 2, HEALTH_REGION_DRAINED);
    count_pools(&f, counts);
    assert_int_equal(counts[0], CLIENTS);
}

/* ---- the hand ---- */

static void the_hand_demotes_excludes_and_raises(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 2, 0, 1);
    set_up(&w, 0, 3, 0);
    set_up(&w, 1, 3, 0);
    steer_set_hand(&w.service, 0, STEER_HAND_PARKED, true);
    assert_choice(&w, ADDR_V4, 1, 1, 3);
    assert_false(choose(&w, ADDR_V4).short_ttl); /* it does not come back by itself */
    set_up(&w, 1, 0, 0);
    assert_choice(&w, ADDR_V4, 2, 0, 3);
    steer_set_hand(&w.service, 0, STEER_HAND_PARKED, false);
    assert_choice(&w, ADDR_V4, 1, 0, 3);
    steer_set_hand(&w.service, 0, STEER_HAND_DRAINED, true);
    assert_choice(&w, ADDR_V4, 5, 0, 3);
    steer_set_hand(&w.service, 1, STEER_HAND_FORCED_UP, true);
    assert_choice(&w, ADDR_V4, 1, 1, 3); /* with all its endpoints, whatever the checks say */
    steer_set_hand(&w.service, 1, STEER_HAND_FORCED_DOWN, true);
    assert_choice(&w, ADDR_V4, 5, 0, 3);
    steer_set_hand(&w.service, 0, STEER_HAND_FORCED_DOWN, true);
    assert_result(&w, ADDR_V4, STEER_SERVFAIL);
    for (uint32_t p = 0; p < 2; p++) {
        for (enum steer_hand hand = 0; hand < STEER_HANDS; hand++) {
            steer_set_hand(&w.service, p, hand, false);
        }
    }
    assert_int_equal(w.service.way[ADDR_V4], STEER_WAY_DIRECT);
    assert_choice(&w, ADDR_V4, 1, 0, 3);
}

static void an_endpoint_forced_down_stays_out_of_what_is_forced_up(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 2, 0, 1);
    set_up(&w, 0, 3, 0);
    steer_set_hand(&w.service, 1, STEER_HAND_FORCED_UP, true);
    set_region(&w, 0, gate_1);
    atomic_store(&w.groups[1].barred[ADDR_V4], 1);
    assert_choice(&w, ADDR_V4, 1, 1, 2);
    atomic_store(&w.groups[1].barred[ADDR_V4], 3);
    assert_choice(&w, ADDR_V4, 4, 0, 3);
    set_up(&w, 0, 0, 0);
    assert_result(&w, ADDR_V4, STEER_SERVFAIL); /* nothing is up: on_all_down */
}

static void a_region_forced_up_is_in_whatever_its_checks_say(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 2, 0, 1);
    set_up(&w, 0, 1, 0);
    set_up(&w, 1, 3, 0);
    set_region(&w, 0, gate_1 | HEALTH_REGION_DRAINED | HEALTH_REGION_FORCED_UP);
    assert_choice(&w, ADDR_V4, 1, 0, 1);
    set_region(&w, 0, HEALTH_REGION_FORCED_DOWN | HEALTH_REGION_FORCED_UP);
    assert_choice(&w, ADDR_V4, 1, 1, 3);
}

/* ---- endpoints ---- */

static void degraded_endpoints_answer_when_none_is_well(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 3, 0, 1);
    set_up(&w, 0, 7, 0);
    set_up(&w, 1, 7, 0);
    atomic_store(&w.groups[0].degraded[ADDR_V4], 3);
    assert_choice(&w, ADDR_V4, 1, 0, 4);
    atomic_store(&w.groups[0].degraded[ADDR_V4], 7);
    assert_choice(&w, ADDR_V4, 1, 0, 7); /* the region is not left for that */
}

/* How often each endpoint of pool 0 stands first. */
static void count_first(const struct filter_world *f, unsigned counts[ENDS])
{
    struct dice dice = { .state = 5 };

    memset(counts, 0, ENDS * sizeof(*counts));
    for (unsigned n = 0; n < CLIENTS; n++) {
        struct steer_client client =
            client_at(roll(&dice, UINT32_MAX) << 1, roll(&dice, UINT32_MAX) << 1 ^ n);
        struct steer_choice choice;
        steer_choose(&f->w.service, ADDR_V4, &client, &choice);
        assert_true(choice.pick_count > 0);
        assert_int_equal(steer_pick_pool(choice.picks[0]), 0);
        counts[steer_pick_endpoint(choice.picks[0])]++;
    }
}

static void check_weights(unsigned filters)
{
    unsigned counts[ENDS];
    struct filter_world f;

    begin_filters(&f, filters, 1, 4);
    for (unsigned e = 0; e < 4; e++) {
        set_weight(&f, 0, e, e + 1);
    }
    count_first(&f, counts);
    for (unsigned e = 0; e < 4; e++) {
        assert_near(counts[e], (e + 1) / 10.0);
    }
    set_up(&f.w, 0, 9, 0); /* the others are dead */
    count_first(&f, counts);
    assert_near(counts[0], 0.2);
    assert_near(counts[3], 0.8);
    set_weight(&f, 0, 3, 0); /* only when nothing else is there */
    count_first(&f, counts);
    assert_int_equal(counts[0], CLIENTS);
    set_up(&f.w, 0, 8, 0);
    count_first(&f, counts);
    assert_int_equal(counts[3], CLIENTS);
}

static void endpoints_are_drawn_by_weight(void **state)
{
    (void)state;
    check_weights(STEER_WEIGHT);
    check_weights(STEER_WEIGHT | STEER_STICKY);
}

static void weights_count_over_all_regions_together(void **state)
{
    unsigned counts[POOLS];
    struct filter_world f;
    (void)state;

    begin_filters(&f, STEER_ALL | STEER_WEIGHT, 3, 2);
    set_weight(&f, 0, 0, 5);
    set_weight(&f, 1, 1, 0);
    count_pools(&f, counts);
    assert_near(counts[0], 6 / 9.0);
    assert_near(counts[1], 1 / 9.0);
    assert_near(counts[2], 2 / 9.0);
}

static void a_shuffle_is_even(void **state)
{
    unsigned counts[ENDS];
    struct filter_world f;
    (void)state;

    begin_filters(&f, STEER_SHUFFLE, 1, 4);
    set_weight(&f, 0, 0, 100); /* means nothing here */
    count_first(&f, counts);
    for (unsigned e = 0; e < 4; e++) {
        assert_near(counts[e], 0.25);
    }
}

static uint16_t first_pick(const struct filter_world *f, uint32_t address, uint32_t turn)
{
    struct steer_client client = client_at(address, turn);
    struct steer_choice choice;

    steer_choose(&f->w.service, ADDR_V4, &client, &choice);
    assert_true(choice.pick_count > 0);
    return choice.picks[0];
}

static void a_client_sticks_until_its_endpoint_leaves(void **state)
{
    struct filter_world f;
    unsigned moved = 0;
    (void)state;

    begin_filters(&f, STEER_ALL | STEER_STICKY, 3, 4);
    for (uint32_t n = 0; n < CLIENTS; n++) {
        uint32_t address = n * 65599u << 8;
        uint16_t before = first_pick(&f, address | 1, n);
        assert_int_equal(first_pick(&f, address | 77, n + 5), before); /* of the same prefix */
        set_up(&f.w, 1, 0xd, 0);
        uint16_t after = first_pick(&f, address, 3);
        if (before == steer_pick(1, 1)) {
            assert_int_equal(steer_pick_pool(after), 1);
            assert_true(after != before);
            moved++;
        } else {
            assert_int_equal(after, before);
        }
        set_up(&f.w, 1, 0xf, 0);
        set_region(&f.w, 2, gate_1); /* now a whole region */
        after = first_pick(&f, address, 3);
        assert_true(steer_pick_pool(before) == 2 ? steer_pick_pool(after) != 2 : after == before);
        set_region(&f.w, 2, 0);
    }
    assert_near(moved, 1 / 12.0);
}

static void the_scope_is_the_prefix_that_sticks(void **state)
{
    struct filter_world f;
    (void)state;

    begin_filters(&f, STEER_STICKY, 1, 4);
    struct steer_client client = client_at(0x0a000001, 0);
    struct steer_choice choice;
    steer_choose(&f.w.service, ADDR_V4, &client, &choice);
    assert_int_equal(client.scope_bits, 24);
    client.known_bits = 16;
    steer_choose(&f.w.service, ADDR_V4, &client, &choice);
    assert_int_equal(client.scope_bits, 16);
    f.policy.filters = STEER_WEIGHT;
    steer_choose(&f.w.service, ADDR_V4, &client, &choice);
    assert_int_equal(client.scope_bits, 0);
}

/* ---- the TTL ---- */

static void what_is_about_to_come_back_shortens_the_ttl(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 3, 2, 0, 1);
    set_up(&w, 1, 3, 0);
    set_up(&w, 2, 3, 0);
    assert_false(choose(&w, ADDR_V4).short_ttl); /* seoul is dead, not about to return */
    set_held(&w, 0, 1, 0);
    assert_choice(&w, ADDR_V4, 1, 1, 3);
    assert_true(choose(&w, ADDR_V4).short_ttl);
    set_held(&w, 0, 0, 0);
    set_region(&w, 2, HEALTH_REGION_HELD); /* not preferred: no difference */
    assert_false(choose(&w, ADDR_V4).short_ttl);
    set_up(&w, 0, 3, 0);
    set_region(&w, 0, HEALTH_REGION_HELD);
    assert_true(choose(&w, ADDR_V4).short_ttl);
    set_region(&w, 0, gate_1);
    assert_false(choose(&w, ADDR_V4).short_ttl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_choose_among_what_stands_on_the_rung),
        cmocka_unit_test(what_is_put_at_once_is_what_is_chosen),
        cmocka_unit_test(nobody_in_particular_is_answered_without_draws),
        cmocka_unit_test(the_quickest_region_answers_but_near_equals_stay_in_order),
        cmocka_unit_test(what_was_measured_of_each_region_is_shown),
        cmocka_unit_test(all_regions_answer_together),
        cmocka_unit_test(a_region_that_came_back_takes_its_ramp),
        cmocka_unit_test(a_service_without_filters_ramps_as_well),
        cmocka_unit_test(a_shared_region_answers_with_the_next_one),
        cmocka_unit_test(a_trickle_keeps_the_next_region_proven),
        cmocka_unit_test(the_hand_demotes_excludes_and_raises),
        cmocka_unit_test(an_endpoint_forced_down_stays_out_of_what_is_forced_up),
        cmocka_unit_test(a_region_forced_up_is_in_whatever_its_checks_say),
        cmocka_unit_test(degraded_endpoints_answer_when_none_is_well),
        cmocka_unit_test(endpoints_are_drawn_by_weight),
        cmocka_unit_test(weights_count_over_all_regions_together),
        cmocka_unit_test(a_shuffle_is_even),
        cmocka_unit_test(a_client_sticks_until_its_endpoint_leaves),
        cmocka_unit_test(the_scope_is_the_prefix_that_sticks),
        cmocka_unit_test(what_is_about_to_come_back_shortens_the_ttl),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
