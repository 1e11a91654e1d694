#pragma once
/*
 * name - domain names in wire form, and their text
 *
 * A `dname` is uncompressed, lower-case wire form ending in the root label
 * (RFC 1035, section 3.1; folded as RFC 4343 asks). A `name` is text.
 * Pure functions, any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"

#define NAME_MAX_BYTES  255  /* RFC 1035, section 2.3.4 */
#define NAME_MAX_LABEL  63   /* RFC 1035, section 2.3.4 */
#define NAME_MAX_LABELS 127  /* one-byte labels and the root in 255 bytes */
#define NAME_TEXT_MAX   1024 /* every byte as \DDD, with dots and the end */

/*
 * Read presentation text (RFC 1035, section 5.1: "\." and "\DDD" escapes),
 * absolute with or without the last dot, into `out` as a dname. Returns its
 * length in bytes, or -EINVAL, explained.
 */
int name_parse(const char *text, uint8_t out[NAME_MAX_BYTES], struct error *err);

/*
 * The same where text without the last dot is relative to `origin`, and "@" is
 * the origin itself (RFC 1035, section 5.1). `out` may not be `origin`.
 */
int name_parse_within(const char *text, const uint8_t *origin, uint8_t out[NAME_MAX_BYTES],
                      struct error *err);

/*
 * Write `dname` as text without the last dot ("." for the root), escapes where
 * a byte needs them; always terminated. Returns the length.
 */
size_t name_format(const uint8_t *dname, char *out, size_t cap);

/* Length in bytes, the root label included. `dname` must be well formed. */
size_t name_length(const uint8_t *dname);

bool name_equal(const uint8_t *a, const uint8_t *b);

/* Is `dname` equal to `tree` or below it? */
bool name_is_within(const uint8_t *dname, const uint8_t *tree);

/* ---- on the answering path: inline ---- */

static inline uint8_t name_fold_byte(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* Set bit 0x20 in every byte of `word` that is 'A' to 'Z'. */
static inline uint64_t name_fold_word(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t low = word & (ones * 0x7f);
    uint64_t from_a = low + ones * (0x80 - 'A');
    uint64_t above_z = low + ones * (0x7f - 'Z');
    uint64_t is_upper = (from_a ^ above_z) & ~word & (ones * 0x80);

    return word | is_upper >> 2;
}

/* Fold ASCII upper case of a wire-form name of `length` bytes into `out`. */
static inline void name_fold(const uint8_t *wire, size_t length, uint8_t *out)
{
    uint64_t word;

    /* length bytes are below 'A' (at most 63), so the whole name folds as one */
    if (length < sizeof(word)) {
        for (size_t i = 0; i < length; i++) {
            out[i] = name_fold_byte(wire[i]);
        }
        return;
    }
    for (size_t i = 0; i + sizeof(word) < length; i += sizeof(word)) {
        memcpy(&word, wire + i, sizeof(word));
        word = name_fold_word(word);
        memcpy(out + i, &word, sizeof(word));
    }
    /* the last word may overlap the one before: folding twice changes nothing */
    memcpy(&word, wire + length - sizeof(word), sizeof(word));
    word = name_fold_word(word);
    memcpy(out + length - sizeof(word), &word, sizeof(word));
}

/* Number of labels without the root. */
static inline unsigned name_labels(const uint8_t *dname)
{
    unsigned count = 0;

    for (; *dname != 0; dname += *dname + 1) {
        count++;
    }
    return count;
}

/* The name without its first label; the root's parent is the root. */
static inline const uint8_t *name_parent(const uint8_t *dname)
{
    return *dname == 0 ? dname : dname + *dname + 1;
}
