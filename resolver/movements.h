#pragma once
/*
 * movements - tells in the log where each service's answer has moved
 *
 * Control thread. What was told last is kept by service, across generations,
 * so that a line is written when an answer moves and only then.
 */
#include "resolver/snapshot.h"

/* In one round over all services: those told one by one, in the log and to the listener. */
#define MOVEMENTS_LINES_MAX 20
#define MOVEMENTS_TOLD_MAX  1000

struct movements;

/*
 * Told of the movements of a round: the first MOVEMENTS_TOLD_MAX one by one,
 * the others by number, with "(N more services)" for `service`. Strings are
 * only valid during the call.
 */
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

/* Tell whether this service of the generation has moved since it was looked at last. */
void movements_look(struct movements *movements, const struct steer_service *service);

/* A round is over: tell how many more have moved in it, and begin another one. */
void movements_sum_up(struct movements *movements);
