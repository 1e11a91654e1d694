#pragma once
/*
 * config_pool - the endpoints of a service by region, in the order they are used
 *
 * Control thread.
 */
#include <stdbool.h>
#include <stddef.h>

#include "policy/config_context.h"
#include "policy/config_table.h"

extern const struct config_table config_pool_endpoint_table;

/*
 * Read `order` and `endpoints` of `item`, a service or one of its views, into
 * the pools of `service`. Returns false, reported, when anything was wrong.
 */
bool config_pool_read(struct config_context *context, const struct config_item *item,
                      struct model_service *service);

/* Report addresses given twice, and more of a family than there are bits for. */
bool config_pool_check_addresses(struct config_context *context, const struct config_item *list,
                                 const struct addr *addresses, size_t count);

/*
 * Report host names that this server answers itself, and a CNAME at the top of
 * a zone, in the section `services` (NULL: none). Services and zones must have
 * been read.
 */
void config_pool_check_names(struct config_context *context, const struct config_item *services);

/* Write `order` and `endpoints` as lines with this indent. */
void config_pool_put(const struct model *model, const struct model_service *service,
                     unsigned indent, struct text *out);
