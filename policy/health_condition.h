#pragma once
/*
 * health_condition - how an endpoint stands by what its checks say
 *
 * A standing is a set of properties, each of which holds by itself: of "at
 * least two of three" a property holds when it holds for two of the parts, so
 * the best parts decide. Inside of policy/health; control thread only.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/health_table.h"

struct text;
struct health_supposition;

enum {
    STANDING_UP = 1,      /* nothing says that it is down */
    STANDING_RISEN = 2,   /* up, were every hold_down over */
    STANDING_SURE = 4,    /* up, and known to be */
    STANDING_PROVEN = 8,  /* as health_group says */
    STANDING_WELL = 16,   /* up and not degraded */
    STANDING_CALM = 32,   /* up and nothing suspects it */
    STANDING_SPARED = 64, /* up, were everything up that only silence took away */
    STANDING_ALL = 127,
};

/* How the probe itself counts: what the file said, or how it stood before this node was cut off. */
enum probe_standing health_condition_probe(const struct health *health,
                                           const struct probe_slot *probe);

/* The standing of one probe, as a check of something in `region`. */
unsigned health_condition_check(const struct health *health, const struct probe_slot *probe,
                                const struct region_slot *region, uint64_t now_ms);

/* The standing of an endpoint of `group`, the operator's word included. */
unsigned health_condition_endpoint(const struct health *health, const struct group_slot *group,
                                   const struct group_endpoint *endpoint, uint64_t now_ms);

/* The same if regions and services stood as supposed (see health_suppose.h). */
unsigned health_condition_suppose(const struct health *health, const struct group_slot *group,
                                  const struct group_endpoint *endpoint,
                                  const struct health_supposition *supposed, uint64_t now_ms);

/* When something that it asks about last changed. */
uint64_t health_condition_since(const struct health_condition *condition,
                                const struct group_endpoint *endpoint);

/* Is there a region or a service in it? */
bool health_condition_asks_others(const struct health_condition *condition);

/*
 * Does a pool of so many endpoints with these words, in a region with this
 * word, stand on rung 1 or 2? `said` is the operator's word on it alone.
 */
bool health_condition_stands(uint32_t region_word, uint32_t said, size_t endpoint_count,
                             const struct health_group *words);

/*
 * A condition with its regions and the groups of its services looked up in
 * `binding`, whose services it names must be bound. The groups are kept.
 */
struct health_condition *health_condition_new(struct health_binding *binding,
                                              const struct model *model,
                                              const struct model_condition *from);

/* Give it back with the groups it keeps. NULL is fine. */
void health_condition_free(struct health *health, struct health_condition *condition);

/* The first service that `from` names and `binding` has not bound yet; MODEL_NONE: none. */
uint32_t health_condition_wants(const struct health_binding *binding,
                                const struct model_condition *from);

/* Everything that makes two conditions the same, behind what `key` holds. */
void health_condition_key(const struct health_condition *condition, struct text *key);

/* Tell regions and groups that `group` leans on them, or that it no longer does. */
void health_condition_link(const struct health_condition *condition, struct group_slot *group);
void health_condition_unlink(const struct health_condition *condition, struct group_slot *group);

/* For people: the parts of the condition that do not hold for this endpoint, or "". */
void health_condition_explain(const struct health *health, const struct group_slot *group,
                              const struct group_endpoint *endpoint, uint64_t now_ms, char *out,
                              size_t cap);
