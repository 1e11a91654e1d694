#include "policy/config_filter.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "policy/config_print.h"
#include "policy/config_region.h"
#include "policy/config_value.h"

#define MOST_LOAD 1000000000

/* What is written of a filter. */
struct written {
    uint32_t band_ms;
    uint32_t v4_bits;
    uint32_t v6_bits;
    uint32_t limit;
};

/* clang-format off */
#define AT(member) offsetof(struct written, member)
static const struct config_row latency_rows[] = {
    { "band", CONFIG_MS, AT(band_ms), 0, 10000, "10ms",
      .help = "Regions slower than the quickest by no more than this are as good as it, and go by "
              "`order`." },
};
static const struct config_table latency_table = {
    "services.NAME.steer.latency", "How near is near enough.",
    latency_rows, sizeof(latency_rows) / sizeof(latency_rows[0]),
};

static const struct config_row capacity_rows[] = {
    { "load", CONFIG_PART, 0, 0, 0, NULL,
      .help = "What the clients of each region bring, in the units of `capacity`.",
      .usual = "shares follow capacity",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_NAMED,
      .forms_help = "a map from regions to numbers" },
};
static const struct config_table capacity_table = {
    "services.NAME.steer.capacity", "What is expected, to be held against what can be carried.",
    capacity_rows, sizeof(capacity_rows) / sizeof(capacity_rows[0]),
};

static const struct config_row sticky_rows[] = {
    { "ipv4", CONFIG_COUNT, AT(v4_bits), 1, 32, "24",
      .help = "IPv4 clients with so many bits in common are one." },
    { "ipv6", CONFIG_COUNT, AT(v6_bits), 1, 128, "56",
      .help = "The same for IPv6." },
};
static const struct config_table sticky_table = {
    "services.NAME.steer.sticky", "Which clients are one.",
    sticky_rows, sizeof(sticky_rows) / sizeof(sticky_rows[0]),
};

/* in the order in which they are applied; see `steps` */
static const struct config_row filter_rows[] = {
    { "region_order", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The regions as in `order`; also where no other filter orders them.",
      .usual = "not used",
      .forms = CONFIG_FORM_TEXT, .forms_help = "nothing: the word stands alone" },
    { "nearest", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The regions as `clients` has them for the client, this node's own region where it "
              "has none; then as in `order`.",
      .usual = "not used",
      .forms = CONFIG_FORM_TEXT, .forms_help = "nothing: the word stands alone" },
    { "latency", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The quickest region first, as our checks measure it.",
      .usual = "not used",
      .forms = CONFIG_FORM_MAP, .forms_help = "a map", .part = &latency_table },
    { "all", CONFIG_PART, 0, 0, 0, NULL,
      .help = "All regions together instead of the first one.",
      .usual = "not used",
      .forms = CONFIG_FORM_TEXT, .forms_help = "nothing: the word stands alone" },
    { "capacity", CONFIG_PART, 0, 0, 0, NULL,
      .help = "What a region cannot carry spills to others; each endpoint has a `capacity`.",
      .usual = "not used",
      .forms = CONFIG_FORM_MAP, .forms_help = "a map", .part = &capacity_table },
    { "trickle", CONFIG_PART, 0, 0, 0, NULL,
      .help = "So much of the answers goes to the next region, so that it stays proven: 0.01% to "
              "50%.",
      .usual = "not used",
      .forms = CONFIG_FORM_TEXT, .forms_help = "a percentage, such as 1% or 0.5%" },
    { "weight", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Endpoints are drawn by their `weight`.",
      .usual = "not used",
      .forms = CONFIG_FORM_TEXT, .forms_help = "nothing: the word stands alone" },
    { "sticky", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The same client gets the same endpoints, from every node.",
      .usual = "not used",
      .forms = CONFIG_FORM_MAP, .forms_help = "a map", .part = &sticky_table },
    { "shuffle", CONFIG_PART, 0, 0, 0, NULL, .help = "A random order.",
      .usual = "not used",
      .forms = CONFIG_FORM_TEXT, .forms_help = "nothing: the word stands alone" },
    { "limit", CONFIG_COUNT, AT(limit), 1, 64, NULL,
      .help = "At most so many addresses in an answer.",
      .usual = "max_addresses" },
};
#undef AT
/* clang-format on */

const struct config_table config_filter_table = {
    "services.NAME.steer",
    "A filter: its word, or a map with that one key where it has settings. They are applied in the "
    "order of this table, and written in it. Of `region_order`, `nearest`, `latency` and `all` a "
    "list has one, `region_order` unless written.",
    filter_rows,
    sizeof(filter_rows) / sizeof(filter_rows[0]),
};

/* What each row is, and its step: filters of one step exclude each other. */
static const struct {
    enum model_filter_kind kind;
    unsigned step;
} steps[] = {
    { MODEL_FILTER_REGION_ORDER, 0 }, { MODEL_FILTER_NEAREST, 0 },  { MODEL_FILTER_LATENCY, 0 },
    { MODEL_FILTER_ALL, 0 },          { MODEL_FILTER_CAPACITY, 1 }, { MODEL_FILTER_TRICKLE, 2 },
    { MODEL_FILTER_WEIGHT, 3 },       { MODEL_FILTER_STICKY, 4 },   { MODEL_FILTER_SHUFFLE, 4 },
    { MODEL_FILTER_LIMIT, 5 },
};

#define STEP_COUNT (sizeof(steps) / sizeof(steps[0]))

static size_t row_of_kind(enum model_filter_kind kind)
{
    for (size_t i = 0; i < STEP_COUNT; i++) {
        if (steps[i].kind == kind) {
            return i;
        }
    }
    error_required("a row for each kind of filter", __FILE__, __LINE__);
}

const char *config_filter_word(enum model_filter_kind kind)
{
    return filter_rows[row_of_kind(kind)].key;
}

unsigned config_filter_step(enum model_filter_kind kind)
{
    return steps[row_of_kind(kind)].step;
}

/* ------------------------------------------------------------------ one filter */

/* "1%", "0.5%": with up to four decimals, in parts of a million. */
static int read_fraction(const char *text, uint32_t *out, struct error *err)
{
    uint32_t value = 0;
    unsigned digits = 0;
    int decimals = -1;
    const char *c = text;

    for (; (*c >= '0' && *c <= '9') || (*c == '.' && decimals < 0 && digits > 0); c++) {
        if (*c == '.') {
            decimals = 0;
            continue;
        }
        value = value * 10 + (uint32_t)(*c - '0');
        decimals += decimals >= 0;
        if (++digits > 6 || decimals > 4) {
            break;
        }
    }
    if (digits == 0 || decimals == 0 || strcmp(c, "%") != 0) {
        error_set(err, -EINVAL, "'%.80s' is not a percentage with at most 4 decimals", text);
        error_hint(err, "write 1%% or 0.5%%");
        return err->code;
    }
    for (int i = decimals < 0 ? 0 : decimals; i < 4; i++) {
        value *= 10;
    }
    *out = value;
    return 0;
}

/* Of a million, rounded to the nearest of 65536. */
static uint32_t share_of(uint32_t millionths)
{
    return (uint32_t)(((uint64_t)millionths * 65536 + 500000) / 1000000);
}

static bool read_trickle(struct config_context *context, const struct config_item *item,
                         struct model_filter *filter)
{
    const char *text = config_table_scalar(context, item);
    uint32_t millionths = 0;
    struct error err;

    if (text == NULL) {
        return false;
    }
    if (read_fraction(text, &millionths, &err) < 0) {
        config_error_take(context, item, &err);
        return false;
    }
    if (millionths < 100 || millionths > 500000) {
        struct error *mine = config_error_value(
            context, item, "'%.80s' is out of range: it must be 0.01%% to 50%%", text);
        error_hint(mine, "of so many answers the next region gets one, to stay proven");
        return false;
    }
    filter->share_65536 = share_of(millionths);
    return true;
}

/* The load of each pool's region; a region that is not named brings none. */
static bool read_load(struct config_context *context, const struct config_item *item,
                      const struct model_service *service, struct model_filter *filter)
{
    static const struct config_row row = { .kind = CONFIG_COUNT, .max = MOST_LOAD };
    uint32_t *load = arena_array(context->arena, service->pool_count, sizeof(*load));
    bool good = true;
    bool any = false;

    for (size_t i = 0; i < item->value->count; i++) {
        struct config_item one = config_item_at(item, i);
        uint32_t region = config_region_of_key(context, &one);
        uint32_t value = 0;
        size_t pool = 0;
        good = config_table_read_value(context, &row, &one, &value) && region != MODEL_NONE && good;
        while (pool < service->pool_count && service->pools[pool].region != region) {
            pool++;
        }
        if (pool < service->pool_count) {
            load[pool] = value;
        } else if (region != MODEL_NONE && service->pool_count > 0) {
            struct error *err =
                config_error_key(context, &one, "the service has no endpoints in %s",
                                 context->model->regions[region].name);
            error_hint(err, "add what its clients bring to the region that is nearest to them");
            good = false;
        }
        any = any || value > 0;
    }
    if (good && !any) {
        struct error *err = config_error_key(context, item, "nobody brings any load");
        error_hint(err, "e.g. load: {seoul: 600}, in the units of capacity, or leave it out");
        return false;
    }
    filter->load = load;
    return good;
}

static bool read_capacity(struct config_context *context, const struct config_item *item,
                          const struct model_service *service, struct model_filter *filter)
{
    struct config_item load;

    if (!config_table_read(context, &capacity_table, item, NULL)) {
        return false;
    }
    if (!config_item_get(item, "load", &load) || config_node_is_empty(load.value)) {
        return true;
    }
    if (load.value->kind != CONFIG_NODE_MAP) {
        return false; /* reported by its row */
    }
    return read_load(context, &load, service, filter);
}

void config_filter_set_defaults(struct config_context *context, struct model_filter *filter)
{
    struct written written = { 0 };

    config_table_set_defaults(context, &latency_table, &written);
    config_table_set_defaults(context, &sticky_table, &written);
    if (filter->kind == MODEL_FILTER_LATENCY) {
        filter->band_us = written.band_ms * 1000;
    } else if (filter->kind == MODEL_FILTER_STICKY) {
        filter->sticky_v4_bits = (uint8_t)written.v4_bits;
        filter->sticky_v6_bits = (uint8_t)written.v6_bits;
    }
}

static bool report_alone(struct config_context *context, const struct config_item *item,
                         const char *word)
{
    struct error *err = config_error_key(context, item, "has no settings");
    error_hint(err, "write the word alone: %s", word);
    return false;
}

/* `{word: settings}`; the table has been read, so settings have the right form. */
static bool read_settings(struct config_context *context, const struct config_item *item,
                          const struct model_service *service, const struct written *plain,
                          struct model_filter *filter)
{
    struct written written = { 0 };

    switch (filter->kind) {
    case MODEL_FILTER_LATENCY:
        if (!config_table_read(context, &latency_table, item, &written)) {
            return false;
        }
        filter->band_us = written.band_ms * 1000;
        return true;
    case MODEL_FILTER_STICKY:
        if (!config_table_read(context, &sticky_table, item, &written)) {
            return false;
        }
        filter->sticky_v4_bits = (uint8_t)written.v4_bits;
        filter->sticky_v6_bits = (uint8_t)written.v6_bits;
        return true;
    case MODEL_FILTER_CAPACITY:
        return read_capacity(context, item, service, filter);
    case MODEL_FILTER_TRICKLE:
        return read_trickle(context, item, filter);
    case MODEL_FILTER_LIMIT:
        filter->limit = plain->limit;
        return true;
    default:
        return report_alone(context, item, item->name);
    }
}

static bool report_unknown(struct config_context *context, const struct config_item *item,
                           const char *word)
{
    const char *words[STEP_COUNT];

    for (size_t i = 0; i < STEP_COUNT; i++) {
        words[i] = filter_rows[i].key;
    }
    const char *nearest = text_nearest(word, words, STEP_COUNT);
    struct error *err = config_error_value(context, item, "unknown filter '%.80s'", word);
    if (nearest != NULL) {
        error_hint(err, "did you mean '%s'?", nearest);
    } else {
        error_hint(err, "one of region_order, nearest, latency, all, capacity, trickle, weight, "
                        "sticky, shuffle, limit");
    }
    return false;
}

/* The filter with this word, or false. */
static bool find_filter(const char *word, struct model_filter *filter)
{
    for (size_t i = 0; i < STEP_COUNT; i++) {
        if (strcmp(filter_rows[i].key, word) == 0) {
            filter->kind = steps[i].kind;
            return true;
        }
    }
    return false;
}

static bool read_word(struct config_context *context, const struct config_item *item,
                      struct model_filter *filter)
{
    const char *word = config_table_scalar(context, item);

    if (word == NULL) {
        return false;
    }
    if (!find_filter(word, filter)) {
        return report_unknown(context, item, word);
    }
    if (filter->kind == MODEL_FILTER_LIMIT || filter->kind == MODEL_FILTER_TRICKLE) {
        struct error *err = config_error_value(context, item, "%s needs a value", word);
        error_hint(err, "write {%s: %s}", word, filter->kind == MODEL_FILTER_LIMIT ? "2" : "1%");
        return false;
    }
    return true;
}

bool config_filter_read(struct config_context *context, const struct config_item *item,
                        const struct model_service *service, struct model_filter *filter)
{
    struct written written = { 0 };
    bool good;

    filter->place = config_node_place(item->value);
    if (item->value->kind != CONFIG_NODE_MAP) {
        good = read_word(context, item, filter);
        config_filter_set_defaults(context, filter);
        return good;
    }
    if (!config_table_read(context, &config_filter_table, item, &written)) {
        return false;
    }
    if (item->value->count != 1) {
        struct error *err = config_error_value(context, item, "a filter is a map with one key");
        error_hint(err, "one element of the list for each, e.g. [nearest, sticky, {limit: 2}]");
        return false;
    }
    struct config_item only = config_item_at(item, 0);
    REQUIRE(find_filter(only.name, filter)); /* the table knows it */
    return read_settings(context, &only, service, &written, filter);
}

/* ------------------------------------------------------------------ printing */

/* With as few decimals as give the same share again. */
static void put_share(uint32_t share, struct text *out)
{
    uint32_t power = 1; /* of ten, by decimals */

    for (int decimals = 0;; decimals++, power *= 10) {
        uint32_t value = (uint32_t)(((uint64_t)share * 100 * power + 32768) / 65536);
        if (decimals < 4 && share_of(value * (10000 / power)) != share) {
            continue;
        }
        text_printf(out, "%u", value / power);
        if (decimals > 0) {
            text_printf(out, ".%0*u", decimals, value % power);
        }
        text_put_char(out, '%');
        return;
    }
}

static void put_load(const struct model *model, const struct model_service *service,
                     const struct model_filter *filter, struct text *out)
{
    if (filter->load == NULL) {
        text_put(out, "capacity");
        return;
    }
    text_put(out, "{capacity: {load: {");
    for (size_t i = 0; i < service->pool_count; i++) {
        text_put(out, i == 0 ? "" : ", ");
        config_print_scalar(model->regions[service->pools[i].region].name, out);
        text_printf(out, ": %u", filter->load[i]);
    }
    text_put(out, "}}}");
}

void config_filter_put(const struct model *model, const struct model_service *service,
                       const struct model_filter *filter, struct text *out)
{
    switch (filter->kind) {
    case MODEL_FILTER_LATENCY:
        text_put(out, "{latency: {band: ");
        config_value_put_ms(filter->band_us / 1000, out);
        text_put(out, "}}");
        break;
    case MODEL_FILTER_CAPACITY:
        put_load(model, service, filter, out);
        break;
    case MODEL_FILTER_TRICKLE:
        text_put(out, "{trickle: ");
        put_share(filter->share_65536, out);
        text_put_char(out, '}');
        break;
    case MODEL_FILTER_STICKY:
        text_printf(out, "{sticky: {ipv4: %u, ipv6: %u}}", filter->sticky_v4_bits,
                    filter->sticky_v6_bits);
        break;
    case MODEL_FILTER_LIMIT:
        text_printf(out, "{limit: %u}", filter->limit);
        break;
    default:
        text_put(out, config_filter_word(filter->kind));
        break;
    }
}
