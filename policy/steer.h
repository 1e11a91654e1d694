#pragma once
/*
 * steer - which addresses a service answers with: the ladder and its filters
 *
 * Choosing is a pure function of (service, family, client, health words), with
 * an optional trace: the answering path and `leeward why` run the same code. A
 * rung is used only when no rung above it has an endpoint:
 *   1. region in, and its group meets minimum_healthy
 *   2. the same, still in hold_down
 *   3. region gated by its own checks, but the group meets its minimum by
 *      direct checks made since
 *   4. every endpoint that is up, in any region not forced down, together
 *   5. the same in drained regions
 *   6. on_all_down
 * Within the rung the service's filters order, narrow and draw (steer_filter).
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
#define STEER_NO_POOL       0xff

struct places;
struct steer_wheel;
struct text;

/* One region's endpoints of a service, with the words that say how they are. */
struct steer_pool {
    /* what every answer reads, in half a cache line (see steer_service) */
    const struct health_region *region;
    const struct health_group *group;
    /* compiled records behind a question, one after the other, and those of the next pool behind
     * them: see steer_record_bytes */
    const uint8_t *records[ADDR_FAMILIES];
    const char *region_name;
    uint32_t region_index;
    uint8_t counts[ADDR_FAMILIES];
    _Atomic uint8_t hand; /* a bit per steer_hand */
};

/* What each family answered when the service last stood on rung 1 or 2. Written by the
 * control thread only. */
struct steer_memory {
    /* index + 1; 0: none; too high: several, or no longer configured (see steer_memory) */
    _Atomic uint32_t pool[ADDR_FAMILIES];
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

/* Which filters a service has, as bits; see model_filter_kind. */
enum steer_filters {
    STEER_NEAREST = 1,
    STEER_LATENCY = 2,
    STEER_ALL = 4,
    STEER_CAPACITY = 8,
    STEER_WEIGHT = 16,
    STEER_STICKY = 32,
    STEER_SHUFFLE = 64,
    STEER_TRICKLE = 128,
};

/* The pools of a service in the order of each place (see places.h). */
struct steer_orders {
    const uint8_t *pools; /* [place * pool_count + rank] */
    const uint8_t *homes; /* by place: the pool of its nearest region that has one, or
                           * STEER_NO_POOL; of place 0, this node's own region's */
};

/* How the endpoints of one pool share its answers. */
struct steer_share {
    const uint64_t *lots[ADDR_FAMILIES]; /* by endpoint: see steer_share_lot */
    const uint64_t *keys[ADDR_FAMILIES]; /* by endpoint: a hash, the same on every node */
    uint64_t idle[ADDR_FAMILIES];        /* of weight 0: used when nothing else is there */
    uint64_t key;                        /* of the region, as those of endpoints */
    uint32_t sums[ADDR_FAMILIES];        /* of the lots' weights: what it weighs among pools */
    uint32_t load;                       /* what clients of its region bring */
};

/* What SRV says of one endpoint. RFC 2782. */
struct steer_srv {
    const uint8_t *target; /* dname */
    uint16_t weight;
    uint16_t port;
};

/* Who may be asked first for the answer to a question for addresses. */
enum steer_way {
    STEER_WAY_CHOOSE, /* steer_choose */
    STEER_WAY_DIRECT, /* steer_put_direct: no CNAME, no filters, views or hand */
    STEER_WAY_QUICK,  /* steer_put_quick: no CNAME, views or hand */
};

/* How steer_put_quick may answer. */
enum steer_quick {
    STEER_QUICK_NOT,
    STEER_QUICK_ORDERED,  /* from the first pool in order, drawn or not */
    STEER_QUICK_DRAWN,    /* drawn from all pools by the wheel */
    STEER_QUICK_STICKY,   /* from the pool of all that the client sticks to */
    STEER_QUICK_CAPACITY, /* from the pool drawn by what each can carry */
    STEER_QUICK_GENERAL,
};

/* What only some services have, beside the first region in order. */
struct steer_policy {
    unsigned filters;        /* enum steer_filters */
    uint32_t band_us;        /* LATENCY */
    uint32_t trickle_65536;  /* TRICKLE */
    uint8_t sticky_bits[ADDR_FAMILIES];
    bool has_load;           /* CAPACITY: shares' `load` is given */
    bool has_idle;           /* some endpoint has weight 0 */
    bool is_personal;        /* it matters who asks, not only that somebody does */
    bool is_even[ADDR_FAMILIES]; /* all pools weigh the same */
    enum steer_quick quick;
    uint64_t load_sum;       /* of all pools */
    uint32_t endpoints[ADDR_FAMILIES]; /* configured, of all pools; 0: not counted */
    const struct places *places;       /* NEAREST and CAPACITY, else NULL */
    const struct steer_orders *orders; /* the same */
    const struct steer_share *shares;  /* by pool */
    const uint64_t *lots[ADDR_FAMILIES]; /* of all pools; without the filter WEIGHT all weigh 1 */
    /* of all endpoints of the family, where draws from many are to be expected; else NULL */
    const struct steer_wheel *wheels[ADDR_FAMILIES];
    const struct steer_srv *const *srv[ADDR_FAMILIES]; /* by pool, endpoint; NULL: no SRV */
    /* by index of the model's views, NULL where one has no endpoints of its own; NULL: none has */
    const struct steer_service *const *views;
    const struct model_view *rules; /* with `views`: who is in which */
    size_t rule_count;
    const char *view_name; /* NULL: it is not one of them */
};

struct steer_service {
    /* what every answer reads, together */
    const struct steer_pool *pools; /* in the order of preference */
    uint32_t pool_count;
    uint32_t ttl_normal_s;
    uint32_t ttl_suspect_s;
    uint32_t max_addresses;
    bool has_family[ADDR_FAMILIES]; /* any endpoint of it configured, or one that has a name */
    _Atomic uint8_t way[ADDR_FAMILIES]; /* enum steer_way */
    _Atomic bool has_hand; /* some pool has a word of the hand */
    uint8_t fallback_counts[ADDR_FAMILIES];
    enum model_all_down on_all_down;
    const uint8_t *fallback[ADDR_FAMILIES]; /* compiled records */
    struct steer_memory *memory;
    const char *name;
    const uint8_t *dname;
    uint32_t index; /* in the model */
    const uint8_t *const *cnames; /* by pool: the dname it is answered as, or NULL; NULL: none is */
    const struct steer_policy *policy; /* NULL: the first region in order, nothing else */
};

/* Who asks, as far as a choice depends on it. */
struct steer_client {
    struct addr address; /* its own, or the subnet it asks for (RFC 7871) */
    uint8_t known_bits;  /* of the address */
    uint8_t scope_bits;  /* out: clients that share so many bits are treated alike; 0: all are */
    uint32_t turn;       /* random bits of the query, for what is drawn */
};

enum steer_result {
    STEER_ADDRESSES, /* pools[i] of `pools` with bits[i] */
    STEER_FALLBACK,  /* the service's fallback records */
    STEER_NODATA,    /* this family has nothing up, another has */
    STEER_SERVFAIL,
};

/* A choice: one pool, or several together. */
struct steer_choice {
    enum steer_result result;
    uint8_t rung; /* 1 to 6 */
    bool short_ttl;
    uint32_t pool; /* the one pool, when `several` is false */
    bool several;  /* bits_of[] is set for all pools */
    uint64_t bits; /* of the one pool */
    uint64_t bits_of[STEER_POOLS_MAX];
    /* the answer to this very client, in this order, when there are any; else all, in turn */
    uint8_t pick_count;
    uint16_t picks[STEER_ENDPOINTS_MAX]; /* see steer_pick */
};

/* One endpoint of one pool. */
static inline uint16_t steer_pick(unsigned pool, unsigned endpoint)
{
    return (uint16_t)(pool << 8 | endpoint);
}

static inline unsigned steer_pick_pool(uint16_t pick)
{
    return pick >> 8;
}

static inline unsigned steer_pick_endpoint(uint16_t pick)
{
    return pick & 0xff;
}

/* The way for the family, where the operator's hand has no word. */
static inline enum steer_way steer_way_of(const struct steer_service *service, unsigned family)
{
    const struct steer_policy *policy = service->policy;

    if (!service->has_family[family] || service->cnames != NULL ||
        (policy != NULL && policy->views != NULL)) {
        return STEER_WAY_CHOOSE;
    }
    if (policy == NULL || (policy->filters == 0 && !policy->has_idle)) {
        return STEER_WAY_DIRECT;
    }
    return policy->quick != STEER_QUICK_NOT ? STEER_WAY_QUICK : STEER_WAY_CHOOSE;
}

/* Size of one compiled record: owner pointer, type, class, TTL, length, address. */
static inline unsigned steer_record_bytes(unsigned family)
{
    return family == ADDR_V4 ? 16 : 28;
}

/* Compile the record of an address into `out`; its owner points to the question. */
void steer_record_put(uint8_t *out, const struct addr *address, uint32_t ttl_s);

/*
 * Choose for `family` and `client`, NULL for nobody in particular: then nothing
 * is drawn, and it is the order of this node's place that counts. No lock, no
 * allocation; cannot fail.
 */
void steer_choose(const struct steer_service *service, unsigned family,
                  struct steer_client *client, struct steer_choice *choice);

/*
 * Choose as CNAME: of the choices of both families the one on the better rung,
 * or of the pool preferred, says which pool it is, for every type of question
 * alike. Returns the pool's name and in `choice` its addresses of `family`, of
 * which there may be none; NULL when it is not answered as CNAME, and `choice`
 * is what steer_choose says. Only for a service with `cnames`.
 */
const uint8_t *steer_cname(const struct steer_service *service, unsigned family,
                           struct steer_client *client, struct steer_choice *choice);

/* As steer_choose, and write every step that led to it as lines for people. */
void steer_explain(const struct steer_service *service, unsigned family,
                   struct steer_client *client, struct steer_choice *choice, struct text *trace);

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

/*
 * Choose and put in one, where nothing but the order of regions decides; only
 * for a service whose way for the family it is. -1, and nothing written, when
 * something makes a closer look due: steer_choose.
 */
int steer_put_direct(const struct steer_service *service, unsigned family, uint16_t owner,
                     uint32_t turn, uint8_t *out, size_t cap, size_t *out_length, bool *out_cut);

/*
 * The same with filters, also only where it is the way: for the client, which
 * is not NULL and brings its `scope_bits` cleared; of its address no more is
 * read than the policy says (`is_personal`). -1, and nothing written, when
 * something makes a closer look due: steer_choose, with the same draw.
 */
int steer_put_quick(const struct steer_service *service, unsigned family,
                    struct steer_client *client, uint16_t owner, uint32_t turn, uint8_t *out,
                    size_t cap, size_t *out_length, bool *out_cut);

/* Remember the present choice when it stands on rung 1 or 2. Control thread. */
void steer_remember(const struct steer_service *service);

/* Take over what `old` remembers, by address, as far as it is still configured. Control thread. */
void steer_inherit(const struct steer_service *service, const struct steer_service *old);

/*
 * Set or clear the hand's word on pool `pool`. Control thread, while others
 * answer; the service's snapshot may be read-only to the caller, this word is not.
 */
void steer_set_hand(const struct steer_service *service, uint32_t pool, enum steer_hand hand,
                    bool on);
bool steer_has_hand(const struct steer_service *service, uint32_t pool, enum steer_hand hand);
