#include "resolver/handover.h"

#include <stdlib.h>

bool handover_init(struct handover_ring *ring)
{
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
    ring->slots = calloc(HANDOVER_SLOTS, sizeof(*ring->slots));
    return ring->slots != NULL;
}

void handover_fini(struct handover_ring *ring)
{
    free(ring->slots);
    ring->slots = NULL;
}

struct handover *handover_next(struct handover_ring *ring)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);

    return tail - head == HANDOVER_SLOTS ? NULL : &ring->slots[tail % HANDOVER_SLOTS];
}

void handover_put(struct handover_ring *ring)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
}

unsigned handover_waiting(const struct handover_ring *ring)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

    return tail - atomic_load_explicit(&ring->head, memory_order_relaxed);
}

struct handover *handover_peek(struct handover_ring *ring)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);

    return head == tail ? NULL : &ring->slots[head % HANDOVER_SLOTS];
}

void handover_done(struct handover_ring *ring)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
}
