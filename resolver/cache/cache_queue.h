#pragma once
/*
 * cache_queue - which entry goes when there is no room
 *
 * After S3-FIFO (Yang et al., SOSP 2023), with the numbers that bench/cache
 * found best here: whatever is new waits in a short line, a thirtieth of all.
 * Who was visited when its turn comes is proven; who was not leaves and is
 * remembered for a while, to be proven at once when it comes back. The proven
 * stand in a second line, where each visit buys another turn.
 *
 * A pure data structure, weighed in bytes: it frees nothing and knows no time.
 * One thread, but for the visits, which readers count in the entries.
 */
#include <stddef.h>
#include <stdint.h>

#include "resolver/cache/cache.h"
#include "resolver/cache/cache_ghost.h"

struct cache_list {
    struct cache_entry *newest, *oldest;
    uint64_t bytes;
};

struct cache_queue {
    struct cache_list probation;
    struct cache_list proven;
    struct cache_ghost ghost; /* of those that left probation */
    uint64_t entries;
};

void cache_queue_init(struct cache_queue *queue);

/* Free what it remembers; entries are their owner's. */
void cache_queue_fini(struct cache_queue *queue);

/* Forget all entries, which their owner has taken out, and what was remembered. */
void cache_queue_clear(struct cache_queue *queue);

/* Bytes more it would like for its memory when one entry more comes; 0: none. */
size_t cache_queue_need(const struct cache_queue *queue);

/* Take them. Without memory it goes on with what it has. */
void cache_queue_grow(struct cache_queue *queue);

/* What its memory is charged. */
size_t cache_queue_memory(const struct cache_queue *queue);

void cache_queue_add(struct cache_queue *queue, struct cache_entry *entry);

/* `fresh` takes the place of `old`, with its popularity. */
void cache_queue_replace(struct cache_queue *queue, struct cache_entry *old,
                         struct cache_entry *fresh);

void cache_queue_remove(struct cache_queue *queue, struct cache_entry *entry);

/* Choose who has to go and remove it; NULL when nobody is there. */
struct cache_entry *cache_queue_evict(struct cache_queue *queue);
