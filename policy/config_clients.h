#pragma once
/*
 * config_clients - where clients stand: by prefix, and by country
 *
 * Control thread.
 */
#include "base/text.h"
#include "policy/config_context.h"
#include "policy/config_table.h"

extern const struct config_table config_clients_table;

/* Read the section of the file `root` into the model. Regions must have been read. */
void config_clients_read(struct config_context *context, const struct config_item *root);

/* Write the section, or nothing when there is none. */
void config_clients_put(const struct model *model, struct text *out);
