#pragma once
/*
 * config_yaml - the text of one file into a tree of nodes
 *
 * Bounded in nodes and depth whatever the text says: aliases count for all
 * that stands behind them. Control thread.
 */
#include "policy/config_context.h"

/*
 * Read `file`, whose text must live as long as the context. Returns the root,
 * a map, or NULL with at least one error in the context. Errors that leave
 * the rest readable (a key given twice) are in the context too.
 */
struct config_node *config_yaml_read(struct config_context *context,
                                     const struct config_file *file);

/*
 * Make the keys of a map unique, its entries in the order written. What came
 * by `<<` gives way. Of two written alike, an error names both; or, when
 * `join` and both are maps, they become one.
 */
void config_yaml_unify(struct config_context *context, struct config_node *map, bool join);
