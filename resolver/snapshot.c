#include "resolver/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "resolver/hosts.h"
#include "resolver/snapshot_service.h"

/* ---- zones ---- */

static int add_zones(struct snapshot_draft *b)
{
    for (size_t i = 0; i < b->model->zone_count; i++) {
        const struct model_zone *zone = &b->model->zones[i];
        int rc = zone->file != NULL
                     ? namespace_add_file(b->snapshot->ns, zone->dname, zone->file, b->err)
                     : namespace_add_empty(b->snapshot->ns, zone->dname, zone->nameservers,
                                           zone->nameserver_count, SNAPSHOT_NEGATIVE_TTL_S, b->err);
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

static void compile_upstream(struct snapshot_draft *b, const struct model_upstream *from,
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

static void compile_rule(struct snapshot_draft *b, const struct model_forward *from,
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

static void compile_forwards(struct snapshot_draft *b)
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
static int read_hosts(struct snapshot_draft *b, bool is_start)
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

static int build_all(struct snapshot_draft *b, const struct snapshot *old,
                     const struct hash_key *key)
{
    b->snapshot->ns = namespace_new(key);
    if (b->snapshot->ns == NULL) {
        return error_set(b->err, -ENOMEM, "out of memory for the zones");
    }
    int rc = add_zones(b);
    if (rc == 0) {
        rc = snapshot_compile_services(b, old);
    }
    if (rc == 0) {
        rc = namespace_compile(b->snapshot->ns, b->err);
    }
    if (rc == 0) {
        compile_forwards(b);
    }
    return rc == 0 && b->model->hosts != NULL ? read_hosts(b, old == NULL) : rc;
}

static bool has_manual(const struct model *model)
{
    for (size_t i = 0; i < model->service_count; i++) {
        if (model->services[i].failback == MODEL_FAILBACK_MANUAL) {
            return true;
        }
    }
    return false;
}

static int build(struct model *model, struct health_binding *binding, const struct snapshot *old,
                 bool rebuild, const struct hash_key *key, uint64_t generation,
                 struct snapshot **out, struct error *err)
{
    struct arena *arena = arena_new();

    if (arena == NULL) {
        return error_set(err, -ENOMEM, "out of memory for the configuration");
    }
    struct snapshot_draft b = {
        .snapshot = arena_alloc(arena, sizeof(*b.snapshot)),
        .model = model,
        .binding = binding,
        .arena = arena,
        .err = err,
        .rebuild = rebuild,
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
    b.snapshot->service_total = snapshot_service_total(b.snapshot);
    b.snapshot->is_automatic = !has_manual(model);
    *out = b.snapshot;
    return 0;
}

int snapshot_build(struct model *model, struct health_binding *binding,
                   const struct snapshot *old, const struct hash_key *key, uint64_t generation,
                   struct snapshot **out, struct error *err)
{
    return build(model, binding, old, false, key, generation, out, err);
}

int snapshot_rebuild(struct model *model, struct health_binding *binding,
                     const struct snapshot *old, const struct hash_key *key, uint64_t generation,
                     struct snapshot **out, struct error *err)
{
    return build(model, binding, old, true, key, generation, out, err);
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

size_t snapshot_service_total(const struct snapshot *snapshot)
{
    size_t total = snapshot->service_total;

    for (size_t i = 0; snapshot->service_total == 0 && i < snapshot->model->service_count; i++) {
        total += snapshot->model->services[i].view == MODEL_NONE;
    }
    return total;
}

const struct steer_service *snapshot_service(const struct snapshot *snapshot,
                                             const uint8_t *dname)
{
    const struct node *node = namespace_find(snapshot->ns, dname, name_length(dname));

    return node == NULL ? NULL : node->service;
}

const struct steer_service *snapshot_counterpart(const struct snapshot *old,
                                                 const struct steer_service *service)
{
    const struct steer_service *base = snapshot_service(old, service->dname);
    const char *name = service->policy == NULL ? NULL : service->policy->view_name;

    if (name == NULL || base == NULL || base->policy == NULL || base->policy->views == NULL) {
        return name == NULL ? base : NULL;
    }
    for (size_t i = 0; i < old->model->view_count; i++) {
        const struct steer_service *view = base->policy->views[i];
        if (view != NULL && strcmp(view->policy->view_name, name) == 0) {
            return view;
        }
    }
    return NULL;
}

const struct steer_service *snapshot_before(const struct snapshot *old,
                                            const struct snapshot *fresh, size_t service)
{
    if (fresh->before == NULL || fresh->before_generation != old->generation) {
        return snapshot_counterpart(old, &fresh->services[service]);
    }
    uint32_t index = fresh->before[service];
    return index == 0 ? NULL : &old->services[index - 1];
}

void snapshot_inherit(const struct snapshot *fresh, const struct snapshot *old)
{
    for (size_t i = 0; i < fresh->service_count; i++) {
        const struct steer_service *before = snapshot_before(old, fresh, i);
        if (before != NULL) {
            steer_inherit(&fresh->services[i], before);
        }
    }
}

/* Was `local` asked at, or at the one that has them all? */
static bool is_listener(const struct addr *listener, const struct addr *local)
{
    return addr_equal(listener, local) ||
           (addr_is_any(listener) && listener->family == local->family &&
            listener->port == local->port);
}

size_t snapshot_view(const struct model_view *views, size_t count, const struct addr *source,
                     bool local_is_loopback, const struct addr *listener)
{
    for (size_t i = 0; i < count; i++) {
        const struct model_view *view = &views[i];
        const struct model_acl acl = { .loopback = view->loopback,
                                       .prefixes = view->prefixes,
                                       .prefix_count = view->prefix_count };
        if (snapshot_acl_allows(&acl, source, local_is_loopback)) {
            return i;
        }
        for (size_t l = 0; listener != NULL && l < view->listener_count; l++) {
            if (is_listener(&view->listeners[l], listener)) {
                return i;
            }
        }
    }
    return count;
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

const char *snapshot_service_label(const struct steer_service *service,
                                   char out[SNAPSHOT_LABEL_MAX])
{
    if (service->policy == NULL || service->policy->view_name == NULL) {
        return service->name;
    }
    (void)snprintf(out, SNAPSHOT_LABEL_MAX, "%s (view %s)", service->name,
                   service->policy->view_name);
    return out;
}
