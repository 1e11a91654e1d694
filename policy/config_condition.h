#pragma once
/*
 * config_condition - what must hold for the endpoints of a service
 *
 * Its checks, and the condition over them, which may refer to regions and to
 * other services, be they written later in the file. Control thread.
 */
#include <stdbool.h>

#include "policy/config_context.h"

/*
 * Read what a service says of its checks: a name, a map in place, or a list,
 * all of which must hold. Its name is known by now. Returns false, reported,
 * when any is wrong.
 */
bool config_condition_read_service(struct config_context *context, const struct config_item *item,
                                   struct model_service *service);

/*
 * Find the services that conditions refer to, and refuse circles; then see
 * whether those with conditions keep their max_failover. All services are
 * known by now; `section` is theirs, or NULL.
 */
void config_condition_resolve(struct config_context *context, const struct config_item *section);
