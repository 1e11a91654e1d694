#include "resolver/publication.h"

#include <stdlib.h>

#include "base/error.h"

struct publication_retired {
    struct retired retired; /* first: released by address */
    struct publication *publication;
    struct publication_retired *next;
    struct snapshot *snapshot;
};

/* Nobody reads it any more. */
static void hand_back(struct retired *retired)
{
    struct publication_retired *old = (struct publication_retired *)retired;
    struct publication *p = old->publication;

    pthread_mutex_lock(&p->lock);
    old->next = p->unread;
    p->unread = old;
    if (p->wake != NULL) {
        p->wake(p->user);
    }
    pthread_mutex_unlock(&p->lock);
}

void publication_init(struct publication *publication)
{
    *publication = (struct publication){ .reclaimer = NULL };
    pthread_mutex_init(&publication->lock, NULL);
}

int publication_start(struct publication *publication)
{
    return reclaimer_new(&publication->reclaimer);
}

struct reclaimer *publication_reclaimer(const struct publication *publication)
{
    return publication->reclaimer;
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
    struct publication_retired *retired = malloc(sizeof(*retired));
    REQUIRE(retired != NULL);
    *retired = (struct publication_retired){ .publication = p, .snapshot = old };
    retired->retired.release = hand_back;
    if (p->reclaimer == NULL) {
        hand_back(&retired->retired); /* nobody reads before the start */
    } else {
        reclaimer_retire(p->reclaimer, &retired->retired);
    }
}

struct snapshot *publication_take(struct publication *publication)
{
    struct publication *p = publication;

    pthread_mutex_lock(&p->lock);
    struct publication_retired *retired = p->unread;
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
    reclaimer_free(publication->reclaimer);
    publication->reclaimer = NULL;
    return atomic_exchange(&publication->current, NULL);
}

void publication_fini(struct publication *publication)
{
    REQUIRE(publication->reclaimer == NULL && publication->unread == NULL);
    pthread_mutex_destroy(&publication->lock);
}
