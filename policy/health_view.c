#include <string.h>

#include "policy/health_condition.h"
#include "policy/health_region.h"
#include "policy/health_table.h"

/*
 * What the table looks like to people: see health.h. The words say what is
 * answered, the views why.
 */

void health_view_region(const struct health *health, const struct health_binding *binding,
                        size_t region, struct health_region_view *out)
{
    const struct region_slot *slot = binding->regions[region];

    memset(out, 0, sizeof(*out));
    out->name = slot->name;
    out->state = health_region_state(health_region_word(slot));
    out->lifted = slot->lifted;
    health_region_count(health, slot, &out->up, &out->held);
    out->total = (uint32_t)slot->probe_count;
    out->minimum = model_minimum_count(slot->minimum, out->total);
    out->since_ms = slot->since_ms;
    health_region_describe(health, slot, out->reason, sizeof(out->reason));
    out->probes = (const struct health_probe *const *)slot->probes;
    out->probe_count = slot->probe_count;
}

uint32_t health_region_passing(const struct health_binding *binding, size_t region)
{
    uint32_t up, held;

    health_region_count(binding->health, binding->regions[region], &up, &held);
    return up;
}

static bool is_suspected(const struct group_endpoint *endpoint)
{
    for (size_t i = 0; i < endpoint->probe_count; i++) {
        const struct health_probe *probe = endpoint->probes[i];
        if (probe->detect.state == DETECT_SUSPECT && probe->trouble == NULL) {
            return true;
        }
    }
    return false;
}

/* Believed, but nothing comes of the probes that could say otherwise. */
static bool is_stale(const struct group_endpoint *endpoint)
{
    for (size_t i = 0; i < endpoint->probe_count; i++) {
        if (endpoint->probes[i]->trouble != NULL) {
            return true;
        }
    }
    return false;
}

/* Kept by the cascade window. */
static bool is_shared(const struct group_slot *group, const struct group_endpoint *endpoint)
{
    uint64_t up =
        atomic_load_explicit(&group->words.up[endpoint->address.family], memory_order_relaxed);

    return group->sharing && ((up >> endpoint->bit) & 1) != 0;
}

static const char *state_of(const struct group_slot *group, const struct group_endpoint *endpoint,
                            unsigned standing)
{
    if (endpoint->force != HEALTH_FORCE_NONE) {
        return endpoint->force == HEALTH_FORCE_UP ? "forced up" : "forced down";
    }
    if (endpoint->probe_count == 0 && group->condition == NULL) {
        return "unchecked";
    }
    if ((standing & STANDING_UP) == 0) {
        return is_shared(group, endpoint)         ? "shared"
               : (standing & STANDING_RISEN) != 0 ? "held"
                                                  : "down";
    }
    if (is_suspected(endpoint)) {
        return "suspect";
    }
    return (standing & STANDING_SURE) == 0   ? "unknown"
           : (standing & STANDING_WELL) == 0 ? "degraded"
           : is_stale(endpoint)              ? "stale"
                                             : "up";
}

bool health_endpoint_is_left(const struct health_binding *binding, size_t service, size_t pool,
                             size_t endpoint)
{
    const struct group_slot *group = binding->services[service].groups[pool];
    const struct group_endpoint *e = &group->endpoints[endpoint];
    unsigned standing = health_condition_endpoint(binding->health, group, e, 0);

    if (e->force != HEALTH_FORCE_NONE) {
        return e->force == HEALTH_FORCE_UP;
    }
    return (e->probe_count == 0 && group->condition == NULL) ||
           (standing & (STANDING_UP | STANDING_RISEN)) != 0 || is_shared(group, e);
}

void health_view_endpoint(const struct health_binding *binding, size_t service, size_t pool,
                          size_t endpoint, struct health_endpoint_view *out)
{
    const struct group_slot *group = binding->services[service].groups[pool];
    const struct group_endpoint *e = &group->endpoints[endpoint];
    unsigned standing = health_condition_endpoint(binding->health, group, e, 0);

    memset(out, 0, sizeof(*out));
    out->address = e->address;
    out->state = state_of(group, e, standing);
    out->probes = (const struct health_probe *const *)e->probes;
    out->probe_count = e->probe_count;
    for (size_t i = 0; i < e->probe_count; i++) {
        const struct detect *d = &e->probes[i]->detect;
        out->since_ms = d->since_ms > out->since_ms ? d->since_ms : out->since_ms;
    }
    if (group->condition != NULL) { /* what others do may be newer than what its checks say */
        out->since_ms = health_condition_since(group->condition, e);
    }
    health_condition_explain(binding->health, group, e, 0, out->failing, sizeof(out->failing));
}
