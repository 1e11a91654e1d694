#include "policy/steer_filter.h"

#include "policy/places.h"
#include "policy/steer_capacity.h"
#include "policy/steer_direct.h"
#include "policy/steer_draw.h"
#include "policy/steer_trace.h"

/* Salts, so that one draw says nothing about another. */
enum {
    SALT_RAMP = 0x100, /* and above, by pool */
    SALT_TRICKLE = 0x200,
    SALT_POOL = 0x201,
    SALT_CAPACITY = 0x202,
    SALT_ENDPOINTS = 0x203,
};

/* Filters that put endpoints into an order of their own. */
#define DRAWS (STEER_WEIGHT | STEER_STICKY | STEER_SHUFFLE)

/* One choice under way. */
struct pass {
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

static inline uint64_t bit(uint32_t pool)
{
    return UINT64_C(1) << pool;
}

static inline uint32_t draw32(const struct pass *p, uint64_t salt)
{
    return (uint32_t)(steer_draw_mix(p->seed, salt) >> 32);
}

/* ---- the order of pools ---- */

static void find_place(struct pass *p)
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
static void find_seed(struct pass *p)
{
    if ((p->filters & STEER_STICKY) == 0) {
        p->seed = hash_fold(p->client->turn + UINT64_C(1), STEER_DRAW_MULTIPLIER);
        return;
    }
    uint8_t bits;
    p->seed = steer_draw_prefix(p->client, p->policy->sticky_bits, &bits);
    p->client->scope_bits = p->client->scope_bits < bits ? bits : p->client->scope_bits;
}

static inline uint32_t latency_of(const struct pass *p, uint32_t pool)
{
    uint32_t us = atomic_load_explicit(&p->service->pools[pool].group->latency_us,
                                       memory_order_relaxed);

    return us == 0 ? UINT32_MAX : us; /* unknown: after what is known */
}

/* Those no slower than the quickest by more than the band. */
static uint64_t quickest(const struct pass *p, uint64_t pools)
{
    uint32_t least = UINT32_MAX;
    uint64_t near = 0;

    for (uint64_t rest = pools; rest != 0; rest &= rest - 1) {
        uint32_t us = latency_of(p, (uint32_t)__builtin_ctzll(rest));
        least = us < least ? us : least;
    }
    for (uint64_t rest = pools; rest != 0; rest &= rest - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(rest);
        near |= latency_of(p, i) - least <= p->policy->band_us ? bit(i) : 0;
    }
    return near;
}

/* The preferred one of a set that is not empty. */
static inline uint32_t first_of(const struct pass *p, uint64_t pools)
{
    if ((p->filters & STEER_LATENCY) != 0) {
        pools = quickest(p, pools);
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

/* All that are preferred to `pool`. */
static uint64_t before(const struct pass *p, uint32_t pool)
{
    uint64_t set = 0;

    if ((p->filters & (STEER_LATENCY | STEER_CAPACITY | STEER_ALL)) != 0) {
        return UINT64_MAX; /* whoever comes back may be */
    }
    if (p->order == NULL) {
        return bit(pool) - 1;
    }
    for (const uint8_t *at = p->order; *at != pool; at++) {
        set |= bit(*at);
    }
    return set;
}

/* ---- who takes this answer ---- */

/* Of those that came back a moment ago, only a part of their answers: the rest is for others. */
static uint64_t admit(const struct pass *p, uint64_t pools)
{
    uint64_t left = pools;

    for (uint64_t rest = p->ladder->ramping & pools; rest != 0; rest &= rest - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(rest);
        uint32_t ramp =
            atomic_load_explicit(&p->service->pools[i].group->ramp, memory_order_relaxed);
        left &= draw32(p, SALT_RAMP + i) >> 16 < ramp ? UINT64_MAX : ~bit(i);
    }
    left = left != 0 ? left : pools; /* nobody else is there */
    if (p->trace != NULL && left != pools) {
        steer_trace_filter(p->trace, p->service, "ramp", left, pools & ~left,
                           "just back, and this answer is not of its share");
    }
    return left;
}

/* Endpoints of weight 0 step back where there are others; pools of nothing else do among all. */
static uint64_t drop_idle(const struct pass *p, uint64_t pools, bool together)
{
    uint64_t left = pools;

    for (uint64_t rest = pools; rest != 0; rest &= rest - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(rest);
        uint64_t idle = p->policy->shares[i].idle[p->family];
        uint64_t active = p->ladder->bits[i] & ~idle;
        if (active == 0) {
            left &= together ? ~bit(i) : UINT64_MAX;
            continue;
        }
        if (p->trace != NULL) {
            steer_trace_endpoints(p->trace, p->service, p->family, i, p->ladder->bits[i] & idle,
                                  "weight 0, and others are there");
        }
        p->ladder->bits[i] = active;
    }
    return left != 0 ? left : pools;
}

static inline struct steer_urn urn_of(const struct pass *p, uint64_t pools,
                                      const uint64_t *bits)
{
    return (struct steer_urn){ .service = p->service,
                               .family = p->family,
                               .pools = pools,
                               .bits = bits,
                               .weighted = (p->filters & STEER_WEIGHT) != 0 };
}

/* One of those that answer together, where only one can: a CNAME, or a client that sticks. */
static uint32_t one_of(const struct pass *p, uint64_t pools)
{
    const struct steer_urn urn = urn_of(p, pools, p->ladder->bits);

    if (p->client == NULL) {
        return first_of(p, pools);
    }
    if ((p->filters & STEER_STICKY) != 0) {
        return steer_draw_sticky_pool(&urn, p->seed);
    }
    struct steer_choice drawn;
    steer_draw_picks(&urn, steer_draw_mix(p->seed, SALT_POOL), 1, &drawn);
    return steer_pick_pool(drawn.picks[0]);
}

/* Is this answer of the small share that keeps the next one proven? */
static inline bool is_trickled(const struct pass *p)
{
    return (p->filters & STEER_TRICKLE) != 0 &&
           draw32(p, SALT_TRICKLE) >> 16 < p->policy->trickle_65536;
}

/* Then the next one, where there is one on the first rung. */
static uint32_t trickle(const struct pass *p, uint64_t pools, uint32_t chosen)
{
    uint64_t others = pools & ~bit(chosen);

    if (p->client == NULL || p->ladder->rung != 1 || others == 0 || !is_trickled(p)) {
        return chosen;
    }
    uint32_t next = first_of(p, others);
    if (p->trace != NULL) {
        steer_trace_filter(p->trace, p->service, "trickle", bit(next), bit(chosen),
                           "this answer is of the share that keeps the next region proven");
    }
    return next;
}

/* One pool; with the next one where it shares. */
static uint64_t with_next(const struct pass *p, uint64_t pools, uint32_t chosen)
{
    uint64_t others = p->ladder->pools & ~bit(chosen);

    if ((p->ladder->shared >> chosen & 1) == 0 || others == 0 || p->service->cnames != NULL) {
        return bit(chosen);
    }
    others = (others & pools) != 0 ? others & pools : others;
    uint64_t both = bit(chosen) | bit(first_of(p, others));
    if (p->trace != NULL) {
        steer_trace_filter(p->trace, p->service, "cascade window", both, 0,
                           "silent just after another one left, it shares its answers");
    }
    return both;
}

/* By order. */
static uint32_t choose_ordered(const struct pass *p, uint64_t pools)
{
    uint32_t chosen = first_of(p, pools);

    if (p->trace != NULL) {
        const char *filter = (p->filters & STEER_LATENCY) != 0   ? "latency"
                             : (p->filters & STEER_NEAREST) != 0 ? "nearest"
                                                                 : "region_order";
        const char *why = (p->filters & STEER_LATENCY) != 0
                              ? "the preferred of those within the band of the quickest"
                              : "the first of them";
        steer_trace_filter(p->trace, p->service, filter, bit(chosen), pools & ~bit(chosen), why);
    }
    return chosen;
}

/* By capacity; where none is given, by order. */
static uint32_t choose_carrier(const struct pass *p, uint64_t pools)
{
    uint32_t preferred = p->home != STEER_NO_POOL && (pools >> p->home & 1) != 0
                             ? p->home
                             : first_of(p, pools);

    if (p->client == NULL) {
        return preferred;
    }
    const struct steer_burden burden = { .service = p->service, .pools = pools, .home = p->home };
    uint32_t chosen = steer_capacity_draw(&burden, draw32(p, SALT_CAPACITY));
    if (chosen == STEER_NO_POOL) {
        return choose_ordered(p, pools);
    }
    if (p->trace != NULL) {
        steer_capacity_trace(&burden, p->trace);
        steer_trace_filter(p->trace, p->service, "capacity", bit(chosen), pools & ~bit(chosen),
                           "drawn by these shares");
    }
    return chosen;
}

static uint64_t choose_pools(const struct pass *p, bool *out_several)
{
    uint64_t pools = p->ladder->pools;
    bool low = p->ladder->rung >= 4;
    bool all = low || (p->filters & STEER_ALL) != 0;

    if (p->policy != NULL && p->policy->has_idle) {
        pools = drop_idle(p, pools, all);
    }
    *out_several = low;
    if ((p->filters & STEER_CAPACITY) != 0 && p->client != NULL) {
        *out_several = false;
        return with_next(p, pools, choose_carrier(p, pools));
    }
    if (p->ladder->ramping != 0 && p->client != NULL) {
        pools = admit(p, pools);
    }
    if (low || (all && p->service->cnames == NULL)) {
        *out_several = true;
        if (p->trace != NULL && p->filters != 0) {
            steer_trace_filter(p->trace, p->service, "all", pools, p->ladder->pools & ~pools, "");
        }
        return pools == (pools & -pools) || (p->filters & STEER_STICKY) == 0 || p->client == NULL
                   ? pools
                   : bit(one_of(p, pools));
    }
    uint32_t chosen = all                                    ? one_of(p, pools)
                      : (p->filters & STEER_CAPACITY) != 0 ? choose_carrier(p, pools)
                                                             : choose_ordered(p, pools);
    return with_next(p, pools, trickle(p, pools, chosen));
}

/* ---- the endpoints ---- */

static void pick(const struct pass *p, uint64_t pools, const uint64_t *bits,
                 struct steer_choice *choice)
{
    unsigned most = p->service->max_addresses;
    const struct steer_urn urn = urn_of(p, pools, bits);
    const char *filter;

    most = most < STEER_ENDPOINTS_MAX ? most : STEER_ENDPOINTS_MAX;
    if ((p->filters & STEER_STICKY) != 0) {
        steer_draw_sticky(&urn, p->seed, most, choice);
        filter = "sticky: the same for this client's prefix, on every node";
    } else {
        steer_draw_picks(&urn, steer_draw_mix(p->seed, SALT_ENDPOINTS), most, choice);
        filter = urn.weighted ? "weight: drawn for this answer" : "shuffle: drawn for this answer";
    }
    if (p->trace != NULL) {
        steer_trace_picks(p->trace, p->service, p->family, filter, choice);
    }
}

/* The short TTL, also where a better pool is about to come back. */
static bool is_short(const struct pass *p, uint64_t chosen)
{
    const struct steer_ladder *ladder = p->ladder;
    uint64_t moving = ladder->returning | ladder->ramping | ladder->shared;

    if (ladder->rung > 1 || (ladder->suspect & chosen) != 0) {
        return true;
    }
    if (moving == 0) {
        return false;
    }
    uint64_t better = before(p, (uint32_t)__builtin_ctzll(chosen));
    moving &= better | chosen;
    if (p->trace != NULL && moving != 0) {
        steer_trace_ttl(p->trace, p->service, moving);
    }
    return moving != 0;
}

static void fill(const struct pass *p, uint64_t pools, bool several, struct steer_choice *choice)
{
    choice->result = STEER_ADDRESSES;
    choice->rung = p->ladder->rung;
    choice->pick_count = 0;
    choice->pool = (uint32_t)__builtin_ctzll(pools);
    choice->bits = p->ladder->bits[choice->pool];
    choice->several = several || (pools & (pools - 1)) != 0;
    for (uint32_t i = 0; choice->several && i < p->service->pool_count; i++) {
        choice->bits_of[i] = (pools >> i & 1) != 0 ? p->ladder->bits[i] : 0;
    }
    choice->short_ttl = is_short(p, pools);
}

static struct pass begin(const struct steer_service *service, unsigned family,
                         struct steer_client *client)
{
    return (struct pass){
        .service = service,
        .policy = service->policy,
        .filters = service->policy != NULL ? service->policy->filters : 0,
        .family = family,
        .client = client,
        .home = STEER_NO_POOL,
    };
}

void steer_filter(const struct steer_service *service, unsigned family,
                  struct steer_client *client, struct steer_ladder *ladder,
                  struct steer_choice *choice, struct text *trace)
{
    struct pass p = begin(service, family, client);
    bool several;

    p.ladder = ladder;
    p.trace = trace;
    if (p.policy != NULL && p.policy->places != NULL) {
        find_place(&p);
    }
    if (client != NULL) {
        find_seed(&p);
    }
    uint64_t pools = choose_pools(&p, &several);
    fill(&p, pools, several, choice);
    if (client != NULL && (p.filters & DRAWS) != 0) {
        pick(&p, pools, ladder->bits, choice);
    }
}

/* Can one region carry all its own clients? Then they stay, whatever the others do. */
static const struct steer_pool *own_pool(const struct pass *p, uint64_t *out_bits,
                                         bool *out_short)
{
    if (p->home == STEER_NO_POOL || !p->policy->has_load) {
        return NULL;
    }
    const struct steer_pool *pool = &p->service->pools[p->home];
    uint32_t capacity = atomic_load_explicit(&pool->group->capacity, memory_order_relaxed);
    bool stays = p->policy->shares[p->home].load <= capacity && capacity > 0 &&
                 steer_glance(pool, p->family, out_bits, out_short) == STEER_STANDS;
    return stays ? pool : NULL;
}

/* May the first pool in order be the answer, or the client's own? */
static inline bool is_simple(const struct pass *p)
{
    unsigned others = STEER_ALL | STEER_LATENCY | STEER_CAPACITY | STEER_TRICKLE;

    if (p->policy->has_idle) {
        return false;
    }
    if ((p->filters & (STEER_CAPACITY | STEER_TRICKLE)) == STEER_CAPACITY) {
        return p->client != NULL && p->policy->has_load;
    }
    return (p->filters & others & ~(unsigned)STEER_TRICKLE) == 0;
}

bool steer_filter_quickly(const struct steer_service *service, unsigned family,
                          struct steer_client *client, struct steer_choice *choice)
{
    struct pass p = begin(service, family, client);
    const struct steer_pool *pool;

    if (p.filters != 0 || (p.policy != NULL && p.policy->has_idle)) {
        if (!is_simple(&p)) {
            return false;
        }
        if (p.policy->places != NULL) {
            find_place(&p);
        }
        if (client != NULL && (p.filters & (DRAWS | STEER_TRICKLE)) != 0) {
            find_seed(&p);
        }
        if (client != NULL && is_trickled(&p)) {
            return false;
        }
    }
    pool = (p.filters & STEER_CAPACITY) != 0
               ? own_pool(&p, &choice->bits, &choice->short_ttl)
               : steer_direct(service, p.order, family, &choice->bits, &choice->short_ttl);
    if (pool == NULL) {
        return false;
    }
    choice->result = STEER_ADDRESSES;
    choice->rung = 1;
    choice->pool = (uint32_t)(pool - service->pools);
    choice->several = false;
    choice->pick_count = 0;
    if (client != NULL && (p.filters & DRAWS) != 0) {
        choice->bits_of[choice->pool] = choice->bits;
        pick(&p, bit(choice->pool), choice->bits_of, choice);
    }
    return true;
}

uint32_t steer_filter_rank(const struct steer_service *service, const struct steer_client *client,
                           uint32_t pool)
{
    const struct steer_policy *policy = service->policy;
    uint8_t ignored;

    if (policy == NULL || policy->places == NULL || (policy->filters & STEER_NEAREST) == 0) {
        return pool;
    }
    uint32_t place = client == NULL ? 0
                                    : places_find(policy->places, &client->address,
                                                  client->known_bits, &ignored);
    const uint8_t *order = policy->orders->pools + (size_t)place * service->pool_count;
    uint32_t rank = 0;
    while (order[rank] != pool) {
        rank++;
    }
    return rank;
}
