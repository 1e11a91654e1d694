#include "policy/expansion.h"

#include <string.h>

#include "base/arena.h"
#include "policy/config_service.h"

struct expansion {
    struct model_endpoint *out;
    size_t count;
    size_t of_family[ADDR_FAMILIES];
};

static bool has_name(const struct model_pool *pool)
{
    for (size_t i = 0; i < pool->endpoint_count; i++) {
        if (pool->endpoints[i].hostname != NULL) {
            return true;
        }
    }
    return false;
}

static void add(struct expansion *e, const struct model_endpoint *written,
                const struct addr *address)
{
    if (e->of_family[address->family] == CONFIG_MAX_ENDPOINTS) {
        return;
    }
    for (size_t i = 0; i < e->count; i++) {
        if (addr_same_host(&e->out[i].address, address)) {
            return;
        }
    }
    struct model_endpoint *endpoint = &e->out[e->count++];
    *endpoint = *written;
    endpoint->address = *address;
    endpoint->address.port = written->address.port;
    e->of_family[address->family]++;
}

/*
 * What a name carries is carried by its addresses of a family together. Rounded
 * up, for none may look as if nothing was said of it.
 */
static void share_capacity(struct model_endpoint *list, size_t count, uint32_t capacity)
{
    size_t of_family[ADDR_FAMILIES] = { 0 };

    for (size_t i = 0; i < count; i++) {
        of_family[list[i].address.family]++;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t sharers = (uint32_t)of_family[list[i].address.family];
        list[i].capacity = (uint32_t)(((uint64_t)capacity + sharers - 1) / sharers);
    }
}

/* Addresses first: what was written as such is never left out for a name's sake. */
static void expand_pool(struct model *model, struct model_pool *pool, expansion_lookup *lookup,
                        void *user)
{
    struct addr addresses[EXPANSION_MOST];
    struct expansion e = { 0 };

    e.out = arena_array(model->arena, CONFIG_MAX_ENDPOINTS * (size_t)ADDR_FAMILIES, sizeof(*e.out));
    for (size_t i = 0; i < pool->endpoint_count; i++) {
        if (pool->endpoints[i].hostname == NULL) {
            add(&e, &pool->endpoints[i], &pool->endpoints[i].address);
        }
    }
    for (size_t i = 0; i < pool->endpoint_count; i++) {
        const struct model_endpoint *written = &pool->endpoints[i];
        if (written->hostname == NULL) {
            continue;
        }
        size_t count = lookup(user, written->hostname, written->keep_addresses, addresses);
        size_t first = e.count;
        for (size_t k = 0; k < count; k++) {
            add(&e, written, &addresses[k]);
        }
        share_capacity(e.out + first, e.count - first, written->capacity);
    }
    pool->written = pool->endpoints;
    pool->written_count = pool->endpoint_count;
    pool->endpoints = e.out;
    pool->endpoint_count = e.count;
}

void expansion_apply(struct model *model, expansion_lookup *lookup, void *user)
{
    for (size_t i = 0; !model->is_nameless && i < model->service_count; i++) {
        struct model_service *service = &model->services[i];
        for (size_t p = 0; p < service->pool_count; p++) {
            if (service->pools[p].written == NULL && has_name(&service->pools[p])) {
                expand_pool(model, &service->pools[p], lookup, user);
            }
        }
    }
}

static void note_name(void *user, const struct model_endpoint *endpoint, size_t service,
                      size_t pool)
{
    bool *any = user;

    (void)endpoint;
    (void)service;
    (void)pool;
    *any = true;
}

bool expansion_has_name(const struct model *model)
{
    bool any = false;

    expansion_each_name(model, note_name, &any);
    return any;
}

void expansion_each_name(const struct model *model, expansion_visit *visit, void *user)
{
    for (size_t i = 0; !model->is_nameless && i < model->service_count; i++) {
        const struct model_service *service = &model->services[i];
        for (size_t p = 0; p < service->pool_count; p++) {
            const struct model_pool *pool = &service->pools[p];
            bool expanded = pool->written != NULL;
            size_t count = expanded ? pool->written_count : pool->endpoint_count;
            for (size_t e = 0; e < count; e++) {
                const struct model_endpoint *one =
                    expanded ? &pool->written[e] : &pool->endpoints[e];
                if (one->hostname != NULL) {
                    visit(user, one, i, p);
                }
            }
        }
    }
}
