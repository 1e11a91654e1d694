#pragma once
/*
 * steer_pass - one choice under way: the order of its pools, and what is drawn with
 *
 * What the common case (steer_quick) and the whole (steer_filter) decide
 * alike; inline, because every steered answer goes this way. Any thread that
 * holds the snapshot.
 */
#include "policy/places.h"
#include "policy/steer_direct.h"
#include "policy/steer_draw.h"
#include "policy/steer_ladder.h"

/* Salts, so that one draw says nothing about another. */
enum {
    STEER_SALT_RAMP = 0x100, /* and above, by pool */
    STEER_SALT_TRICKLE = 0x200,
    STEER_SALT_POOL = 0x201,
    STEER_SALT_CAPACITY = 0x202,
    STEER_SALT_ENDPOINTS = 0x203,
};

/* Filters that put endpoints into an order of their own. */
#define STEER_DRAWS (STEER_WEIGHT | STEER_STICKY | STEER_SHUFFLE)

struct steer_pass {
    const struct steer_service *service;
    const struct steer_policy *policy; /* NULL: nothing but the order as configured */
    unsigned filters;
    unsigned family;
    struct steer_client *client; /* NULL: nobody in particular, nothing is drawn */
    struct steer_ladder *ladder;
    struct text *trace;
    const uint8_t *order; /* pools, the preferred first; NULL: as configured */
    uint8_t home;         /* the pool of the client's own region, or STEER_NO_POOL */
    uint64_t seed;
};

static inline struct steer_pass steer_pass_begin(const struct steer_service *service,
                                                 unsigned family, struct steer_client *client)
{
    return (struct steer_pass){
        .service = service,
        .policy = service->policy,
        .filters = service->policy != NULL ? service->policy->filters : 0,
        .family = family,
        .client = client,
        .home = STEER_NO_POOL,
    };
}

/* Where the client stands: the order of pools there, and its own. */
static inline void steer_pass_locate(struct steer_pass *p)
{
    const struct steer_policy *policy = p->policy;
    uint32_t place = 0;

    if (p->client != NULL) {
        place = places_find(policy->places, &p->client->address, p->client->known_bits,
                            &p->client->scope_bits);
    }
    p->home = policy->orders->homes[place];
    if ((p->filters & STEER_NEAREST) != 0) {
        p->order = policy->orders->pools + (size_t)place * p->service->pool_count;
    }
}

/* The seed of what is drawn: the same for a client that is to stick, else by turn. */
static inline void steer_pass_seed(struct steer_pass *p)
{
    if ((p->filters & STEER_STICKY) == 0) {
        p->seed = hash_fold(p->client->turn + UINT64_C(1), STEER_DRAW_MULTIPLIER);
        return;
    }
    uint8_t bits;
    p->seed = steer_draw_prefix(p->client, p->policy->sticky_bits, &bits);
    p->client->scope_bits = p->client->scope_bits < bits ? bits : p->client->scope_bits;
}

static inline uint32_t steer_pass_draw(const struct steer_pass *p, uint64_t salt)
{
    return (uint32_t)(steer_draw_mix(p->seed, salt) >> 32);
}

/* Is this answer of the small share that keeps the next region proven? */
static inline bool steer_pass_trickles(const struct steer_pass *p)
{
    return (p->filters & STEER_TRICKLE) != 0 &&
           steer_pass_draw(p, STEER_SALT_TRICKLE) >> 16 < p->policy->trickle_65536;
}

/* Does the answer depend on where the client stands, when it is drawn by capacity alone? */
static inline bool steer_pass_is_placeless(const struct steer_pass *p)
{
    return (p->filters & STEER_CAPACITY) != 0 && !p->policy->has_load && p->client != NULL;
}

/* Can the client's own region carry all its clients? Then they stay, whatever the others do. */
static inline bool steer_pass_stays(const struct steer_pass *p)
{
    if (p->home == STEER_NO_POOL || !p->policy->has_load) {
        return false;
    }
    uint32_t capacity =
        atomic_load_explicit(&p->service->pools[p->home].group->capacity, memory_order_relaxed);
    return capacity > 0 && p->policy->shares[p->home].load <= capacity;
}

/* What a group's latency counts as: unknown, which is 0, comes after what is known. */
static inline uint32_t steer_pass_latency(const struct health_group *group)
{
    return atomic_load_explicit(&group->latency_us, memory_order_relaxed) - 1;
}

/* The preferred one of those no slower than `least`, the quickest, by more than the band. */
static inline uint32_t steer_pass_in_band(const struct steer_pass *p, uint64_t pools,
                                          const uint32_t *latencies, uint32_t least)
{
    if (p->order == NULL) {
        while (latencies[__builtin_ctzll(pools)] - least > p->policy->band_us) {
            pools &= pools - 1;
        }
        return (uint32_t)__builtin_ctzll(pools);
    }
    const uint8_t *at = p->order;
    while ((pools >> *at & 1) == 0 || latencies[*at] - least > p->policy->band_us) {
        at++;
    }
    return *at;
}

/* The same of a set that is known already. */
static inline uint32_t steer_pass_quickest(const struct steer_pass *p, uint64_t pools)
{
    uint32_t latencies[STEER_POOLS_MAX]; /* read once: they move meanwhile */
    uint32_t least = UINT32_MAX;

    for (uint64_t rest = pools; rest != 0; rest &= rest - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(rest);
        latencies[i] = steer_pass_latency(p->service->pools[i].group);
        least = latencies[i] < least ? latencies[i] : least;
    }
    return steer_pass_in_band(p, pools, latencies, least);
}

/* The preferred one of a set that is not empty. */
static inline uint32_t steer_pass_first(const struct steer_pass *p, uint64_t pools)
{
    if ((p->filters & STEER_LATENCY) != 0) {
        return steer_pass_quickest(p, pools);
    }
    if (p->order == NULL) {
        return (uint32_t)__builtin_ctzll(pools);
    }
    const uint8_t *at = p->order;
    while ((pools >> *at & 1) == 0) {
        at++;
    }
    return *at;
}

static inline struct steer_urn steer_pass_urn(const struct steer_pass *p, uint64_t pools,
                                              const uint64_t *bits)
{
    return (struct steer_urn){ .service = p->service,
                               .family = p->family,
                               .pools = pools,
                               .bits = bits,
                               .weighted = (p->filters & STEER_WEIGHT) != 0 };
}

/* The endpoints of this very answer from one pool, where a filter draws them. Returns how many. */
static inline unsigned steer_pass_pick_of(const struct steer_pass *p, uint32_t pool, uint64_t bits,
                                          uint16_t *picks)
{
    const struct steer_share *share = &p->policy->shares[pool];
    bool weighted = (p->filters & STEER_WEIGHT) != 0;
    unsigned most = p->service->max_addresses;

    if ((p->filters & STEER_STICKY) != 0) {
        return steer_draw_sticky(share, p->family, weighted, bits, p->seed, most, picks);
    }
    uint64_t seed = steer_draw_mix(p->seed, STEER_SALT_ENDPOINTS);
    return weighted
               ? steer_draw_weighted(share, p->family, p->service->pools[pool].counts[p->family],
                                     bits, seed, most, picks)
               : steer_draw_even(pool, bits, seed, most, picks);
}

/*
 * The same from all of `pools`, with the bits of each; `several`: also those of
 * the pools that do not answer are set, and one that is left of many is drawn
 * from as many are.
 */
static inline unsigned steer_pass_pick(const struct steer_pass *p, uint64_t pools, bool several,
                                       const uint64_t *bits, uint16_t *picks)
{
    unsigned most = p->service->max_addresses;

    if (!several) {
        uint32_t pool = (uint32_t)__builtin_ctzll(pools);
        return steer_pass_pick_of(p, pool, bits[pool], picks);
    }
    const struct steer_urn urn = steer_pass_urn(p, pools, bits);
    return (p->filters & STEER_STICKY) != 0
               ? steer_draw_sticky_lots(&urn, p->seed, most, picks)
               : steer_draw_lots(&urn, steer_draw_mix(p->seed, STEER_SALT_ENDPOINTS), most, picks);
}
