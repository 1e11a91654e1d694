#pragma once
/*
 * steer_records - what putting the records of a choice needs, at leisure or quickly
 *
 * Inline, because every steered answer goes this way. Any thread that holds
 * the snapshot.
 */
#include <string.h>

#include "policy/steer.h"
#include "policy/steer_memory.h"

#define RECORD_TTL_AT 6 /* behind owner pointer, type and class */

/* How many bits are set, of the first `all`; mostly it is all of them. */
static inline unsigned steer_records_count(uint64_t bits, unsigned all)
{
    return bits == steer_all_bits(all) ? all : (unsigned)__builtin_popcountll(bits);
}

/* One record; there is room. */
static inline void steer_records_copy(uint8_t *out, const uint8_t *record, unsigned size,
                                      uint16_t owner, uint32_t ttl)
{
    memcpy(out, record, 16);
    if (size == 28) {
        memcpy(out + 16, record + 16, 12);
    }
    memcpy(out, &owner, sizeof(owner));
    memcpy(out + RECORD_TTL_AT, &ttl, sizeof(ttl));
}

/* A number below `n` from 32 random bits, without dividing. */
static inline unsigned steer_records_scale(uint32_t turn, unsigned n)
{
    return (unsigned)(((uint64_t)turn * n) >> 32);
}

/* The bits from the one at `endpoint` on. */
static inline uint64_t steer_records_from(uint64_t bits, unsigned endpoint)
{
    return bits & UINT64_MAX << endpoint;
}

/* The `number`th of all that answer; returns its pool. */
static inline uint32_t steer_records_counted(const struct steer_service *s, unsigned family,
                                             const uint64_t *bits_of, uint32_t turn,
                                             unsigned *out_endpoint)
{
    unsigned counts[STEER_POOLS_MAX];
    unsigned total = 0;
    uint32_t at = 0;

    for (uint32_t i = 0; i < s->pool_count; i++) {
        counts[i] =
            bits_of[i] == 0 ? 0 : steer_records_count(bits_of[i], s->pools[i].counts[family]);
        total += counts[i];
    }
    unsigned number = steer_records_scale(turn, total);
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
static inline uint32_t steer_records_start(const struct steer_service *s, unsigned family,
                                           const uint64_t *bits_of, uint32_t turn,
                                           unsigned *out_endpoint)
{
    unsigned all = s->policy == NULL ? 0 : s->policy->endpoints[family];
    unsigned number = steer_records_scale(turn, all);
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
    return steer_records_counted(s, family, bits_of, turn, out_endpoint);
}
