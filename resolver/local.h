#pragma once
/*
 * local - names that are answered here because asking anyone would be wrong
 *
 * localhost and its addresses (RFC 6761, section 6.3), zones that are empty by
 * definition (RFC 6303, but for private addresses, whose names the company's
 * own resolvers may know: see special.h), names that exist nowhere (invalid,
 * test, local, onion, alt), the canary that keeps browsers at this resolver,
 * and names of one label. A forward rule for such a name goes before all this.
 * Pure functions, any thread.
 */
#include <stddef.h>
#include <stdint.h>

#include "resolver/forward/forwarder.h"

#define LOCAL_MESSAGE_MAX 1024

/*
 * The answer to `question`, whose name in lower case is `dname`, as a message
 * as forward_reply has it; `rule` is the tree that the rule for it is written
 * for. `out` holds LOCAL_MESSAGE_MAX bytes. Returns its length, 0 when the name
 * is to be asked for elsewhere.
 */
size_t local_answer(const struct forward_question *question, const uint8_t *dname,
                    const uint8_t *rule, uint8_t *out);
