#include "policy/steer_quick.h"

#include <arpa/inet.h>

#include "policy/steer_memory.h"
#include "policy/steer_records.h"

/* ---- records, where there is room for all ---- */

#define RECORD_V4_BYTES 16

/* What is the same in all records of the answer. */
struct stamp {
    const uint8_t *end; /* of as many as there may be */
    uint32_t ttl;       /* network order */
    uint16_t owner;     /* the same, a pointer */
};

static inline uint8_t *copy_bits(uint8_t *out, const struct stamp *stamp, const uint8_t *records,
                                 uint64_t bits)
{
    for (; bits != 0 && out < stamp->end; bits &= bits - 1, out += RECORD_V4_BYTES) {
        const uint8_t *record = records + (size_t)__builtin_ctzll(bits) * RECORD_V4_BYTES;
        steer_records_copy(out, record, RECORD_V4_BYTES, stamp->owner, stamp->ttl);
    }
    return out;
}

/* The picks of one pool. */
static inline uint8_t *copy_picks_of(uint8_t *out, const struct stamp *stamp,
                                     const uint8_t *records, const uint16_t *pick, unsigned count)
{
    uint8_t *end = out + (size_t)count * RECORD_V4_BYTES;

    for (; out < end; pick++, out += RECORD_V4_BYTES) {
        steer_records_copy(out, records + (size_t)steer_pick_endpoint(*pick) * RECORD_V4_BYTES,
                           RECORD_V4_BYTES, stamp->owner, stamp->ttl);
    }
    return end;
}

/* The picks of several pools. */
static inline uint8_t *copy_picks(uint8_t *out, const struct stamp *stamp,
                                  const struct steer_pool *pools, const uint16_t *pick,
                                  unsigned count)
{
    const uint8_t *end = out + (size_t)count * RECORD_V4_BYTES;

    for (; out < end; pick++, out += RECORD_V4_BYTES) {
        const uint8_t *records = pools[steer_pick_pool(*pick)].records[ADDR_V4];
        steer_records_copy(out, records + (size_t)steer_pick_endpoint(*pick) * RECORD_V4_BYTES,
                           RECORD_V4_BYTES, stamp->owner, stamp->ttl);
    }
    return out;
}

/* As put_several. */
static inline uint8_t *copy_several(uint8_t *out, const struct stamp *stamp,
                                    const struct steer_service *s, const uint64_t *bits_of,
                                    uint32_t turn)
{
    unsigned endpoint;
    uint32_t start = steer_records_start(s, ADDR_V4, bits_of, turn, &endpoint), at = start;
    uint64_t bits = steer_records_from(bits_of[at], endpoint);

    do {
        out = copy_bits(out, stamp, s->pools[at].records[ADDR_V4], bits);
        at = at + 1 == s->pool_count ? 0 : at + 1;
        bits = bits_of[at];
    } while (out < stamp->end && at != start);
    return copy_bits(out, stamp, s->pools[at].records[ADDR_V4],
                     bits & ~steer_records_from(bits, endpoint));
}

/* As put_one. */
static inline uint8_t *copy_one(uint8_t *out, const struct stamp *stamp,
                                const struct steer_pool *pool, uint64_t bits, uint32_t turn)
{
    unsigned all = pool->counts[ADDR_V4], number;
    uint64_t rest = bits;

    if (bits == steer_all_bits(all)) {
        rest = steer_records_from(bits, steer_records_scale(turn, all));
    } else {
        for (number = steer_records_scale(turn, steer_records_count(bits, all)); number > 0;
             number--) {
            rest &= rest - 1;
        }
    }
    out = copy_bits(out, stamp, pool->records[ADDR_V4], rest);
    return copy_bits(out, stamp, pool->records[ADDR_V4], bits ^ rest);
}

/* ---- common ways to choose ---- */

/* One answer under way: to a question for IPv4, where there is room for all of it. */
struct putting {
    struct steer_pass pass;
    struct stamp stamp;
    uint32_t turn;
    uint8_t *out;
};

/* The endpoints of one pool, drawn by weight. Returns the end of what it put, as all of these. */
static inline uint8_t *put_weighted(const struct putting *a, uint32_t pool, uint64_t bits)
{
    const struct steer_pool *of = &a->pass.service->pools[pool];
    const uint8_t *records = of->records[ADDR_V4];
    uint64_t lots[STEER_ENDPOINTS_MAX];
    uint8_t *out = a->out;
    struct steer_draw draw =
        steer_draw_begin(&a->pass.policy->shares[pool], ADDR_V4, of->counts[ADDR_V4], bits,
                         steer_draw_mix(a->pass.seed, STEER_SALT_ENDPOINTS), lots);

    for (; out < a->stamp.end && draw.at < draw.end; out += RECORD_V4_BYTES) {
        size_t endpoint = steer_pick_endpoint(steer_draw_next(&draw));
        steer_records_copy(out, records + endpoint * RECORD_V4_BYTES, RECORD_V4_BYTES,
                           a->stamp.owner, a->stamp.ttl);
    }
    return out;
}

/* The endpoints of one pool that the client sticks to. */
static inline uint8_t *put_ranked(const struct putting *a, uint32_t pool, uint64_t bits)
{
    const uint8_t *records = a->pass.service->pools[pool].records[ADDR_V4];
    bool weighted = (a->pass.filters & STEER_WEIGHT) != 0;
    uint64_t ranks[1 + STEER_ENDPOINTS_MAX];
    uint8_t *out = a->out;
    const uint64_t *last = steer_draw_rank(&a->pass.policy->shares[pool], ADDR_V4, weighted, bits,
                                           a->pass.seed, a->pass.service->max_addresses, ranks);

    for (const uint64_t *at = ranks; at < last; out += RECORD_V4_BYTES) {
        size_t endpoint = steer_pick_endpoint((uint16_t) * ++at);
        steer_records_copy(out, records + endpoint * RECORD_V4_BYTES, RECORD_V4_BYTES,
                           a->stamp.owner, a->stamp.ttl);
    }
    return out;
}

/* The endpoints of one pool, drawn or in turn. */
static inline uint8_t *put_pool(const struct putting *a, uint32_t pool, uint64_t bits)
{
    const struct steer_pool *of = &a->pass.service->pools[pool];
    unsigned draws = a->pass.filters & STEER_DRAWS;
    uint16_t picks[STEER_ENDPOINTS_MAX];

    if (draws == 0) {
        return copy_one(a->out, &a->stamp, of, bits, a->turn);
    }
    if ((draws & STEER_STICKY) != 0) {
        return put_ranked(a, pool, bits);
    }
    if ((draws & STEER_WEIGHT) != 0) {
        return put_weighted(a, pool, bits);
    }
    unsigned count = steer_pass_pick_of(&a->pass, pool, bits, picks);
    return copy_picks_of(a->out, &a->stamp, of->records[ADDR_V4], picks, count);
}

/* STEER_QUICK_DRAWN: what steer_draw_lots draws, each put as soon as it is drawn. */
static inline uint8_t *put_drawn(struct putting *a)
{
    const struct steer_service *s = a->pass.service;
    const struct steer_wheel *wheel = a->pass.policy->wheels[ADDR_V4];
    const uint8_t *records = s->pools[0].records[ADDR_V4];
    uint8_t *at = a->out;
    uint64_t left;

    if (!steer_calm_word(s, ADDR_V4, &left)) {
        return NULL;
    }
    steer_pass_seed(&a->pass);
    uint64_t seed = steer_draw_mix(a->pass.seed, STEER_SALT_ENDPOINTS);
    struct steer_spin spin = steer_wheel_begin(wheel, seed, s->max_addresses);
    while (at < a->stamp.end) {
        if (__builtin_expect(spin.tries == 0, false)) {
            return NULL; /* few are left to be drawn from */
        }
        unsigned lot = steer_wheel_next(&spin);
        if ((left >> lot & 1) != 0) {
            left ^= UINT64_C(1) << lot;
            steer_records_copy(at, records + (size_t)lot * RECORD_V4_BYTES, RECORD_V4_BYTES,
                               a->stamp.owner, a->stamp.ttl);
            at += RECORD_V4_BYTES;
        }
    }
    return at;
}

/* STEER_QUICK_ORDERED; STEER_NO_POOL where a closer look is due, as with the other two. */
static inline uint32_t find_ordered(struct putting *a, uint64_t *out_bits)
{
    const struct steer_service *s = a->pass.service;

    if (a->pass.policy->places != NULL) {
        steer_pass_locate(&a->pass);
    }
    if ((a->pass.filters & STEER_DRAWS) != 0) {
        steer_pass_seed(&a->pass);
    }
    for (uint32_t i = 0; i < s->pool_count; i++) {
        uint32_t pool = a->pass.order == NULL ? i : a->pass.order[i];
        enum steer_look look = steer_calm_look(&s->pools[pool], ADDR_V4, out_bits);
        if (__builtin_expect(look != STEER_PASS, true)) {
            return look == STEER_STANDS ? pool : STEER_NO_POOL;
        }
    }
    return STEER_NO_POOL;
}

/*
 * STEER_QUICK_STICKY: of the pools in the order that the client would stick to
 * them the first that stands; how those behind it are does not matter.
 */
static inline uint32_t find_sticky(struct putting *a, uint64_t *out_bits)
{
    const struct steer_service *s = a->pass.service;
    const struct steer_policy *policy = a->pass.policy;

    steer_pass_seed(&a->pass);
    uint64_t left = UINT64_MAX >> (64 - s->pool_count);
    do {
        uint32_t pool = policy->is_even[ADDR_V4]
                            ? steer_draw_sticky_equal(policy->shares, left, a->pass.seed)
                            : steer_draw_sticky_pool(policy, ADDR_V4, left, a->pass.seed);
        enum steer_look look = steer_calm_look(&s->pools[pool], ADDR_V4, out_bits);
        if (__builtin_expect(look == STEER_STANDS, true)) {
            return pool;
        }
        left &= look == STEER_PASS ? ~(UINT64_C(1) << pool) : 0;
    } while (left != 0);
    return STEER_NO_POOL;
}

/* STEER_QUICK_CAPACITY: all in one look at each pool. */
static inline uint32_t find_carrier(struct putting *a, uint64_t *out_bits)
{
    const struct steer_service *s = a->pass.service;
    uint64_t bits[STEER_POOLS_MAX], upto[STEER_POOLS_MAX], sum = 0;

    for (uint32_t i = 0; i < s->pool_count; i++) {
        enum steer_look look = steer_calm_look(&s->pools[i], ADDR_V4, &bits[i]);
        if (__builtin_expect(look == STEER_STANDS, true)) {
            sum += atomic_load_explicit(&s->pools[i].group->capacity, memory_order_relaxed);
        } else if (look == STEER_LOOK_CLOSER) {
            return STEER_NO_POOL;
        }
        upto[i] = sum;
    }
    steer_pass_seed(&a->pass);
    uint32_t pool = steer_capacity_at(upto, sum, steer_pass_draw(&a->pass, STEER_SALT_CAPACITY));
    if (pool != STEER_NO_POOL) {
        *out_bits = bits[pool];
    }
    return pool;
}

/* Endpoints of several pools, drawn or in turn. */
static inline uint8_t *put_several(const struct putting *a, uint64_t pools,
                                   const struct steer_choice *choice)
{
    uint16_t picks[STEER_ENDPOINTS_MAX];

    if ((a->pass.filters & STEER_DRAWS) == 0) {
        return copy_several(a->out, &a->stamp, a->pass.service, choice->bits_of, a->turn);
    }
    unsigned count = steer_pass_pick(&a->pass, pools, true, choice->bits_of, picks);
    return copy_picks(a->out, &a->stamp, a->pass.service->pools, picks, count);
}

static inline __attribute__((always_inline)) uint8_t *put_common(struct putting *a)
{
    uint32_t pool = STEER_NO_POOL;
    uint64_t bits = 0;
    uint8_t *end;

    switch (a->pass.policy->quick) {
    case STEER_QUICK_ORDERED:
        pool = find_ordered(a, &bits);
        break;
    case STEER_QUICK_DRAWN:
        end = put_drawn(a);
        if (__builtin_expect(end != NULL, true)) {
            return end;
        }
        break;
    case STEER_QUICK_STICKY:
        pool = find_sticky(a, &bits);
        break;
    case STEER_QUICK_CAPACITY:
        pool = find_carrier(a, &bits);
        break;
    case STEER_QUICK_GENERAL:
    case STEER_QUICK_NOT:
        break;
    }
    if (pool == STEER_NO_POOL) {
        struct steer_choice choice;
        a->pass.client->scope_bits = 0;
        uint64_t pools = steer_quick_pools(&a->pass, &choice);
        if (pools == 0 || choice.several) {
            return pools == 0 ? NULL : put_several(a, pools, &choice);
        }
        pool = choice.pool;
        bits = choice.bits;
    }
    return put_pool(a, pool, bits);
}

/* Where there may be little room, and for IPv6. */
static int put_slowly(const struct steer_service *service, unsigned family,
                      struct steer_client *client, uint16_t owner, uint32_t turn, uint8_t *out,
                      size_t cap, size_t *out_length, bool *out_cut)
{
    struct steer_choice choice;

    if (!steer_quick(service, family, client, &choice)) {
        return -1;
    }
    return (int)steer_put(service, family, &choice, owner, turn, out, cap, out_length, out_cut);
}

int steer_put_quick(const struct steer_service *service, unsigned family,
                    struct steer_client *client, uint16_t owner, uint32_t turn, uint8_t *out,
                    size_t cap, size_t *out_length, bool *out_cut)
{
    size_t most = (size_t)service->max_addresses * RECORD_V4_BYTES;

    if (__builtin_expect(family != ADDR_V4 || most > cap, false)) {
        return put_slowly(service, family, client, owner, turn, out, cap, out_length, out_cut);
    }
    struct putting a = { .pass = steer_pass_begin(service, ADDR_V4, client),
                         .stamp = { .end = out + most,
                                    .ttl = htonl(service->ttl_normal_s),
                                    .owner = htons((uint16_t)(0xc000u | owner)) },
                         .turn = turn,
                         .out = out };
    const uint8_t *end = put_common(&a);
    if (__builtin_expect(end == NULL, false)) {
        return -1;
    }
    *out_length = (size_t)(end - out);
    *out_cut = false;
    return (int)(*out_length / RECORD_V4_BYTES);
}
