#pragma once
/*
 * steer - which addresses a service answers with: the ladder and its filters
 *
 * Choosing is a pure function of (service, family, health words), with an
 * optional trace: the answering path and `leeward why` run the same code. A
 * rung is used only when no rung above it has an endpoint:
 *   1. region in, and its group meets minimum_healthy
 *   2. the same, still in hold_down
 *   3. region gated by its own checks, but the group meets its minimum by
 *      direct checks made since
 *   4. every endpoint that is up, in any region not forced down, together
 *   5. the same in drained regions
 *   6. on_all_down
 * Any thread that holds the snapshot the service lives in.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "policy/health.h"
#include "policy/model.h"

#define STEER_POOLS_MAX     64
#define STEER_ENDPOINTS_MAX 64 /* per pool and family: the bits of a word */

struct text;

/* One region's endpoints of a service, with the words that say how they are. */
struct steer_pool {
    /* what every answer reads, in half a cache line (see steer_service) */
    const struct health_region *region;
    const struct health_group *group;
    /* compiled records behind a question, one after the other: see steer_record_bytes */
    const uint8_t *records[ADDR_FAMILIES];
    const char *region_name;
    uint32_t region_index;
    uint8_t counts[ADDR_FAMILIES];
};

/* What each family answered when the service last stood on rung 1 or 2. Written by the
 * control thread only. */
struct steer_memory {
    _Atomic uint32_t pool[ADDR_FAMILIES]; /* index + 1; 0: none; too high: no longer configured */
    _Atomic uint64_t bits[ADDR_FAMILIES];
};

/* What the operator's hand says of one pool of one service. */
enum steer_hand {
    STEER_HAND_DRAINED,     /* as a drained region, for this service alone */
    STEER_HAND_FORCED_DOWN, /* excluded */
    STEER_HAND_FORCED_UP,   /* stands on rung 1 with all its endpoints */
    STEER_HAND_PARKED,      /* was left, and returns by hand only: second choice */
    STEER_HANDS,
};

struct steer_service {
    /* what every answer reads, together */
    const struct steer_pool *pools; /* in the order of preference */
    uint32_t pool_count;
    uint32_t ttl_normal_s;
    uint32_t ttl_suspect_s;
    uint32_t max_addresses;
    bool has_family[ADDR_FAMILIES]; /* any endpoint of it configured, or one that has a name */
    bool direct[ADDR_FAMILIES];     /* the same, and never answered as CNAME: see steer_cname */
    uint8_t fallback_counts[ADDR_FAMILIES];
    enum model_all_down on_all_down;
    const uint8_t *fallback[ADDR_FAMILIES]; /* compiled records */
    struct steer_memory *memory;
    const char *name;
    const uint8_t *dname;
    uint32_t index; /* in the model */
    const uint8_t *const *cnames; /* by pool: the dname it is answered as, or NULL; NULL: none is */
};

enum steer_result {
    STEER_ADDRESSES, /* pools[i] of `pools` with bits[i] */
    STEER_FALLBACK,  /* the service's fallback records */
    STEER_NODATA,    /* this family has nothing up, another has */
    STEER_SERVFAIL,
};

/* A choice. On rungs 1 to 3 it is one pool; on 4 to 6 it may be several. */
struct steer_choice {
    enum steer_result result;
    uint8_t rung; /* 1 to 6 */
    bool short_ttl;
    uint32_t pool; /* the one pool, when `several` is false */
    bool several;  /* bits_of[] is set for all pools */
    uint64_t bits; /* of the one pool */
    uint64_t bits_of[STEER_POOLS_MAX];
};

/* Size of one compiled record: owner pointer, type, class, TTL, length, address. */
static inline unsigned steer_record_bytes(unsigned family)
{
    return family == ADDR_V4 ? 16 : 28;
}

/* Compile the record of an address into `out`; its owner points to the question. */
void steer_record_put(uint8_t *out, const struct addr *address, uint32_t ttl_s);

/* Choose for `family`. No lock, no allocation; cannot fail. */
void steer_choose(const struct steer_service *service, unsigned family,
                  struct steer_choice *choice);

/*
 * Choose as CNAME: of the choices of both families the one on the better rung,
 * or of the pool preferred, says which pool it is, for every type of question
 * alike. Returns the pool's name and in `choice` its addresses of `family`, of
 * which there may be none; NULL when it is not answered as CNAME, and `choice`
 * is what steer_choose says. Only for a service with `cnames`.
 */
const uint8_t *steer_cname(const struct steer_service *service, unsigned family,
                           struct steer_choice *choice);

/* The same, and write every step that led to it as lines for people. */
void steer_explain(const struct steer_service *service, unsigned family,
                   struct steer_choice *choice, struct text *trace);

/*
 * Write the chosen records at `out` with their owner at message offset
 * `owner`, rotated by `turn`, at most max_addresses and as many as fit in
 * `cap` bytes. Returns their number and the bytes written in `*out_length`;
 * `*out_cut` tells that not all fitted. Only for STEER_ADDRESSES and
 * STEER_FALLBACK.
 */
unsigned steer_put(const struct steer_service *service, unsigned family,
                   const struct steer_choice *choice, uint16_t owner, uint32_t turn, uint8_t *out,
                   size_t cap, size_t *out_length, bool *out_cut);

/* Remember the present choice when it stands on rung 1 or 2. Control thread. */
void steer_remember(const struct steer_service *service);

/* Take over what `old` remembers, by address, as far as it is still configured. Control thread. */
void steer_inherit(const struct steer_service *service, const struct steer_service *old);

/*
 * Set or clear the hand's word on pool `pool`. Control thread, while others
 * answer; as one store for what they read in the common case.
 */
void steer_set_hand(const struct steer_service *service, uint32_t pool, enum steer_hand hand,
                    bool on);
bool steer_has_hand(const struct steer_service *service, uint32_t pool, enum steer_hand hand);
