#include "policy/timing.h"

#include <stdlib.h>

#include "base/error.h"
#include "policy/detect.h"
#include "policy/evidence.h"

/* The longest gap between two probes in milliseconds: jitter stretches an interval by so much. */
static uint64_t longest_interval(const struct model_timing *timing)
{
    return ((uint64_t)timing->interval_ms * (100u + timing->jitter_percent) + 99) / 100;
}

static uint64_t confirmations(const struct model_timing *timing, uint32_t probes)
{
    return probes == 0 ? 0 : (uint64_t)(probes - 1) * timing->confirm_interval_ms;
}

static uint32_t clamp(uint64_t ms)
{
    return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

/* So many failures in a row make a verdict, of a target without loss or with the worst. */
static uint32_t failures(const struct model_timing *timing, bool silent, bool lossy)
{
    uint32_t least = silent ? timing->silent_fall : timing->fall;

    if (!timing->fall_auto) {
        return least;
    }
    return lossy ? evidence_most_needed(timing, least) : evidence_least_needed(timing, least);
}

static uint32_t strong_ms(const struct model_timing *timing, bool lossy)
{
    return clamp(longest_interval(timing) + confirmations(timing, failures(timing, false, lossy)));
}

static uint32_t silent_ms(const struct model_timing *timing, bool lossy)
{
    uint64_t probes = confirmations(timing, failures(timing, true, lossy));
    uint64_t wait = probes > timing->timeout_ms ? probes : timing->timeout_ms;

    return clamp(longest_interval(timing) + wait);
}

uint32_t timing_strong_ms(const struct model_timing *timing)
{
    return strong_ms(timing, false);
}

uint32_t timing_silent_ms(const struct model_timing *timing)
{
    return silent_ms(timing, false);
}

static uint32_t check_strong_ms(const struct model_check *check, bool lossy)
{
    const struct model_timing *timing = &check->timing;

    if (check->kind != MODEL_CHECK_EXEC) {
        return strong_ms(timing, lossy);
    }
    return lossy ? detect_worst_lossy_ms(timing, false, timing->timeout_ms)
                 : detect_worst_ms(timing, false, timing->timeout_ms);
}

static uint32_t check_silent_ms(const struct model_check *check, bool lossy)
{
    if (check->kind == MODEL_CHECK_FILE) {
        return 0;
    }
    uint32_t wait_ms = check->kind == MODEL_CHECK_PUSH ? check->push_ttl_ms : 0;
    return clamp((uint64_t)silent_ms(&check->timing, lossy) + wait_ms);
}

uint32_t timing_check_strong_ms(const struct model_check *check)
{
    return check_strong_ms(check, false);
}

uint32_t timing_check_silent_ms(const struct model_check *check)
{
    return check_silent_ms(check, false);
}

uint32_t timing_check_lossy_ms(const struct model_check *check)
{
    uint32_t strong = check_strong_ms(check, true);
    uint32_t silent = check_silent_ms(check, true);

    return strong > silent ? strong : silent;
}

/* ---- the worst case of a service ---- */

/* Services to look at, each once. */
struct search {
    const struct model *model;
    uint32_t *found;
    size_t count;
    uint8_t *seen;
};

static void look_at(const struct model_check *checks, size_t count,
                    const struct model_region *region, const struct model_service *service,
                    struct timing_worst *worst)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t strong = timing_check_strong_ms(&checks[i]);
        uint32_t silent = timing_check_silent_ms(&checks[i]);
        uint32_t lossy = timing_check_lossy_ms(&checks[i]);
        uint32_t ms = strong > silent ? strong : silent;

        worst->strong_ms = strong > worst->strong_ms ? strong : worst->strong_ms;
        worst->silent_ms = silent > worst->silent_ms ? silent : worst->silent_ms;
        worst->lossy_ms = lossy > worst->lossy_ms ? lossy : worst->lossy_ms;
        if (ms > worst->ms) {
            worst->ms = ms;
            worst->silent = silent >= strong;
            worst->check = &checks[i];
            worst->region = region;
            worst->service = region == NULL ? service : NULL;
        }
    }
}

static void look_at_region(const struct model *model, uint32_t index, struct timing_worst *worst)
{
    const struct model_region *region = &model->regions[index];

    look_at(region->checks, region->check_count, region, NULL, worst);
}

/* `other` is NULL for the service that it is about. */
static void look_at_service(const struct model *model, const struct model_service *service,
                            const struct model_service *other, struct timing_worst *worst)
{
    look_at(service->checks, service->check_count, NULL, other, worst);
    for (size_t i = 0; i < service->pool_count; i++) {
        look_at_region(model, service->pools[i].region, worst);
    }
}

static void follow(struct search *search, const struct model_condition *condition,
                   struct timing_worst *worst)
{
    for (size_t i = 0; i < condition->part_count; i++) {
        follow(search, &condition->parts[i], worst);
    }
    if (condition->kind == MODEL_CONDITION_REGION) {
        look_at_region(search->model, condition->index, worst);
    } else if (condition->kind == MODEL_CONDITION_SERVICE && search->seen[condition->index] == 0) {
        search->seen[condition->index] = 1;
        search->found[search->count++] = condition->index;
    }
}

struct timing_worst timing_worst_find(const struct model *model,
                                      const struct model_service *service)
{
    struct timing_worst worst = { 0 };

    look_at_service(model, service, NULL, &worst);
    if (service->condition == NULL) {
        return worst;
    }
    struct search search = { .model = model };
    search.seen = calloc(model->service_count + 1, sizeof(*search.seen));
    search.found = calloc(model->service_count + 1, sizeof(*search.found));
    REQUIRE(search.seen != NULL && search.found != NULL);
    follow(&search, service->condition, &worst);
    for (size_t i = 0; i < search.count; i++) {
        const struct model_service *other = &model->services[search.found[i]];
        look_at_service(model, other, other, &worst);
        if (other->condition != NULL) {
            follow(&search, other->condition, &worst);
        }
    }
    free(search.seen);
    free(search.found);
    return worst;
}

uint32_t timing_service_ms(const struct model *model, const struct model_service *service)
{
    return timing_worst_find(model, service).ms;
}
