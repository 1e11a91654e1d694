#pragma once
/*
 * config_check - the checks of the file: named ones, and those written in place
 *
 * What each kind is told is read by config_check_kinds, what is made of several
 * checks by config_part. Control thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "policy/config_context.h"
#include "policy/config_table.h"

extern const struct config_table config_check_table;

/*
 * Read the checks of the section `checks`, and note what conditions it holds:
 * the context then knows all of them by name. The item may be NULL when there
 * is no such section; it must last as long as the load.
 */
void config_check_read_named(struct config_context *context, const struct config_item *section);

/* The index of the check or condition named by `item`; false, reported, when there is none. */
bool config_check_find(struct config_context *context, const struct config_item *item,
                       uint32_t *out_index);

/* Read a check written as a map. Returns false, reported, when it is wrong. */
bool config_check_read(struct config_context *context, const struct config_item *item,
                       struct model_check *out);

/*
 * Settle what depends on where a check is used: a service, by its name, or a
 * region, when `host` is NULL. Returns false, reported at `item`, when it
 * cannot be used there.
 */
bool config_check_settle(struct config_context *context, const struct config_item *item,
                         const char *host, struct model_check *check);

/*
 * Read what a region says of its checks: a name, a map in place, or a list of
 * both. Returns false, reported, when any is wrong.
 */
bool config_check_read_region(struct config_context *context, const struct config_item *item,
                              struct model_region *region);
