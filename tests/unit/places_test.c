#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "policy/model.h"
#include "policy/places.h"

#define PREFIXES 40

static const uint32_t regions[] = { 0, 1, 2, 3, 4, 5, 6, 7 };

static struct model_clients clients_of(uint32_t address, uint8_t bits, uint32_t region)
{
    struct model_clients clients = { .prefix = { .bits = bits }, .regions = &regions[region],
                                     .region_count = 1 };

    for (unsigned i = 0; i < 4; i++) {
        clients.prefix.base.bytes[i] = (uint8_t)(address >> (24 - 8 * i));
    }
    return clients;
}

static uint32_t region_at(const struct places *places, uint32_t address, uint8_t known,
                          uint8_t *out_scope)
{
    const struct model_clients at = clients_of(address, 32, 0);
    size_t count;
    uint32_t place = places_find(places, &at.prefix.base, known, out_scope);

    assert_true(place < places_count(places));
    const uint32_t *list = places_regions(places, place, &count);
    return count == 0 ? UINT32_MAX : list[0];
}

static void the_longest_prefix_says_where_a_client_stands(void **state)
{
    struct model_clients clients[] = { clients_of(0x0a000000, 8, 1), clients_of(0x0a010000, 16, 2),
                                       clients_of(0x0a010100, 24, 1) };
    struct model model = { .clients = clients, .clients_count = 3, .node_region = 5 };
    struct arena *arena = arena_new();
    uint8_t scope;
    (void)state;

    const struct places *places = places_build(&model, arena);
    assert_int_equal(region_at(places, 0x0b000000, 32, &scope), 5);
    assert_int_equal(scope, 8);
    assert_int_equal(region_at(places, 0x0a800000, 32, &scope), 1);
    assert_int_equal(scope, 9);
    assert_int_equal(region_at(places, 0x0a01ff00, 32, &scope), 2);
    assert_int_equal(scope, 17);
    assert_int_equal(region_at(places, 0x0a010101, 32, &scope), 1);
    assert_int_equal(scope, 24);
    assert_int_equal(region_at(places, 0x0a010101, 16, &scope), 1);
    assert_int_equal(scope, 16); /* never more than is known */
    arena_free(arena);
}

static void whatever_shares_the_scope_is_of_the_same_place(void **state)
{
    struct model_clients clients[PREFIXES];
    uint64_t dice = 17;
    (void)state;

    for (unsigned round = 0; round < 50; round++) {
        struct model model = { .clients = clients, .clients_count = PREFIXES,
                               .node_region = MODEL_NONE };
        struct arena *arena = arena_new();
        for (unsigned i = 0; i < PREFIXES; i++) {
            dice = dice * 6364136223846793005u + 1442695040888963407u;
            uint8_t bits = (uint8_t)(1 + (dice >> 40) % 12);
            uint32_t address = (uint32_t)(dice >> 32) & ~(UINT32_MAX >> bits);
            clients[i] = clients_of(address, bits, (uint32_t)(dice >> 58) & 7);
        }
        const struct places *places = places_build(&model, arena);
        for (uint32_t at = 0; at < 4096; at++) {
            uint8_t scope, ignored;
            uint32_t address = at << 20;
            uint32_t region = region_at(places, address, 32, &scope);
            uint32_t rest = scope == 0 ? UINT32_MAX : scope == 32 ? 0 : UINT32_MAX >> scope;
            assert_int_equal(region_at(places, address | rest, 32, &ignored), region);
            assert_int_equal(region_at(places, address & ~rest, 32, &ignored), region);
            unsigned longest = 0;
            for (unsigned i = 0; i < PREFIXES; i++) {
                const struct model_clients me = clients_of(address, 32, 0);
                bool holds = addr_prefix_contains(&clients[i].prefix, &me.prefix.base);
                longest = holds && clients[i].prefix.bits > longest ? clients[i].prefix.bits
                                                                    : longest;
            }
            assert_true((longest == 0) == (region == UINT32_MAX));
        }
        arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_prefix_says_where_a_client_stands),
        cmocka_unit_test(whatever_shares_the_scope_is_of_the_same_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
