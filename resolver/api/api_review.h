#pragma once
/*
 * api_review - what a configuration would change, over the api
 *
 * POST /api/v1/review?name=FILE with the configuration's text as the body; the
 * file's name is for places in errors and for relative paths. Control thread.
 */
#include "policy/review.h"
#include "resolver/api/api_route.h"

struct snapshot;

void api_review_put(struct control *control, const struct snapshot *snapshot,
                    const struct api_request *request, struct api_reply *reply);

/* A review as one JSON object and a newline; for the command that has no server to ask, too. */
void api_review_put_json(const struct review *review, struct text *out);
