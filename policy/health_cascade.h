#pragma once
/*
 * health_cascade - siblings, and how long one keeps from leaving after another
 *
 * Pools are siblings when some service has both, regions when some service has
 * pools in both. Within `cascade_window` of one leaving, a sibling is not taken
 * out by silence alone: what moved onto it may be what made it slow. Services
 * with the same pools share one set of siblings, so what this costs grows with
 * the sets, and nothing is walked when something leaves: who is about to follow
 * looks around.
 *
 * Inside of policy/health; control thread only.
 */
#include "policy/health_table.h"

/*
 * What was spared and passes again stays, though the window is over: it never
 * left, and no hold_down is due. It is looked at so often until that has passed.
 */
#define HEALTH_CASCADE_LOOK_MS 1000u

/* The set of these groups, made when it is new; NULL for fewer than two. */
struct sibling_set *health_cascade_use(struct health *health, struct group_slot *const *groups,
                                       size_t count);

/* Give it back, before its groups. NULL is fine. */
void health_cascade_drop(struct health *health, struct sibling_set *set);

/*
 * Would the window keep this region (this group) from leaving now? Notes when
 * that ends, which is not put off while it lasts.
 */
bool health_cascade_spares_region(const struct health *health, struct region_slot *region,
                                  uint64_t now_ms);
bool health_cascade_spares_group(const struct health *health, struct group_slot *group,
                                 uint64_t now_ms);

/* Departures since `since_ms` were none: this node could see nobody. */
void health_cascade_forget(struct health *health, uint64_t since_ms);

/* Tell of groups that are spared, or are no longer. */
void health_cascade_tell_all(struct health *health);
