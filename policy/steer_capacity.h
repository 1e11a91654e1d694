#pragma once
/*
 * steer_capacity - who carries what: demand poured into the regions like water
 *
 * Clients stay in their own region as far as it can carry them; what does not
 * fit, and the clients of regions that are away, go to the spare capacity of
 * the others in proportion to it, so that none is above its capacity while
 * another has room. When all are full, all carry the same share of theirs.
 * Pure arithmetic on the health words, any thread.
 */
#include "policy/steer.h"

/* What is to be shared out, and for whom. Only for a service with shares. */
struct steer_burden {
    const struct steer_service *service;
    uint64_t pools; /* those that may carry; not empty */
    uint8_t home;   /* the pool of the client's own region, or STEER_NO_POOL */
};

/* The pool that takes this client, by 32 random bits; STEER_NO_POOL: no capacity is given. */
uint32_t steer_capacity_draw(const struct steer_burden *burden, uint32_t turn);

/*
 * The same where no load is given: of `upto`, which is of each pool what all up
 * to it can carry, `sum` at the last, those that may not carry adding nothing.
 */
static inline uint32_t steer_capacity_at(const uint64_t *upto, uint64_t sum, uint32_t turn)
{
    const uint64_t *at = upto;

    if (sum == 0) {
        return STEER_NO_POOL;
    }
    unsigned shift =
        __builtin_expect(sum >> 32 == 0, true) ? 0 : 32u - (unsigned)__builtin_clzll(sum);
    uint64_t number = turn * (sum >> shift) >> 32 << shift;
    while (*at <= number) {
        at++;
    }
    return (uint32_t)(at - upto);
}

/* What each of them carries, as lines for people. */
void steer_capacity_trace(const struct steer_burden *burden, struct text *trace);
