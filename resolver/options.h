#pragma once
/*
 * options - what an answer says in the OPT that ends it, beside its records
 *
 * The client's subnet (RFC 7871) and extended errors (RFC 8914). On the
 * answering path, for the few that want it: no lock, no allocation.
 */
#include "resolver/query.h"
#include "resolver/response.h"

/*
 * What the client asked for by options of its own, in the OPT that ends the
 * message; `snapshot` is NULL when no service answered. Why it is answered
 * like this comes last, as far as there is room.
 */
void options_add(struct query_thread *t, const struct snapshot *snapshot, struct response *r);

/*
 * Say the thread's remark in the OPT that stands at the end, where it is one
 * and there is room. Returns the length of the whole.
 */
size_t options_remark(const struct query_thread *t, struct response *r);
