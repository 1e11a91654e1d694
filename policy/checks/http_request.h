#pragma once
/*
 * http_request - the request that an http check sends
 *
 * Decides only: no I/O, no allocation. Any thread.
 */
#include <stddef.h>

#include "base/addr.h"
#include "policy/model.h"

/*
 * Write the request of `check` to `target` into the `cap` bytes at `out`,
 * terminated. Returns its length; when that is not below `cap`, what is in
 * `out` is of no use.
 */
size_t http_request_format(const struct model_check *check, const struct addr *target, char *out,
                           size_t cap);
