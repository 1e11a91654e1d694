#pragma once
/*
 * relay - turns an upstream's answer into the answer to a client's question
 *
 * Pure functions on buffers; the service loop uses them.
 */
#include <stddef.h>
#include <stdint.h>

#include "resolver/forward/forwarder.h"
#include "resolver/handover.h"
#include "resolver/query.h"

/* Keep of a parsed query (and the message it came in) what its answer will need. */
void relay_keep(struct handover_question *out, const struct wire_query *query,
                const uint8_t *message, bool stream);

/* The dname of the kept question. Returns its length. */
size_t relay_dname(const struct handover_question *question, uint8_t out[NAME_MAX_BYTES]);

/*
 * Write the answer for the client into `out`, which holds `cap` bytes (at
 * least 512). Returns its length; `*out_rcode` is what was answered.
 */
size_t relay_put(const struct handover_question *question, const struct forward_reply *reply,
                 uint8_t *out, size_t cap, unsigned *out_rcode);

/*
 * SERVFAIL (or another rcode) without asking anyone, with an extended error
 * that says `text`, NULL: without. Returns the length.
 */
size_t relay_put_failure(const struct handover_question *question, unsigned rcode,
                         const char *text, uint8_t *out, size_t cap);
