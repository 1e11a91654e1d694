#pragma once
/*
 * cache_memory - what the cache has taken, counted to the byte
 *
 * Charged is what the allocator hands out and its own few bytes beside it.
 * What is retired stays charged until it is freed: by then it is the
 * reclaimer's thread that subtracts. The rest is the service loop's.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cache_memory {
    _Atomic uint64_t *charged; /* all of it; any thread */
    uint64_t live_bytes;       /* of it, what is not retired */
    uint64_t most_bytes;       /* the bound of `charged` */
};

/* What `pointer`, from malloc, is charged. */
size_t cache_memory_size(void *pointer);

/* At most what `size` bytes from malloc will be charged. */
size_t cache_memory_estimate(size_t size);

/* Charge for `size` bytes that somebody has allocated. */
void cache_memory_add(struct cache_memory *memory, size_t size);

/* They are retired: still charged. */
void cache_memory_retire(struct cache_memory *memory, size_t size);

/* They are freed, after having been retired. Any thread. */
void cache_memory_release(struct cache_memory *memory, size_t size);

/* Can as much be charged without going beyond the bound? */
bool cache_memory_has_room(const struct cache_memory *memory, size_t size);
