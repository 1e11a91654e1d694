#include "policy/timing.h"

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

uint32_t timing_strong_ms(const struct model_timing *timing)
{
    return clamp(longest_interval(timing) + confirmations(timing, timing->fall));
}

uint32_t timing_silent_ms(const struct model_timing *timing)
{
    uint64_t probes = confirmations(timing, timing->silent_fall);
    uint64_t wait = probes > timing->timeout_ms ? probes : timing->timeout_ms;

    return clamp(longest_interval(timing) + wait);
}

static uint32_t slowest(const struct model_check *checks, size_t count, uint32_t so_far)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t strong = timing_strong_ms(&checks[i].timing);
        uint32_t silent = timing_silent_ms(&checks[i].timing);
        so_far = strong > so_far ? strong : so_far;
        so_far = silent > so_far ? silent : so_far;
    }
    return so_far;
}

uint32_t timing_service_ms(const struct model *model, const struct model_service *service)
{
    uint32_t worst = slowest(service->checks, service->check_count, 0);

    for (size_t i = 0; i < service->pool_count; i++) {
        const struct model_region *region = &model->regions[service->pools[i].region];
        worst = slowest(region->checks, region->check_count, worst);
    }
    return worst;
}
