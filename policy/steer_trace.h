#pragma once
/*
 * steer_trace - the steps of a choice as lines for people
 *
 * Called by the code that chooses, where somebody wants to know. Any thread.
 */
#include "base/text.h"
#include "policy/steer.h"
#include "policy/steer_ladder.h"

/* How a pool's region is, in a few words: "in", "drained", "gated by its own checks". */
const char *steer_trace_state(const struct steer_view *view);

/* The address of one endpoint, see steer_pick. */
void steer_trace_address(const struct steer_service *service, unsigned family, uint16_t pick,
                         char out[ADDR_TEXT_MAX]);

/* What is known of each pool. */
void steer_trace_pools(struct text *trace, const struct steer_service *service,
                       const struct steer_view *views);

/* What stands on a rung: the pools of the set. */
void steer_trace_rung(struct text *trace, const struct steer_service *service, unsigned rung,
                      const char *what, uint64_t pools);

/* A filter, what it passed, what it dropped and why. `why` is "" when there is nothing to say. */
void steer_trace_filter(struct text *trace, const struct steer_service *service,
                        const char *filter, uint64_t passed, uint64_t dropped, const char *why);

/* What was measured of each region, and within how much of the quickest they count as equal. */
void steer_trace_latency(struct text *trace, const struct steer_service *service, uint64_t pools,
                         uint32_t band_us);

/* Why the short TTL is served although the answer is well. */
void steer_trace_ttl(struct text *trace, const struct steer_service *service, uint64_t pools);

/* The endpoints of one pool that are not answered with though they stand on the rung. */
void steer_trace_endpoints(struct text *trace, const struct steer_service *service,
                           unsigned family, uint32_t pool, uint64_t bits, const char *why);

/* The order drawn. */
void steer_trace_picks(struct text *trace, const struct steer_service *service, unsigned family,
                       const char *filter, const struct steer_choice *choice);
