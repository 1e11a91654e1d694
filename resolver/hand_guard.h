#pragma once
/*
 * hand_guard - may be said what an operator wants to say?
 *
 * Judges an override against what is configured and how things stand: does it
 * mean anything, and would a drain leave enough? Changes nothing. Control thread.
 */
#include <stdbool.h>

#include "base/error.h"
#include "policy/overrides.h"
#include "resolver/snapshot.h"

/* 0; -ENOENT, explained, when its target means nothing that is configured. */
int hand_guard_target(const struct model *model, const struct override *override,
                      struct error *err);

/*
 * 0; -ENOENT as above; -EBUSY when a drain would leave fewer than
 * guards.minimum_regions in or a service without a region, be it one that
 * leans on what is drained by its condition, and `force` is not set. Explained, too.
 */
int hand_guard_check(const struct snapshot *snapshot, const struct override *override, bool force,
                     struct error *err);
