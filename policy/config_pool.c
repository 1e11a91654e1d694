#include "policy/config_pool.h"

#include <string.h>

#include "base/arena.h"
#include "policy/config_address.h"
#include "policy/config_dname.h"
#include "policy/config_print.h"
#include "policy/config_region.h"
#include "policy/config_service.h"
#include "zones/name.h"

/* What is written of an endpoint with a host name. */
struct written {
    const char *hostname;
    unsigned as_cname;
    bool keep_addresses;
    uint16_t port;
    uint32_t weight;
    uint32_t capacity;
};

/* clang-format off */
#define AT(member) offsetof(struct written, member)
static const struct config_choice answer_choices[] = {
    { "address", false, false }, { "cname", true, false }, { NULL, 0, false },
};
static const struct config_row endpoint_rows[] = {
    { "address", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The address answered with; with a port it is probed there.",
      .usual = "required unless hostname",
      .forms = CONFIG_FORM_TEXT, .forms_help = "an address" },
    { "hostname", CONFIG_TEXT, AT(hostname), 1, 1000, NULL,
      .help = "A name to resolve instead of an address; each address it has is an endpoint.",
      .usual = "none" },
    { "answer", CONFIG_CHOICE, AT(as_cname), 0, 0, "address",
      .help = "How a hostname is answered: with its `address`es, or as `cname`, which must be all "
              "that the region has.",
      .choices = answer_choices },
    { "keep_addresses", CONFIG_BOOL, AT(keep_addresses), 0, 0, "true",
      .help = "Keep addresses that a resolver takes away from a hostname while a check proves "
              "them." },
    { "port", CONFIG_PORT, AT(port), 1, 65535, NULL,
      .help = "Where a hostname's addresses are probed.",
      .usual = "the check's" },
    { "weight", CONFIG_COUNT, AT(weight), 0, 1000000, "1",
      .help = "Its share of the answers beside the others', for the filter `weight`; of a hostname "
              "that of each address. 0: only when nothing else is there." },
    { "capacity", CONFIG_COUNT, AT(capacity), 1, 1000000000, NULL,
      .help = "What it can carry, in the units of the filter `capacity`; of a hostname what all "
              "its addresses of a family carry together.",
      .usual = "not known" },
};
#undef AT
/* clang-format on */

const struct config_table config_pool_endpoint_table = {
    "services.NAME.endpoints.REGION",
    "An endpoint: an address, or a map.",
    endpoint_rows,
    sizeof(endpoint_rows) / sizeof(endpoint_rows[0]),
};

/* The keys that say something about a name are of no use with an address. */
static bool check_address_alone(struct config_context *context, const struct config_item *item)
{
    static const char *const keys[] = { "answer", "keep_addresses", "port" };
    struct config_item child;
    bool good = true;

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (config_item_get(item, keys[i], &child)) {
            struct error *err =
                config_error_key(context, &child, "is for an endpoint with a hostname");
            if (strcmp(keys[i], "port") == 0) {
                error_hint(err, "write it behind the address, e.g. {address: 203.0.113.10:8080}");
            }
            good = false;
        }
    }
    return good;
}

static bool read_hostname(struct config_context *context, const struct config_item *item,
                          const struct written *written, struct model_endpoint *endpoint)
{
    struct config_item hostname;

    REQUIRE(config_item_get(item, "hostname", &hostname));
    const uint8_t *dname = config_dname_read(context, &hostname, written->hostname, false);
    if (dname == NULL) {
        return false;
    }
    if (dname[0] == 0 || (dname[0] == 1 && dname[1] == '*')) {
        config_error_value(context, &hostname, "%s is not the name of a host", written->hostname);
        return false;
    }
    endpoint->hostname = dname;
    endpoint->as_cname = written->as_cname != 0;
    endpoint->keep_addresses = written->keep_addresses;
    endpoint->address.port = written->port;
    return true;
}

static bool read_endpoint(struct config_context *context, const struct config_item *item,
                          struct model_endpoint *endpoint)
{
    struct config_item address = *item;
    struct written written = { 0 };

    endpoint->place = config_node_place(item->value);
    endpoint->weight = 1;
    if (item->value->kind != CONFIG_NODE_MAP) {
        return config_address_read(context, &address, CONFIG_ADDRESS_ENDPOINT, 0,
                                   &endpoint->address);
    }
    if (!config_table_read(context, &config_pool_endpoint_table, item, &written)) {
        return false;
    }
    endpoint->weight = written.weight;
    endpoint->capacity = written.capacity;
    if (config_item_get(item, "address", &address)) {
        if (written.hostname != NULL) {
            config_error_key(context, item, "is either an address or a hostname");
            return false;
        }
        bool good = check_address_alone(context, item);
        return config_address_read(context, &address, CONFIG_ADDRESS_ENDPOINT, 0,
                                   &endpoint->address) &&
               good;
    }
    if (written.hostname == NULL) {
        struct error *err = config_error_key(context, item, "address is required, or hostname");
        error_hint(err, "e.g. {address: 203.0.113.10}");
        return false;
    }
    return read_hostname(context, item, &written, endpoint);
}

/* The first one before `index` that is the same, or NULL. */
static const struct model_endpoint *find_before(const struct model_endpoint *list, size_t index)
{
    const struct model_endpoint *one = &list[index];

    for (size_t i = 0; i < index; i++) {
        if (one->hostname != NULL && list[i].hostname != NULL
                ? name_equal(one->hostname, list[i].hostname)
                : one->hostname == list[i].hostname &&
                      addr_same_host(&one->address, &list[i].address)) {
            return &list[i];
        }
    }
    return NULL;
}

static void report_twice(struct config_context *context, const struct config_item *item,
                         const struct model_endpoint *endpoint, unsigned first_line)
{
    char text[NAME_TEXT_MAX];

    if (endpoint->hostname != NULL) {
        name_format(endpoint->hostname, text, sizeof(text));
    } else {
        addr_format(&endpoint->address, text, sizeof(text));
    }
    config_error_value(context, item, "%.255s is given twice, first in line %u", text, first_line);
}

/* A CNAME stands alone (RFC 1034, section 3.6.2), so it is all that its region answers. */
static bool check_cname(struct config_context *context, const struct config_item *item,
                        const struct model_endpoint *endpoint, size_t count)
{
    if (!endpoint->as_cname || count == 1) {
        return true;
    }
    struct error *err = config_error_value(
        context, item, "answered as cname it must be the region's only endpoint, of %zu", count);
    error_hint(err, "a name has one CNAME and nothing beside it; write answer: address");
    return false;
}

/* Endpoints given twice, too many for the bits of a family, and a CNAME that is not alone. */
static bool check_endpoints(struct config_context *context, const struct config_item *list,
                            const struct model_pool *pool)
{
    size_t of_family[ADDR_FAMILIES + 1] = { 0 }; /* names last */
    bool good = true;

    for (size_t i = 0; i < pool->endpoint_count; i++) {
        const struct model_endpoint *endpoint = &pool->endpoints[i];
        struct config_item one = config_item_list_at(list, i);
        size_t family = endpoint->hostname != NULL ? ADDR_FAMILIES : endpoint->address.family;
        if (of_family[family]++ == CONFIG_MAX_ENDPOINTS) {
            config_error_value(context, &one, "more than %d %s", CONFIG_MAX_ENDPOINTS,
                               endpoint->hostname != NULL ? "names" : "addresses of a family");
            return false;
        }
        const struct model_endpoint *first = find_before(pool->endpoints, i);
        if (first != NULL) {
            report_twice(context, &one, endpoint, first->place.line);
            good = false;
        }
        good = check_cname(context, &one, endpoint, pool->endpoint_count) && good;
    }
    return good;
}

bool config_pool_check_addresses(struct config_context *context, const struct config_item *list,
                                 const struct addr *addresses, size_t count)
{
    struct model_endpoint *endpoints = arena_array(context->scratch, count, sizeof(*endpoints));
    const struct model_pool pool = { .endpoints = endpoints, .endpoint_count = count };

    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(list, i);
        endpoints[i].address = addresses[i];
        endpoints[i].place = config_node_place(one.value);
    }
    return check_endpoints(context, list, &pool);
}

static bool read_pool(struct config_context *context, const struct config_item *item,
                      struct model_pool *pool)
{
    size_t count = config_item_list_count(item);
    struct model_endpoint *list = arena_array(context->arena, count, sizeof(*list));
    bool good = count > 0;

    if (count == 0 && !item->value->broken) {
        struct error *err = config_error_key(context, item, "has no endpoints");
        error_hint(err, "give it addresses, or leave the region out");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(item, i);
        good = read_endpoint(context, &one, &list[i]) && good;
    }
    pool->endpoints = list;
    pool->endpoint_count = count;
    return good && check_endpoints(context, item, pool);
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

/* ------------------------------------------------------------------ names of ours */

/* Asking for a name that is answered from this very endpoint would never end. */
static void check_hostname(struct config_context *context, const struct config_item *item,
                           const uint8_t *dname)
{
    const struct model *model = context->model;

    for (size_t i = 0; i < model->service_count; i++) {
        const struct model_service *service = &model->services[i];
        if (service->dname == NULL || !name_is_within(dname, service->dname)) {
            continue;
        }
        struct error *err = config_error_value(
            context, item, "%.100s is %s the service %.100s", item->value->text,
            name_equal(dname, service->dname) ? "the name of" : "a name in", service->name);
        error_hint(err, "this server would ask itself; give the name that the endpoint's operator "
                        "gave it");
        return;
    }
}

/* The apex of a zone has SOA and NS records, which a CNAME cannot stand beside. */
static void check_apex(struct config_context *context, const struct config_item *item,
                       const struct model_service *service)
{
    const struct model *model = context->model;

    for (size_t i = 0; i < model->zone_count && service->dname != NULL; i++) {
        const struct model_zone *zone = &model->zones[i];
        if (zone->dname != NULL && name_equal(zone->dname, service->dname)) {
            struct error *err = config_error_value(
                context, item, "the zone %.100s itself cannot be a cname", zone->name);
            error_hint(err, "SOA and NS records stand at its top (RFC 1034, section 3.6.2); write "
                            "answer: address");
            return;
        }
    }
}

static void check_names_of(struct config_context *context, const struct config_item *pool,
                           const struct model_service *service)
{
    struct config_item child;
    uint8_t dname[NAME_MAX_BYTES];
    struct error ignored;

    for (size_t i = 0; i < config_item_list_count(pool); i++) {
        struct config_item one = config_item_list_at(pool, i);
        if (config_item_get(&one, "hostname", &child) && child.value->kind == CONFIG_NODE_SCALAR &&
            name_parse(child.value->text, dname, &ignored) > 1) {
            check_hostname(context, &child, dname);
        }
        if (config_item_get(&one, "answer", &child) && child.value->kind == CONFIG_NODE_SCALAR &&
            strcmp(child.value->text, "cname") == 0) {
            check_apex(context, &child, service);
        }
    }
}

/* Those of one service, or of one of its views. */
static void check_names_in(struct config_context *context, const struct config_item *item,
                           const struct model_service *service)
{
    struct config_item endpoints;

    if (!config_item_get(item, "endpoints", &endpoints) ||
        endpoints.value->kind != CONFIG_NODE_MAP) {
        return;
    }
    for (size_t i = 0; i < endpoints.value->count; i++) {
        struct config_item pool = config_item_at(&endpoints, i);
        check_names_of(context, &pool, service);
    }
}

void config_pool_check_names(struct config_context *context, const struct config_item *services)
{
    const struct model_service *list = context->model->services;
    struct config_item views;
    size_t next = 0; /* a service of the file is followed by its views */

    for (size_t i = 0; next < context->model->service_count; i++) {
        struct config_item service = config_item_at(services, i);
        check_names_in(context, &service, &list[next]);
        for (size_t v = 0; v < list[next].view_count; v++) {
            REQUIRE(config_item_get(&service, "views", &views));
            struct config_item view = config_item_at(&views, v);
            check_names_in(context, &view, &list[next + 1 + v]);
        }
        next += 1 + list[next].view_count;
    }
}

/* ------------------------------------------------------------------ printing */

static void put_hostname(const struct model_endpoint *endpoint, struct text *out)
{
    char name[NAME_TEXT_MAX];

    name_format(endpoint->hostname, name, sizeof(name));
    text_put(out, "{hostname: ");
    config_print_scalar(name, out);
    text_printf(out, ", answer: %s, keep_addresses: %s", endpoint->as_cname ? "cname" : "address",
                endpoint->keep_addresses ? "true" : "false");
    if (endpoint->address.port != 0) {
        text_printf(out, ", port: %u", endpoint->address.port);
    }
}

static void put_endpoint(const struct model_endpoint *endpoint, struct text *out)
{
    bool plain = endpoint->weight == 1 && endpoint->capacity == 0;

    if (endpoint->hostname == NULL) {
        text_put(out, plain ? "" : "{address: ");
        config_print_address(&endpoint->address, out);
    } else {
        put_hostname(endpoint, out);
    }
    if (endpoint->weight != 1) {
        text_printf(out, ", weight: %u", endpoint->weight);
    }
    if (endpoint->capacity != 0) {
        text_printf(out, ", capacity: %u", endpoint->capacity);
    }
    text_put(out, plain && endpoint->hostname == NULL ? "" : "}");
}

void config_pool_put(const struct model *model, const struct model_service *service,
                     unsigned indent, struct text *out)
{
    text_printf(out, "%*sorder: [", (int)indent, "");
    for (size_t i = 0; i < service->pool_count; i++) {
        text_put(out, i == 0 ? "" : ", ");
        config_print_scalar(model->regions[service->pools[i].region].name, out);
    }
    text_printf(out, "]\n%*sendpoints:\n", (int)indent, "");
    for (size_t i = 0; i < service->pool_count; i++) {
        const struct model_pool *pool = &service->pools[i];
        text_printf(out, "%*s", (int)indent + 2, "");
        config_print_scalar(model->regions[pool->region].name, out);
        text_put(out, ": [");
        for (size_t j = 0; j < pool->endpoint_count; j++) {
            text_put(out, j == 0 ? "" : ", ");
            put_endpoint(&pool->endpoints[j], out);
        }
        text_put(out, "]\n");
    }
}
