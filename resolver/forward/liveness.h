#pragma once
/*
 * liveness - asks upstreams now and then whether they are there
 *
 * Each upstream of the rules in force is asked for the SOA of its rule's domain:
 * at once when rules are adopted; every five seconds when it is well and nobody
 * else has heard from it; several times a second when it is suspect, and every
 * 50 ms while it proves itself; at once when it owes answers or they come slowly,
 * and then the others, too, twice a second, to compare. Public ones cost money
 * and tell others what is asked: one a minute is enough, but for a suspect when
 * nobody else lives. Once for each set of rules, and when one has come back, they
 * are also asked for a name that only this process knows: whoever sends that
 * question back to us leads in a circle.
 *
 * One service loop. What comes back goes into the directory.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "resolver/forward/attempt.h"
#include "resolver/forward/directory.h"
#include "resolver/snapshot.h"

#define LIVENESS_IDLE_MS   5000  /* a healthy one is asked when nothing was heard for so long */
#define LIVENESS_PUBLIC_MS 60000 /* a public one, while others live */
#define LIVENESS_PROOF_MS  50    /* between proofs */
#define LIVENESS_FIRST_MS  100   /* after a failure; doubled up to */
#define LIVENESS_MOST_MS   500   /* this */

#define LIVENESS_CANDIDATE UINT32_MAX /* of attempts that are liveness's, not a lookup's */

struct liveness;

/*
 * Nothing is probed yet. Attempts are made in `pool`, whose owner hands events
 * of those with LIVENESS_CANDIDATE on to liveness_events. NULL when memory is out.
 */
struct liveness *liveness_new(struct attempt_pool *pool, struct directory *directory);

/* Free one that was not started. */
void liveness_free(struct liveness *liveness);

/* Take up its place on the pool's loop. To be called before all else. */
void liveness_start(struct liveness *liveness);

/*
 * Probe the upstreams of these rules instead of those before. Read during the
 * call only. When memory is out, nobody is probed, and that is logged.
 */
void liveness_adopt(struct liveness *liveness, const struct forward_rule *rules, size_t count);

/* Upstreams have changed their state: see who is to be asked when. */
void liveness_look(struct liveness *liveness);

/* What its attempts tell. */
const struct attempt_events *liveness_events(void);

/* The id in the name of a question that only liveness asks, 0 when it is no such name. */
uint64_t liveness_loop_id(const uint8_t *dname);

/* End all probes; `closed` is called when it is freed, after its attempts were closed. */
void liveness_close(struct liveness *liveness, void (*closed)(void *user), void *user);
