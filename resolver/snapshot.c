#include "resolver/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "resolver/hosts.h"

#define CACHE_LINE     64u
#define NEGATIVE_TTL_S 30u /* of names that only services make */

/* Everything that is being put together. */
struct build {
    struct snapshot *snapshot;
    struct model *model;
    struct health_binding *binding;
    struct arena *arena;
    struct error *err;
};

/* ---- services ---- */

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
static void compile_names(struct build *b, const struct model_service *service,
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

/* One region's endpoints; their records go to `*room` and behind. */
static void compile_pool(struct build *b, const struct model_service *service, size_t index,
                         struct steer_pool *out, uint8_t **room)
{
    const struct model_pool *pool = &service->pools[index];

    /* in the order of the model, family by family: the order of the group's bits */
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        out->records[f] = *room;
        for (size_t i = 0; i < pool->endpoint_count; i++) {
            const struct addr *address = &pool->endpoints[i].address;
            if (address->family == f) {
                steer_record_put(*room, address, service->ttl_normal_s);
                *room += steer_record_bytes(f);
                out->counts[f]++;
            }
        }
    }
    size_t number = (size_t)(service - b->model->services);
    out->region = health_binding_region(b->binding, pool->region);
    out->group = health_binding_group(b->binding, number, index);
    out->region_name = b->model->regions[pool->region].name;
    out->region_index = pool->region;
}

static void compile_fallback(struct build *b, const struct model_service *service,
                             struct steer_service *out)
{
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        uint8_t *records =
            arena_array(b->arena, service->fallback_count, steer_record_bytes(f));
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
static struct steer_pool *allocate_pools(struct build *b, const struct model_service *service,
                                         uint8_t **out_room)
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

static void compile_service(struct build *b, const struct model_service *service,
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
    for (size_t i = 0; i < service->pool_count; i++) {
        compile_pool(b, service, i, &pools[i], &room);
        for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
            out->has_family[f] = out->has_family[f] || pools[i].counts[f] > 0;
        }
    }
    compile_names(b, service, out);
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        out->has_family[f] = out->has_family[f] || out->fallback_counts[f] > 0;
        out->direct[f] = out->has_family[f] && out->cnames == NULL;
    }
}

/* RFC 1034, section 3.6.2: where a CNAME is there is nothing else. */
static int refuse_neighbours(struct build *b, const struct steer_service *service)
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

static int compile_services(struct build *b, const struct snapshot *old)
{
    const struct model *model = b->model;
    struct steer_service *services =
        arena_array(b->arena, model->service_count, sizeof(*services));

    b->snapshot->services = services;
    b->snapshot->service_count = model->service_count;
    for (size_t i = 0; i < model->service_count; i++) {
        compile_service(b, &model->services[i], &services[i]);
        const struct steer_service *before =
            old == NULL ? NULL : snapshot_service(old, services[i].dname);
        if (before != NULL) {
            steer_inherit(&services[i], before);
        }
        int rc = namespace_add_service(b->snapshot->ns, services[i].dname, &services[i],
                                       NEGATIVE_TTL_S, b->err);
        if (rc == 0 && services[i].cnames != NULL) {
            rc = refuse_neighbours(b, &services[i]);
        }
        if (rc < 0) {
            const struct model_place *place = &model->services[i].place;
            struct error inner = *b->err;
            return error_set_at(b->err, rc, place->path, place->line, place->col,
                                "services.%s: %s", services[i].name, inner.message);
        }
    }
    return 0;
}

/* ---- zones ---- */

static int add_zones(struct build *b)
{
    for (size_t i = 0; i < b->model->zone_count; i++) {
        const struct model_zone *zone = &b->model->zones[i];
        int rc = zone->file != NULL
                     ? namespace_add_file(b->snapshot->ns, zone->dname, zone->file, b->err)
                     : namespace_add_empty(b->snapshot->ns, zone->dname, zone->nameservers,
                                           zone->nameserver_count, NEGATIVE_TTL_S, b->err);
        if (rc < 0 && b->err->path[0] == '\0') {
            struct error inner = *b->err;
            error_set_at(b->err, rc, zone->place.path, zone->place.line, zone->place.col,
                         "zones.%s: %s", zone->name, inner.message);
        }
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- forward rules ---- */

static enum forward_class class_of(const struct model *model, uint32_t region)
{
    if (region == MODEL_PUBLIC) {
        return FORWARD_PUBLIC;
    }
    bool own = region == MODEL_NONE || model->node_region == MODEL_NONE ||
               region == model->node_region;
    return own ? FORWARD_OWN : FORWARD_OTHER;
}

static void compile_upstream(struct build *b, const struct model_upstream *from,
                             struct forward_upstream *out)
{
    bool in_region = from->region != MODEL_NONE && from->region != MODEL_PUBLIC;

    out->address = from->address;
    out->class = class_of(b->model, from->region);
    out->region_name = in_region                        ? b->model->regions[from->region].name
                       : from->region == MODEL_PUBLIC ? "public"
                                                      : "";
    out->region = in_region ? health_binding_region(b->binding, from->region) : NULL;
    out->tls = from->tls;
    out->tcp = from->tcp;
    out->has_source = from->has_source;
    out->source = from->source;
    out->max_queries_per_minute = from->max_queries_per_minute;
}

static void compile_rule(struct build *b, const struct model_forward *from,
                         struct forward_rule *out)
{
    struct forward_upstream *upstreams =
        arena_array(b->arena, from->upstream_count, sizeof(*upstreams));
    uint32_t filled = 0;

    for (unsigned class = FORWARD_OWN; class <= FORWARD_PUBLIC; class++) {
        for (size_t i = 0; i < from->upstream_count; i++) {
            if (class_of(b->model, from->upstreams[i].region) == (enum forward_class)class) {
                compile_upstream(b, &from->upstreams[i], &upstreams[filled++]);
            }
        }
    }
    out->name = from->name;
    out->dname = from->dname;
    out->upstreams = upstreams;
    out->upstream_count = filled;
    out->hedge_auto = from->hedge == MODEL_HEDGE_AUTO;
    out->hedge_ms = from->hedge == MODEL_HEDGE_FIXED ? from->hedge_ms : 0;
    out->refuse_private = from->refuse_private;
}

static int by_labels(const void *a, const void *b)
{
    const struct forward_rule *x = a, *y = b;
    unsigned mine = name_labels(x->dname), its = name_labels(y->dname);

    return (its > mine) - (its < mine);
}

static void compile_forwards(struct build *b)
{
    size_t count = b->model->forward_count;
    struct forward_rule *rules = arena_array(b->arena, count, sizeof(*rules));

    for (size_t i = 0; i < count; i++) {
        compile_rule(b, &b->model->forwards[i], &rules[i]);
    }
    qsort(rules, count, sizeof(*rules), by_labels);
    b->snapshot->forwards = rules;
    b->snapshot->forward_count = count;
}

/* ---- the whole ---- */

/*
 * At a start, names are answered without a hosts file that is not there (it is
 * read when it comes); a reload that would lose the one in force is refused.
 */
static int read_hosts(struct build *b, bool is_start)
{
    int rc = hosts_read(b->arena, b->model->hosts, &b->snapshot->hosts, b->err);

    if (rc < 0 && is_start) {
        log_event(LOG_WARNING, "no hosts file", "path=%s error=%s", b->model->hosts,
                  b->err->message);
        memset(b->err, 0, sizeof(*b->err));
        return 0;
    }
    return rc;
}

static int build_all(struct build *b, const struct snapshot *old, const struct hash_key *key)
{
    b->snapshot->ns = namespace_new(key);
    if (b->snapshot->ns == NULL) {
        return error_set(b->err, -ENOMEM, "out of memory for the zones");
    }
    int rc = add_zones(b);
    if (rc == 0) {
        rc = compile_services(b, old);
    }
    if (rc == 0) {
        rc = namespace_compile(b->snapshot->ns, b->err);
    }
    if (rc == 0) {
        compile_forwards(b);
    }
    return rc == 0 && b->model->hosts != NULL ? read_hosts(b, old == NULL) : rc;
}

int snapshot_build(struct model *model, struct health_binding *binding,
                   const struct snapshot *old, const struct hash_key *key, uint64_t generation,
                   struct snapshot **out, struct error *err)
{
    struct arena *arena = arena_new();

    if (arena == NULL) {
        return error_set(err, -ENOMEM, "out of memory for the configuration");
    }
    struct build b = {
        .snapshot = arena_alloc(arena, sizeof(*b.snapshot)),
        .model = model,
        .binding = binding,
        .arena = arena,
        .err = err,
    };
    memset(err, 0, sizeof(*err));
    b.snapshot->arena = arena;
    b.snapshot->generation = generation;
    int rc = build_all(&b, old, key);
    if (rc < 0) {
        (void)snapshot_free(b.snapshot);
        return rc;
    }
    b.snapshot->model = model;
    b.snapshot->binding = binding;
    *out = b.snapshot;
    return 0;
}

struct health_binding *snapshot_free(struct snapshot *snapshot)
{
    if (snapshot == NULL) {
        return NULL;
    }
    struct health_binding *binding = snapshot->binding;
    namespace_free(snapshot->ns);
    model_free(snapshot->model);
    arena_free(snapshot->arena); /* the snapshot itself lies in it */
    return binding;
}

const struct forward_rule *snapshot_forward(const struct snapshot *snapshot, const uint8_t *dname)
{
    for (size_t i = 0; i < snapshot->forward_count; i++) {
        if (name_is_within(dname, snapshot->forwards[i].dname)) {
            return &snapshot->forwards[i];
        }
    }
    return NULL;
}

bool snapshot_resolves(const struct snapshot *snapshot, const uint8_t *dname)
{
    return snapshot_forward(snapshot, dname) != NULL || hosts_has(snapshot->hosts, dname);
}

const struct steer_service *snapshot_service(const struct snapshot *snapshot,
                                             const uint8_t *dname)
{
    const struct node *node = namespace_find(snapshot->ns, dname, name_length(dname));

    return node == NULL ? NULL : node->service;
}

bool snapshot_acl_allows(const struct model_acl *acl, const struct addr *source,
                         bool local_is_loopback)
{
    if (acl->any || (acl->loopback && local_is_loopback && addr_is_loopback(source))) {
        return true;
    }
    for (size_t i = 0; i < acl->prefix_count; i++) {
        if (addr_prefix_contains(&acl->prefixes[i], source)) {
            return true;
        }
    }
    return false;
}
