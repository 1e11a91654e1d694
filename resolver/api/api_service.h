#pragma once
/*
 * api_service - one service as JSON: its answers, policy, pools and endpoints
 *
 * Shapes in docs/api.md. Control thread.
 */
#include "policy/steer.h"
#include "resolver/api/api_health.h"

/*
 * One service by its index in the published model, its views within it, as
 * element of an open list or as the whole.
 */
void api_service_put(const struct api_view *view, size_t index, bool with_checks);

/* One pool of a service, as members of an open object. */
void api_service_put_pool_members(const struct api_view *view,
                                  const struct steer_service *service, uint32_t pool,
                                  bool with_checks);

/* The steps by which its answers are chosen, in words: "nearest, capacity, limit 2". */
void api_service_describe_filters(const struct model_service *service, struct text *out);
