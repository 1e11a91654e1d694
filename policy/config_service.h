#pragma once
/*
 * config_service - the services of the file: names whose answers move
 *
 * Control thread.
 */
#include "policy/config_context.h"
#include "policy/config_table.h"

#define CONFIG_MAX_POOLS     64 /* of a service */
#define CONFIG_MAX_ENDPOINTS 64 /* of a pool and address family: they have one bit each */

extern const struct config_table config_service_table;

/*
 * Read the section `services` into the model. Regions and named checks must
 * have been read. The item may be NULL: no such section.
 */
void config_service_read(struct config_context *context, const struct config_item *section);
