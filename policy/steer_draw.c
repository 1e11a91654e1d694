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

uint64_t steer_draw_wide_prefix(const struct addr *address, unsigned count)
{
    uint64_t seed = keep(read64(address->bytes), count);

    seed ^= count <= 64
                ? 0
                : hash_fold(keep(read64(address->bytes + 8), count - 64u), STEER_DRAW_MULTIPLIER);
    return hash_fold(seed + ADDR_V6 + 1, STEER_DRAW_MULTIPLIER);
}

/* ---- rendezvous ---- */

/* -log2 of 1/2 + i/64, in units of 2^-24, and by how much the next one is less */
static const struct {
    uint32_t at;
    uint32_t fall;
} logarithms[] = {
    { 16777216, 744810 }, { 16032406, 722573 }, { 15309833, 701626 }, { 14608207, 681859 },
    { 13926348, 663176 }, { 13263172, 645489 }, { 12617683, 628722 }, { 11988961, 612802 },
    { 11376159, 597670 }, { 10778489, 583267 }, { 10195222, 569542 }, { 9625680, 556448 },
    { 9069232, 543942 },  { 8525290, 531986 },  { 7993304, 520545 },  { 7472759, 509585 },
    { 6963174, 499078 },  { 6464096, 488994 },  { 5975102, 479311 },  { 5495791, 470003 },
    { 5025788, 461051 },  { 4564737, 452432 },  { 4112305, 444130 },  { 3668175, 436127 },
    { 3232048, 428408 },  { 2803640, 420956 },  { 2382684, 413761 },  { 1968923, 406806 },
    { 1562117, 400082 },  { 1162035, 393577 },  { 768458, 387278 },   { 381180, 381180 },
};

/* -log2(u / 2^32) in units of 2^-24, straight lines between the points of the table. */
static inline uint32_t minus_log2(uint32_t u)
{
    unsigned zeros = (unsigned)__builtin_clz(u | 1);
    uint32_t mantissa = (u | 1) << zeros; /* the top bit is set */
    unsigned index = mantissa >> 26 & 31;
    uint64_t part = mantissa & ((1u << 26) - 1);

    return (zeros << 24) + logarithms[index].at - (uint32_t)(logarithms[index].fall * part >> 26);
}

/*
 * Highest random weight: the one with the greatest score wins, and wins with a
 * probability in proportion to its weight; the others do not matter to it.
 */
static inline uint64_t score(uint64_t hash, uint64_t weight)
{
    return (weight << 32) / ((uint64_t)minus_log2((uint32_t)(hash >> 32)) + 1);
}

uint32_t steer_draw_sticky_pool(const struct steer_policy *policy, unsigned family, uint64_t pools,
                                uint64_t seed)
{
    const struct steer_share *shares = policy->shares;
    uint64_t best_score = 0;
    uint32_t best = (uint32_t)__builtin_ctzll(pools);

    if (policy->is_even[family]) {
        return steer_draw_sticky_equal(shares, pools, seed);
    }
    for (; pools != 0; pools &= pools - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(pools);
        /* by what is configured, not by what is up: or every change would move clients */
        uint64_t its = score(steer_draw_mix(seed, shares[i].key), shares[i].sums[family]);
        best = its > best_score ? i : best;
        best_score = its > best_score ? its : best_score;
    }
    return best;
}

uint64_t steer_draw_sticky_before(const struct steer_service *service, unsigned family,
                                  uint64_t seed, uint32_t pool)
{
    uint64_t before = 0;

    for (uint32_t i = 0; i < service->pool_count; i++) {
        uint64_t both = UINT64_C(1) << i | UINT64_C(1) << pool;
        bool is_other = steer_draw_sticky_pool(service->policy, family, both, seed) != pool;
        before |= is_other ? UINT64_C(1) << i : 0;
    }
    return before;
}

/*
 * Rankings: scores in falling order, whose last bits are the picks; the first
 * is above all of them. Insert another one; when there are enough the last
 * falls out. Returns where the last is.
 */
static inline uint64_t *insert(uint64_t *last, const uint64_t *end, uint64_t its)
{
    uint64_t *at = last;

    if (__builtin_expect(at < end, true)) {
        last++;
    } else if (*at-- > its) {
        return last;
    }
    for (; *at < its; at--) {
        at[1] = *at;
    }
    at[1] = its;
    return last;
}

static inline uint64_t *rank_even(uint64_t *last, const uint64_t *end,
                                  const struct steer_share *share, unsigned family, uint64_t bits,
                                  uint64_t seed)
{
    const uint64_t *keys = share->keys[family], *lots = share->lots[family];

    for (; bits != 0; bits &= bits - 1) {
        uint64_t e = (uint64_t)__builtin_ctzll(bits);
        uint64_t its = steer_draw_mix(seed, keys[e]);
        last = insert(last, end, (its & ~STEER_LOT_PICK) | (lots[e] & STEER_LOT_PICK));
    }
    return last;
}

static inline uint64_t *rank_weighted(uint64_t *last, const uint64_t *end,
                                      const struct steer_share *share, unsigned family,
                                      uint64_t bits, uint64_t seed)
{
    const uint64_t *keys = share->keys[family], *lots = share->lots[family];

    for (; bits != 0; bits &= bits - 1) {
        uint64_t e = (uint64_t)__builtin_ctzll(bits);
        uint64_t its = score(steer_draw_mix(seed, keys[e]), lots[e] >> STEER_LOT_SHIFT);
        last = insert(last, end, (its & ~STEER_LOT_PICK) | (lots[e] & STEER_LOT_PICK));
    }
    return last;
}

const uint64_t *steer_draw_rank(const struct steer_share *share, unsigned family, bool weighted,
                                uint64_t bits, uint64_t seed, unsigned most, uint64_t *ranks)
{
    ranks[0] = UINT64_MAX;
    return weighted ? rank_weighted(ranks, ranks + most, share, family, bits, seed)
                    : rank_even(ranks, ranks + most, share, family, bits, seed);
}

static inline unsigned put_ranked(const uint64_t *ranks, const uint64_t *last, uint16_t *picks)
{
    for (const uint64_t *at = ranks; at < last; picks++) {
        *picks = (uint16_t) * ++at;
    }
    return (unsigned)(last - ranks);
}

unsigned steer_draw_sticky(const struct steer_share *share, unsigned family, bool weighted,
                           uint64_t bits, uint64_t seed, unsigned most, uint16_t *picks)
{
    uint64_t ranks[1 + STEER_ENDPOINTS_MAX];

    return put_ranked(ranks, steer_draw_rank(share, family, weighted, bits, seed, most, ranks),
                      picks);
}

unsigned steer_draw_sticky_lots(const struct steer_urn *urn, uint64_t seed, unsigned most,
                                uint16_t *picks)
{
    const struct steer_share *shares = urn->service->policy->shares;
    uint64_t ranks[1 + STEER_ENDPOINTS_MAX];
    uint64_t *last = ranks;

    ranks[0] = UINT64_MAX;
    for (uint64_t pools = urn->pools; pools != 0; pools &= pools - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(pools);
        last = urn->weighted
                   ? rank_weighted(last, ranks + most, &shares[i], urn->family, urn->bits[i], seed)
                   : rank_even(last, ranks + most, &shares[i], urn->family, urn->bits[i], seed);
    }
    return put_ranked(ranks, last, picks);
}

/* ---- draws ---- */

static inline unsigned draw_all(struct steer_draw *draw, unsigned most, uint16_t *picks)
{
    unsigned left = (unsigned)(draw->end - draw->at);

    most = most < left ? most : left;
    for (const uint16_t *end = picks + most; picks < end; picks++) {
        *picks = steer_draw_next(draw);
    }
    return most;
}

/* A bit of each lot, counted through all pools. */
struct left {
    uint64_t words[STEER_POOLS_MAX * STEER_ENDPOINTS_MAX / 64 + 1];
    const uint64_t *end;
};

/* The bits of all pools, one after the other. */
static inline void pour(const struct steer_urn *urn, bool is_word, struct left *left)
{
    const struct steer_pool *pool = urn->service->pools, *end = pool + urn->service->pool_count;
    const uint64_t *bits = urn->bits;
    uint64_t *word = left->words;
    unsigned at = 0;

    *word = 0;
    for (; pool < end; pool++, bits++) {
        unsigned count = pool->counts[urn->family];
        *word |= *bits << (at & 63);
        at += count;
        if (!is_word && at >= 64) {
            at -= 64;
            *++word = at == 0 ? 0 : *bits >> (count - at);
        }
    }
    left->end = word + 1;
}

/* All whose bit is set, as a list. */
static unsigned draw_listed(const struct left *left, const uint64_t *lots, uint64_t seed,
                            unsigned most, uint16_t *picks)
{
    uint64_t list[STEER_POOLS_MAX * STEER_ENDPOINTS_MAX];
    uint64_t *end = list, sum = 0;

    for (const uint64_t *word = left->words; word < left->end; word++, lots += 64) {
        end = steer_draw_put_lots(end, lots, *word, &sum);
    }
    struct steer_draw draw = { .at = list, .end = end, .sum = sum, .seed = seed };
    return draw_all(&draw, most, picks);
}

/*
 * Of those whose bit is set, by the wheel; fewer, when few are left. Clears
 * their bits, and moves the seed on to where others go on.
 */
static inline unsigned draw_spun(const struct steer_wheel *wheel, struct left *left, uint64_t *seed,
                                 unsigned most, uint16_t *picks)
{
    struct steer_spin spin = steer_wheel_begin(wheel, *seed, most);
    unsigned count = 0;

    while (count < most && spin.tries > 0) {
        unsigned lot = steer_wheel_next(&spin);
        uint64_t bit = UINT64_C(1) << (lot & 63);
        if ((left->words[lot >> 6] & bit) != 0) {
            left->words[lot >> 6] ^= bit;
            picks[count++] = wheel->picks[lot];
        }
    }
    *seed = spin.at;
    return count;
}

unsigned steer_draw_lots(const struct steer_urn *urn, uint64_t seed, unsigned most, uint16_t *picks)
{
    const struct steer_policy *policy = urn->service->policy;
    const struct steer_wheel *wheel = policy->wheels[urn->family];
    struct left left;
    unsigned count = 0;

    if (__builtin_expect(policy->endpoints[urn->family] <= 64, true)) {
        pour(urn, true, &left);
    } else {
        pour(urn, false, &left);
    }
    if (wheel != NULL) {
        count = draw_spun(wheel, &left, &seed, most, picks);
    }
    if (__builtin_expect(count == most, true)) {
        return count;
    }
    return count + draw_listed(&left, policy->lots[urn->family], seed, most - count, picks + count);
}

unsigned steer_draw_weighted(const struct steer_share *share, unsigned family, unsigned all,
                             uint64_t bits, uint64_t seed, unsigned most, uint16_t *picks)
{
    uint64_t lots[STEER_ENDPOINTS_MAX];
    struct steer_draw draw = steer_draw_begin(share, family, all, bits, seed, lots);

    return draw_all(&draw, most, picks);
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
        uint64_t from = steer_draw_number(&seed, left);
        uint16_t pick = picks[from];
        picks[from] = *picks;
        *picks++ = pick;
    }
    return most;
}
