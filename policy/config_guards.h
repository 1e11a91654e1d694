#pragma once
/*
 * config_guards - what automation never does
 *
 * Control thread.
 */
#include "base/text.h"
#include "policy/config_context.h"
#include "policy/config_table.h"

extern const struct config_table config_guards_table;

/*
 * Read the section of the file `root` into the model, with the defaults of what
 * it does not say. Regions and listeners must have been read.
 */
void config_guards_read(struct config_context *context, const struct config_item *root);

/* Write the parts of the section, lines behind its plain values. */
void config_guards_put(const struct model *model, struct text *out);
