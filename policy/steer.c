#include "policy/steer.h"

#include <string.h>

#include "base/text.h"
#include "zones/wire.h"

#define QUESTION_POINTER (0xc000u | WIRE_QUESTION)
#define RECORD_TTL_AT    6          /* behind owner pointer, type and class */
#define LOOKS_MOST       4          /* at words that move while they are read */
#define NOTHING_LEFT     UINT32_MAX /* remembered, but its region is no longer configured */

/* What the words say about one pool at one moment. */
struct view {
    uint32_t word; /* the region's */
    uint64_t up[ADDR_FAMILIES];
    uint64_t held[ADDR_FAMILIES];
    uint64_t proven[ADDR_FAMILIES]; /* of the present gate, else nothing */
    uint32_t minimum;
    bool short_ttl;
};

static inline uint64_t load64(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static inline unsigned count(uint64_t v4, uint64_t v6)
{
    return (unsigned)__builtin_popcountll(v4) + (unsigned)__builtin_popcountll(v6);
}

/* Are at least `minimum` bits set? Without counting where none or one will do. */
static inline bool meets(uint64_t v4, uint64_t v6, uint32_t minimum)
{
    return minimum <= 1 ? (v4 | v6) != 0 || minimum == 0 : count(v4, v6) >= minimum;
}

static inline bool is_short(uint32_t region_word, uint32_t group_flags)
{
    return (region_word & HEALTH_REGION_SUSPECT) != 0 || (group_flags & HEALTH_GROUP_SUSPECT) != 0;
}

static inline uint64_t load64_acquire(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

/*
 * Read in this order: `flags` before `proven`, which then belongs to the epoch
 * they name or to a newer one; `held` before `up`, so that an endpoint that
 * comes out of hold_down is seen in one of them (health stores them the other
 * way round).
 */
static void look(const struct steer_pool *pool, struct view *v)
{
    const struct health_group *group = pool->group;
    uint32_t flags = atomic_load_explicit(&group->flags, memory_order_acquire);

    v->word = atomic_load_explicit(&pool->region->word, memory_order_acquire);
    v->minimum = group->minimum;
    v->short_ttl = is_short(v->word, flags);
    bool counts = (v->word & HEALTH_REGION_PROVE) != 0 ||
                  v->word >> HEALTH_EPOCH_SHIFT == flags >> HEALTH_EPOCH_SHIFT;
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        v->held[f] = load64_acquire(&group->held[f]);
        v->up[f] = load64_acquire(&group->up[f]);
        v->proven[f] = counts ? load64_acquire(&group->proven[f]) : 0;
    }
}

/* Look once more. Returns whether everything is as it was. */
static bool look_again(const struct steer_pool *pool, struct view *v)
{
    struct view before = *v;

    look(pool, v);
    return before.word == v->word && before.short_ttl == v->short_ttl &&
           memcmp(before.up, v->up, sizeof(v->up)) == 0 &&
           memcmp(before.held, v->held, sizeof(v->held)) == 0 &&
           memcmp(before.proven, v->proven, sizeof(v->proven)) == 0;
}

/*
 * Look at all pools. Words change one by one while they are read: where one
 * region comes back as another goes, a single look may find both gone. So look
 * until nothing has moved, a few times at most.
 */
static void look_at_all(const struct steer_service *s, struct view *views)
{
    bool still = false;

    for (uint32_t i = 0; i < s->pool_count; i++) {
        look(&s->pools[i], &views[i]);
    }
    for (unsigned looks = 1; looks < LOOKS_MOST && !still; looks++) {
        still = true;
        for (uint32_t i = 0; i < s->pool_count; i++) {
            still = look_again(&s->pools[i], &views[i]) && still;
        }
    }
}

/* ---- the rungs: which endpoints of a pool stand on each ---- */

/* 1: the region is in (or proves itself), the group meets its minimum. */
static bool on_rung1(const struct view *v, uint64_t bits[ADDR_FAMILIES])
{
    uint32_t away = v->word & HEALTH_REGION_AWAY;
    bool prove = (v->word & HEALTH_REGION_PROVE) != 0 && away == HEALTH_REGION_GATED;

    if (away != 0 && !prove) {
        return false;
    }
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        bits[f] = prove ? v->up[f] & v->proven[f] : v->up[f];
    }
    return count(bits[0], bits[1]) >= v->minimum;
}

/* 2: the same, still in hold_down, be it the region's or its endpoints'. */
static bool on_rung2(const struct view *v, uint64_t bits[ADDR_FAMILIES])
{
    if ((v->word & HEALTH_REGION_AWAY & ~(uint32_t)HEALTH_REGION_HELD) != 0) {
        return false;
    }
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        bits[f] = v->up[f] | v->held[f];
    }
    return count(bits[0], bits[1]) >= v->minimum;
}

/* 3: gated, but endpoints enough passed their own checks since. */
static bool on_rung3(const struct view *v, uint64_t bits[ADDR_FAMILIES])
{
    uint32_t away = v->word & HEALTH_REGION_AWAY & ~(uint32_t)HEALTH_REGION_HELD;

    if (away != HEALTH_REGION_GATED) {
        return false;
    }
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        bits[f] = v->proven[f] & (v->up[f] | v->held[f]);
    }
    return count(bits[0], bits[1]) >= v->minimum;
}

/*
 * 4 and 5: everything up, in regions that are not drained, in those that are;
 * endpoints in hold_down only where `with_held` is set.
 */
static bool on_rung45(const struct view *v, bool drained, bool with_held,
                      uint64_t bits[ADDR_FAMILIES])
{
    if ((v->word & HEALTH_REGION_FORCED_DOWN) != 0 ||
        ((v->word & HEALTH_REGION_DRAINED) != 0) != drained) {
        return false;
    }
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        bits[f] = v->up[f] | (with_held ? v->held[f] : 0);
    }
    return count(bits[0], bits[1]) > 0;
}

/* ---- explaining ---- */

static const char *region_state(uint32_t word)
{
    if ((word & HEALTH_REGION_FORCED_DOWN) != 0) {
        return "forced down";
    }
    if ((word & HEALTH_REGION_DRAINED) != 0) {
        return "drained";
    }
    if ((word & HEALTH_REGION_GATED) != 0) {
        return "gated by its own checks";
    }
    return (word & HEALTH_REGION_HELD) != 0 ? "in hold_down" : "in";
}

static void explain_pool(struct text *trace, const struct steer_pool *pool, const struct view *v)
{
    text_printf(trace, "region %s is %s; endpoints up: %u of %u IPv4, %u of %u IPv6", //
                pool->region_name, region_state(v->word), count(v->up[ADDR_V4], 0),
                pool->counts[ADDR_V4], count(v->up[ADDR_V6], 0), pool->counts[ADDR_V6]);
    if (count(v->held[0], v->held[1]) > 0) {
        text_printf(trace, "; in hold_down: %u", count(v->held[0], v->held[1]));
    }
    if ((v->word & HEALTH_REGION_GATED) != 0) {
        text_printf(trace, "; passed since the gate: %u", count(v->proven[0], v->proven[1]));
    }
    text_printf(trace, "; minimum_healthy %u\n", v->minimum);
}

static void explain_rung(struct text *trace, unsigned rung, const char *what,
                         const char *region_name)
{
    text_printf(trace, "rung %u (%s): %s\n", rung, what,
                region_name == NULL ? "no region" : region_name);
}

static void explain_together(struct text *trace, bool drained, bool found)
{
    explain_rung(trace, drained ? 5 : 4,
                 drained ? "everything up in drained regions"
                         : "everything up, of all regions not drained",
                 found ? "endpoints of all such regions together" : NULL);
}

/* ---- choosing ---- */

typedef bool rung_test(const struct view *v, uint64_t bits[ADDR_FAMILIES]);

static const struct {
    rung_test *test;
    const char *what;
} single_rungs[] = {
    { on_rung1, "region in or proving itself, minimum met" },
    { on_rung2, "the same, in hold_down" },
    { on_rung3, "region gated, endpoints proven since" },
};

/*
 * Rungs 1 to 3: the first pool in order on the first rung that has an endpoint
 * of the family. `*out_any` tells whether any family had one.
 */
static bool choose_single(const struct steer_service *s, unsigned family, struct view *views,
                          struct steer_choice *choice, bool *out_any, struct text *trace)
{
    for (unsigned rung = 0; rung < 3; rung++) {
        for (uint32_t i = 0; i < s->pool_count; i++) {
            uint64_t bits[ADDR_FAMILIES];
            if (!single_rungs[rung].test(&views[i], bits)) {
                continue;
            }
            *out_any = true;
            if (bits[family] == 0) {
                continue;
            }
            choice->result = STEER_ADDRESSES;
            choice->rung = (uint8_t)(rung + 1);
            choice->pool = i;
            choice->several = false;
            choice->bits = bits[family];
            choice->short_ttl = rung > 0 || views[i].short_ttl;
            if (trace != NULL) {
                explain_rung(trace, rung + 1, single_rungs[rung].what, s->pools[i].region_name);
            }
            return true;
        }
        if (trace != NULL) {
            explain_rung(trace, rung + 1, single_rungs[rung].what, NULL);
        }
    }
    return false;
}

/* Rungs 4 and 5: all that is up, together. */
static bool choose_together(const struct steer_service *s, unsigned family, struct view *views,
                            struct steer_choice *choice, bool *out_any, struct text *trace)
{
    for (unsigned step = 0; step < 4; step++) {
        bool drained = step >= 2;
        uint64_t found = 0;
        for (uint32_t i = 0; i < s->pool_count; i++) {
            uint64_t bits[ADDR_FAMILIES] = { 0 };
            bool stands = on_rung45(&views[i], drained, (step & 1) != 0, bits);
            *out_any = *out_any || stands;
            choice->bits_of[i] = stands ? bits[family] : 0;
            found |= choice->bits_of[i];
        }
        if (found != 0) {
            choice->result = STEER_ADDRESSES;
            choice->rung = drained ? 5 : 4;
            choice->several = true;
            choice->short_ttl = true;
            if (trace != NULL) {
                explain_together(trace, drained, true);
            }
            return true;
        }
        if (trace != NULL && (step & 1) != 0) {
            explain_together(trace, drained, false);
        }
    }
    return false;
}

static uint64_t all_bits(unsigned endpoints)
{
    return endpoints == 0 ? 0 : UINT64_MAX >> (64 - endpoints);
}

/* Every endpoint configured, but never of a region forced down. */
static void choose_all(const struct steer_service *s, unsigned family, const struct view *views,
                       struct steer_choice *choice)
{
    unsigned found[ADDR_FAMILIES] = { 0 };

    for (uint32_t i = 0; i < s->pool_count; i++) {
        bool forced = (views[i].word & HEALTH_REGION_FORCED_DOWN) != 0;
        for (unsigned f = 0; f < ADDR_FAMILIES && !forced; f++) {
            found[f] += s->pools[i].counts[f];
        }
        choice->bits_of[i] = forced ? 0 : all_bits(s->pools[i].counts[family]);
    }
    choice->several = true;
    choice->result = found[family] > 0         ? STEER_ADDRESSES
                     : found[0] + found[1] > 0 ? STEER_NODATA
                                               : STEER_SERVFAIL;
}

/* What is left of the endpoints remembered for `family`: `*out_pool` and their bits, or 0. */
static uint64_t recall(const struct steer_service *s, unsigned family, const struct view *views,
                       uint32_t *out_pool)
{
    uint32_t pool = atomic_load_explicit(&s->memory->pool[family], memory_order_acquire);

    if (pool == 0 || pool > s->pool_count ||
        (views[pool - 1].word & HEALTH_REGION_FORCED_DOWN) != 0) {
        return 0;
    }
    *out_pool = pool - 1;
    return load64(&s->memory->bits[family]) & all_bits(s->pools[pool - 1].counts[family]);
}

/* As it was when the service last stood on rung 1 or 2; false when nothing is left of that. */
static bool choose_last_good(const struct steer_service *s, unsigned family,
                             const struct view *views, struct steer_choice *choice)
{
    unsigned other = family == ADDR_V4 ? ADDR_V6 : ADDR_V4;
    uint32_t pool;
    uint64_t bits = recall(s, family, views, &pool);

    if (bits != 0) {
        choice->result = STEER_ADDRESSES;
        choice->pool = pool;
        choice->bits = bits;
        return true;
    }
    /* only the other family answered then: so it is now */
    bool never = atomic_load_explicit(&s->memory->pool[family], memory_order_relaxed) == 0;
    choice->result = STEER_NODATA;
    return never && recall(s, other, views, &pool) != 0;
}

static void choose_all_down(const struct steer_service *s, unsigned family,
                            const struct view *views, struct steer_choice *choice,
                            struct text *trace)
{
    const char *what = "all";

    choice->rung = 6;
    switch (s->on_all_down) {
    case MODEL_ALL_DOWN_SERVFAIL:
        choice->result = STEER_SERVFAIL;
        what = "servfail";
        break;
    case MODEL_ALL_DOWN_FALLBACK:
        choice->result = s->fallback_counts[family] > 0 ? STEER_FALLBACK : STEER_NODATA;
        what = "fallback";
        break;
    case MODEL_ALL_DOWN_LAST_GOOD:
        if (choose_last_good(s, family, views, choice)) {
            what = "last_good";
            break;
        }
        what = "last_good, but nothing is remembered: all";
        choose_all(s, family, views, choice);
        break;
    case MODEL_ALL_DOWN_ALL:
        choose_all(s, family, views, choice);
        break;
    }
    if (trace != NULL) {
        explain_rung(trace, 6, "nothing is up: on_all_down", what);
    }
}

/* Everything but the common case; also the whole when it is to be explained. */
static void choose_slowly(const struct steer_service *s, unsigned family,
                          struct steer_choice *choice, struct text *trace)
{
    struct view views[STEER_POOLS_MAX];
    bool any = false;

    look_at_all(s, views);
    for (uint32_t i = 0; i < s->pool_count && trace != NULL; i++) {
        explain_pool(trace, &s->pools[i], &views[i]);
    }
    if (choose_single(s, family, views, choice, &any, trace) ||
        choose_together(s, family, views, choice, &any, trace)) {
        return;
    }
    choice->short_ttl = true;
    choice->several = false;
    choice->pool = 0;
    choice->bits = 0;
    if (any) {
        choice->result = STEER_NODATA;
        choice->rung = 4;
        if (trace != NULL) {
            text_put(trace, "no endpoint of this address family is up, one of the other is: "
                            "NODATA\n");
        }
        return;
    }
    choose_all_down(s, family, views, choice, trace);
}

void steer_choose(const struct steer_service *service, unsigned family, struct steer_choice *choice)
{
    /* the common case: the first region that is in and meets its minimum */
    for (uint32_t i = 0; i < service->pool_count; i++) {
        const struct steer_pool *pool = &service->pools[i];
        uint32_t word = atomic_load_explicit(&pool->region->word, memory_order_relaxed);
        uint64_t up[ADDR_FAMILIES];
        if ((word & HEALTH_REGION_AWAY) != 0) {
            if ((word & HEALTH_REGION_PROVE) != 0) {
                break;
            }
            continue;
        }
        up[0] = load64(&pool->group->up[0]);
        up[1] = load64(&pool->group->up[1]);
        if (up[family] == 0 || !meets(up[0], up[1], pool->group->minimum)) {
            continue;
        }
        uint32_t flags = atomic_load_explicit(&pool->group->flags, memory_order_relaxed);
        choice->result = STEER_ADDRESSES;
        choice->rung = 1;
        choice->pool = i;
        choice->several = false;
        choice->bits = up[family];
        choice->short_ttl = is_short(word, flags);
        return;
    }
    choose_slowly(service, family, choice, NULL);
}

/* Is `a` of a better rung, or of the same and a pool before that of `b`? */
static bool leads(const struct steer_choice *a, const struct steer_choice *b)
{
    if (a->result != STEER_ADDRESSES || a->several) {
        return false;
    }
    return b->result != STEER_ADDRESSES || b->several || a->rung < b->rung ||
           (a->rung == b->rung && a->pool < b->pool);
}

const uint8_t *steer_cname(const struct steer_service *service, unsigned family,
                           struct steer_choice *choice)
{
    struct steer_choice other;

    steer_choose(service, family, choice);
    steer_choose(service, family == ADDR_V4 ? ADDR_V6 : ADDR_V4, &other);
    bool is_other = leads(&other, choice);
    const struct steer_choice *lead = is_other ? &other : choice;
    if (lead->result != STEER_ADDRESSES || lead->several ||
        service->cnames[lead->pool] == NULL) {
        return NULL;
    }
    if (is_other) {
        /* another pool's addresses do not stand behind this one's name */
        choice->result = STEER_NODATA;
        choice->short_ttl = lead->short_ttl;
        choice->rung = lead->rung;
    }
    return service->cnames[lead->pool];
}

void steer_explain(const struct steer_service *service, unsigned family,
                   struct steer_choice *choice, struct text *trace)
{
    choose_slowly(service, family, choice, trace);
}

/* ---- answering ---- */

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
    uint32_t ttl_s;
    uint16_t owner;
    unsigned written;
    bool cut;
};

static inline void put_record(struct sink *sink, const uint8_t *record)
{
    if (sink->left < sink->size) {
        sink->cut = true;
        return;
    }
    memcpy(sink->out, record, 16);
    if (sink->size == 28) {
        memcpy(sink->out + 16, record + 16, 12);
    }
    wire_put16(sink->out, (uint16_t)(0xc000u | sink->owner));
    wire_put32(sink->out + RECORD_TTL_AT, sink->ttl_s);
    sink->out += sink->size;
    sink->left -= sink->size;
    sink->written++;
}

/* The records of one pool, from the set bit number `first` on, around. */
static void put_pool(struct sink *sink, const uint8_t *records, uint64_t bits, unsigned first,
                     unsigned most)
{
    uint64_t rest = bits;

    for (; first > 0; first--) {
        rest &= rest - 1;
    }
    uint64_t wrapped = bits ^ rest;
    for (; most > 0 && rest != 0; most--, rest &= rest - 1) {
        put_record(sink, records + (unsigned)__builtin_ctzll(rest) * sink->size);
    }
    for (; most > 0 && wrapped != 0; most--, wrapped &= wrapped - 1) {
        put_record(sink, records + (unsigned)__builtin_ctzll(wrapped) * sink->size);
    }
}

/* A number below `n` from 32 random bits, without dividing. */
static inline unsigned scale(uint32_t turn, unsigned n)
{
    return (unsigned)(((uint64_t)turn * n) >> 32);
}

static void put_several(const struct steer_service *s, unsigned family,
                        const struct steer_choice *choice, uint32_t turn, struct sink *sink)
{
    unsigned total = 0;

    for (uint32_t i = 0; i < s->pool_count; i++) {
        total += count(choice->bits_of[i], 0);
    }
    unsigned first = scale(turn, total);
    unsigned left = total < s->max_addresses ? total : s->max_addresses;
    for (unsigned round = 0; round < 2; round++) {
        unsigned number = 0;
        for (uint32_t i = 0; i < s->pool_count; i++) {
            for (uint64_t b = choice->bits_of[i]; b != 0 && left > 0; b &= b - 1, number++) {
                if ((number >= first) == (round == 0)) {
                    put_record(sink, s->pools[i].records[family] +
                                         (unsigned)__builtin_ctzll(b) * sink->size);
                    left--;
                }
            }
        }
    }
}

unsigned steer_put(const struct steer_service *service, unsigned family,
                   const struct steer_choice *choice, uint16_t owner, uint32_t turn, uint8_t *out,
                   size_t cap, size_t *out_length, bool *out_cut)
{
    struct sink sink = {
        .out = out,
        .left = cap,
        .size = steer_record_bytes(family),
        .ttl_s = choice->short_ttl ? service->ttl_suspect_s : service->ttl_normal_s,
        .owner = owner,
    };

    if (choice->result == STEER_FALLBACK) {
        unsigned n = service->fallback_counts[family];
        put_pool(&sink, service->fallback[family], all_bits(n), scale(turn, n),
                 service->max_addresses);
    } else if (choice->several) {
        put_several(service, family, choice, turn, &sink);
    } else if ((choice->bits & (choice->bits - 1)) == 0) {
        put_record(&sink, service->pools[choice->pool].records[family] +
                              (unsigned)__builtin_ctzll(choice->bits) * sink.size);
    } else {
        unsigned n = count(choice->bits, 0);
        put_pool(&sink, service->pools[choice->pool].records[family], choice->bits, scale(turn, n),
                 service->max_addresses);
    }
    *out_length = (size_t)(sink.out - out);
    *out_cut = sink.cut;
    return sink.written;
}

/* ---- memory for on_all_down ---- */

static void remember(struct steer_memory *memory, unsigned family, uint32_t pool, uint64_t bits)
{
    atomic_store_explicit(&memory->bits[family], bits, memory_order_relaxed);
    atomic_store_explicit(&memory->pool[family], pool, memory_order_release);
}

void steer_remember(const struct steer_service *service)
{
    struct steer_choice choices[ADDR_FAMILIES];
    bool good[ADDR_FAMILIES];

    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        steer_choose(service, f, &choices[f]);
        good[f] = choices[f].result == STEER_ADDRESSES && choices[f].rung <= 2;
    }
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        if (good[f]) {
            remember(service->memory, f, choices[f].pool + 1, choices[f].bits);
        } else if (good[1 - f] && choices[f].result == STEER_NODATA) {
            remember(service->memory, f, 0, 0);
        }
    }
}

/* The bit of the endpoint of `pool` whose compiled record holds this address, or 0. */
static uint64_t bit_of(const struct steer_pool *pool, unsigned family, const uint8_t *record)
{
    unsigned size = steer_record_bytes(family);

    for (unsigned i = 0; i < pool->counts[family]; i++) {
        if (memcmp(pool->records[family] + i * size + 12, record + 12, size - 12) == 0) {
            return UINT64_C(1) << i;
        }
    }
    return 0;
}

/* The pool of the region named so, or NULL. */
static const struct steer_pool *find_pool(const struct steer_service *service, const char *name)
{
    for (uint32_t i = 0; i < service->pool_count; i++) {
        if (strcmp(service->pools[i].region_name, name) == 0) {
            return &service->pools[i];
        }
    }
    return NULL;
}

static void inherit(const struct steer_service *service, const struct steer_service *old,
                    unsigned family)
{
    uint32_t remembered = atomic_load_explicit(&old->memory->pool[family], memory_order_acquire);
    uint64_t bits = 0;

    if (remembered == 0 || remembered > old->pool_count) {
        remember(service->memory, family, remembered, 0);
        return;
    }
    const struct steer_pool *from = &old->pools[remembered - 1];
    const struct steer_pool *to = find_pool(service, from->region_name);
    if (to == NULL) {
        remember(service->memory, family, NOTHING_LEFT, 0);
        return;
    }
    for (uint64_t b = load64(&old->memory->bits[family]); b != 0; b &= b - 1) {
        bits |= bit_of(to, family,
                       from->records[family] +
                           (unsigned)__builtin_ctzll(b) * steer_record_bytes(family));
    }
    remember(service->memory, family, (uint32_t)(to - service->pools) + 1, bits);
}

void steer_inherit(const struct steer_service *service, const struct steer_service *old)
{
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        inherit(service, old, f);
    }
}
