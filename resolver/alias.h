#pragma once
/*
 * alias - our CNAMEs in front of what others say of the name they lead to
 *
 * A chain of aliases in our data may end at a name that is not ours. Who may
 * recurse gets the whole: RFC 1034, section 4.3.2, step 3a. Pure functions on
 * buffers; the service loop uses them.
 */
#include <stddef.h>
#include <stdint.h>

#include "resolver/forward/forwarder.h"
#include "resolver/handover.h"
#include "zones/answer.h"

/*
 * Write to `out` the message that relay_put takes for `question`: `chain`'s
 * records, then those of `reply`, whose message is an answer to
 * `chain->outside`; AA, for the first owner is ours (RFC 1035, section 4.1.1),
 * and no AD, for the chain is not signed. Returns its length, 0 when it does
 * not fit into `cap` bytes.
 */
size_t alias_join(const struct handover_question *question, const struct answer *chain,
                  const struct forward_reply *reply, uint8_t *out, size_t cap);
