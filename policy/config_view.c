#include "policy/config_view.h"

#include <string.h>

#include "base/arena.h"
#include "policy/config_acl.h"
#include "policy/config_address.h"
#include "policy/config_own.h"
#include "policy/config_pool.h"
#include "policy/config_print.h"
#include "policy/config_steer.h"

#define DNS_PORT 53 /* RFC 1035, section 4.2 */

/* clang-format off */
static const struct config_row view_rows[] = {
    { "clients", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Who is in it: prefixes, and `loopback` for those that ask this host from itself.",
      .usual = "required unless listen",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST,
      .forms_help = "a list of loopback and prefixes" },
    { "listen", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Who asks at one of these addresses, port 53 unless written, is in it too.",
      .usual = "required unless clients",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST,
      .forms_help = "a list of addresses of the section listen" },
};
const struct config_table config_view_table = {
    "views.NAME", "Clients that get endpoints of their own. Who is in several views is in the "
    "first of them.",
    view_rows, sizeof(view_rows) / sizeof(view_rows[0]),
};

static const struct config_row service_rows[] = {
    { "endpoints", CONFIG_PART, 0, 0, 0, CONFIG_REQUIRED,
      .help = "The endpoints of each region that clients of the view get.",
      .example = "e.g. internal: {endpoints: {seoul: [10.1.0.10]}}",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST | CONFIG_FORM_MAP | CONFIG_FORM_NAMED,
      .forms_help = "a map from regions to addresses", .part = &config_pool_endpoint_table },
    { "order", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The regions, the preferred one first.",
      .usual = "the service's, regions that it does not have behind them",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST, .forms_help = "a list of regions" },
};
const struct config_table config_view_service_table = {
    "services.NAME.views.VIEW", "What the service has for clients of a view; all the rest of it is "
    "the same for everybody.",
    service_rows, sizeof(service_rows) / sizeof(service_rows[0]),
};
/* clang-format on */

/* ------------------------------------------------------------------ the section */

static void read_clients(struct config_context *context, const struct config_item *item,
                         struct model_view *view)
{
    struct model_acl acl;

    config_acl_read(context, item, &acl);
    view->loopback = acl.loopback;
    view->prefixes = acl.prefixes;
    view->prefix_count = acl.prefix_count;
    if (acl.any) {
        struct error *err = config_error_value(context, item, "a view is not for any client");
        error_hint(err, "the service's own endpoints are for all who are in no view");
    }
}

static bool read_listener(struct config_context *context, const struct config_item *item,
                          struct addr *out)
{
    if (!config_address_read(context, item, CONFIG_ADDRESS_LISTEN, DNS_PORT, out)) {
        return false;
    }
    if (config_own_listener(context, out) == NULL) {
        struct error *err =
            config_error_value(context, item, "%.80s is not listened at", item->value->text);
        error_hint(err, "it must stand in the section listen too, with the same port");
        return false;
    }
    return true;
}

static void read_listeners(struct config_context *context, const struct config_item *item,
                           struct model_view *view)
{
    size_t count = config_item_list_count(item);
    struct addr *list = arena_array(context->arena, count, sizeof(*list));

    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(item, i);
        if (read_listener(context, &one, &list[view->listener_count])) {
            view->listener_count++;
        }
    }
    view->listeners = list;
}

/* The same prefix in two views: which of them was meant? */
static void check_prefixes(struct config_context *context, const struct config_item *item,
                           size_t index)
{
    const struct model_view *views = context->model->views;

    for (size_t i = 0; i < views[index].prefix_count; i++) {
        const struct addr_prefix *mine = &views[index].prefixes[i];
        for (size_t v = 0; v < index; v++) {
            for (size_t k = 0; k < views[v].prefix_count; k++) {
                const struct addr_prefix *other = &views[v].prefixes[k];
                char text[ADDR_TEXT_MAX];
                if (mine->bits != other->bits || mine->base.family != other->base.family ||
                    !addr_prefix_contains(mine, &other->base)) {
                    continue;
                }
                addr_format(&mine->base, text, sizeof(text));
                config_error_value(context, item, "%s/%u is in the view %s already", text,
                                   mine->bits, views[v].name);
                return;
            }
        }
    }
}

static void read_one(struct config_context *context, const struct config_item *item, size_t index)
{
    struct model_view *view = &context->model->views[index];
    struct config_item clients;
    struct config_item listen;

    view->name = arena_strdup(context->arena, item->name);
    view->place = config_node_place(item->key);
    if (!config_names_is_valid(item->name)) {
        struct error *err = config_error_key(context, item, "not a good name of a view");
        error_hint(err, CONFIG_NAMES_HINT);
    }
    if (!config_table_read(context, &config_view_table, item, NULL)) {
        return;
    }
    bool has_clients = config_item_get(item, "clients", &clients);
    bool has_listen = config_item_get(item, "listen", &listen);
    if (has_clients) {
        read_clients(context, &clients, view);
        check_prefixes(context, &clients, index);
    }
    if (has_listen) {
        read_listeners(context, &listen, view);
    }
    if ((!has_clients || config_item_list_count(&clients) == 0) &&
        (!has_listen || config_item_list_count(&listen) == 0)) {
        struct error *err = config_error_key(context, item, "nobody is in it");
        error_hint(err, "e.g. %.40s: {clients: [10.0.0.0/8, loopback]}", item->name);
    }
}

void config_view_read(struct config_context *context, const struct config_item *section)
{
    struct model *model = context->model;

    if (section == NULL) {
        return;
    }
    if (section->value->count > CONFIG_MAX_VIEWS) {
        config_error_key(context, section, "more than %d views", CONFIG_MAX_VIEWS);
        return;
    }
    model->view_count = section->value->count;
    model->views = arena_array(context->arena, model->view_count, sizeof(*model->views));
    for (size_t i = 0; i < model->view_count; i++) {
        struct config_item one = config_item_at(section, i);
        read_one(context, &one, i);
    }
}

void config_view_check_used(struct config_context *context, const struct config_item *section)
{
    const struct model *model = context->model;

    for (size_t v = 0; section != NULL && v < model->view_count; v++) {
        struct config_item one = config_item_at(section, v);
        bool used = false;
        for (size_t i = 0; i < model->service_count && !used; i++) {
            used = model->services[i].view == v;
        }
        if (!used) {
            struct error *err =
                config_error_key(context, &one, "no service has endpoints for this view");
            error_hint(err,
                       "e.g. services: {NAME: {views: {%.40s: {endpoints: {...}}}}}, or take "
                       "it out",
                       one.name);
        }
    }
}

/* ------------------------------------------------------------------ views of a service */

static uint32_t find(struct config_context *context, const struct config_item *item)
{
    const struct model *model = context->model;
    const char *names[CONFIG_MAX_VIEWS];

    for (size_t i = 0; i < model->view_count; i++) {
        names[i] = model->views[i].name;
        if (strcmp(names[i], item->name) == 0) {
            return (uint32_t)i;
        }
    }
    const char *nearest = text_nearest(item->name, names, model->view_count);
    struct error *err =
        config_error_node(context, item->parent, item->key, "unknown view '%.80s'", item->name);
    if (nearest != NULL) {
        error_hint(err, "did you mean '%s'?", nearest);
    } else {
        error_hint(err, "it must stand in the section views, with its clients");
    }
    return MODEL_NONE;
}

/* Where the region stands in the order of `base`; behind all of it when it does not. */
static size_t rank_in(const struct model_service *base, uint32_t region)
{
    size_t rank = 0;

    while (rank < base->pool_count && base->pools[rank].region != region) {
        rank++;
    }
    return rank;
}

/* In the order of `base`; those of the same rank stay as they are. */
static void sort_pools(const struct model_service *base, struct model_service *view)
{
    for (size_t i = 1; i < view->pool_count; i++) {
        struct model_pool pool = view->pools[i];
        size_t rank = rank_in(base, pool.region);
        size_t at = i;
        for (; at > 0 && rank_in(base, view->pools[at - 1].region) > rank; at--) {
            view->pools[at] = view->pools[at - 1];
        }
        view->pools[at] = pool;
    }
}

bool config_view_read_service(struct config_context *context, const struct config_item *item,
                              const struct model_service *base, struct model_service *view)
{
    struct config_item order;

    *view = *base;
    view->place = config_node_place(item->key);
    view->pools = NULL;
    view->pool_count = 0;
    view->view_count = 0;
    view->view = find(context, item);
    bool good = config_table_read(context, &config_view_service_table, item, NULL) &&
                view->view != MODEL_NONE;
    good = config_pool_read(context, item, view) && good;
    if (!config_item_get(item, "order", &order)) {
        sort_pools(base, view);
    }
    config_steer_copy(context, base, view);
    return good;
}

/* ------------------------------------------------------------------ printing */

void config_view_put(const struct model *model, struct text *out)
{
    text_put(out, model->view_count > 0 ? "views:\n" : "");
    for (size_t i = 0; i < model->view_count; i++) {
        const struct model_view *view = &model->views[i];
        const struct model_acl acl = { .loopback = view->loopback,
                                       .prefixes = view->prefixes,
                                       .prefix_count = view->prefix_count };
        text_put(out, "  ");
        config_print_scalar(view->name, out);
        text_put(out, ":\n    clients: ");
        config_acl_put(&acl, out);
        text_put(out, "\n    listen: ");
        config_print_addresses(view->listeners, view->listener_count, out);
        text_put_char(out, '\n');
    }
}

void config_view_put_service(const struct model *model, const struct model_service *base,
                             struct text *out)
{
    text_put(out, base->view_count > 0 ? "    views:\n" : "");
    for (uint32_t i = 1; i <= base->view_count; i++) {
        text_put(out, "      ");
        config_print_scalar(model->views[base[i].view].name, out);
        text_put(out, ":\n");
        config_pool_put(model, &base[i], 8, out);
    }
}
