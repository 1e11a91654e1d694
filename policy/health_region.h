#pragma once
/*
 * health_region - the words of regions: gates, and what lifts or delays them
 *
 * Inside of policy/health; control thread only.
 */
#include "policy/health_table.h"

uint32_t health_region_word(const struct region_slot *region);

/* Of the region's own checks, how many are up, and how many in hold_down. */
void health_region_count(const struct health *health, const struct region_slot *region,
                         uint32_t *out_up, uint32_t *out_held);

/* Bring the words of all regions up to date; groups that ask about one are queued. */
void health_region_store_all(struct health *health, uint64_t now_ms);

/* Tell of regions that stand differently than was told last. */
void health_region_tell_all(struct health *health, uint64_t now_ms);

/* What the word is called: "in", "shared", "held", "gated", "drained", "forced up/down". */
const char *health_region_state(uint32_t word);

/* Why it stands as it does. */
void health_region_describe(const struct health *health, const struct region_slot *region,
                            char *out, size_t cap);
