#include "policy/health_canary.h"

#include <strings.h>

#define CANARY_MEMORY_MS 3600000u /* a canary that passed within the last hour is believed */

/* Do both probes ask for the same name, so that one bears witness for the other? */
static bool is_same_canary(const struct health_probe *a, const struct health_probe *b)
{
    return a->check->kind == MODEL_CHECK_DNS && b->check->kind == MODEL_CHECK_DNS &&
           a->check->query_type == b->check->query_type &&
           strcasecmp(a->check->query_name, b->check->query_name) == 0;
}

/* Does anything of `region` lean on this probe, the region itself or its endpoints? */
static bool is_of_region(const struct probe_slot *probe, const struct region_slot *region)
{
    for (size_t i = 0; i < probe->region_count; i++) {
        if (probe->regions[i] == region) {
            return true;
        }
    }
    for (size_t i = 0; i < probe->group_count; i++) {
        if (probe->groups[i]->region == region) {
            return true;
        }
    }
    return false;
}

/* Does `other` speak for a region that `mine` does not? */
static bool is_elsewhere(const struct probe_slot *other, const struct probe_slot *mine)
{
    for (size_t i = 0; i < other->region_count; i++) {
        if (!is_of_region(mine, other->regions[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < other->group_count; i++) {
        if (!is_of_region(mine, other->groups[i]->region)) {
            return true;
        }
    }
    return false;
}

/*
 * Does another region's probe of the same name pass, and has it with a probe
 * sent since this one first saw the name gone? Only then the name still exists.
 */
static bool has_witness(const struct health *health, const struct health_probe *probe)
{
    for (size_t i = 0; i < health->probe_count; i++) {
        const struct health_probe *other = &health->probes[i]->probe;
        const struct detect *d = &other->detect;
        if (other->used && other != probe && !other->misconfigured && d->state != DETECT_DOWN &&
            d->last_pass_ms != 0 && d->last_pass_sent_ms >= probe->misconfigured_since_ms &&
            is_same_canary(probe, other) &&
            is_elsewhere(health->probes[i], (const struct probe_slot *)probe)) {
            return true;
        }
    }
    return false;
}

/*
 * Only when it passed within the hour before it vanished and another region
 * still has it. The hour does not run on, for age alone changes no verdict.
 */
bool health_canary_proves(const struct health *health, const struct health_probe *probe)
{
    const struct detect *d = &probe->detect;
    bool passed =
        d->last_pass_ms != 0 && probe->misconfigured_since_ms - d->last_pass_ms < CANARY_MEMORY_MS;

    return passed && has_witness(health, probe);
}
