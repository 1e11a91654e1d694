#pragma once
/*
 * config_maintenance - times in which a target is drained
 *
 * Control thread.
 */
#include "base/text.h"
#include "policy/config_context.h"
#include "policy/config_table.h"

extern const struct config_table config_maintenance_table;

/* Read the section of the file `root` into the model. Services must have been read. */
void config_maintenance_read(struct config_context *context, const struct config_item *root);

/* Write the section, or nothing when there is none. */
void config_maintenance_put(const struct model *model, struct text *out);
