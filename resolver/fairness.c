#include "resolver/fairness.h"

#include <netinet/in.h>

#include "base/error.h"

#define V6_NETWORK_BYTES 8 /* a /64: one subscriber (RFC 6177, section 2) */

void fairness_init(struct fairness *fairness)
{
    fairness->key = hash_key_random();
    for (unsigned i = 0; i < FAIRNESS_SLOTS; i++) {
        atomic_init(&fairness->in_flight[i], 0);
    }
}

uint32_t fairness_slot(const struct fairness *fairness, const struct sockaddr *client)
{
    uint64_t hash;

    if (client->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)client;
        hash = hash_bytes(&fairness->key, &v4->sin_addr, sizeof(v4->sin_addr));
    } else {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)client;
        hash = hash_bytes(&fairness->key, &v6->sin6_addr, V6_NETWORK_BYTES);
    }
    return (uint32_t)(hash % FAIRNESS_SLOTS);
}

bool fairness_enter(struct fairness *fairness, uint32_t slot, uint32_t most)
{
    _Atomic uint32_t *count = &fairness->in_flight[slot];

    if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) < most) {
        return true;
    }
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
    return false;
}

void fairness_leave(struct fairness *fairness, uint32_t slot)
{
    if (slot != FAIRNESS_NONE) {
        uint32_t before =
            atomic_fetch_sub_explicit(&fairness->in_flight[slot], 1, memory_order_relaxed);
        REQUIRE(before > 0);
    }
}
