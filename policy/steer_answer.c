#include "policy/steer.h"

#include <arpa/inet.h>
#include <string.h>

#include "policy/steer_direct.h"
#include "policy/steer_memory.h"
#include "policy/steer_records.h"
#include "zones/wire.h"

#define QUESTION_POINTER (0xc000u | WIRE_QUESTION)

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

static inline void put_record(struct sink *sink, const uint8_t *record)
{
    if (sink->left < sink->size) {
        sink->cut = true;
        return;
    }
    steer_records_copy(sink->out, record, sink->size, sink->owner, sink->ttl);
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

static void put_several(const struct steer_service *s, unsigned family,
                        const struct steer_choice *choice, uint32_t turn, struct sink *sink)
{
    const uint64_t *bits_of = choice->bits_of;
    unsigned endpoint, left = s->max_addresses;
    uint32_t start = steer_records_start(s, family, bits_of, turn, &endpoint), at = start;
    uint64_t bits = steer_records_from(bits_of[at], endpoint);
    struct sink to = *sink; /* in registers */

    do {
        left = put_bits(&to, s->pools[at].records[family], bits, left);
        at = at + 1 == s->pool_count ? 0 : at + 1;
        bits = bits_of[at];
    } while (left > 0 && at != start);
    (void)put_bits(&to, s->pools[at].records[family], bits & ~steer_records_from(bits, endpoint),
                   left);
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
    put_pool(sink, pool->records[family], bits,
             steer_records_scale(turn, steer_records_count(bits, pool->counts[family])), most);
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
            steer_records_copy(to.out, records + steer_pick_endpoint(choice->picks[i]) * to.size,
                               to.size, to.owner, to.ttl);
        }
        sink->out = to.out;
        sink->left -= bytes;
        sink->written += choice->pick_count;
        return;
    }
    for (unsigned i = 0; i < choice->pick_count; i++) {
        const struct steer_pool *pool = &s->pools[steer_pick_pool(choice->picks[i])];
        put_record(sink,
                   pool->records[family] + steer_pick_endpoint(choice->picks[i]) * sink->size);
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
        put_pool(&sink, service->fallback[family], steer_all_bits(n), steer_records_scale(turn, n),
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
    uint64_t bits = 0;
    bool is_short = false;
    const struct steer_pool *pool = steer_direct(service, NULL, family, &bits, &is_short);

    if (pool == NULL) {
        return -1;
    }
    struct sink sink =
        sink_to(out, cap, family, owner, is_short ? service->ttl_suspect_s : service->ttl_normal_s);
    put_one(&sink, pool, family, bits, turn, service->max_addresses);
    *out_length = (size_t)(sink.out - out);
    *out_cut = sink.cut;
    return (int)sink.written;
}
