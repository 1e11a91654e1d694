#pragma once
/*
 * zonefile - master files (RFC 1035, section 5) into records, with places
 *
 * Splits the file into entries itself ($ORIGIN, $TTL, $INCLUDE, $GENERATE,
 * parentheses, comments) and gives each to ldns for its rdata, so that every
 * error has file:line:col. Control thread.
 */
#include <stdint.h>

#include "base/error.h"

struct zonefile_record {
    const uint8_t *owner; /* dname */
    uint16_t type;
    uint16_t class;
    uint32_t ttl_s;
    const uint8_t *rdata; /* wire form, names uncompressed */
    uint16_t rdata_length;
    const char *path; /* where it stands */
    unsigned line;
    unsigned col;
};

/* Takes a record; everything it points to is gone afterwards. Nonzero ends the reading. */
typedef int zonefile_sink(void *user, const struct zonefile_record *record, struct error *err);

/*
 * Read `path` with `origin` (a dname) and hand every record to `sink`. Returns
 * 0, the sink's nonzero result, -EINVAL for a broken entry, or the errno of
 * reading a file, each explained in `err`.
 *
 * A TTL that is not given is $TTL's, else the last one given (RFC 1035,
 * section 5.1), else an error. $INCLUDE takes a path relative to the file it
 * stands in; $ORIGIN, $TTL and the last owner of an included file end with it.
 */
int zonefile_read(const char *path, const uint8_t *origin, zonefile_sink *sink, void *user,
                  struct error *err);
