#pragma once
/*
 * api_service - one service as JSON: its answers, policy, pools and endpoints
 *
 * Shapes in docs/api.md. Control thread.
 */
#include <stdbool.h>
#include <stddef.h>

#include "policy/steer.h"
#include "resolver/api/api_health.h"
#include "resolver/api/api_reply.h"

/*
 * One service by its index in the published model, its views within it, as
 * element of an open list or as the whole.
 */
void api_service_put(const struct api_view *view, size_t index, bool with_checks);

/*
 * Is there nothing to tell of the service and its views: they answer from their
 * first region, all endpoints are up, and nobody has said anything of them? In
 * doubt false.
 */
bool api_service_is_plain(const struct api_view *view, size_t index);

/* One pool of a service, as members of an open object. */
void api_service_put_pool_members(const struct api_view *view, const struct steer_service *service,
                                  uint32_t pool, bool with_checks);

/* 404: there is no service of this name, and which one may be meant. */
void api_service_put_unknown(const struct model *model, const char *name, struct api_reply *reply);
