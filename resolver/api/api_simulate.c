#include "resolver/api/api_simulate.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json_writer.h"
#include "policy/overrides.h"
#include "resolver/api/api_status.h"
#include "resolver/control.h"
#include "resolver/simulation.h"

struct scenario {
    const struct snapshot *snapshot;
    struct simulation simulation;
    struct json_writer *json;
    double before[STEER_POOLS_MAX]; /* shares of all answers, by region */
    double after[STEER_POOLS_MAX];
    size_t changed;
    size_t lost; /* services without a healthy region */
    size_t shown;
};

/* ---- what is asked for ---- */

/* Does it mean anything that is configured? */
static bool is_known(const struct snapshot *snapshot, const struct override *target)
{
    const struct model *model = snapshot->model;

    for (size_t i = 0; i < model->region_count; i++) {
        if (override_means_region(target, model->regions[i].name)) {
            return true;
        }
    }
    for (size_t s = 0; s < model->service_count; s++) {
        const struct model_service *service = &model->services[s];
        for (size_t p = 0; p < service->pool_count; p++) {
            const struct model_pool *pool = &service->pools[p];
            if (override_means_pool(target, model->regions[pool->region].name, service->name)) {
                return true;
            }
            for (size_t e = 0; e < pool->endpoint_count; e++) {
                if (override_means_endpoint(target, &pool->endpoints[e].address)) {
                    return true;
                }
            }
        }
    }
    return false;
}

static void put_unknown(const struct snapshot *snapshot, const char *name, struct api_reply *reply)
{
    const struct model *model = snapshot->model;
    const char *names[STEER_POOLS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < model->region_count && count < STEER_POOLS_MAX; i++) {
        names[count++] = model->regions[i].name;
    }
    const char *near = text_nearest(name, names, count);
    api_reply_error(reply, 404, "unknown_target",
                    "no region, service or endpoint is meant by '%.100s'%s%s%s", name,
                    near == NULL ? "" : "; did you mean '", near == NULL ? "" : near,
                    near == NULL ? "" : "'?");
}

static bool take_targets(const struct snapshot *snapshot, const json_t *list,
                         enum override_kind kind, struct override *targets, size_t *count,
                         struct api_reply *reply)
{
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
        if (!is_known(snapshot, target)) {
            put_unknown(snapshot, name, reply);
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
    json_writer_object_end(s->json);
}

static void put_service(struct scenario *s, const struct steer_service *service)
{
    struct simulated_service before;
    struct simulated_service after;

    simulation_choose(s->snapshot, service, NULL, &before);
    simulation_choose(s->snapshot, service, &s->simulation, &after);
    for (uint32_t p = 0; p < service->pool_count; p++) {
        s->before[service->pools[p].region_index % STEER_POOLS_MAX] += before.shares[p];
        s->after[service->pools[p].region_index % STEER_POOLS_MAX] += after.shares[p];
    }
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

static void put_percent(struct json_writer *json, const char *key, double share, double total)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%.1f", total > 0 ? 100.0 * share / total : 0.0);
    json_writer_raw(json, key, text);
}

static void put_region(const struct scenario *s, size_t region)
{
    size_t up_before, up_after, all;

    simulation_count(s->snapshot, region, NULL, &up_before, &all);
    simulation_count(s->snapshot, region, &s->simulation, &up_after, &all);
    json_writer_object_begin(s->json, NULL);
    json_writer_string(s->json, "name", s->snapshot->model->regions[region].name);
    json_writer_uint(s->json, "endpoints", all);
    json_writer_uint(s->json, "up_before", up_before);
    json_writer_uint(s->json, "up_after", up_after);
    if (region < STEER_POOLS_MAX) {
        double services = (double)s->snapshot->service_count;
        put_percent(s->json, "answers_percent_before", s->before[region], services);
        put_percent(s->json, "answers_percent_after", s->after[region], services);
    }
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

static void put_scenario(const struct snapshot *snapshot, const struct override *targets,
                         size_t count, struct json_writer *json)
{
    struct scenario s = {
        .snapshot = snapshot,
        .simulation = { .targets = targets, .target_count = count },
        .json = json,
    };

    json_writer_object_begin(json, NULL);
    put_targets(&s, "down", OVERRIDE_FORCE_DOWN);
    put_targets(&s, "up", OVERRIDE_FORCE_UP);
    json_writer_list_begin(json, "services");
    for (size_t i = 0; i < snapshot->service_count; i++) {
        put_service(&s, &snapshot->services[i]);
    }
    json_writer_list_end(json);
    json_writer_uint(json, "services_total", snapshot->service_count);
    json_writer_uint(json, "services_changed", s.changed);
    json_writer_uint(json, "services_without_healthy_region", s.lost);
    json_writer_list_begin(json, "regions");
    for (size_t i = 0; i < snapshot->model->region_count; i++) {
        put_region(&s, i);
    }
    json_writer_list_end(json);
    json_writer_object_end(json);
}

static void put_scenarios(const struct snapshot *snapshot, struct override *targets, size_t count,
                          bool every_region, struct api_reply *reply)
{
    struct json_writer json;

    reply->status = 200;
    reply->content_type = API_REPLY_JSON;
    json_writer_init(&json, &reply->body);
    json_writer_object_begin(&json, NULL);
    json_writer_list_begin(&json, "scenarios");
    for (size_t i = 0; every_region && i < snapshot->model->region_count; i++) {
        struct override *one = &targets[count];
        memset(one, 0, sizeof(*one));
        one->kind = OVERRIDE_FORCE_DOWN;
        (void)snprintf(one->target, sizeof(one->target), "%s", snapshot->model->regions[i].name);
        put_scenario(snapshot, targets, count + 1, &json);
    }
    if (!every_region) {
        put_scenario(snapshot, targets, count, &json);
    }
    json_writer_list_end(&json);
    json_writer_object_end(&json);
    text_put_char(&reply->body, '\n');
}

void api_simulate_put(struct control *control, const struct snapshot *snapshot,
                      const struct api_request *request, struct api_reply *reply)
{
    struct override targets[SIMULATION_TARGETS_MAX + 1];
    size_t count = 0;
    json_error_t where;
    json_t *root = json_loadb(request->body, request->body_length, JSON_REJECT_DUPLICATES, &where);

    (void)control;
    if (root == NULL) {
        api_reply_error(reply, 400, "bad_request", "the body is not JSON: line %d, column %d: %s",
                        where.line, where.column, where.text);
        return;
    }
    bool every_region = json_is_true(json_object_get(root, "every_region"));
    bool good = take_targets(snapshot, json_object_get(root, "down"), OVERRIDE_FORCE_DOWN, targets,
                             &count, reply) &&
                take_targets(snapshot, json_object_get(root, "up"), OVERRIDE_FORCE_UP, targets,
                             &count, reply);
    json_decref(root);
    if (good && count == 0 && !every_region) {
        api_reply_error(reply, 400, "bad_request",
                        "what is supposed? {\"down\": [\"seoul\"]} or {\"every_region\": true}");
    } else if (good) {
        put_scenarios(snapshot, targets, count, every_region, reply);
    }
}
