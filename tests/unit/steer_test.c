#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "policy/steer.h"
#include "zones/wire.h"

#define POOLS   6
#define ENDS    5 /* per pool and family at most */
#define CASES   300000u
#define NORMAL  30u
#define SUSPECT 5u

/* A service by hand: regions, groups and records lie beside it. */
struct world {
    struct health_region regions[POOLS];
    struct health_group groups[POOLS];
    struct steer_pool pools[POOLS];
    uint8_t records[POOLS][ADDR_FAMILIES][STEER_ENDPOINTS_MAX * 28];
    uint8_t fallback[ADDR_FAMILIES][2 * 28];
    struct steer_memory memory;
    struct steer_service service;
};

static const char *const names[POOLS] = { "seoul",  "tokyo",  "singapore",
                                          "sydney", "mumbai", "frankfurt" };

/* The address of endpoint `end` of pool `pool`; "pool" 99 is the fallback's. */
static struct addr address_of(unsigned pool, unsigned family, unsigned end)
{
    struct addr address = { .family = (uint8_t)family };

    address.bytes[0] = family == ADDR_V4 ? 10 : 0x20;
    address.bytes[1] = (uint8_t)pool;
    address.bytes[family == ADDR_V4 ? 3 : 15] = (uint8_t)(end + 1);
    return address;
}

static void add_records(uint8_t *out, unsigned pool, unsigned family, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct addr address = address_of(pool, family, i);
        steer_record_put(out + i * steer_record_bytes(family), &address, NORMAL);
    }
}

static void set_pool(struct world *w, unsigned pool, unsigned v4, unsigned v6, unsigned minimum)
{
    struct steer_pool *p = &w->pools[pool];

    p->region = &w->regions[pool];
    p->group = &w->groups[pool];
    p->region_name = names[pool];
    p->region_index = pool;
    p->counts[ADDR_V4] = (uint8_t)v4;
    p->counts[ADDR_V6] = (uint8_t)v6;
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        p->records[f] = w->records[pool][f];
        add_records(w->records[pool][f], pool, f, p->counts[f]);
        w->service.has_family[f] = w->service.has_family[f] || p->counts[f] > 0;
    }
    w->groups[pool].minimum = minimum;
}

static void begin(struct world *w, unsigned pools, unsigned v4, unsigned v6, unsigned minimum)
{
    memset(w, 0, sizeof(*w));
    w->service.name = "api.svc.example.com";
    w->service.pools = w->pools;
    w->service.pool_count = pools;
    w->service.ttl_normal_s = NORMAL;
    w->service.ttl_suspect_s = SUSPECT;
    w->service.max_addresses = 8;
    w->service.on_all_down = MODEL_ALL_DOWN_SERVFAIL;
    w->service.memory = &w->memory;
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        w->service.fallback[f] = w->fallback[f];
    }
    for (unsigned i = 0; i < pools; i++) {
        set_pool(w, i, v4, v6, minimum);
    }
}

static void set_region(struct world *w, unsigned pool, uint32_t flags)
{
    atomic_store(&w->regions[pool].word, flags);
}

static void set_up(struct world *w, unsigned pool, uint64_t v4, uint64_t v6)
{
    atomic_store(&w->groups[pool].up[ADDR_V4], v4);
    atomic_store(&w->groups[pool].up[ADDR_V6], v6);
}

static void set_held(struct world *w, unsigned pool, uint64_t v4, uint64_t v6)
{
    atomic_store(&w->groups[pool].held[ADDR_V4], v4);
    atomic_store(&w->groups[pool].held[ADDR_V6], v6);
}

static void set_proven(struct world *w, unsigned pool, uint32_t epoch, uint64_t v4, uint64_t v6)
{
    atomic_store(&w->groups[pool].proven[ADDR_V4], v4);
    atomic_store(&w->groups[pool].proven[ADDR_V6], v6);
    atomic_store(&w->groups[pool].flags, epoch << HEALTH_EPOCH_SHIFT);
}

static const uint32_t gate_1 = HEALTH_REGION_GATED | 1u << HEALTH_EPOCH_SHIFT;

/* Choose, and see that the explanation is of the same choice. */
static struct steer_choice choose(const struct world *w, unsigned family)
{
    struct steer_choice choice, explained;
    struct text trace = { 0 };

    memset(&choice, 0xaa, sizeof(choice));
    memset(&explained, 0x55, sizeof(explained));
    steer_choose(&w->service, family, &choice);
    steer_explain(&w->service, family, &explained, &trace);
    assert_int_equal(choice.result, explained.result);
    assert_int_equal(choice.rung, explained.rung);
    assert_int_equal(choice.short_ttl, explained.short_ttl);
    if (choice.result == STEER_ADDRESSES) {
        assert_int_equal(choice.several, explained.several);
        for (uint32_t i = 0; i < w->service.pool_count && choice.several; i++) {
            assert_true(choice.bits_of[i] == explained.bits_of[i]);
        }
        if (!choice.several) {
            assert_int_equal(choice.pool, explained.pool);
            assert_true(choice.bits == explained.bits);
        }
    }
    assert_true(trace.length > 0);
    text_fini(&trace);
    return choice;
}

/* The bits chosen of one pool. */
static uint64_t bits_of(const struct steer_choice *choice, uint32_t pool)
{
    if (choice->result != STEER_ADDRESSES) {
        return 0;
    }
    return choice->several ? choice->bits_of[pool] : choice->pool == pool ? choice->bits : 0;
}

static void assert_choice(const struct world *w, unsigned family, unsigned rung, unsigned pool,
                          uint64_t bits)
{
    struct steer_choice choice = choose(w, family);

    assert_int_equal(choice.result, STEER_ADDRESSES);
    assert_int_equal(choice.rung, rung);
    assert_true(bits_of(&choice, pool) == bits);
    for (uint32_t i = 0; i < w->service.pool_count && !choice.several; i++) {
        assert_true(i == pool || bits_of(&choice, i) == 0);
    }
}

static void assert_result(const struct world *w, unsigned family, enum steer_result result)
{
    assert_int_equal(choose(w, family).result, result);
}

/* ---- each rung ---- */

static void the_first_region_that_is_in_answers(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 3, 2, 0, 1);
    for (unsigned i = 0; i < 3; i++) {
        set_up(&w, i, 3, 0);
    }
    assert_choice(&w, ADDR_V4, 1, 0, 3);
    assert_false(choose(&w, ADDR_V4).short_ttl);
    set_up(&w, 0, 2, 0);
    assert_choice(&w, ADDR_V4, 1, 0, 2);
    set_up(&w, 0, 0, 0);
    assert_choice(&w, ADDR_V4, 1, 1, 3);
    set_region(&w, 1, gate_1);
    assert_choice(&w, ADDR_V4, 1, 2, 3);
}

static void a_region_below_its_minimum_is_passed_over(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 3, 0, 2);
    set_up(&w, 0, 4, 0);
    set_up(&w, 1, 6, 0);
    assert_choice(&w, ADDR_V4, 1, 1, 6);
    set_up(&w, 0, 5, 0);
    assert_choice(&w, ADDR_V4, 1, 0, 5);
}

static void both_families_count_for_the_minimum(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 2, 2, 3);
    set_up(&w, 0, 3, 1);
    set_up(&w, 1, 3, 3);
    assert_choice(&w, ADDR_V4, 1, 0, 3);
    assert_choice(&w, ADDR_V6, 1, 0, 1);
    set_up(&w, 0, 2, 1);
    assert_choice(&w, ADDR_V4, 1, 1, 3);
}

static void hold_down_is_second_choice(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 2, 0, 1);
    set_up(&w, 0, 3, 0);
    set_up(&w, 1, 3, 0);
    set_region(&w, 0, HEALTH_REGION_HELD);
    assert_choice(&w, ADDR_V4, 1, 1, 3); /* seoul waits while tokyo is in */
    set_up(&w, 1, 0, 0);
    assert_choice(&w, ADDR_V4, 2, 0, 3); /* but it answers when nothing better does */
    assert_true(choose(&w, ADDR_V4).short_ttl);

    set_region(&w, 0, 0);
    set_up(&w, 0, 0, 0);
    set_held(&w, 0, 1, 0);
    assert_choice(&w, ADDR_V4, 2, 0, 1); /* the same when its endpoints are held */
    set_held(&w, 1, 2, 0);
    assert_choice(&w, ADDR_V4, 2, 0, 1);
    set_held(&w, 0, 0, 0);
    assert_choice(&w, ADDR_V4, 2, 1, 2);
}

static void a_gated_region_needs_proof_made_since(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 2, 0, 1);
    set_up(&w, 0, 3, 0);
    set_region(&w, 0, gate_1);
    assert_choice(&w, ADDR_V4, 4, 0, 3); /* no proof yet: not more than alive */
    set_proven(&w, 0, 1, 2, 0);
    assert_choice(&w, ADDR_V4, 3, 0, 2);
    set_region(&w, 0, HEALTH_REGION_GATED | 2u << HEALTH_EPOCH_SHIFT);
    assert_choice(&w, ADDR_V4, 4, 0, 3); /* what was proven before this gate counts no more */
    set_proven(&w, 0, 2, 3, 0);
    assert_choice(&w, ADDR_V4, 3, 0, 3);
    set_up(&w, 0, 1, 0);
    assert_choice(&w, ADDR_V4, 3, 0, 1); /* proven, but it died after that */
    set_up(&w, 1, 1, 0);
    assert_choice(&w, ADDR_V4, 1, 1, 1);
}

static void a_gate_alone_never_decides(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 3, 2, 0, 1);
    set_up(&w, 0, 3, 0);
    set_region(&w, 0, gate_1);
    /* the others are in, but their endpoints are dead */
    assert_choice(&w, ADDR_V4, 4, 0, 3);
    set_region(&w, 1, gate_1);
    set_region(&w, 2, gate_1);
    set_up(&w, 1, 1, 0);
    struct steer_choice choice = choose(&w, ADDR_V4);
    assert_int_equal(choice.rung, 4);
    assert_true(choice.bits_of[0] == 3 && choice.bits_of[1] == 1 && choice.bits_of[2] == 0);
}

static void a_region_that_proves_itself_stays_first_when_gated(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 2, 0, 1);
    set_up(&w, 0, 3, 0);
    set_up(&w, 1, 3, 0);
    set_proven(&w, 0, 0, 3, 0); /* passing, whatever the epoch */
    set_region(&w, 0, gate_1 | HEALTH_REGION_PROVE);
    assert_choice(&w, ADDR_V4, 1, 0, 3);
    set_up(&w, 0, 2, 0);
    assert_choice(&w, ADDR_V4, 1, 0, 2);
    set_proven(&w, 0, 0, 0, 0);
    assert_choice(&w, ADDR_V4, 1, 1, 3);
    /* proof excuses a gate, not a drain */
    set_proven(&w, 0, 0, 3, 0);
    set_region(&w, 0, gate_1 | HEALTH_REGION_PROVE | HEALTH_REGION_DRAINED);
    assert_choice(&w, ADDR_V4, 1, 1, 3);
}

static void below_every_minimum_all_that_is_up_answers_together(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 3, 3, 0, 2);
    set_up(&w, 0, 1, 0);
    set_up(&w, 2, 4, 0);
    set_held(&w, 1, 1, 0);
    struct steer_choice choice = choose(&w, ADDR_V4);
    assert_int_equal(choice.rung, 4);
    assert_true(choice.several && choice.short_ttl);
    assert_true(choice.bits_of[0] == 1 && choice.bits_of[1] == 0 && choice.bits_of[2] == 4);
    set_up(&w, 0, 0, 0);
    set_up(&w, 2, 0, 0);
    choice = choose(&w, ADDR_V4); /* who is in hold_down is better than nobody */
    assert_int_equal(choice.rung, 4);
    assert_true(choice.bits_of[1] == 1);
}

static void a_drained_region_is_the_last_that_lives(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 2, 0, 1);
    set_up(&w, 0, 3, 0);
    set_region(&w, 0, HEALTH_REGION_DRAINED);
    set_held(&w, 1, 1, 0);
    assert_choice(&w, ADDR_V4, 2, 1, 1);
    set_region(&w, 1, gate_1);
    assert_choice(&w, ADDR_V4, 4, 1, 1);
    set_held(&w, 1, 0, 0);
    assert_choice(&w, ADDR_V4, 5, 0, 3);
    set_up(&w, 0, 0, 0);
    set_held(&w, 0, 2, 0);
    assert_choice(&w, ADDR_V4, 5, 0, 2);
}

static void force_down_is_absolute(void **state)
{
    static const enum model_all_down modes[] = { MODEL_ALL_DOWN_LAST_GOOD, MODEL_ALL_DOWN_ALL };
    struct world w;
    (void)state;

    for (size_t m = 0; m < 2; m++) {
        begin(&w, 2, 2, 0, 1);
        w.service.on_all_down = modes[m];
        set_up(&w, 0, 3, 0);
        steer_remember(&w.service); /* seoul is remembered */
        set_region(&w, 0, HEALTH_REGION_FORCED_DOWN | HEALTH_REGION_PROVE | gate_1);
        set_proven(&w, 0, 1, 3, 0);
        assert_choice(&w, ADDR_V4, 6, 1, 3); /* all of tokyo, dead as it is */
        set_region(&w, 1, HEALTH_REGION_FORCED_DOWN);
        assert_result(&w, ADDR_V4, STEER_SERVFAIL);
    }
}

/* ---- address families ---- */

static void each_family_takes_the_first_region_that_has_it(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 2, 1, 1);
    set_up(&w, 0, 3, 0);
    set_up(&w, 1, 3, 1);
    assert_choice(&w, ADDR_V4, 1, 0, 3);
    assert_choice(&w, ADDR_V6, 1, 1, 1);
    set_region(&w, 1, gate_1);
    assert_choice(&w, ADDR_V6, 4, 1, 1); /* a lower rung rather than nothing */
}

static void a_family_without_anything_up_gets_nodata_while_another_lives(void **state)
{
    static const enum model_all_down modes[] = {
        MODEL_ALL_DOWN_LAST_GOOD, MODEL_ALL_DOWN_ALL, MODEL_ALL_DOWN_SERVFAIL,
        MODEL_ALL_DOWN_FALLBACK,
    };
    (void)state;

    for (size_t m = 0; m < 4; m++) {
        struct world w;
        begin(&w, 2, 2, 2, 1);
        w.service.on_all_down = modes[m];
        set_region(&w, 0, HEALTH_REGION_DRAINED);
        set_up(&w, 0, 1, 0); /* even the last of the rungs */
        assert_choice(&w, ADDR_V4, 5, 0, 1);
        assert_result(&w, ADDR_V6, STEER_NODATA);
        assert_true(choose(&w, ADDR_V6).short_ttl);
        set_region(&w, 0, HEALTH_REGION_FORCED_DOWN); /* but what is forced down does not live */
        assert_true(choose(&w, ADDR_V6).rung == 6);
    }
}

/* ---- on_all_down ---- */

static void when_all_is_down_the_configured_thing_happens(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 2, 1, 1);
    assert_result(&w, ADDR_V4, STEER_SERVFAIL);

    w.service.on_all_down = MODEL_ALL_DOWN_ALL;
    struct steer_choice choice = choose(&w, ADDR_V4);
    assert_int_equal(choice.result, STEER_ADDRESSES);
    assert_true(choice.several && choice.short_ttl && choice.rung == 6);
    assert_true(choice.bits_of[0] == 3 && choice.bits_of[1] == 3);

    w.service.on_all_down = MODEL_ALL_DOWN_FALLBACK;
    w.service.fallback_counts[ADDR_V4] = 1;
    assert_result(&w, ADDR_V4, STEER_FALLBACK);
    assert_result(&w, ADDR_V6, STEER_NODATA); /* there is none of that family */

    w.service.on_all_down = MODEL_ALL_DOWN_LAST_GOOD;
    choice = choose(&w, ADDR_V4); /* nothing is remembered: all */
    assert_true(choice.bits_of[0] == 3 && choice.bits_of[1] == 3);
}

static void the_last_good_set_is_remembered(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 3, 2, 1);
    w.service.on_all_down = MODEL_ALL_DOWN_LAST_GOOD;
    set_up(&w, 0, 7, 1);
    set_up(&w, 1, 7, 3);
    steer_remember(&w.service);
    set_up(&w, 0, 0, 0);
    set_up(&w, 1, 5, 2);
    steer_remember(&w.service); /* tokyo now */
    set_region(&w, 0, gate_1);
    set_region(&w, 1, gate_1);
    set_up(&w, 1, 1, 0);
    steer_remember(&w.service); /* rung 4 is not good */
    set_up(&w, 1, 0, 0);
    steer_remember(&w.service);
    assert_choice(&w, ADDR_V4, 6, 1, 5);
    assert_choice(&w, ADDR_V6, 6, 1, 2);
}

static void families_are_remembered_where_each_was(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 0, 0, 1);
    set_pool(&w, 0, 2, 0, 1);
    set_pool(&w, 1, 0, 2, 1);
    w.service.on_all_down = MODEL_ALL_DOWN_LAST_GOOD;
    set_up(&w, 0, 1, 0);
    set_up(&w, 1, 0, 2);
    steer_remember(&w.service);
    set_up(&w, 0, 0, 0);
    set_up(&w, 1, 0, 0);
    assert_choice(&w, ADDR_V4, 6, 0, 1);
    assert_choice(&w, ADDR_V6, 6, 1, 2);
}

static void a_family_that_was_not_answered_last_stays_unanswered(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 1, 2, 2, 1);
    w.service.on_all_down = MODEL_ALL_DOWN_LAST_GOOD;
    set_up(&w, 0, 3, 3);
    steer_remember(&w.service);
    set_up(&w, 0, 3, 0);
    steer_remember(&w.service);
    set_up(&w, 0, 0, 0);
    assert_choice(&w, ADDR_V4, 6, 0, 3);
    assert_result(&w, ADDR_V6, STEER_NODATA);
}

static void memory_is_inherited_by_region_and_address(void **state)
{
    struct world old, w;
    (void)state;

    begin(&old, 2, 4, 1, 1);
    set_up(&old, 0, 0, 0);
    set_up(&old, 1, 0xb, 1); /* tokyo's endpoints 0, 1 and 3 */
    steer_remember(&old.service);

    /* tokyo comes first now, has lost endpoint 0, and the others moved */
    begin(&w, 2, 1, 0, 1);
    set_pool(&w, 0, 3, 0, 1);
    w.pools[0].region_name = names[1];
    w.pools[1].region_name = names[0];
    for (unsigned i = 0; i < 3; i++) {
        struct addr address = address_of(1, ADDR_V4, 3 - i);
        steer_record_put(w.records[0][ADDR_V4] + i * 16, &address, NORMAL);
    }
    w.service.on_all_down = MODEL_ALL_DOWN_LAST_GOOD;
    steer_inherit(&w.service, &old.service);
    assert_choice(&w, ADDR_V4, 6, 0, 5); /* 3 and 1; 2 was dead then, too */

    /* a region that is gone leaves nothing: all */
    w.pools[0].region_name = names[2];
    steer_inherit(&w.service, &old.service);
    struct steer_choice choice = choose(&w, ADDR_V4);
    assert_true(choice.several && choice.bits_of[0] == 7 && choice.bits_of[1] == 1);

    /* and so do endpoints that are all gone */
    w.pools[0].region_name = names[1];
    add_records(w.records[0][ADDR_V4], 50, ADDR_V4, 3);
    steer_inherit(&w.service, &old.service);
    assert_true(choose(&w, ADDR_V4).several);
}

/* ---- the same again, from the rules, for tables at random ---- */

struct dice {
    uint64_t state;
};

static uint32_t roll(struct dice *dice, uint32_t n)
{
    dice->state = dice->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((dice->state >> 33) % n);
}

/* Bits below `count`, sparse or dense. */
static uint64_t roll_bits(struct dice *dice, unsigned count, uint32_t percent)
{
    uint64_t bits = 0;

    for (unsigned i = 0; i < count; i++) {
        bits |= (uint64_t)(roll(dice, 100) < percent) << i;
    }
    return bits;
}

static uint32_t roll_region(struct dice *dice)
{
    uint32_t word = roll(dice, 3) << HEALTH_EPOCH_SHIFT;

    word |= roll(dice, 3) == 0 ? HEALTH_REGION_GATED : roll(dice, 4) == 0 ? HEALTH_REGION_HELD : 0u;
    word |= roll(dice, 5) == 0 ? HEALTH_REGION_DRAINED : 0u;
    word |= roll(dice, 6) == 0 ? HEALTH_REGION_FORCED_DOWN : 0u;
    word |= roll(dice, 4) == 0 ? HEALTH_REGION_PROVE : 0u;
    word |= roll(dice, 8) == 0 ? HEALTH_REGION_SUSPECT : 0u;
    return word;
}

static void roll_words(struct world *w, struct dice *dice)
{
    uint32_t alive = roll(dice, 3) == 0 ? 5 : 50;

    for (unsigned i = 0; i < w->service.pool_count; i++) {
        uint64_t up[ADDR_FAMILIES], held[ADDR_FAMILIES], proven[ADDR_FAMILIES];
        for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
            unsigned count = w->pools[i].counts[f];
            up[f] = roll_bits(dice, count, alive);
            held[f] = roll_bits(dice, count, alive / 2) & ~up[f];
            proven[f] = roll_bits(dice, count, 50) & (up[f] | held[f]);
        }
        set_region(w, i, roll_region(dice));
        set_up(w, i, up[0], up[1]);
        set_held(w, i, held[0], held[1]);
        set_proven(w, i, roll(dice, 3), proven[0], proven[1]);
        if (roll(dice, 8) == 0) {
            atomic_fetch_or(&w->groups[i].flags, HEALTH_GROUP_SUSPECT);
        }
    }
}

static void roll_world(struct world *w, struct dice *dice)
{
    unsigned pools = 1 + roll(dice, POOLS);

    begin(w, pools, 0, 0, 1);
    for (unsigned i = 0; i < pools; i++) {
        unsigned v4 = roll(dice, ENDS + 1), v6 = roll(dice, 3) == 0 ? roll(dice, ENDS + 1) : 0;
        v4 += v4 + v6 == 0;
        set_pool(w, i, v4, v6, 1 + roll(dice, v4 + v6));
    }
    w->service.on_all_down = (enum model_all_down)roll(dice, 4);
    w->service.fallback_counts[roll(dice, 2)] = 1;
    roll_words(w, dice);
    steer_remember(&w->service);
    if (roll(dice, 2) == 0) {
        roll_words(w, dice);
    }
}

/* One endpoint as the rules see it. */
struct endpoint {
    bool up, held, proven;
};

static struct endpoint endpoint_of(const struct world *w, unsigned pool, unsigned family,
                                   unsigned end)
{
    const struct health_group *g = &w->groups[pool];
    uint32_t word = atomic_load(&w->regions[pool].word);
    bool current = (word & HEALTH_REGION_PROVE) != 0 ||
                   word >> HEALTH_EPOCH_SHIFT == atomic_load(&g->flags) >> HEALTH_EPOCH_SHIFT;
    uint64_t bit = UINT64_C(1) << end;

    return (struct endpoint){
        .up = (atomic_load(&g->up[family]) & bit) != 0,
        .held = (atomic_load(&g->held[family]) & bit) != 0,
        .proven = current && (atomic_load(&g->proven[family]) & bit) != 0,
    };
}

static bool stands_on(const struct endpoint *e, uint32_t word, unsigned rung)
{
    bool gated = (word & HEALTH_REGION_GATED) != 0;
    bool held = (word & HEALTH_REGION_HELD) != 0;
    bool drained = (word & HEALTH_REGION_DRAINED) != 0;

    if ((word & HEALTH_REGION_FORCED_DOWN) != 0 || (drained && rung < 5)) {
        return false;
    }
    switch (rung) {
    case 1:
        return !held && (!gated || ((word & HEALTH_REGION_PROVE) != 0 && e->proven)) && e->up;
    case 2:
        return !gated && (e->up || e->held);
    case 3:
        return gated && e->proven && (e->up || e->held);
    case 4:
        return !drained && e->up;
    default:
        return drained && e->up;
    }
}

struct verdict {
    unsigned rung; /* 0: none of 1 to 5 */
    bool any;      /* some family stands somewhere */
    uint64_t bits[POOLS];
};

/* Rungs 1 to 3 region by region, 4 and 5 together; hold_down is a half step below those. */
static struct verdict judge(const struct world *w, unsigned family)
{
    struct verdict v = { 0 };

    for (unsigned step = 0; step < 7 && v.rung == 0; step++) {
        unsigned rung = step < 3 ? step + 1 : step < 5 ? 4 : 5;
        bool held_too = step == 4 || step == 6;
        for (unsigned i = 0; i < w->service.pool_count; i++) {
            uint64_t bits[ADDR_FAMILIES] = { 0 };
            unsigned count = 0;
            for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
                for (unsigned e = 0; e < w->pools[i].counts[f]; e++) {
                    struct endpoint end = endpoint_of(w, i, f, e);
                    end.up = end.up || (held_too && end.held);
                    if (stands_on(&end, atomic_load(&w->regions[i].word), rung)) {
                        bits[f] |= UINT64_C(1) << e;
                        count++;
                    }
                }
            }
            if (count < (rung < 4 ? w->groups[i].minimum : 1)) {
                continue;
            }
            v.any = true;
            v.bits[i] = bits[family];
            v.rung = bits[family] != 0 ? rung : v.rung;
            if (v.rung != 0 && rung < 4) {
                break;
            }
        }
    }
    return v;
}

static bool is_alive(const struct world *w, unsigned pool, unsigned family, uint64_t bits)
{
    return (bits & ~(atomic_load(&w->groups[pool].up[family]) |
                     atomic_load(&w->groups[pool].held[family]))) == 0;
}

static bool is_forced(const struct world *w, unsigned pool)
{
    return (atomic_load(&w->regions[pool].word) & HEALTH_REGION_FORCED_DOWN) != 0;
}

/* Does an endpoint of the family, or of any, live in a region that is not forced down? */
static bool has_life(const struct world *w, unsigned family)
{
    for (unsigned i = 0; i < w->service.pool_count; i++) {
        const struct health_group *g = &w->groups[i];
        if (!is_forced(w, i) &&
            (atomic_load(&g->up[family]) | atomic_load(&g->held[family])) != 0) {
            return true;
        }
    }
    return false;
}

static bool is_configured(const struct world *w, unsigned family)
{
    for (unsigned i = 0; i < w->service.pool_count; i++) {
        if (!is_forced(w, i) && w->pools[i].counts[family] > 0) {
            return true;
        }
    }
    return false;
}

/* What holds for every table, whatever the rungs say. */
static void check_promises(const struct world *w, unsigned family,
                           const struct steer_choice *choice)
{
    uint64_t all = 0;

    for (unsigned i = 0; i < w->service.pool_count; i++) {
        uint64_t bits = bits_of(choice, i);
        all |= bits;
        assert_true(bits >> w->pools[i].counts[family] == 0);
        assert_true(bits == 0 || !is_forced(w, i)); /* force_down is absolute */
        /* never a dead address while a living one exists */
        assert_true(choice->rung == 6 || is_alive(w, i, family, bits));
    }
    assert_true((choice->result == STEER_ADDRESSES) == (all != 0)); /* never an empty answer */
    if (has_life(w, family)) {
        assert_int_equal(choice->result, STEER_ADDRESSES);
        assert_true(choice->rung < 6);
    } else if (has_life(w, 1 - family)) {
        assert_int_equal(choice->result, STEER_NODATA);
    } else {
        assert_int_equal(choice->rung, 6);
    }
}

/* Nothing lives: what on_all_down may do. */
static void check_all_down(const struct world *w, unsigned family,
                           const struct steer_choice *choice)
{
    bool remembered = atomic_load(&w->memory.pool[1 - family]) != 0;

    assert_true(choice->short_ttl);
    switch (w->service.on_all_down) {
    case MODEL_ALL_DOWN_SERVFAIL:
        assert_int_equal(choice->result, STEER_SERVFAIL);
        break;
    case MODEL_ALL_DOWN_FALLBACK:
        assert_int_equal(choice->result, w->service.fallback_counts[family] > 0 ? STEER_FALLBACK
                                                                               : STEER_NODATA);
        break;
    case MODEL_ALL_DOWN_LAST_GOOD:
        /* NODATA only where the family has nothing, or had nothing when it last was good */
        if (is_configured(w, family) && choice->result != STEER_ADDRESSES) {
            assert_int_equal(choice->result, STEER_NODATA);
            assert_true(remembered && atomic_load(&w->memory.pool[family]) == 0);
        }
        break;
    case MODEL_ALL_DOWN_ALL:
        assert_int_equal(choice->result, is_configured(w, family) ? STEER_ADDRESSES
                                         : is_configured(w, 1 - family) ? STEER_NODATA
                                                                        : STEER_SERVFAIL);
        break;
    }
}

static void any_table_is_answered_by_the_rules(void **state)
{
    struct dice dice = { .state = 20181122 };
    unsigned rungs[7] = { 0 };
    (void)state;

    for (unsigned n = 0; n < CASES; n++) {
        struct world w;
        unsigned family = n & 1;
        roll_world(&w, &dice);
        struct steer_choice choice = choose(&w, family);
        struct verdict verdict = judge(&w, family);
        if (verdict.rung != 0) {
            assert_int_equal(choice.rung, verdict.rung);
            for (unsigned i = 0; i < w.service.pool_count; i++) {
                assert_true(bits_of(&choice, i) == verdict.bits[i]);
            }
        } else if (verdict.any) {
            assert_int_equal(choice.result, STEER_NODATA);
        } else {
            check_all_down(&w, family, &choice);
        }
        check_promises(&w, family, &choice);
        rungs[choice.rung]++;
    }
    for (unsigned i = 1; i <= 6; i++) {
        assert_true(rungs[i] > CASES / 200); /* all of them were met */
    }
}

static void a_gate_a_hold_or_a_drain_only_ever_demotes(void **state)
{
    static const uint32_t flags[] = { HEALTH_REGION_GATED, HEALTH_REGION_HELD,
                                      HEALTH_REGION_DRAINED };
    struct dice dice = { .state = 84 };
    (void)state;

    for (unsigned n = 0; n < CASES / 10; n++) {
        struct world w;
        unsigned family = n & 1, pool;
        roll_world(&w, &dice);
        pool = roll(&dice, w.service.pool_count);
        struct steer_choice before = choose(&w, family);
        atomic_fetch_or(&w.regions[pool].word, flags[n % 3]);
        struct steer_choice after = choose(&w, family);
        /* whoever answered still does, or others do: an answer never goes away */
        assert_true((before.result == STEER_ADDRESSES) == (after.result == STEER_ADDRESSES));
        assert_true((before.rung == 6) == (after.rung == 6));
    }
}

/* ---- words that move while they are read ---- */

struct race {
    struct world w;
    _Atomic uint64_t reads;
    _Atomic bool over;
    void (*flip)(struct world *w, bool on);
};

/* Flip the words, with some reads between any two flips. */
static void *flip_words(void *user)
{
    struct race *race = user;

    for (unsigned i = 0; i < 5000; i++) {
        uint64_t reads = atomic_load(&race->reads);
        while (atomic_load(&race->reads) < reads + 20) {
            sched_yield();
        }
        race->flip(&race->w, i % 2 == 0);
    }
    atomic_store(&race->over, true);
    return NULL;
}

static unsigned count_failures(struct race *race)
{
    pthread_t writer;
    unsigned failures = 0;

    assert_int_equal(pthread_create(&writer, NULL, flip_words, race), 0);
    while (!atomic_load(&race->over)) {
        struct steer_choice choice;
        steer_choose(&race->w.service, ADDR_V4, &choice);
        failures += choice.result != STEER_ADDRESSES;
        atomic_fetch_add(&race->reads, 1);
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
    return failures;
}

/* The first region goes as the last comes, and back: one of the two is always up. */
static void hand_over(struct world *w, bool on)
{
    unsigned last = POOLS - 1;

    atomic_store_explicit(&w->groups[on ? last : 0].up[ADDR_V4], 1, memory_order_release);
    atomic_store_explicit(&w->groups[on ? 0 : last].up[ADDR_V4], 0, memory_order_release);
}

static void a_hand_over_in_mid_read_is_not_an_outage(void **state)
{
    static struct race race;
    (void)state;

    memset(&race, 0, sizeof(race));
    begin(&race.w, POOLS, 1, 0, 1);
    for (unsigned i = 0; i < POOLS; i++) {
        set_region(&race.w, i, gate_1); /* so that all the words are needed */
    }
    set_up(&race.w, 0, 1, 0);
    race.flip = hand_over;
    assert_int_equal(count_failures(&race), 0);
}

/* Out of hold_down, in the order in which health stores; and back at once, in the other. */
static void end_hold(struct world *w, bool on)
{
    struct health_group *g = &w->groups[0];

    if (on) {
        atomic_store_explicit(&g->up[ADDR_V4], 1, memory_order_release);
        atomic_store_explicit(&g->held[ADDR_V4], 0, memory_order_release);
    } else {
        atomic_store_explicit(&g->held[ADDR_V4], 1, memory_order_release);
        atomic_store_explicit(&g->up[ADDR_V4], 0, memory_order_release);
    }
}

static void the_end_of_a_hold_in_mid_read_is_not_an_outage(void **state)
{
    static struct race race;
    (void)state;

    memset(&race, 0, sizeof(race));
    begin(&race.w, 1, 1, 0, 1);
    set_region(&race.w, 0, HEALTH_REGION_HELD);
    set_held(&race.w, 0, 1, 0);
    race.flip = end_hold;
    assert_int_equal(count_failures(&race), 0);
}

/* ---- putting records ---- */

struct answer {
    uint8_t bytes[8 + 8 * 28 + 8]; /* with a guard at each end */
    unsigned count;
    size_t length;
    bool cut;
};

static void put(const struct world *w, unsigned family, uint16_t owner, uint32_t turn, size_t cap,
                struct answer *out)
{
    struct steer_choice choice;

    assert_true(cap <= 8 * 28);
    steer_choose(&w->service, family, &choice);
    memset(out, 0xee, sizeof(*out));
    out->count = steer_put(&w->service, family, &choice, owner, turn, out->bytes + 8, cap,
                           &out->length, &out->cut);
    assert_true(out->length <= cap);
    assert_int_equal(out->length, out->count * steer_record_bytes(family));
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(out->bytes[i], 0xee);
    }
    for (size_t i = 8 + out->length; i < sizeof(out->bytes); i++) {
        assert_int_equal(out->bytes[i], 0xee);
    }
}

static const uint8_t *record_at(const struct answer *answer, unsigned family, unsigned i)
{
    return answer->bytes + 8 + i * steer_record_bytes(family);
}

/* The endpoint whose address the record holds; the pool in `*out_pool`. */
static unsigned end_of(const uint8_t *record, unsigned family, unsigned *out_pool)
{
    *out_pool = record[13];
    return record[family == ADDR_V4 ? 15 : 27] - 1u;
}

static void records_carry_owner_type_and_ttl(void **state)
{
    static const uint16_t owners[] = { WIRE_QUESTION, 40, 0x3fff };
    struct answer answer;
    struct world w;
    (void)state;

    begin(&w, 1, 2, 2, 1);
    set_up(&w, 0, 3, 3);
    for (unsigned family = 0; family < ADDR_FAMILIES; family++) {
        for (size_t i = 0; i < 3; i++) {
            put(&w, family, owners[i], 0, 200, &answer);
            assert_int_equal(answer.count, 2);
            for (unsigned r = 0; r < 2; r++) {
                const uint8_t *record = record_at(&answer, family, r);
                struct addr address = address_of(0, family, r);
                assert_int_equal(wire_get16(record), 0xc000 | owners[i]);
                assert_int_equal(wire_get16(record + 2),
                                 family == ADDR_V4 ? WIRE_A : WIRE_AAAA);
                assert_int_equal(wire_get16(record + 4), WIRE_IN);
                assert_int_equal(wire_get32(record + 6), NORMAL);
                assert_int_equal(wire_get16(record + 10), addr_size_bytes(&address));
                assert_memory_equal(record + 12, address.bytes, addr_size_bytes(&address));
            }
        }
    }
}

static void doubt_shortens_the_ttl(void **state)
{
    struct answer answer;
    struct world w;
    (void)state;

    begin(&w, 1, 1, 0, 1);
    set_up(&w, 0, 1, 0);
    put(&w, ADDR_V4, 12, 0, 16, &answer);
    assert_int_equal(wire_get32(record_at(&answer, ADDR_V4, 0) + 6), NORMAL);
    set_region(&w, 0, HEALTH_REGION_SUSPECT);
    put(&w, ADDR_V4, 12, 0, 16, &answer);
    assert_int_equal(wire_get32(record_at(&answer, ADDR_V4, 0) + 6), SUSPECT);
    set_region(&w, 0, 0);
    atomic_store(&w.groups[0].flags, HEALTH_GROUP_SUSPECT);
    put(&w, ADDR_V4, 12, 0, 16, &answer);
    assert_int_equal(wire_get32(record_at(&answer, ADDR_V4, 0) + 6), SUSPECT);
    atomic_store(&w.groups[0].flags, 0);
    set_region(&w, 0, HEALTH_REGION_HELD); /* every lower rung */
    put(&w, ADDR_V4, 12, 0, 16, &answer);
    assert_int_equal(wire_get32(record_at(&answer, ADDR_V4, 0) + 6), SUSPECT);
}

static void no_byte_goes_beyond_the_room_there_is(void **state)
{
    (void)state;

    for (unsigned family = 0; family < ADDR_FAMILIES; family++) {
        for (unsigned ends = 1; ends <= 8; ends++) {
            for (size_t cap = 0; cap <= 8 * 28; cap++) {
                struct answer answer;
                struct world w;
                unsigned size = steer_record_bytes(family);
                begin(&w, 2, ends, ends, (cap & 1) == 0 ? 1 : 99); /* one pool, or together */
                set_up(&w, 0, (1u << ends) - 1, (1u << ends) - 1);
                put(&w, family, 12, 0x9e3779b9u * (uint32_t)cap, cap, &answer);
                assert_int_equal(answer.count, cap / size < ends ? cap / size : ends);
                assert_int_equal(answer.cut, cap / size < ends);
            }
        }
    }
}

/* Put often with turns all over; each chosen address must stand in front equally often. */
static void check_rotation(struct world *w, unsigned total, unsigned shown)
{
    enum { TURNS = 6000 };
    unsigned first[POOLS][STEER_ENDPOINTS_MAX] = { 0 }, seen[POOLS][STEER_ENDPOINTS_MAX] = { 0 };
    unsigned met = 0;

    for (uint32_t i = 0; i < TURNS; i++) {
        struct answer answer;
        unsigned pool, end;
        put(w, ADDR_V4, 12, (uint32_t)(((uint64_t)i << 32) / TURNS), 8 * 28, &answer);
        assert_int_equal(answer.count, shown);
        end = end_of(record_at(&answer, ADDR_V4, 0), ADDR_V4, &pool);
        first[pool][end]++;
        for (unsigned r = 0; r < shown; r++) {
            end = end_of(record_at(&answer, ADDR_V4, r), ADDR_V4, &pool);
            seen[pool][end]++;
        }
    }
    for (unsigned pool = 0; pool < POOLS; pool++) {
        for (unsigned end = 0; end < STEER_ENDPOINTS_MAX; end++) {
            if (seen[pool][end] == 0) {
                continue;
            }
            met++;
            assert_in_range(first[pool][end], TURNS / total - 2, TURNS / total + 2);
            assert_in_range(seen[pool][end], TURNS * shown / total - 20,
                            TURNS * shown / total + 20);
        }
    }
    assert_int_equal(met, total);
}

static void rotation_covers_every_address_fairly(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 64, 0, 1);
    set_up(&w, 0, 0x15, 0);
    check_rotation(&w, 3, 3);
    w.service.max_addresses = 2;
    check_rotation(&w, 3, 2);
    w.service.max_addresses = 8;
    set_up(&w, 0, UINT64_MAX, 0);
    check_rotation(&w, 64, 8);
    /* over regions together as well */
    w.groups[0].minimum = 65;
    w.groups[1].minimum = 65;
    set_up(&w, 0, 0x8000000000000001u, 0);
    set_up(&w, 1, 7, 0);
    check_rotation(&w, 5, 5);
    w.service.max_addresses = 3;
    check_rotation(&w, 5, 3);
}

static void an_answer_names_no_address_twice(void **state)
{
    struct dice dice = { .state = 7 };
    (void)state;

    for (unsigned n = 0; n < 20000; n++) {
        struct world w;
        struct answer answer;
        bool seen[POOLS][ENDS] = { { false } };
        roll_world(&w, &dice);
        w.service.max_addresses = 1 + roll(&dice, 8);
        if (choose(&w, n & 1).result != STEER_ADDRESSES) {
            continue;
        }
        put(&w, n & 1, 12, roll(&dice, UINT32_MAX), 8 * 28, &answer);
        assert_true(answer.count >= 1 && answer.count <= w.service.max_addresses);
        for (unsigned r = 0; r < answer.count; r++) {
            unsigned pool;
            unsigned end = end_of(record_at(&answer, n & 1, r), n & 1, &pool);
            assert_false(seen[pool][end]);
            seen[pool][end] = true;
        }
    }
}

static void the_fallback_is_put_with_the_short_ttl(void **state)
{
    struct answer answer;
    struct world w;
    (void)state;

    begin(&w, 1, 1, 0, 1);
    w.service.on_all_down = MODEL_ALL_DOWN_FALLBACK;
    w.service.fallback_counts[ADDR_V4] = 2;
    add_records(w.fallback[ADDR_V4], 99, ADDR_V4, 2);
    put(&w, ADDR_V4, 12, UINT32_MAX, 100, &answer);
    assert_int_equal(answer.count, 2);
    for (unsigned r = 0; r < 2; r++) {
        unsigned pool;
        assert_int_equal(end_of(record_at(&answer, ADDR_V4, r), ADDR_V4, &pool), 1 - r);
        assert_int_equal(pool, 99);
        assert_int_equal(wire_get32(record_at(&answer, ADDR_V4, r) + 6), SUSPECT);
    }
}

/* ---- explaining ---- */

static void the_explanation_names_regions_and_rungs(void **state)
{
    struct text trace = { 0 };
    struct steer_choice choice;
    struct world w;
    (void)state;

    begin(&w, 2, 2, 0, 1);
    set_up(&w, 0, 1, 0);
    set_up(&w, 1, 3, 0);
    set_region(&w, 0, gate_1);
    steer_explain(&w.service, ADDR_V4, &choice, &trace);
    assert_non_null(strstr(text_string(&trace), "region seoul is gated by its own checks"));
    assert_non_null(strstr(text_string(&trace), "rung 1 (region in, minimum met): tokyo"));
    text_fini(&trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_region_that_is_in_answers),
        cmocka_unit_test(a_region_below_its_minimum_is_passed_over),
        cmocka_unit_test(both_families_count_for_the_minimum),
        cmocka_unit_test(hold_down_is_second_choice),
        cmocka_unit_test(a_gated_region_needs_proof_made_since),
        cmocka_unit_test(a_gate_alone_never_decides),
        cmocka_unit_test(a_region_that_proves_itself_stays_first_when_gated),
        cmocka_unit_test(below_every_minimum_all_that_is_up_answers_together),
        cmocka_unit_test(a_drained_region_is_the_last_that_lives),
        cmocka_unit_test(force_down_is_absolute),
        cmocka_unit_test(each_family_takes_the_first_region_that_has_it),
        cmocka_unit_test(a_family_without_anything_up_gets_nodata_while_another_lives),
        cmocka_unit_test(when_all_is_down_the_configured_thing_happens),
        cmocka_unit_test(the_last_good_set_is_remembered),
        cmocka_unit_test(families_are_remembered_where_each_was),
        cmocka_unit_test(a_family_that_was_not_answered_last_stays_unanswered),
        cmocka_unit_test(memory_is_inherited_by_region_and_address),
        cmocka_unit_test(any_table_is_answered_by_the_rules),
        cmocka_unit_test(a_gate_a_hold_or_a_drain_only_ever_demotes),
        cmocka_unit_test(a_hand_over_in_mid_read_is_not_an_outage),
        cmocka_unit_test(the_end_of_a_hold_in_mid_read_is_not_an_outage),
        cmocka_unit_test(records_carry_owner_type_and_ttl),
        cmocka_unit_test(doubt_shortens_the_ttl),
        cmocka_unit_test(no_byte_goes_beyond_the_room_there_is),
        cmocka_unit_test(rotation_covers_every_address_fairly),
        cmocka_unit_test(an_answer_names_no_address_twice),
        cmocka_unit_test(the_fallback_is_put_with_the_short_ttl),
        cmocka_unit_test(the_explanation_names_regions_and_rungs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
