#pragma once
/*
 * config_zone - the zones of the file
 *
 * Control thread.
 */
#include "policy/config_context.h"
#include "policy/config_table.h"

extern const struct config_table config_zone_table;

/* Read the section `zones`; the item may be NULL: no such section. */
void config_zone_read(struct config_context *context, const struct config_item *section);
