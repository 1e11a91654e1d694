#pragma once
/*
 * zonescan - a master file cut into entries of tokens, with their places
 *
 * Knows quotes, escapes, parentheses and comments (RFC 1035, section 5.1) and
 * nothing of what the tokens mean. Bounded in all it takes from a file. One
 * thread at a time.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define ZONESCAN_LINE_MAX  65536               /* bytes in a line */
#define ZONESCAN_ENTRY_MAX ((size_t)512 << 10) /* bytes of tokens in an entry */
#define ZONESCAN_BYTES_MAX ((uint64_t)1 << 30) /* in a file and all it includes */

struct zonescan;

struct zonescan_token {
    const char *text; /* as written: with its quotes and escapes */
    unsigned line;    /* 1-based */
    unsigned col;     /* 1-based, in characters */
};

/* One line, or several where parentheses join them. Never empty. */
struct zonescan_entry {
    const struct zonescan_token *tokens;
    size_t count;
    bool indented; /* it began with white space: it has no owner of its own */
};

/*
 * Open a file. `budget`, which outlives the scan, counts down the bytes that
 * it and others may still read. -errno, explained, when it cannot be opened,
 * is no regular file or is too large.
 */
int zonescan_open(struct zonescan **out_scan, const char *path, uint64_t *budget,
                  struct error *err);

/* NULL is fine. */
void zonescan_close(struct zonescan *scan);

/*
 * The next entry, valid until the next call. Returns 1, 0 at the end of the
 * file, or a negative errno, explained with its place.
 */
int zonescan_next(struct zonescan *scan, struct zonescan_entry *out, struct error *err);
