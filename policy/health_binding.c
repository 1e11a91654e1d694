#include "policy/health_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "policy/health_cascade.h"
#include "policy/health_condition.h"
#include "policy/health_file.h"
#include "policy/health_group.h"
#include "policy/health_hand.h"
#include "policy/health_note.h"
#include "policy/health_region.h"
#include "zones/wire.h"

#define SERVICES_AT_ONCE 16     /* bound or given back in one piece */
#define SERVICES_A_LOOK  16384u /* asked whether they have had their results, a few ms */

/*
 * Which groups and regions there are: those that some binding asks for. Equal
 * wishes share a slot, across bindings too, so that a reload keeps what is
 * believed of what stayed the same.
 */

/* Zeroed memory for what answers read: its words fall into one cache line. */
static void *get_aligned(size_t size)
{
    size_t whole = (size + 63) / 64 * 64;
    void *memory = aligned_alloc(64, whole);

    REQUIRE(memory != NULL);
    memset(memory, 0, whole);
    return memory;
}

static void *copy_array(const void *array, size_t count, size_t size)
{
    void *copy = health_table_get(count, size);

    if (count > 0) {
        memcpy(copy, array, count * size);
    }
    return copy;
}

/* ---- groups ---- */

struct group_wish {
    struct health_binding *binding;
    const struct model *model;
    const struct model_service *service;
    const struct model_pool *pool;
    struct region_slot *region;
};

static struct health_probe **use_probes(struct health *health, const struct model_check *checks,
                                        size_t count, const struct addr *endpoint,
                                        const char *region, uint64_t now_ms)
{
    struct health_probe **probes = health_table_get(count, sizeof(struct health_probe *));

    for (size_t i = 0; i < count; i++) {
        probes[i] = &health_table_use_probe(health, &checks[i], endpoint, region, now_ms)->probe;
    }
    return probes;
}

static void drop_probes(struct health *health, struct health_probe **probes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        health_table_drop_probe(health, (struct probe_slot *)probes[i]);
    }
    free(probes);
}

static void make_endpoints(struct health *health, struct group_slot *group,
                           const struct group_wish *wish, uint64_t now_ms)
{
    uint8_t bits[ADDR_FAMILIES] = { 0 };
    const struct model_service *service = wish->service;

    group->endpoint_count = wish->pool->endpoint_count;
    group->endpoints = health_table_get(group->endpoint_count, sizeof(*group->endpoints));
    for (size_t i = 0; i < group->endpoint_count; i++) {
        struct group_endpoint *e = &group->endpoints[i];
        e->address = wish->pool->endpoints[i].address;
        e->capacity = wish->pool->endpoints[i].capacity;
        e->force = health_hand_endpoint(health, &e->address);
        e->bit = bits[e->address.family]++;
        group->has_capacity = group->has_capacity || e->capacity != 0;
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

static void put_word(struct text *key, uint32_t word)
{
    char bytes[sizeof(word)];

    memcpy(bytes, &word, sizeof(word));
    text_put_bytes(key, bytes, sizeof(bytes));
}

static void put_address(struct text *key, const struct addr *address)
{
    char bytes[sizeof(address->bytes)];
    size_t size = addr_size_bytes(address);

    put_word(key, (uint32_t)address->family << 16 | address->port);
    put_word(key, address->scope);
    memcpy(bytes, address->bytes, size);
    text_put_bytes(key, bytes, size);
}

/*
 * Equal in all that makes the words: one group, whichever service asks. Words
 * of this process, one behind the other, in health->group_key: every pool of
 * every service is looked for with such a key.
 */
static void group_key(struct health *health, const struct group_slot *group)
{
    struct text *key = &health->group_key;
    char region[sizeof(group->region)];

    key->length = 0;
    memcpy(region, &group->region, sizeof(region)); /* it is there as long as the group */
    text_put_bytes(key, region, sizeof(region));
    put_word(key, group->words.minimum);
    put_word(key, group->ramp_ms);
    put_word(key, (uint32_t)group->endpoint_count);
    for (size_t i = 0; i < group->endpoint_count; i++) {
        const struct group_endpoint *e = &group->endpoints[i];
        put_address(key, &e->address);
        put_word(key, e->capacity);
        put_word(key, (uint32_t)e->probe_count);
        for (size_t p = 0; p < e->probe_count; p++) {
            put_word(key, e->probes[p]->slot);
        }
    }
    if (group->condition != NULL) {
        health_condition_key(group->condition, key);
    }
    REQUIRE(!text_failed(key));
}

static void link_group(struct group_slot *group)
{
    for (size_t i = 0; i < group->endpoint_count; i++) {
        for (size_t p = 0; p < group->endpoints[i].probe_count; p++) {
            struct probe_slot *slot = (struct probe_slot *)group->endpoints[i].probes[p];
            health_table_link((void ***)(void *)&slot->groups, &slot->group_count, group);
        }
    }
    if (group->condition != NULL) {
        health_condition_link(group->condition, group);
    }
}

static void unlink_group(struct group_slot *group)
{
    for (size_t i = 0; i < group->endpoint_count; i++) {
        for (size_t p = 0; p < group->endpoints[i].probe_count; p++) {
            struct probe_slot *slot = (struct probe_slot *)group->endpoints[i].probes[p];
            health_table_unlink((void **)slot->groups, &slot->group_count, group);
        }
    }
    if (group->condition != NULL) {
        health_condition_unlink(group->condition, group);
    }
}

static struct group_slot *make_group(struct health *health, const struct group_wish *wish,
                                     uint64_t now_ms)
{
    struct group_slot *group =
        health->spare_group != NULL ? health->spare_group : get_aligned(sizeof(*group));
    const struct model_service *service = wish->service;
    uint32_t minimum =
        model_minimum_count(service->minimum_healthy, (uint32_t)wish->pool->endpoint_count);

    health->spare_group = NULL;
    group->region = wish->region;
    group->words.minimum = minimum == 0 ? 1 : minimum;
    group->ramp_ms = service->ramp_ms;
    make_endpoints(health, group, wish, now_ms);
    if (service->condition != NULL) {
        group->condition = health_condition_new(wish->binding, wish->model, service->condition);
    }
    return group;
}

static void free_parts(struct health *health, struct group_slot *group)
{
    health_condition_free(health, group->condition);
    free_endpoints(health, group);
    free(group->dependents);
    free(group->memberships);
    free(group->key);
}

/* The next one is looked for in its place: most are there already, all of them at a reload. */
static void spare_group(struct health *health, struct group_slot *group)
{
    free_parts(health, group);
    memset(group, 0, sizeof(*group));
    health->spare_group = group;
}

static void free_group(struct health *health, struct group_slot *group)
{
    free_parts(health, group);
    free(group);
}

static struct group_slot *use_group(struct health *health, const struct group_wish *wish,
                                    uint64_t now_ms)
{
    struct group_slot *group = make_group(health, wish, now_ms);
    struct group_slot *known = NULL;
    struct region_slot *region = group->region;

    group_key(health, group);
    HASH_FIND(hh, health->groups, health->group_key.bytes, health->group_key.length, known);
    if (known != NULL) {
        spare_group(health, group);
        known->refs++;
        return known;
    }
    group->refs = 1;
    group->id = ++health->next_id;
    region->refs++;
    region->group_count++;
    if (group->ramp_ms > 0) {
        health_table_link((void ***)(void *)&region->ramped, &region->ramped_count, group);
    }
    group->key_size = health->group_key.length;
    group->key = copy_array(health->group_key.bytes, group->key_size, 1);
    HASH_ADD_KEYPTR(hh, health->groups, group->key, group->key_size, group);
    link_group(group);
    health_group_queue(health, group);
    return group;
}

void health_binding_keep(struct group_slot *group)
{
    group->refs++;
}

static void drop_region(struct health *health, struct region_slot *region);

/* Take a group that nobody keeps out of everything that knows it. */
static void bury(struct health *health, struct group_slot *group)
{
    struct region_slot *region = group->region;

    HASH_DEL(health->groups, group);
    unlink_group(group);
    region->group_count--;
    region->fallen_count -= group->is_known && !group->stands;
    if (group->ramp_ms > 0) {
        health_table_unlink((void **)region->ramped, &region->ramped_count, group);
    }
    if (group->queued) {
        health_table_unlist(&health->dirty, group);
    }
    if (group->ramping) {
        health_table_unlist(&health->ramping, group);
    }
    if (group->is_listed) {
        health_table_unlist(&health->sharing, group);
    }
    free_group(health, group);
    drop_region(health, region);
}

/* One after the other, for a group may be the last to keep another one. */
void health_binding_drop(struct health *health, struct group_slot *group)
{
    if (--group->refs > 0) {
        return;
    }
    group->next_doomed = health->doomed;
    health->doomed = group;
    if (health->is_burying) {
        return;
    }
    health->is_burying = true;
    while (health->doomed != NULL) {
        struct group_slot *next = health->doomed;
        health->doomed = next->next_doomed;
        bury(health, next);
    }
    health->is_burying = false;
}

/* ---- regions ---- */

static struct region_slot *use_region(struct health *health, const char *name, uint64_t now_ms)
{
    struct region_slot *region = NULL;

    HASH_FIND_STR(health->regions, name, region);
    if (region == NULL) {
        region = health_table_get(1, sizeof(*region));
        region->name = health_table_copy(name);
        region->told = "in";
        health_file_restore_region(health, region, now_ms);
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
        health_table_unlink((void **)slot->regions, &slot->region_count, region);
    }
    struct health_probe **old = region->probes;
    size_t old_count = region->probe_count;
    region->probes = copy_array(probes, count, sizeof(struct health_probe *));
    region->probe_count = count;
    for (size_t i = 0; i < count; i++) {
        struct probe_slot *slot = (struct probe_slot *)probes[i];
        slot->refs++;
        health_table_link((void ***)(void *)&slot->regions, &slot->region_count, region);
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
    free(region->ramped);
    free(region->dependents);
    health_note_free(atomic_load_explicit(&region->noted, memory_order_relaxed));
    free(region->name);
    free(region);
}

/* ---- bindings ---- */

static void bind_regions(struct health_binding *binding, const struct model *model, uint64_t now_ms)
{
    binding->region_count = model->region_count;
    binding->regions = health_table_get(model->region_count, sizeof(struct region_slot *));
    binding->plans = health_table_get(model->region_count, sizeof(*binding->plans));
    for (size_t i = 0; i < model->region_count; i++) {
        const struct model_region *region = &model->regions[i];
        struct region_plan *plan = &binding->plans[i];
        static const struct addr nowhere;
        binding->regions[i] = use_region(binding->health, region->name, now_ms);
        plan->minimum = region->minimum_healthy;
        plan->prove = region->on_dns_failure == MODEL_DNS_FAILURE_PROVE;
        plan->probe_count = region->check_count;
        plan->siblings = health_table_get((model->region_count + 63) / 64, sizeof(uint64_t));
        plan->probes = use_probes(binding->health, region->checks, region->check_count, &nowhere,
                                  region->name, now_ms);
    }
}

/* Regions that a service has together are siblings. */
static void note_siblings(struct health_binding *binding, const struct model_service *service)
{
    for (size_t p = 0; p < service->pool_count && service->pool_count > 1; p++) {
        uint64_t *siblings = binding->plans[service->pools[p].region].siblings;
        for (size_t q = 0; q < service->pool_count; q++) {
            uint32_t other = service->pools[q].region;
            siblings[other / 64] |= UINT64_C(1) << (other % 64);
        }
    }
}

static void bind_service(struct health_binding *binding, const struct model *model, size_t index,
                         uint64_t now_ms)
{
    const struct model_service *service = &model->services[index];
    struct service_binding *bound = &binding->services[index];

    bound->group_count = service->pool_count;
    bound->groups = health_table_get(service->pool_count, sizeof(struct group_slot *));
    for (size_t p = 0; p < service->pool_count; p++) {
        const struct group_wish wish = {
            .binding = binding,
            .model = model,
            .service = service,
            .pool = &service->pools[p],
            .region = binding->regions[service->pools[p].region],
        };
        bound->groups[p] = use_group(binding->health, &wish, now_ms);
    }
    bound->siblings = health_cascade_use(binding->health, bound->groups, bound->group_count);
    note_siblings(binding, service);
}

/*
 * Bind a service behind those its condition asks about, and these behind
 * theirs. The stack cannot grow past all services, for the file was refused if
 * they asked about one another in circles.
 */
static void bind_with_needed(struct health_binding *binding, const struct model *model,
                             size_t index, uint64_t now_ms)
{
    size_t depth = 0;
    uint32_t *stack = NULL;
    uint32_t next = (uint32_t)index;

    while (true) {
        const struct model_condition *condition = model->services[next].condition;
        uint32_t wanted =
            condition == NULL ? MODEL_NONE : health_condition_wants(binding, condition);
        if (wanted != MODEL_NONE) {
            REQUIRE(depth < model->service_count);
            stack = reallocarray(stack, depth + 1, sizeof(*stack));
            REQUIRE(stack != NULL);
            stack[depth++] = next;
            next = wanted;
            continue;
        }
        bind_service(binding, model, next, now_ms);
        if (depth == 0) {
            break;
        }
        next = stack[--depth];
    }
    free(stack);
}

/* False when that was the last of them. */
static bool bind_some_services(struct health_binding *binding, const struct model *model,
                               uint64_t now_ms)
{
    for (unsigned n = 0; n < SERVICES_AT_ONCE && binding->bound < model->service_count; n++) {
        size_t i = binding->bound++;
        if (binding->services[i].groups == NULL) {
            bind_with_needed(binding, model, i, now_ms);
        }
    }
    return binding->bound < model->service_count;
}

/* Who is asked for the name servers of the root; any answer will do. */
static void bind_witnesses(struct health_binding *binding, const struct model_guards *guards,
                           uint64_t now_ms)
{
    struct model_check check = {
        .kind = MODEL_CHECK_DNS,
        .timing = {
            .interval_ms = 1000,
            .timeout_ms = 500,
            .confirm_interval_ms = 50,
            .fall = 3,
            .silent_fall = 10,
            .rise = 1,
            .hold_down_ms = 1000,
            .hold_down_max_ms = 1000,
            .jitter_percent = 10,
        },
        .has_server = true,
        .port = 53,
        .query_name = ".",
        .query_type = WIRE_NS,
    };

    binding->witness_count = guards->witness_count;
    binding->witness_minimum = guards->witness_minimum;
    binding->witnesses = health_table_get(guards->witness_count, sizeof(struct health_probe *));
    for (size_t i = 0; i < guards->witness_count; i++) {
        check.server = guards->witnesses[i];
        binding->witnesses[i] =
            &health_table_use_probe(binding->health, &check, &check.server, NULL, now_ms)->probe;
    }
}

/* The words of groups that are new: nothing left and nothing came back. */
static void settle_quietly(struct health *health, uint64_t now_ms)
{
    health->quiet = true;
    health_group_settle(health, now_ms);
    health->quiet = false;
}

static void tell_all(struct health *health, uint64_t now_ms)
{
    health_region_tell_all(health, now_ms);
    health_cascade_tell_all(health);
}

struct health_binding *health_bind_begin(struct health *health, const struct model *model,
                                         uint64_t now_ms)
{
    struct health_binding *binding = calloc(1, sizeof(*binding));

    if (binding == NULL) {
        return NULL;
    }
    binding->health = health;
    binding->minimum_regions = model->guards.minimum_regions;
    binding->cascade_window_ms = model->guards.cascade_window_ms;
    bind_regions(binding, model, now_ms);
    health_region_store_all(health, now_ms);
    binding->service_count = model->service_count;
    binding->services = health_table_get(model->service_count, sizeof(*binding->services));
    return binding;
}

bool health_bind_some(struct health_binding *binding, const struct model *model, uint64_t now_ms)
{
    struct health *health = binding->health;

    bool is_more = bind_some_services(binding, model, now_ms);
    settle_quietly(health, now_ms);
    if (is_more) {
        return true;
    }
    bind_witnesses(binding, &model->guards, now_ms);
    health_table_forget_keys(health);
    tell_all(health, now_ms);
    return false;
}

struct health_binding *health_bind(struct health *health, const struct model *model,
                                   uint64_t now_ms)
{
    struct health_binding *binding = health_bind_begin(health, model, now_ms);

    while (binding != NULL && health_bind_some(binding, model, now_ms)) {
    }
    return binding;
}

void health_commit_begin(struct health *health, struct health_binding *binding, uint64_t now_ms)
{
    for (struct region_slot *r = health->regions; r != NULL; r = r->hh.next) {
        r->active = false;
    }
    for (size_t i = 0; i < binding->region_count; i++) {
        struct region_slot *region = binding->regions[i];
        const struct region_plan *plan = &binding->plans[i];
        region->active = true;
        region->index = (uint32_t)i;
        region->minimum = plan->minimum;
        region->prove = plan->prove;
        set_region_probes(health, region, plan->probes, plan->probe_count);
    }
    health->minimum_regions = binding->minimum_regions;
    health->committed = binding;
    health_file_forget(health);
    health->quiet = true;
    health_region_store_all(health, now_ms);
    health->quiet = false;
    tell_all(health, now_ms);
    health->renewed = 0;
}

bool health_commit_some(struct health *health, uint64_t now_ms)
{
    const struct health_binding *binding = health->committed;

    if (binding == NULL) {
        return false;
    }
    for (unsigned n = 0; n < SERVICES_AT_ONCE && health->renewed < binding->service_count; n++) {
        const struct service_binding *bound = &binding->services[health->renewed++];
        for (size_t p = 0; p < bound->group_count; p++) {
            health_group_queue(health, bound->groups[p]);
        }
    }
    settle_quietly(health, now_ms);
    if (health->renewed < binding->service_count) {
        return true;
    }
    tell_all(health, now_ms);
    return false;
}

void health_commit(struct health *health, struct health_binding *binding, uint64_t now_ms)
{
    health_commit_begin(health, binding, now_ms);
    while (health_commit_some(health, now_ms)) {
    }
}

static void unbind_service(struct health *health, struct service_binding *bound)
{
    health_cascade_drop(health, bound->siblings);
    for (size_t p = 0; p < bound->group_count; p++) {
        health_binding_drop(health, bound->groups[p]);
    }
    free(bound->groups);
}

bool health_unbind_some(struct health *health, struct health_binding *binding)
{
    if (health->committed == binding) {
        health->committed = NULL;
    }
    drop_probes(health, binding->witnesses, binding->witness_count);
    binding->witnesses = NULL;
    binding->witness_count = 0;
    for (unsigned n = 0; n < SERVICES_AT_ONCE && binding->service_count > 0; n++) {
        /* from the last on: see health_table_unlink */
        unbind_service(health, &binding->services[--binding->service_count]);
    }
    if (binding->service_count > 0) {
        return true;
    }
    for (size_t i = 0; i < binding->region_count; i++) {
        free(binding->plans[i].siblings);
        drop_probes(health, binding->plans[i].probes, binding->plans[i].probe_count);
        drop_region(health, binding->regions[i]);
    }
    health_table_forget_keys(health); /* of a model that was bound in part */
    free(binding->services);
    free(binding->regions);
    free(binding->plans);
    free(binding);
    return false;
}

void health_unbind(struct health *health, struct health_binding *binding)
{
    while (binding != NULL && health_unbind_some(health, binding)) {
    }
}

static size_t count_pending(struct health_probe *const *probes, size_t count)
{
    size_t pending = 0;

    for (size_t i = 0; i < count; i++) {
        pending += probes[i]->last_result_ms == 0;
    }
    return pending;
}

static size_t count_regions_pending(const struct health_binding *binding)
{
    size_t pending = 0;

    for (size_t i = 0; i < binding->region_count; i++) {
        pending += count_pending(binding->plans[i].probes, binding->plans[i].probe_count);
    }
    return pending;
}

static size_t count_service_pending(const struct service_binding *service)
{
    size_t pending = 0;

    for (size_t p = 0; p < service->group_count; p++) {
        const struct group_slot *group = service->groups[p];
        for (size_t e = 0; e < group->endpoint_count; e++) {
            pending += count_pending(group->endpoints[e].probes, group->endpoints[e].probe_count);
        }
    }
    return pending;
}

size_t health_pending(const struct health_binding *binding)
{
    size_t pending = count_regions_pending(binding);

    for (size_t i = binding->settled; i < binding->service_count; i++) {
        pending += count_service_pending(&binding->services[i]);
    }
    return pending;
}

bool health_is_pending(struct health_binding *binding)
{
    size_t most = binding->settled + SERVICES_A_LOOK;

    while (binding->settled < binding->service_count && binding->settled < most &&
           count_service_pending(&binding->services[binding->settled]) == 0) {
        binding->settled++; /* for good: what has had a result has had one */
    }
    return binding->settled < binding->service_count || count_regions_pending(binding) > 0;
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
