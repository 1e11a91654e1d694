#pragma once
/*
 * response - an answer under construction
 *
 * Shared by those who write its records and options: query, cached, options.
 * It belongs to one thread for the time of one query.
 */
#include <stddef.h>
#include <stdint.h>

#include "zones/wire.h"

/* Behind the question of the client's message. */
struct response {
    uint8_t *message;
    size_t at;    /* where the next record goes */
    size_t limit; /* of the whole message, OPT's bytes already off */
    unsigned answers, authorities, additionals;
    unsigned rcode;
    uint16_t flags; /* AA, AD, TC */
};

/* Nothing but the question, and TC: ask again over TCP. RFC 2181, section 9. */
static inline void response_cut_short(struct response *r, size_t question_end)
{
    r->at = question_end;
    r->answers = 0;
    r->authorities = 0;
    r->additionals = 0;
    r->flags |= WIRE_TC;
}
