#include "resolver/forward/plan.h"

#include <string.h>

#include "policy/health.h"
#include "resolver/forward/forwarder.h"
#include "resolver/forward/upstream.h"

/*
 * Upstreams of one named region go down together; nothing says so of those
 * without a name, so each is a region of its own.
 */
static uint32_t region_of(const struct choice *choice, const struct upstream *upstream)
{
    for (uint32_t i = 0; upstream->region[0] != '\0' && i < choice->count; i++) {
        if (strcmp(choice->candidates[i].upstream->region, upstream->region) == 0) {
            return choice->candidates[i].region;
        }
    }
    return choice->count;
}

static bool is_planned(const struct choice *choice, const struct upstream *upstream)
{
    for (uint32_t i = 0; i < choice->count; i++) {
        if (choice->candidates[i].upstream == upstream) {
            return true;
        }
    }
    return false;
}

static bool is_away(const struct forward_upstream *described)
{
    return described->region != NULL &&
           (atomic_load_explicit(&described->region->word, memory_order_relaxed) &
            HEALTH_REGION_AWAY) != 0;
}

static void add(struct choice *choice, const struct forward_rule *rule,
                const struct forward_upstream *described, struct upstream *upstream,
                uint64_t now_ms)
{
    uint32_t usual_us = atomic_load_explicit(&upstream->usual_us, memory_order_relaxed);
    struct choice_candidate candidate = {
        .upstream = upstream,
        .class = described->class,
        .region = region_of(choice, upstream),
        .usual_ms = (usual_us + 999) / 1000,
        .hedge_ms = rule->hedge_auto ? upstream_hedge_ms(upstream) : 0,
        .distance_us = atomic_load_explicit(&upstream->rank_us, memory_order_relaxed),
        .away = is_away(described),
        .suspect = upstream->suspect,
        .down = upstream_is_down(upstream, now_ms),
        .spent = atomic_load_explicit(&upstream->spent, memory_order_relaxed),
    };

    (void)choice_add(choice, &candidate);
}

/* A region is as far as the nearest of its upstreams that are asked at all. */
static void measure_regions(struct choice *choice)
{
    uint32_t distances[CHOICE_MOST];

    for (uint32_t i = 0; i < choice->count; i++) {
        const struct choice_candidate *c = &choice->candidates[i];
        distances[i] = c->distance_us;
        for (uint32_t j = 0; j < choice->count; j++) {
            const struct choice_candidate *other = &choice->candidates[j];
            bool counts = other->region == c->region && !other->suspect && other->distance_us != 0;
            if (counts && (distances[i] == 0 || other->distance_us < distances[i])) {
                distances[i] = other->distance_us;
            }
        }
    }
    for (uint32_t i = 0; i < choice->count; i++) {
        choice->candidates[i].distance_us = distances[i];
    }
}

/* The region whose word is not wanted again; CHOICE_NONE: nobody is there. */
static uint32_t region_apart(const struct choice *choice, const char *label)
{
    for (uint32_t i = 0; label != NULL && i < choice->count; i++) {
        if (strcmp(choice->candidates[i].upstream->label, label) == 0) {
            return choice->candidates[i].region;
        }
    }
    return choice->count == 0 ? CHOICE_NONE : choice->candidates[0].region;
}

static void leave_out(struct choice *choice, uint32_t region)
{
    uint32_t left = 0;

    for (uint32_t i = 0; i < choice->count; i++) {
        if (choice->candidates[i].region != region) {
            choice->candidates[left++] = choice->candidates[i];
        }
    }
    choice->count = left;
}

bool plan_make(struct choice *choice, const struct forward_rule *rule,
               const struct plan_terms *terms)
{
    bool kept_inside = false;

    choice_init(choice, rule->hedge_ms, terms->now_ms + FORWARD_DEADLINE_MS);
    choice->has_stale = terms->has_stale;
    for (uint32_t i = 0; i < rule->upstream_count; i++) {
        const struct forward_upstream *described = &rule->upstreams[i];
        if (described->class == FORWARD_PUBLIC && (terms->stays || terms->has_stale)) {
            kept_inside = kept_inside || terms->stays;
            continue;
        }
        struct upstream *upstream = terms->find(terms->user, described);
        if (upstream != NULL && !upstream->loop && !is_planned(choice, upstream)) {
            add(choice, rule, described, upstream, terms->now_ms);
        }
    }
    measure_regions(choice);
    choice_start(choice);
    if (terms->second_opinion) {
        leave_out(choice, region_apart(choice, terms->apart_from));
        return false;
    }
    return kept_inside && choice->count == 0;
}

static bool is_rival(const struct choice_candidate *c)
{
    return c->class != FORWARD_PUBLIC && !c->away && !c->suspect && !c->spent &&
           c->upstream->near_us != 0;
}

/* The nearest that is not of this region (CHOICE_NONE: of any). */
static const struct choice_candidate *find_rival(const struct choice *choice, uint32_t region)
{
    const struct choice_candidate *found = NULL;

    for (uint32_t i = 0; i < choice->count; i++) {
        const struct choice_candidate *c = &choice->candidates[i];
        if (is_rival(c) && c->region != region &&
            (found == NULL || c->upstream->near_us < found->upstream->near_us)) {
            found = c;
        }
    }
    return found;
}

void plan_note_rivals(const struct choice *choice)
{
    const struct choice_candidate *best = find_rival(choice, CHOICE_NONE);
    const struct choice_candidate *next = best == NULL ? NULL : find_rival(choice, best->region);

    for (uint32_t i = 0; i < choice->count; i++) {
        const struct choice_candidate *c = &choice->candidates[i];
        const struct choice_candidate *rival =
            best != NULL && best->region == c->region ? next : best;
        c->upstream->rival = rival == NULL ? NULL : rival->upstream;
    }
}
