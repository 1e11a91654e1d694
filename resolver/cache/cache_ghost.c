#include "resolver/cache/cache_ghost.h"

#include <stdlib.h>
#include <string.h>

#include "resolver/cache/cache_memory.h"

#define SET       8u
#define SETS_FEW  32u /* to begin with */
#define SETS_MOST (1u << 24)

/* The lower bits choose the set, so that a set can be dealt into two. */
static uint32_t mark_of(uint64_t hash)
{
    uint32_t mark = (uint32_t)(hash >> 32);

    return mark == 0 ? 1 : mark;
}

static uint32_t *set_of(const struct cache_ghost *ghost, uint32_t mark)
{
    return ghost->marks + (mark & (ghost->set_count - 1)) * SET;
}

void cache_ghost_init(struct cache_ghost *ghost)
{
    *ghost = (struct cache_ghost){ .set_count = 0 };
}

void cache_ghost_fini(struct cache_ghost *ghost)
{
    free(ghost->marks);
    cache_ghost_init(ghost);
}

static size_t sets_for(const struct cache_ghost *ghost, uint64_t names)
{
    size_t sets = ghost->set_count == 0 ? SETS_FEW : ghost->set_count;

    while (sets < SETS_MOST && (uint64_t)sets * SET < names) {
        sets *= 2;
    }
    return sets;
}

size_t cache_ghost_need(const struct cache_ghost *ghost, uint64_t names)
{
    size_t sets = sets_for(ghost, names);

    return sets == ghost->set_count ? 0 : cache_memory_estimate(sets * SET * sizeof(*ghost->marks));
}

static void put(struct cache_ghost *ghost, uint32_t mark)
{
    uint32_t *set = set_of(ghost, mark);

    memmove(set + 1, set, (SET - 1) * sizeof(*set));
    set[0] = mark;
}

void cache_ghost_grow(struct cache_ghost *ghost, uint64_t names)
{
    struct cache_ghost larger = { .set_count = sets_for(ghost, names) };

    larger.marks = calloc(larger.set_count, SET * sizeof(*larger.marks));
    if (larger.marks == NULL) {
        return;
    }
    /* the oldest first, so that the order within a set stays */
    for (size_t i = ghost->set_count * SET; i-- > 0;) {
        if (ghost->marks[i] != 0) {
            put(&larger, ghost->marks[i]);
        }
    }
    cache_ghost_fini(ghost);
    *ghost = larger;
}

size_t cache_ghost_memory(const struct cache_ghost *ghost)
{
    return ghost->marks == NULL ? 0 : cache_memory_size(ghost->marks);
}

void cache_ghost_remember(struct cache_ghost *ghost, uint64_t hash)
{
    if (ghost->set_count > 0) {
        put(ghost, mark_of(hash));
    }
}

bool cache_ghost_recall(struct cache_ghost *ghost, uint64_t hash)
{
    uint32_t mark = mark_of(hash);

    if (ghost->set_count == 0) {
        return false;
    }
    uint32_t *set = set_of(ghost, mark);
    for (unsigned i = 0; i < SET; i++) {
        if (set[i] == mark) {
            memmove(set + i, set + i + 1, (SET - 1 - i) * sizeof(*set));
            set[SET - 1] = 0;
            return true;
        }
    }
    return false;
}
