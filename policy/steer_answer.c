#include "policy/steer.h"

#include <arpa/inet.h>
#include <string.h>

#include "policy/steer_direct.h"
#include "policy/steer_memory.h"
#include "policy/steer_quick.h"
#include "zones/wire.h"

#define QUESTION_POINTER (0xc000u | WIRE_QUESTION)
#define RECORD_TTL_AT    6 /* behind owner pointer, type and class */

/* How many bits are set, of the first `all`; mostly it is all of them. */
static inline unsigned count(uint64_t bits, unsigned all)
{
    return bits == steer_all_bits(all) ? all : (unsigned)__builtin_popcountll(bits);
}

void steer_record_put(uint8_t *out, const struct addr *address, uint32_t ttl_s)
{
    uint16_t size = (uint16_t)addr_size_bytes(address);

    wire_put16(out, QUESTION_POINTER);
    wire_put16(out + 2, address->family == ADDR_V4 ? WIRE_A : WIRE_AAAA);
    wire_put16(out + 4, WIRE_IN);
    wire_put32(out + RECORD_TTL_AT, ttl_s);
    wire_put16(out + 10, size);
    memcpy(out + 12, address->bytes, size);
}

/* Where records go, and what is changed in each on the way. */
struct sink {
    uint8_t *out;
    size_t left;
    unsigned size;
    uint32_t ttl;   /* network order */
    uint16_t owner; /* the same, a pointer */
    unsigned written;
    bool cut;
};

static inline struct sink sink_to(uint8_t *out, size_t cap, unsigned family, uint16_t owner,
                                  uint32_t ttl_s)
{
    return (struct sink){ .out = out,
                          .left = cap,
                          .size = steer_record_bytes(family),
                          .ttl = htonl(ttl_s),
                          .owner = htons((uint16_t)(0xc000u | owner)) };
}

/* One record; there is room. */
static inline void copy_record(uint8_t *out, const uint8_t *record, unsigned size, uint16_t owner,
                               uint32_t ttl)
{
    memcpy(out, record, 16);
    if (size == 28) {
        memcpy(out + 16, record + 16, 12);
    }
    memcpy(out, &owner, sizeof(owner));
    memcpy(out + RECORD_TTL_AT, &ttl, sizeof(ttl));
}

static inline void put_record(struct sink *sink, const uint8_t *record)
{
    if (sink->left < sink->size) {
        sink->cut = true;
        return;
    }
    copy_record(sink->out, record, sink->size, sink->owner, sink->ttl);
    sink->out += sink->size;
    sink->left -= sink->size;
    sink->written++;
}

/* The records of the bits, at most so many; returns how many may still come. */
static inline unsigned put_bits(struct sink *sink, const uint8_t *records, uint64_t bits,
                                unsigned most)
{
    for (; most > 0 && bits != 0 && !sink->cut; most--, bits &= bits - 1) {
        put_record(sink, records + (unsigned)__builtin_ctzll(bits) * sink->size);
    }
    return most;
}

/* The records of one pool, from the set bit number `first` on, around. */
static void put_pool(struct sink *sink, const uint8_t *records, uint64_t bits, unsigned first,
                     unsigned most)
{
    uint64_t rest = bits;

    for (; first > 0; first--) {
        rest &= rest - 1;
    }
    most = put_bits(sink, records, rest, most);
    (void)put_bits(sink, records, bits ^ rest, most);
}

/* A number below `n` from 32 random bits, without dividing. */
static inline unsigned scale(uint32_t turn, unsigned n)
{
    return (unsigned)(((uint64_t)turn * n) >> 32);
}

/* The bits from the one at `endpoint` on. */
static inline uint64_t from_on(uint64_t bits, unsigned endpoint)
{
    return bits & UINT64_MAX << endpoint;
}

/* The `number`th of all that answer; returns its pool. */
static uint32_t find_counted(const struct steer_service *s, unsigned family,
                             const uint64_t *bits_of, uint32_t turn, unsigned *out_endpoint)
{
    unsigned counts[STEER_POOLS_MAX];
    unsigned total = 0;
    uint32_t at = 0;

    for (uint32_t i = 0; i < s->pool_count; i++) {
        counts[i] = bits_of[i] == 0 ? 0 : count(bits_of[i], s->pools[i].counts[family]);
        total += counts[i];
    }
    unsigned number = scale(turn, total);
    for (; at < s->pool_count && number >= counts[at]; at++) {
        number -= counts[at];
    }
    uint64_t rest = bits_of[at];
    for (; number > 0; number--) {
        rest &= rest - 1;
    }
    *out_endpoint = (unsigned)__builtin_ctzll(rest);
    return at;
}

/*
 * The one that the turn falls on, of all that answer; mostly those are all
 * that are configured. Returns its pool.
 */
static inline uint32_t find_start(const struct steer_service *s, unsigned family,
                                  const uint64_t *bits_of, uint32_t turn, unsigned *out_endpoint)
{
    unsigned all = s->policy == NULL ? 0 : s->policy->endpoints[family];
    unsigned number = scale(turn, all);
    uint32_t at = 0;

    if (all > 0) {
        for (; number >= s->pools[at].counts[family]; at++) {
            number -= s->pools[at].counts[family];
        }
        if ((bits_of[at] >> number & 1) != 0) {
            *out_endpoint = number;
            return at;
        }
        turn *= UINT32_C(0x9e3779b1); /* another: what fell here is for all others alike */
    }
    return find_counted(s, family, bits_of, turn, out_endpoint);
}

static void put_several(const struct steer_service *s, unsigned family,
                        const struct steer_choice *choice, uint32_t turn, struct sink *sink)
{
    const uint64_t *bits_of = choice->bits_of;
    unsigned endpoint, left = s->max_addresses;
    uint32_t start = find_start(s, family, bits_of, turn, &endpoint), at = start;
    uint64_t bits = from_on(bits_of[at], endpoint);
    struct sink to = *sink; /* in registers */

    do {
        left = put_bits(&to, s->pools[at].records[family], bits, left);
        at = at + 1 == s->pool_count ? 0 : at + 1;
        bits = bits_of[at];
    } while (left > 0 && at != start);
    (void)put_bits(&to, s->pools[at].records[family], bits & ~from_on(bits, endpoint), left);
    *sink = to;
}

/* Of one pool, from the one that the turn falls on. */
static inline void put_one(struct sink *sink, const struct steer_pool *pool, unsigned family,
                           uint64_t bits, uint32_t turn, unsigned most)
{
    if ((bits & (bits - 1)) == 0) {
        put_record(sink, pool->records[family] + (unsigned)__builtin_ctzll(bits) * sink->size);
        return;
    }
    put_pool(sink, pool->records[family], bits, scale(turn, count(bits, pool->counts[family])),
             most);
}

/* Drawn for this answer, in the order drawn; as many as there may be. */
static void put_picks(const struct steer_service *s, unsigned family,
                      const struct steer_choice *choice, struct sink *sink)
{
    size_t bytes = (size_t)choice->pick_count * sink->size;

    if (!choice->several && bytes <= sink->left) {
        const uint8_t *records = s->pools[choice->pool].records[family];
        struct sink to = *sink;
        for (unsigned i = 0; i < choice->pick_count; i++, to.out += to.size) {
            copy_record(to.out, records + steer_pick_endpoint(choice->picks[i]) * to.size,
                        to.size, to.owner, to.ttl);
        }
        sink->out = to.out;
        sink->left -= bytes;
        sink->written += choice->pick_count;
        return;
    }
    for (unsigned i = 0; i < choice->pick_count; i++) {
        const struct steer_pool *pool = &s->pools[steer_pick_pool(choice->picks[i])];
        put_record(sink, pool->records[family] +
                             steer_pick_endpoint(choice->picks[i]) * sink->size);
    }
}

/* What was chosen, of STEER_ADDRESSES. */
static inline void put_chosen(struct sink *sink, const struct steer_service *service,
                              unsigned family, const struct steer_choice *choice, uint32_t turn)
{
    if (choice->pick_count > 0) {
        put_picks(service, family, choice, sink);
    } else if (choice->several) {
        put_several(service, family, choice, turn, sink);
    } else {
        put_one(sink, &service->pools[choice->pool], family, choice->bits, turn,
                service->max_addresses);
    }
}

unsigned steer_put(const struct steer_service *service, unsigned family,
                   const struct steer_choice *choice, uint16_t owner, uint32_t turn, uint8_t *out,
                   size_t cap, size_t *out_length, bool *out_cut)
{
    struct sink sink = sink_to(out, cap, family, owner,
                               choice->short_ttl ? service->ttl_suspect_s : service->ttl_normal_s);

    if (choice->result == STEER_FALLBACK) {
        unsigned n = service->fallback_counts[family];
        put_pool(&sink, service->fallback[family], steer_all_bits(n), scale(turn, n),
                 service->max_addresses);
    } else {
        put_chosen(&sink, service, family, choice, turn);
    }
    *out_length = (size_t)(sink.out - out);
    *out_cut = sink.cut;
    return sink.written;
}

int steer_put_direct(const struct steer_service *service, unsigned family, uint16_t owner,
                     uint32_t turn, uint8_t *out, size_t cap, size_t *out_length, bool *out_cut)
{
    uint64_t bits;
    bool is_short;
    const struct steer_pool *pool = steer_direct(service, NULL, family, &bits, &is_short);

    if (pool == NULL) {
        return -1;
    }
    struct sink sink = sink_to(out, cap, family, owner,
                               is_short ? service->ttl_suspect_s : service->ttl_normal_s);
    put_one(&sink, pool, family, bits, turn, service->max_addresses);
    *out_length = (size_t)(sink.out - out);
    *out_cut = sink.cut;
    return (int)sink.written;
}

/* ---- IPv4 with room for all, the common case: without a look at the room ---- */

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
        copy_record(out, record, RECORD_V4_BYTES, stamp->owner, stamp->ttl);
    }
    return out;
}

/* As put_picks. */
static inline uint8_t *copy_picks(uint8_t *out, const struct stamp *stamp,
                                  const struct steer_pool *pools,
                                  const struct steer_choice *choice)
{
    const uint16_t *pick = choice->picks;
    const uint8_t *records = pools[choice->pool].records[ADDR_V4];
    uint8_t *end = out + (size_t)choice->pick_count * RECORD_V4_BYTES;

    if (!choice->several) {
        for (; out < end; pick++, out += RECORD_V4_BYTES) {
            copy_record(out, records + (size_t)steer_pick_endpoint(*pick) * RECORD_V4_BYTES,
                        RECORD_V4_BYTES, stamp->owner, stamp->ttl);
        }
        return end;
    }
    for (; out < end; pick++, out += RECORD_V4_BYTES) {
        records = pools[steer_pick_pool(*pick)].records[ADDR_V4];
        copy_record(out, records + (size_t)steer_pick_endpoint(*pick) * RECORD_V4_BYTES,
                    RECORD_V4_BYTES, stamp->owner, stamp->ttl);
    }
    return end;
}

/* As put_several. */
static inline uint8_t *copy_several(uint8_t *out, const struct stamp *stamp,
                                    const struct steer_service *s, const uint64_t *bits_of,
                                    uint32_t turn)
{
    unsigned endpoint;
    uint32_t start = find_start(s, ADDR_V4, bits_of, turn, &endpoint), at = start;
    uint64_t bits = from_on(bits_of[at], endpoint);

    do {
        out = copy_bits(out, stamp, s->pools[at].records[ADDR_V4], bits);
        at = at + 1 == s->pool_count ? 0 : at + 1;
        bits = bits_of[at];
    } while (out < stamp->end && at != start);
    return copy_bits(out, stamp, s->pools[at].records[ADDR_V4],
                     bits & ~from_on(bits, endpoint));
}

/* As put_one. */
static inline uint8_t *copy_one(uint8_t *out, const struct stamp *stamp,
                                const struct steer_pool *pool, uint64_t bits, uint32_t turn)
{
    unsigned all = pool->counts[ADDR_V4], number;
    uint64_t rest = bits;

    if (bits == steer_all_bits(all)) {
        rest = from_on(bits, scale(turn, all));
    } else {
        for (number = scale(turn, count(bits, all)); number > 0; number--) {
            rest &= rest - 1;
        }
    }
    out = copy_bits(out, stamp, pool->records[ADDR_V4], rest);
    return copy_bits(out, stamp, pool->records[ADDR_V4], bits ^ rest);
}

static inline uint8_t *copy_chosen(uint8_t *out, const struct stamp *stamp,
                                   const struct steer_service *service,
                                   const struct steer_choice *choice, uint32_t turn)
{
    if (choice->pick_count > 0) {
        return copy_picks(out, stamp, service->pools, choice);
    }
    if (choice->several) {
        return copy_several(out, stamp, service, choice->bits_of, turn);
    }
    return copy_one(out, stamp, &service->pools[choice->pool], choice->bits, turn);
}

int steer_put_quick(const struct steer_service *service, unsigned family,
                    struct steer_client *client, uint16_t owner, uint32_t turn, uint8_t *out,
                    size_t cap, size_t *out_length, bool *out_cut)
{
    struct steer_choice choice;

    if (client == NULL || service->policy == NULL ||
        !steer_quick(service, family, client, &choice)) {
        return -1;
    }
    size_t most = (size_t)service->max_addresses * RECORD_V4_BYTES;
    if (__builtin_expect(family == ADDR_V4 && most <= cap, true)) {
        const struct stamp stamp = { .end = out + most,
                                     .ttl = htonl(service->ttl_normal_s),
                                     .owner = htons((uint16_t)(0xc000u | owner)) };
        *out_length = (size_t)(copy_chosen(out, &stamp, service, &choice, turn) - out);
        *out_cut = false;
        return (int)(*out_length / RECORD_V4_BYTES);
    }
    struct sink sink = sink_to(out, cap, family, owner, service->ttl_normal_s);
    put_chosen(&sink, service, family, &choice, turn);
    *out_length = (size_t)(sink.out - out);
    *out_cut = sink.cut;
    return (int)sink.written;
}
