#include "resolver/cache/cache_queue.h"

enum {
    PROBATION,
    PROVEN
};

#define PROBATION_SHARE 32u /* one part in so many of all bytes */

static struct cache_list *list_of(struct cache_queue *queue, unsigned which)
{
    return which == PROBATION ? &queue->probation : &queue->proven;
}

static void push(struct cache_list *list, struct cache_entry *entry)
{
    entry->newer = NULL;
    entry->older = list->newest;
    if (list->newest != NULL) {
        list->newest->newer = entry;
    } else {
        list->oldest = entry;
    }
    list->newest = entry;
    list->bytes += entry->size_bytes;
}

static void unlink_entry(struct cache_list *list, struct cache_entry *entry)
{
    *(entry->newer != NULL ? &entry->newer->older : &list->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &list->oldest) = entry->newer;
    list->bytes -= entry->size_bytes;
}

void cache_queue_init(struct cache_queue *queue)
{
    *queue = (struct cache_queue){ .entries = 0 };
    cache_ghost_init(&queue->ghost);
}

void cache_queue_fini(struct cache_queue *queue)
{
    cache_ghost_fini(&queue->ghost);
}

void cache_queue_clear(struct cache_queue *queue)
{
    cache_queue_fini(queue);
    cache_queue_init(queue);
}

size_t cache_queue_need(const struct cache_queue *queue)
{
    return cache_ghost_need(&queue->ghost, queue->entries + 1);
}

void cache_queue_grow(struct cache_queue *queue)
{
    cache_ghost_grow(&queue->ghost, queue->entries + 1);
}

size_t cache_queue_memory(const struct cache_queue *queue)
{
    return cache_ghost_memory(&queue->ghost);
}

void cache_queue_add(struct cache_queue *queue, struct cache_entry *entry)
{
    entry->queue = cache_ghost_recall(&queue->ghost, entry->hash) ? PROVEN : PROBATION;
    push(list_of(queue, entry->queue), entry);
    queue->entries++;
}

void cache_queue_replace(struct cache_queue *queue, struct cache_entry *old,
                         struct cache_entry *fresh)
{
    struct cache_list *list = list_of(queue, old->queue);

    fresh->queue = old->queue;
    fresh->newer = old->newer;
    fresh->older = old->older;
    *(old->newer != NULL ? &old->newer->older : &list->newest) = fresh;
    *(old->older != NULL ? &old->older->newer : &list->oldest) = fresh;
    list->bytes += fresh->size_bytes;
    list->bytes -= old->size_bytes;
    uint8_t visits = atomic_load_explicit(&old->visits, memory_order_relaxed);
    atomic_store_explicit(&fresh->visits, visits, memory_order_relaxed);
}

void cache_queue_remove(struct cache_queue *queue, struct cache_entry *entry)
{
    unlink_entry(list_of(queue, entry->queue), entry);
    queue->entries--;
}

static bool is_probations_turn(const struct cache_queue *queue)
{
    uint64_t all = queue->probation.bytes + queue->proven.bytes;

    return queue->proven.oldest == NULL || queue->probation.bytes > all / PROBATION_SHARE;
}

/*
 * Each turn of one that stays costs it a visit, so the search ends: at the
 * latest when no entry has any left. Readers may add some meanwhile, far
 * slower than they are taken.
 */
struct cache_entry *cache_queue_evict(struct cache_queue *queue)
{
    for (;;) {
        bool from_probation = is_probations_turn(queue);
        struct cache_list *list = from_probation ? &queue->probation : &queue->proven;
        struct cache_entry *entry = list->oldest;
        if (entry == NULL) {
            return NULL;
        }
        unlink_entry(list, entry);
        uint8_t visits = atomic_load_explicit(&entry->visits, memory_order_relaxed);
        if (visits == 0) {
            queue->entries--;
            if (from_probation) {
                cache_ghost_remember(&queue->ghost, entry->hash);
            }
            return entry;
        }
        visits = from_probation ? 0 : (uint8_t)(visits - 1);
        atomic_store_explicit(&entry->visits, visits, memory_order_relaxed);
        entry->queue = PROVEN;
        push(&queue->proven, entry);
    }
}
