#include "policy/review.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "base/error.h"
#include "base/hash.h"
#include "policy/review_words.h"

#define WHOLE_PERCENT 100u
#define NAMES_SHOWN   3

/* A service of the fresh model by its name. */
struct entry {
    const char *key; /* name and view */
    char *own;
    const struct model_service *service;
    UT_hash_handle hh;
};

struct compare {
    const struct review_old *old;
    const struct model *fresh;
    struct review *review;
    struct entry *services;
    struct entry *entries; /* the memory of them */
    bool *gated;           /* by region of the old model: its new minimum is not met */
};

static void *get(size_t count, size_t size)
{
    void *memory = calloc(count == 0 ? 1 : count, size);

    REQUIRE(memory != NULL);
    return memory;
}

static struct review_change *add_change(struct compare *c, enum review_kind kind, const char *name,
                                        struct text *text)
{
    struct review *r = c->review;
    struct review_change *changes = reallocarray(r->changes, r->change_count + 1, sizeof(*changes));

    REQUIRE(changes != NULL);
    r->changes = changes;
    struct review_change *change = &changes[r->change_count++];
    *change = (struct review_change){
        .kind = kind,
        .name = strdup(name),
        .text = strdup(text_string(text)),
    };
    REQUIRE(change->name != NULL && change->text != NULL && !text_failed(text));
    text_fini(text);
    return change;
}

/* The change, if there is any to tell. */
static void add_words(struct compare *c, enum review_kind kind, const char *name, struct text *text)
{
    if (text->length > 0) {
        (void)add_change(c, kind, name, text);
    }
    text_fini(text);
}

/* ---- services by name ---- */

static char *make_key(const struct model *model, const struct model_service *service)
{
    struct text key = { 0 };

    text_put(&key, service->name);
    if (service->view != MODEL_NONE && service->view < model->view_count) {
        text_printf(&key, " (view %s)", model->views[service->view].name);
    }
    REQUIRE(!text_failed(&key));
    return key.bytes;
}

static void index_services(struct compare *c)
{
    c->entries = get(c->fresh->service_count, sizeof(*c->entries));
    for (size_t i = 0; i < c->fresh->service_count; i++) {
        struct entry *entry = &c->entries[i];
        entry->service = &c->fresh->services[i];
        entry->own = make_key(c->fresh, entry->service);
        entry->key = entry->own;
        HASH_ADD_KEYPTR(hh, c->services, entry->key, strlen(entry->key), entry);
    }
}

static void free_index(struct compare *c)
{
    HASH_CLEAR(hh, c->services);
    for (size_t i = 0; i < c->fresh->service_count; i++) {
        free(c->entries[i].own);
    }
    free(c->entries);
}

static const struct model_service *find_service(const struct compare *c, const char *key)
{
    struct entry *entry = NULL;

    HASH_FIND_STR(c->services, key, entry);
    return entry == NULL ? NULL : entry->service;
}

static const char *region_of(const struct model *model, const struct model_pool *pool)
{
    return model->regions[pool->region].name;
}

static const struct model_pool *find_pool(const struct model *model,
                                          const struct model_service *service, const char *region)
{
    for (size_t p = 0; p < service->pool_count; p++) {
        if (strcmp(region_of(model, &service->pools[p]), region) == 0) {
            return &service->pools[p];
        }
    }
    return NULL;
}

/* ---- endpoints ---- */

/*
 * As written: names of hosts stay names, whatever they resolve to just now, so
 * that a moved address behind a name is no change of the configuration.
 */
static const struct model_endpoint *written_of(const struct model_pool *pool, size_t *out_count)
{
    *out_count = pool->written != NULL ? pool->written_count : pool->endpoint_count;
    return pool->written != NULL ? pool->written : pool->endpoints;
}

static bool is_same_name(const uint8_t *a, const uint8_t *b)
{
    return a == b || (a != NULL && b != NULL && strcmp((const char *)a, (const char *)b) == 0);
}

static const struct model_endpoint *find_endpoint(const struct model_pool *pool,
                                                  const struct model_endpoint *wanted)
{
    size_t count;
    const struct model_endpoint *list = pool == NULL ? NULL : written_of(pool, &count);

    for (size_t i = 0; list != NULL && i < count; i++) {
        bool same = wanted->hostname != NULL || list[i].hostname != NULL
                        ? is_same_name(wanted->hostname, list[i].hostname)
                        : addr_same_host(&wanted->address, &list[i].address);
        if (same) {
            return &list[i];
        }
    }
    return NULL;
}

static void put_endpoint(struct text *out, const struct model_endpoint *endpoint)
{
    char shown[ADDR_TEXT_MAX];

    if (endpoint->hostname != NULL) {
        /* labels with dots between them; only for people */
        for (const uint8_t *at = endpoint->hostname; *at != 0; at += *at + 1) {
            text_printf(out, "%.*s.", (int)*at, (const char *)at + 1);
        }
        return;
    }
    addr_format(&endpoint->address, shown, sizeof(shown));
    text_put(out, shown);
}

static bool is_up(const struct compare *c, size_t service, size_t pool, size_t endpoint)
{
    return c->old->is_up == NULL || c->old->is_up(c->old->user, service, pool, endpoint);
}

/* Endpoints of a pool as they are now, with the hosts' names resolved: up, and how many leave. */
static uint32_t count_lost(const struct compare *c, size_t service, size_t pool,
                           const struct model_pool *to, uint32_t *healthy)
{
    const struct model_pool *from = &c->old->model->services[service].pools[pool];
    uint32_t lost = 0;

    for (size_t e = 0; e < from->endpoint_count; e++) {
        if (!is_up(c, service, pool, e)) {
            continue; /* what is down already is free to go */
        }
        const struct model_endpoint *stays = find_endpoint(to, &from->endpoints[e]);
        (*healthy)++;
        /* with weight 0 it is there, but not used while anything else is */
        lost += stays == NULL || (stays->weight == 0 && from->endpoints[e].weight > 0);
    }
    return lost;
}

static const char *between(const struct text *out)
{
    return out->length == 0 ? "" : ", ";
}

/* "-203.0.113.10, 203.0.113.11 weight 1 -> 0, +203.0.113.12" */
static void put_difference(struct text *out, const struct model_pool *from,
                           const struct model_pool *to)
{
    size_t count = 0;
    const struct model_endpoint *list = from == NULL ? NULL : written_of(from, &count);

    for (size_t i = 0; i < count; i++) {
        const struct model_endpoint *stays = find_endpoint(to, &list[i]);
        struct text words = { 0 };
        if (stays != NULL) {
            review_words_endpoint(&list[i], stays, &words);
        }
        if (stays == NULL || words.length > 0) {
            text_printf(out, "%s%s", between(out), stays == NULL ? "-" : "");
            put_endpoint(out, &list[i]);
            text_put(out, text_string(&words));
        }
        text_fini(&words);
    }
    count = 0;
    list = to == NULL ? NULL : written_of(to, &count);
    for (size_t i = 0; i < count; i++) {
        if (find_endpoint(from, &list[i]) == NULL) {
            text_printf(out, "%s+", between(out));
            put_endpoint(out, &list[i]);
        }
    }
}

/*
 * The region's own minimum is met by its checks now and would not be any more.
 * Checks that come count as passing.
 */
static bool would_gate(const struct compare *c, size_t region, const struct model_region *to)
{
    const struct model_region *from = &c->old->model->regions[region];
    size_t passing =
        c->old->passing == NULL ? from->check_count : c->old->passing(c->old->user, region);
    size_t more = to->check_count > from->check_count ? to->check_count - from->check_count : 0;
    size_t after = passing + more < to->check_count ? passing + more : to->check_count;

    return model_minimum_count(from->minimum_healthy, (uint32_t)from->check_count) <= passing &&
           model_minimum_count(to->minimum_healthy, (uint32_t)to->check_count) > after;
}

/*
 * A minimum that is met now and would not be any more takes the region out of
 * the service as if its endpoints were gone. New ones count as up.
 */
static uint32_t count_unmet(const struct compare *c, size_t service, size_t pool,
                            const struct model_service *to_service, const struct model_pool *to,
                            uint32_t healthy)
{
    const struct model_service *from_service = &c->old->model->services[service];
    const struct model_pool *from = &from_service->pools[pool];
    uint32_t after = 0;

    if (to == NULL || model_minimum_count(from_service->minimum_healthy,
                                          (uint32_t)from->endpoint_count) > healthy) {
        return 0;
    }
    if (c->gated[from->region]) {
        return healthy;
    }
    for (size_t e = 0; e < to->endpoint_count; e++) {
        after += find_endpoint(from, &to->endpoints[e]) == NULL;
    }
    for (size_t e = 0; e < from->endpoint_count; e++) {
        after += is_up(c, service, pool, e) && find_endpoint(to, &from->endpoints[e]) != NULL;
    }
    return model_minimum_count(to_service->minimum_healthy, (uint32_t)to->endpoint_count) > after
               ? healthy
               : 0;
}

static void add_unmet(struct compare *c, const char *key, const char *region, uint32_t lost)
{
    struct text text = { 0 };

    text_printf(&text, "endpoints in %s: minimum_healthy would not be met", region);
    struct review_change *change = add_change(c, REVIEW_ENDPOINTS, key, &text);
    change->lost = lost;
    change->by_state = true;
}

static uint32_t compare_pool(struct compare *c, size_t service, size_t pool,
                             const struct model_service *to_service, const char *key,
                             uint32_t *healthy)
{
    const struct model_pool *from = &c->old->model->services[service].pools[pool];
    const char *region = region_of(c->old->model, from);
    const struct model_pool *to =
        to_service == NULL ? NULL : find_pool(c->fresh, to_service, region);
    uint32_t before = *healthy;
    uint32_t lost = count_lost(c, service, pool, to, healthy);
    uint32_t unmet = count_unmet(c, service, pool, to_service, to, *healthy - before);
    struct text list = { 0 };

    put_difference(&list, from, to);
    if (unmet > lost) {
        add_unmet(c, key, region, unmet - lost);
    }
    if (to_service == NULL || list.length == 0) {
        text_fini(&list);
        return unmet > lost ? unmet : lost;
    }
    struct text text = { 0 };
    text_printf(&text, "endpoints in %s: %s", region, text_string(&list));
    text_fini(&list);
    add_change(c, REVIEW_ENDPOINTS, key, &text)->lost = lost;
    return unmet > lost ? unmet : lost;
}

/* Pools that only the fresh service has. */
static void compare_new_pools(struct compare *c, const struct model_service *from,
                              const struct model_service *to, const char *key)
{
    for (size_t p = 0; p < to->pool_count; p++) {
        const char *region = region_of(c->fresh, &to->pools[p]);
        struct text text = { 0 };
        if (find_pool(c->old->model, from, region) != NULL) {
            continue;
        }
        text_printf(&text, "endpoints in %s: ", region);
        put_difference(&text, NULL, &to->pools[p]);
        (void)add_change(c, REVIEW_ENDPOINTS, key, &text);
    }
}

/* ---- rules ---- */

static void put_order(struct text *out, const struct model *model,
                      const struct model_service *service)
{
    for (size_t p = 0; p < service->pool_count; p++) {
        text_printf(out, "%s%s", p == 0 ? "" : ", ", region_of(model, &service->pools[p]));
    }
}

static void compare_order(struct compare *c, const struct model_service *from,
                          const struct model_service *to, const char *key)
{
    struct text before = { 0 };
    struct text after = { 0 };
    struct text text = { 0 };

    put_order(&before, c->old->model, from);
    put_order(&after, c->fresh, to);
    if (strcmp(text_string(&before), text_string(&after)) != 0) {
        text_printf(&text, "order: %s -> %s", text_string(&before), text_string(&after));
        (void)add_change(c, REVIEW_ORDER, key, &text);
    }
    text_fini(&before);
    text_fini(&after);
}

static void compare_rules(struct compare *c, const struct model_service *from,
                          const struct model_service *to, const char *key)
{
    struct text text = { 0 };

    review_words_service(c->old->model, from, c->fresh, to, &text);
    add_words(c, REVIEW_RULES, key, &text);
}

/* ---- what is too much ---- */

static void weigh(struct compare *c, const char *key, uint32_t healthy, uint32_t lost)
{
    const struct model_guards *guards = &c->old->model->guards;
    uint32_t before = c->old->lost_before == NULL ? 0 : c->old->lost_before(c->old->user, key);
    uint32_t total = healthy + before;
    uint64_t share = (uint64_t)total * guards->removal_percent / WHOLE_PERCENT;
    uint32_t allowed = share < 1 ? 1 : (uint32_t)share;
    struct review *r = c->review;

    if (lost == 0 || guards->removal_percent >= WHOLE_PERCENT || lost + before <= allowed) {
        return;
    }
    struct review_excess *list = reallocarray(r->excesses, r->excess_count + 1, sizeof(*list));
    REQUIRE(list != NULL);
    r->excesses = list;
    list[r->excess_count++] = (struct review_excess){
        .service = strdup(key),
        .healthy = total,
        .lost = lost + before,
        .allowed = allowed,
    };
    REQUIRE(list[r->excess_count - 1].service != NULL);
}

static void compare_service(struct compare *c, size_t index)
{
    const struct model_service *from = &c->old->model->services[index];
    char *key = make_key(c->old->model, from);
    const struct model_service *to = find_service(c, key);
    uint32_t healthy = 0;
    uint32_t lost = 0;

    for (size_t p = 0; p < from->pool_count; p++) {
        lost += compare_pool(c, index, p, to, key, &healthy);
    }
    if (to == NULL) {
        struct text text = { 0 };
        text_put(&text, "is no longer answered");
        add_change(c, REVIEW_SERVICE_REMOVED, key, &text)->lost = lost;
    } else {
        compare_new_pools(c, from, to, key);
        compare_order(c, from, to, key);
        compare_rules(c, from, to, key);
    }
    weigh(c, key, healthy, lost);
    free(key);
}

/* ---- everything else ---- */

struct known {
    char *key;
    UT_hash_handle hh;
};

static void find_added(struct compare *c)
{
    const struct model *old = c->old->model;
    struct known *known = NULL;
    struct known *entries = get(old->service_count, sizeof(*entries));

    for (size_t i = 0; i < old->service_count; i++) {
        entries[i].key = make_key(old, &old->services[i]);
        HASH_ADD_KEYPTR(hh, known, entries[i].key, strlen(entries[i].key), &entries[i]);
    }
    for (size_t i = 0; i < c->fresh->service_count; i++) {
        struct known *found = NULL;
        struct text text = { 0 };
        HASH_FIND_STR(known, c->entries[i].key, found);
        if (found == NULL) {
            text_put(&text, "order: ");
            put_order(&text, c->fresh, &c->fresh->services[i]);
            (void)add_change(c, REVIEW_SERVICE_ADDED, c->entries[i].key, &text);
        }
    }
    HASH_CLEAR(hh, known);
    for (size_t i = 0; i < old->service_count; i++) {
        free(entries[i].key);
    }
    free(entries);
}

static const struct model_region *find_region(const struct model *model, const char *name)
{
    for (size_t i = 0; i < model->region_count; i++) {
        if (strcmp(model->regions[i].name, name) == 0) {
            return &model->regions[i];
        }
    }
    return NULL;
}

static void put_region(struct compare *c, enum review_kind kind, const struct model_region *region)
{
    struct text text = { 0 };

    text_printf(&text, "%zu check%s, minimum_healthy ", region->check_count,
                region->check_count == 1 ? "" : "s");
    review_words_minimum(region->minimum_healthy, &text);
    (void)add_change(c, kind, region->name, &text);
}

static void compare_regions(struct compare *c)
{
    const struct model *old = c->old->model;

    for (size_t i = 0; i < old->region_count; i++) {
        const struct model_region *from = &old->regions[i];
        const struct model_region *to = find_region(c->fresh, from->name);
        struct text text = { 0 };
        if (to == NULL) {
            put_region(c, REVIEW_REGION_REMOVED, from);
            continue;
        }
        c->gated[i] = would_gate(c, i, to);
        review_words_region(from, to, &text);
        add_words(c, REVIEW_REGION, from->name, &text);
    }
    for (size_t i = 0; i < c->fresh->region_count; i++) {
        if (find_region(old, c->fresh->regions[i].name) == NULL) {
            put_region(c, REVIEW_REGION_ADDED, &c->fresh->regions[i]);
        }
    }
}

static const struct model_zone *find_zone(const struct model *model, const char *name)
{
    for (size_t i = 0; i < model->zone_count; i++) {
        if (strcmp(model->zones[i].name, name) == 0) {
            return &model->zones[i];
        }
    }
    return NULL;
}

static void compare_zones(struct compare *c)
{
    for (size_t i = 0; i < c->old->model->zone_count; i++) {
        const struct model_zone *zone = &c->old->model->zones[i];
        struct text text = { 0 };
        if (find_zone(c->fresh, zone->name) == NULL) {
            text_put(&text, "zone removed: its names are no longer answered");
            (void)add_change(c, REVIEW_ZONE, zone->name, &text);
        }
    }
    for (size_t i = 0; i < c->fresh->zone_count; i++) {
        const struct model_zone *zone = &c->fresh->zones[i];
        struct text text = { 0 };
        if (find_zone(c->old->model, zone->name) == NULL) {
            text_put(&text, "zone added");
            (void)add_change(c, REVIEW_ZONE, zone->name, &text);
        }
    }
}

static void compare_guards(struct compare *c)
{
    struct text text = { 0 };

    review_words_guards(&c->old->model->guards, &c->fresh->guards, &text);
    add_words(c, REVIEW_GUARDS, "guards", &text);
}

/* ---- sections of the same words on every node ---- */

struct told_section {
    struct compare *compare;
    enum review_kind kind;
};

static void on_entry(void *user, const char *name, struct text *text)
{
    const struct told_section *told = user;

    (void)add_change(told->compare, told->kind, name, text);
}

static void compare_sections(struct compare *c)
{
    static const char *const lists[] = { "clients", "maintenance", "access" };
    struct told_section told = { .compare = c, .kind = REVIEW_CHECK };

    review_words_entries(c->old->model, c->fresh, "checks", on_entry, &told);
    told.kind = REVIEW_VIEW;
    review_words_entries(c->old->model, c->fresh, "views", on_entry, &told);
    told.kind = REVIEW_FORWARD;
    review_words_entries(c->old->model, c->fresh, "forward", on_entry, &told);
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        struct text text = { 0 };
        review_words_section(c->old->model, c->fresh, lists[i], &text);
        add_words(c, REVIEW_SECTION, lists[i], &text);
    }
}

/* ---- the ID ---- */

static int by_text(const void *a, const void *b)
{
    const struct review_change *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    order = order != 0 ? order : (int)x->kind - (int)y->kind;
    return order != 0 ? order : strcmp(x->text, y->text);
}

/*
 * Over the sorted changes, not over what is up: consent is to a change of the
 * configuration, and every node must know it by the same ID.
 */
static void make_id(struct review *review)
{
    static const struct hash_key key = { .k0 = 0x6c65657761726431, .k1 = 1 }; /* any, fixed */
    struct text all = { 0 };

    qsort(review->changes, review->change_count, sizeof(*review->changes), by_text);
    for (size_t i = 0; i < review->change_count; i++) {
        const struct review_change *change = &review->changes[i];
        if (!change->by_state) {
            text_printf(&all, "%d|%s|%s\n", (int)change->kind, change->name, change->text);
        }
    }
    REQUIRE(!text_failed(&all));
    uint64_t hash = hash_bytes(&key, text_string(&all), all.length);
    (void)snprintf(review->id, sizeof(review->id), "%016llx", (unsigned long long)hash);
    text_fini(&all);
}

struct review *review_new(const struct review_old *old, const struct model *fresh)
{
    struct compare c = { .old = old, .fresh = fresh, .review = calloc(1, sizeof(struct review)) };

    if (c.review == NULL) {
        return NULL;
    }
    c.review->changes = get(1, sizeof(*c.review->changes));
    c.gated = get(old->model->region_count, sizeof(*c.gated));
    index_services(&c);
    compare_regions(&c);
    for (size_t i = 0; i < old->model->service_count; i++) {
        compare_service(&c, i);
    }
    find_added(&c);
    compare_zones(&c);
    compare_guards(&c);
    compare_sections(&c);
    c.review->generation = fresh->file_generation;
    c.review->running = old->model->file_generation;
    free_index(&c);
    free(c.gated);
    make_id(c.review);
    c.review->accepted = c.review->excess_count > 0 && fresh->guards.accept != NULL &&
                         strcmp(fresh->guards.accept, c.review->id) == 0;
    return c.review;
}

void review_free(struct review *review)
{
    if (review == NULL) {
        return;
    }
    for (size_t i = 0; i < review->change_count; i++) {
        free(review->changes[i].name);
        free(review->changes[i].text);
    }
    for (size_t i = 0; i < review->excess_count; i++) {
        free(review->excesses[i].service);
    }
    free(review->changes);
    free(review->excesses);
    free(review);
}

uint32_t review_lost(const struct review *review, const char *service)
{
    uint32_t lost = 0;

    for (size_t i = 0; i < review->change_count; i++) {
        lost += strcmp(review->changes[i].name, service) == 0 ? review->changes[i].lost : 0;
    }
    return lost;
}

void review_put_refusal(const struct review *review, struct text *out)
{
    if (review_is_older(review)) {
        text_printf(out, "generation %llu of the file is older than %llu, which runs",
                    (unsigned long long)review->generation, (unsigned long long)review->running);
        return;
    }
    text_printf(out, "too much healthy capacity would leave at once: ");
    for (size_t i = 0; i < review->excess_count && i < NAMES_SHOWN; i++) {
        const struct review_excess *e = &review->excesses[i];
        text_printf(out, "%s%s loses %u of %u endpoints that are up, %u may leave",
                    i == 0 ? "" : "; ", e->service, e->lost, e->healthy, e->allowed);
    }
    if (review->excess_count > NAMES_SHOWN) {
        text_printf(out, "; and %zu services more", review->excess_count - NAMES_SHOWN);
    }
}

const char *review_kind_name(enum review_kind kind)
{
    static const char *const names[] = {
        [REVIEW_REGION_ADDED] = "region added",
        [REVIEW_REGION_REMOVED] = "region removed",
        [REVIEW_SERVICE_ADDED] = "service added",
        [REVIEW_SERVICE_REMOVED] = "service removed",
        [REVIEW_ORDER] = "order",
        [REVIEW_ENDPOINTS] = "endpoints",
        [REVIEW_RULES] = "rules",
        [REVIEW_ZONE] = "zone",
        [REVIEW_GUARDS] = "guards",
        [REVIEW_REGION] = "region",
        [REVIEW_CHECK] = "check",
        [REVIEW_VIEW] = "view",
        [REVIEW_FORWARD] = "forward",
        [REVIEW_SECTION] = "section",
    };

    return names[kind];
}
