#pragma once
/*
 * timing - the worst case between a failure and the verdict
 *
 * Pure functions, any thread. A round trip to the target comes on top of each;
 * docs/failover.md derives the formulas. "1.1 interval" is interval plus jitter,
 * which is 10% unless configured.
 */
#include <stdint.h>

#include "policy/model.h"

/* Refused, reset, wrong answer, bad status: 1.1 interval + (fall - 1) confirm_interval. */
uint32_t timing_strong_ms(const struct model_timing *timing);

/* Silence: 1.1 interval + max(timeout, (silent_fall - 1) confirm_interval). */
uint32_t timing_silent_ms(const struct model_timing *timing);

/*
 * The slowest way by which this service can leave a region: over its own
 * checks and the checks of its regions, strong and silent. 0 when nothing is
 * checked.
 */
uint32_t timing_service_ms(const struct model *model, const struct model_service *service);
