#pragma once
/*
 * api_why - the answer to a question now, and each step that led to it
 *
 * Control thread.
 */
#include "resolver/api/api_route.h"

/*
 * Explain `name` for `type` (A when NULL) as `client` would see it (one on
 * loopback when NULL), or those a resolver asks for with the prefix `ecs`
 * (RFC 7871), asked at `listener`, which may be NULL where it makes no
 * difference to which view the client is in. Arguments that cannot be read
 * become errors in `reply`.
 */
void api_why_put(struct control *control, const struct api_request *request,
                 struct api_reply *reply);
