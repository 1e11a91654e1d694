#include "policy/config_zone.h"

#include "base/arena.h"
#include "policy/config_dname.h"

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
/* clang-format on */

static void read_nameservers(struct config_context *context, const struct config_item *item,
                             struct model_zone *zone)
{
    size_t count = config_item_list_count(item);
    const uint8_t **list = arena_array(context->arena, count, sizeof(*list));

    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(item, i);
        const char *text = config_table_scalar(context, &one);
        list[i] = text == NULL ? NULL : config_dname_read(context, &one, text, false);
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
        zone->dname = config_dname_read(context, &one, one.name, true);
        zone->name = config_dname_text(context, zone->dname, one.name);
        (void)config_table_read(context, &config_zone_table, &one, zone);
        if (config_item_get(&one, "nameservers", &item) && item.value->kind != CONFIG_NODE_MAP) {
            read_nameservers(context, &item, zone);
        }
        if (zone->dname != NULL) {
            config_names_add(&names, context->scratch, zone->name, (uint32_t)i);
        }
    }
    config_names_sort(&names);
    config_dname_check_doubles(context, section, &names);
}
