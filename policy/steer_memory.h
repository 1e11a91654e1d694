#pragma once
/*
 * steer_memory - what services remember, and what the operator's hand says of them
 *
 * Written by the control thread while others answer; see steer.h.
 */
#include "policy/steer.h"
#include "policy/steer_ladder.h"

static inline uint64_t steer_all_bits(unsigned endpoints)
{
    return endpoints == 0 ? 0 : UINT64_MAX >> (64 - endpoints);
}

/* Endpoints that an operator has forced down. */
static inline uint64_t steer_barred(const struct steer_pool *pool, unsigned family)
{
    return atomic_load_explicit(&pool->group->barred[family], memory_order_relaxed);
}

/* What is left of the endpoints remembered for `family`: `*out_pool` and their bits, or 0. */
uint64_t steer_recall(const struct steer_service *service, unsigned family,
                      const struct steer_view *views, uint32_t *out_pool);
