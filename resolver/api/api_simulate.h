#pragma once
/*
 * api_simulate - what services would answer if things were down
 *
 * POST /api/v1/simulate {"down": ["seoul", "tokyo/api"], "up": [...],
 * "every_region": true}: with every_region each region in turn. Many services
 * and regions take long, so it is done in pieces; each service is judged by the
 * words of the moment in which its turn comes. Control thread.
 */
#include "resolver/api/api_route.h"

struct api_simulation;

#define API_SIMULATE_SERVICES_MAX 5000 /* shown of each scenario; the rest is counted */

/* NULL: what is asked cannot be, and `reply` says why. A snapshot is in use. */
struct api_simulation *api_simulate_begin(struct control *control,
                                          const struct api_request *request,
                                          struct api_reply *reply);

/* A piece of it, far less than a millisecond; false: its reply can be taken. */
bool api_simulate_some(struct api_simulation *simulation);
void api_simulate_take(struct api_simulation *simulation, struct api_reply *reply);
void api_simulate_free(struct api_simulation *simulation);
