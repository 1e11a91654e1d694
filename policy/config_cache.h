#pragma once
/*
 * config_cache - the section cache: how much is kept, and how long it serves
 *
 * Control thread.
 */
#include "policy/config_context.h"
#include "policy/config_table.h"

extern const struct config_table config_cache_table;

/* Read the section of `root` into the model, or its defaults when it is not there. */
void config_cache_read(struct config_context *context, const struct config_item *root);
