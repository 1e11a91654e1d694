#pragma once
/*
 * server - sockets, answerer threads, the service loop, and publication
 *
 * Made and driven by the control thread. Answerers and the service loop read
 * the published snapshot under RCU.
 */
#include <stdatomic.h>
#include <stdint.h>

#include "base/error.h"
#include "resolver/service_job.h"
#include "resolver/snapshot.h"

struct server;
struct json_writer;
struct laggards;

/* Counters of one thread, written by it alone, summed by readers. */
struct server_counters {
    _Atomic uint64_t by_source[8]; /* enum query_source; together: all queries read */
    _Atomic uint64_t by_rcode[17]; /* up to BADVERS */
    _Atomic uint64_t dropped;      /* not a query: no answer was due */
    _Atomic uint64_t unsent;       /* answers that could not be sent; counted above as well */
    _Atomic uint64_t ring_full;    /* SERVFAIL because the service loop was behind */
    _Atomic uint64_t unfair;       /* SERVFAIL because one client has too many in flight */
};

/*
 * Bind every listener of the model (before privileges are dropped). All or
 * none: on failure -errno, explained with the place of the listener.
 */
int server_new(const struct model *model, struct server **out, struct error *err);

/*
 * Publish `snapshot`, which is the server's from then on whatever is returned,
 * and start the threads the first time. Only that can fail: -errno, explained;
 * then server_stop ends what was started.
 */
int server_publish(struct server *server, struct snapshot *snapshot, struct error *err);

/*
 * Bind listeners that `model` adds and stop those it no longer has; those it
 * keeps go on with as many threads as they have. A listener that cannot be
 * bound or started is an error, and nothing changes. After server_publish.
 */
int server_rebind(struct server *server, const struct model *model, struct error *err);

/*
 * The next retired snapshot that no reader uses any more, or NULL. Control
 * thread; the caller frees it.
 */
struct snapshot *server_take_retired(struct server *server);

/*
 * From now on `wake` is called when there is one, from another thread: use it
 * to wake a loop. NULL: never any more, before that loop is closed.
 */
void server_on_retired(struct server *server, void (*wake)(void *user), void *user);

/* All that was received: everything has one source or was dropped. */
uint64_t server_received(const struct server_counters *counters);

/* Sum of the counters of all threads. */
void server_sum(const struct server *server, struct server_counters *out);

/*
 * Have `job` called by the service loop, which alone may change the cache, and
 * wait for it. False when it does not run. Control thread.
 */
bool server_do(struct server *server, service_job *job, void *user);

/* The same without waiting; see service_post. False: it will not be called. Control thread. */
bool server_post(struct server *server, service_job *job, void *user);

/* The addresses answered on ("127.0.0.1:5300"), as elements of an open JSON list. */
void server_describe_listeners(const struct server *server, struct json_writer *json);

/*
 * Call `visit` with the table of clients of each thread, if clients are
 * remembered (`laggards`). Control thread.
 */
void server_walk_laggards(const struct server *server,
                          void (*visit)(void *user, const struct laggards *laggards), void *user);

/*
 * Stop all threads and close all sockets; the snapshot published last is
 * returned (NULL: none was), and those retired are still to be taken, all of
 * them, before server_free.
 */
struct snapshot *server_stop(struct server *server);
void server_free(struct server *server);
