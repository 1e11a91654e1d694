#pragma once
/*
 * api_override - drain, force and release over the api
 *
 * GET /api/v1/overrides lists them; POST sets one: {"target": "seoul", "state":
 * "drain" | "up" | "down", "reason": "...", "for": "30m", "force": false};
 * DELETE /api/v1/overrides/TARGET[?type=drain|force] takes it back. The author
 * is who the socket says. Control thread.
 */
#include "resolver/api/api_route.h"

struct json_writer;
struct override;

void api_override_list(struct control *control, struct api_reply *reply);
void api_override_set(struct control *control, const struct api_request *request,
                      struct api_reply *reply);
void api_override_release(struct control *control, const struct api_request *request,
                          struct api_reply *reply);

/* The overrides in force as a list member of an open object, for status. */
void api_override_put(struct control *control, struct json_writer *json);

/* One of them as an object; `key` is NULL in a list. */
void api_override_put_one(const char *key, const struct override *override,
                          struct json_writer *json);
