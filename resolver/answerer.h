#pragma once
/*
 * answerer - a thread that answers one UDP socket, batch by batch
 *
 * Blocks in recvmmsg, answers what it got from memory, sends it with
 * sendmmsg: no loop, no lock, no allocation, two system calls a batch. What
 * must be asked elsewhere goes to the service loop's ring.
 */
#include <stdbool.h>

#include "base/error.h"
#include "resolver/handover.h"
#include "resolver/publication.h"
#include "resolver/server.h"

#define ANSWERER_BATCH 32

struct answerer;
struct laggards;

/* What an answerer works with; all of it outlives the answerer. */
struct answerer_setup {
    int fd; /* a blocking UDP socket; the listener's */
    bool local_is_loopback;
    bool is_wildcard;
    const struct addr *listener; /* its address with port; NULL: not known */
    struct publication *publication;  /* with a snapshot in force */
    struct server_counters *counters; /* this thread's own */
    struct handover_ring *ring;       /* this thread's own */
    const struct cache *cache;        /* NULL: none */
    struct fairness *fairness;        /* of all threads */
    void (*wake)(void *user);         /* there is something in the ring; any thread */
    void *user;
};

/* Start it. -errno, explained, when the thread cannot be made. */
int answerer_start(const struct answerer_setup *setup, struct answerer **out, struct error *err);

/* Remember clients there from now on, NULL: nowhere. What was there may be in use for a while. */
void answerer_remember(struct answerer *answerer, struct laggards *laggards);

/* Ask it to end, wait until it has, and free it. NULL is fine. */
void answerer_stop(struct answerer *answerer);
