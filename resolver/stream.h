#pragma once
/*
 * stream - DNS over TCP: several queries per connection, limits, timeouts
 *
 * RFC 7766: messages with a two-byte length, answered in any order. Service
 * loop only; every function that touches a snapshot wakes RCU first through
 * the host.
 */
#include <stdbool.h>
#include <uv.h>

#include "resolver/handover.h"
#include "resolver/publication.h"
#include "resolver/query.h"

#define STREAM_CONNECTIONS_MAX 512 /* in all; the one idle longest makes room */
#define STREAM_IDLE_MS         10000
#define STREAM_PIPELINE_MAX    64 /* questions being asked elsewhere, per connection */

struct stream;
struct stream_set;

/* What a set of streams needs of the service loop. */
struct stream_host {
    uv_loop_t *loop;
    struct publication *publication;
    struct query_thread *query;
    unsigned connections_max;
    unsigned idle_ms;          /* without a whole query, and no answer on its way */
    void (*awake)(void *user); /* go online for RCU; called before a snapshot is read */
    /*
     * Ask elsewhere; the answer comes back through stream_reply, at once or
     * later. A refresh has no stream and no answer.
     */
    void (*forward)(void *user, struct stream *stream, const struct handover_question *question);
    void *user;
};

/* NULL when memory is out. */
struct stream_set *stream_set_new(const struct stream_host *host);

/* Accept from a listening socket that does not block; it stays the caller's. -errno. */
int stream_set_listen(struct stream_set *set, int fd);

/* Stop accepting from it; its connections go on. */
void stream_set_unlisten(struct stream_set *set, int fd);

/* Connections open now: what a test can wait for. */
unsigned stream_set_count(const struct stream_set *set);

/* Close everything; the set is freed when the last handle is closed. */
void stream_set_close(struct stream_set *set);

/* Where the client is. */
const struct sockaddr *stream_source(const struct stream *stream);

/*
 * A stream that a question was forwarded from stays allocated until it was
 * replied to, exactly once per question; a connection that closed meanwhile
 * just drops it.
 */
void stream_reply(struct stream *stream, const uint8_t *message, size_t length);
