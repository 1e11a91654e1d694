#pragma once
/*
 * config_timing - which check makes a service's worst case, for people
 *
 * The formulas are in timing.h. Control thread and command line.
 */
#include "policy/config_context.h"

/* Report at `max_failover` of the service `item` when leaving a region can take longer. */
void config_timing_check_limit(struct config_context *context, const struct config_item *item,
                               const struct model_service *service);
