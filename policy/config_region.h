#pragma once
/*
 * config_region - the regions of the file
 *
 * Control thread.
 */
#include "policy/config_context.h"
#include "policy/config_table.h"

extern const struct config_table config_region_table;

/*
 * Read the section `regions` into the model; the context then knows them by
 * name. Named checks must have been read. The item may be NULL: no such section.
 */
void config_region_read(struct config_context *context, const struct config_item *section);

/*
 * The index of the region that `item`, at its value or key, names; MODEL_NONE,
 * reported, when there is none. Silent when the file has no regions at all:
 * that is an error of its own.
 */
uint32_t config_region_of_value(struct config_context *context, const struct config_item *item);
uint32_t config_region_of_key(struct config_context *context, const struct config_item *item);
