#pragma once
/*
 * steer_filter - from what stands on a rung to the answer for one client
 *
 * In this order, whatever the order they are written in: the order of regions
 * (as written, by the client's place, by latency), who of them takes this
 * answer (all together, by capacity, ramp, trickle, sharing), and the order of
 * endpoints (by weight, the same for the same client, at random). Pure
 * arithmetic on the health words, deterministic for a client and its turn;
 * any thread that holds the snapshot.
 */
#include "policy/steer.h"
#include "policy/steer_ladder.h"

/*
 * Fill `choice` from a ladder whose rung is not 0; `ladder` is narrowed on the
 * way. `client` and `trace` may be NULL.
 */
void steer_filter(const struct steer_service *service, unsigned family,
                  struct steer_client *client, struct steer_ladder *ladder,
                  struct steer_choice *choice, struct text *trace);

/* How many pools are preferred to `pool` by the order of the client's place. */
uint32_t steer_filter_rank(const struct steer_service *service, const struct steer_client *client,
                           uint32_t pool);
