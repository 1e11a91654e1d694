#pragma once
/*
 * config_check - the checks of the file: named ones, and those written in place
 *
 * Control thread.
 */
#include <stdbool.h>
#include <stddef.h>

#include "policy/config_context.h"
#include "policy/config_table.h"

extern const struct config_table config_check_table;

/*
 * Read the section `checks`: the context then knows them by name. The item may
 * be NULL when there is no such section.
 */
void config_check_read_named(struct config_context *context, const struct config_item *section);

/*
 * Read what a service or a region says of its checks: a name, a map in place,
 * or a list of both. Those of a region need a server; an http check of a
 * service without a host gets `host`. Returns false, reported, when any is
 * wrong.
 */
bool config_check_read_list(struct config_context *context, const struct config_item *item,
                            bool needs_server, const char *host, const struct model_check **out,
                            size_t *out_count);
