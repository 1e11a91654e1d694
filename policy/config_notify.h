#pragma once
/*
 * config_notify - who is told of what happens
 *
 * Control thread.
 */
#include "base/text.h"
#include "policy/config_context.h"
#include "policy/config_table.h"

extern const struct config_table config_notify_table;

/* Read the section of the file `root` into the model. */
void config_notify_read(struct config_context *context, const struct config_item *root);

/* Write the section, or nothing when there is none. */
void config_notify_put(const struct model *model, struct text *out);
