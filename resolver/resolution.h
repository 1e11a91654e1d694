#pragma once
/*
 * resolution - what is said of a name that is not ours
 *
 * In this order: names that are answered locally (hosts file, special-use
 * names), the cache, upstreams; and what has expired when nobody answers or
 * nobody answers soon (RFC 8767). Expired answers are given at once when the
 * upstreams are known to be down, else after `cache.stale_wait`; the question
 * goes on behind in both cases. Puts what upstreams say into the cache.
 *
 * Service loop only; it is online for RCU in each call that takes a snapshot.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "resolver/cache/cache.h"
#include "resolver/forward/forwarder.h"

struct resolution;

/* What the loop lends it. */
struct resolution_host {
    uv_loop_t *loop;
    struct publication *publication; /* of snapshots */
    struct cache *cache;             /* written by this loop alone */
    void (*awake)(void *user);       /* go online for RCU */
    void *user;
};

struct resolution_counters {
    _Atomic uint64_t hits;     /* from the cache, in this loop */
    _Atomic uint64_t misses;   /* not in the cache, or expired: upstreams asked */
    _Atomic uint64_t stale;    /* expired answers given, in this loop */
    _Atomic uint64_t local;    /* answered from here without asking */
    _Atomic uint64_t refreshed; /* asked for anew before or after they expired */
    _Atomic uint64_t shed;     /* refused because too many were in flight */
};

/* NULL when memory is out. */
struct resolution *resolution_new(const struct resolution_host *host);

/* A new snapshot is in force: rules that changed lose what was cached under them. */
void resolution_adopt(struct resolution *resolution, const struct snapshot *snapshot);

/* The cache has been loaded from disk: what of it is answered locally now is forgotten. */
void resolution_loaded(struct resolution *resolution);

/*
 * Resolve a name that the snapshot resolves (see snapshot_resolves). `done` is
 * called exactly once, from within this call or later; its reply is valid
 * during the call. Its ede_code and ede_text may go with a message too: a
 * remark, such as that it is stale.
 */
void resolution_ask(struct resolution *resolution, const struct snapshot *snapshot,
                    const struct forward_question *question, forward_done *done, void *user);

/* The snapshot in force, for who was called by the loop while it is online. */
const struct snapshot *resolution_snapshot(const struct resolution *resolution);

/*
 * What would be answered without asking anyone (hosts file, special-use names):
 * the length of the message written to `out`, which holds WIRE_MESSAGE_MAX
 * bytes, or 0.
 */
size_t resolution_local(const struct snapshot *snapshot, const struct forward_question *question,
                        uint8_t *out);

/* Ask for it anew, nobody waits: it is asked often and will expire soon. */
void resolution_refresh(struct resolution *resolution, const struct snapshot *snapshot,
                        const struct forward_question *question);

const struct resolution_counters *resolution_counters(const struct resolution *resolution);

/* The forwarder beneath, to be described. */
struct forwarder *resolution_forwarder(const struct resolution *resolution);

/* Fail what is in flight and close; `closed` is called when it is freed. */
void resolution_close(struct resolution *resolution, void (*closed)(void *user), void *user);
