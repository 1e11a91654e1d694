#pragma once
/*
 * hash - keyed hashes: SipHash-1-3 for keys of strangers, a cheaper one for our own
 *
 * Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", with one
 * compression and three finalization rounds. Any thread.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct hash_key {
    uint64_t k0;
    uint64_t k1;
};

/* A key from the system's random source; ends the program if there is none. */
struct hash_key hash_key_random(void);

/* SipHash-1-3: 64 bits for `size` bytes at `bytes`, for tables that strangers fill. */
uint64_t hash_bytes(const struct hash_key *key, const void *bytes, size_t size);

/* Fill `out` with `size` random bytes; ends the program if there are none. */
void hash_random(void *out, size_t size);

/* ---- on the answering path: inline ---- */

/* Eight bytes as a word of this machine; keys do not leave the process. */
static inline uint64_t hash_load64(const unsigned char *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return word; /* the key is of this process, so byte order does not matter */
}

/* The last 0 to 7 bytes of the input, without a loop over single bytes. */
static inline uint64_t hash_load_tail(const unsigned char *p, size_t left)
{
    uint64_t word = 0;

    switch (left) {
    case 7:
        word |= (uint64_t)p[6] << 48;
        /* fall through */
    case 6:
        word |= (uint64_t)p[5] << 40;
        /* fall through */
    case 5:
        word |= (uint64_t)p[4] << 32;
        /* fall through */
    case 4:
        word |= (uint64_t)p[3] << 24;
        /* fall through */
    case 3:
        word |= (uint64_t)p[2] << 16;
        /* fall through */
    case 2:
        word |= (uint64_t)p[1] << 8;
        /* fall through */
    case 1:
        word |= (uint64_t)p[0];
        break;
    default:
        break;
    }
    return word;
}

static inline uint64_t hash_fold(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/*
 * A cheaper keyed hash for tables whose keys the operator chose, such as our
 * own names: a stranger can ask about them but not add to them. Words are
 * folded through a 64 by 64 bit product.
 */
static inline uint64_t hash_own(const struct hash_key *key, const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    /* odd bits of the golden ratio and of pi: a poor key still multiplies well */
    uint64_t multiplier = (key->k1 ^ UINT64_C(0x9e3779b97f4a7c15)) | 1;
    uint64_t finisher = (key->k0 ^ UINT64_C(0x243f6a8885a308d3)) | 1;
    uint64_t hash = key->k0 ^ size;

    if (size < 8) {
        return hash_fold(hash_fold(hash ^ hash_load_tail(p, size), multiplier), finisher);
    }
    const unsigned char *last = p + size - 8;
    for (; p < last; p += 8) {
        hash = hash_fold(hash ^ hash_load64(p), multiplier);
    }
    /* the last word may overlap the one before */
    hash = hash_fold(hash ^ hash_load64(last), multiplier);
    return hash_fold(hash, finisher);
}
