#include "resolver/parking.h"

#include <string.h>

#include "policy/steer.h"

bool parking_is_manual(const struct snapshot *snapshot, const struct steer_service *service)
{
    return snapshot->model->services[service->index].failback == MODEL_FAILBACK_MANUAL;
}

/* The pool remembered from when the service last stood well, or UINT32_MAX. */
static uint32_t remembered(const struct steer_service *service)
{
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        uint32_t pool = atomic_load_explicit(&service->memory->pool[f], memory_order_relaxed);
        if (pool != 0 && pool <= service->pool_count) {
            return pool - 1;
        }
    }
    return UINT32_MAX;
}

/* The pool that answers now, by the first family that has one; UINT32_MAX: none does alone. */
static uint32_t present(const struct steer_service *service)
{
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        struct steer_choice choice;
        steer_choose(service, f, NULL, &choice);
        if (choice.result == STEER_ADDRESSES && !choice.several && choice.rung <= 2) {
            return choice.pool;
        }
    }
    return UINT32_MAX;
}

static void park_all_but(const struct steer_service *service, uint32_t pool)
{
    for (uint32_t p = 0; p < service->pool_count; p++) {
        bool parked = p != pool;
        if (steer_has_hand(service, p, STEER_HAND_PARKED) != parked) {
            steer_set_hand(service, p, STEER_HAND_PARKED, parked);
        }
    }
}

void parking_look(const struct steer_service *service)
{
    uint32_t before = remembered(service);
    uint32_t now = present(service);

    if (now != UINT32_MAX && before != UINT32_MAX && now != before &&
        (now > before || steer_has_hand(service, now, STEER_HAND_PARKED))) {
        park_all_but(service, now);
    }
}

static const struct steer_pool *find_pool(const struct steer_service *service, const char *region)
{
    for (uint32_t p = 0; p < service->pool_count; p++) {
        if (strcmp(service->pools[p].region_name, region) == 0) {
            return &service->pools[p];
        }
    }
    return NULL;
}

static void take_over(const struct steer_service *fresh, const struct steer_service *old)
{
    for (uint32_t p = 0; p < fresh->pool_count; p++) {
        const struct steer_pool *pool = find_pool(old, fresh->pools[p].region_name);
        if (pool != NULL && steer_has_hand(old, (uint32_t)(pool - old->pools), STEER_HAND_PARKED)) {
            steer_set_hand(fresh, p, STEER_HAND_PARKED, true);
        }
    }
}

void parking_adopt(const struct snapshot *old, const struct snapshot *fresh)
{
    for (size_t i = 0; !fresh->is_automatic && i < fresh->service_count; i++) {
        const struct steer_service *service = &fresh->services[i];
        if (!parking_is_manual(fresh, service)) {
            continue;
        }
        const struct steer_service *before = old == NULL ? NULL : snapshot_before(old, fresh, i);
        uint32_t pool = remembered(service);
        if (before != NULL) {
            take_over(service, before);
        } else if (old == NULL && pool != UINT32_MAX && pool > 0) {
            park_all_but(service, pool); /* it had been left before the start */
        }
    }
}
