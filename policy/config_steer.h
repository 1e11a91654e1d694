#pragma once
/*
 * config_steer - how a service's answers are chosen: `policy` and `steer`
 *
 * Control thread.
 */
#include <stdbool.h>

#include "base/text.h"
#include "policy/config_context.h"

/* Which chain a policy is short for. */
enum config_steer_policy {
    CONFIG_STEER_FAILOVER,
    CONFIG_STEER_NEAREST,
    CONFIG_STEER_LATENCY,
    CONFIG_STEER_WEIGHTED,
    CONFIG_STEER_ALL,
};

/*
 * Read `steer` of the service `item`, or else make the chain of `policy`, into
 * the service's filters, of which there is at least one whatever was wrong.
 * Its pools must have been read. Returns false, reported, when anything was.
 */
bool config_steer_read(struct config_context *context, const struct config_item *item,
                       enum config_steer_policy policy, struct model_service *service);

/*
 * The filters of `base` for `view`, a service with other pools: what is said by
 * pool goes with its region.
 */
void config_steer_copy(struct config_context *context, const struct model_service *base,
                       struct model_service *view);

/*
 * Report endpoints in `item` (a service, or one of its views) that lack what a
 * filter of the service asks for. Returns false when there are any.
 */
bool config_steer_check_pools(struct config_context *context, const struct config_item *item,
                              const struct model_service *service);

/* Write the filters as a line of a service: the policy where there is one for them. */
void config_steer_put(const struct model *model, const struct model_service *service,
                      struct text *out);
