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

#include "resolver/cache/cache.h"
#include "resolver/server.h"
#include "resolver/snapshot.h"
#include "zones/wire.h"

/*
 * A buffer for a query and, in place, its answer: the most that fits an
 * Ethernet frame, and 23 cache lines, so that the buffers of a batch do not
 * all fall on the same sets of the cache.
 */
#define QUERY_UDP_BUFFER 1472

struct laggards;

enum query_source {
    QUERY_SERVICE, /* steered addresses */
    QUERY_ZONE,    /* static data, negatives included */
    QUERY_CACHE,   /* what others answered before */
    QUERY_STALE,   /* the same, expired, while nobody can be asked */
    QUERY_FORWARDED,
    QUERY_REFUSED,
    QUERY_BROKEN, /* FORMERR, NOTIMP, BADVERS */
    QUERY_SOURCES,
};

enum query_verdict {
    QUERY_SEND,    /* the answer stands in the buffer; with `refresh`: hand it over as well */
    QUERY_DROP,    /* no answer is due */
    QUERY_FORWARD, /* ask elsewhere: see query_thread.query; the buffer is as it was */
};

/* What a thread needs to answer; made once, used by one thread. */
struct query_thread {
    struct server_counters *counters;
    const struct cache *cache; /* NULL: none; set by the owner */
    int64_t now_ms;            /* for its ages; set by the owner before each batch */
    struct wire_query query;   /* the one being answered */
    bool recursion;            /* its client may have other names resolved */
    uint8_t scope_bits;        /* of the answer, for its Client Subnet option */
    const struct query_client *client; /* during a call: who asks */
    struct steer_client steered; /* as choosing saw the client, where a choice depended on it */
    uint64_t draws;              /* moves on with each such choice */
    _Atomic(struct laggards *) laggards; /* NULL: clients are not remembered; set by any thread */
    struct cache_entry *refresh; /* answered from it, to be asked for anew; the owner clears it */
    uint16_t remark;             /* the extended error of an answer that needs one */
    const char *remark_text;
};

/* Where a query came from. */
struct query_client {
    const struct sockaddr *source;
    bool local_is_loopback; /* the address it was sent to */
    bool stream;            /* TCP: no size limit but the message's own */
    const struct addr *listener; /* or local address, with port, asked at; NULL: not known */
};

/* Without a cache. */
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

/* What is looked up in the cache for a parsed query. */
static inline struct cache_key query_cache_key(const struct wire_query *query)
{
    unsigned flags = (query->dnssec_ok ? CACHE_DNSSEC_OK : 0) |
                     ((query->flags & WIRE_CD) != 0 ? CACHE_CHECKING_DISABLED : 0);

    return (struct cache_key){ .dname = query->dname,
                               .length = query->name_length,
                               .flags = (uint8_t)flags,
                               .type = query->type,
                               .class = query->class };
}

/* Names of sources and rcodes, for status and metrics. */
const char *query_source_name(enum query_source source);

/* One more of something that only this thread counts. */
static inline void query_count(_Atomic uint64_t *counter)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + 1, memory_order_relaxed);
}
