#pragma once
/*
 * steer_draw - the order of endpoints: by weight, at random, the same for the same client
 *
 * Pure arithmetic, any thread. Hashes and draws are the same on every node.
 */
#include "base/hash.h"
#include "policy/steer.h"

#define STEER_DRAW_MULTIPLIER UINT64_C(0xd1342543de82ef95) /* odd, of a good spectrum */

/* What is chosen from: the endpoints of some pools. */
struct steer_urn {
    const struct steer_service *service;
    unsigned family;
    uint64_t pools;
    const uint64_t *bits; /* by pool, where `pools` has the bit */
    bool weighted;        /* else all weigh the same */
};

/* 64 bits from a client or a turn, for draws. */
static inline uint64_t steer_draw_mix(uint64_t seed, uint64_t salt)
{
    return hash_fold(seed ^ salt, STEER_DRAW_MULTIPLIER);
}

/* The key of an endpoint, region or service: of public bytes, the same everywhere. */
uint64_t steer_draw_key(uint64_t outer, const void *bytes, size_t size);

/* The client's prefix as a seed; `*out_bits` is how many bits of it count. */
uint64_t steer_draw_prefix(const struct steer_client *client, const uint8_t bits[ADDR_FAMILIES],
                           uint8_t *out_bits);

/* The pool that the seed sticks to: it moves only when that pool leaves the set. */
uint32_t steer_draw_sticky_pool(const struct steer_urn *urn, uint64_t seed);

/* Fill `choice->picks` with at most `most` endpoints in the order the seed sticks to them. */
void steer_draw_sticky(const struct steer_urn *urn, uint64_t seed, unsigned most,
                       struct steer_choice *choice);

/* The same of one pool where all weigh the same, into `picks`; at least one. Returns how many. */
unsigned steer_draw_ranked(const uint64_t *keys, uint32_t pool, uint64_t bits, uint64_t seed,
                           unsigned most, uint16_t *picks);

/* Drawn without replacement, each draw by weight. */
void steer_draw_picks(const struct steer_urn *urn, uint64_t seed, unsigned most,
                      struct steer_choice *choice);

/*
 * The same of one pool: at most `most` of its `bits` (one is set at least),
 * each draw by `weights`, or all alike. Writes to as many of `picks` as bits
 * are set, and returns how many count.
 */
unsigned steer_draw_weighted(const uint32_t *weights, uint32_t pool, uint64_t bits, uint64_t seed,
                             unsigned most, uint16_t *picks);
unsigned steer_draw_even(uint32_t pool, uint64_t bits, uint64_t seed, unsigned most,
                         uint16_t *picks);
