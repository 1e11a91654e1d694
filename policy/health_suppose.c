#include "policy/health_suppose.h"

#include "policy/health_condition.h"
#include "policy/health_table.h"

static const struct group_slot *group_of(const struct health_binding *binding, size_t service,
                                         size_t pool)
{
    return binding->services[service].groups[pool];
}

bool health_suppose_matters(const struct health_binding *binding, size_t service, size_t pool)
{
    const struct health_condition *condition = group_of(binding, service, pool)->condition;

    return condition != NULL && health_condition_asks_others(condition);
}

static void set_bit(_Atomic uint64_t *word, uint64_t bit, bool on)
{
    uint64_t now = atomic_load_explicit(word, memory_order_relaxed);

    atomic_store_explicit(word, on ? now | bit : now & ~bit, memory_order_relaxed);
}

static void put_standing(struct health_group *words, unsigned family, uint64_t bit, unsigned s)
{
    bool up = (s & STANDING_UP) != 0;
    bool risen = (s & STANDING_RISEN) != 0;

    set_bit(&words->up[family], bit, up);
    set_bit(&words->held[family], bit, risen && !up);
    set_bit(&words->proven[family], bit, (s & STANDING_PROVEN) != 0 && (up || risen));
    set_bit(&words->degraded[family], bit, up && (s & STANDING_WELL) == 0);
}

void health_suppose_conditions(const struct health_binding *binding, size_t service, size_t pool,
                               const struct health_supposition *supposed, uint64_t now_ms,
                               struct health_group *words)
{
    const struct group_slot *group = group_of(binding, service, pool);
    const struct health *health = binding->health;

    for (size_t i = 0; i < group->endpoint_count; i++) {
        const struct group_endpoint *e = &group->endpoints[i];
        unsigned is = health_condition_endpoint(health, group, e, now_ms);
        unsigned would_be = health_condition_suppose(health, group, e, supposed, now_ms);
        /* what stays the same stays as guards have it: shared, say */
        if (would_be != is) {
            put_standing(words, e->address.family, UINT64_C(1) << e->bit, would_be);
            atomic_fetch_and(&words->flags, ~(uint32_t)HEALTH_GROUP_WHOLE); /* to be counted */
        }
    }
}

void health_suppose_capacity(const struct health_binding *binding, size_t service, size_t pool,
                             struct health_group *words)
{
    const struct group_slot *group = group_of(binding, service, pool);
    uint64_t sum = 0;

    for (size_t i = 0; i < group->endpoint_count && group->has_capacity; i++) {
        const struct group_endpoint *e = &group->endpoints[i];
        uint64_t up = atomic_load_explicit(&words->up[e->address.family], memory_order_relaxed);
        sum += ((up >> e->bit) & 1) != 0 ? e->capacity : 0;
    }
    atomic_store_explicit(&words->capacity, sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum,
                          memory_order_relaxed);
}

bool health_suppose_stands(uint32_t region_word, uint32_t said, size_t endpoint_count,
                           const struct health_group *words)
{
    return health_condition_stands(region_word, said, endpoint_count, words);
}
