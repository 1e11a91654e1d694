#pragma once
/*
 * query - one query in, one answer out: the only way through
 *
 * Answers from our own data without a lock, an allocation or a system call;
 * what must be asked elsewhere is left to the caller. Any thread that is
 * online for RCU and has a `struct query_thread` of its own.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "resolver/server.h"
#include "resolver/snapshot.h"
#include "zones/wire.h"

/*
 * A buffer for a query and, in place, its answer: the most that fits an
 * Ethernet frame, and 23 cache lines, so that the buffers of a batch do not
 * all fall on the same sets of the cache.
 */
#define QUERY_UDP_BUFFER 1472

enum query_source {
    QUERY_SERVICE, /* steered addresses */
    QUERY_ZONE,    /* static data, negatives included */
    QUERY_FORWARDED,
    QUERY_REFUSED,
    QUERY_BROKEN, /* FORMERR, NOTIMP, BADVERS */
    QUERY_SOURCES,
};

enum query_verdict {
    QUERY_SEND,    /* the answer stands in the buffer */
    QUERY_DROP,    /* no answer is due */
    QUERY_FORWARD, /* ask elsewhere: see query_thread.query; the buffer is as it was */
};

/* What a thread needs to answer; made once, used by one thread. */
struct query_thread {
    struct server_counters *counters;
    struct wire_query query; /* the one being answered */
    bool recursion;          /* its client may have other names resolved */
};

/* Where a query came from. */
struct query_client {
    const struct sockaddr *source;
    bool local_is_loopback; /* the address it was sent to */
    bool stream;            /* TCP: no size limit but the message's own */
};

void query_thread_init(struct query_thread *thread, struct server_counters *counters);

/*
 * Answer the `length` bytes at `message` in place; the buffer holds `cap`
 * bytes, at least QUERY_UDP_BUFFER. On QUERY_SEND `*out_length` is what to send.
 */
enum query_verdict query_answer(struct query_thread *thread, const struct snapshot *snapshot,
                                const struct query_client *client, uint8_t *message, size_t length,
                                size_t cap, size_t *out_length);

/* Turn the query in `message` (its header at least) into an error answer of 12 bytes. */
size_t query_put_error(uint8_t *message, uint16_t id, uint16_t flags, unsigned rcode);

/* Names of sources and rcodes, for status and metrics. */
const char *query_source_name(enum query_source source);

/* One more of something that only this thread counts. */
static inline void query_count(_Atomic uint64_t *counter)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + 1, memory_order_relaxed);
}
