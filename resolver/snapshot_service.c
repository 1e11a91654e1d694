#include "resolver/snapshot_service.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "policy/places.h"
#include "resolver/snapshot_policy.h"

#define CACHE_LINE 64u

/* The endpoints of a pool as they were written. */
static const struct model_endpoint *written_of(const struct model_pool *pool, size_t *out_count)
{
    *out_count = pool->written != NULL ? pool->written_count : pool->endpoint_count;
    return pool->written != NULL ? pool->written : pool->endpoints;
}

/*
 * Names among the endpoints: those that are answered as CNAME, by pool; and
 * that there is one at all, for then there may be addresses of both families.
 */
static void compile_names(struct snapshot_draft *b, const struct model_service *service,
                          struct steer_service *out)
{
    const uint8_t **cnames = NULL;

    for (size_t p = 0; p < service->pool_count; p++) {
        size_t count;
        const struct model_endpoint *written = written_of(&service->pools[p], &count);
        for (size_t i = 0; i < count; i++) {
            if (written[i].hostname == NULL) {
                continue;
            }
            out->has_family[ADDR_V4] = true;
            out->has_family[ADDR_V6] = true;
            if (written[i].as_cname) {
                cnames = cnames != NULL
                             ? cnames
                             : arena_array(b->arena, service->pool_count, sizeof(*cnames));
                cnames[p] = written[i].hostname;
            }
        }
    }
    out->cnames = cnames;
}

/* The records of one family, of all pools one after the other. Returns the end of them. */
static uint8_t *compile_records(const struct model_service *service, unsigned family,
                                struct steer_pool *pools, uint8_t *room)
{
    for (size_t p = 0; p < service->pool_count; p++) {
        const struct model_pool *pool = &service->pools[p];
        pools[p].records[family] = room;
        /* in the order of the model: the order of the group's bits */
        for (size_t i = 0; i < pool->endpoint_count; i++) {
            const struct addr *address = &pool->endpoints[i].address;
            if (address->family == family) {
                steer_record_put(room, address, service->ttl_normal_s);
                room += steer_record_bytes(family);
                pools[p].counts[family]++;
            }
        }
    }
    return room;
}

static void compile_pool(struct snapshot_draft *b, const struct model_service *service,
                         size_t index, struct steer_pool *out)
{
    const struct model_pool *pool = &service->pools[index];
    size_t number = (size_t)(service - b->model->services);

    out->region = health_binding_region(b->binding, pool->region);
    out->group = health_binding_group(b->binding, number, index);
    out->region_name = b->model->regions[pool->region].name;
    out->region_index = pool->region;
}

static void compile_fallback(struct snapshot_draft *b, const struct model_service *service,
                             struct steer_service *out)
{
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        uint8_t *records = arena_array(b->arena, service->fallback_count, steer_record_bytes(f));
        out->fallback[f] = records;
        for (size_t i = 0; i < service->fallback_count; i++) {
            if (service->fallback[i].family == f) {
                steer_record_put(records, &service->fallback[i], service->ttl_suspect_s);
                records += steer_record_bytes(f);
                out->fallback_counts[f]++;
            }
        }
    }
}

/*
 * A service's pools and behind them the records of all: the first pool and its
 * first records are what most answers read, and lie in two cache lines.
 */
static struct steer_pool *allocate_pools(struct snapshot_draft *b,
                                         const struct model_service *service, uint8_t **out_room)
{
    size_t size = service->pool_count * sizeof(struct steer_pool);
    size_t records = 0;

    for (size_t i = 0; i < service->pool_count; i++) {
        for (size_t e = 0; e < service->pools[i].endpoint_count; e++) {
            records += steer_record_bytes(service->pools[i].endpoints[e].address.family);
        }
    }
    struct steer_pool *pools = arena_alloc_aligned(b->arena, size + records, CACHE_LINE);
    *out_room = (uint8_t *)pools + size;
    return pools;
}

static void compile_service(struct snapshot_draft *b, const struct model_service *service,
                            struct steer_service *out)
{
    uint8_t *room;
    struct steer_pool *pools = allocate_pools(b, service, &room);

    out->name = service->name;
    out->dname = service->dname;
    out->pools = pools;
    out->pool_count = (uint32_t)service->pool_count;
    out->ttl_normal_s = service->ttl_normal_s;
    out->ttl_suspect_s = service->ttl_suspect_s;
    out->max_addresses = service->max_addresses;
    out->on_all_down = service->on_all_down;
    out->index = (uint32_t)(service - b->model->services);
    out->memory = arena_alloc(b->arena, sizeof(*out->memory));
    compile_fallback(b, service, out);
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        room = compile_records(service, f, pools, room);
    }
    for (size_t i = 0; i < service->pool_count; i++) {
        compile_pool(b, service, i, &pools[i]);
        for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
            out->has_family[f] = out->has_family[f] || pools[i].counts[f] > 0;
        }
    }
    compile_names(b, service, out);
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        out->has_family[f] = out->has_family[f] || out->fallback_counts[f] > 0;
    }
}

/* RFC 1034, section 3.6.2: where a CNAME is there is nothing else. */
static int refuse_neighbours(struct snapshot_draft *b, const struct steer_service *service)
{
    const struct node *node =
        namespace_find(b->snapshot->ns, service->dname, name_length(service->dname));

    bool is_made_up = node->zone != NULL && node->zone->file == NULL; /* the apex of that */
    if (node->rrsets != NULL && !is_made_up) {
        return error_set(b->err, -EINVAL,
                         "answered as cname, but its zone has records at that name");
    }
    return 0;
}

static int report(struct snapshot_draft *b, const struct model_service *service, int rc)
{
    const struct model_place *place = &service->place;
    struct error inner = *b->err;

    return error_set_at(b->err, rc, place->path, place->line, place->col, "services.%s: %s",
                        service->name, inner.message);
}

/* A service with its views behind it, as the model has them. Returns 0 or -errno, explained. */
static int compile_family(struct snapshot_draft *b, struct snapshot_orders *orders, size_t first,
                          struct steer_service *services)
{
    const struct model_service *base = &b->model->services[first];
    const struct steer_service **views =
        base->view_count == 0 ? NULL : arena_array(b->arena, b->model->view_count, sizeof(*views));
    int rc = 0;

    for (size_t i = first; i <= first + base->view_count; i++) {
        compile_service(b, &b->model->services[i], &services[i]);
        snapshot_compile_policy(b, orders, &b->model->services[i], i > first, &services[i]);
        if (i > first) {
            views[b->model->services[i].view] = &services[i];
        }
    }
    if (views != NULL) {
        struct steer_policy *policy = (struct steer_policy *)(uintptr_t)services[first].policy;
        policy->views = views;
        policy->rules = b->model->views;
        policy->rule_count = b->model->view_count;
    }
    rc = namespace_add_service(b->snapshot->ns, base->dname, &services[first],
                               SNAPSHOT_NEGATIVE_TTL_S, b->err);
    for (size_t i = first; rc == 0 && i <= first + base->view_count; i++) {
        rc = snapshot_compile_srv(b, &b->model->services[i], &services[i]);
        if (rc == 0 && services[i].cnames != NULL) {
            rc = refuse_neighbours(b, &services[i]);
        }
        for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
            atomic_init(&services[i].way[f], (uint8_t)steer_way_of(&services[i], f));
        }
    }
    return rc == 0 ? 0 : report(b, base, rc);
}

/*
 * Where clients stand. At a start, names are answered without a database that
 * cannot be read, as if it knew of nobody; a reload that would lose one is
 * refused.
 */
static int locate_clients(struct snapshot_draft *b, const struct snapshot *old)
{
    const struct places *before = old == NULL ? NULL : old->places;

    if (b->model->geo_count == 0) {
        return 0; /* the map of prefixes is made for the first that wants it */
    }
    int rc = places_read(b->model, before, b->rebuild, b->arena, &b->snapshot->places, b->err);
    if (rc < 0 && old == NULL) {
        char line[512];
        (void)error_format(b->err, line, sizeof(line));
        log_event(LOG_ERROR, "clients are not located by a database", "error=%s", line);
        memset(b->err, 0, sizeof(*b->err));
        return 0;
    }
    return rc;
}

/* Which service of `old` each is. */
static void find_before(struct snapshot_draft *draft, const struct snapshot *old)
{
    struct snapshot *fresh = draft->snapshot;
    uint32_t *list = arena_array(draft->arena, fresh->service_count, sizeof(*list));

    for (size_t i = 0; i < fresh->service_count; i++) {
        const struct steer_service *before = snapshot_counterpart(old, &fresh->services[i]);
        list[i] = before == NULL ? 0 : before->index + 1;
    }
    fresh->before = list;
    fresh->before_generation = old->generation;
}

int snapshot_compile_services(struct snapshot_draft *draft, const struct snapshot *old)
{
    const struct model *model = draft->model;
    struct steer_service *services =
        arena_array(draft->arena, model->service_count, sizeof(*services));
    struct snapshot_orders orders = { 0 };

    draft->snapshot->services = services;
    draft->snapshot->service_count = model->service_count;
    int located = locate_clients(draft, old);
    if (located < 0) {
        return located;
    }
    orders.places = draft->snapshot->places;
    for (size_t i = 0; i < model->service_count; i += 1 + model->services[i].view_count) {
        int rc = compile_family(draft, &orders, i, services);
        if (rc < 0) {
            return rc;
        }
    }
    if (old != NULL) {
        find_before(draft, old);
        snapshot_inherit(draft->snapshot, old);
    }
    return 0;
}
