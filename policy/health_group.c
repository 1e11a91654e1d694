#include "policy/health_group.h"

#include <stdio.h>
#include <string.h>

#include "policy/health_cascade.h"
#include "policy/health_condition.h"
#include "policy/health_region.h"

#define RAMP_WHOLE   65536u
#define RAMP_FIRST   (RAMP_WHOLE / 16)
#define RAMP_STEPS   256u  /* a ramp rises in so many steps */
#define RAMP_GAP_MS  100u  /* but no faster than this */
#define LATENCY_STEP 1000u /* us; smaller moves of a group's latency are not worth a store */

/* A group as its endpoints' checks have it now. */
struct picture {
    uint64_t up[ADDR_FAMILIES];
    uint64_t held[ADDR_FAMILIES];
    uint64_t proven[ADDR_FAMILIES];
    uint64_t degraded[ADDR_FAMILIES];
    uint64_t spared[ADDR_FAMILIES];
    uint64_t barred[ADDR_FAMILIES];
    bool short_ttl;
};

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* Returns whether it changed. */
static bool store_word(_Atomic uint64_t *word, uint64_t value)
{
    if (load(word) == value) {
        return false;
    }
    atomic_store_explicit(word, value, memory_order_release);
    return true;
}

static void store_small(_Atomic uint32_t *word, uint32_t value)
{
    if (atomic_load_explicit(word, memory_order_relaxed) != value) {
        atomic_store_explicit(word, value, memory_order_release);
    }
}

static unsigned count(const uint64_t bits[ADDR_FAMILIES])
{
    return (unsigned)__builtin_popcountll(bits[ADDR_V4]) +
           (unsigned)__builtin_popcountll(bits[ADDR_V6]);
}

static void look(const struct health *health, const struct group_slot *group, uint64_t now_ms,
                 struct picture *out)
{
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < group->endpoint_count; i++) {
        const struct group_endpoint *e = &group->endpoints[i];
        unsigned s = health_condition_endpoint(health, group, e, now_ms);
        bool up = (s & STANDING_UP) != 0;
        bool risen = (s & STANDING_RISEN) != 0;
        uint64_t bit = UINT64_C(1) << e->bit;
        unsigned family = e->address.family;
        out->up[family] |= up ? bit : 0;
        out->held[family] |= risen && !up ? bit : 0;
        out->proven[family] |= (s & STANDING_PROVEN) != 0 && (up || risen) ? bit : 0;
        out->degraded[family] |= up && (s & STANDING_WELL) == 0 ? bit : 0;
        out->barred[family] |= e->force == HEALTH_FORCE_DOWN ? bit : 0;
        out->spared[family] |= (s & STANDING_SPARED) != 0 ? bit : 0;
        out->short_ttl = out->short_ttl || (up && (s & STANDING_CALM) == 0);
    }
}

/* ---- the cascade window ---- */

/*
 * Keep what silence alone is about to take, when that would leave the group
 * below its minimum just after a sibling left. Only what was up is kept.
 */
static void spare(struct health *health, struct group_slot *group, struct picture *p,
                  uint64_t now_ms)
{
    uint64_t with[ADDR_FAMILIES];
    uint64_t risen[ADDR_FAMILIES]; /* spared, and passing again: that never left */
    bool is_leaving = count(p->up) < group->words.minimum;

    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        with[f] = p->up[f] | (p->spared[f] & load(&group->words.up[f]));
        risen[f] = p->up[f] | (p->held[f] & with[f]);
    }
    bool in_window = is_leaving && group->is_known && count(with) >= group->words.minimum &&
                     health_cascade_spares_group(health, group, now_ms);
    bool keeps = is_leaving && group->sharing && count(risen) >= group->words.minimum;
    group->sharing = in_window || keeps;
    if (keeps && !in_window) {
        group->share_until_ms = now_ms + HEALTH_CASCADE_LOOK_MS;
    }
    const uint64_t *kept = in_window ? with : risen;
    if (group->sharing) {
        for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
            p->up[f] = kept[f];
            p->held[f] &= ~kept[f];
        }
        p->short_ttl = true;
    }
    if (group->sharing && !group->is_listed) {
        group->is_listed = true;
        health_table_list(&health->sharing, group);
    }
}

/* ---- the ramp ---- */

static uint32_t ramp_word(const struct group_slot *group, uint64_t now_ms)
{
    uint64_t past = now_ms > group->ramp_from_ms ? now_ms - group->ramp_from_ms : 0;

    if (past >= group->ramp_ms) {
        return RAMP_WHOLE;
    }
    return RAMP_FIRST + (uint32_t)((RAMP_WHOLE - RAMP_FIRST) * past / group->ramp_ms);
}

static uint64_t ramp_gap_ms(const struct group_slot *group)
{
    uint64_t gap = group->ramp_ms / RAMP_STEPS;

    return gap > RAMP_GAP_MS ? gap : RAMP_GAP_MS;
}

/* The words say so before anything else does. */
static void begin_ramp(struct health *health, struct group_slot *group, uint64_t now_ms)
{
    if (!group->ramping) {
        health_table_list(&health->ramping, group);
    }
    group->ramping = true;
    group->ramp_from_ms = now_ms;
    store_small(&group->words.ramp, RAMP_FIRST);
    atomic_fetch_or_explicit(&group->words.flags, HEALTH_GROUP_RAMPING, memory_order_release);
    uint64_t next_ms = now_ms + ramp_gap_ms(group);
    if (health->ramp_next_ms == 0 || next_ms < health->ramp_next_ms) {
        health->ramp_next_ms = next_ms;
    }
}

static void end_ramp(struct health *health, struct group_slot *group)
{
    group->ramping = false;
    health_table_unlist(&health->ramping, group);
    atomic_fetch_and_explicit(&group->words.flags, ~(uint32_t)HEALTH_GROUP_RAMPING,
                              memory_order_release);
    store_small(&group->words.ramp, RAMP_WHOLE);
}

void health_group_ramp_region(struct health *health, struct region_slot *region, uint64_t now_ms)
{
    for (size_t i = 0; i < region->ramped_count; i++) {
        if (region->ramped[i]->stands) {
            begin_ramp(health, region->ramped[i], now_ms);
        }
    }
}

void health_group_ramp_tick(struct health *health, uint64_t now_ms)
{
    uint64_t next_ms = 0;

    for (size_t i = health->ramping.count; i-- > 0;) {
        struct group_slot *group = health->ramping.groups[i];
        uint32_t word = ramp_word(group, now_ms);
        if (word == RAMP_WHOLE) {
            end_ramp(health, group);
            continue;
        }
        store_small(&group->words.ramp, word);
        uint64_t at_ms = now_ms + ramp_gap_ms(group);
        next_ms = next_ms == 0 || at_ms < next_ms ? at_ms : next_ms;
    }
    health->ramp_next_ms = next_ms;
}

/* Does it come back now, into a region that is in? */
static bool is_returning(const struct health *health, const struct group_slot *group, bool stands)
{
    return stands && !group->stands && group->is_known && group->ramp_ms > 0 && !health->quiet &&
           (health_region_word(group->region) & HEALTH_REGION_AWAY) == 0;
}

/* ---- latency and capacity ---- */

/* Of the checks of endpoints that are up, smoothed each by itself; 0: none is known. */
static uint32_t usual_latency_us(const struct group_slot *group, const uint64_t up[ADDR_FAMILIES])
{
    uint64_t sum = 0;
    uint32_t n = 0;

    for (size_t i = 0; i < group->endpoint_count; i++) {
        const struct group_endpoint *e = &group->endpoints[i];
        if (((up[e->address.family] >> e->bit) & 1) == 0) {
            continue;
        }
        for (size_t p = 0; p < e->probe_count; p++) {
            uint32_t us = e->probes[p]->detect.usual_us;
            sum += us;
            n += us != 0;
        }
    }
    return n == 0 ? 0 : (uint32_t)(sum / n);
}

/* In whole steps, so that answers do not flicker with every probe. */
static void store_latency(struct group_slot *group, const uint64_t up[ADDR_FAMILIES])
{
    uint32_t before = atomic_load_explicit(&group->words.latency_us, memory_order_relaxed);
    uint32_t after = usual_latency_us(group, up);
    uint32_t moved = after > before ? after - before : before - after;
    uint32_t step = before / 8 > LATENCY_STEP ? before / 8 : LATENCY_STEP;

    if (moved > step || (before == 0) != (after == 0)) {
        store_small(&group->words.latency_us, after);
    }
}

static void store_capacity(struct group_slot *group, const uint64_t up[ADDR_FAMILIES])
{
    uint64_t sum = 0;

    for (size_t i = 0; i < group->endpoint_count && group->has_capacity; i++) {
        const struct group_endpoint *e = &group->endpoints[i];
        sum += ((up[e->address.family] >> e->bit) & 1) != 0 ? e->capacity : 0;
    }
    store_small(&group->words.capacity, sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum);
}

/* ---- storing ---- */

static bool has_lived(const struct group_slot *group)
{
    for (size_t i = 0; i < group->endpoint_count; i++) {
        const struct group_endpoint *e = &group->endpoints[i];
        for (size_t p = 0; p < e->probe_count; p++) {
            if (e->probes[p]->detect.last_pass_ms != 0) {
                return true;
            }
        }
    }
    return false;
}

/* It meets its minimum, or no longer does. */
static void note_standing(struct health *health, struct group_slot *group, bool stands,
                          uint64_t now_ms)
{
    struct region_slot *region = group->region;

    if (group->is_known && stands == group->stands) {
        return;
    }
    bool was_counted = group->is_known && !group->stands;
    region->fallen_count += (size_t)!stands;
    region->fallen_count -= (size_t)was_counted;
    if (group->is_known && !stands) {
        if (!health->quiet && has_lived(group)) {
            group->left_ms = now_ms;
            region->fallen_ms = now_ms;
            health->left_ms = now_ms;
        }
        if (group->ramping) {
            end_ramp(health, group);
        }
    }
    group->stands = stands;
    group->is_known = true;
}

/* Never seen with bits that it does not hold for: it goes before them and comes after. */
static uint32_t whole_flag(const struct group_slot *group, const struct picture *p)
{
    bool is_whole = count(p->up) >= group->words.minimum && count(p->degraded) == 0;

    return is_whole ? HEALTH_GROUP_WHOLE : 0;
}

/* The bits, in the order that health.h promises. Returns whether any changed. */
static bool store_bits(struct group_slot *group, const struct picture *p)
{
    struct health_group *words = &group->words;
    uint32_t epoch = health_region_word(group->region) >> HEALTH_EPOCH_SHIFT;
    uint32_t before = atomic_load_explicit(&words->flags, memory_order_relaxed);
    uint32_t flags = epoch << HEALTH_EPOCH_SHIFT;
    bool changed = false;

    flags |= p->short_ttl ? HEALTH_GROUP_SUSPECT : 0;
    flags |= group->sharing ? HEALTH_GROUP_SHARED : 0;
    flags |= group->ramping ? HEALTH_GROUP_RAMPING : 0;
    flags |= whole_flag(group, p);
    if ((before & ~flags & HEALTH_GROUP_WHOLE) != 0) {
        before &= ~(uint32_t)HEALTH_GROUP_WHOLE;
        store_small(&words->flags, before);
    }
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        changed = store_word(&words->barred[f], p->barred[f]) || changed;
        (void)store_word(&words->degraded[f], p->degraded[f]);
        /* `up` first: who comes out of hold_down must never be seen in neither */
        changed = store_word(&words->up[f], p->up[f]) || changed;
        changed = store_word(&words->held[f], p->held[f]) || changed;
        if (before >> HEALTH_EPOCH_SHIFT != epoch) {
            /* nothing of an older gate may be read under the new epoch */
            (void)store_word(&words->proven[f], 0);
        }
    }
    store_small(&words->flags, flags);
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        changed = store_word(&words->proven[f], p->proven[f]) || changed;
    }
    return changed;
}

/* Recompute a group's words from its endpoints' standings. */
static void store(struct health *health, struct group_slot *group, uint64_t now_ms)
{
    struct picture p;

    look(health, group, now_ms, &p);
    spare(health, group, &p, now_ms);
    bool stands = count(p.up) >= group->words.minimum;
    if (is_returning(health, group, stands)) {
        begin_ramp(health, group, now_ms);
    }
    bool changed = store_bits(group, &p);
    note_standing(health, group, stands, now_ms);
    store_latency(group, p.up);
    store_capacity(group, p.up);
    for (size_t i = 0; changed && i < group->dependent_count; i++) {
        health_group_queue(health, group->dependents[i]);
    }
}

void health_group_queue(struct health *health, struct group_slot *group)
{
    if (!group->queued) {
        group->queued = true;
        health_table_list(&health->dirty, group);
    }
}

void health_group_settle(struct health *health, uint64_t now_ms)
{
    /* ends, for conditions do not refer to one another in circles */
    while (health->dirty.count > 0) {
        struct group_slot *group = health->dirty.groups[--health->dirty.count];
        group->queued = false;
        store(health, group, now_ms);
    }
}

void health_group_store_all(struct health *health, uint64_t now_ms)
{
    for (struct group_slot *g = health->groups; g != NULL; g = g->hh.next) {
        store(health, g, now_ms);
    }
    health_group_settle(health, now_ms);
}

void health_group_name(const struct group_slot *group, char *out, size_t cap)
{
    char address[ADDR_TEXT_MAX] = "";

    if (group->endpoint_count > 0) {
        addr_format(&group->endpoints[0].address, address, sizeof(address));
    }
    if (group->endpoint_count > 1) {
        (void)snprintf(out, cap, "%s %s and %zu more", group->region->name, address,
                       group->endpoint_count - 1);
    } else {
        (void)snprintf(out, cap, "%s %s", group->region->name, address);
    }
}
