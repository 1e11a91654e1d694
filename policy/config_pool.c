#include "policy/config_pool.h"

#include "base/arena.h"
#include "policy/config_address.h"
#include "policy/config_region.h"
#include "policy/config_service.h"

/* clang-format off */
static const struct config_row endpoint_rows[] = {
    { "address", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The address answered with; with a port it is probed there.",
      .usual = "required",
      .forms = CONFIG_FORM_TEXT, .forms_help = "an address" },
    { "weight", CONFIG_LATER, 0, 0, 0, NULL, .help = "Its share of the answers." },
    { "capacity", CONFIG_LATER, 0, 0, 0, NULL, .help = "What it can carry." },
    { "hostname", CONFIG_LATER, 0, 0, 0, NULL, .help = "A name to resolve instead of an address." },
    { "answer", CONFIG_LATER, 0, 0, 0, NULL, .help = "How a hostname is answered." },
};
/* clang-format on */

const struct config_table config_pool_endpoint_table = {
    "services.NAME.endpoints.REGION",
    "An endpoint: an address, or a map.",
    endpoint_rows,
    sizeof(endpoint_rows) / sizeof(endpoint_rows[0]),
};

static bool read_endpoint(struct config_context *context, const struct config_item *item,
                          struct model_endpoint *endpoint)
{
    struct config_item address = *item;

    endpoint->place = config_node_place(item->value);
    if (item->value->kind == CONFIG_NODE_MAP) {
        if (!config_table_read(context, &config_pool_endpoint_table, item, NULL)) {
            return false;
        }
        if (!config_item_get(item, "address", &address)) {
            struct error *err = config_error_key(context, item, "address is required");
            error_hint(err, "e.g. {address: 203.0.113.10}");
            return false;
        }
    }
    return config_address_read(context, &address, CONFIG_ADDRESS_ENDPOINT, 0, &endpoint->address);
}

bool config_pool_check_addresses(struct config_context *context, const struct config_item *list,
                                 const struct addr *addresses, size_t count)
{
    size_t of_family[ADDR_FAMILIES] = { 0 };
    char text[ADDR_TEXT_MAX];
    bool good = true;

    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(list, i);
        if (of_family[addresses[i].family]++ == CONFIG_MAX_ENDPOINTS) {
            config_error_value(context, &one, "more than %d addresses of a family",
                               CONFIG_MAX_ENDPOINTS);
            return false;
        }
        for (size_t j = 0; j < i; j++) {
            if (addr_same_host(&addresses[i], &addresses[j])) {
                struct config_item first = config_item_list_at(list, j);
                addr_format(&addresses[i], text, sizeof(text));
                config_error_value(context, &one, "%s is given twice, first in line %u", text,
                                   first.value->line);
                good = false;
                break;
            }
        }
    }
    return good;
}

static bool read_pool(struct config_context *context, const struct config_item *item,
                      struct model_pool *pool)
{
    size_t count = config_item_list_count(item);
    struct model_endpoint *list = arena_array(context->arena, count, sizeof(*list));
    struct addr *addresses = arena_array(context->scratch, count, sizeof(*addresses));
    bool good = true;

    if (count == 0 && !item->value->broken) {
        struct error *err = config_error_key(context, item, "has no endpoints");
        error_hint(err, "give it addresses, or leave the region out");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(item, i);
        good = read_endpoint(context, &one, &list[i]) && good;
        addresses[i] = list[i].address;
    }
    pool->endpoints = list;
    pool->endpoint_count = count;
    return good && count > 0 && config_pool_check_addresses(context, item, addresses, count);
}

/* Without `order` the regions are used as they are written. */
static bool read_unordered(struct config_context *context, const struct config_item *endpoints,
                           struct model_service *service)
{
    bool good = true;

    for (size_t i = 0; i < endpoints->value->count; i++) {
        struct config_item one = config_item_at(endpoints, i);
        struct model_pool *pool = &service->pools[service->pool_count];
        pool->region = config_region_of_key(context, &one);
        good = read_pool(context, &one, pool) && pool->region != MODEL_NONE && good;
        service->pool_count += pool->region != MODEL_NONE;
    }
    return good;
}

/* The pool of each region in `order`, which names each one once. */
static bool read_order(struct config_context *context, const struct config_item *order,
                       const struct config_item *endpoints, struct model_service *service)
{
    struct config_item item;
    bool good = true;

    for (size_t i = 0; i < config_item_list_count(order); i++) {
        struct config_item one = config_item_list_at(order, i);
        uint32_t region = config_region_of_value(context, &one);
        bool again = false;
        for (size_t j = 0; j < service->pool_count; j++) {
            again = again || service->pools[j].region == region;
        }
        if (region == MODEL_NONE) {
            good = false;
        } else if (again) {
            config_error_value(context, &one, "region '%s' is named twice", one.value->text);
            good = false;
        } else if (!config_item_get(endpoints, one.value->text, &item)) {
            struct error *err =
                config_error_value(context, &one, "region '%s' has no endpoints", one.value->text);
            error_hint(err, "add it to endpoints, or leave it out of order");
            good = false;
        } else {
            struct model_pool *pool = &service->pools[service->pool_count++];
            pool->region = region;
            good = read_pool(context, &item, pool) && good;
        }
    }
    return good;
}

/* Endpoints that would never be answered with are a mistake of `order`. */
static bool check_unused(struct config_context *context, const struct config_item *endpoints,
                         const struct model_service *service)
{
    struct model_pool ignored;
    bool good = true;

    for (size_t i = 0; i < endpoints->value->count; i++) {
        struct config_item one = config_item_at(endpoints, i);
        uint32_t region = config_region_of_key(context, &one);
        bool used = false;
        for (size_t j = 0; j < service->pool_count; j++) {
            used = used || service->pools[j].region == region;
        }
        if (used) {
            continue;
        }
        good = false;
        (void)read_pool(context, &one, &ignored); /* its own errors are wanted too */
        if (region != MODEL_NONE) {
            struct error *err =
                config_error_key(context, &one, "the region has endpoints but is not in order");
            error_hint(err, "add it to order, or take its endpoints out");
        }
    }
    return good;
}

bool config_pool_read(struct config_context *context, const struct config_item *item,
                      struct model_service *service)
{
    struct config_item endpoints;
    struct config_item order;

    if (!config_item_get(item, "endpoints", &endpoints) || endpoints.value->broken) {
        return false; /* reported where the key is required */
    }
    if (endpoints.value->kind != CONFIG_NODE_MAP || endpoints.value->count == 0) {
        if (endpoints.value->kind == CONFIG_NODE_MAP || config_node_is_empty(endpoints.value)) {
            struct error *err = config_error_key(context, &endpoints, "there are none");
            error_hint(err, "e.g. endpoints: {seoul: [203.0.113.10]}");
        }
        return false;
    }
    if (endpoints.value->count > CONFIG_MAX_POOLS) {
        config_error_key(context, &endpoints, "more than %d regions", CONFIG_MAX_POOLS);
        return false;
    }
    /* enough for `order` too: each pool takes a key of its own */
    service->pools = arena_array(context->arena, endpoints.value->count, sizeof(*service->pools));
    if (!config_item_get(item, "order", &order)) {
        return read_unordered(context, &endpoints, service);
    }
    if (order.value->broken || order.value->kind == CONFIG_NODE_MAP) {
        return false;
    }
    bool good = read_order(context, &order, &endpoints, service);
    return check_unused(context, &endpoints, service) && good;
}
