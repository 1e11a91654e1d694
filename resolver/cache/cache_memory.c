#include "resolver/cache/cache_memory.h"

#include <malloc.h>

#define OVERHEAD sizeof(size_t) /* the allocator's header of each block */
#define GRAIN    (2 * sizeof(size_t))
#define PAGE     4096u

size_t cache_memory_size(void *pointer)
{
    return malloc_usable_size(pointer) + OVERHEAD;
}

/* A remainder too small for a block is given on top; large blocks are mapped, in whole pages. */
size_t cache_memory_estimate(size_t size)
{
    size_t grain = size < 16u * PAGE ? GRAIN : PAGE;

    return ((size + 2 * OVERHEAD - 1) / grain + 2) * grain;
}

void cache_memory_add(struct cache_memory *memory, size_t size)
{
    memory->live_bytes += size;
    atomic_fetch_add_explicit(memory->charged, size, memory_order_relaxed);
}

void cache_memory_retire(struct cache_memory *memory, size_t size)
{
    memory->live_bytes -= size;
}

void cache_memory_release(struct cache_memory *memory, size_t size)
{
    atomic_fetch_sub_explicit(memory->charged, size, memory_order_relaxed);
}

bool cache_memory_has_room(const struct cache_memory *memory, size_t size)
{
    uint64_t charged = atomic_load_explicit(memory->charged, memory_order_relaxed);

    return charged <= memory->most_bytes && memory->most_bytes - charged >= size;
}
