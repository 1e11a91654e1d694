#pragma once
/*
 * steer_world - a service by hand, its regions, groups and records beside it
 *
 * And dice that make such services at random. cmocka is included before.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/text.h"
#include "policy/steer.h"
#include "zones/wire.h"

#define POOLS   6
#define ENDS    5 /* per pool and family at most */
#define NORMAL  30u
#define SUSPECT 5u

struct world {
    struct health_region regions[POOLS];
    struct health_group groups[POOLS];
    struct steer_pool pools[POOLS];
    uint8_t records[ADDR_FAMILIES][POOLS * STEER_ENDPOINTS_MAX * 28];
    uint8_t fallback[ADDR_FAMILIES][2 * 28];
    struct steer_memory memory;
    struct steer_service service;
};

static const char *const names[POOLS] = { "seoul",  "tokyo",  "singapore",
                                          "sydney", "mumbai", "frankfurt" };

/* The address of endpoint `end` of pool `pool`; "pool" 99 is the fallback's. */
static inline struct addr address_of(unsigned pool, unsigned family, unsigned end)
{
    struct addr address = { .family = (uint8_t)family };

    address.bytes[0] = family == ADDR_V4 ? 10 : 0x20;
    address.bytes[1] = (uint8_t)pool;
    address.bytes[family == ADDR_V4 ? 3 : 15] = (uint8_t)(end + 1);
    return address;
}

static inline uint8_t *add_records(uint8_t *out, unsigned pool, unsigned family, unsigned count)
{
    for (unsigned i = 0; i < count; i++, out += steer_record_bytes(family)) {
        struct addr address = address_of(pool, family, i);
        steer_record_put(out, &address, NORMAL);
    }
    return out;
}

/* Those of all pools one after the other, as a snapshot has them. */
static inline void lay_records(struct world *w)
{
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        uint8_t *room = w->records[f];
        for (unsigned i = 0; i < POOLS; i++) {
            w->pools[i].records[f] = room;
            room = add_records(room, i, f, w->pools[i].counts[f]);
        }
    }
}

static inline void set_pool(struct world *w, unsigned pool, unsigned v4, unsigned v6,
                            unsigned minimum)
{
    struct steer_pool *p = &w->pools[pool];

    p->region = &w->regions[pool];
    p->group = &w->groups[pool];
    p->region_name = names[pool];
    p->region_index = pool;
    p->counts[ADDR_V4] = (uint8_t)v4;
    p->counts[ADDR_V6] = (uint8_t)v6;
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        w->service.has_family[f] = w->service.has_family[f] || p->counts[f] > 0;
        w->service.way[f] = w->service.has_family[f] ? STEER_WAY_DIRECT : STEER_WAY_CHOOSE;
    }
    w->groups[pool].minimum = minimum;
    lay_records(w);
}

static inline void begin(struct world *w, unsigned pools, unsigned v4, unsigned v6,
                         unsigned minimum)
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

static inline void set_region(struct world *w, unsigned pool, uint32_t flags)
{
    atomic_store(&w->regions[pool].word, flags);
}

static inline void set_up(struct world *w, unsigned pool, uint64_t v4, uint64_t v6)
{
    atomic_store(&w->groups[pool].up[ADDR_V4], v4);
    atomic_store(&w->groups[pool].up[ADDR_V6], v6);
}

static inline void set_held(struct world *w, unsigned pool, uint64_t v4, uint64_t v6)
{
    atomic_store(&w->groups[pool].held[ADDR_V4], v4);
    atomic_store(&w->groups[pool].held[ADDR_V6], v6);
}

static inline void set_proven(struct world *w, unsigned pool, uint32_t epoch, uint64_t v4,
                              uint64_t v6)
{
    atomic_store(&w->groups[pool].proven[ADDR_V4], v4);
    atomic_store(&w->groups[pool].proven[ADDR_V6], v6);
    atomic_store(&w->groups[pool].flags, epoch << HEALTH_EPOCH_SHIFT);
}

static const uint32_t gate_1 = HEALTH_REGION_GATED | 1u << HEALTH_EPOCH_SHIFT;

/* Choose, and see that the explanation is of the same choice. */
static inline struct steer_choice choose(const struct world *w, unsigned family)
{
    struct steer_choice choice, explained;
    struct text trace = { 0 };

    memset(&choice, 0xaa, sizeof(choice));
    memset(&explained, 0x55, sizeof(explained));
    steer_choose(&w->service, family, NULL, &choice);
    steer_explain(&w->service, family, NULL, &explained, &trace);
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
static inline uint64_t bits_of(const struct steer_choice *choice, uint32_t pool)
{
    if (choice->result != STEER_ADDRESSES) {
        return 0;
    }
    return choice->several ? choice->bits_of[pool] : choice->pool == pool ? choice->bits : 0;
}

static inline void assert_choice(const struct world *w, unsigned family, unsigned rung,
                                 unsigned pool, uint64_t bits)
{
    struct steer_choice choice = choose(w, family);

    assert_int_equal(choice.result, STEER_ADDRESSES);
    assert_int_equal(choice.rung, rung);
    assert_true(bits_of(&choice, pool) == bits);
    for (uint32_t i = 0; i < w->service.pool_count && !choice.several; i++) {
        assert_true(i == pool || bits_of(&choice, i) == 0);
    }
}

static inline void assert_result(const struct world *w, unsigned family, enum steer_result result)
{
    assert_int_equal(choose(w, family).result, result);
}

/* ---- at random ---- */

struct dice {
    uint64_t state;
};

static inline uint32_t roll(struct dice *dice, uint32_t n)
{
    dice->state = dice->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((dice->state >> 33) % n);
}

/* Bits below `count`, sparse or dense. */
static inline uint64_t roll_bits(struct dice *dice, unsigned count, uint32_t percent)
{
    uint64_t bits = 0;

    for (unsigned i = 0; i < count; i++) {
        bits |= (uint64_t)(roll(dice, 100) < percent) << i;
    }
    return bits;
}

static inline uint32_t roll_region(struct dice *dice)
{
    uint32_t word = roll(dice, 3) << HEALTH_EPOCH_SHIFT;

    word |= roll(dice, 3) == 0 ? HEALTH_REGION_GATED : roll(dice, 4) == 0 ? HEALTH_REGION_HELD : 0u;
    word |= roll(dice, 5) == 0 ? HEALTH_REGION_DRAINED : 0u;
    word |= roll(dice, 6) == 0 ? HEALTH_REGION_FORCED_DOWN : 0u;
    word |= roll(dice, 4) == 0 ? HEALTH_REGION_PROVE : 0u;
    word |= roll(dice, 8) == 0 ? HEALTH_REGION_SUSPECT : 0u;
    return word;
}

static inline void roll_words(struct world *w, struct dice *dice)
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

static inline void roll_world(struct world *w, struct dice *dice)
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
