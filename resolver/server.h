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
#include "resolver/snapshot.h"

struct server;
struct json_writer;

/* Counters of one thread, written by it alone, summed by readers. */
struct server_counters {
    _Atomic uint64_t by_source[6]; /* enum query_source; together: all queries read */
    _Atomic uint64_t by_rcode[16];
    _Atomic uint64_t dropped;      /* not answered: not a query, or not sendable */
    _Atomic uint64_t ring_full;    /* SERVFAIL because the service loop was behind */
};

/*
 * Bind every listener of the model (before privileges are dropped). All or
 * none: on failure -errno, explained with the place of the listener.
 */
int server_new(const struct model *model, struct server **out, struct error *err);

/* Publish `snapshot` and start the threads if they do not run yet. */
int server_publish(struct server *server, struct snapshot *snapshot, struct error *err);

/*
 * Bind listeners that `model` adds and stop those it no longer has. A listener
 * that cannot be bound is an error and nothing changes.
 */
int server_rebind(struct server *server, const struct model *model, struct error *err);

/*
 * The next retired snapshot that no reader uses any more, or NULL. Control
 * thread; the caller frees it. `server_on_retired` is called (from another
 * thread: use it to wake a loop) when there is one.
 */
struct snapshot *server_take_retired(struct server *server);
void server_on_retired(struct server *server, void (*wake)(void *user), void *user);

/* All that was received: everything has one source or was dropped. */
uint64_t server_received(const struct server_counters *counters);

/* Sum of the counters of all threads. */
void server_sum(const struct server *server, struct server_counters *out);

/* Upstreams as elements of an open JSON list. */
void server_describe_upstreams(struct server *server, struct json_writer *json);

/* The addresses answered on ("127.0.0.1:5300"), as elements of an open JSON list. */
void server_describe_listeners(const struct server *server, struct json_writer *json);

/*
 * Stop all threads and close all sockets; the current snapshot is returned,
 * and those retired are still to be taken. Then server_free.
 */
struct snapshot *server_stop(struct server *server);
void server_free(struct server *server);
