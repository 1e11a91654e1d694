#include "policy/health_region.h"

#include <stdio.h>
#include <string.h>

#include "policy/health_cascade.h"
#include "policy/health_condition.h"
#include "policy/health_group.h"
#include "policy/health_hand.h"
#include "policy/health_note.h"

#define TAKEN_OUT (HEALTH_REGION_DRAINED | HEALTH_REGION_FORCED_DOWN)

uint32_t health_region_word(const struct region_slot *region)
{
    return atomic_load_explicit(&region->words.word, memory_order_relaxed);
}

/* Standings of a region's own checks, counted. */
struct tally {
    uint32_t up;
    uint32_t held;
    uint32_t spared; /* up, or silent and nothing worse */
    bool is_calm;
};

static struct tally count_checks(const struct health *health, const struct region_slot *region,
                                 uint64_t now_ms)
{
    struct tally tally = { .is_calm = true };

    for (size_t i = 0; i < region->probe_count; i++) {
        unsigned s = health_condition_check(health, (const struct probe_slot *)region->probes[i],
                                            region, now_ms);
        tally.up += (s & STANDING_UP) != 0;
        tally.held += (s & STANDING_UP) == 0 && (s & STANDING_RISEN) != 0;
        tally.spared += (s & STANDING_SPARED) != 0;
        tally.is_calm = tally.is_calm && ((s & STANDING_UP) == 0 || (s & STANDING_CALM) != 0);
    }
    return tally;
}

void health_region_count(const struct health *health, const struct region_slot *region,
                         uint32_t *out_up, uint32_t *out_held)
{
    struct tally tally = count_checks(health, region, 0);

    *out_up = tally.up;
    *out_held = tally.held;
}

static uint32_t minimum_of(const struct region_slot *region)
{
    return model_minimum_count(region->minimum, (uint32_t)region->probe_count);
}

/* What the region's own checks alone would make of it. */
static uint32_t measured_flags(const struct region_slot *region, const struct tally *tally)
{
    uint32_t minimum = minimum_of(region);

    if (tally->up >= minimum || region->probe_count == 0) { /* without checks nothing gates it */
        return 0;
    }
    return tally->up + tally->held >= minimum ? HEALTH_REGION_HELD : HEALTH_REGION_GATED;
}

const char *health_region_state(uint32_t word)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } states[] = {
        { HEALTH_REGION_FORCED_DOWN, "forced down" },
        { HEALTH_REGION_DRAINED, "drained" },
        { HEALTH_REGION_GATED, "gated" },
        { HEALTH_REGION_HELD, "held" },
        { HEALTH_REGION_FORCED_UP, "forced up" },
        { HEALTH_REGION_SHARED, "shared" },
    };

    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if ((word & states[i].flag) != 0) {
            return states[i].name;
        }
    }
    return "in";
}

/* How a region stands, by name; "lifted" when only minimum_regions keeps it in. */
static const char *state_of(const struct region_slot *region)
{
    uint32_t word = health_region_word(region);

    return region->lifted && (word & HEALTH_REGION_AWAY) == 0 ? "lifted"
                                                              : health_region_state(word);
}

/* The probe that speaks most clearly against the region, or NULL. */
static const struct health_probe *worst_probe(const struct region_slot *region)
{
    const struct health_probe *worst = NULL;

    for (size_t i = 0; i < region->probe_count; i++) {
        const struct detect *d = &region->probes[i]->detect;
        if (d->state == DETECT_DOWN && (worst == NULL || !d->held)) {
            worst = region->probes[i];
        }
    }
    return worst;
}

void health_region_describe(const struct health *health, const struct region_slot *region,
                            char *out, size_t cap)
{
    uint32_t up, held;
    const struct health_probe *worst = worst_probe(region);
    size_t used;

    health_region_count(health, region, &up, &held);
    (void)snprintf(out, cap, "%u of %zu checks pass, minimum_healthy %u%s%s", up,
                   region->probe_count, minimum_of(region),
                   region->lifted ? ", not gated because of minimum_regions" : "",
                   region->sharing ? ", not gated by silence just after another region left" : "");
    used = strlen(out);
    if (worst != NULL && worst->detect.held) {
        (void)snprintf(out + used, cap - used, "; %s is in hold_down", worst->label);
    } else if (worst != NULL) {
        (void)snprintf(out + used, cap - used, "; %s failed: %s", worst->label, worst->reason);
    }
}

static void tell_guard(struct health *health, struct region_slot *region)
{
    const struct health_event event = {
        .kind = HEALTH_EVENT_GUARD,
        .name = "cascade_window",
        .target = region->name,
        .from = region->told_sharing ? "shared" : "in",
        .to = region->sharing ? "shared" : state_of(region),
        .reason = region->reason,
    };

    region->told_sharing = region->sharing;
    if (health->listener != NULL) {
        health->listener(health->user, &event);
    }
}

static void tell_region(struct health *health, struct region_slot *region, uint64_t now_ms)
{
    const struct health_event event = {
        .kind = HEALTH_EVENT_REGION,
        .name = region->name,
        .target = region->name,
        .from = region->told,
        .to = state_of(region),
        .reason = region->reason,
    };

    region->told = event.to;
    region->since_ms = now_ms;
    health_region_describe(health, region, region->reason, sizeof(region->reason));
    health_note_write_region(region, worst_probe(region));
    if (health->listener != NULL) {
        health->listener(health->user, &event);
    }
}

void health_region_tell_all(struct health *health, uint64_t now_ms)
{
    for (struct region_slot *r = health->regions; r != NULL; r = r->hh.next) {
        if (!r->active) {
            continue; /* nothing that is in force speaks of it */
        }
        if (strcmp(r->told, state_of(r)) != 0) {
            tell_region(health, r, now_ms);
        }
        if (r->told_sharing != r->sharing) {
            tell_guard(health, r);
        }
    }
}

/* ---- storing ---- */

static bool has_lived(const struct region_slot *region)
{
    for (size_t i = 0; i < region->probe_count; i++) {
        if (region->probes[i]->detect.last_pass_ms != 0) {
            return true;
        }
    }
    return false;
}

/* Is this a departure, after which others get what it served? */
static bool is_leaving(const struct health *health, const struct region_slot *region,
                       uint32_t before, uint32_t after)
{
    uint32_t gone = HEALTH_REGION_GATED | TAKEN_OUT;

    return !health->quiet && (before & gone) == 0 &&
           ((after & TAKEN_OUT) != 0 || ((after & gone) != 0 && has_lived(region)));
}

/* Has it come back, so that what serves in it takes its share little by little? */
static bool is_returning(const struct health *health, const struct region_slot *region,
                         uint32_t before, uint32_t after)
{
    uint32_t away = before & HEALTH_REGION_AWAY;
    uint32_t proving = HEALTH_REGION_GATED | HEALTH_REGION_HELD;
    bool served = region->prove && (away & ~proving) == 0; /* all the while */

    return !health->quiet && !region->lifted && (after & HEALTH_REGION_FORCED_UP) == 0 &&
           away != 0 && !served && (after & HEALTH_REGION_AWAY) == 0;
}

static void note_departure(struct health *health, struct region_slot *region, uint32_t before,
                           uint32_t after, uint64_t now_ms)
{
    if (is_leaving(health, region, before, after)) {
        region->left_ms = now_ms;
        health->left_ms = now_ms;
    }
    /* forced up outranks what is said of a service in it alone */
    if (((before ^ after) & (HEALTH_REGION_AWAY | HEALTH_REGION_FORCED_UP)) != 0) {
        for (size_t i = 0; i < region->dependent_count; i++) {
            health_group_queue(health, region->dependents[i]);
        }
    }
}

/* Store a region's word when it changed, with a new epoch for a new gate. */
static void store(struct health *health, struct region_slot *region, uint32_t flags, bool gating,
                  uint64_t now_ms)
{
    uint32_t before = health_region_word(region);
    uint32_t epoch = before >> HEALTH_EPOCH_SHIFT;

    if (gating && !region->gating) {
        epoch = (epoch + 1) & 0xffff;
        region->gated_ms = now_ms;
    }
    region->gating = gating;
    uint32_t after = flags | epoch << HEALTH_EPOCH_SHIFT;
    if (after == before) {
        return;
    }
    if (is_returning(health, region, before, after)) {
        /* first, so that nobody sees it in and taking everything */
        health_group_ramp_region(health, region, now_ms);
    }
    atomic_store_explicit(&region->words.word, after, memory_order_release);
    note_departure(health, region, before, after, now_ms);
}

/*
 * Gates fall together: when they would leave fewer than minimum_regions in,
 * all of them lift, for a signal that is true everywhere chooses nothing. A
 * region in hold_down counts as in here: it answers, if on a lower rung. What
 * the cascade window spares does not count, so that it never keeps gates down.
 */
static bool is_lifting(const struct health *health, uint64_t now_ms)
{
    uint32_t in = 0, total = 0;

    for (const struct region_slot *r = health->regions; r != NULL; r = r->hh.next) {
        if (r->active) {
            struct tally tally = count_checks(health, r, now_ms);
            uint32_t hand = health_hand_region(health, r->name);
            total++;
            in += (hand & HEALTH_REGION_FORCED_UP) != 0 ||
                  ((measured_flags(r, &tally) & HEALTH_REGION_GATED) == 0 && hand == 0);
        }
    }
    return in < (health->minimum_regions < total ? health->minimum_regions : total);
}

static void store_region(struct health *health, struct region_slot *r, bool lift, uint64_t now_ms)
{
    struct tally tally = count_checks(health, r, now_ms);
    uint32_t hand = health_hand_region(health, r->name);
    uint32_t flags = measured_flags(r, &tally);
    bool is_forced = (hand & HEALTH_REGION_FORCED_UP) != 0;
    bool gated = flags == HEALTH_REGION_GATED;

    r->lifted = lift && flags != 0 && !is_forced;
    flags = r->lifted || is_forced ? 0 : flags;
    /* what was spared and passes again never left: no hold_down is due when the window ends */
    bool risen = r->sharing && flags == HEALTH_REGION_HELD;
    bool could = flags != 0 && hand == 0 && tally.spared >= minimum_of(r);
    r->sharing = could && health_cascade_spares_region(health, r, now_ms);
    if (could && !r->sharing && risen) {
        r->sharing = true;
        r->share_until_ms = now_ms + HEALTH_CASCADE_LOOK_MS;
    }
    flags = r->sharing ? HEALTH_REGION_SHARED : flags;
    flags |= is_forced ? hand & ~(uint32_t)HEALTH_REGION_DRAINED : hand;
    flags |= r->prove ? HEALTH_REGION_PROVE : 0;
    flags |= r->sharing || !tally.is_calm ? HEALTH_REGION_SUSPECT : 0;
    store(health, r, flags, gated && !r->sharing, now_ms);
}

void health_region_store_all(struct health *health, uint64_t now_ms)
{
    bool lift = is_lifting(health, now_ms);

    for (struct region_slot *r = health->regions; r != NULL; r = r->hh.next) {
        store_region(health, r, lift, now_ms);
    }
}
