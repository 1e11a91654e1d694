#include "policy/steer_memory.h"

#include <string.h>

/* What `pool` of a memory is where it is no number of a pool: always too high for one. */
#define NOTHING_LEFT UINT32_MAX       /* remembered, but its region is no longer configured */
#define ENDPOINTS    (UINT32_MAX - 1) /* bits: of all pools, one behind the other */
#define WHOLE_POOLS  (UINT32_MAX - 2) /* bits: pools, with all that is configured of them */

#define WORD_BITS 64

static inline uint64_t load64(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* So many endpoints are in the pools before this one. */
static unsigned endpoints_before(const struct steer_service *service, unsigned family,
                                 uint32_t pool)
{
    unsigned count = 0;

    for (uint32_t i = 0; i < pool; i++) {
        count += service->pools[i].counts[family];
    }
    return count;
}

uint64_t steer_memory_bits(const struct steer_service *service, unsigned family, uint32_t pool)
{
    uint32_t what = atomic_load_explicit(&service->memory->pool[family], memory_order_acquire);
    uint64_t bits = load64(&service->memory->bits[family]);
    uint64_t all = steer_all_bits(service->pools[pool].counts[family]);

    if (what == WHOLE_POOLS) {
        return (bits >> pool & 1) != 0 ? all : 0;
    }
    if (what == ENDPOINTS) {
        unsigned before = endpoints_before(service, family, pool);
        return before < WORD_BITS ? bits >> before & all : 0;
    }
    return what == pool + 1 ? bits & all : 0;
}

uint64_t steer_recall(const struct steer_service *service, unsigned family,
                      const struct steer_view *views, uint32_t pool)
{
    if ((views[pool].word & HEALTH_REGION_FORCED_DOWN) != 0) {
        return 0;
    }
    return steer_memory_bits(service, family, pool) & ~steer_barred(&service->pools[pool], family);
}

static void remember(struct steer_memory *memory, unsigned family, uint32_t pool, uint64_t bits)
{
    atomic_store_explicit(&memory->bits[family], bits, memory_order_relaxed);
    atomic_store_explicit(&memory->pool[family], pool, memory_order_release);
}

static void remember_several(const struct steer_service *service, unsigned family,
                             const uint64_t bits[STEER_POOLS_MAX])
{
    bool fits = endpoints_before(service, family, service->pool_count) <= WORD_BITS;
    uint64_t word = 0;

    for (uint32_t i = 0, before = 0; i < service->pool_count; i++) {
        if (bits[i] != 0) {
            word |= fits ? bits[i] << before : UINT64_C(1) << i;
        }
        before += service->pools[i].counts[family];
    }
    remember(service->memory, family, fits ? ENDPOINTS : WHOLE_POOLS, word);
}

void steer_memory_put(const struct steer_service *service, unsigned family,
                      const uint64_t bits[STEER_POOLS_MAX])
{
    uint32_t count = 0, last = 0;

    for (uint32_t i = 0; i < service->pool_count; i++) {
        if (bits[i] != 0) {
            count++;
            last = i;
        }
    }
    if (count > 1) {
        remember_several(service, family, bits);
    } else if (count == 1) {
        remember(service->memory, family, last + 1, bits[last]);
    } else {
        remember(service->memory, family, NOTHING_LEFT, 0);
    }
}

void steer_remember(const struct steer_service *service)
{
    struct steer_choice choices[ADDR_FAMILIES];
    bool good[ADDR_FAMILIES];

    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        choices[f].result = STEER_NODATA; /* of a family it has nothing of, without a look */
        if (service->has_family[f]) {
            steer_choose(service, f, NULL, &choices[f]);
        }
        good[f] = choices[f].result == STEER_ADDRESSES && choices[f].rung <= 2;
    }
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        if (good[f] && choices[f].several) {
            steer_memory_put(service, f, choices[f].bits_of);
        } else if (good[f]) {
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

/* The endpoints of `to` at the addresses of these of `from`. */
static uint64_t same_addresses(const struct steer_pool *to, const struct steer_pool *from,
                               unsigned family, uint64_t bits)
{
    uint64_t out = 0;

    for (; bits != 0; bits &= bits - 1) {
        out |= bit_of(to, family,
                      from->records[family] +
                          (unsigned)__builtin_ctzll(bits) * steer_record_bytes(family));
    }
    return out;
}

static void inherit(const struct steer_service *service, const struct steer_service *old,
                    unsigned family)
{
    uint32_t remembered = atomic_load_explicit(&old->memory->pool[family], memory_order_acquire);
    uint64_t bits[STEER_POOLS_MAX] = { 0 };

    if (remembered == 0) {
        remember(service->memory, family, 0, 0);
        return;
    }
    for (uint32_t i = 0; i < service->pool_count; i++) {
        const struct steer_pool *to = &service->pools[i];
        const struct steer_pool *from = find_pool(old, to->region_name);
        if (from == NULL) {
            continue;
        }
        uint32_t was = (uint32_t)(from - old->pools);
        bits[i] = same_addresses(to, from, family, steer_memory_bits(old, family, was));
        if (was + 1 == remembered) { /* also when none of its endpoints is left: it stood there */
            remember(service->memory, family, i + 1, bits[i]);
            return;
        }
    }
    steer_memory_put(service, family, bits);
}

void steer_inherit(const struct steer_service *service, const struct steer_service *old)
{
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        inherit(service, old, f);
    }
}

/* ---- the operator's hand ---- */

/*
 * Snapshots are read-only but for this: their services lie in an arena, and
 * only the control thread writes these words.
 */
static struct steer_pool *writable(const struct steer_service *service, uint32_t pool)
{
    return (struct steer_pool *)(uintptr_t)&service->pools[pool];
}

void steer_set_hand(const struct steer_service *service, uint32_t pool, enum steer_hand hand,
                    bool on)
{
    struct steer_service *s = (struct steer_service *)(uintptr_t)service;
    struct steer_pool *p = writable(service, pool);
    uint8_t bit = (uint8_t)(1u << hand);
    uint8_t before = atomic_load_explicit(&p->hand, memory_order_relaxed);
    uint8_t now = on ? before | bit : (uint8_t)(before & ~bit);
    bool any = false;

    atomic_store_explicit(&p->hand, now, memory_order_relaxed);
    for (uint32_t i = 0; i < service->pool_count; i++) {
        any = any || atomic_load_explicit(&service->pools[i].hand, memory_order_relaxed) != 0;
    }
    atomic_store_explicit(&s->has_hand, any, memory_order_release);
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        enum steer_way way = any ? STEER_WAY_CHOOSE : steer_way_of(service, f);
        atomic_store_explicit(&s->way[f], (uint8_t)way, memory_order_release);
    }
}

bool steer_has_hand(const struct steer_service *service, uint32_t pool, enum steer_hand hand)
{
    uint8_t hands = atomic_load_explicit(&service->pools[pool].hand, memory_order_relaxed);

    return (hands >> hand & 1) != 0;
}
