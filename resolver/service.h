#pragma once
/*
 * service - the service loop: everything that has a connection or an upstream
 *
 * One thread with a libuv loop. Takes questions from the answerers' rings,
 * serves TCP, asks upstreams, and answers through the same query code.
 */
#include "base/error.h"
#include "resolver/handover.h"
#include "resolver/publication.h"
#include "resolver/server.h"
#include "resolver/service_job.h"

struct json_writer;
struct cache;
struct fairness;
struct resolution;
struct laggards;
struct service;

/* What the loop works with; all of it outlives the service. */
struct service_setup {
    struct publication *publication;
    struct cache *cache;             /* written by this loop alone */
    struct fairness *fairness;
    const char *directory; /* where the cache is kept on disk; NULL: nowhere */
};

/* Start the loop. -errno, explained. */
int service_start(const struct service_setup *setup, struct service **out, struct error *err);

/* A new snapshot was published; returns when the loop goes by it. Control thread. */
void service_adopt(struct service *service);

/*
 * Have `job` called in the loop's thread, online for RCU, and wait for it.
 * Control thread.
 */
void service_do(struct service *service, service_job *job, void *user);

/*
 * Have `job` called in the same way some time later, without waiting. When the
 * loop ends before its turn it is called in this thread with NULL for both: to
 * free what is its own. Control thread. False when memory is out.
 */
bool service_post(struct service *service, service_job *job, void *user);

/* Wake the loop: a ring has something. Any thread. `user` is the service. */
void service_wake(void *user);

/*
 * Add or take away a ring / a TCP socket to accept on. The call returns when
 * the loop has done so; the ring or socket is the caller's. -errno when memory
 * is out or the socket cannot be watched. What is taken away is emptied first.
 * Control thread.
 */
int service_add_ring(struct service *service, struct handover_ring *ring);
void service_remove_ring(struct service *service, struct handover_ring *ring);
int service_add_tcp(struct service *service, int fd);
void service_remove_tcp(struct service *service, int fd);

/* As answerer_remember. Any thread. */
void service_remember(struct service *service, struct laggards *laggards);

const struct server_counters *service_counters(const struct service *service);

/* End the loop and free it: what is in flight is answered with SERVFAIL first. NULL is fine. */
void service_stop(struct service *service);
