#pragma once
/*
 * health_group - the words of groups: who is up, how well, and how much it takes
 *
 * Inside of policy/health; control thread only.
 */
#include "policy/health_table.h"

/* The group's words are to be computed again; health_group_settle does it. */
void health_group_queue(struct health *health, struct group_slot *group);

/* Compute the words of every group queued, and of those that ask about what changed. */
void health_group_settle(struct health *health, uint64_t now_ms);

/* Compute the words of every group. */
void health_group_store_all(struct health *health, uint64_t now_ms);

/* The region is about to be in again: its groups that ramp begin with little. */
void health_group_ramp_region(struct health *health, struct region_slot *region, uint64_t now_ms);

/* Let time raise what ramping groups take. */
void health_group_ramp_tick(struct health *health, uint64_t now_ms);

/* For people: "tokyo 198.51.100.10 and 1 more". */
void health_group_name(const struct group_slot *group, char *out, size_t cap);
