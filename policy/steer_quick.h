#pragma once
/*
 * steer_quick - the common case of every policy: the first rung, and nothing about to change
 *
 * Says what steer_filter says, from one look at the words and without a
 * ladder; inline, once where it is chosen and once where it is put. Any thread
 * that holds the snapshot.
 */
#include "policy/steer_capacity.h"
#include "policy/steer_pass.h"

/* Filters for which more than the first pool in order must be looked at. */
#define STEER_TOGETHER (STEER_ALL | STEER_LATENCY | STEER_CAPACITY)

/* The pool that takes the answer, of those that stand. */
static inline uint32_t steer_quick_one(struct steer_pass *p, uint64_t pools)
{
    uint32_t chosen = STEER_NO_POOL;

    if ((p->filters & STEER_CAPACITY) != 0) {
        const struct steer_burden burden = { .service = p->service,
                                             .pools = pools,
                                             .home = p->home };
        chosen = steer_capacity_draw(&burden, steer_pass_draw(p, STEER_SALT_CAPACITY));
        if (chosen == STEER_NO_POOL && p->policy->places != NULL) {
            steer_pass_locate(p);
        }
    }
    return chosen != STEER_NO_POOL ? chosen : steer_pass_first(p, pools);
}

/* Which pools answer, with their bits in `choice`; 0: not to be said so quickly. */
static inline __attribute__((always_inline)) uint64_t
steer_quick_together(struct steer_pass *p, struct steer_choice *choice)
{
    uint64_t pools;

    if ((p->filters & STEER_CAPACITY) != 0 && steer_pass_stays(p)) {
        const struct steer_pool *pool = &p->service->pools[p->home];
        bool is_short;
        if (steer_glance(pool, p->family, &choice->bits, &is_short) == STEER_STANDS && !is_short) {
            choice->pool = p->home;
            choice->bits_of[p->home] = choice->bits;
            return UINT64_C(1) << p->home;
        }
    }
    pools = steer_calm(p->service, p->family, choice->bits_of);
    if (pools == 0) {
        return 0;
    }
    if ((p->filters & (STEER_CAPACITY | STEER_ALL)) == STEER_ALL) {
        choice->several = true;
        choice->pool = (uint32_t)__builtin_ctzll(pools);
        if ((p->filters & STEER_STICKY) != 0 && p->client != NULL && (pools & (pools - 1)) != 0) {
            choice->pool = steer_draw_sticky_pool(p->policy, p->family, pools, p->seed);
            pools = UINT64_C(1) << choice->pool;
            choice->several = false;
        }
    } else {
        choice->pool = steer_quick_one(p, pools);
        pools = UINT64_C(1) << choice->pool;
    }
    choice->bits = choice->bits_of[choice->pool];
    return pools;
}

/* The same where the quickest answers: one look at each pool. */
static inline uint64_t steer_quick_quickest(const struct steer_pass *p, struct steer_choice *choice)
{
    const struct steer_pool *pools = p->service->pools;
    uint32_t latencies[STEER_POOLS_MAX];
    uint32_t least = UINT32_MAX, count = p->service->pool_count;
    uint64_t standing = 0;

    for (uint32_t i = 0; i < count; i++) {
        enum steer_look look = steer_calm_look(&pools[i], p->family, &choice->bits_of[i]);
        if (look == STEER_LOOK_CLOSER) {
            return 0;
        }
        if (look == STEER_STANDS) {
            latencies[i] = steer_pass_latency(pools[i].group);
            least = latencies[i] < least ? latencies[i] : least;
            standing |= UINT64_C(1) << i;
        }
    }
    if (standing == 0) {
        return 0;
    }
    choice->pool = steer_pass_in_band(p, standing, latencies, least);
    choice->bits = choice->bits_of[choice->pool];
    return UINT64_C(1) << choice->pool;
}

/* The same where the first pool in order answers. */
static inline uint64_t steer_quick_ordered(const struct steer_pass *p, struct steer_choice *choice)
{
    uint32_t first = p->order == NULL ? 0 : p->order[0];
    bool is_short = false;

    if (__builtin_expect(p->service->pool_count == 0 ||
                             !steer_is_calm(&p->service->pools[first], p->family, &choice->bits),
                         false)) {
        const struct steer_pool *pool =
            steer_direct(p->service, p->order, p->family, &choice->bits, &is_short);
        if (pool == NULL || is_short) {
            return 0;
        }
        first = (uint32_t)(pool - p->service->pools);
    }
    choice->pool = first;
    choice->bits_of[choice->pool] = choice->bits;
    return UINT64_C(1) << choice->pool;
}

/* The pools that answer, in `choice` as well; 0: not to be said so quickly. */
static inline __attribute__((always_inline)) uint64_t steer_quick_pools(struct steer_pass *p,
                                                                        struct steer_choice *choice)
{
    unsigned drawing = STEER_DRAWS | STEER_TRICKLE | STEER_CAPACITY;
    unsigned together = p->filters & STEER_TOGETHER;

    if (p->policy->places != NULL && !steer_pass_is_placeless(p)) {
        steer_pass_locate(p);
    }
    if ((p->filters & drawing) != 0) {
        steer_pass_seed(p);
        if (steer_pass_trickles(p)) {
            return 0;
        }
    }
    choice->several = false;
    return together == 0               ? steer_quick_ordered(p, choice)
           : together == STEER_LATENCY ? steer_quick_quickest(p, choice)
                                       : steer_quick_together(p, choice);
}

/* May it be said quickly, as far as the service is concerned? */
static inline bool steer_quick_may(const struct steer_service *service)
{
    return service->policy != NULL && service->policy->quick != STEER_QUICK_NOT &&
           !atomic_load_explicit(&service->has_hand, memory_order_relaxed);
}

/*
 * Choose, where it may be said quickly; false, and nothing said, when more must
 * be known. As steer_choose, but `client`, which is not NULL, brings its
 * `scope_bits` cleared.
 */
static inline bool steer_quick(const struct steer_service *service, unsigned family,
                               struct steer_client *client, struct steer_choice *choice)
{
    struct steer_pass p = steer_pass_begin(service, family, client);
    uint64_t pools = steer_quick_pools(&p, choice);

    if (pools == 0) {
        return false;
    }
    choice->result = STEER_ADDRESSES;
    choice->rung = 1;
    choice->short_ttl = false;
    choice->pick_count = 0;
    if ((p.filters & STEER_DRAWS) != 0) {
        choice->pick_count =
            (uint8_t)steer_pass_pick(&p, pools, choice->several, choice->bits_of, choice->picks);
    }
    return true;
}
