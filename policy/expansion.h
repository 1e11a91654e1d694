#pragma once
/*
 * expansion - endpoints given as host names become endpoints with addresses
 *
 * Between the configuration, which names them, and the health table and the
 * answers, which know addresses only. Control thread and tests.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/model.h"

#define EXPANSION_MOST 64 /* addresses of one name, of both families */

/* The addresses of a name now (their ports are not looked at); returns their number. */
typedef size_t expansion_lookup(void *user, const uint8_t *dname, bool keep_addresses,
                                struct addr out[EXPANSION_MOST]);

/*
 * Replace every endpoint of `model` that has a host name and no address yet by
 * one per address, none where nothing is known: a pool may become empty. Each
 * keeps the name and its settings; the capacity is shared among its addresses of
 * a family. An address that the pool has already, and
 * what is more than a pool may hold of a family, is left out. What was written
 * stays in `written`. Once per model, before it is bound.
 */
void expansion_apply(struct model *model, expansion_lookup *lookup, void *user);

/* Is any endpoint the name of a host? Every one is looked at. */
bool expansion_has_name(const struct model *model);

/*
 * Call `visit` for each endpoint of the model that was written as a host name,
 * in an expanded model or not. `service` and `pool` are indices.
 */
typedef void expansion_visit(void *user, const struct model_endpoint *endpoint, size_t service,
                             size_t pool);
void expansion_each_name(const struct model *model, expansion_visit *visit, void *user);
