#include "resolver/api/api_simulate.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json_writer.h"
#include "policy/overrides.h"
#include "resolver/api/api_status.h"
#include "resolver/control.h"
#include "resolver/hand_guard.h"
#include "resolver/simulation.h"

struct scenario {
    const struct snapshot *snapshot;
    struct simulation simulation;
    struct json_writer *json;
    double *before; /* shares of all answers, by region */
    double *after;
    size_t *up_before; /* endpoints, by region */
    size_t *up_after;
    size_t *all;
    size_t changed;
    size_t lost; /* services without a healthy region */
    size_t shown;
    size_t regions;
};

#define SERVICES_AT_ONCE 16 /* looked at in one piece, some 100 us */
#define TIMES_AGAIN      3  /* begun anew because another generation came */

struct api_simulation {
    struct control *control;
    struct override targets[SIMULATION_TARGETS_MAX + 1];
    size_t count;
    bool every_region;
    const struct snapshot *snapshot; /* not to be looked at when it is not in force */
    uint64_t generation;             /* of it */
    unsigned again;
    size_t region; /* whose turn is next, with every_region */
    size_t next;   /* service */
    bool is_open;  /* there is a scenario */
    struct scenario scenario;
    struct json_writer json;
    struct api_reply reply;
};

/* ---- what is asked for ---- */

static bool take_targets(const struct snapshot *snapshot, const json_t *list,
                         enum override_kind kind, struct override *targets, size_t *count,
                         struct api_reply *reply)
{
    struct error err;

    if (list != NULL && !json_is_array(list)) {
        api_reply_error(reply, 400, "bad_request", "\"down\" and \"up\" are lists of targets");
        return false;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        struct override *target = &targets[*count];
        if (name == NULL || strlen(name) >= sizeof(target->target) ||
            *count >= SIMULATION_TARGETS_MAX) {
            api_reply_error(reply, 400, "bad_request", "at most %u targets, each a text",
                            SIMULATION_TARGETS_MAX);
            return false;
        }
        memset(target, 0, sizeof(*target));
        target->kind = kind;
        (void)snprintf(target->target, sizeof(target->target), "%s", name);
        if (hand_guard_target(snapshot->model, target, &err) < 0) {
            api_reply_error(reply, 404, "unknown_target", "%s", err.message);
            return false;
        }
        (*count)++;
    }
    return true;
}

/* ---- one scenario ---- */

static bool is_same_choice(const struct steer_service *service, const struct steer_choice *a,
                           const struct steer_choice *b)
{
    if (a->result != b->result || a->rung != b->rung || a->several != b->several) {
        return false;
    }
    if (a->result != STEER_ADDRESSES) {
        return true;
    }
    if (!a->several) {
        return a->pool == b->pool && a->bits == b->bits;
    }
    return memcmp(a->bits_of, b->bits_of, service->pool_count * sizeof(a->bits_of[0])) == 0;
}

static bool is_changed(const struct steer_service *service, const struct simulated_service *before,
                       const struct simulated_service *after)
{
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        if (!is_same_choice(service, &before->choices[f], &after->choices[f])) {
            return true;
        }
    }
    for (uint32_t p = 0; p < service->pool_count; p++) {
        if (fabs(before->shares[p] - after->shares[p]) > 0.001) {
            return true;
        }
    }
    return false;
}

static void put_percent(struct json_writer *json, const char *key, double share, double total)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%.1f", total > 0 ? 100.0 * share / total : 0.0);
    json_writer_raw(json, key, text);
}

/* Where regions are drawn a single answer says little. */
static void put_shares(const struct steer_service *service,
                       const struct simulated_service *simulated, struct json_writer *json)
{
    json_writer_object_begin(json, "answers_percent");
    for (uint32_t p = 0; p < service->pool_count; p++) {
        if (simulated->shares[p] > 0) {
            put_percent(json, service->pools[p].region_name, simulated->shares[p], 1.0);
        }
    }
    json_writer_object_end(json);
}

static void put_choices(const struct scenario *s, const char *key,
                        const struct steer_service *service,
                        const struct simulated_service *simulated)
{
    static const char *const names[] = { "A", "AAAA" };

    json_writer_object_begin(s->json, key);
    json_writer_bool(s->json, "healthy_region", simulated->is_well);
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        if (service->has_family[f]) {
            json_writer_object_begin(s->json, names[f]);
            api_status_put_choice(service, f, &simulated->choices[f], s->json);
            json_writer_object_end(s->json);
        }
    }
    put_shares(service, simulated, s->json);
    json_writer_object_end(s->json);
}

static void put_service(struct scenario *s, const struct steer_service *service)
{
    struct simulated_service before;
    struct simulated_service after;

    simulation_choose(s->snapshot, service, NULL, &before);
    simulation_choose(s->snapshot, service, &s->simulation, &after);
    for (uint32_t p = 0; p < service->pool_count; p++) {
        s->before[service->pools[p].region_index] += before.shares[p];
        s->after[service->pools[p].region_index] += after.shares[p];
    }
    simulation_count(s->snapshot, service, NULL, s->up_before, s->all);
    simulation_count(s->snapshot, service, &s->simulation, s->up_after, s->all + s->regions);
    bool changed = is_changed(service, &before, &after);
    s->changed += changed;
    s->lost += !after.is_well;
    if ((!changed && after.is_well) || s->shown >= API_SIMULATE_SERVICES_MAX) {
        return;
    }
    s->shown++;
    char label[SNAPSHOT_LABEL_MAX];
    json_writer_object_begin(s->json, NULL);
    json_writer_string(s->json, "name", snapshot_service_label(service, label));
    put_choices(s, "before", service, &before);
    put_choices(s, "after", service, &after);
    json_writer_object_end(s->json);
}

static void put_region(const struct scenario *s, size_t region)
{
    json_writer_object_begin(s->json, NULL);
    json_writer_string(s->json, "name", s->snapshot->model->regions[region].name);
    json_writer_uint(s->json, "endpoints", s->all[region]);
    json_writer_uint(s->json, "up_before", s->up_before[region]);
    json_writer_uint(s->json, "up_after", s->up_after[region]);
    double services = (double)s->snapshot->service_count;
    put_percent(s->json, "answers_percent_before", s->before[region], services);
    put_percent(s->json, "answers_percent_after", s->after[region], services);
    json_writer_object_end(s->json);
}

static void put_targets(const struct scenario *s, const char *key, enum override_kind kind)
{
    json_writer_list_begin(s->json, key);
    for (size_t i = 0; i < s->simulation.target_count; i++) {
        if (s->simulation.targets[i].kind == kind) {
            json_writer_string(s->json, NULL, s->simulation.targets[i].target);
        }
    }
    json_writer_list_end(s->json);
}

static void *get_counts(size_t count, size_t size)
{
    void *counts = calloc(count + 1, size);

    REQUIRE(counts != NULL);
    return counts;
}

static void begin_scenario(struct scenario *s, const struct snapshot *snapshot,
                           const struct override *targets, size_t count, struct json_writer *json)
{
    size_t regions = snapshot->model->region_count;

    *s = (struct scenario){
        .snapshot = snapshot,
        .simulation = { .targets = targets, .target_count = count },
        .json = json,
        .regions = regions,
        .before = get_counts(regions, sizeof(double)),
        .after = get_counts(regions, sizeof(double)),
        .up_before = get_counts(regions, sizeof(size_t)),
        .up_after = get_counts(regions, sizeof(size_t)),
        .all = get_counts(2 * regions, sizeof(size_t)),
    };
    json_writer_object_begin(json, NULL);
    put_targets(s, "down", OVERRIDE_FORCE_DOWN);
    put_targets(s, "up", OVERRIDE_FORCE_UP);
    json_writer_list_begin(json, "services");
}

static void free_scenario(struct scenario *s)
{
    free(s->before);
    free(s->after);
    free(s->up_before);
    free(s->up_after);
    free(s->all);
    memset(s, 0, sizeof(*s));
}

static void end_scenario(struct scenario *s)
{
    json_writer_list_end(s->json);
    json_writer_uint(s->json, "services_total", s->snapshot->service_count);
    json_writer_uint(s->json, "services_changed", s->changed);
    json_writer_uint(s->json, "services_without_healthy_region", s->lost);
    json_writer_list_begin(s->json, "regions");
    for (size_t i = 0; i < s->regions; i++) {
        put_region(s, i);
    }
    json_writer_list_end(s->json);
    json_writer_object_end(s->json);
    free_scenario(s);
}

/* ---- one after the other ---- */

/* Is it supposed to be down in any case? Then nothing is learnt from taking it down. */
static bool is_down_already(const struct override *targets, size_t count, const char *region)
{
    for (size_t i = 0; i < count; i++) {
        if (targets[i].kind == OVERRIDE_FORCE_DOWN && override_means_region(&targets[i], region)) {
            return true;
        }
    }
    return false;
}

/* Begin the next one; false: there is none. */
static bool next_scenario(struct api_simulation *s)
{
    const struct model *model = s->snapshot->model;

    while (s->every_region && s->region < model->region_count) {
        const char *region = model->regions[s->region++].name;
        struct override *one = &s->targets[s->count];
        if (is_down_already(s->targets, s->count, region)) {
            continue;
        }
        memset(one, 0, sizeof(*one));
        one->kind = OVERRIDE_FORCE_DOWN;
        (void)snprintf(one->target, sizeof(one->target), "%s", region);
        begin_scenario(&s->scenario, s->snapshot, s->targets, s->count + 1, &s->json);
        return true;
    }
    if (s->every_region || s->region > 0) {
        return false;
    }
    s->region++;
    begin_scenario(&s->scenario, s->snapshot, s->targets, s->count, &s->json);
    return true;
}

/* From the first scenario on, of the generation in force. */
static void begin(struct api_simulation *s, const struct snapshot *snapshot)
{
    api_reply_fini(&s->reply);
    memset(&s->reply, 0, sizeof(s->reply));
    s->reply.status = 200;
    s->reply.content_type = API_REPLY_JSON;
    s->snapshot = snapshot;
    s->generation = snapshot->generation;
    s->region = 0;
    s->next = 0;
    json_writer_init(&s->json, &s->reply.body);
    json_writer_object_begin(&s->json, NULL);
    json_writer_list_begin(&s->json, "scenarios");
    s->is_open = next_scenario(s);
}

static void end(struct api_simulation *s)
{
    json_writer_list_end(&s->json);
    json_writer_object_end(&s->json);
    text_put_char(&s->reply.body, '\n');
}

/* A target of the generation before may mean nothing any more. */
static bool begin_again(struct api_simulation *s, const struct snapshot *snapshot)
{
    struct error err;

    free_scenario(&s->scenario);
    api_reply_fini(&s->reply);
    memset(&s->reply, 0, sizeof(s->reply));
    if (snapshot == NULL || s->again++ == TIMES_AGAIN) {
        api_reply_error(&s->reply, 503, "changed", "the configuration changes all the time");
        return false;
    }
    for (size_t i = 0; i < s->count; i++) {
        if (hand_guard_target(snapshot->model, &s->targets[i], &err) < 0) {
            api_reply_error(&s->reply, 404, "unknown_target", "%s", err.message);
            return false;
        }
    }
    begin(s, snapshot);
    return true;
}

bool api_simulate_some(struct api_simulation *simulation)
{
    struct api_simulation *s = simulation;
    const struct snapshot *snapshot = control_snapshot(s->control);

    if (snapshot == NULL || snapshot->generation != s->generation) {
        return begin_again(s, snapshot); /* what was seen is of the past, and its memory too */
    }
    for (unsigned n = 0; s->is_open && n < SERVICES_AT_ONCE; n++) {
        if (s->next < snapshot->service_count) {
            put_service(&s->scenario, &snapshot->services[s->next++]);
            continue;
        }
        end_scenario(&s->scenario);
        s->next = 0;
        s->is_open = next_scenario(s);
    }
    if (!s->is_open) {
        end(s);
    }
    return s->is_open;
}

void api_simulate_take(struct api_simulation *simulation, struct api_reply *reply)
{
    *reply = simulation->reply;
    memset(&simulation->reply, 0, sizeof(simulation->reply));
}

void api_simulate_free(struct api_simulation *simulation)
{
    if (simulation != NULL) {
        free_scenario(&simulation->scenario);
        api_reply_fini(&simulation->reply);
        free(simulation);
    }
}

/* ---- what is asked for ---- */

static bool take_all(struct api_simulation *s, const struct snapshot *snapshot, const json_t *root,
                     struct api_reply *reply)
{
    s->every_region = json_is_true(json_object_get(root, "every_region"));
    if (!take_targets(snapshot, json_object_get(root, "down"), OVERRIDE_FORCE_DOWN, s->targets,
                      &s->count, reply) ||
        !take_targets(snapshot, json_object_get(root, "up"), OVERRIDE_FORCE_UP, s->targets,
                      &s->count, reply)) {
        return false;
    }
    if (s->count == 0 && !s->every_region) {
        api_reply_error(reply, 400, "bad_request",
                        "what is supposed? {\"down\": [\"seoul\"]} or {\"every_region\": true}");
        return false;
    }
    return true;
}

struct api_simulation *api_simulate_begin(struct control *control,
                                          const struct api_request *request,
                                          struct api_reply *reply)
{
    const struct snapshot *snapshot = control_snapshot(control);
    struct api_simulation *s = calloc(1, sizeof(*s));
    json_error_t where;
    json_t *root = json_loadb(request->body, request->body_length, JSON_REJECT_DUPLICATES, &where);

    REQUIRE(s != NULL);
    s->control = control;
    if (root == NULL) {
        api_reply_error(reply, 400, "bad_request", "the body is not JSON: line %d, column %d: %s",
                        where.line, where.column, where.text);
    }
    if (root == NULL || !take_all(s, snapshot, root, reply)) {
        json_decref(root);
        api_simulate_free(s);
        return NULL;
    }
    json_decref(root);
    begin(s, snapshot);
    return s;
}
