#include "resolver/reclaimer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "resolver/rcu.h"
#include "resolver/thread.h"

#ifdef LEEWARD_TSAN
char rcu_edge;
#endif

struct reclaimer {
    pthread_t thread;
    _Atomic(struct retired *) waiting; /* newest first */
    pthread_mutex_t lock;              /* of what follows; taken to sleep and to wake only */
    pthread_cond_t changed;
    bool stop;
};

/* Sleep until something waits; NULL when the end has come and nothing does. */
static struct retired *next_batch(struct reclaimer *r)
{
    struct retired *batch;

    pthread_mutex_lock(&r->lock);
    while ((batch = atomic_exchange_explicit(&r->waiting, NULL, memory_order_acquire)) == NULL &&
           !r->stop) {
        pthread_cond_wait(&r->changed, &r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return batch;
}

static void *reclaim(void *user)
{
    struct reclaimer *r = user;
    struct retired *batch;

    while ((batch = next_batch(r)) != NULL) {
        rcu_grace_period();
        while (batch != NULL) {
            struct retired *next = batch->next;
            batch->release(batch);
            batch = next;
        }
    }
    return NULL;
}

static void destroy(struct reclaimer *r)
{
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

int reclaimer_new(struct reclaimer **out)
{
    struct reclaimer *r = calloc(1, sizeof(*r));

    if (r == NULL) {
        return -ENOMEM;
    }
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    int rc = thread_start(&r->thread, "reclaimer", 0, reclaim, r);
    if (rc < 0) {
        destroy(r);
        return rc;
    }
    *out = r;
    return 0;
}

/*
 * The thread looks at what waits while it holds the lock, before it sleeps. So
 * only who finds nothing waiting may have to wake it.
 */
void reclaimer_retire(struct reclaimer *reclaimer, struct retired *retired)
{
    struct reclaimer *r = reclaimer;
    struct retired *first = atomic_load_explicit(&r->waiting, memory_order_relaxed);

    do {
        retired->next = first;
    } while (!atomic_compare_exchange_weak_explicit(&r->waiting, &first, retired,
                                                    memory_order_release, memory_order_relaxed));
    if (first == NULL) {
        pthread_mutex_lock(&r->lock);
        pthread_cond_signal(&r->changed);
        pthread_mutex_unlock(&r->lock);
    }
}

void reclaimer_free(struct reclaimer *reclaimer)
{
    struct reclaimer *r = reclaimer;

    if (r == NULL) {
        return;
    }
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    destroy(r);
}
