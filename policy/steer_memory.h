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

/*
 * The endpoints of pool `pool` that are remembered for `family`, or 0; and what
 * is left of them, without what an operator has forced down.
 */
uint64_t steer_memory_bits(const struct steer_service *service, unsigned family, uint32_t pool);
uint64_t steer_recall(const struct steer_service *service, unsigned family,
                      const struct steer_view *views, uint32_t pool);

/*
 * Remember these endpoints, by pool. Of several pools together all is kept as
 * it is as long as the family has no more than 64 endpoints in all of them;
 * beyond that only which pools they were. Control thread.
 */
void steer_memory_put(const struct steer_service *service, unsigned family,
                      const uint64_t bits[STEER_POOLS_MAX]);
