#pragma once
/*
 * maintenance - is a maintenance window open, and when does that change?
 *
 * Pure functions of civil time, UTC. Any thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "policy/model.h"

/*
 * Is the window open at `now_s` (seconds since 1970)? Then `*out_until_s` is
 * when it closes, else when it opens next (INT64_MAX: never again).
 */
bool maintenance_is_open(const struct model_maintenance *window, int64_t now_s,
                         int64_t *out_until_s);
