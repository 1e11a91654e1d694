#pragma once
/*
 * steer_direct - the common case: the first region that is in and meets its minimum
 *
 * For services where nothing but the order of regions decides; inline, because
 * nearly every answer goes this way. Any thread that holds the snapshot.
 */
#include "policy/steer.h"

/* Words that make more of an answer from rung 1 than its region and what is up. */
#define STEER_UNUSUAL (HEALTH_REGION_PROVE | HEALTH_REGION_FORCED_UP | HEALTH_REGION_SHARED)

static inline uint64_t steer_load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* Are at least `minimum` bits set? Without counting where none or one will do. */
static inline bool steer_meets(uint64_t v4, uint64_t v6, uint32_t minimum)
{
    if (minimum <= 1) {
        return (v4 | v6) != 0 || minimum == 0;
    }
    return (unsigned)__builtin_popcountll(v4) + (unsigned)__builtin_popcountll(v6) >= minimum;
}

/* The endpoints without those that are not well, where others are. */
static inline uint64_t steer_well(uint64_t bits, uint64_t degraded)
{
    uint64_t rest = bits & ~degraded;

    return rest != 0 ? rest : bits;
}

enum steer_look {
    STEER_PASS, /* it does not answer */
    STEER_STANDS,
    STEER_LOOK_CLOSER,
};

/* Does this pool stand on the first rung, as far as one look tells? */
static inline enum steer_look steer_glance(const struct steer_pool *pool, unsigned family,
                                           uint64_t *out_bits, bool *out_short)
{
    const struct health_group *group = pool->group;
    uint32_t word = atomic_load_explicit(&pool->region->word, memory_order_relaxed);
    uint64_t up;

    if (__builtin_expect((word & (HEALTH_REGION_AWAY | STEER_UNUSUAL)) != 0, false)) {
        /* it may be in all the same, or is about to be */
        bool is_unclear = (word & (STEER_UNUSUAL | HEALTH_REGION_HELD)) != 0;
        return is_unclear ? STEER_LOOK_CLOSER : STEER_PASS;
    }
    up = steer_load(&group->up[family]);
    if (up == 0 || (__builtin_expect(group->minimum > 1, false) &&
                    !steer_meets(up, steer_load(&group->up[1 - family]), group->minimum))) {
        bool is_held = (steer_load(&group->held[0]) | steer_load(&group->held[1])) != 0;
        return is_held ? STEER_LOOK_CLOSER : STEER_PASS;
    }
    uint32_t flags = atomic_load_explicit(&group->flags, memory_order_relaxed);
    if ((flags & (HEALTH_GROUP_SHARED | HEALTH_GROUP_RAMPING)) != 0) {
        return STEER_LOOK_CLOSER;
    }
    *out_bits = steer_well(up, steer_load(&group->degraded[family]));
    *out_short = ((word & HEALTH_REGION_SUSPECT) | (flags & HEALTH_GROUP_SUSPECT)) != 0;
    return STEER_STANDS;
}

/*
 * The first pool by `order` (NULL: as configured), and which of its endpoints;
 * NULL when a closer look is due.
 */
static inline const struct steer_pool *steer_direct(const struct steer_service *service,
                                                    const uint8_t *order, unsigned family,
                                                    uint64_t *out_bits, bool *out_short)
{
    for (uint32_t i = 0; i < service->pool_count; i++) {
        const struct steer_pool *pool = &service->pools[order == NULL ? i : order[i]];
        enum steer_look look = steer_glance(pool, family, out_bits, out_short);
        if (look != STEER_PASS) {
            return look == STEER_STANDS ? pool : NULL;
        }
    }
    return NULL;
}

/* All bits of a region's word and of a group's that make more of a pool than what is up of it. */
#define STEER_WORD_BITS 0x1ffu

/* Does it stand on the first rung with all that is up, and is nothing about to change? */
static inline bool steer_is_calm(const struct steer_pool *pool, unsigned family, uint64_t *out_bits)
{
    const struct health_group *group = pool->group;
    uint32_t words = atomic_load_explicit(&pool->region->word, memory_order_relaxed) |
                     atomic_load_explicit(&group->flags, memory_order_relaxed);

    *out_bits = steer_load(&group->up[family]);
    return (words & STEER_WORD_BITS) == HEALTH_GROUP_WHOLE && *out_bits != 0;
}

/* As steer_glance, and mostly with less: closer also where the answer would be of the short TTL. */
static inline enum steer_look steer_calm_look(const struct steer_pool *pool, unsigned family,
                                              uint64_t *out_bits)
{
    bool is_short;

    if (__builtin_expect(steer_is_calm(pool, family, out_bits), true)) {
        return STEER_STANDS;
    }
    *out_bits = 0;
    enum steer_look look = steer_glance(pool, family, out_bits, &is_short);
    return look == STEER_STANDS && is_short ? STEER_LOOK_CLOSER : look;
}

/*
 * All pools that stand on the first rung, and in `bits` which of the endpoints
 * of each, 0 where it does not stand. 0 when a closer look is due: something
 * is about to change, or none stands.
 */
static inline uint64_t steer_calm(const struct steer_service *service, unsigned family,
                                  uint64_t bits[STEER_POOLS_MAX])
{
    const struct steer_pool *pool = service->pools;
    uint64_t bit = 1, pools = 0;

    if (service->pool_count == 0) {
        return 0;
    }
    uint64_t end = UINT64_C(2) << (service->pool_count - 1); /* 0 behind the last of 64 */
    do {
        if (__builtin_expect(steer_is_calm(pool, family, bits), true)) {
            pools |= bit;
        } else {
            enum steer_look look = steer_calm_look(pool, family, bits);
            if (look == STEER_LOOK_CLOSER) {
                return 0;
            }
            pools |= look == STEER_STANDS ? bit : 0;
        }
        bit <<= 1;
        bits++;
        pool++;
    } while (bit != end);
    return pools;
}

/*
 * The same in one word, pool after pool; false where a closer look is due, or
 * none stands. Only where there are no more than 64 endpoints of the family.
 */
static inline bool steer_calm_word(const struct steer_service *service, unsigned family,
                                   uint64_t *out)
{
    const struct steer_pool *pool = service->pools, *end = pool + service->pool_count;
    uint64_t word = 0, bits;
    unsigned at = 0;

    for (; pool < end; pool++) {
        if (__builtin_expect(!steer_is_calm(pool, family, &bits), false) &&
            steer_calm_look(pool, family, &bits) == STEER_LOOK_CLOSER) {
            return false;
        }
        word |= bits << (at & 63);
        at += pool->counts[family];
    }
    *out = word;
    return word != 0;
}
