#pragma once
/*
 * publication - the snapshot in force, and the way old ones leave
 *
 * The control thread publishes; readers fetch under RCU; a reclaimer waits for
 * the grace periods, so that a reader that hangs never holds up the control
 * loop. Whatever else is read under RCU may leave through the same reclaimer.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "resolver/reclaimer.h"
#include "resolver/snapshot.h"

struct publication_retired;

struct publication {
    _Atomic(struct snapshot *) current;
    struct reclaimer *reclaimer;        /* NULL: not started, or stopped */
    pthread_mutex_t lock;               /* of what follows */
    struct publication_retired *unread; /* by anyone */
    void (*wake)(void *user);
    void *user;
};

/* Nothing is published yet, and no thread runs. */
void publication_init(struct publication *publication);

/* Start the reclaimer; readers come after it. -errno when it cannot be made. */
int publication_start(struct publication *publication);

/*
 * The reclaimer, from publication_start to publication_stop: for others whose
 * memory is read by the same threads. NULL before and after.
 */
struct reclaimer *publication_reclaimer(const struct publication *publication);

/*
 * Call `wake` whenever there is something to take; NULL: never any more, from
 * the return of this call on. It is called in the reclaimer's thread and must
 * not call into the publication: use it to wake a loop.
 */
void publication_on_retired(struct publication *publication, void (*wake)(void *user), void *user);

/* Publish; the one in force until now will come back from publication_take. */
void publication_put(struct publication *publication, struct snapshot *snapshot);

/* The next snapshot nobody reads any more, or NULL. Control thread. */
struct snapshot *publication_take(struct publication *publication);

/*
 * End the reclaimer. Readers must be gone, and so must everybody else who
 * retires something through it: first the threads, then this, then what owns
 * the memory that was retired (such as a cache). Returns the snapshot in force
 * (NULL: none was published); those retired are all to be taken then.
 */
struct snapshot *publication_stop(struct publication *publication);

/* Everything was taken. */
void publication_fini(struct publication *publication);

/* The snapshot in force; valid until the reading thread sleeps for RCU. */
static inline const struct snapshot *publication_read(struct publication *publication)
{
    return atomic_load_explicit(&publication->current, memory_order_acquire);
}
