#pragma once
/*
 * api_push - outside systems report how things are
 *
 * POST /api/v1/checks/TARGET/push {"state": "up" | "degraded" | "down", "ttl":
 * "10s", "message": "..."}. TARGET is a push check's name, or NAME/ADDRESS for
 * one endpoint's; a check that a service writes in place goes by the service's
 * name. Without a ttl the check's own is meant. Control thread.
 */
#include "resolver/api/api_route.h"

struct snapshot;

/* The page of everything under /api/v1/checks/. */
void api_push_put(struct control *control, const struct snapshot *snapshot,
                  const struct api_request *request, struct api_reply *reply);
