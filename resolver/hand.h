#pragma once
/*
 * hand - what operators and maintenance windows say, in force
 *
 * Holds the overrides, keeps them on disk, lets them expire by civil time and
 * brings them into the health table and the services of the snapshot. A drain
 * that would leave too little is refused unless it is forced. Control thread.
 */
#include <stdbool.h>
#include <uv.h>

#include "policy/overrides.h"
#include "resolver/snapshot.h"

struct hand;

/* Told of every change: set, released, expired. `text` is a sentence for people. */
typedef void hand_listener(void *user, const struct override *override, const char *what);

/* NULL when memory is out. */
struct hand *hand_new(uv_loop_t *loop, struct health *health, hand_listener *listener, void *user);
void hand_close(struct hand *hand);

/*
 * Read what was kept in `state_directory`, once, before the first snapshot. A
 * damaged file is set aside and told of.
 */
void hand_load(struct hand *hand, const char *state_directory);

/* A new snapshot is in force: everything said applies to it, too. */
void hand_adopt(struct hand *hand, const struct snapshot *snapshot);

/*
 * Say `override` (its since_s is filled in). -ENOENT when its target means
 * nothing that is configured; -EBUSY when a drain would leave fewer than
 * guards.minimum_regions in or a service without a region, and `force` is not
 * set; both explained.
 */
int hand_set(struct hand *hand, struct override *override, bool force, struct error *err);

/*
 * Take back what was said of `target`, which also lets a service return whose
 * failback is manual. -ENOENT, explained, when there was nothing.
 */
int hand_release(struct hand *hand, const char *target, enum override_release which,
                 const char *author, struct error *err);

/* Did the last change reach the disk, so that it outlives a restart? */
bool hand_is_kept(const struct hand *hand);

/* Those in force, the scheduled ones too. */
const struct overrides *hand_overrides(const struct hand *hand);

/*
 * The override that rules a region / a service's pool (its region's or its
 * own), or NULL: force before drain.
 */
const struct override *hand_of_region(const struct hand *hand, const char *region);
const struct override *hand_of_pool(const struct hand *hand, const char *region,
                                    const char *service);
