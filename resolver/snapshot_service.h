#pragma once
/*
 * snapshot_service - services as the answering path reads them
 *
 * A part of building a snapshot, on the thread that does it.
 */
#include "resolver/snapshot.h"

#define SNAPSHOT_NEGATIVE_TTL_S 30u /* of names that only services make */

/* Everything that is being put together. */
struct snapshot_draft {
    struct snapshot *snapshot;
    struct model *model;
    struct health_binding *binding;
    struct arena *arena;
    struct error *err;
    bool rebuild; /* the files of `clients` are those of `old` */
};

/*
 * Compile all services into the snapshot, lay them over its namespace, and
 * hand over what those of `old` (may be NULL) remember. -EINVAL or -EEXIST,
 * explained with the service's place.
 */
int snapshot_compile_services(struct snapshot_draft *draft, const struct snapshot *old);
