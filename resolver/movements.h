#pragma once
/*
 * movements - tells in the log where each service's answer has moved
 *
 * Control thread. What was told last is kept by service, across generations,
 * so that a line is written when an answer moves and only then.
 */
#include "resolver/snapshot.h"

#define MOVEMENTS_LINES_MAX 20 /* services named one by one at a time; the rest are counted */

struct movements;

/* Told of each movement, however many there are. `from` and `to` are only valid during the call. */
typedef void movements_listener(void *user, const char *service, const char *from, const char *to,
                                const char *reason);

/* NULL when memory is out. */
struct movements *movements_new(movements_listener *listener, void *user);
void movements_free(struct movements *movements);

/*
 * A new generation: what was told of `old`'s services (may be NULL) counts for
 * those of `fresh` that have the same name. Call while both exist.
 */
void movements_adopt(struct movements *movements, const struct snapshot *old,
                     const struct snapshot *fresh);

/* Tell what has moved since the last call, or nothing. */
void movements_tell(struct movements *movements, const struct snapshot *snapshot);
