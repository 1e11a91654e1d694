#pragma once
/*
 * cached - answers with what others answered before
 *
 * On the answering path: no lock, no allocation. The thread that answers.
 */
#include "resolver/query.h"
#include "resolver/response.h"

/*
 * What others answered before: as long as it is fresh, and beyond while it is
 * known that nobody can be asked. Only with a cache. QUERY_SOURCES: nothing to
 * be said from here. What is worth asking for anew before it expires is left in
 * the thread's `refresh`, why it is not as one would wish in its `remark`.
 */
enum query_source cached_put(struct query_thread *t, struct response *r);

/* Does the client deserve a word on why it gets this? */
static inline bool cached_is_remarkable(enum query_source source, const struct response *r)
{
    return source == QUERY_STALE || (source == QUERY_CACHE && r->rcode == WIRE_SERVFAIL);
}
