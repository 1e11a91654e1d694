#include "policy/config_service.h"

#include <string.h>

#include "base/arena.h"
#include "policy/config_address.h"
#include "policy/config_check.h"
#include "policy/config_condition.h"
#include "policy/config_dname.h"
#include "policy/config_filter.h"
#include "policy/config_pool.h"
#include "policy/config_region.h"
#include "policy/config_steer.h"
#include "policy/config_timing.h"
#include "policy/config_value.h"
#include "policy/config_view.h"
#include "zones/name.h"

#define TTL_SUSPECT_S 5

/* A service with what is written but has only one value so far. */
struct written {
    struct model_service service;
    unsigned policy; /* enum config_steer_policy */
};

/* clang-format off */
static const struct config_choice policy_choices[] = {
    { "failover", CONFIG_STEER_FAILOVER, false },
    { "nearest", CONFIG_STEER_NEAREST, false },
    { "latency", CONFIG_STEER_LATENCY, false },
    { "weighted", CONFIG_STEER_WEIGHTED, false },
    { "all", CONFIG_STEER_ALL, false },
    { NULL, 0, false },
};

static const struct config_choice failback_choices[] = {
    { "auto", MODEL_FAILBACK_AUTO, false },
    { "manual", MODEL_FAILBACK_MANUAL, false },
    { NULL, 0, false },
};

static const struct config_choice all_down_choices[] = {
    { "last_good", MODEL_ALL_DOWN_LAST_GOOD, false },
    { "all", MODEL_ALL_DOWN_ALL, false },
    { "servfail", MODEL_ALL_DOWN_SERVFAIL, false },
    { NULL, 0, false },
};

#define AT(member) offsetof(struct written, service.member)
static const struct config_row ttl_rows[] = {
    { "normal", CONFIG_SECONDS, AT(ttl_normal_s), 0, 604800, "30s",
      .help = "TTL of an answer while none of its endpoints is suspect." },
    { "suspect", CONFIG_SECONDS, AT(ttl_suspect_s), 0, 604800, NULL,
      .help = "TTL while one of them is suspect; at most `normal`.",
      .usual = "5s, at most "
      "normal" },
};
static const struct config_table ttl_table = {
    "services.NAME.ttl", "One duration for both, or a map.",
    ttl_rows, sizeof(ttl_rows) / sizeof(ttl_rows[0]),
};

static const struct config_row all_down_rows[] = {
    { "fallback", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Addresses to answer with.",
      .usual = "required",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST, .forms_help = "an address or a list of them" },
};
static const struct config_table all_down_table = {
    "services.NAME.on_all_down", "`last_good`: what was answered when the service last stood well; "
    "`all`: every endpoint; `servfail`; or a map with fallback addresses.",
    all_down_rows, sizeof(all_down_rows) / sizeof(all_down_rows[0]),
};

static const struct config_row srv_rows[] = {
    { "port", CONFIG_PORT, AT(srv_port), 1, 65535, CONFIG_REQUIRED,
      .help = "The port in the answer.",
      .example = "e.g. srv: {port: 443}" },
};
static const struct config_table srv_table = {
    "services.NAME.srv", "How questions for SRV are answered: the port, or a map.",
    srv_rows, sizeof(srv_rows) / sizeof(srv_rows[0]),
};

static const struct config_row service_rows[] = {
    { "policy", CONFIG_CHOICE, offsetof(struct written, policy), 0, 0, "failover",
      .help = "How an answer is chosen, of the regions that are well: `failover` takes the first "
              "one in `order`, `nearest` the one nearest to the client, `latency` the quickest, "
              "`weighted` one endpoint of all of them by weight, `all` everything.",
      .choices = policy_choices },
    { "steer", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Filters instead of a policy: `failover` is `[region_order]`, `nearest` "
              "`[nearest]`, `latency` `[latency]`, `weighted` `[all, weight, {limit: 1}]`, `all` "
              "`[all]`.",
      .usual = "as policy says",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST | CONFIG_FORM_MAP,
      .forms_help = "a list of filters", .part = &config_filter_table },
    { "order", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The regions, the preferred one first.",
      .usual = "as written under endpoints",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST, .forms_help = "a list of regions" },
    { "ttl", CONFIG_PART, 0, 0, 0, NULL,
      .help = "How long resolvers may keep an answer.",
      .usual = "{normal: 30s, suspect: 5s}",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_MAP,
      .forms_help = "a duration, or a map with normal and suspect", .part = &ttl_table },
    { "failback", CONFIG_CHOICE, AT(failback), 0, 0, "auto",
      .help = "Whether answers return by themselves to a region that is well again; `manual`: it "
              "stays second choice until it is released.",
      .choices = failback_choices },
    { "ramp", CONFIG_MS, AT(ramp_ms), 0, 86400000, "0s",
      .help = "A region that came back takes its share little by little over this time; 0s: at "
              "once." },
    { "srv", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Answer questions for SRV too, with this port.",
      .usual = "none",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_MAP, .forms_help = "a port or a map",
      .part = &srv_table },
    { "max_addresses", CONFIG_COUNT, AT(max_addresses), 1, 64, "8",
      .help = "Most addresses in one answer." },
    { "check", CONFIG_PART, 0, 0, 0, NULL,
      .help = "What proves an endpoint: the name of a check, a check in place, or a list; all "
              "must pass. Without one an endpoint counts as up.",
      .usual = "none",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST | CONFIG_FORM_MAP,
      .forms_help = "a check or a list of checks", .part = &config_check_table },
    { "minimum_healthy", CONFIG_MINIMUM, AT(minimum_healthy), 1, 0, CONFIG_REQUIRED,
      .help = "How many endpoints of a region must be healthy for it to be used.",
      .example = "how many endpoints of a region must be healthy for it to be used, e.g. "
                 "minimum_healthy: 1" },
    { "on_all_down", CONFIG_PART, 0, 0, 0, NULL,
      .help = "What is answered when no endpoint anywhere is up.",
      .usual = "last_good",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_MAP,
      .forms_help = "last_good, all, servfail or {fallback: [addresses]}",
      .part = &all_down_table },
    { "max_failover", CONFIG_MS, AT(max_failover_ms), 1, 86400000, NULL,
      .help = "Refuse a configuration in which leaving a region can take longer.",
      .usual = "not "
      "checked" },
    { "endpoints", CONFIG_PART, 0, 0, 0, CONFIG_REQUIRED,
      .help = "The addresses or host names of each region; one with a port is probed there.",
      .example = "e.g. endpoints: {seoul: [203.0.113.10]}",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST | CONFIG_FORM_MAP | CONFIG_FORM_NAMED,
      .forms_help = "a map from regions to addresses", .part = &config_pool_endpoint_table },
    { "views", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Other endpoints for the clients of a view.",
      .usual = "none",
      .forms = CONFIG_FORM_MAP | CONFIG_FORM_NAMED,
      .forms_help = "a map from views to their endpoints", .part = &config_view_service_table },
};
#undef AT
/* clang-format on */

const struct config_table config_service_table = {
    "services.NAME",
    "A name whose addresses move between regions.",
    service_rows,
    sizeof(service_rows) / sizeof(service_rows[0]),
};

/* ------------------------------------------------------------------ parts */

static void read_name(struct config_context *context, const struct config_item *item,
                      struct model_service *service)
{
    uint8_t dname[NAME_MAX_BYTES];
    char text[NAME_TEXT_MAX];
    struct error err;

    service->place = config_node_place(item->key);
    service->view = MODEL_NONE;
    service->name = arena_strdup(context->arena, item->name);
    int length = name_parse(item->name, dname, &err);
    if (length < 0) {
        config_error_key(context, item, "%s", err.message);
        return;
    }
    if (length == 1) {
        config_error_key(context, item, "the root cannot be a service");
    } else if (dname[0] == 1 && dname[1] == '*') {
        config_table_later(context, item, "a wildcard service");
    }
    name_format(dname, text, sizeof(text));
    service->name = arena_strdup(context->arena, text);
    service->dname = arena_copy(context->arena, dname, (size_t)length);
}

static const struct config_row *row_of(const struct config_table *table, const char *key)
{
    for (size_t i = 0; i < table->row_count; i++) {
        if (strcmp(table->rows[i].key, key) == 0) {
            return &table->rows[i];
        }
    }
    error_required("a row that its own file names", __FILE__, __LINE__);
}

static void read_ttl_map(struct config_context *context, const struct config_item *ttl,
                         struct written *written)
{
    struct model_service *service = &written->service;
    struct config_item suspect;

    if (!config_table_read(context, &ttl_table, ttl, written)) {
        return;
    }
    if (!config_item_get(ttl, "suspect", &suspect)) {
        service->ttl_suspect_s =
            service->ttl_normal_s < TTL_SUSPECT_S ? service->ttl_normal_s : TTL_SUSPECT_S;
    } else if (service->ttl_suspect_s > service->ttl_normal_s) {
        struct error *err = config_error_value(context, &suspect, "is longer than ttl.normal, %us",
                                               service->ttl_normal_s);
        error_hint(err, "resolvers should ask sooner while an endpoint is suspect, not later");
    }
}

static void read_ttl(struct config_context *context, const struct config_item *item,
                     struct written *written)
{
    struct config_item ttl;

    written->service.ttl_suspect_s = TTL_SUSPECT_S;
    config_table_set_defaults(context, &ttl_table, written);
    if (!config_item_get(item, "ttl", &ttl) || config_node_is_empty(ttl.value)) {
        return;
    }
    if (ttl.value->kind == CONFIG_NODE_MAP) {
        read_ttl_map(context, &ttl, written);
    } else if (ttl.value->kind == CONFIG_NODE_SCALAR &&
               config_table_read_value(context, row_of(&ttl_table, "normal"), &ttl, written)) {
        written->service.ttl_suspect_s = written->service.ttl_normal_s;
    }
}

static void read_fallback(struct config_context *context, const struct config_item *mode,
                          struct model_service *service)
{
    struct config_item addresses;

    service->on_all_down = MODEL_ALL_DOWN_FALLBACK;
    if (!config_table_read(context, &all_down_table, mode, NULL)) {
        return;
    }
    bool given = config_item_get(mode, "fallback", &addresses);
    if (!given || config_item_list_count(&addresses) == 0) {
        struct error *err = config_error_key(context, mode, "fallback needs addresses");
        error_hint(err, "e.g. on_all_down: {fallback: [192.0.2.80]}");
        return;
    }
    if (config_address_read_list(context, &addresses, CONFIG_ADDRESS_ANSWER, &service->fallback,
                                 &service->fallback_count)) {
        config_pool_check_addresses(context, &addresses, service->fallback,
                                    service->fallback_count);
    }
}

static void read_all_down(struct config_context *context, const struct config_item *item,
                          struct model_service *service)
{
    static const struct config_row row = {
        .kind = CONFIG_CHOICE,
        .at = offsetof(struct model_service, on_all_down),
        .choices = all_down_choices,
    };
    struct config_item mode;

    if (!config_item_get(item, "on_all_down", &mode) || config_node_is_empty(mode.value)) {
        return;
    }
    if (mode.value->kind == CONFIG_NODE_MAP) {
        read_fallback(context, &mode, service);
    } else if (mode.value->kind == CONFIG_NODE_SCALAR &&
               strcmp(mode.value->text, "fallback") == 0) {
        struct error *err = config_error_value(context, &mode, "fallback needs addresses");
        error_hint(err, "e.g. on_all_down: {fallback: [192.0.2.80]}");
    } else if (mode.value->kind == CONFIG_NODE_SCALAR) {
        (void)config_table_read_value(context, &row, &mode, service);
    }
}

static void read_srv(struct config_context *context, const struct config_item *item,
                     struct written *written)
{
    struct config_item srv;

    if (!config_item_get(item, "srv", &srv) || config_node_is_empty(srv.value)) {
        return;
    }
    if (srv.value->kind == CONFIG_NODE_MAP) {
        (void)config_table_read(context, &srv_table, &srv, written);
    } else if (srv.value->kind == CONFIG_NODE_SCALAR) {
        (void)config_table_read_value(context, &srv_rows[0], &srv, written);
    }
}

static bool read_checks(struct config_context *context, const struct config_item *item,
                        struct model_service *service)
{
    struct config_item checks;

    if (!config_item_get(item, "check", &checks)) {
        return true;
    }
    return config_condition_read_service(context, &checks, service);
}

/* ------------------------------------------------------------------ what spans keys */

/* How many addresses a name has is not known here. */
static bool has_hostname(const struct model_pool *pool)
{
    for (size_t i = 0; i < pool->endpoint_count; i++) {
        if (pool->endpoints[i].hostname != NULL) {
            return true;
        }
    }
    return false;
}

/* The pools that could never meet the minimum. */
static void check_minimum(struct config_context *context, const struct config_item *item,
                          const struct model_service *service)
{
    struct config_item minimum;

    if (!config_item_get(item, "minimum_healthy", &minimum)) {
        return;
    }
    for (size_t i = 0; i < service->pool_count; i++) {
        const struct model_pool *pool = &service->pools[i];
        uint32_t count = (uint32_t)pool->endpoint_count;
        uint32_t needed = model_minimum_count(service->minimum_healthy, count);
        if (needed <= count || count == 0 || has_hostname(pool)) {
            continue;
        }
        bool is_view = service->view != MODEL_NONE;
        struct error *err = config_error_value(
            context, &minimum, "%u must be healthy, but %s has %u endpoint%s%s%s", needed,
            context->model->regions[pool->region].name, count, count == 1 ? "" : "s",
            is_view ? " in the view " : "",
            is_view ? context->model->views[service->view].name : "");
        error_hint(err, "the region would never be used; write at most %u, or a percentage", count);
    }
}

/* What spans keys, of the service or of one of its views in `item`. */
static bool check_one(struct config_context *context, const struct config_item *item,
                      const struct config_item *base, const struct model_service *service)
{
    size_t errors = context->error_count;

    check_minimum(context, base, service);
    if (service->condition == NULL) { /* else what it refers to is not known yet */
        config_timing_check_limit(context, base, service);
    }
    return config_steer_check_pools(context, item, service) && context->error_count == errors;
}

/* The services behind `base` for its views; what is the same is said and checked once. */
static void read_views(struct config_context *context, const struct config_item *item, bool good,
                       struct model_service *base)
{
    struct config_item views;

    if (!config_item_get(item, "views", &views) || views.value->kind != CONFIG_NODE_MAP) {
        return;
    }
    for (size_t i = 0; i < views.value->count; i++) {
        struct config_item one = config_item_at(&views, i);
        struct model_service *view = base + 1 + i;
        bool read = config_view_read_service(context, &one, base, view);
        if (good && read) {
            good = check_one(context, &one, item, view);
        }
    }
    base->view_count = (uint32_t)views.value->count;
}

/* Where answers go to several regions at a time there is none that they could be held to. */
static bool check_failback(struct config_context *context, const struct config_item *item,
                           const struct model_service *service)
{
    struct config_item failback;

    if (service->failback != MODEL_FAILBACK_MANUAL ||
        !config_item_get(item, "failback", &failback)) {
        return true;
    }
    for (size_t i = 0; i < service->filter_count; i++) {
        enum model_filter_kind kind = service->filters[i].kind;
        if (kind == MODEL_FILTER_NEAREST || kind == MODEL_FILTER_LATENCY ||
            kind == MODEL_FILTER_ALL || kind == MODEL_FILTER_CAPACITY) {
            struct error *err = config_error_value(
                context, &failback, "manual needs a policy by which one region answers everybody");
            error_hint(err, "policy: failover, or steer: [region_order, ...]");
            return false;
        }
    }
    return true;
}

/* Into `out`, which has room for the views too. */
static void read_one(struct config_context *context, const struct config_item *item,
                     struct model_service *out)
{
    struct written written = { 0 };
    struct model_service *service = &written.service;

    read_name(context, item, service);
    bool good = config_table_read(context, &config_service_table, item, &written);
    read_ttl(context, item, &written);
    good = read_checks(context, item, service) && good;
    good = config_pool_read(context, item, service) && good;
    good = config_steer_read(context, item, written.policy, service) && good;
    good = good && check_failback(context, item, service);
    read_all_down(context, item, service);
    read_srv(context, item, &written);
    good = good && check_one(context, item, item, service);
    *out = *service;
    read_views(context, item, good, out);
}

/* Names that differ in case or the last dot only are the same name. */
static void check_doubles(struct config_context *context, const struct config_item *section)
{
    const struct model *model = context->model;
    struct config_names names = { 0 };
    uint32_t number = 0; /* in the section */

    for (size_t i = 0; i < model->service_count; i += 1 + model->services[i].view_count) {
        if (model->services[i].dname != NULL) {
            config_names_add(&names, context->scratch, model->services[i].name, number);
        }
        number++;
    }
    config_names_sort(&names);
    config_dname_check_doubles(context, section, &names);
}

/* How many services of the model the section makes: each, and each of its views. */
static size_t count_services(const struct config_item *section)
{
    struct config_item views;
    size_t count = section->value->count;

    for (size_t i = 0; i < section->value->count; i++) {
        struct config_item one = config_item_at(section, i);
        if (config_item_get(&one, "views", &views) && views.value->kind == CONFIG_NODE_MAP) {
            count += views.value->count;
        }
    }
    return count;
}

void config_service_read(struct config_context *context, const struct config_item *section)
{
    struct model *model = context->model;

    if (section == NULL || section->value->count == 0) {
        return;
    }
    if (model->region_count == 0) {
        struct error *err = config_error_key(context, section, "regions is required");
        error_hint(err, "name the places where endpoints stand, e.g. regions: {seoul: "
                        "{minimum_healthy: 0}}");
    }
    model->services =
        arena_array(context->arena, count_services(section), sizeof(*model->services));
    for (size_t i = 0; i < section->value->count; i++) {
        struct config_item item = config_item_at(section, i);
        struct model_service *service = &model->services[model->service_count];
        read_one(context, &item, service);
        model->service_count += 1 + service->view_count;
    }
    check_doubles(context, section);
}
