#pragma once
/*
 * config_forward - rules that say where other names are resolved
 *
 * Control thread.
 */
#include "policy/config_context.h"
#include "policy/config_table.h"

extern const struct config_table config_forward_table;

/*
 * Read the section into the model; the item may be NULL: no such section.
 * Regions, listeners, zones and services must have been read.
 */
void config_forward_read(struct config_context *context, const struct config_item *section);

/* Write a rule below its key, which is written already. */
void config_forward_put(const struct model *model, const struct model_forward *rule,
                        struct text *out);
