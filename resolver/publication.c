#include "resolver/publication.h"

#include <stdlib.h>

#include "base/error.h"
#include "resolver/rcu.h"

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
            batch->next = p->free;
            p->free = batch;
            batch = next;
        }
        if (p->wake != NULL && !p->stop) {
            p->wake(p->user);
        }
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

int publication_init(struct publication *publication)
{
    struct publication *p = publication;

    atomic_init(&p->current, NULL);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    int rc = pthread_create(&p->reclaimer, NULL, reclaim, p);
    p->running = rc == 0;
    return -rc;
}

void publication_put(struct publication *publication, struct snapshot *snapshot)
{
    struct publication *p = publication;
    struct snapshot *old =
        atomic_exchange_explicit(&p->current, snapshot, memory_order_acq_rel);

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
    struct retired *retired = p->free;
    if (retired != NULL) {
        p->free = retired->next;
    }
    pthread_mutex_unlock(&p->lock);
    if (retired == NULL) {
        return NULL;
    }
    struct snapshot *snapshot = retired->snapshot;
    free(retired);
    return snapshot;
}

struct snapshot *publication_fini(struct publication *publication)
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
