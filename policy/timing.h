#pragma once
/*
 * timing - the worst case between a failure and the verdict
 *
 * Pure functions, any thread. A round trip to the target comes on top of each;
 * docs/failover.md derives the formulas. "1.1 interval" is interval plus jitter,
 * which is 10% unless configured.
 */
#include <stdbool.h>
#include <stdint.h>

#include "policy/model.h"

/*
 * Refused, reset, wrong answer, bad status: 1.1 interval + (fall - 1)
 * confirm_interval. With `fall: auto` this, as the other, is that of a target
 * which loses next to nothing while it lives; see timing_check_lossy_ms.
 */
uint32_t timing_strong_ms(const struct model_timing *timing);

/* Silence: 1.1 interval + max(timeout, (silent_fall - 1) confirm_interval). */
uint32_t timing_silent_ms(const struct model_timing *timing);

/*
 * The same for a check of any kind: a program may run for all of its timeout
 * before it says that something is wrong, a report is good until its time to
 * live is over, and a file is never silent (0).
 */
uint32_t timing_check_strong_ms(const struct model_check *check);
uint32_t timing_check_silent_ms(const struct model_check *check);

/*
 * The longer of both for a target that loses, or answers wrongly, half of its
 * probes while it lives, which is as much as `fall: auto` believes. A counted
 * `fall` takes no longer than without loss.
 */
uint32_t timing_check_lossy_ms(const struct model_check *check);

/* The slowest way by which a service can leave a region. */
struct timing_worst {
    uint32_t ms;        /* 0: nothing is checked */
    uint32_t strong_ms; /* the worst by failures, over all checks */
    uint32_t silent_ms; /* the worst by silence */
    uint32_t lossy_ms;  /* the worst of targets known to lose half of their probes */
    bool silent;        /* `ms` is by silence */
    const struct model_check *check;
    const struct model_region *region;   /* whose check it is, */
    const struct model_service *service; /* or whose; both NULL: the service's own */
};

/*
 * Over the service's own checks, the checks of its regions, and those of the
 * regions and services that its condition refers to. A condition may hold
 * until the last of its parts is decided, so the slowest part counts.
 */
struct timing_worst timing_worst_find(const struct model *model,
                                      const struct model_service *service);

/* The `ms` of that. */
uint32_t timing_service_ms(const struct model *model, const struct model_service *service);
