#include "resolver/publication.h"

#include <stdlib.h>

#include "base/error.h"
#include "resolver/rcu.h"
#include "resolver/thread.h"

#ifdef LEEWARD_TSAN
char rcu_edge;
#endif

struct retired {
    struct retired *next;
    struct snapshot *snapshot;
};

static void *reclaim(void *user)
{
    struct publication *p = user;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->waiting == NULL && !p->stop) {
            pthread_cond_wait(&p->changed, &p->lock);
        }
        struct retired *batch = p->waiting;
        if (batch == NULL) {
            break;
        }
        p->waiting = NULL;
        pthread_mutex_unlock(&p->lock);
        rcu_grace_period();
        pthread_mutex_lock(&p->lock);
        while (batch != NULL) {
            struct retired *next = batch->next;
            batch->next = p->unread;
            p->unread = batch;
            batch = next;
        }
        if (p->wake != NULL) {
            p->wake(p->user);
        }
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

void publication_init(struct publication *publication)
{
    *publication = (struct publication){ .running = false };
    pthread_mutex_init(&publication->lock, NULL);
    pthread_cond_init(&publication->changed, NULL);
}

int publication_start(struct publication *publication)
{
    int rc = thread_start(&publication->reclaimer, "reclaimer", 0, reclaim, publication);

    publication->running = rc == 0;
    return rc;
}

void publication_on_retired(struct publication *publication, void (*wake)(void *user), void *user)
{
    pthread_mutex_lock(&publication->lock);
    publication->wake = wake;
    publication->user = user;
    pthread_mutex_unlock(&publication->lock);
}

void publication_put(struct publication *publication, struct snapshot *snapshot)
{
    struct publication *p = publication;
    struct snapshot *old = atomic_exchange_explicit(&p->current, snapshot, memory_order_acq_rel);

    if (old == NULL) {
        return;
    }
    struct retired *retired = malloc(sizeof(*retired));
    REQUIRE(retired != NULL);
    retired->snapshot = old;
    pthread_mutex_lock(&p->lock);
    retired->next = p->waiting;
    p->waiting = retired;
    pthread_cond_signal(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

struct snapshot *publication_take(struct publication *publication)
{
    struct publication *p = publication;

    pthread_mutex_lock(&p->lock);
    struct retired *retired = p->unread;
    if (retired != NULL) {
        p->unread = retired->next;
    }
    pthread_mutex_unlock(&p->lock);
    if (retired == NULL) {
        return NULL;
    }
    struct snapshot *snapshot = retired->snapshot;
    free(retired);
    return snapshot;
}

struct snapshot *publication_stop(struct publication *publication)
{
    struct publication *p = publication;

    if (p->running) {
        pthread_mutex_lock(&p->lock);
        p->stop = true;
        pthread_cond_signal(&p->changed);
        pthread_mutex_unlock(&p->lock);
        pthread_join(p->reclaimer, NULL);
        p->running = false;
    }
    return atomic_exchange(&p->current, NULL);
}

void publication_fini(struct publication *publication)
{
    REQUIRE(!publication->running && publication->waiting == NULL && publication->unread == NULL);
    pthread_mutex_destroy(&publication->lock);
    pthread_cond_destroy(&publication->changed);
}
