#include "resolver/api/api_service.h"

#include <stdlib.h>
#include <string.h>

#include "resolver/api/api_status.h"
#include "resolver/hand.h"
#include "resolver/hostnames.h"
#include "zones/name.h"

/* ---- policy ---- */

static void describe_filter(const struct model_filter *filter, struct text *out)
{
    static const char *const names[] = {
        [MODEL_FILTER_REGION_ORDER] = "region_order",
        [MODEL_FILTER_NEAREST] = "nearest",
        [MODEL_FILTER_LATENCY] = "latency",
        [MODEL_FILTER_ALL] = "all",
        [MODEL_FILTER_WEIGHT] = "weight",
        [MODEL_FILTER_CAPACITY] = "capacity",
        [MODEL_FILTER_STICKY] = "sticky",
        [MODEL_FILTER_SHUFFLE] = "shuffle",
        [MODEL_FILTER_LIMIT] = "limit",
        [MODEL_FILTER_TRICKLE] = "trickle",
    };

    text_put(out, names[filter->kind]);
    switch (filter->kind) {
    case MODEL_FILTER_LATENCY:
        text_printf(out, " (within %u ms is as good)", (filter->band_us + 999) / 1000);
        break;
    case MODEL_FILTER_STICKY:
        text_printf(out, " (by /%u and /%u)", filter->sticky_v4_bits, filter->sticky_v6_bits);
        break;
    case MODEL_FILTER_LIMIT:
        text_printf(out, " %u", filter->limit);
        break;
    case MODEL_FILTER_TRICKLE:
        text_printf(out, " %.2f%%", 100.0 * filter->share_65536 / 65536.0);
        break;
    default:
        break;
    }
}

/* The steps by which its answers are chosen, in words: "nearest, capacity, limit 2". */
static void describe_filters(const struct model_service *service, struct text *out)
{
    for (size_t i = 0; i < service->filter_count; i++) {
        text_put(out, i == 0 ? "" : ", ");
        describe_filter(&service->filters[i], out);
    }
}

static void put_policy(const struct api_view *view, const struct steer_service *service,
                       const struct model_service *model)
{
    struct json_writer *json = view->json;
    struct text words = { 0 };

    if (model->view == MODEL_NONE) {
        json_writer_null(json, "view");
    } else {
        json_writer_string(json, "view", view->snapshot->model->views[model->view].name);
    }
    describe_filters(model, &words);
    json_writer_string(json, "steer", text_string(&words));
    json_writer_string(json, "failback",
                       model->failback == MODEL_FAILBACK_MANUAL ? "manual" : "auto");
    json_writer_uint(json, "max_addresses", service->max_addresses);
    if (model->srv_port != 0) {
        json_writer_uint(json, "srv_port", model->srv_port);
    }
    text_fini(&words);
}

/* ---- pools ---- */

static uint32_t load32(const _Atomic uint32_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* What lies over the pool beside its health. */
static void put_pool_state(const struct api_view *view, const struct steer_service *service,
                           uint32_t pool)
{
    struct json_writer *json = view->json;
    const struct steer_pool *p = &service->pools[pool];
    uint32_t flags = load32(&p->group->flags);

    json_writer_bool(json, "parked", steer_has_hand(service, pool, STEER_HAND_PARKED));
    json_writer_bool(json, "shared", (flags & HEALTH_GROUP_SHARED) != 0);
    if ((flags & HEALTH_GROUP_RAMPING) != 0) {
        json_writer_uint(json, "ramp_percent", (uint64_t)load32(&p->group->ramp) * 100 >> 16);
    }
    if (load32(&p->group->latency_us) != 0) {
        json_writer_uint(json, "latency_us", load32(&p->group->latency_us));
    }
    if (load32(&p->group->capacity) != 0) {
        json_writer_uint(json, "capacity_up", load32(&p->group->capacity));
    }
    if (steer_has_hand(service, pool, STEER_HAND_DRAINED) ||
        steer_has_hand(service, pool, STEER_HAND_FORCED_DOWN) ||
        steer_has_hand(service, pool, STEER_HAND_FORCED_UP)) {
        api_health_put_override(
            view, "override",
            hand_of_pool(control_hand(view->control), p->region_name, service->name));
    }
}

void api_service_put_pool_members(const struct api_view *view, const struct steer_service *service,
                                  uint32_t pool, bool with_checks)
{
    struct json_writer *json = view->json;
    const struct health_binding *binding = view->snapshot->binding;
    size_t count = health_group_size(binding, service->index, pool);

    json_writer_string(json, "region", service->pools[pool].region_name);
    json_writer_uint(json, "minimum", service->pools[pool].group->minimum);
    put_pool_state(view, service, pool);
    json_writer_list_begin(json, "endpoints");
    for (size_t i = 0; i < count; i++) {
        api_health_put_endpoint(view, service->index, pool, i, with_checks);
    }
    json_writer_list_end(json);
}

/* Endpoints given as host names: what is known of each. */
static void put_hostnames(const struct api_view *view, size_t service)
{
    const struct model *model = view->snapshot->model;

    json_writer_list_begin(view->json, "hostnames");
    for (size_t p = 0; p < model->services[service].pool_count; p++) {
        const struct model_pool *pool = &model->services[service].pools[p];
        for (size_t i = 0; i < pool->written_count; i++) {
            if (pool->written[i].hostname != NULL) {
                hostnames_describe(control_hostnames(view->control), &pool->written[i],
                                   model->regions[pool->region].name, view->json);
            }
        }
    }
    json_writer_list_end(view->json);
}

/* ---- answers ---- */

/* Addresses that it may answer with, be they up or not. */
static unsigned count_addresses(const struct steer_service *service, unsigned family)
{
    unsigned count = service->fallback_counts[family];

    for (uint32_t i = 0; i < service->pool_count; i++) {
        count += service->pools[i].counts[family];
    }
    return count;
}

/* Has it none of the family, though it has of the other? */
static bool is_foreign(const struct steer_service *service, unsigned family)
{
    return !service->has_family[family] ||
           (count_addresses(service, family) == 0 && count_addresses(service, 1 - family) > 0);
}

static void put_answer(const struct api_view *view, const struct steer_service *service,
                       unsigned family)
{
    struct steer_choice choice;

    if (is_foreign(service, family)) {
        json_writer_null(view->json, family == ADDR_V4 ? "A" : "AAAA");
        return;
    }
    const uint8_t *target = NULL;
    if (service->cnames != NULL) {
        target = steer_cname(service, family, NULL, &choice);
    } else {
        steer_choose(service, family, NULL, &choice);
    }
    json_writer_object_begin(view->json, family == ADDR_V4 ? "A" : "AAAA");
    if (target != NULL) {
        char shown[NAME_TEXT_MAX];
        (void)name_format(target, shown, sizeof(shown));
        json_writer_string(view->json, "cname", shown);
    }
    api_status_put_choice(service, family, &choice, view->json);
    json_writer_object_end(view->json);
}

/* ---- one, and its views ---- */

static void put_members(const struct api_view *view, size_t index, bool with_checks)
{
    const struct steer_service *service = &view->snapshot->services[index];
    struct json_writer *json = view->json;

    json_writer_string(json, "name", service->name);
    put_policy(view, service, &view->snapshot->model->services[index]);
    json_writer_object_begin(json, "answer");
    put_answer(view, service, ADDR_V4);
    put_answer(view, service, ADDR_V6);
    json_writer_object_end(json);
    json_writer_uint(json, "ttl_s", service->ttl_normal_s);
    json_writer_uint(json, "ttl_suspect_s", service->ttl_suspect_s);
    json_writer_list_begin(json, "pools");
    for (uint32_t pool = 0; pool < service->pool_count; pool++) {
        json_writer_object_begin(json, NULL);
        api_service_put_pool_members(view, service, pool, with_checks);
        json_writer_object_end(json);
    }
    json_writer_list_end(json);
    put_hostnames(view, index);
}

/* ---- nothing to tell ---- */

static bool is_first_choice(const struct steer_service *service, const struct model_service *model,
                            unsigned family)
{
    bool is_ordered =
        model->filter_count == 0 ||
        (model->filter_count == 1 && model->filters[0].kind == MODEL_FILTER_REGION_ORDER);
    struct steer_choice choice;

    if (is_foreign(service, family)) {
        return true;
    }
    steer_choose(service, family, NULL, &choice);
    return choice.result == STEER_ADDRESSES && choice.rung == 1 &&
           (!is_ordered || (!choice.several && choice.pool == 0));
}

static bool is_pool_plain(const struct api_view *view, const struct steer_service *service,
                          uint32_t pool)
{
    static const uint32_t telling =
        HEALTH_GROUP_SUSPECT | HEALTH_GROUP_SHARED | HEALTH_GROUP_RAMPING;
    const struct health_binding *binding = view->snapshot->binding;
    size_t count = health_group_size(binding, service->index, pool);

    if ((load32(&service->pools[pool].group->flags) & telling) != 0 ||
        steer_has_hand(service, pool, STEER_HAND_PARKED) ||
        steer_has_hand(service, pool, STEER_HAND_DRAINED) ||
        steer_has_hand(service, pool, STEER_HAND_FORCED_DOWN) ||
        steer_has_hand(service, pool, STEER_HAND_FORCED_UP)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct health_endpoint_view shown;
        health_view_endpoint(binding, service->index, pool, i, &shown);
        if (strcmp(shown.state, "up") != 0 && strcmp(shown.state, "unchecked") != 0) {
            return false;
        }
    }
    return true;
}

/* Of host names there is always something that resolvers may have said. */
static bool has_hostname(const struct model_service *model)
{
    for (size_t p = 0; p < model->pool_count; p++) {
        for (size_t i = 0; i < model->pools[p].written_count; i++) {
            if (model->pools[p].written[i].hostname != NULL) {
                return true;
            }
        }
    }
    return false;
}

static bool is_plain(const struct api_view *view, size_t index)
{
    const struct steer_service *service = &view->snapshot->services[index];
    const struct model_service *model = &view->snapshot->model->services[index];

    if (service->cnames != NULL || has_hostname(model) ||
        !is_first_choice(service, model, ADDR_V4) || !is_first_choice(service, model, ADDR_V6)) {
        return false;
    }
    for (uint32_t pool = 0; pool < service->pool_count; pool++) {
        if (!is_pool_plain(view, service, pool)) {
            return false;
        }
    }
    return true;
}

bool api_service_is_plain(const struct api_view *view, size_t index)
{
    size_t views = view->snapshot->model->services[index].view_count;

    for (size_t i = 0; i <= views; i++) {
        if (!is_plain(view, index + i)) {
            return false;
        }
    }
    return true;
}

/* ---- the whole ---- */

void api_service_put(const struct api_view *view, size_t index, bool with_checks)
{
    size_t views = view->snapshot->model->services[index].view_count;

    json_writer_object_begin(view->json, NULL);
    put_members(view, index, with_checks);
    json_writer_list_begin(view->json, "views");
    for (size_t i = 1; i <= views; i++) {
        json_writer_object_begin(view->json, NULL);
        put_members(view, index + i, with_checks);
        json_writer_object_end(view->json);
    }
    json_writer_list_end(view->json);
    json_writer_object_end(view->json);
}

void api_service_put_unknown(const struct model *model, const char *name, struct api_reply *reply)
{
    const char *near = NULL;
    const char **names = calloc(model->service_count + 1, sizeof(*names));

    for (size_t i = 0; names != NULL && i < model->service_count; i++) {
        names[i] = model->services[i].name;
    }
    if (names != NULL) {
        near = text_nearest(name, names, model->service_count);
    }
    api_reply_error(reply, 404, "unknown_service", "no service named '%.100s'%s%s%s", name,
                    near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                    near != NULL ? "'?" : "");
    free(names);
}
