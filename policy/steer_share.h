#pragma once
/*
 * steer_share - what draws need to know of weights, worked out before anybody asks
 *
 * For whoever builds a service: the lots are given, the rest follows from
 * them. Pure arithmetic, any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/steer.h"

/*
 * By how many bits to shift the weights of a service, to the left or (below 0)
 * to the right, so that all together, `sum` of `count`, are below 2^31 and not
 * far from it: draws are made with 32 bits, and scores are the finer.
 */
int steer_share_shift(uint64_t sum, size_t count);

/* The lot of an endpoint: its weight, shifted, above its pick. One that is idle counts as 1. */
uint64_t steer_share_lot(uint32_t weight, int shift, unsigned pool, unsigned endpoint);

/*
 * Fill what follows from the lots of the shares, of as many endpoints as the
 * service's pools count: sums, and in `policy` what goes with them.
 */
void steer_share_settle(struct steer_policy *policy, struct steer_share *shares,
                        const struct steer_service *service);

/* Will answers of the service be drawn from so many endpoints that a wheel pays? */
bool steer_share_wants_wheel(const struct steer_policy *policy, const struct steer_service *service,
                             unsigned family);

/* How answers of the service may be put; `policy` is to become its own. */
enum steer_quick steer_share_quick(const struct steer_policy *policy,
                                   const struct steer_service *service);
