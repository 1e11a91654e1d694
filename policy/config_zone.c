#include "policy/config_zone.h"

#include <string.h>

#include "base/arena.h"
#include "policy/config_address.h"
#include "policy/config_region.h"
#include "zones/name.h"

#define DNS_PORT      53 /* RFC 1035, section 4.2 */
#define MAX_UPSTREAMS 64 /* of a rule */

/* clang-format off */
#define AT(member) offsetof(struct model_zone, member)
static const struct config_row zone_rows[] = {
    { "file", CONFIG_PATH, AT(file), 1, 0, NULL,
      .help = "The master file, relative to this file; services inside are laid over it.",
      .usual = "none: the zone holds services only" },
    { "nameservers", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The NS names of a zone without a file.",
      .usual = "none",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST, .forms_help = "a list of names" },
    { "sign", CONFIG_LATER, 0, 0, 0, NULL, .help = "DNSSEC." },
    { "primary", CONFIG_LATER, 0, 0, 0, NULL, .help = "Where a copy is taken from." },
    { "query", CONFIG_LATER, 0, 0, 0, NULL, .help = "Who may ask for this zone." },
};
#undef AT
const struct config_table config_zone_table = {
    "zones.NAME", "A zone we answer for with authority.",
    zone_rows, sizeof(zone_rows) / sizeof(zone_rows[0]),
};

static const struct config_row upstream_rows[] = {
    { "address", CONFIG_PART, 0, 0, 0, CONFIG_REQUIRED,
      .help = "The resolver to ask, port 53 unless written.",
      .example = "e.g. {address: 10.1.0.2}",
      .forms = CONFIG_FORM_TEXT, .forms_help = "an address" },
    { "region", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Where it stands; `public`: outside the company, asked last.",
      .usual = "none",
      .forms = CONFIG_FORM_TEXT, .forms_help = "the name of a region" },
    { "max_queries", CONFIG_LATER, 0, 0, 0, NULL, .help = "Most queries it is sent." },
    { "tls", CONFIG_LATER, 0, 0, 0, NULL, .help = "DNS over TLS to it." },
};
static const struct config_table upstream_table = {
    "forward.NAME.upstreams", "A resolver to ask: an address, or a map.",
    upstream_rows, sizeof(upstream_rows) / sizeof(upstream_rows[0]),
};

#define AT(member) offsetof(struct model_forward, member)
static const struct config_row hedge_row = {
    "hedge", CONFIG_MS, AT(hedge_ms), 1, 10000, "100ms",
    .help = "After how long without an answer the next region is asked too; `off`: 500ms.",
    .word = "off",
};
static const struct config_row forward_rows[] = {
    { "upstreams", CONFIG_PART, 0, 0, 0, CONFIG_REQUIRED,
      .help = "The resolvers to ask, the preferred one first.",
      .example = "e.g. upstreams: [10.1.0.2]",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST | CONFIG_FORM_MAP,
      .forms_help = "a list of resolvers", .part = &upstream_table },
    { "hedge", CONFIG_PART, 0, 0, 0, NULL,
      .help = "After how long without an answer the next region is asked too; `off`: 500ms.",
      .usual = "100ms", .forms = CONFIG_FORM_TEXT, .forms_help = "off or a duration" },
};
#undef AT
const struct config_table config_zone_forward_table = {
    "forward.NAME", "Where queries for names in this tree go; \".\" is every name that has no rule "
    "of its own.",
    forward_rows, sizeof(forward_rows) / sizeof(forward_rows[0]),
};
/* clang-format on */

/* A name in the model's arena, or NULL, reported at the item's key or value. */
static const uint8_t *read_name(struct config_context *context, const struct config_item *item,
                                const char *text, bool key)
{
    uint8_t dname[NAME_MAX_BYTES];
    struct error err;

    int length = name_parse(text, dname, &err);
    if (length < 0) {
        if (key) {
            config_error_key(context, item, "%s", err.message);
        } else {
            config_error_value(context, item, "%s", err.message);
        }
        return NULL;
    }
    return arena_copy(context->arena, dname, (size_t)length);
}

static const char *name_text(struct config_context *context, const uint8_t *dname,
                             const char *otherwise)
{
    char text[NAME_TEXT_MAX];

    if (dname == NULL) {
        return arena_strdup(context->arena, otherwise);
    }
    name_format(dname, text, sizeof(text));
    return arena_strdup(context->arena, text);
}

/* Names that differ in case or the last dot only are the same name. */
static void check_doubles(struct config_context *context, const struct config_item *section,
                          const struct config_names *names)
{
    char place[256];

    for (size_t i = 1; i < names->count; i++) {
        if (strcmp(names->list[i - 1].name, names->list[i].name) == 0) {
            struct config_item first = config_item_at(section, names->list[i - 1].index);
            struct config_item again = config_item_at(section, names->list[i].index);
            config_node_format_place(first.key, place, sizeof(place));
            config_error_key(context, &again, "is given twice, first at %s", place);
        }
    }
}

/* ------------------------------------------------------------------ zones */

static void read_nameservers(struct config_context *context, const struct config_item *item,
                             struct model_zone *zone)
{
    size_t count = config_item_list_count(item);
    const uint8_t **list = arena_array(context->arena, count, sizeof(*list));

    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(item, i);
        const char *text = config_table_scalar(context, &one);
        list[i] = text == NULL ? NULL : read_name(context, &one, text, false);
    }
    zone->nameservers = list;
    zone->nameserver_count = count;
    if (zone->file != NULL && count > 0) {
        struct error *err = config_error_key(context, item, "is for a zone without a file");
        error_hint(err, "the file has NS records of its own");
    }
}

void config_zone_read(struct config_context *context, const struct config_item *section)
{
    struct model *model = context->model;
    struct config_names names = { 0 };
    struct config_item item;

    if (section == NULL) {
        return;
    }
    model->zone_count = section->value->count;
    model->zones = arena_array(context->arena, model->zone_count, sizeof(*model->zones));
    for (size_t i = 0; i < model->zone_count; i++) {
        struct config_item one = config_item_at(section, i);
        struct model_zone *zone = &model->zones[i];
        zone->place = config_node_place(one.key);
        zone->dname = read_name(context, &one, one.name, true);
        zone->name = name_text(context, zone->dname, one.name);
        (void)config_table_read(context, &config_zone_table, &one, zone);
        if (config_item_get(&one, "nameservers", &item) && item.value->kind != CONFIG_NODE_MAP) {
            read_nameservers(context, &item, zone);
        }
        if (zone->dname != NULL) {
            config_names_add(&names, context->scratch, zone->name, (uint32_t)i);
        }
    }
    config_names_sort(&names);
    check_doubles(context, section, &names);
}

/* ------------------------------------------------------------------ forward */

static void read_upstream_region(struct config_context *context, const struct config_item *item,
                                 struct model_upstream *upstream)
{
    if (item->value->kind == CONFIG_NODE_SCALAR && strcmp(item->value->text, "public") == 0) {
        upstream->region = MODEL_PUBLIC;
        return;
    }
    upstream->region = config_region_of_value(context, item);
    if (context->model->region_count == 0 && item->value->kind == CONFIG_NODE_SCALAR &&
        !item->value->broken && !config_node_is_empty(item->value)) {
        struct error *err = config_error_value(context, item, "there are no regions");
        error_hint(err, "name it in the section regions, or leave it out here");
    }
}

static bool read_upstream(struct config_context *context, const struct config_item *item,
                          struct model_upstream *upstream)
{
    struct config_item address = *item;
    struct config_item region;

    upstream->region = MODEL_NONE;
    if (item->value->kind == CONFIG_NODE_MAP) {
        bool good = config_table_read(context, &upstream_table, item, NULL);
        if (config_item_get(item, "region", &region)) {
            read_upstream_region(context, &region, upstream);
        }
        if (!config_item_get(item, "address", &address)) {
            return false;
        }
        if (!good) {
            /* look at the address all the same, for its own errors */
            (void)config_address_read(context, &address, CONFIG_ADDRESS_SERVER, DNS_PORT,
                                      &upstream->address);
            return false;
        }
    }
    return config_address_read(context, &address, CONFIG_ADDRESS_SERVER, DNS_PORT,
                               &upstream->address);
}

/* Queries sent to our own socket would come back for ever. */
static bool is_our_own(const struct model *model, const struct addr *addr)
{
    for (size_t i = 0; i < model->listener_count; i++) {
        const struct addr *listener = &model->listeners[i].address;
        if (listener->port != addr->port) {
            continue;
        }
        if (addr_equal(listener, addr) ||
            (listener->family == addr->family && addr_is_any(listener) && addr_is_loopback(addr))) {
            return true;
        }
    }
    return false;
}

static void check_upstream(struct config_context *context, const struct config_item *item,
                           const struct model_upstream *list, size_t index)
{
    char text[ADDR_TEXT_MAX];

    addr_format_port(&list[index].address, text, sizeof(text));
    if (is_our_own(context->model, &list[index].address)) {
        struct error *err =
            config_error_value(context, item, "%s is where this server listens", text);
        error_hint(err, "it would ask itself; name another resolver, or listen elsewhere");
    }
    for (size_t i = 0; i < index; i++) {
        if (list[i].address.port != 0 && addr_equal(&list[i].address, &list[index].address)) {
            config_error_value(context, item, "%s is given twice", text);
            return;
        }
    }
}

static void read_upstreams(struct config_context *context, const struct config_item *item,
                           struct model_forward *rule)
{
    size_t count = config_item_list_count(item);

    if (count == 0 || count > MAX_UPSTREAMS) {
        if (!item->value->broken) {
            config_error_key(context, item, count == 0 ? "there are none" : "more than %d",
                             MAX_UPSTREAMS);
        }
        return;
    }
    struct model_upstream *list = arena_array(context->arena, count, sizeof(*list));
    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(item, i);
        if (read_upstream(context, &one, &list[i])) {
            check_upstream(context, &one, list, i);
        } else {
            list[i].address.port = 0; /* no address to compare with */
        }
    }
    rule->upstreams = list;
    rule->upstream_count = count;
}

static void read_hedge(struct config_context *context, const struct config_item *rule_item,
                       struct model_forward *rule)
{
    struct config_item hedge;

    rule->hedge_ms = 100;
    if (config_item_get(rule_item, "hedge", &hedge) && !config_node_is_empty(hedge.value) &&
        hedge.value->kind == CONFIG_NODE_SCALAR) {
        if (strcmp(hedge.value->text, "auto") == 0) {
            struct error *err = config_error_value(context, &hedge, "'auto' is not available yet");
            error_hint(err, "write off or a duration such as 100ms");
        } else {
            (void)config_table_read_value(context, &hedge_row, &hedge, rule);
        }
    }
    rule->hedge = rule->hedge_ms > 0;
}

/* Who answers `dname` from its own data, or NULL: zones and services go before every rule. */
static const char *holder_of(const struct model *model, const uint8_t *dname)
{
    for (size_t i = 0; i < model->zone_count; i++) {
        const struct model_zone *zone = &model->zones[i];
        if (zone->dname != NULL && name_is_within(dname, zone->dname)) {
            return zone->name;
        }
    }
    for (size_t i = 0; i < model->service_count; i++) {
        const struct model_service *service = &model->services[i];
        if (service->dname != NULL && name_is_within(dname, service->dname)) {
            return service->name;
        }
    }
    return NULL;
}

static void check_holder(struct config_context *context, const struct config_item *item,
                         const struct model_forward *rule)
{
    const char *holder = holder_of(context->model, rule->dname);

    if (holder != NULL) {
        struct error *err = config_error_key(context, item, "would never be asked");
        error_hint(err, "this server answers all names in %.100s itself", holder);
    }
}

void config_zone_read_forward(struct config_context *context, const struct config_item *section)
{
    struct model *model = context->model;
    struct config_names names = { 0 };
    struct config_item item;

    if (section == NULL) {
        return;
    }
    model->forward_count = section->value->count;
    model->forwards = arena_array(context->arena, model->forward_count, sizeof(*model->forwards));
    for (size_t i = 0; i < model->forward_count; i++) {
        struct config_item one = config_item_at(section, i);
        struct model_forward *rule = &model->forwards[i];
        rule->place = config_node_place(one.key);
        rule->dname = read_name(context, &one, one.name, true);
        rule->name = name_text(context, rule->dname, one.name);
        (void)config_table_read(context, &config_zone_forward_table, &one, rule);
        if (config_item_get(&one, "upstreams", &item)) {
            read_upstreams(context, &item, rule);
        }
        read_hedge(context, &one, rule);
        if (rule->dname != NULL) {
            config_names_add(&names, context->scratch, rule->name, (uint32_t)i);
            check_holder(context, &one, rule);
        }
    }
    config_names_sort(&names);
    check_doubles(context, section, &names);
}
