#include "resolver/snapshot_policy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "policy/steer_draw.h"
#include "policy/steer_share.h"

#define LABEL_BYTES 64

/* The order of pools for each place, shared by services of the same regions. */
struct snapshot_order {
    struct steer_orders steer;
    const struct model_service *like;
    struct snapshot_order *next;
};

/* ---- orders ---- */

static bool has_same_regions(const struct model_service *a, const struct model_service *b)
{
    if (a->pool_count != b->pool_count) {
        return false;
    }
    for (size_t i = 0; i < a->pool_count; i++) {
        if (a->pools[i].region != b->pools[i].region) {
            return false;
        }
    }
    return true;
}

/* The service's pools for one place: those of its regions, then the others as configured. */
static void order_pools(const struct snapshot_orders *orders, const struct model_service *service,
                        uint32_t place, uint8_t *pools, uint8_t *home)
{
    size_t region_count, filled = 0;
    const uint32_t *regions = places_regions(orders->places, place, &region_count);
    uint64_t taken = 0;

    for (size_t r = 0; r < region_count; r++) {
        for (size_t i = 0; i < service->pool_count; i++) {
            if (service->pools[i].region == regions[r] && (taken >> i & 1) == 0) {
                pools[filled++] = (uint8_t)i;
                taken |= UINT64_C(1) << i;
            }
        }
    }
    *home = filled > 0 ? pools[0] : STEER_NO_POOL;
    for (size_t i = 0; i < service->pool_count; i++) {
        if ((taken >> i & 1) == 0) {
            pools[filled++] = (uint8_t)i;
        }
    }
}

static const struct steer_orders *orders_of(struct snapshot_draft *b,
                                            struct snapshot_orders *orders,
                                            const struct model_service *service)
{
    for (const struct snapshot_order *o = orders->list; o != NULL; o = o->next) {
        if (has_same_regions(o->like, service)) {
            return &o->steer;
        }
    }
    uint32_t count = places_count(orders->places);
    struct snapshot_order *order = arena_alloc(b->arena, sizeof(*order));
    uint8_t *pools = arena_array(b->arena, count, service->pool_count);
    uint8_t *homes = arena_array(b->arena, count, 1);
    for (uint32_t place = 0; place < count; place++) {
        order_pools(orders, service, place, pools + (size_t)place * service->pool_count,
                    &homes[place]);
    }
    order->steer = (struct steer_orders){ .pools = pools, .homes = homes };
    order->like = service;
    order->next = orders->list;
    orders->list = order;
    return &order->steer;
}

/* ---- shares ---- */

static int shift_of(const struct model_service *service, bool weighted)
{
    uint64_t sum = 0;
    size_t count = 0;

    for (size_t p = 0; p < service->pool_count; p++) {
        for (size_t e = 0; e < service->pools[p].endpoint_count; e++, count++) {
            sum += weighted ? service->pools[p].endpoints[e].weight : 1;
        }
    }
    return steer_share_shift(sum, count);
}

static void compile_share(struct snapshot_draft *b, const struct model_service *service,
                          size_t index, int shift, struct steer_policy *policy,
                          struct steer_share *out)
{
    const struct model_pool *pool = &service->pools[index];
    const char *region = b->model->regions[pool->region].name;
    bool weighted = (policy->filters & STEER_WEIGHT) != 0;
    uint64_t outer = steer_draw_key(0, service->dname, name_length(service->dname));

    out->key = steer_draw_key(outer, region, strlen(region));
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        /* behind those of the pools before it */
        uint64_t *lots = (uint64_t *)(uintptr_t)policy->lots[f] + policy->endpoints[f];
        uint64_t *keys = arena_array(b->arena, pool->endpoint_count, sizeof(*keys));
        size_t count = 0;
        for (size_t e = 0; e < pool->endpoint_count; e++) {
            const struct model_endpoint *endpoint = &pool->endpoints[e];
            if (endpoint->address.family != f) {
                continue;
            }
            out->idle[f] |= (uint64_t)(endpoint->weight == 0) << count;
            lots[count] = steer_share_lot(weighted ? endpoint->weight : 1, shift, (unsigned)index,
                                          (unsigned)count);
            keys[count++] =
                steer_draw_key(outer, endpoint->address.bytes, addr_size_bytes(&endpoint->address));
        }
        out->lots[f] = lots;
        policy->endpoints[f] += (uint32_t)count;
        out->keys[f] = keys;
    }
}

static void compile_shares(struct snapshot_draft *b, const struct model_service *service,
                           struct steer_policy *policy, const struct steer_service *out)
{
    struct steer_share *shares = arena_array(b->arena, service->pool_count, sizeof(*shares));
    int shift = shift_of(service, (policy->filters & STEER_WEIGHT) != 0);

    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        size_t count = 0;
        for (size_t i = 0; i < service->pool_count; i++) {
            count += out->pools[i].counts[f];
        }
        policy->lots[f] = arena_array(b->arena, count, sizeof(*policy->lots[f]));
    }
    for (size_t i = 0; i < service->pool_count; i++) {
        compile_share(b, service, i, shift, policy, &shares[i]);
    }
    for (size_t i = 0; i < service->filter_count; i++) {
        const struct model_filter *filter = &service->filters[i];
        if (filter->kind != MODEL_FILTER_CAPACITY || filter->load == NULL) {
            continue;
        }
        policy->has_load = true;
        for (size_t p = 0; p < service->pool_count; p++) {
            shares[p].load = filter->load[p];
            policy->load_sum += filter->load[p];
        }
    }
    policy->shares = shares;
    steer_share_settle(policy, shares, out);
}

static const struct steer_wheel *compile_wheel(struct snapshot_draft *b,
                                               const struct steer_policy *policy, unsigned family)
{
    size_t count = policy->endpoints[family], slot_count = steer_wheel_slots(count);
    struct steer_wheel *wheel = arena_alloc(b->arena, sizeof(*wheel));
    struct steer_slot *slots = arena_array(b->arena, slot_count, sizeof(*slots));
    uint16_t *picks = arena_array(b->arena, count, sizeof(*picks));
    uint64_t *lots = arena_copy(b->arena, policy->lots[family], count * sizeof(*lots));

    steer_wheel_fill(slots, slot_count, picks, lots, count, wheel);
    return wheel;
}

/* ---- filters ---- */

static void read_filter(const struct model_filter *filter, struct steer_policy *policy,
                        struct steer_service *service)
{
    static const unsigned bits[] = {
        [MODEL_FILTER_REGION_ORDER] = 0,
        [MODEL_FILTER_NEAREST] = STEER_NEAREST,
        [MODEL_FILTER_LATENCY] = STEER_LATENCY,
        [MODEL_FILTER_ALL] = STEER_ALL,
        [MODEL_FILTER_WEIGHT] = STEER_WEIGHT,
        [MODEL_FILTER_CAPACITY] = STEER_CAPACITY,
        [MODEL_FILTER_STICKY] = STEER_STICKY,
        [MODEL_FILTER_SHUFFLE] = STEER_SHUFFLE,
        [MODEL_FILTER_LIMIT] = 0,
        [MODEL_FILTER_TRICKLE] = STEER_TRICKLE,
    };

    policy->filters |= bits[filter->kind];
    switch (filter->kind) {
    case MODEL_FILTER_LATENCY:
        policy->band_us = filter->band_us;
        break;
    case MODEL_FILTER_STICKY:
        policy->sticky_bits[ADDR_V4] = filter->sticky_v4_bits;
        policy->sticky_bits[ADDR_V6] = filter->sticky_v6_bits;
        break;
    case MODEL_FILTER_TRICKLE:
        policy->trickle_65536 = filter->share_65536;
        break;
    case MODEL_FILTER_LIMIT:
        if (filter->limit > 0 && filter->limit < service->max_addresses) {
            service->max_addresses = filter->limit;
        }
        break;
    default:
        break;
    }
}

static bool has_idle(const struct model_service *service)
{
    bool idle = false, active = false;

    for (size_t p = 0; p < service->pool_count; p++) {
        for (size_t e = 0; e < service->pools[p].endpoint_count; e++) {
            bool is_idle = service->pools[p].endpoints[e].weight == 0;
            idle = idle || is_idle;
            active = active || !is_idle;
        }
    }
    return idle && active;
}

void snapshot_compile_policy(struct snapshot_draft *draft, struct snapshot_orders *orders,
                             const struct model_service *model, bool is_view,
                             struct steer_service *service)
{
    struct steer_policy made = { 0 };

    for (size_t i = 0; i < model->filter_count; i++) {
        read_filter(&model->filters[i], &made, service);
    }
    made.has_idle = has_idle(model);
    made.view_name = is_view ? draft->model->views[model->view].name : NULL;
    if (made.filters == 0 && !made.has_idle && !is_view && model->view_count == 0 &&
        model->srv_port == 0) {
        return;
    }
    if (made.filters != 0 || made.has_idle) {
        compile_shares(draft, model, &made, service);
        for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
            if (steer_share_wants_wheel(&made, service, f)) {
                made.wheels[f] = compile_wheel(draft, &made, f);
            }
        }
    }
    if ((made.filters & (STEER_NEAREST | STEER_CAPACITY)) != 0) {
        if (orders->places == NULL) {
            orders->places = places_build(draft->model, draft->arena);
            draft->snapshot->places = orders->places;
        }
        made.places = orders->places;
        made.orders = orders_of(draft, orders, model);
    }
    made.quick = steer_share_quick(&made, service);
    made.is_personal = made.places != NULL || (made.filters & STEER_STICKY) != 0;
    service->policy = arena_copy(draft->arena, &made, sizeof(made));
}

/* ---- SRV ---- */

/* "ip-203-0-113-10" in front of the service's name; false when that is too long. */
static bool name_address(const struct model_service *service, const struct addr *address,
                         uint8_t out[NAME_MAX_BYTES])
{
    char text[ADDR_TEXT_MAX], label[LABEL_BYTES + ADDR_TEXT_MAX];
    size_t rest = name_length(service->dname);

    addr_format(address, text, sizeof(text));
    int length = snprintf(label, sizeof(label), "ip-%s", text);
    for (int i = 0; i < length; i++) {
        label[i] = label[i] == '.' || label[i] == ':' ? '-' : label[i];
    }
    if (label[length - 1] == '-') {
        label[length++] = '0'; /* a host's name does not end so: RFC 1123, section 2.1 */
    }
    if (length > NAME_MAX_LABEL || 1u + (size_t)length + rest > NAME_MAX_BYTES) {
        return false;
    }
    out[0] = (uint8_t)length;
    memcpy(out + 1, label, (size_t)length);
    memcpy(out + 1 + length, service->dname, rest);
    return true;
}

static int compile_target(struct snapshot_draft *b, const struct model_service *service,
                          const struct model_endpoint *endpoint, struct steer_srv *out)
{
    uint8_t name[NAME_MAX_BYTES];

    out->weight = (uint16_t)(endpoint->weight < UINT16_MAX ? endpoint->weight : UINT16_MAX);
    out->port = endpoint->address.port != 0 ? endpoint->address.port : service->srv_port;
    if (endpoint->as_cname && endpoint->hostname != NULL) {
        out->target = endpoint->hostname;
        return 0;
    }
    if (!name_address(service, &endpoint->address, name)) {
        return error_set(b->err, -EINVAL,
                         "its name is too long for srv: the hosts it would name "
                         "are names below it");
    }
    out->target = arena_copy(b->arena, name, name_length(name));
    return namespace_add_address(b->snapshot->ns, name, &endpoint->address, service->ttl_normal_s,
                                 b->err);
}

int snapshot_compile_srv(struct snapshot_draft *draft, const struct model_service *model,
                         struct steer_service *service)
{
    struct steer_policy *policy = (struct steer_policy *)(uintptr_t)service->policy;

    if (model->srv_port == 0) {
        return 0;
    }
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        const struct steer_srv **by_pool =
            arena_array(draft->arena, model->pool_count, sizeof(*by_pool));
        for (size_t p = 0; p < model->pool_count; p++) {
            const struct model_pool *pool = &model->pools[p];
            struct steer_srv *list = arena_array(draft->arena, pool->endpoint_count, sizeof(*list));
            size_t count = 0;
            for (size_t e = 0; e < pool->endpoint_count; e++) {
                if (pool->endpoints[e].address.family != f) {
                    continue;
                }
                int rc = compile_target(draft, model, &pool->endpoints[e], &list[count++]);
                if (rc < 0) {
                    return rc;
                }
            }
            by_pool[p] = list;
        }
        policy->srv[f] = by_pool;
    }
    return 0;
}
