#pragma once
/*
 * reason - why a service was answered like this, in one Extended DNS Error
 *
 * For a client that asks for it by sending that option itself (RFC 8914). On
 * the answering path, so without lock or allocation. It tells the client as it
 * was seen, rung, regions and TTL, who answers when this region fails, and of
 * what is not well since when, by which check, on what evidence, and when it
 * may be back.
 */
#include "resolver/query.h"

#define REASON_TEXT_MAX   600u /* bytes */
#define REASON_TEXT_LEAST 32u  /* with less room nothing is said */

/*
 * Write why `thread`'s present query for a service was answered as it was,
 * at most `cap` bytes and REASON_TEXT_MAX; "..." ends what is cut. Returns its
 * length; 0 when there is nothing to say.
 */
size_t reason_put(struct query_thread *thread, const struct snapshot *snapshot, char *out,
                  size_t cap);
