#pragma once
/*
 * config_upstream - one resolver to ask: where it is and how it is spoken to
 *
 * Control thread.
 */
#include <stdbool.h>

#include "policy/config_context.h"
#include "policy/config_table.h"

extern const struct config_table config_upstream_table;

/* Read an address or a map. Returns false, reported, when anything was wrong. */
bool config_upstream_read(struct config_context *context, const struct config_item *item,
                          struct model_upstream *upstream);

/* Write it as a map in one line. */
void config_upstream_put(const struct model *model, const struct model_upstream *upstream,
                         struct text *out);
