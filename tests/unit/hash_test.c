#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct hash_key key = { UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908) };

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

/* SipHash-c-d once more, byte by byte as the paper tells it. */
static uint64_t sip(unsigned c, unsigned d, const uint8_t *bytes, size_t size)
{
    uint64_t v[4] = { key.k0 ^ UINT64_C(0x736f6d6570736575), key.k1 ^ UINT64_C(0x646f72616e646f6d),
                      key.k0 ^ UINT64_C(0x6c7967656e657261),
                      key.k1 ^ UINT64_C(0x7465646279746573) };

    for (size_t block = 0; block <= size / 8 + 1; block++) {
        bool final = block == size / 8 + 1;
        uint64_t word = 0;
        for (size_t i = 0; i < 8 && !final; i++) {
            size_t at = block * 8 + i;
            uint64_t byte = at < size ? bytes[at] : 0;
            word |= (block == size / 8 && i == 7 ? size & 0xff : byte) << (8 * i);
        }
        v[3] ^= word;
        v[2] ^= final ? 0xff : 0;
        for (unsigned round = 0; round < (final ? d : c); round++) {
            v[0] += v[1];
            v[1] = rotate(v[1], 13) ^ v[0];
            v[0] = rotate(v[0], 32);
            v[2] += v[3];
            v[3] = rotate(v[3], 16) ^ v[2];
            v[0] += v[3];
            v[3] = rotate(v[3], 21) ^ v[0];
            v[2] += v[1];
            v[1] = rotate(v[1], 17) ^ v[2];
            v[2] = rotate(v[2], 32);
        }
        v[0] ^= word;
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void the_reference_here_is_right(void **state)
{
    uint8_t bytes[15];

    (void)state;
    for (uint8_t i = 0; i < 15; i++) {
        bytes[i] = i;
    }
    /* SipHash-2-4 of 00..0e under key 00..0f, from the paper's appendix A */
    assert_true(sip(2, 4, bytes, 15) == UINT64_C(0xa129ca6149be45e5));
}

static void every_length_hashes_as_siphash_1_3(void **state)
{
    uint8_t bytes[300];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 31);
    }
    for (size_t size = 0; size <= sizeof(bytes); size++) {
        uint8_t *copy = malloc(size + (size == 0)); /* exactly, for the sanitizer */
        assert_non_null(copy);
        memcpy(copy, bytes, size);
        assert_true(hash_bytes(&key, copy, size) == sip(1, 3, bytes, size));
        free(copy);
    }
}

static void another_key_gives_another_hash(void **state)
{
    struct hash_key a = hash_key_random();
    struct hash_key b = hash_key_random();

    (void)state;
    assert_true(a.k0 != b.k0 && a.k1 != b.k1);
    assert_true(hash_bytes(&a, "name", 4) != hash_bytes(&b, "name", 4));
    assert_true(hash_bytes(&a, "name", 4) == hash_bytes(&a, "name", 4));
}

static void one_bit_changes_half_of_the_hash(void **state)
{
    unsigned long changed = 0;
    unsigned long tries = 0;

    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        uint8_t bytes[20] = { (uint8_t)round };
        uint64_t before = hash_bytes(&key, bytes, sizeof(bytes));
        for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++, tries++) {
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            changed +=
                (unsigned)__builtin_popcountll(before ^ hash_bytes(&key, bytes, sizeof(bytes)));
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    assert_in_range(changed * 100 / tries, 3150, 3250); /* 32 bits */
}

static void similar_names_spread_evenly(void **state)
{
    static unsigned buckets[1024];

    (void)state;
    for (unsigned i = 0; i < 102400; i++) {
        uint8_t name[12] = { 11, 'h', 'o', 's', 't', '-' };
        for (unsigned digit = 0, rest = i; digit < 6; digit++, rest /= 10) {
            name[6 + digit] = (uint8_t)('0' + rest % 10);
        }
        buckets[hash_bytes(&key, name, sizeof(name)) & 1023]++;
    }
    for (unsigned i = 0; i < 1024; i++) {
        assert_in_range(buckets[i], 50, 160); /* 100 each; 5 deviations are 50 */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_here_is_right),
        cmocka_unit_test(every_length_hashes_as_siphash_1_3),
        cmocka_unit_test(another_key_gives_another_hash),
        cmocka_unit_test(one_bit_changes_half_of_the_hash),
        cmocka_unit_test(similar_names_spread_evenly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
