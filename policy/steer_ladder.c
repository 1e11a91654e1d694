#include "policy/steer_ladder.h"

#include <string.h>

#include "policy/steer_direct.h"
#include "policy/steer_memory.h"
#include "policy/steer_trace.h"

#define LOOKS_MOST 4 /* at words that move while they are read */

#define GROUP_FLAGS ((1u << HEALTH_EPOCH_SHIFT) - 1)

static inline uint64_t load64_acquire(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

static inline unsigned count(uint64_t v4, uint64_t v6)
{
    return (unsigned)__builtin_popcountll(v4) + (unsigned)__builtin_popcountll(v6);
}

static inline bool has_hand(uint8_t hands, enum steer_hand hand)
{
    return (hands >> hand & 1) != 0;
}

/* ---- the first rung, quickly ---- */

/* Would it stand on rung 2? Of a pool that does not stand on the first. */
static bool may_return(const struct health_group *group, uint32_t word, unsigned family)
{
    uint64_t bits[ADDR_FAMILIES];

    if ((word & HEALTH_REGION_AWAY & ~(uint32_t)HEALTH_REGION_HELD) != 0) {
        return false;
    }
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        bits[f] = steer_load(&group->held[f]) | steer_load(&group->up[f]);
    }
    return bits[family] != 0 && steer_meets(bits[0], bits[1], group->minimum);
}

static inline void note(struct steer_ladder *ladder, uint64_t pool, uint32_t word, uint32_t flags)
{
    if (((word & (HEALTH_REGION_SUSPECT | HEALTH_REGION_SHARED)) | (flags & GROUP_FLAGS)) == 0) {
        return;
    }
    if ((word & HEALTH_REGION_SUSPECT) != 0 || (flags & HEALTH_GROUP_SUSPECT) != 0) {
        ladder->suspect |= pool;
    }
    if ((word & HEALTH_REGION_SHARED) != 0 || (flags & HEALTH_GROUP_SHARED) != 0) {
        ladder->shared |= pool;
    }
    if ((flags & HEALTH_GROUP_RAMPING) != 0) {
        ladder->ramping |= pool;
    }
}

static void clear(struct steer_ladder *ladder)
{
    ladder->rung = 0;
    ladder->any = false;
    ladder->pools = 0;
    ladder->suspect = 0;
    ladder->ramping = 0;
    ladder->shared = 0;
    ladder->returning = 0;
}

bool steer_ladder_glance(const struct steer_service *service, unsigned family,
                         struct steer_ladder *ladder)
{
    clear(ladder);
    for (uint32_t i = 0; i < service->pool_count; i++) {
        const struct steer_pool *pool = &service->pools[i];
        const struct health_group *group = pool->group;
        uint32_t word = atomic_load_explicit(&pool->region->word, memory_order_relaxed);
        uint8_t hand = atomic_load_explicit(&pool->hand, memory_order_relaxed);
        if ((word & (HEALTH_REGION_PROVE | HEALTH_REGION_FORCED_UP)) != 0 || hand != 0) {
            return false;
        }
        uint64_t up[ADDR_FAMILIES] = { steer_load(&group->up[0]), steer_load(&group->up[1]) };
        if ((word & HEALTH_REGION_AWAY) == 0 && up[family] != 0 &&
            steer_meets(up[0], up[1], group->minimum)) {
            uint32_t flags = atomic_load_explicit(&group->flags, memory_order_relaxed);
            ladder->pools |= UINT64_C(1) << i;
            ladder->bits[i] = steer_well(up[family], steer_load(&group->degraded[family]));
            note(ladder, UINT64_C(1) << i, word, flags);
        } else if (may_return(group, word, family)) {
            ladder->returning |= UINT64_C(1) << i;
        }
    }
    ladder->rung = 1;
    ladder->any = true;
    return ladder->pools != 0;
}

/* ---- looking ---- */

/* Lay what the operator's hand says over what the checks do: force, then drain, then the rest. */
static void apply_hand(const struct steer_pool *pool, struct steer_view *v)
{
    if (has_hand(v->hand, STEER_HAND_PARKED)) {
        v->word |= HEALTH_REGION_HELD;
    }
    if (has_hand(v->hand, STEER_HAND_DRAINED)) {
        v->word |= HEALTH_REGION_DRAINED;
    }
    if ((v->word & HEALTH_REGION_FORCED_UP) != 0 || has_hand(v->hand, STEER_HAND_FORCED_UP)) {
        v->word &= ~(uint32_t)(HEALTH_REGION_HELD | HEALTH_REGION_GATED | HEALTH_REGION_DRAINED);
    }
    if (has_hand(v->hand, STEER_HAND_FORCED_UP)) {
        v->minimum = 1;
        v->flags &= ~(uint32_t)HEALTH_GROUP_RAMPING;
        for (unsigned f = 0; f < ADDR_FAMILIES; f++) { /* all but what is itself forced down */
            v->up[f] = steer_all_bits(pool->counts[f]) & ~steer_barred(pool, f);
        }
    }
    if (has_hand(v->hand, STEER_HAND_FORCED_DOWN)) {
        v->word |= HEALTH_REGION_FORCED_DOWN;
    }
}

/*
 * Read in this order: `flags` before `proven`, which then belongs to the epoch
 * they name or to a newer one; `held` before `up`, so that an endpoint that
 * comes out of hold_down is seen in one of them (health stores them the other
 * way round).
 */
static void look(const struct steer_pool *pool, struct steer_view *v)
{
    const struct health_group *group = pool->group;
    uint32_t flags = atomic_load_explicit(&group->flags, memory_order_acquire);

    v->word = atomic_load_explicit(&pool->region->word, memory_order_acquire);
    v->hand = atomic_load_explicit(&pool->hand, memory_order_relaxed);
    v->minimum = group->minimum;
    v->flags = flags & GROUP_FLAGS;
    bool counts = (v->word & HEALTH_REGION_PROVE) != 0 ||
                  v->word >> HEALTH_EPOCH_SHIFT == flags >> HEALTH_EPOCH_SHIFT;
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        v->held[f] = load64_acquire(&group->held[f]);
        v->up[f] = load64_acquire(&group->up[f]);
        v->proven[f] = counts ? load64_acquire(&group->proven[f]) : 0;
        v->degraded[f] = steer_load(&group->degraded[f]);
    }
    if (v->hand != 0 || (v->word & HEALTH_REGION_FORCED_UP) != 0) {
        apply_hand(pool, v);
    }
}

/* Look once more. Returns whether everything is as it was. */
static bool look_again(const struct steer_pool *pool, struct steer_view *v)
{
    struct steer_view before = *v;

    look(pool, v);
    return before.word == v->word && before.flags == v->flags && before.hand == v->hand &&
           memcmp(before.up, v->up, sizeof(v->up)) == 0 &&
           memcmp(before.held, v->held, sizeof(v->held)) == 0 &&
           memcmp(before.proven, v->proven, sizeof(v->proven)) == 0 &&
           memcmp(before.degraded, v->degraded, sizeof(v->degraded)) == 0;
}

/*
 * Words change one by one while they are read: where one region comes back as
 * another goes, a single look may find both gone.
 */
void steer_ladder_look(const struct steer_service *service,
                       struct steer_view views[STEER_POOLS_MAX])
{
    bool still = false;

    for (uint32_t i = 0; i < service->pool_count; i++) {
        look(&service->pools[i], &views[i]);
    }
    for (unsigned looks = 1; looks < LOOKS_MOST && !still; looks++) {
        still = true;
        for (uint32_t i = 0; i < service->pool_count; i++) {
            still = look_again(&service->pools[i], &views[i]) && still;
        }
    }
}

/* ---- the rungs: which endpoints of a pool stand on each ---- */

typedef bool rung_test(const struct steer_view *v, uint64_t bits[ADDR_FAMILIES]);

/* 1: the region is in (or proves itself), the group meets its minimum. */
static bool on_rung1(const struct steer_view *v, uint64_t bits[ADDR_FAMILIES])
{
    uint32_t away = v->word & HEALTH_REGION_AWAY;
    /* gated, and in hold_down behind it: its checks alone move nothing */
    uint32_t proving = HEALTH_REGION_GATED | HEALTH_REGION_HELD;
    bool prove = (v->word & HEALTH_REGION_PROVE) != 0 && away != 0 && (away & ~proving) == 0;

    if (away != 0 && !prove) {
        return false;
    }
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        bits[f] = prove ? v->up[f] & v->proven[f] : v->up[f];
    }
    return count(bits[0], bits[1]) >= v->minimum;
}

/* 2: the same, still in hold_down, be it the region's or its endpoints'. */
static bool on_rung2(const struct steer_view *v, uint64_t bits[ADDR_FAMILIES])
{
    if ((v->word & HEALTH_REGION_AWAY & ~(uint32_t)HEALTH_REGION_HELD) != 0) {
        return false;
    }
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        bits[f] = v->up[f] | v->held[f];
    }
    return count(bits[0], bits[1]) >= v->minimum;
}

/* 3: gated, but endpoints enough passed their own checks since. */
static bool on_rung3(const struct steer_view *v, uint64_t bits[ADDR_FAMILIES])
{
    uint32_t away = v->word & HEALTH_REGION_AWAY & ~(uint32_t)HEALTH_REGION_HELD;

    if (away != HEALTH_REGION_GATED) {
        return false;
    }
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        bits[f] = v->proven[f] & (v->up[f] | v->held[f]);
    }
    return count(bits[0], bits[1]) >= v->minimum;
}

/*
 * 4 and 5: everything up, in regions that are not drained, in those that are;
 * endpoints in hold_down only where `with_held` is set.
 */
static bool on_rung45(const struct steer_view *v, bool drained, bool with_held,
                      uint64_t bits[ADDR_FAMILIES])
{
    if ((v->word & HEALTH_REGION_FORCED_DOWN) != 0 ||
        ((v->word & HEALTH_REGION_DRAINED) != 0) != drained) {
        return false;
    }
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        bits[f] = v->up[f] | (with_held ? v->held[f] : 0);
    }
    return count(bits[0], bits[1]) > 0;
}

static bool on_rung4(const struct steer_view *v, uint64_t bits[ADDR_FAMILIES])
{
    return on_rung45(v, false, false, bits);
}

static bool on_rung4_held(const struct steer_view *v, uint64_t bits[ADDR_FAMILIES])
{
    return on_rung45(v, false, true, bits);
}

static bool on_rung5(const struct steer_view *v, uint64_t bits[ADDR_FAMILIES])
{
    return on_rung45(v, true, false, bits);
}

static bool on_rung5_held(const struct steer_view *v, uint64_t bits[ADDR_FAMILIES])
{
    return on_rung45(v, true, true, bits);
}

static const struct {
    rung_test *test;
    uint8_t rung;
    const char *what; /* NULL: half a step, told with the one behind it */
} steps[] = {
    { on_rung1, 1, "region in or proving itself, minimum met" },
    { on_rung2, 2, "the same, in hold_down" },
    { on_rung3, 3, "region gated, endpoints proven since" },
    { on_rung4, 4, NULL },
    { on_rung4_held, 4, "everything up, of all regions not drained" },
    { on_rung5, 5, NULL },
    { on_rung5_held, 5, "everything up in drained regions" },
};

#define STEPS (sizeof(steps) / sizeof(steps[0]))

/* What a step is called when it answers without the half behind it. */
static const char *name_of(size_t step)
{
    return steps[step].what != NULL ? steps[step].what : steps[step + 1].what;
}

/* Which pools would be on rung 1 but for a hold_down that ends by itself? */
static void find_returning(const struct steer_service *service, unsigned family,
                           const struct steer_view *views, struct steer_ladder *ladder)
{
    for (uint32_t i = 0; i < service->pool_count; i++) {
        uint64_t bits[ADDR_FAMILIES] = { 0 };
        if ((ladder->pools >> i & 1) == 0 && !has_hand(views[i].hand, STEER_HAND_PARKED) &&
            on_rung2(&views[i], bits) && bits[family] != 0) {
            ladder->returning |= UINT64_C(1) << i;
        }
    }
}

void steer_ladder_climb(const struct steer_service *service, unsigned family,
                        const struct steer_view *views, struct steer_ladder *ladder,
                        struct text *trace)
{
    clear(ladder);
    for (size_t step = 0; step < STEPS && ladder->pools == 0; step++) {
        for (uint32_t i = 0; i < service->pool_count; i++) {
            uint64_t bits[ADDR_FAMILIES] = { 0 };
            if (!steps[step].test(&views[i], bits)) {
                continue;
            }
            ladder->any = true;
            if (bits[family] != 0) {
                ladder->pools |= UINT64_C(1) << i;
                ladder->bits[i] = steer_well(bits[family], views[i].degraded[family]);
                note(ladder, UINT64_C(1) << i, views[i].word, views[i].flags);
            }
            if (bits[family] != 0 && trace != NULL) {
                steer_trace_endpoints(trace, service, family, i, bits[family] & ~ladder->bits[i],
                                      "degraded, and others are well");
            }
        }
        ladder->rung = ladder->pools != 0 ? steps[step].rung : 0;
        if (trace != NULL && (ladder->pools != 0 || steps[step].what != NULL)) {
            steer_trace_rung(trace, service, steps[step].rung, name_of(step), ladder->pools);
        }
    }
    if (ladder->rung == 1) {
        find_returning(service, family, views, ladder);
    }
}
