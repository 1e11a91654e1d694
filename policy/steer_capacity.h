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

/* What each of them carries, as lines for people. */
void steer_capacity_trace(const struct steer_burden *burden, struct text *trace);
