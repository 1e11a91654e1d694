#pragma once
/*
 * health_table - slots of the health table, their keys and their bindings
 *
 * The inside of policy/health, shared by health.c (what evidence does to the
 * words) and health_table.c (which slots exist). Control thread only.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "policy/health.h"

struct group_slot;
struct region_slot;

struct probe_slot {
    struct health_probe probe; /* first: the two are one object */
    char *key;
    unsigned refs;              /* bindings that use it */
    struct group_slot **groups; /* that lean on it */
    size_t group_count;
    struct region_slot **regions;
    size_t region_count;
    bool short_ttl;
    bool down_by_canary; /* DOWN, and what decided was a canary that is not there */
    UT_hash_handle hh;
};

struct region_slot {
    struct health_region words;
    char *name; /* the key */
    unsigned refs;
    bool active; /* of the committed configuration */
    bool prove;
    bool lifted;
    struct model_minimum minimum;
    struct health_probe **probes; /* each a probe_slot's */
    size_t probe_count;
    uint32_t override; /* DRAINED, FORCED_DOWN */
    const char *told;  /* how it stood when that was told last; a literal */
    uint64_t since_ms;
    uint64_t gated_ms;
    char reason[240];
    UT_hash_handle hh;
};

struct group_endpoint {
    struct addr address;
    uint8_t bit; /* within its family */
    struct health_probe **probes;
    size_t probe_count;
};

struct group_slot {
    struct health_group words;
    char *key;
    unsigned refs;
    struct region_slot *region;
    struct group_endpoint *endpoints;
    size_t endpoint_count;
    UT_hash_handle hh;
};

struct service_binding {
    struct group_slot **groups; /* one per pool */
    size_t group_count;
};

/* The regions' checks as a binding wants them, applied when it is committed. */
struct region_plan {
    struct model_minimum minimum;
    bool prove;
    struct health_probe **probes;
    size_t probe_count;
};

struct health_binding {
    struct health *health;
    struct region_slot **regions;
    struct region_plan *plans;
    size_t region_count;
    struct service_binding *services;
    size_t service_count;
    uint32_t minimum_regions;
};

struct health {
    health_listener *listener;
    void *user;
    uint32_t minimum_regions;
    struct probe_slot **probes; /* by slot number; never shrinks */
    size_t probe_count;
    size_t first_free; /* no slot before it is free */
    struct probe_slot *probes_by_key;
    struct region_slot *regions;
    struct group_slot *groups;
};

/* Recompute and store every word. */
void health_refresh(struct health *health, uint64_t now_ms);
