#include "policy/steer_draw.h"

#include <string.h>

/* ---- keys and seeds ---- */

uint64_t steer_draw_key(uint64_t outer, const void *bytes, size_t size)
{
    const struct hash_key public_key = { outer, STEER_DRAW_MULTIPLIER };

    return hash_bytes(&public_key, bytes, size);
}

/* Network order, so that the same address is the same number on every machine. */
static inline uint64_t read64(const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap64(word) : word;
}

static inline uint64_t keep(uint64_t word, unsigned bits)
{
    return bits == 0 ? 0 : bits >= 64 ? word : word & ~(UINT64_MAX >> bits);
}

uint64_t steer_draw_prefix(const struct steer_client *client, const uint8_t bits[ADDR_FAMILIES],
                           uint8_t *out_bits)
{
    unsigned family = client->address.family;
    uint8_t count = bits[family] < client->known_bits ? bits[family] : client->known_bits;
    uint64_t first = read64(client->address.bytes);
    uint64_t seed;

    *out_bits = count;
    if (family == ADDR_V4) {
        seed = keep(first, count < 32 ? count : 32) >> 32;
    } else {
        seed = keep(first, count);
        seed ^= count <= 64 ? 0 : hash_fold(keep(read64(client->address.bytes + 8), count - 64u),
                                            STEER_DRAW_MULTIPLIER);
    }
    return hash_fold(seed + family + 1, STEER_DRAW_MULTIPLIER);
}

/* ---- rendezvous ---- */

/* -log2 of 1/2 + i/64, in units of 2^-24 */
static const uint32_t logarithms[] = {
    16777216, 16032406, 15309833, 14608207, 13926348, 13263172, 12617683, 11988961,
    11376159, 10778489, 10195222, 9625680, 9069232, 8525290, 7993304, 7472759,
    6963174, 6464096, 5975102, 5495791, 5025788, 4564737, 4112305, 3668175,
    3232048, 2803640, 2382684, 1968923, 1562117, 1162035, 768458, 381180,
    0,
};

/* -log2(u / 2^32) in units of 2^-24, straight lines between the points of the table. */
static inline uint32_t minus_log2(uint32_t u)
{
    unsigned zeros = (unsigned)__builtin_clz(u | 1);
    uint32_t mantissa = (u | 1) << zeros; /* the top bit is set */
    unsigned index = mantissa >> 26 & 31;
    uint32_t from = logarithms[index], to = logarithms[index + 1];
    uint32_t part = mantissa & ((1u << 26) - 1);

    return (zeros << 24) + from - (uint32_t)((uint64_t)(from - to) * part >> 26);
}

/*
 * Highest random weight: the one with the greatest score wins, and wins with a
 * probability in proportion to its weight; the others do not matter to it.
 */
static inline uint64_t score(uint64_t hash, uint32_t weight)
{
    return ((uint64_t)weight << 32) / ((uint64_t)minus_log2((uint32_t)(hash >> 32)) + 1);
}

uint32_t steer_draw_sticky_pool(const struct steer_urn *urn, uint64_t seed)
{
    const struct steer_share *shares = urn->service->policy->shares;
    uint32_t best = 0;
    uint64_t best_score = 0;
    bool none = true;

    for (uint64_t rest = urn->pools; rest != 0; rest &= rest - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(rest);
        /* by what is configured, not by what is up: or every change would move clients */
        uint32_t weight = urn->weighted ? shares[i].sums[urn->family]
                                        : urn->service->pools[i].counts[urn->family];
        uint64_t its = score(steer_draw_mix(seed, shares[i].key), weight);
        if (none || its > best_score) {
            none = false;
            best = i;
            best_score = its;
        }
    }
    return best;
}

static inline uint64_t weigh(const uint32_t *weights, unsigned endpoint)
{
    uint32_t weight = weights == NULL ? 1 : weights[endpoint];

    return weight == 0 ? 1 : weight; /* 0 is here only when nothing else is */
}

/* Where all weigh the same the hash decides, whose last bits make room for the pick. */
static inline uint64_t even_rank(uint64_t hash, uint64_t pick)
{
    return (hash & ~UINT64_C(0xffff)) | pick;
}

/* NULL: all weigh the same. */
static inline const uint32_t *weights_of(const struct steer_urn *urn, uint32_t pool)
{
    return urn->weighted ? urn->service->policy->shares[pool].weights[urn->family] : NULL;
}

/* What has been scored, in falling order of scores; never more than `most`. */
struct ranking {
    uint64_t scores[STEER_ENDPOINTS_MAX];
    unsigned count;
};

/* Another pick and its score; the last one falls out. */
static inline void insert(struct ranking *ranking, uint16_t *picks, unsigned most, uint64_t its,
                          uint16_t pick)
{
    unsigned at = ranking->count;

    if (at == most) {
        if (its <= ranking->scores[--at]) {
            return;
        }
    } else {
        ranking->count++;
    }
    for (; at > 0 && ranking->scores[at - 1] < its; at--) {
        ranking->scores[at] = ranking->scores[at - 1];
        picks[at] = picks[at - 1];
    }
    ranking->scores[at] = its;
    picks[at] = pick;
}

void steer_draw_sticky(const struct steer_urn *urn, uint64_t seed, unsigned most,
                       struct steer_choice *choice)
{
    struct ranking ranking;


    ranking.count = 0;
    for (uint64_t pools = urn->pools; pools != 0; pools &= pools - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(pools);
        const uint64_t *keys = urn->service->policy->shares[i].keys[urn->family];
        const uint32_t *weights = weights_of(urn, i);
        for (uint64_t rest = urn->bits[i]; rest != 0; rest &= rest - 1) {
            unsigned e = (unsigned)__builtin_ctzll(rest);
            uint16_t pick = steer_pick(i, e);
            uint64_t hash = steer_draw_mix(seed, keys[e]);
            uint64_t its = weights == NULL ? even_rank(hash, pick)
                                           : score(hash, (uint32_t)weigh(weights, e));
            insert(&ranking, choice->picks, most, its, pick);
        }
    }
    choice->pick_count = (uint8_t)ranking.count;
}

unsigned steer_draw_ranked(const uint64_t *keys, uint32_t pool, uint64_t bits, uint64_t seed,
                           unsigned most, uint16_t *picks)
{
    uint64_t ranks[1 + STEER_ENDPOINTS_MAX]; /* falling; the first is above all of them */
    uint64_t *last = ranks, *end = ranks + most;
    uint64_t first = steer_pick(pool, 0);

    ranks[0] = UINT64_MAX;
    for (; bits != 0; bits &= bits - 1) {
        uint64_t e = (uint64_t)__builtin_ctzll(bits);
        uint64_t its = even_rank(steer_draw_mix(seed, keys[e]), first | e);
        uint64_t *at = last;
        if (__builtin_expect(at < end, true)) {
            last++;
        } else if (*at-- > its) {
            continue;
        }
        for (; *at < its; at--) {
            at[1] = *at;
        }
        at[1] = its;
    }
    for (const uint64_t *at = ranks; at < last; picks++) {
        *picks = (uint16_t)*++at;
    }
    return (unsigned)(last - ranks);
}

/* ---- draws ---- */

/* What is left in the urn. */
struct rest {
    uint64_t pools;
    uint64_t sum; /* of all */
    uint64_t bits[STEER_POOLS_MAX];
    uint64_t sums[STEER_POOLS_MAX];
    const uint32_t *weights[STEER_POOLS_MAX]; /* NULL: all weigh the same */
};

/* The weights of what is left of a pool; known beforehand when nothing is missing. */
static inline uint64_t sum_of(const struct steer_urn *urn, uint32_t pool, uint64_t bits)
{
    const struct steer_share *share = &urn->service->policy->shares[pool];
    unsigned all = urn->service->pools[pool].counts[urn->family];
    uint64_t sum = 0;

    if (bits == UINT64_MAX >> (64 - all) && (!urn->weighted || share->idle[urn->family] == 0)) {
        return urn->weighted ? share->sums[urn->family] : all;
    }
    for (uint64_t rest = bits; rest != 0; rest &= rest - 1) {
        sum += weigh(weights_of(urn, pool), (unsigned)__builtin_ctzll(rest));
    }
    return sum;
}

/* The endpoint at `number` of the weights of its bits laid end to end. */
static inline unsigned endpoint_at(const uint32_t *weights, uint64_t bits, uint64_t number)
{
    unsigned e = (unsigned)__builtin_ctzll(bits);

    if (weights == NULL) {
        for (; number > 0; number--) {
            bits &= bits - 1;
        }
        return (unsigned)__builtin_ctzll(bits);
    }
    for (uint64_t weight = weigh(weights, e); number >= weight; weight = weigh(weights, e)) {
        number -= weight;
        bits &= bits - 1;
        e = (unsigned)__builtin_ctzll(bits);
    }
    return e;
}

/* The next number of a sequence, below `sum`, which is below 2^32: see the snapshot. */
static inline uint64_t next_number(uint64_t *seed, uint64_t sum)
{
    *seed = *seed * STEER_DRAW_MULTIPLIER + 1;
    return (*seed >> 32) * sum >> 32;
}

static inline uint16_t take(struct rest *left, uint64_t number)
{
    uint64_t pools = left->pools;
    uint32_t i = (uint32_t)__builtin_ctzll(pools);

    while (number >= left->sums[i]) {
        number -= left->sums[i];
        pools &= pools - 1;
        i = (uint32_t)__builtin_ctzll(pools);
    }
    unsigned e = endpoint_at(left->weights[i], left->bits[i], number);
    uint64_t weight = weigh(left->weights[i], e);
    left->bits[i] &= ~(UINT64_C(1) << e);
    left->sums[i] -= weight;
    left->sum -= weight;
    return steer_pick(i, e);
}

void steer_draw_picks(const struct steer_urn *urn, uint64_t seed, unsigned most,
                      struct steer_choice *choice)
{
    struct rest left;
    unsigned count = 0;

    left.pools = urn->pools;
    left.sum = 0;
    for (uint64_t pools = urn->pools; pools != 0; pools &= pools - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(pools);
        left.bits[i] = urn->bits[i];
        left.sums[i] = sum_of(urn, i, urn->bits[i]);
        left.sum += left.sums[i];
        left.weights[i] = weights_of(urn, i);
    }
    for (; count < most && left.sum > 0; count++) {
        choice->picks[count] = take(&left, next_number(&seed, left.sum));
    }
    choice->pick_count = (uint8_t)count;
}

unsigned steer_draw_weighted(const uint32_t *weights, uint32_t pool, uint64_t bits, uint64_t seed,
                             unsigned most, uint16_t *picks)
{
    /* what is left to draw, each a weight and a pick, stands behind what has been drawn */
    uint64_t left[STEER_ENDPOINTS_MAX];
    uint64_t *end = left, sum = 0;
    uint64_t first = steer_pick(pool, 0);
    uint16_t *last = picks;

    for (; bits != 0; bits &= bits - 1) {
        uint64_t e = (uint64_t)__builtin_ctzll(bits);
        uint64_t weight = weights[e] + (weights[e] == 0);
        *end++ = weight << 16 | first | e;
        sum += weight;
    }
    unsigned count = (unsigned)(end - left);
    end = most < count ? left + most : end - 1;
    for (uint64_t *at = left; at < end; at++) {
        uint64_t number = next_number(&seed, sum);
        uint64_t *from = at;
        for (; number >= *from >> 16; from++) {
            number -= *from >> 16;
        }
        uint64_t drawn = *from;
        sum -= drawn >> 16;
        *from = *at;
        *picks++ = (uint16_t)drawn;
    }
    if (most < count) {
        return most;
    }
    last[count - 1] = (uint16_t)*end; /* of one there is nothing to draw */
    return count;
}

unsigned steer_draw_even(uint32_t pool, uint64_t bits, uint64_t seed, unsigned most,
                         uint16_t *picks)
{
    uint16_t *last = picks;

    for (; bits != 0; bits &= bits - 1) {
        *last++ = steer_pick(pool, (unsigned)__builtin_ctzll(bits));
    }
    uint64_t left = (uint64_t)(last - picks);
    most = most < left ? most : (unsigned)left;
    last = most < left ? picks + most : last - (most > 0); /* of one there is nothing to draw */
    for (; picks < last; left--) {
        uint64_t from = next_number(&seed, left);
        uint16_t pick = picks[from];
        picks[from] = *picks;
        *picks++ = pick;
    }
    return most;
}
