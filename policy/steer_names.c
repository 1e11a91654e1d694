#include "policy/steer_names.h"

#include <string.h>

#include "policy/steer_memory.h"

#define RECORD_ADDRESS_AT 12 /* behind owner, type, class, TTL and length */

/* The address that a compiled record holds. */
static void read_record(unsigned family, const uint8_t *record, struct addr *out)
{
    memset(out, 0, sizeof(*out));
    out->family = (uint8_t)family;
    memcpy(out->bytes, record + RECORD_ADDRESS_AT, addr_size_bytes(out));
}

bool steer_names_of(const struct steer_service *service, unsigned family, uint32_t pool,
                    struct addr *addresses, struct health_good *out)
{
    const struct steer_pool *p = &service->pools[pool];
    uint64_t bits = steer_memory_bits(service, family, pool);
    size_t count = 0;

    for (; bits != 0 && count < HEALTH_FILE_GOOD_MAX; bits &= bits - 1) {
        unsigned endpoint = (unsigned)__builtin_ctzll(bits);
        read_record(family, p->records[family] + endpoint * steer_record_bytes(family),
                    &addresses[count++]);
    }
    *out = (struct health_good){
        .service = service->name,
        .family = (enum addr_family)family,
        .region = p->region_name,
        .addresses = addresses,
        .address_count = count,
    };
    return count > 0;
}

static bool is_among(const struct addr *address, const struct health_good *good)
{
    for (size_t i = 0; i < good->address_count; i++) {
        if (addr_same_host(address, &good->addresses[i])) {
            return true;
        }
    }
    return false;
}

/* The endpoints of `pool` at these addresses. */
static uint64_t find_bits(const struct steer_pool *pool, const struct health_good *good)
{
    unsigned family = good->family;
    uint64_t bits = 0;

    for (unsigned e = 0; e < pool->counts[family]; e++) {
        struct addr address;
        read_record(family, pool->records[family] + e * steer_record_bytes(family), &address);
        bits |= is_among(&address, good) ? UINT64_C(1) << e : 0;
    }
    return bits;
}

bool steer_names_recall(const struct steer_service *service, const struct health_good *good)
{
    uint64_t bits[STEER_POOLS_MAX] = { 0 };
    bool found = false;

    for (uint32_t p = 0; p < service->pool_count; p++) {
        bits[p] = steer_memory_bits(service, good->family, p);
        if (strcmp(service->pools[p].region_name, good->region) == 0) {
            bits[p] = find_bits(&service->pools[p], good);
            found = bits[p] != 0;
        }
    }
    if (found) {
        steer_memory_put(service, good->family, bits);
    }
    return found;
}
