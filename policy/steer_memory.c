#include "policy/steer_memory.h"

#include <string.h>

#define NOTHING_LEFT UINT32_MAX /* remembered, but its region is no longer configured */

static inline uint64_t load64(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

uint64_t steer_recall(const struct steer_service *service, unsigned family,
                      const struct steer_view *views, uint32_t *out_pool)
{
    uint32_t pool = atomic_load_explicit(&service->memory->pool[family], memory_order_acquire);

    if (pool == 0 || pool > service->pool_count ||
        (views[pool - 1].word & HEALTH_REGION_FORCED_DOWN) != 0) {
        return 0;
    }
    *out_pool = pool - 1;
    return load64(&service->memory->bits[family]) &
           steer_all_bits(service->pools[pool - 1].counts[family]) &
           ~steer_barred(&service->pools[pool - 1], family);
}

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
        choices[f].result = STEER_NODATA; /* of a family it has nothing of, without a look */
        if (service->has_family[f]) {
            steer_choose(service, f, NULL, &choices[f]);
        }
        good[f] = choices[f].result == STEER_ADDRESSES && choices[f].rung <= 2;
    }
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        if (good[f]) {
            /* of several regions together there is no one to come back to: then it is all */
            remember(service->memory, f, choices[f].several ? NOTHING_LEFT : choices[f].pool + 1,
                     choices[f].several ? 0 : choices[f].bits);
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
        atomic_store_explicit(&s->direct[f], !any && steer_may_be_direct(service, f),
                              memory_order_release);
    }
}

bool steer_has_hand(const struct steer_service *service, uint32_t pool, enum steer_hand hand)
{
    uint8_t hands = atomic_load_explicit(&service->pools[pool].hand, memory_order_relaxed);

    return (hands >> hand & 1) != 0;
}
