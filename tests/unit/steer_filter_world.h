#pragma once
/*
 * steer_filter_world - a service by hand with filters, weights and clients
 *
 * cmocka is included before.
 */
#include "policy/steer_draw.h"
#include "policy/steer_share.h"
#include "policy/steer_wheel.h"
#include "tests/unit/steer_world.h"

#define WHOLE 65536u

struct filter_world {
    struct world w;
    struct steer_policy policy;
    struct steer_share shares[POOLS];
    uint32_t weights[POOLS][ADDR_FAMILIES][STEER_ENDPOINTS_MAX];
    uint64_t lots[ADDR_FAMILIES][POOLS * STEER_ENDPOINTS_MAX];
    uint64_t keys[POOLS][ADDR_FAMILIES][STEER_ENDPOINTS_MAX];
    struct steer_wheel wheels[ADDR_FAMILIES];
    struct steer_slot slots[ADDR_FAMILIES][2 * POOLS * STEER_ENDPOINTS_MAX];
    uint16_t picks[ADDR_FAMILIES][POOLS * STEER_ENDPOINTS_MAX];
};

static inline void put_weight(struct filter_world *f, unsigned pool, unsigned end, uint32_t weight)
{
    uint64_t bit = UINT64_C(1) << end;

    for (unsigned family = 0; family < ADDR_FAMILIES; family++) {
        struct steer_share *share = &f->shares[pool];
        f->weights[pool][family][end] = weight;
        share->idle[family] = weight == 0 ? share->idle[family] | bit : share->idle[family] & ~bit;
        f->policy.has_idle = f->policy.has_idle || weight == 0;
    }
}

static inline void settle_family(struct filter_world *f, unsigned family, bool weighted, int shift)
{
    unsigned count = 0;

    for (uint32_t p = 0; p < f->w.service.pool_count; p++) {
        f->shares[p].lots[family] = &f->lots[family][count];
        for (unsigned e = 0; e < f->w.pools[p].counts[family]; e++) {
            uint32_t weight = weighted ? f->weights[p][family][e] : 1;
            f->lots[family][count++] = steer_share_lot(weight, shift, p, e);
        }
    }
    f->policy.lots[family] = f->lots[family];
    f->policy.endpoints[family] = count;
    f->policy.wheels[family] = NULL;
    if (steer_share_wants_wheel(&f->policy, &f->w.service, family)) {
        uint64_t used[POOLS * STEER_ENDPOINTS_MAX];
        memcpy(used, f->lots[family], count * sizeof(*used));
        steer_wheel_fill(f->slots[family], steer_wheel_slots(count), f->picks[family], used, count,
                         &f->wheels[family]);
        f->policy.wheels[family] = &f->wheels[family];
    }
}

/* What follows from the weights, as a snapshot has it. */
static inline void settle(struct filter_world *f)
{
    bool weighted = (f->policy.filters & STEER_WEIGHT) != 0;
    uint64_t sum = 0;
    size_t count = 0;

    for (uint32_t p = 0; p < f->w.service.pool_count; p++) {
        for (unsigned family = 0; family < ADDR_FAMILIES; family++) {
            for (unsigned e = 0; e < f->w.pools[p].counts[family]; e++, count++) {
                sum += weighted ? f->weights[p][family][e] : 1;
            }
        }
    }
    for (unsigned family = 0; family < ADDR_FAMILIES; family++) {
        settle_family(f, family, weighted, steer_share_shift(sum, count));
    }
    steer_share_settle(&f->policy, f->shares, &f->w.service);
    f->policy.quick = steer_share_quick(&f->policy, &f->w.service);
    for (unsigned family = 0; family < ADDR_FAMILIES; family++) {
        bool by_hand = atomic_load(&f->w.service.has_hand);
        f->w.service.way[family] =
            (uint8_t)(by_hand ? STEER_WAY_CHOOSE : steer_way_of(&f->w.service, family));
    }
}

static inline void set_weight(struct filter_world *f, unsigned pool, unsigned end, uint32_t weight)
{
    put_weight(f, pool, end, weight);
    settle(f);
}

/* Lay filters over a world that is there. */
static inline void lay_filters(struct filter_world *f, unsigned filters)
{
    f->policy = (struct steer_policy){ .filters = filters, .sticky_bits = { 24, 56 } };
    memset(f->shares, 0, sizeof(f->shares));
    for (unsigned p = 0; p < f->w.service.pool_count; p++) {
        f->shares[p].key = steer_draw_key(1, names[p], strlen(names[p]));
        for (unsigned family = 0; family < ADDR_FAMILIES; family++) {
            f->shares[p].keys[family] = f->keys[p][family];
            for (unsigned e = 0; e < STEER_ENDPOINTS_MAX; e++) {
                struct addr address = address_of(p, family, e);
                f->keys[p][family][e] = steer_draw_key(1, address.bytes, 16);
            }
        }
        for (unsigned e = 0; e < STEER_ENDPOINTS_MAX; e++) {
            put_weight(f, p, e, 1);
        }
    }
    f->policy.shares = f->shares;
    f->w.service.policy = &f->policy;
    settle(f);
}

static inline void begin_filters(struct filter_world *f, unsigned filters, unsigned pools,
                                 unsigned ends)
{
    begin(&f->w, pools, ends, 0, 1);
    lay_filters(f, filters);
    for (unsigned p = 0; p < pools; p++) {
        set_up(&f->w, p, (UINT64_C(1) << ends) - 1, 0);
    }
}

static inline struct steer_client client_at(uint32_t address, uint32_t turn)
{
    struct steer_client client = { .known_bits = 32, .turn = turn };

    wire_put32(client.address.bytes, address);
    return client;
}

/* The same choice for a client, explained as well. */
static inline struct steer_choice choose_for(const struct filter_world *f, unsigned family,
                                             const struct steer_client *client)
{
    struct steer_choice choice, explained;
    struct steer_client one = *client, other = *client;
    struct text trace = { 0 };

    memset(&choice, 0xaa, sizeof(choice));
    memset(&explained, 0x55, sizeof(explained));
    steer_choose(&f->w.service, family, &one, &choice);
    steer_explain(&f->w.service, family, &other, &explained, &trace);
    assert_true(trace.length > 0);
    text_fini(&trace);
    assert_int_equal(choice.result, explained.result);
    assert_int_equal(choice.rung, explained.rung);
    assert_int_equal(choice.short_ttl, explained.short_ttl);
    assert_int_equal(one.scope_bits, other.scope_bits);
    if (choice.result != STEER_ADDRESSES) {
        return choice;
    }
    assert_int_equal(choice.several, explained.several);
    assert_int_equal(choice.pick_count, explained.pick_count);
    for (uint32_t i = 0; i < f->w.service.pool_count; i++) {
        assert_true(bits_of(&choice, i) == bits_of(&explained, i));
    }
    for (unsigned i = 0; i < choice.pick_count; i++) {
        assert_int_equal(choice.picks[i], explained.picks[i]);
    }
    return choice;
}
