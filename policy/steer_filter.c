#include "policy/steer_filter.h"

#include "policy/steer_capacity.h"
#include "policy/steer_pass.h"
#include "policy/steer_trace.h"

static inline uint64_t bit(uint32_t pool)
{
    return UINT64_C(1) << pool;
}

/* ---- the order of pools ---- */

/* Does a client stick to one pool of all? */
static bool is_sticking_to_pool(const struct steer_pass *p)
{
    return (p->filters & STEER_ALL) != 0 && (p->filters & STEER_STICKY) != 0;
}

/* All that are preferred to `pool`. */
static uint64_t before(const struct steer_pass *p, uint32_t pool)
{
    uint64_t set = 0;

    if ((p->filters & STEER_CAPACITY) != 0 && pool == p->home && steer_pass_stays(p)) {
        return 0;
    }
    if ((p->filters & STEER_CAPACITY) == 0 && p->client != NULL && is_sticking_to_pool(p)) {
        return steer_draw_sticky_before(p->service, p->family, p->seed, pool);
    }
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
static uint64_t admit(const struct steer_pass *p, uint64_t pools)
{
    uint64_t left = pools;

    for (uint64_t rest = p->ladder->ramping & pools; rest != 0; rest &= rest - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(rest);
        uint32_t ramp =
            atomic_load_explicit(&p->service->pools[i].group->ramp, memory_order_relaxed);
        left &= steer_pass_draw(p, STEER_SALT_RAMP + i) >> 16 < ramp ? UINT64_MAX : ~bit(i);
    }
    left = left != 0 ? left : pools; /* nobody else is there */
    if (p->trace != NULL && left != pools) {
        steer_trace_filter(p->trace, p->service, "ramp", left, pools & ~left,
                           "just back, and this answer is not of its share");
    }
    return left;
}

/* Endpoints of weight 0 step back where there are others; pools of nothing else do among all. */
static uint64_t drop_idle(const struct steer_pass *p, uint64_t pools, bool together)
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

/* One of those that answer together, where only one can: a CNAME, or a client that sticks. */
static uint32_t one_of(const struct steer_pass *p, uint64_t pools)
{
    uint64_t bits[STEER_POOLS_MAX];
    const struct steer_urn urn = steer_pass_urn(p, pools, bits);

    if (p->client == NULL) {
        return steer_pass_first(p, pools);
    }
    for (uint32_t i = 0; i < p->service->pool_count; i++) {
        bits[i] = (pools & bit(i)) != 0 ? p->ladder->bits[i] : 0;
    }
    if ((p->filters & STEER_STICKY) != 0) {
        return steer_draw_sticky_pool(p->policy, p->family, pools, p->seed);
    }
    uint16_t drawn;
    (void)steer_draw_lots(&urn, steer_draw_mix(p->seed, STEER_SALT_POOL), 1, &drawn);
    return steer_pick_pool(drawn);
}

/* Of a small share of answers the next one, where there is one on the first rung. */
static uint32_t trickle(const struct steer_pass *p, uint64_t pools, uint32_t chosen)
{
    uint64_t others = pools & ~bit(chosen);

    if (p->client == NULL || p->ladder->rung != 1 || others == 0 || !steer_pass_trickles(p)) {
        return chosen;
    }
    uint32_t next = steer_pass_first(p, others);
    if (p->trace != NULL) {
        steer_trace_filter(p->trace, p->service, "trickle", bit(next), bit(chosen),
                           "this answer is of the share that keeps the next region proven");
    }
    return next;
}

/* One pool; with the next one where it shares. */
static uint64_t with_next(const struct steer_pass *p, uint64_t pools, uint32_t chosen)
{
    uint64_t others = p->ladder->pools & ~bit(chosen);

    if ((p->ladder->shared >> chosen & 1) == 0 || others == 0 || p->service->cnames != NULL) {
        return bit(chosen);
    }
    others = (others & pools) != 0 ? others & pools : others;
    uint64_t both = bit(chosen) | bit(steer_pass_first(p, others));
    if (p->trace != NULL) {
        steer_trace_filter(p->trace, p->service, "cascade window", both, 0,
                           "silent just after another one left, it shares its answers");
    }
    return both;
}

/* By order. */
static uint32_t choose_ordered(const struct steer_pass *p, uint64_t pools)
{
    uint32_t chosen = steer_pass_first(p, pools);

    if (p->trace != NULL) {
        const char *filter = (p->filters & STEER_LATENCY) != 0   ? "latency"
                             : (p->filters & STEER_NEAREST) != 0 ? "nearest"
                                                                 : "region_order";
        const char *why = "the first of them";
        if ((p->filters & STEER_LATENCY) != 0) {
            steer_trace_latency(p->trace, p->service, pools, p->policy->band_us);
            why = steer_pass_latency(p->service->pools[chosen].group) == UINT32_MAX
                      ? "nothing is measured, so the first of them"
                      : "the preferred of those within the band of the quickest";
        }
        steer_trace_filter(p->trace, p->service, filter, bit(chosen), pools & ~bit(chosen), why);
    }
    return chosen;
}

/* By capacity; where none is given, by order. */
static uint32_t choose_carrier(struct steer_pass *p, uint64_t pools)
{
    if (p->client == NULL) {
        bool is_home = p->home != STEER_NO_POOL && (pools >> p->home & 1) != 0;
        return is_home ? p->home : steer_pass_first(p, pools);
    }
    const struct steer_burden burden = { .service = p->service, .pools = pools, .home = p->home };
    uint32_t chosen = steer_capacity_draw(&burden, steer_pass_draw(p, STEER_SALT_CAPACITY));
    if (chosen == STEER_NO_POOL) {
        if (p->policy->places != NULL) {
            steer_pass_locate(p);
        }
        return choose_ordered(p, pools);
    }
    if (p->trace != NULL) {
        steer_capacity_trace(&burden, p->trace);
        steer_trace_filter(p->trace, p->service, "capacity", bit(chosen), pools & ~bit(chosen),
                           "drawn by these shares");
    }
    return chosen;
}

static uint64_t choose_pools(struct steer_pass *p, bool *out_several)
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
        if ((p->filters & STEER_STICKY) == 0 || p->client == NULL || pools == (pools & -pools)) {
            return pools;
        }
        *out_several = low; /* a client that sticks is of one region */
        return bit(one_of(p, pools));
    }
    uint32_t chosen = all                                  ? one_of(p, pools)
                      : (p->filters & STEER_CAPACITY) != 0 ? choose_carrier(p, pools)
                                                           : choose_ordered(p, pools);
    return with_next(p, pools, trickle(p, pools, chosen));
}

/* ---- the endpoints ---- */

static void pick(const struct steer_pass *p, uint64_t pools, const uint64_t *bits,
                 struct steer_choice *choice)
{
    const char *filter = (p->filters & STEER_STICKY) != 0
                             ? "sticky: the same for this client's prefix, on every node"
                         : (p->filters & STEER_WEIGHT) != 0 ? "weight: drawn for this answer"
                                                            : "shuffle: drawn for this answer";

    choice->pick_count = (uint8_t)steer_pass_pick(p, pools, choice->several, bits, choice->picks);
    if (p->trace != NULL) {
        steer_trace_picks(p->trace, p->service, p->family, filter, choice);
    }
}

/* The short TTL, also where a better pool is about to come back. */
static bool is_short(const struct steer_pass *p, uint64_t chosen)
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

static void fill(const struct steer_pass *p, uint64_t pools, bool several,
                 struct steer_choice *choice)
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

void steer_filter(const struct steer_service *service, unsigned family, struct steer_client *client,
                  struct steer_ladder *ladder, struct steer_choice *choice, struct text *trace)
{
    struct steer_pass p = steer_pass_begin(service, family, client);
    bool several;

    p.ladder = ladder;
    p.trace = trace;
    if (p.policy != NULL && p.policy->places != NULL &&
        (ladder->shared != 0 || !steer_pass_is_placeless(&p))) {
        steer_pass_locate(&p);
    }
    if (client != NULL) {
        steer_pass_seed(&p);
    }
    uint64_t pools = choose_pools(&p, &several);
    fill(&p, pools, several, choice);
    if (client != NULL && (p.filters & STEER_DRAWS) != 0) {
        pick(&p, pools, choice->several ? choice->bits_of : ladder->bits, choice);
    }
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
