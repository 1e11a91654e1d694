#include "base/hash.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/error.h"

struct state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate_left(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static inline void sip_round(struct state *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate_left(s->v1, 13) ^ s->v0;
    s->v3 = rotate_left(s->v3, 16) ^ s->v2;
    s->v0 = rotate_left(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate_left(s->v1, 17) ^ s->v2;
    s->v3 = rotate_left(s->v3, 21) ^ s->v0;
    s->v2 = rotate_left(s->v2, 32);
}

static inline uint64_t load64(const unsigned char *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return word; /* the key is of this process, so byte order does not matter */
}

/* The last 0 to 7 bytes of the input, without a loop over single bytes. */
static inline uint64_t load_tail(const unsigned char *p, size_t left)
{
    uint64_t word = 0;

    switch (left) {
    case 7:
        word |= (uint64_t)p[6] << 48;
        /* fall through */
    case 6:
        word |= (uint64_t)p[5] << 40;
        /* fall through */
    case 5:
        word |= (uint64_t)p[4] << 32;
        /* fall through */
    case 4:
        word |= (uint64_t)p[3] << 24;
        /* fall through */
    case 3:
        word |= (uint64_t)p[2] << 16;
        /* fall through */
    case 2:
        word |= (uint64_t)p[1] << 8;
        /* fall through */
    case 1:
        word |= (uint64_t)p[0];
        break;
    default:
        break;
    }
    return word;
}

uint64_t hash_bytes(const struct hash_key *key, const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    struct state s = {
        .v0 = key->k0 ^ UINT64_C(0x736f6d6570736575),
        .v1 = key->k1 ^ UINT64_C(0x646f72616e646f6d),
        .v2 = key->k0 ^ UINT64_C(0x6c7967656e657261),
        .v3 = key->k1 ^ UINT64_C(0x7465646279746573),
    };
    size_t left = size;

    for (; left >= 8; left -= 8, p += 8) {
        uint64_t word = load64(p);
        s.v3 ^= word;
        sip_round(&s);
        s.v0 ^= word;
    }
    uint64_t last = load_tail(p, left) | (uint64_t)(size & 0xff) << 56;
    s.v3 ^= last;
    sip_round(&s);
    s.v0 ^= last;
    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

static inline uint64_t fold_product(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_own(const struct hash_key *key, const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    /* odd bits of the golden ratio and of pi: a poor key still multiplies well */
    uint64_t multiplier = (key->k1 ^ UINT64_C(0x9e3779b97f4a7c15)) | 1;
    uint64_t finisher = (key->k0 ^ UINT64_C(0x243f6a8885a308d3)) | 1;
    uint64_t hash = key->k0 ^ size;

    if (size < 8) {
        return fold_product(fold_product(hash ^ load_tail(p, size), multiplier), finisher);
    }
    const unsigned char *last = p + size - 8;
    for (; p < last; p += 8) {
        hash = fold_product(hash ^ load64(p), multiplier);
    }
    /* the last word may overlap the one before */
    hash = fold_product(hash ^ load64(last), multiplier);
    return fold_product(hash, finisher);
}

void hash_random(void *out, size_t size)
{
    unsigned char *p = out;

    while (size > 0) {
        ssize_t got = getrandom(p, size, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        REQUIRE(got > 0);
        p += got;
        size -= (size_t)got;
    }
}

struct hash_key hash_key_random(void)
{
    struct hash_key key;

    hash_random(&key, sizeof(key));
    return key;
}
