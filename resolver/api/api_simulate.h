#pragma once
/*
 * api_simulate - what services would answer if things were down
 *
 * POST /api/v1/simulate {"down": ["seoul", "tokyo/api"], "up": [...],
 * "every_region": true}: with every_region each region in turn. Control thread.
 */
#include "resolver/api/api_route.h"

struct snapshot;

#define API_SIMULATE_SERVICES_MAX 5000 /* shown of each scenario; the rest is counted */

void api_simulate_put(struct control *control, const struct snapshot *snapshot,
                      const struct api_request *request, struct api_reply *reply);
