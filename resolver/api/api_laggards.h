#pragma once
/*
 * api_laggards - clients that still go by an older answer
 *
 * Control thread.
 */
#include "resolver/api/api_route.h"
#include "resolver/snapshot.h"

#define API_LAGGARDS_MAX 1000u /* listed */

/*
 * GET /api/v1/laggards?name=NAME: those whose last answer from a service is not
 * what they would be answered now, with what is left of its TTL. Those whose
 * TTL has run out come first: they hold on to the old answer.
 */
void api_laggards_put(struct control *control, const struct snapshot *snapshot,
                      const struct api_request *request, struct api_reply *reply);
