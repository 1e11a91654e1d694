#include "policy/config_region.h"

#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "policy/config_check.h"

/* clang-format off */
static const struct config_choice dns_failure_choices[] = {
    { "leave", MODEL_DNS_FAILURE_LEAVE, false },
    { "prove", MODEL_DNS_FAILURE_PROVE, false },
    { NULL, 0, false },
};

#define AT(member) offsetof(struct model_region, member)
static const struct config_row region_rows[] = {
    { "minimum_healthy", CONFIG_MINIMUM, AT(minimum_healthy), 0, 0, CONFIG_REQUIRED,
      .help = "How many of the region's own checks must pass for it to be used; 0 for a region "
              "without checks.",
      .example = "how many of the region's own checks must pass, e.g. minimum_healthy: 50% (0: "
                 "it has none)" },
    { "checks", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The region's own checks, by name or in place; each that asks somebody has a "
              "`server`.",
      .usual = "none",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST | CONFIG_FORM_MAP,
      .forms_help = "a check or a list of checks", .part = &config_check_table },
    { "on_dns_failure", CONFIG_CHOICE, AT(on_dns_failure), 0, 0, "leave",
      .help = "What a region below its minimum means: `leave` it, or `prove`: keep the endpoints "
              "whose own checks pass.",
      .choices = dns_failure_choices },
};
#undef AT
/* clang-format on */

const struct config_table config_region_table = {
    "regions.NAME",
    "A place where endpoints stand. Below `minimum_healthy` of its own checks it is gated: used "
    "only when nothing better is left.",
    region_rows,
    sizeof(region_rows) / sizeof(region_rows[0]),
};

/* Words that mean something else where a region is named. */
static bool is_reserved(const char *name)
{
    return strcasecmp(name, "public") == 0 || strcasecmp(name, "any") == 0 ||
           strcasecmp(name, "all") == 0;
}

static void check_name(struct config_context *context, const struct config_item *item)
{
    if (is_reserved(item->name)) {
        struct error *err = config_error_key(context, item, "this name is reserved");
        error_hint(err, "'public' is for upstreams outside the company, 'any' and 'all' for all "
                        "regions; take another");
    } else if (!config_names_is_valid(item->name)) {
        struct error *err = config_error_key(context, item, "not a good name of a region");
        error_hint(err, CONFIG_NAMES_HINT);
    }
}

static void check_minimum(struct config_context *context, const struct config_item *item,
                          const struct model_region *region)
{
    struct config_item minimum;
    uint32_t checks = (uint32_t)region->check_count;
    uint32_t needed = model_minimum_count(region->minimum_healthy, checks);

    if (needed <= checks || !config_item_get(item, "minimum_healthy", &minimum)) {
        return;
    }
    struct error *err =
        config_error_value(context, &minimum, "%u must pass, but the region has %u check%s", needed,
                           checks, checks == 1 ? "" : "s");
    error_hint(err,
               checks == 0 ? "write 0, or give the region checks"
                           : "it would never be used; write at most %u",
               checks);
}

static void read_one(struct config_context *context, const struct config_item *item,
                     struct model_region *region)
{
    struct config_item checks;
    bool has_checks = config_item_get(item, "checks", &checks);

    region->place = config_node_place(item->key);
    check_name(context, item);
    bool good = config_table_read(context, &config_region_table, item, region);
    if (has_checks) {
        good = config_check_read_region(context, &checks, region) && good;
    }
    if (good) {
        check_minimum(context, item, region);
    }
}

void config_region_read(struct config_context *context, const struct config_item *section)
{
    struct model *model = context->model;

    if (section == NULL) {
        return;
    }
    model->region_count = section->value->count;
    model->regions = arena_array(context->arena, model->region_count, sizeof(*model->regions));
    for (size_t i = 0; i < model->region_count; i++) {
        struct config_item item = config_item_at(section, i);
        model->regions[i].name = arena_strdup(context->arena, item.name);
        read_one(context, &item, &model->regions[i]);
        config_names_add(&context->region_names, context->scratch, model->regions[i].name,
                         (uint32_t)i);
    }
    config_names_sort(&context->region_names);
}

static uint32_t find(struct config_context *context, const struct config_item *item,
                     const struct config_node *where, const char *name)
{
    uint32_t index = config_names_find(&context->region_names, name);

    if (index != CONFIG_NAMES_NONE) {
        return index;
    }
    if (context->region_names.count > 0) {
        const char *nearest = config_names_nearest(&context->region_names, name);
        struct error *err = config_error_node(context, item, where, "unknown region '%.80s'", name);
        if (nearest != NULL) {
            error_hint(err, "did you mean '%s'?", nearest);
        } else {
            error_hint(err, "it must stand in the section regions");
        }
    }
    return MODEL_NONE;
}

uint32_t config_region_of_value(struct config_context *context, const struct config_item *item)
{
    const char *name = config_table_scalar(context, item);

    return name == NULL ? MODEL_NONE : find(context, item, item->value, name);
}

uint32_t config_region_of_key(struct config_context *context, const struct config_item *item)
{
    return find(context, item->parent, item->key, item->name);
}
