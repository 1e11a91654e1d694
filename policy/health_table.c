#include "policy/health_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/text.h"

/* Memory of the control plane: without it there is nothing sensible left to do. */
static void *get(size_t count, size_t size)
{
    void *memory = calloc(count == 0 ? 1 : count, size);

    REQUIRE(memory != NULL);
    return memory;
}

/* The same for what answers read: its words fall into one cache line. */
static void *get_aligned(size_t size)
{
    size_t whole = (size + 63) / 64 * 64;
    void *memory = aligned_alloc(64, whole);

    REQUIRE(memory != NULL);
    memset(memory, 0, whole);
    return memory;
}

static char *copy_string(const char *string)
{
    if (string == NULL) {
        return NULL;
    }
    char *copy = strdup(string);
    REQUIRE(copy != NULL);
    return copy;
}

static void *copy_array(const void *array, size_t count, size_t size)
{
    void *copy = get(count, size);

    if (count > 0) {
        memcpy(copy, array, count * size);
    }
    return copy;
}

struct health *health_new(health_listener *listener, void *user)
{
    struct health *health = calloc(1, sizeof(*health));

    if (health != NULL) {
        health->listener = listener;
        health->user = user;
        health->minimum_regions = 1;
    }
    return health;
}

/* ---- probes ---- */

static void put_addr(struct text *key, const struct addr *addr)
{
    char text[ADDR_TEXT_MAX];

    addr_format_port(addr, text, sizeof(text));
    text_put(key, text);
}

/* A string with its length in front, so that none can pass for two. */
static void put_string(struct text *key, const char *string)
{
    if (string == NULL) {
        text_put(key, "|-");
    } else {
        text_printf(key, "|%zu:%s", strlen(string), string);
    }
}

/* Everything that makes two probes the same one. */
static char *probe_key(const struct model_check *check, const struct addr *target)
{
    struct text key = { 0 };
    const struct model_timing *t = &check->timing;

    text_printf(&key, "%d|", (int)check->kind);
    put_addr(&key, target);
    text_printf(&key, "|%u,%u,%u,%u,%u,%u,%u,%u,%u", t->interval_ms, t->timeout_ms,
                t->confirm_interval_ms, t->fall, t->silent_fall, t->rise, t->hold_down_ms,
                t->hold_down_max_ms, t->jitter_percent);
    put_string(&key, check->query_name);
    text_printf(&key, "|%u|%d,%u|", check->query_type, check->expect_rcode_given,
                check->expect_rcode);
    for (size_t i = 0; i < check->expect_address_count; i++) {
        put_addr(&key, &check->expect_addresses[i]);
        text_put_char(&key, ',');
    }
    put_string(&key, check->path);
    put_string(&key, check->host);
    put_string(&key, check->body);
    text_put_char(&key, '|');
    for (size_t i = 0; i < check->status_count; i++) {
        text_printf(&key, "%u-%u,", check->statuses[i].first, check->statuses[i].last);
    }
    REQUIRE(!text_failed(&key));
    return key.bytes;
}

static void label_probe(struct health_probe *probe, const char *region)
{
    static const char *const kinds[] = { "dns", "tcp", "http" };
    char target[ADDR_TEXT_MAX];
    const struct model_check *check = &probe->check;
    const char *detail = check->kind == MODEL_CHECK_HTTP  ? check->path
                         : check->kind == MODEL_CHECK_DNS ? check->query_name
                                                          : NULL;

    addr_format_port(&probe->target, target, sizeof(target));
    (void)snprintf(probe->label, sizeof(probe->label), "%s %s %s%s%s", region, kinds[check->kind],
                   target, check->kind == MODEL_CHECK_DNS ? " " : "", detail == NULL ? "" : detail);
}

static void copy_check(struct model_check *out, const struct model_check *check)
{
    *out = *check;
    out->place = (struct model_place){ 0 };
    out->name = copy_string(check->name);
    out->query_name = copy_string(check->query_name);
    out->path = copy_string(check->path);
    out->host = copy_string(check->host);
    out->body = copy_string(check->body);
    out->statuses = copy_array(check->statuses, check->status_count, sizeof(*check->statuses));
    out->expect_addresses = copy_array(check->expect_addresses, check->expect_address_count,
                                       sizeof(*check->expect_addresses));
}

static void free_check(struct model_check *check)
{
    free((void *)(uintptr_t)check->name);
    free((void *)(uintptr_t)check->query_name);
    free((void *)(uintptr_t)check->path);
    free((void *)(uintptr_t)check->host);
    free((void *)(uintptr_t)check->body);
    free((void *)(uintptr_t)check->statuses);
    free((void *)(uintptr_t)check->expect_addresses);
}

/* A slot number that is free; the table grows when none is. */
static struct probe_slot *take_slot(struct health *health)
{
    bool is_first = true;

    for (size_t i = health->first_free; i < health->probe_count; i++) {
        struct probe_slot *slot = health->probes[i];
        if (!slot->probe.used && slot->probe.runner == NULL) {
            health->first_free = is_first ? i + 1 : health->first_free;
            return slot;
        }
        is_first = is_first && slot->probe.used;
        health->first_free = is_first ? i + 1 : health->first_free;
    }
    size_t count = health->probe_count + 1;
    struct probe_slot **probes = realloc(health->probes, count * sizeof(struct probe_slot *));
    REQUIRE(probes != NULL);
    health->probes = probes;
    probes[health->probe_count] = get(1, sizeof(struct probe_slot));
    probes[health->probe_count]->probe.slot = (uint32_t)health->probe_count;
    health->probe_count = count;
    health->first_free = is_first ? count : health->first_free;
    return probes[count - 1];
}

static struct probe_slot *use_probe(struct health *health, const struct model_check *check,
                                    const struct addr *endpoint, const char *region,
                                    uint64_t now_ms)
{
    struct addr target = check->has_server ? check->server : *endpoint;
    struct probe_slot *slot = NULL;
    uint32_t seed;

    if (target.port == 0) {
        target.port = check->port;
    }
    char *key = probe_key(check, &target);
    HASH_FIND_STR(health->probes_by_key, key, slot);
    if (slot != NULL) {
        free(key);
        slot->refs++;
        return slot;
    }
    slot = take_slot(health);
    uint32_t number = slot->probe.slot;
    memset(slot, 0, sizeof(*slot));
    slot->probe.slot = number;
    slot->probe.used = true;
    slot->probe.target = target;
    slot->key = key;
    slot->refs = 1;
    slot->short_ttl = true; /* UNKNOWN */
    copy_check(&slot->probe.check, check);
    label_probe(&slot->probe, region);
    (void)snprintf(slot->probe.reason, sizeof(slot->probe.reason), "not probed yet");
    hash_random(&seed, sizeof(seed));
    detect_init(&slot->probe.detect, &check->timing, seed, now_ms);
    HASH_ADD_KEYPTR(hh, health->probes_by_key, slot->key, strlen(slot->key), slot);
    return slot;
}

/*
 * Give a probe back. The slot stays taken until its runner has let go of it;
 * see take_slot.
 */
static void drop_probe(struct health *health, struct probe_slot *slot)
{
    REQUIRE(slot->refs > 0);
    if (--slot->refs > 0) {
        return;
    }
    HASH_DEL(health->probes_by_key, slot);
    free_check(&slot->probe.check);
    memset(&slot->probe.check, 0, sizeof(slot->probe.check));
    free(slot->key);
    free(slot->groups);
    free(slot->regions);
    slot->key = NULL;
    slot->groups = NULL;
    slot->group_count = 0;
    slot->regions = NULL;
    slot->region_count = 0;
    slot->probe.used = false;
    if (slot->probe.slot < health->first_free) {
        health->first_free = slot->probe.slot;
    }
}

/* A set of pointers kept in an array: add once, remove. */
static void link_pointer(void ***array, size_t *count, void *pointer)
{
    for (size_t i = 0; i < *count; i++) {
        if ((*array)[i] == pointer) {
            return;
        }
    }
    void **bigger = realloc(*array, (*count + 1) * sizeof(void *));
    REQUIRE(bigger != NULL);
    bigger[(*count)++] = pointer;
    *array = bigger;
}

static void unlink_pointer(void **array, size_t *count, const void *pointer)
{
    for (size_t i = 0; i < *count; i++) {
        if (array[i] == pointer) {
            array[i] = array[--*count];
            return;
        }
    }
}

/* ---- groups ---- */

struct group_wish {
    const struct model_service *service;
    const struct model_pool *pool;
    struct region_slot *region;
};

static struct health_probe **use_probes(struct health *health, const struct model_check *checks,
                                        size_t count, const struct addr *endpoint,
                                        const char *region, uint64_t now_ms)
{
    struct health_probe **probes = get(count, sizeof(struct health_probe *));

    for (size_t i = 0; i < count; i++) {
        probes[i] = &use_probe(health, &checks[i], endpoint, region, now_ms)->probe;
    }
    return probes;
}

static void drop_probes(struct health *health, struct health_probe **probes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        drop_probe(health, (struct probe_slot *)probes[i]);
    }
    free(probes);
}

static void make_endpoints(struct health *health, struct group_slot *group,
                           const struct group_wish *wish, uint64_t now_ms)
{
    uint8_t bits[ADDR_FAMILIES] = { 0 };
    const struct model_service *service = wish->service;

    group->endpoint_count = wish->pool->endpoint_count;
    group->endpoints = get(group->endpoint_count, sizeof(*group->endpoints));
    for (size_t i = 0; i < group->endpoint_count; i++) {
        struct group_endpoint *e = &group->endpoints[i];
        e->address = wish->pool->endpoints[i].address;
        e->bit = bits[e->address.family]++;
        e->probe_count = service->check_count;
        e->probes = use_probes(health, service->checks, service->check_count, &e->address,
                               wish->region->name, now_ms);
    }
}

static void free_endpoints(struct health *health, struct group_slot *group)
{
    for (size_t i = 0; i < group->endpoint_count; i++) {
        drop_probes(health, group->endpoints[i].probes, group->endpoints[i].probe_count);
    }
    free(group->endpoints);
}

/* Equal endpoints, probes, minimum and region: one group, whichever service asks. */
static char *group_key(const struct group_slot *group)
{
    struct text key = { 0 };

    text_printf(&key, "%s|%u", group->region->name, group->words.minimum);
    for (size_t i = 0; i < group->endpoint_count; i++) {
        text_put_char(&key, '|');
        put_addr(&key, &group->endpoints[i].address);
        for (size_t p = 0; p < group->endpoints[i].probe_count; p++) {
            text_printf(&key, ",%u", group->endpoints[i].probes[p]->slot);
        }
    }
    REQUIRE(!text_failed(&key));
    return key.bytes;
}

static void link_group(struct group_slot *group)
{
    for (size_t i = 0; i < group->endpoint_count; i++) {
        for (size_t p = 0; p < group->endpoints[i].probe_count; p++) {
            struct probe_slot *slot = (struct probe_slot *)group->endpoints[i].probes[p];
            link_pointer((void ***)(void *)&slot->groups, &slot->group_count, group);
        }
    }
}

static void unlink_group(struct group_slot *group)
{
    for (size_t i = 0; i < group->endpoint_count; i++) {
        for (size_t p = 0; p < group->endpoints[i].probe_count; p++) {
            struct probe_slot *slot = (struct probe_slot *)group->endpoints[i].probes[p];
            unlink_pointer((void **)slot->groups, &slot->group_count, group);
        }
    }
}

static struct group_slot *use_group(struct health *health, const struct group_wish *wish,
                                    uint64_t now_ms)
{
    struct group_slot *group = get_aligned(sizeof(*group));
    struct group_slot *known = NULL;
    uint32_t minimum =
        model_minimum_count(wish->service->minimum_healthy, (uint32_t)wish->pool->endpoint_count);

    group->region = wish->region;
    group->words.minimum = minimum == 0 ? 1 : minimum;
    make_endpoints(health, group, wish, now_ms);
    group->key = group_key(group);
    HASH_FIND_STR(health->groups, group->key, known);
    if (known != NULL) {
        free_endpoints(health, group);
        free(group->key);
        free(group);
        known->refs++;
        return known;
    }
    group->refs = 1;
    group->region->refs++;
    HASH_ADD_KEYPTR(hh, health->groups, group->key, strlen(group->key), group);
    link_group(group);
    return group;
}

static void drop_region(struct health *health, struct region_slot *region);

static void drop_group(struct health *health, struct group_slot *group)
{
    if (--group->refs > 0) {
        return;
    }
    HASH_DEL(health->groups, group);
    unlink_group(group);
    free_endpoints(health, group);
    drop_region(health, group->region);
    free(group->key);
    free(group);
}

/* ---- regions ---- */

static struct region_slot *use_region(struct health *health, const char *name)
{
    struct region_slot *region = NULL;

    HASH_FIND_STR(health->regions, name, region);
    if (region == NULL) {
        region = get(1, sizeof(*region));
        region->name = copy_string(name);
        region->told = "in";
        HASH_ADD_KEYPTR(hh, health->regions, region->name, strlen(region->name), region);
    }
    region->refs++;
    return region;
}

static void set_region_probes(struct health *health, struct region_slot *region,
                              struct health_probe **probes, size_t count)
{
    for (size_t i = 0; i < region->probe_count; i++) {
        struct probe_slot *slot = (struct probe_slot *)region->probes[i];
        unlink_pointer((void **)slot->regions, &slot->region_count, region);
    }
    struct health_probe **old = region->probes;
    size_t old_count = region->probe_count;
    region->probes = copy_array(probes, count, sizeof(struct health_probe *));
    region->probe_count = count;
    for (size_t i = 0; i < count; i++) {
        struct probe_slot *slot = (struct probe_slot *)probes[i];
        slot->refs++;
        link_pointer((void ***)(void *)&slot->regions, &slot->region_count, region);
    }
    drop_probes(health, old, old_count);
}

static void drop_region(struct health *health, struct region_slot *region)
{
    if (--region->refs > 0) {
        return;
    }
    set_region_probes(health, region, NULL, 0);
    HASH_DEL(health->regions, region);
    free(region->probes);
    free(region->name);
    free(region);
}

/* ---- bindings ---- */

static void bind_regions(struct health_binding *binding, const struct model *model, uint64_t now_ms)
{
    binding->region_count = model->region_count;
    binding->regions = get(model->region_count, sizeof(struct region_slot *));
    binding->plans = get(model->region_count, sizeof(*binding->plans));
    for (size_t i = 0; i < model->region_count; i++) {
        const struct model_region *region = &model->regions[i];
        struct region_plan *plan = &binding->plans[i];
        static const struct addr nowhere;
        binding->regions[i] = use_region(binding->health, region->name);
        plan->minimum = region->minimum_healthy;
        plan->prove = region->on_dns_failure == MODEL_DNS_FAILURE_PROVE;
        plan->probe_count = region->check_count;
        plan->probes = use_probes(binding->health, region->checks, region->check_count, &nowhere,
                                  region->name, now_ms);
    }
}

static void bind_services(struct health_binding *binding, const struct model *model,
                          uint64_t now_ms)
{
    binding->service_count = model->service_count;
    binding->services = get(model->service_count, sizeof(*binding->services));
    for (size_t i = 0; i < model->service_count; i++) {
        const struct model_service *service = &model->services[i];
        struct service_binding *bound = &binding->services[i];
        bound->group_count = service->pool_count;
        bound->groups = get(service->pool_count, sizeof(struct group_slot *));
        for (size_t p = 0; p < service->pool_count; p++) {
            const struct group_wish wish = {
                .service = service,
                .pool = &service->pools[p],
                .region = binding->regions[service->pools[p].region],
            };
            bound->groups[p] = use_group(binding->health, &wish, now_ms);
        }
    }
}

struct health_binding *health_bind(struct health *health, const struct model *model,
                                   uint64_t now_ms)
{
    struct health_binding *binding = calloc(1, sizeof(*binding));

    if (binding == NULL) {
        return NULL;
    }
    binding->health = health;
    binding->minimum_regions = model->guards.minimum_regions;
    bind_regions(binding, model, now_ms);
    bind_services(binding, model, now_ms);
    health_refresh(health, now_ms);
    return binding;
}

void health_commit(struct health *health, struct health_binding *binding, uint64_t now_ms)
{
    for (struct region_slot *r = health->regions; r != NULL; r = r->hh.next) {
        r->active = false;
    }
    for (size_t i = 0; i < binding->region_count; i++) {
        struct region_slot *region = binding->regions[i];
        const struct region_plan *plan = &binding->plans[i];
        region->active = true;
        region->minimum = plan->minimum;
        region->prove = plan->prove;
        set_region_probes(health, region, plan->probes, plan->probe_count);
    }
    health->minimum_regions = binding->minimum_regions;
    health_refresh(health, now_ms);
}

void health_unbind(struct health *health, struct health_binding *binding)
{
    if (binding == NULL) {
        return;
    }
    for (size_t i = 0; i < binding->service_count; i++) {
        for (size_t p = 0; p < binding->services[i].group_count; p++) {
            drop_group(health, binding->services[i].groups[p]);
        }
        free(binding->services[i].groups);
    }
    for (size_t i = 0; i < binding->region_count; i++) {
        drop_probes(health, binding->plans[i].probes, binding->plans[i].probe_count);
        drop_region(health, binding->regions[i]);
    }
    free(binding->services);
    free(binding->regions);
    free(binding->plans);
    free(binding);
}

void health_free(struct health *health)
{
    if (health == NULL) {
        return;
    }
    REQUIRE(health->groups == NULL && health->regions == NULL); /* bindings come back first */
    for (size_t i = 0; i < health->probe_count; i++) {
        free(health->probes[i]);
    }
    free(health->probes);
    free(health);
}

static size_t count_pending(struct health_probe *const *probes, size_t count)
{
    size_t pending = 0;

    for (size_t i = 0; i < count; i++) {
        pending += probes[i]->last_result_ms == 0;
    }
    return pending;
}

size_t health_pending(const struct health_binding *binding)
{
    size_t pending = 0;

    for (size_t i = 0; i < binding->region_count; i++) {
        pending += count_pending(binding->plans[i].probes, binding->plans[i].probe_count);
    }
    for (size_t i = 0; i < binding->service_count; i++) {
        for (size_t p = 0; p < binding->services[i].group_count; p++) {
            const struct group_slot *group = binding->services[i].groups[p];
            for (size_t e = 0; e < group->endpoint_count; e++) {
                pending +=
                    count_pending(group->endpoints[e].probes, group->endpoints[e].probe_count);
            }
        }
    }
    return pending;
}

const struct health_region *health_binding_region(const struct health_binding *binding,
                                                  size_t region)
{
    return &binding->regions[region]->words;
}

const struct health_group *health_binding_group(const struct health_binding *binding,
                                                size_t service, size_t pool)
{
    return &binding->services[service].groups[pool]->words;
}

size_t health_group_size(const struct health_binding *binding, size_t service, size_t pool)
{
    return binding->services[service].groups[pool]->endpoint_count;
}

size_t health_probe_count(const struct health *health)
{
    return health->probe_count;
}

struct health_probe *health_probe(struct health *health, size_t slot)
{
    return &health->probes[slot]->probe;
}
