#pragma once
/*
 * cache_ghost - remembers names that left the cache before they proved themselves
 *
 * Whoever comes back soon was worth keeping. Four bytes of the hash each, in
 * sets of eight where the ninth pushes out the oldest. Pure, one thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cache_ghost {
    uint32_t *marks;  /* 0: none; in each set the newest first */
    size_t set_count; /* a power of two, or 0 */
};

void cache_ghost_init(struct cache_ghost *ghost);
void cache_ghost_fini(struct cache_ghost *ghost);

/* Bytes to ask for so that it remembers `names` and more; 0: it does already. */
size_t cache_ghost_need(const struct cache_ghost *ghost, uint64_t names);

/* Take them. Without memory it goes on with what it has. */
void cache_ghost_grow(struct cache_ghost *ghost, uint64_t names);

/* What its memory is charged. */
size_t cache_ghost_memory(const struct cache_ghost *ghost);

void cache_ghost_remember(struct cache_ghost *ghost, uint64_t hash);

/* Was it remembered? It is not any more. */
bool cache_ghost_recall(struct cache_ghost *ghost, uint64_t hash);
