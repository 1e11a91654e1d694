#pragma once
/*
 * api_why - the answer to a question now, and each step that led to it
 *
 * Control thread.
 */
#include "resolver/api/api_reply.h"

struct control;

/*
 * Explain `name` for `type` (A when NULL) as `client` would see it (one on
 * loopback when NULL). Arguments that cannot be read become errors in `reply`.
 */
void api_why_put(struct control *control, const char *name, const char *type, const char *client,
                 struct api_reply *reply);
