#pragma once
/*
 * api_history - what happened, from the journal
 *
 * GET /api/v1/history[?since=1h][&target=TEXT]: `since` is a duration back from
 * now or a time as the journal writes it. Control thread.
 */
#include "resolver/api/api_route.h"

struct snapshot;

#define API_HISTORY_MAX 5000 /* entries, the newest */

void api_history_put(struct control *control, const struct snapshot *snapshot,
                     const struct api_request *request, struct api_reply *reply);
