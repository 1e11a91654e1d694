#pragma once
/*
 * steer_draw - the order of endpoints: by weight, at random, the same for the same client
 *
 * Pure arithmetic, any thread. Hashes and draws are the same on every node.
 */
#include <arpa/inet.h>
#include <string.h>

#include "base/hash.h"
#include "policy/steer.h"
#include "policy/steer_wheel.h"

/* What is chosen from: the endpoints of some pools. */
struct steer_urn {
    const struct steer_service *service;
    unsigned family;
    uint64_t pools;
    const uint64_t *bits; /* by pool, 0 where `pools` does not have the bit */
    bool weighted;        /* else all weigh the same, and so do the lots */
};

/* 64 bits from a client or a turn, for draws. */
static inline uint64_t steer_draw_mix(uint64_t seed, uint64_t salt)
{
    return hash_fold(seed ^ salt, STEER_DRAW_MULTIPLIER);
}

/* The key of an endpoint, region or service: of public bytes, the same everywhere. */
uint64_t steer_draw_key(uint64_t outer, const void *bytes, size_t size);

/* An IPv6 address's first `count` bits as a seed. */
uint64_t steer_draw_wide_prefix(const struct addr *address, unsigned count);

/* The client's prefix as a seed; `*out_bits` is how many bits of it count. */
static inline uint64_t steer_draw_prefix(const struct steer_client *client,
                                         const uint8_t bits[ADDR_FAMILIES], uint8_t *out_bits)
{
    unsigned family = client->address.family;
    uint8_t count = bits[family] < client->known_bits ? bits[family] : client->known_bits;
    uint32_t word;

    *out_bits = count;
    if (__builtin_expect(family != ADDR_V4, false)) {
        return steer_draw_wide_prefix(&client->address, count);
    }
    memcpy(&word, client->address.bytes, sizeof(word));
    uint64_t seed = ntohl(word) & ~(UINT64_C(0xffffffff) >> (count & 63));
    return hash_fold(seed + ADDR_V4 + 1, STEER_DRAW_MULTIPLIER);
}

/* Of pools that all weigh the same; the hash decides by as many bits as a score does. */
static inline uint32_t steer_draw_sticky_equal(const struct steer_share *share, uint64_t pools,
                                               uint64_t seed)
{
    uint32_t best = (uint32_t)__builtin_ctzll(pools);
    uint64_t best_hash = 0;

    for (uint32_t i = 0; pools != 0; pools >>= 1, i++, share++) {
        uint64_t hash = steer_draw_mix(seed, share->key) >> 32;
        if ((pools & 1) != 0 && hash > best_hash) {
            best = i;
            best_hash = hash;
        }
    }
    return best;
}

/* The pool that the seed sticks to: it moves only when that pool leaves the set. */
uint32_t steer_draw_sticky_pool(const struct steer_policy *policy, unsigned family, uint64_t pools,
                                uint64_t seed);

/* Those of all pools that the seed would rather stick to than to `pool`. */
uint64_t steer_draw_sticky_before(const struct steer_service *service, unsigned family,
                                  uint64_t seed, uint32_t pool);

/*
 * Draw at most `most` endpoints (at least 1) from what is in the urn, which is
 * not empty, into `picks`; all of these return how many.
 *
 * Sticky lots: in the order the seed sticks to them. Lots: without replacement,
 * each draw by weight.
 */
unsigned steer_draw_sticky_lots(const struct steer_urn *urn, uint64_t seed, unsigned most,
                                uint16_t *picks);
unsigned steer_draw_lots(const struct steer_urn *urn, uint64_t seed, unsigned most,
                         uint16_t *picks);

/*
 * The same from the `bits` of one pool, which has `all` endpoints of the
 * family: sticky, drawn by weight, and drawn all alike.
 */
unsigned steer_draw_sticky(const struct steer_share *share, unsigned family, bool weighted,
                           uint64_t bits, uint64_t seed, unsigned most, uint16_t *picks);
unsigned steer_draw_weighted(const struct steer_share *share, unsigned family, unsigned all,
                             uint64_t bits, uint64_t seed, unsigned most, uint16_t *picks);

/* This one writes to as many of `picks` as bits are set. */
unsigned steer_draw_even(uint32_t pool, uint64_t bits, uint64_t seed, unsigned most,
                         uint16_t *picks);

/*
 * The sticky ones as ranks, behind ranks[0], the first being the greatest; the last
 * bits of each are its pick. There is room for 1 + `most`. Returns the last.
 */
const uint64_t *steer_draw_rank(const struct steer_share *share, unsigned family, bool weighted,
                                uint64_t bits, uint64_t seed, unsigned most, uint64_t *ranks);

/* ---- draws by weight, one after the other ---- */

/* What is left to draw, each a lot, stands behind what has been drawn. */
struct steer_draw {
    uint64_t *at, *end;
    uint64_t sum; /* of the weights left */
    uint64_t seed;
};

/* The lots of these endpoints of a pool, to `end` and behind; adds to `*sum`. */
static inline uint64_t *steer_draw_put_lots(uint64_t *end, const uint64_t *lots, uint64_t bits,
                                            uint64_t *sum)
{
    for (; bits != 0; bits &= bits - 1) {
        uint64_t lot = lots[__builtin_ctzll(bits)];
        *end++ = lot;
        *sum += lot >> STEER_LOT_SHIFT;
    }
    return end;
}

/* Begin to draw from the `bits` of a pool that has `all` endpoints; the room at `lots` is used. */
static inline struct steer_draw steer_draw_begin(const struct steer_share *share, unsigned family,
                                                 unsigned all, uint64_t bits, uint64_t seed,
                                                 uint64_t *lots)
{
    const uint64_t *from = share->lots[family];
    struct steer_draw draw = { .at = lots, .end = lots, .seed = seed };

    if (bits != UINT64_MAX >> (64 - all)) {
        draw.end = steer_draw_put_lots(lots, from, bits, &draw.sum);
        return draw;
    }
    draw.sum = share->sums[family];
    for (const uint64_t *end = from + all; from < end;) {
        *draw.end++ = *from++;
    }
    return draw;
}

/* The next number of a sequence, below `sum`, which is below 2^32: see steer_share_shift. */
static inline uint64_t steer_draw_number(uint64_t *seed, uint64_t sum)
{
    *seed = *seed * STEER_DRAW_MULTIPLIER + 1;
    return (*seed >> 32) * sum >> 32;
}

/* The pick of the next lot. Only while there is one left. */
static inline uint16_t steer_draw_next(struct steer_draw *draw)
{
    uint64_t number = steer_draw_number(&draw->seed, draw->sum);
    uint64_t *from = draw->at;
    uint64_t drawn = *from;

    for (; number >= drawn >> STEER_LOT_SHIFT; drawn = *++from) {
        number -= drawn >> STEER_LOT_SHIFT;
    }
    draw->sum -= drawn >> STEER_LOT_SHIFT;
    *from = *draw->at++;
    return (uint16_t)drawn;
}
