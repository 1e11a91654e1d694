#pragma once
/*
 * answer - the sections behind a question, compiled to wire form
 *
 * Owner names are compressed against the question at offset 12, so an answer
 * is the client's own header and question, a copy of these bytes, and OPT.
 * Immutable once compiled; any thread may copy from it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct node;

struct answer {
    uint16_t type;    /* asked; 0 where every type is meant */
    uint16_t answers; /* records in the answer section */
    uint16_t authorities;
    uint16_t additionals;
    uint16_t length;      /* of `wire` */
    uint16_t core_length; /* answer and authority only; what is sent when space is short */
    uint16_t tail_offset; /* message offset of `tail`'s name when this node was asked */
    uint8_t rcode;        /* of the whole: a chain may end in NXDOMAIN */
    const uint8_t *wire;
    /*
     * Where a CNAME chain leaves our data for a service (a node with a
     * service), whose answer is put behind this one, owner `tail_offset`; NULL
     * otherwise. For other types than A and AAAA that is mostly NODATA.
     */
    const struct node *tail;
    /*
     * Where a CNAME chain leaves our data altogether: the dname (in the
     * answer's memory), else NULL.
     */
    const uint8_t *outside;
};
