#pragma once
/*
 * config_timing - which check makes a service's worst case, for people
 *
 * The formulas are in timing.h. Pure functions, any thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "policy/model.h"

struct config_timing_worst {
    uint32_t ms;        /* 0: nothing is checked */
    uint32_t strong_ms; /* the worst by failures, over all checks */
    uint32_t silent_ms; /* the worst by silence */
    bool silent;        /* `ms` is by silence */
    const struct model_check *check;
    const struct model_region *region; /* whose check it is; NULL: the service's own */
};

/* The slowest check of the service and of its regions. */
struct config_timing_worst config_timing_find(const struct model *model,
                                              const struct model_service *service);

/* Write "check 'web'" or "the dns check in line 7 of region seoul". */
void config_timing_put_check(const struct config_timing_worst *worst, struct text *out);
