#pragma once
/*
 * rrset - records of one name and type as they were loaded
 *
 * Lives while a namespace is built, in its build arena. One thread.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

struct zone;

struct rrset_record {
    struct rrset_record *next;
    uint16_t length;
    uint8_t rdata[]; /* uncompressed, names of known types folded */
};

struct rrset {
    struct rrset *next;      /* of the same name, in the order loaded */
    const struct zone *zone; /* whose file it stands in */
    struct rrset_record *records;
    struct rrset_record **records_end;
    uint16_t type;
    uint16_t count;
    uint32_t ttl_s;       /* the lowest of its records': RFC 2181, section 5.2 */
    uint32_t least_bytes; /* in a message, were every name one byte */
    const char *path;     /* of its first record; NULL: made up */
    unsigned line;
    unsigned col;
};

enum rrset_added {
    RRSET_ADDED,
    RRSET_DUPLICATE, /* it was there already; only the TTL may have fallen */
    RRSET_FULL,      /* more than a message holds */
};

/* The set of this type from the file of `zone` (NULL: of any), or NULL. */
struct rrset *rrset_find(struct rrset *sets, uint16_t type, const struct zone *zone);

/* A new empty set at the end of the list. */
struct rrset *rrset_append(struct arena *arena, struct rrset **sets, uint16_t type,
                           const struct zone *zone, uint32_t ttl_s);

/* Add a record, rdata copied and folded. */
enum rrset_added rrset_add(struct arena *arena, struct rrset *set, const uint8_t *rdata,
                           uint16_t length, uint32_t ttl_s);
