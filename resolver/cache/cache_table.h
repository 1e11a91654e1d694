#pragma once
/*
 * cache_table - finds an entry by the hash of its key, without a lock
 *
 * Extendible hashing: the upper bits of a hash choose one of many small
 * segments through a directory, the lower ones a slot in it, probed linearly.
 * A segment that fills up is replaced by two, or by a clean one, two that
 * empty by one; so the table grows and shrinks a piece at a time and no store
 * takes long. Readers run under RCU and look at one segment at most; one
 * thread writes. Segments are retired when they are replaced.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "resolver/cache/cache.h"
#include "resolver/cache/cache_memory.h"
#include "resolver/reclaimer.h"

struct cache_directory;

struct cache_table {
    _Atomic(struct cache_directory *) directory;
    struct cache_memory *memory;
    struct reclaimer *reclaimer;
    uint64_t entries;
    uint32_t last_id; /* of a segment */
};

/* An empty table, charged to `memory`. False when memory is out. */
bool cache_table_init(struct cache_table *table, struct cache_memory *memory,
                      struct reclaimer *reclaimer);

/*
 * Readers are gone and the reclaimer has ended: free the table and call
 * `leave` for each entry in it.
 */
void cache_table_fini(struct cache_table *table, void (*leave)(struct cache_entry *entry));

/* ---- any thread that is online for RCU ---- */

struct cache_entry *cache_table_find(const struct cache_table *table, const struct cache_key *key,
                                     uint64_t hash);

/* See cache_next. */
struct cache_entry *cache_table_next(const struct cache_table *table, uint64_t *cursor);

/* ---- the service loop ---- */

/* At most so many bytes cache_table_put will take for an entry of this hash. */
size_t cache_table_need(const struct cache_table *table, uint64_t hash);

/* Put an entry whose key is not there. False, with nothing done, when memory is out. */
bool cache_table_put(struct cache_table *table, struct cache_entry *entry);

/* Put `fresh` where `old` is, which has the same key. */
void cache_table_replace(struct cache_table *table, struct cache_entry *old,
                         struct cache_entry *fresh);

/* Take out an entry that is there. */
void cache_table_remove(struct cache_table *table, struct cache_entry *entry);

/*
 * Take out all; `leave` is called for each once nobody can find it any more.
 * False, with nothing done, when memory is out.
 */
bool cache_table_clear(struct cache_table *table,
                       void (*leave)(void *user, struct cache_entry *entry), void *user);
