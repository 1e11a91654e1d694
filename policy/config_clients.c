#include "policy/config_clients.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "policy/config_print.h"
#include "policy/config_region.h"

/* What is plain in one entry of the list. */
struct written {
    const char *prefix;
    const char *geo;
};

/* clang-format off */
#define AT(member) offsetof(struct written, member)
static const struct config_row clients_rows[] = {
    { "prefix", CONFIG_TEXT, AT(prefix), 1, 64, NULL,
      .help = "Clients with these addresses; of several prefixes the longest counts.",
      .usual = "required unless geo" },
    { "region", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The region nearest to them; the others follow in `order`.",
      .usual = "required with prefix",
      .forms = CONFIG_FORM_TEXT, .forms_help = "the name of a region" },
    { "regions", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The same for several, the nearest first.",
      .usual = "none",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST, .forms_help = "a list of regions" },
    { "geo", CONFIG_PATH, AT(geo), 1, 0, NULL,
      .help = "A MaxMind database, for clients that are in no prefix.",
      .usual = "none" },
    { "countries", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The regions of clients by country (ISO 3166-1: `KR`), the nearest first.",
      .usual = "none",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST | CONFIG_FORM_NAMED,
      .forms_help = "a map from countries to regions" },
    { "continents", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The same by continent, where the country is not named: `AF`, `AN`, `AS`, `EU`, "
              "`NA`, `OC`, `SA`.",
      .usual = "none",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST | CONFIG_FORM_NAMED,
      .forms_help = "a map from continents to regions" },
};
#undef AT
/* clang-format on */

const struct config_table config_clients_table = {
    "clients",
    "Where clients stand: a prefix with its regions, or a database with those of countries. Who is "
    "in none of them is taken to stand where this node does.",
    clients_rows,
    sizeof(clients_rows) / sizeof(clients_rows[0]),
};

static const char *const continents[] = { "AF", "AN", "AS", "EU", "NA", "OC", "SA" };

/* One region or a list of them, each once. Returns how many there are; 0 after an error. */
static size_t read_regions(struct config_context *context, const struct config_item *item,
                           const uint32_t **out)
{
    size_t count = config_item_list_count(item);
    uint32_t *list = arena_array(context->arena, count, sizeof(*list));
    bool good = count > 0;

    if (count == 0 && !item->value->broken) {
        struct error *err = config_error_key(context, item, "there are no regions");
        error_hint(err, "the nearest first, e.g. [seoul, tokyo]");
    }
    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(item, i);
        list[i] = config_region_of_value(context, &one);
        good = list[i] != MODEL_NONE && good;
        for (size_t j = 0; j < i && list[i] != MODEL_NONE; j++) {
            if (list[j] == list[i]) {
                config_error_value(context, &one, "region '%.80s' is named twice", one.value->text);
                good = false;
                break;
            }
        }
    }
    *out = list;
    return good ? count : 0;
}

/* Report what has no meaning beside `beside`. */
static void check_alone(struct config_context *context, const struct config_item *item,
                        const char *const *keys, size_t count, const char *beside)
{
    struct config_item child;

    for (size_t i = 0; i < count; i++) {
        if (config_item_get(item, keys[i], &child)) {
            config_error_key(context, &child, "goes with %s", beside);
        }
    }
}

/* ------------------------------------------------------------------ prefixes */

static bool is_same_prefix(const struct addr_prefix *a, const struct addr_prefix *b)
{
    return a->bits == b->bits && a->base.family == b->base.family &&
           addr_prefix_contains(a, &b->base);
}

static void check_prefix_twice(struct config_context *context, const struct config_item *item,
                               const struct model_clients *mine)
{
    const struct model *model = context->model;

    for (size_t i = 0; i < model->clients_count; i++) {
        const struct model_clients *other = &model->clients[i];
        if (is_same_prefix(&mine->prefix, &other->prefix)) {
            struct error *err =
                config_error_value(context, item, "%.80s is given twice, first in line %u",
                                   item->value->text, other->place.line);
            error_hint(err, "several regions are written as regions: [seoul, tokyo]");
            return;
        }
    }
}

static void read_prefix(struct config_context *context, const struct config_item *item,
                        const struct written *written)
{
    static const char *const others[] = { "countries", "continents" };
    struct model *model = context->model;
    struct model_clients clients = { .place = config_node_place(item->value) };
    struct config_item prefix;
    struct config_item region;
    struct config_item regions;
    struct error err;

    check_alone(context, item, others, 2, "geo");
    REQUIRE(config_item_get(item, "prefix", &prefix));
    bool has_region = config_item_get(item, "region", &region);
    bool has_regions = config_item_get(item, "regions", &regions);
    if (has_region == has_regions) {
        struct error *mine = config_error_key(
            context, item, has_region ? "is given region and regions" : "region is required");
        error_hint(mine, "e.g. {prefix: 10.1.0.0/16, region: seoul}");
        return;
    }
    clients.region_count = read_regions(context, has_region ? &region : &regions, &clients.regions);
    if (addr_prefix_parse(written->prefix, &clients.prefix, &err) < 0) {
        config_error_take(context, &prefix, &err);
        return;
    }
    check_prefix_twice(context, &prefix, &clients);
    model->clients[model->clients_count++] = clients;
}

/* ------------------------------------------------------------------ countries */

static bool is_continent(const char *code)
{
    for (size_t i = 0; i < sizeof(continents) / sizeof(continents[0]); i++) {
        if (strcmp(continents[i], code) == 0) {
            return true;
        }
    }
    return false;
}

static bool read_code(struct config_context *context, const struct config_item *item,
                      struct model_country *country)
{
    const char *name = item->name;

    if (strlen(name) == 2 && isalpha((unsigned char)name[0]) && isalpha((unsigned char)name[1])) {
        country->code[0] = (char)toupper((unsigned char)name[0]);
        country->code[1] = (char)toupper((unsigned char)name[1]);
    }
    if (country->is_continent && !is_continent(country->code)) {
        struct error *err = config_error_key(context, item, "is not a continent");
        error_hint(err, "one of AF, AN, AS, EU, NA, OC and SA");
        return false;
    }
    if (country->code[0] == '\0') {
        struct error *err = config_error_key(context, item, "is not the code of a country");
        error_hint(err, "two letters, as in ISO 3166-1: KR, JP, US");
        return false;
    }
    return true;
}

/* One entry of `countries` or `continents` behind the `count` of the list. */
static bool read_country(struct config_context *context, const struct config_item *item,
                         bool is_a_continent, struct model_country *list, size_t count)
{
    struct model_country *country = &list[count];

    country->is_continent = is_a_continent;
    if (!read_code(context, item, country)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (list[i].is_continent == is_a_continent && strcmp(list[i].code, country->code) == 0) {
            config_error_key(context, item, "is given twice");
            return false;
        }
    }
    country->region_count = read_regions(context, item, &country->regions);
    return country->region_count > 0;
}

/* The map under `key`, when it is one. */
static bool get_map(const struct config_item *item, const char *key, struct config_item *out)
{
    return config_item_get(item, key, out) && out->value->kind == CONFIG_NODE_MAP;
}

static void read_countries(struct config_context *context, const struct config_item *item,
                           struct model_geo *geo)
{
    static const char *const keys[] = { "countries", "continents" };
    struct config_item maps[2];
    size_t count = 0;

    for (size_t k = 0; k < 2; k++) {
        count += get_map(item, keys[k], &maps[k]) ? maps[k].value->count : 0;
    }
    struct model_country *list = arena_array(context->arena, count, sizeof(*list));
    geo->countries = list;
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; get_map(item, keys[k], &maps[k]) && i < maps[k].value->count; i++) {
            struct config_item one = config_item_at(&maps[k], i);
            geo->country_count += read_country(context, &one, k == 1, list, geo->country_count);
        }
    }
    if (count == 0) {
        struct error *err = config_error_key(context, item, "countries is required, or continents");
        error_hint(err, "e.g. countries: {KR: [seoul, tokyo], JP: [tokyo, seoul]}");
    }
}

static void read_geo(struct config_context *context, const struct config_item *item,
                     const struct written *written)
{
    static const char *const others[] = { "region", "regions" };
    struct model *model = context->model;
    struct model_geo *geo = &model->geos[model->geo_count++];
    struct config_item file;

    geo->place = config_node_place(item->value);
    geo->file = written->geo;
    check_alone(context, item, others, 2, "prefix");
    REQUIRE(config_item_get(item, "geo", &file));
    if (!context->is_kept && access(written->geo, R_OK) != 0) {
        struct error *err = config_error_value(context, &file, "%.160s cannot be read: %s",
                                               written->geo, strerror(errno));
        error_hint(err, "a MaxMind database, e.g. GeoLite2-Country.mmdb; Debian: geoipupdate");
    }
    read_countries(context, item, geo);
}

/* ------------------------------------------------------------------ the section */

static void read_one(struct config_context *context, const struct config_item *item)
{
    struct written written = { 0 };

    if (!config_table_read(context, &config_clients_table, item, &written)) {
        return;
    }
    if ((written.prefix == NULL) == (written.geo == NULL)) {
        struct error *err =
            config_error_key(context, item,
                             written.prefix == NULL ? "prefix is required, or geo"
                                                    : "is either a prefix or a geo database");
        error_hint(err, "e.g. {prefix: 10.1.0.0/16, region: seoul}");
    } else if (written.prefix != NULL) {
        read_prefix(context, item, &written);
    } else {
        read_geo(context, item, &written);
    }
}

void config_clients_read(struct config_context *context, const struct config_item *root)
{
    struct model *model = context->model;
    struct config_item clients;

    if (!config_item_get(root, "clients", &clients) || clients.value->kind == CONFIG_NODE_SCALAR) {
        return;
    }
    size_t count = config_item_list_count(&clients);
    if (count > 0 && model->region_count == 0) {
        struct error *err = config_error_key(context, &clients, "there are no regions");
        error_hint(err, "clients stand near to regions, which the section regions names");
        return;
    }
    model->clients = arena_array(context->arena, count, sizeof(*model->clients));
    model->geos = arena_array(context->arena, count, sizeof(*model->geos));
    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(&clients, i);
        read_one(context, &one);
    }
}

/* ------------------------------------------------------------------ printing */

static void put_regions(const struct model *model, const uint32_t *list, size_t count,
                        struct text *out)
{
    text_put_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        text_put(out, i == 0 ? "" : ", ");
        config_print_scalar(model->regions[list[i]].name, out);
    }
    text_put_char(out, ']');
}

static void put_countries(const struct model *model, const struct model_geo *geo,
                          bool is_a_continent, struct text *out)
{
    const char *begin = is_a_continent ? "    continents: {" : "    countries: {";
    bool any = false;

    for (size_t i = 0; i < geo->country_count; i++) {
        const struct model_country *country = &geo->countries[i];
        if (country->is_continent != is_a_continent) {
            continue;
        }
        text_put(out, any ? ", " : begin);
        config_print_scalar(country->code, out);
        text_put(out, ": ");
        put_regions(model, country->regions, country->region_count, out);
        any = true;
    }
    text_put(out, any ? "}\n" : "");
}

void config_clients_put(const struct model *model, struct text *out)
{
    char base[ADDR_TEXT_MAX];

    text_put(out, model->clients_count + model->geo_count > 0 ? "clients:\n" : "");
    for (size_t i = 0; i < model->clients_count; i++) {
        const struct model_clients *clients = &model->clients[i];
        addr_format(&clients->prefix.base, base, sizeof(base));
        text_printf(out, "  - {prefix: \"%s/%u\", regions: ", base, clients->prefix.bits);
        put_regions(model, clients->regions, clients->region_count, out);
        text_put(out, "}\n");
    }
    for (size_t i = 0; i < model->geo_count; i++) {
        text_put(out, "  - geo: ");
        config_print_path(model->geos[i].file, out);
        text_put_char(out, '\n');
        put_countries(model, &model->geos[i], false, out);
        put_countries(model, &model->geos[i], true, out);
    }
}
