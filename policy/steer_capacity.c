#include "policy/steer_capacity.h"

#include "base/text.h"

#define NUMBER_BITS 25 /* of a capacity or load: products of two sums stay within a word */

/* The state of the water. */
struct level {
    uint64_t capacity_sum;
    uint64_t demand; /* of all regions, those that are away too */
    uint64_t spare_sum;
    uint64_t capacity[STEER_POOLS_MAX]; /* more than is given, when all are full */
    uint64_t load[STEER_POOLS_MAX];     /* of the pool's own clients */
    uint64_t spare[STEER_POOLS_MAX];    /* capacity that its own clients leave */
};

/* Of a pool that has just come back only so much as it takes by now. */
static inline uint64_t capacity_of(const struct steer_pool *pool)
{
    const struct health_group *group = pool->group;
    uint64_t capacity = atomic_load_explicit(&group->capacity, memory_order_relaxed);

    if ((atomic_load_explicit(&group->flags, memory_order_relaxed) & HEALTH_GROUP_RAMPING) != 0) {
        capacity = capacity * atomic_load_explicit(&group->ramp, memory_order_relaxed) >> 16;
    }
    return capacity;
}

/*
 * Bring all numbers below 2^NUMBER_BITS: only their proportions count, but what
 * can carry something still does.
 */
static void scale_down(const struct steer_burden *b, struct level *level, uint64_t seen)
{
    unsigned shift = 64u - (unsigned)__builtin_clzll(seen) - NUMBER_BITS;

    level->capacity_sum = 0;
    level->demand >>= shift;
    for (uint64_t rest = b->pools; rest != 0; rest &= rest - 1) {
        unsigned i = (unsigned)__builtin_ctzll(rest);
        bool some = level->capacity[i] != 0;
        level->capacity[i] >>= shift;
        level->capacity[i] += some && level->capacity[i] == 0;
        level->load[i] >>= shift;
        level->capacity_sum += level->capacity[i];
    }
}

static void read_level(const struct steer_burden *b, struct level *level)
{
    const struct steer_service *s = b->service;
    uint64_t seen;

    level->capacity_sum = 0;
    level->demand = s->policy->load_sum;
    seen = level->demand / STEER_POOLS_MAX;
    for (uint64_t rest = b->pools; rest != 0; rest &= rest - 1) {
        unsigned i = (unsigned)__builtin_ctzll(rest);
        level->capacity[i] = capacity_of(&s->pools[i]);
        level->load[i] = s->policy->shares[i].load;
        level->capacity_sum += level->capacity[i];
        seen |= level->capacity[i] | level->load[i];
    }
    if (seen >> NUMBER_BITS != 0) {
        scale_down(b, level, seen);
    }
}

/* What each has left beside its own clients; more than there is, when there is too little. */
static void find_spare(const struct steer_burden *b, struct level *level)
{
    bool full = level->demand > level->capacity_sum && level->capacity_sum > 0;

    level->spare_sum = 0;
    for (uint64_t rest = b->pools; rest != 0; rest &= rest - 1) {
        unsigned i = (unsigned)__builtin_ctzll(rest);
        if (full) {
            level->capacity[i] = level->capacity[i] * level->demand / level->capacity_sum;
        }
        uint64_t capacity = level->capacity[i], load = level->load[i];
        level->spare[i] = capacity > load ? capacity - load : 0;
        level->spare_sum += level->spare[i];
    }
}

/* The member of the set at `number` of its amounts laid end to end. */
static uint32_t member_at(uint64_t pools, const uint64_t *amounts, uint64_t number)
{
    uint64_t rest = pools;
    uint32_t i = (uint32_t)__builtin_ctzll(rest);

    while (number >= amounts[i] && (rest & (rest - 1)) != 0) {
        number -= amounts[i];
        rest &= rest - 1;
        i = (uint32_t)__builtin_ctzll(rest);
    }
    return i;
}

/* A number below `n` (below 2^32) from 32 random bits, without dividing. */
static inline uint64_t scale(uint32_t turn, uint64_t n)
{
    return turn * n >> 32;
}

/* Where no load is given: by what each can carry, and nothing else. */
static uint32_t draw_alone(const struct steer_burden *b, uint32_t turn)
{
    uint64_t upto[STEER_POOLS_MAX], sum = 0;

    for (uint32_t i = 0; i < b->service->pool_count; i++) {
        sum += (b->pools >> i & 1) != 0 ? capacity_of(&b->service->pools[i]) : 0;
        upto[i] = sum;
    }
    return steer_capacity_at(upto, sum, turn);
}

uint32_t steer_capacity_draw(const struct steer_burden *burden, uint32_t turn)
{
    const struct steer_burden *b = burden;
    struct level level;

    if (!b->service->policy->has_load) {
        return draw_alone(b, turn);
    }
    read_level(b, &level);
    if (level.capacity_sum == 0) {
        return STEER_NO_POOL;
    }
    find_spare(b, &level);
    if (b->home != STEER_NO_POOL && (b->pools >> b->home & 1) != 0) {
        uint64_t load = level.load[b->home], capacity = level.capacity[b->home];
        uint64_t part = load <= capacity ? UINT64_C(1) << 32 : (capacity << 32) / load;
        if (turn < part) {
            return b->home;
        }
        /* it spills: what is left of the turn is as random as the whole */
        turn = (uint32_t)(((turn - part) << 32) / ((UINT64_C(1) << 32) - part));
    }
    return level.spare_sum > 0
               ? member_at(b->pools, level.spare, scale(turn, level.spare_sum))
               : member_at(b->pools, level.capacity, scale(turn, level.capacity_sum));
}

void steer_capacity_trace(const struct steer_burden *burden, struct text *trace)
{
    const struct steer_burden *b = burden;
    bool has_load = b->service->policy->has_load;
    struct level level;

    read_level(b, &level);
    bool full = has_load && level.demand > level.capacity_sum;
    find_spare(b, &level);
    for (uint64_t rest = b->pools; rest != 0; rest &= rest - 1) {
        unsigned i = (unsigned)__builtin_ctzll(rest);
        text_printf(trace, "%s can carry %llu", b->service->pools[i].region_name,
                    (unsigned long long)capacity_of(&b->service->pools[i]));
        if (has_load) {
            text_printf(trace, ", its own clients bring %llu, which leaves %llu for others",
                        (unsigned long long)level.load[i], (unsigned long long)level.spare[i]);
        }
        text_put_char(trace, '\n');
    }
    if (full) {
        text_put(trace, "more is expected than all can carry: each is as full as the others\n");
    }
}
