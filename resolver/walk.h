#pragma once
/*
 * walk - what every service does about a change of the table, a few at a time
 *
 * After the table has changed each service is looked at once: what it answers
 * now is what it remembers, and where its answer has moved is told. There may
 * be a million of them, and the same loop sends the probes; so they are walked
 * in slices of a few milliseconds, with the loop's other work in between. Each
 * service is judged by the words of the moment in which it is looked at, never
 * by older ones. A change during the walk prolongs it by a whole round; it does
 * not begin anew, so that everybody's turn comes however often the table moves.
 *
 * Services with `failback: manual` do not wait: what was left and is back
 * before their turn would never be seen. They are looked at when the walk begins.
 *
 * Control thread.
 */
#include <uv.h>

#include "resolver/snapshot.h"

struct movements;
struct walk;

/* Called when a walk is over: every service has been looked at since the last change. */
typedef void walk_done(void *user);

/* NULL when memory is out. Movements are told to `movements`. */
struct walk *walk_new(uv_loop_t *loop, struct movements *movements, walk_done *done, void *user);

/* Another generation; what was under way goes on in it. Call while the old one exists. */
void walk_adopt(struct walk *walk, const struct snapshot *snapshot);

/*
 * The table has changed. The first slice, mostly the only one, is walked now.
 * `may_park`: the verdicts are real ones (see parking.h).
 */
void walk_begin(struct walk *walk, bool may_park);

/* Grows whenever a service has looked, and may remember something else. */
uint64_t walk_turns(const struct walk *walk);

/* Stop; it is gone when the loop has run once more. */
void walk_close(struct walk *walk);
