#include "policy/steer_names.h"

#include <string.h>

#define RECORD_ADDRESS_AT 12 /* behind owner, type, class, TTL and length */

/* The address that a compiled record holds. */
static void read_record(unsigned family, const uint8_t *record, struct addr *out)
{
    memset(out, 0, sizeof(*out));
    out->family = (uint8_t)family;
    memcpy(out->bytes, record + RECORD_ADDRESS_AT, addr_size_bytes(out));
}

bool steer_names_of(const struct steer_service *service, unsigned family, struct addr *addresses,
                    struct health_good *out)
{
    uint32_t number = atomic_load_explicit(&service->memory->pool[family], memory_order_relaxed);
    uint64_t bits = atomic_load_explicit(&service->memory->bits[family], memory_order_relaxed);
    size_t count = 0;

    if (number == 0 || number > service->pool_count || bits == 0) {
        return false;
    }
    const struct steer_pool *pool = &service->pools[number - 1];
    for (; bits != 0 && count < HEALTH_FILE_GOOD_MAX; bits &= bits - 1) {
        unsigned endpoint = (unsigned)__builtin_ctzll(bits);
        if (endpoint < pool->counts[family]) {
            read_record(family, pool->records[family] + endpoint * steer_record_bytes(family),
                        &addresses[count++]);
        }
    }
    *out = (struct health_good){
        .service = service->name,
        .family = (enum addr_family)family,
        .region = pool->region_name,
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

bool steer_names_recall(const struct steer_service *service, const struct health_good *good)
{
    unsigned family = good->family;

    for (uint32_t p = 0; p < service->pool_count; p++) {
        const struct steer_pool *pool = &service->pools[p];
        uint64_t bits = 0;
        if (strcmp(pool->region_name, good->region) != 0) {
            continue;
        }
        for (unsigned e = 0; e < pool->counts[family]; e++) {
            struct addr address;
            read_record(family, pool->records[family] + e * steer_record_bytes(family), &address);
            bits |= is_among(&address, good) ? UINT64_C(1) << e : 0;
        }
        if (bits == 0) {
            return false;
        }
        atomic_store_explicit(&service->memory->bits[family], bits, memory_order_relaxed);
        atomic_store_explicit(&service->memory->pool[family], p + 1, memory_order_release);
        return true;
    }
    return false;
}
