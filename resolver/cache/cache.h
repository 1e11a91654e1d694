#pragma once
/*
 * cache - answers of others, kept: one table for all threads
 *
 * Readers find entries under RCU, without a lock and without waiting; a hit
 * writes at most two relaxed bytes. One thread, the service loop, stores,
 * evicts and flushes. Entries are immutable but for a few hints. An expired
 * entry stays, as something to serve while nobody can be asked (RFC 8767),
 * until it is too old or its place is needed.
 *
 * Bounded in bytes, all counted: entries, table, and what waits to be freed.
 * What is asked once does not push out what is asked often (see cache_queue.h).
 *
 * Times are monotonic milliseconds, signed: an answer loaded from disk may be
 * older than this machine's clock.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/model.h"
#include "resolver/reclaimer.h"
#include "resolver/snapshot.h"

struct cache;

enum cache_kind {
    CACHE_POSITIVE,
    CACHE_NODATA,
    CACHE_NXDOMAIN,
    CACHE_FAILURE, /* nobody could answer (RFC 9520) */
};

enum {
    CACHE_DNSSEC_OK = 1,         /* DO */
    CACHE_CHECKING_DISABLED = 2, /* CD */
};

#define CACHE_VISITS_MOST 3 /* more make no entry more worth keeping */

struct cache_key {
    const uint8_t *dname; /* lower case */
    uint8_t length;
    uint8_t flags;
    uint16_t type;
    uint16_t class;
};

struct cache_entry {
    struct retired retired; /* first: released by address */
    uint64_t hash;
    int64_t stored_ms;
    uint32_t ttl_s;      /* fresh for this long after stored_ms */
    uint32_t size_bytes; /* what it is charged */
    uint8_t kind;        /* enum cache_kind */
    uint8_t origin;      /* enum forward_class of who said it */
    uint8_t rcode;
    bool authentic; /* AD */
    uint8_t key_flags;
    uint8_t name_length;
    uint16_t type, class;
    uint16_t records[3]; /* in answer, authority and additional section */
    uint16_t ttl_count;
    uint16_t body_length;
    uint16_t failure_ede; /* CACHE_FAILURE: why */

    /* hints; relaxed */
    _Atomic uint8_t visits;         /* since the queue last looked, at most CACHE_VISITS_MOST */
    _Atomic uint8_t asked;          /* how often it was served, at most 255 */
    _Atomic bool refreshing;        /* somebody is on the way to ask for it anew */
    uint8_t queue;                  /* the queue's, as what follows is */
    _Atomic int64_t stale_until_ms; /* expired, it may be served without asking until then */

    /* the service loop's alone */
    struct cache_entry *newer;
    union {
        struct cache_entry *older;
        struct cache *owner; /* once it is retired */
    };

    /*
     * The name; the offsets of `ttl_count` TTLs in the body; the body: what
     * stands behind the question, names compressed against offset 12.
     */
    uint8_t bytes[];
};

/* Parts of an entry's bytes. The offsets are 16-bit values in host order, unaligned. */
const uint8_t *cache_entry_name(const struct cache_entry *entry);
const uint8_t *cache_entry_body(const struct cache_entry *entry);

/* Counters: written by the service loop (`bytes` by the reclaimer too), read by any. */
struct cache_counters {
    _Atomic uint64_t entries;
    _Atomic uint64_t bytes; /* all that is charged, what waits to be freed included */
    _Atomic uint64_t stored;
    _Atomic uint64_t evicted; /* for want of room */
    _Atomic uint64_t expired; /* too old even to be served stale */
};

/*
 * An empty cache with these settings; entries that leave go to `reclaimer`,
 * which must be freed (and so has released them) before the cache. NULL when
 * memory is out.
 */
struct cache *cache_new(const struct model_cache *settings, struct reclaimer *reclaimer);

/* Readers are gone and the reclaimer has ended. NULL is fine. */
void cache_free(struct cache *cache);

/* New settings, after a reload; a smaller size evicts. Service loop. */
void cache_configure(struct cache *cache, const struct model_cache *settings);

/* The settings in force. Service loop. */
const struct model_cache *cache_settings(const struct cache *cache);

/* ---- reading: any thread that is online for RCU ---- */

uint64_t cache_hash(const struct cache *cache, const struct cache_key *key);

/* The entry, fresh or not, or NULL; valid while the thread is online. Counts as a visit. */
struct cache_entry *cache_find(const struct cache *cache, const struct cache_key *key,
                               uint64_t hash);

/* The same for who does not serve it: no visit. */
struct cache_entry *cache_peek(const struct cache *cache, const struct cache_key *key);

/* One that was found without a visit was served. */
void cache_visit(struct cache_entry *entry);

/* The TTL of what has expired, by the settings. */
uint32_t cache_stale_ttl_s(const struct cache *cache);

/* Seconds left of it, 0 when it has expired. */
uint32_t cache_left_s(const struct cache_entry *entry, int64_t now_ms);

/*
 * Write its body behind a question that ends at `out`; TTLs lowered by its age,
 * or, once it has expired, all set to `stale_ttl_s`. `out` holds body_length bytes.
 */
void cache_put_body(const struct cache_entry *entry, int64_t now_ms, uint32_t stale_ttl_s,
                    uint8_t *out);

/*
 * Entry by entry: `*cursor` starts at 0; NULL at the end. While the table is
 * growing an entry may be told twice. The pointer is valid while the thread
 * stays online; the cursor keeps its meaning when it sleeps in between.
 */
struct cache_entry *cache_next(const struct cache *cache, uint64_t *cursor);

const struct cache_counters *cache_counters(const struct cache *cache);

/* ---- writing: the service loop ---- */

/*
 * What is to be stored: a message as `struct forward_reply` has it (header,
 * question, sections with names compressed against it, no OPT).
 */
struct cache_answer {
    const uint8_t *message;
    size_t length;
    enum forward_class origin; /* what `public` says is kept 30 s at most */
    int64_t stored_ms;         /* now, or earlier when it comes from disk */
};

/*
 * Store an answer in place of what is there. TTLs are capped and floored by
 * the settings; a negative one lives as long as its SOA says (RFC 2308,
 * section 5), not at all without one. False when nothing was stored: no TTL,
 * too large, malformed, or out of memory. Never replaces what was stored later.
 */
bool cache_store(struct cache *cache, const struct cache_key *key,
                 const struct cache_answer *answer);

/*
 * Nobody could answer: say so for `ttl_s` (RFC 9520, section 3.2), unless
 * something that can still be served stale is there: then that may be served
 * without asking for so long.
 */
void cache_store_failure(struct cache *cache, const struct cache_key *key, uint16_t ede_code,
                         uint32_t ttl_s, int64_t now_ms);

/* Forget this name, with `tree` all below it too; NULL: everything. Returns how many. */
uint64_t cache_flush(struct cache *cache, const uint8_t *dname, bool tree);

/* Forget all names of which `is_gone` says so. Returns how many. */
typedef bool cache_is_gone(const void *user, const uint8_t *dname);
uint64_t cache_flush_if(struct cache *cache, cache_is_gone *is_gone, const void *user);

/* Drop a few of those too old to be served stale; to be called once a second or so. */
void cache_sweep(struct cache *cache, int64_t now_ms);
