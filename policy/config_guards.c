#include "policy/config_guards.h"

#include <string.h>

#include "base/arena.h"
#include "policy/config_address.h"
#include "policy/config_own.h"
#include "policy/config_print.h"
#include "policy/config_value.h"

#define DNS_PORT       53 /* RFC 1035, section 4.2 */
#define MOST_WITNESSES 16
#define HOUR_MS        ((uint64_t)3600 * 1000)

/* clang-format off */
#define AT(member) offsetof(struct model, guards.member)
static const struct config_row removal_rows[] = {
    { "fraction", CONFIG_PERCENT, AT(removal_percent), 1, 100, "30%",
      .help = "How much of the healthy capacity may be taken away; one endpoint always may." },
    { "window", CONFIG_MS, AT(removal_window_ms), 1000, 7 * 24 * HOUR_MS, "10m",
      .help = "In so long a time, all changes together." },
};
static const struct config_table removal_table = {
    "guards.removal_limit", "How much of what is healthy changes of the configuration may take "
    "away.",
    removal_rows, sizeof(removal_rows) / sizeof(removal_rows[0]),
};

static const struct config_row isolation_rows[] = {
    { "witnesses", CONFIG_PART, 0, 0, 0, CONFIG_REQUIRED,
      .help = "DNS servers that answer whatever happens to our targets, port 53 unless written.",
      .example = "e.g. isolation: {witnesses: [192.0.2.53, 198.51.100.53]}",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST, .forms_help = "an address or a list of them" },
    { "minimum_reachable", CONFIG_COUNT, AT(witness_minimum), 1, MOST_WITNESSES, "1",
      .help = "When fewer than so many are reachable, and no check passes, this node is cut off." },
};
static const struct config_table isolation_table = {
    "guards.isolation", "How this node knows that it is itself what is cut off: what it believes "
    "is then frozen.",
    isolation_rows, sizeof(isolation_rows) / sizeof(isolation_rows[0]),
};

static const struct config_row guards_rows[] = {
    { "minimum_regions", CONFIG_COUNT, AT(minimum_regions), 0, 1000000, "1",
      .help = "When gates would leave fewer regions in than this, all gates lift." },
    { "removal_limit", CONFIG_PART, 0, 0, 0, NULL,
      .help = "How much a change of the configuration may take away; `off`: everything.",
      .usual = "{fraction: 30%, window: 10m}",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_MAP, .forms_help = "off or a map",
      .part = &removal_table },
    { "cascade_window", CONFIG_MS, AT(cascade_window_ms), 0, HOUR_MS, "60s",
      .help = "So long after a region left a service, a second one leaves it on strong evidence "
              "only; `off`: on any.",
      .word = "off" },
    { "accept", CONFIG_TEXT, AT(accept), 1, 128, "",
      .help = "The ID that `leeward review` printed, to consent to exactly that change.",
      .word = "" },
    { "isolation", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Witnesses that tell when this node is cut off.",
      .usual = "none: it is never thought to be",
      .forms = CONFIG_FORM_MAP, .forms_help = "a map", .part = &isolation_table },
};
#undef AT
/* clang-format on */

const struct config_table config_guards_table = {
    "guards",
    "What automation never does.",
    guards_rows,
    sizeof(guards_rows) / sizeof(guards_rows[0]),
};

static void check_regions(struct config_context *context, const struct config_item *guards)
{
    const struct model *model = context->model;
    struct config_item minimum;

    if (config_item_get(guards, "minimum_regions", &minimum) && model->region_count > 0 &&
        model->guards.minimum_regions > model->region_count) {
        struct error *err = config_error_value(context, &minimum, "there are only %zu regions",
                                               model->region_count);
        error_hint(err, "no region's checks could ever act");
    }
}

static void read_removal(struct config_context *context, const struct config_item *guards)
{
    struct model *model = context->model;
    struct config_item limit;
    struct error err;
    bool on;

    if (!config_item_get(guards, "removal_limit", &limit) || config_node_is_empty(limit.value)) {
        return;
    }
    if (limit.value->kind == CONFIG_NODE_MAP) {
        (void)config_table_read(context, &removal_table, &limit, model);
        return;
    }
    const char *text =
        limit.value->kind == CONFIG_NODE_SCALAR ? config_table_scalar(context, &limit) : NULL;
    if (text == NULL) {
        return;
    }
    if (config_value_bool(text, &on, &err) < 0 || on) {
        struct error *mine = config_error_value(context, &limit, "must be off or a map");
        error_hint(mine, "e.g. removal_limit: {fraction: 30%%, window: 10m}");
    } else {
        model->guards.removal_percent = 100;
    }
}

static bool read_witness(struct config_context *context, const struct config_item *item,
                         const struct addr *before, size_t count, struct addr *out)
{
    if (!config_address_read(context, item, CONFIG_ADDRESS_SERVER, DNS_PORT, out)) {
        return false;
    }
    const struct model_listener *own = config_own_listener(context, out);
    if (own != NULL) {
        struct text who = { 0 };
        config_own_put(own, &who);
        struct error *err =
            config_error_value(context, item, "is this server itself: %s", text_string(&who));
        error_hint(err, "a witness must stand elsewhere, best outside of all regions");
        text_fini(&who);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (addr_equal(&before[i], out)) {
            config_error_value(context, item, "%.80s is given twice", item->value->text);
            return false;
        }
    }
    return true;
}

static void read_isolation(struct config_context *context, const struct config_item *guards)
{
    struct model_guards *out = &context->model->guards;
    struct config_item isolation;
    struct config_item witnesses;
    struct config_item minimum;

    config_table_set_defaults(context, &isolation_table, context->model);
    if (!config_item_get(guards, "isolation", &isolation) ||
        isolation.value->kind != CONFIG_NODE_MAP ||
        !config_table_read(context, &isolation_table, &isolation, context->model)) {
        return;
    }
    REQUIRE(config_item_get(&isolation, "witnesses", &witnesses));
    size_t count = config_item_list_count(&witnesses);
    if (count == 0 || count > MOST_WITNESSES) {
        struct error *err = config_error_key(
            context, &witnesses, count == 0 ? "there are none" : "more than %d", MOST_WITNESSES);
        error_hint(err, "e.g. witnesses: [192.0.2.53, 198.51.100.53]");
        return;
    }
    struct addr *list = arena_array(context->arena, count, sizeof(*list));
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(&witnesses, i);
        good = read_witness(context, &one, list, i, &list[i]) && good;
    }
    out->witnesses = list;
    out->witness_count = count;
    if (good && out->witness_minimum > count &&
        config_item_get(&isolation, "minimum_reachable", &minimum)) {
        struct error *err =
            config_error_value(context, &minimum, "there %s only %zu witness%s",
                               count == 1 ? "is" : "are", count, count == 1 ? "" : "es");
        error_hint(err, "this node would always count as cut off; write at most %zu", count);
    }
}

void config_guards_read(struct config_context *context, const struct config_item *root)
{
    struct model *model = context->model;
    struct config_item guards;

    config_table_set_defaults(context, &config_guards_table, model);
    config_table_set_defaults(context, &removal_table, model);
    config_table_set_defaults(context, &isolation_table, model);
    if (config_item_get(root, "guards", &guards)) {
        (void)config_table_read(context, &config_guards_table, &guards, model);
        check_regions(context, &guards);
        read_removal(context, &guards);
        read_isolation(context, &guards);
    }
    if (model->guards.accept == NULL) {
        model->guards.accept = "";
    }
}

void config_guards_put(const struct model *model, struct text *out)
{
    const struct model_guards *guards = &model->guards;

    text_printf(out, "  removal_limit: {fraction: %u%%, window: ", guards->removal_percent);
    config_value_put_ms(guards->removal_window_ms, out);
    text_put(out, "}\n");
    if (guards->witness_count > 0) {
        text_put(out, "  isolation: {witnesses: ");
        config_print_addresses(guards->witnesses, guards->witness_count, out);
        text_printf(out, ", minimum_reachable: %u}\n", guards->witness_minimum);
    }
}
