#include "policy/config_steer.h"

#include <string.h>

#include "base/arena.h"
#include "policy/config_filter.h"

/* ------------------------------------------------------------------ what goes together */

/* The filters of the list as they are applied. */
static void hint_order(const struct model_filter *list, size_t count, struct error *err)
{
    struct text order = { 0 };

    for (unsigned step = 0; step < CONFIG_FILTER_STEPS; step++) {
        for (size_t i = 0; i < count; i++) {
            if (config_filter_step(list[i].kind) == step) {
                text_printf(&order, "%s%s", order.length == 0 ? "" : ", ",
                            config_filter_word(list[i].kind));
            }
        }
    }
    error_hint(err, "they are applied in this order: %s", text_string(&order));
    text_fini(&order);
}

static bool report_pair(struct config_context *context, const struct config_item *item,
                        const struct model_filter *first, const struct model_filter *second)
{
    const char *word = config_filter_word(second->kind);
    const char *before = config_filter_word(first->kind);
    struct error *err;

    if (first->kind == second->kind) {
        config_error_value(context, item, "%s is given twice", word);
    } else if (config_filter_step(first->kind) == 0) {
        err = config_error_value(context, item, "%s and %s both say which regions answer", before,
                                 word);
        error_hint(err, "keep one of region_order, nearest, latency and all");
    } else {
        err = config_error_value(context, item, "shuffle and %s contradict each other",
                                 first->kind == MODEL_FILTER_SHUFFLE ? word : before);
        error_hint(err, "%s", "keep one: weight draws at random, sticky is not random, shuffle is");
    }
    return false;
}

/* May both stand in one chain? */
static bool is_pair(const struct model_filter *a, const struct model_filter *b)
{
    bool shuffled = a->kind == MODEL_FILTER_SHUFFLE || b->kind == MODEL_FILTER_SHUFFLE;
    bool weighed = a->kind == MODEL_FILTER_WEIGHT || b->kind == MODEL_FILTER_WEIGHT;

    return config_filter_step(a->kind) != config_filter_step(b->kind) && !(shuffled && weighed);
}

static bool check_chain(struct config_context *context, const struct config_item *steer,
                        const struct model_filter *list, size_t count)
{
    bool spread = false;

    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(steer, i);
        for (size_t j = 0; j < i; j++) {
            if (!is_pair(&list[j], &list[i])) {
                return report_pair(context, &one, &list[j], &list[i]);
            }
        }
        if (i > 0 && config_filter_step(list[i - 1].kind) > config_filter_step(list[i].kind)) {
            struct error *err = config_error_value(context, &one, "%s comes before %s",
                                                   config_filter_word(list[i].kind),
                                                   config_filter_word(list[i - 1].kind));
            hint_order(list, count, err);
            return false;
        }
        spread = spread || list[i].kind == MODEL_FILTER_ALL;
        if (spread && list[i].kind == MODEL_FILTER_TRICKLE) {
            struct error *err =
                config_error_value(context, &one, "with all there is no next region");
            error_hint(err, "all regions answer already, so each is proven; leave trickle out");
            return false;
        }
    }
    return true;
}

/* ------------------------------------------------------------------ chains */

/* The chain of a policy. */
static size_t put_policy(struct config_context *context, enum config_steer_policy policy,
                         struct model_filter *out)
{
    static const struct model_filter chains[][3] = {
        [CONFIG_STEER_FAILOVER] = { { .kind = MODEL_FILTER_REGION_ORDER } },
        [CONFIG_STEER_NEAREST] = { { .kind = MODEL_FILTER_NEAREST } },
        [CONFIG_STEER_LATENCY] = { { .kind = MODEL_FILTER_LATENCY } },
        [CONFIG_STEER_WEIGHTED] = { { .kind = MODEL_FILTER_ALL },
                                    { .kind = MODEL_FILTER_WEIGHT },
                                    { .kind = MODEL_FILTER_LIMIT, .limit = 1 } },
        [CONFIG_STEER_ALL] = { { .kind = MODEL_FILTER_ALL } },
    };
    size_t count = policy == CONFIG_STEER_WEIGHTED ? 3 : 1;

    memcpy(out, chains[policy], count * sizeof(*out));
    for (size_t i = 0; i < count; i++) {
        config_filter_set_defaults(context, &out[i]);
    }
    return count;
}

static void use_policy(struct config_context *context, const struct config_item *item,
                       enum config_steer_policy policy, struct model_service *service)
{
    struct model_filter *list = arena_array(context->arena, 3, sizeof(*list));
    struct config_item written;

    service->filter_count = put_policy(context, policy, list);
    service->filters = list;
    if (config_item_get(item, "policy", &written)) {
        for (size_t i = 0; i < service->filter_count; i++) {
            list[i].place = config_node_place(written.value);
        }
    }
}

/* Each filter of the list, and the order of regions in front when it says none. */
static bool read_chain(struct config_context *context, const struct config_item *steer,
                       struct model_service *service)
{
    size_t count = config_item_list_count(steer);
    struct model_filter *list = arena_array(context->arena, count + 1, sizeof(*list));
    struct model_filter *read = list + 1;
    bool good = true;

    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(steer, i);
        good = config_filter_read(context, &one, service, &read[i]) && good;
    }
    if (!good || !check_chain(context, steer, read, count)) {
        return false;
    }
    bool ordered = config_filter_step(read[0].kind) == 0;
    list[0] = (struct model_filter){ .kind = MODEL_FILTER_REGION_ORDER, .place = read[0].place };
    service->filters = ordered ? read : list;
    service->filter_count = count + !ordered;
    return true;
}

bool config_steer_read(struct config_context *context, const struct config_item *item,
                       enum config_steer_policy policy, struct model_service *service)
{
    struct config_item steer;
    struct config_item written;

    use_policy(context, item, policy, service);
    if (!config_item_get(item, "steer", &steer) || steer.value->broken) {
        return true;
    }
    if (config_item_get(item, "policy", &written)) {
        struct error *err = config_error_key(context, &steer, "policy says already what to do");
        error_hint(err, "a policy is short for a list of filters; keep one of policy and steer");
        return false;
    }
    if (config_item_list_count(&steer) == 0) {
        struct error *err = config_error_key(context, &steer, "there are no filters");
        error_hint(err, "e.g. steer: [nearest, sticky, {limit: 2}]");
        return false;
    }
    return read_chain(context, &steer, service);
}

void config_steer_copy(struct config_context *context, const struct model_service *base,
                       struct model_service *view)
{
    struct model_filter *list =
        arena_copy(context->arena, base->filters, base->filter_count * sizeof(*base->filters));

    for (size_t i = 0; i < base->filter_count; i++) {
        if (base->filters[i].load == NULL) {
            continue;
        }
        uint32_t *load = arena_array(context->arena, view->pool_count, sizeof(*load));
        for (size_t p = 0; p < view->pool_count; p++) {
            for (size_t b = 0; b < base->pool_count; b++) {
                if (base->pools[b].region == view->pools[p].region) {
                    load[p] = base->filters[i].load[b];
                }
            }
        }
        list[i].load = load;
    }
    view->filters = list;
    view->filter_count = base->filter_count;
}

/* ------------------------------------------------------------------ what endpoints must say */

static bool has_filter(const struct model_service *service, enum model_filter_kind kind)
{
    for (size_t i = 0; i < service->filter_count; i++) {
        if (service->filters[i].kind == kind) {
            return true;
        }
    }
    return false;
}

static bool check_capacities(struct config_context *context, const struct config_item *item,
                             const struct model_service *service)
{
    bool good = true;

    for (size_t p = 0; p < service->pool_count; p++) {
        const struct model_pool *pool = &service->pools[p];
        size_t missing = 0;
        for (size_t e = 0; e < pool->endpoint_count; e++) {
            missing += pool->endpoints[e].capacity == 0;
        }
        if (missing > 0) {
            struct error *err = config_error_key(
                context, item,
                "the filter capacity needs to know what each endpoint can carry; "
                "of %s %zu %s not say",
                context->model->regions[pool->region].name, missing, missing == 1 ? "does" : "do");
            error_hint(err, "e.g. {address: 203.0.113.10, capacity: 500}");
            good = false;
        }
    }
    return good;
}

static bool check_weights(struct config_context *context, const struct config_item *item,
                          const struct model_service *service)
{
    for (size_t p = 0; p < service->pool_count; p++) {
        for (size_t e = 0; e < service->pools[p].endpoint_count; e++) {
            if (service->pools[p].endpoints[e].weight > 0) {
                return true;
            }
        }
    }
    struct error *err = config_error_key(context, item, "every endpoint has weight 0");
    error_hint(err, "0 means: only when nothing else is there; give one a weight of 1 or more");
    return false;
}

bool config_steer_check_pools(struct config_context *context, const struct config_item *item,
                              const struct model_service *service)
{
    bool good = true;

    if (has_filter(service, MODEL_FILTER_CAPACITY)) {
        good = check_capacities(context, item, service);
    }
    if (has_filter(service, MODEL_FILTER_WEIGHT)) {
        good = check_weights(context, item, service) && good;
    }
    return good;
}

/* ------------------------------------------------------------------ printing */

/* The policy that a single filter without settings is the chain of, or NULL. */
static const char *policy_of(const struct model_service *service)
{
    if (service->filter_count != 1) {
        return NULL;
    }
    switch (service->filters[0].kind) {
    case MODEL_FILTER_REGION_ORDER:
        return "failover";
    case MODEL_FILTER_NEAREST:
        return "nearest";
    case MODEL_FILTER_ALL:
        return "all";
    default:
        return NULL;
    }
}

void config_steer_put(const struct model *model, const struct model_service *service,
                      struct text *out)
{
    const char *policy = policy_of(service);

    if (policy != NULL) {
        text_printf(out, "    policy: %s\n", policy);
        return;
    }
    text_put(out, "    steer: [");
    for (size_t i = 0; i < service->filter_count; i++) {
        text_put(out, i == 0 ? "" : ", ");
        config_filter_put(model, service, &service->filters[i], out);
    }
    text_put(out, "]\n");
}
