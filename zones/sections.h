#pragma once
/*
 * sections - the records behind a question, written with name compression
 *
 * Knows where every name of the message stands, the question's first, and
 * points to it where that is allowed (RFC 1035, section 4.1.4; RFC 3597,
 * section 4). For compiling answers; one thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zones/wire.h"

struct rrset;

#define SECTIONS_NAMES_MAX 256 /* to point to; more are only written out */

struct sections_name {
    const uint8_t *dname; /* the caller's */
    uint16_t length;
    uint16_t offset; /* in the message */
};

/* What was written can be undone up to a mark. */
struct sections_mark {
    size_t length;
    size_t name_count;
};

struct sections {
    uint8_t wire[WIRE_MESSAGE_MAX];
    size_t length;
    size_t base;   /* offset of wire[0] in the message */
    size_t room;   /* bytes that fit into a message with an OPT record */
    size_t target; /* offset of the last rdata's name, or of what it points to */
    bool full;     /* sticky until undone */
    size_t name_count;
    struct sections_name names[SECTIONS_NAMES_MAX];
};

/* Begin behind a question for `dname`, which outlives the writing. */
void sections_begin(struct sections *sections, const uint8_t *dname);

/*
 * Write all records of `set` with `owner` and `ttl_s`. False, and `full`, when
 * they do not fit.
 */
bool sections_put(struct sections *sections, const uint8_t *owner, const struct rrset *set,
                  uint32_t ttl_s);

struct sections_mark sections_mark(const struct sections *sections);
void sections_undo(struct sections *sections, struct sections_mark mark);
