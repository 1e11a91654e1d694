#pragma once
/*
 * hash - keyed hashes: SipHash-1-3 for keys of strangers, a cheaper one for our own
 *
 * Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", with one
 * compression and three finalization rounds. Any thread.
 */
#include <stddef.h>
#include <stdint.h>

struct hash_key {
    uint64_t k0;
    uint64_t k1;
};

/* A key from the system's random source; ends the program if there is none. */
struct hash_key hash_key_random(void);

/* SipHash-1-3: 64 bits for `size` bytes at `bytes`, for tables that strangers fill. */
uint64_t hash_bytes(const struct hash_key *key, const void *bytes, size_t size);

/*
 * A cheaper keyed hash for tables whose keys the operator chose, such as our
 * own names: a stranger can ask about them but not add to them. Words are
 * folded through a 64 by 64 bit product.
 */
uint64_t hash_own(const struct hash_key *key, const void *bytes, size_t size);

/* Fill `out` with `size` random bytes; ends the program if there are none. */
void hash_random(void *out, size_t size);
