#include "policy/config_forward.h"

#include <string.h>

#include "base/arena.h"
#include "policy/config_dname.h"
#include "policy/config_own.h"
#include "policy/config_print.h"
#include "policy/config_resolv.h"
#include "policy/config_upstream.h"
#include "policy/config_value.h"
#include "zones/name.h"

#define MAX_UPSTREAMS 64 /* of a rule */

/* A rule with what is written as a word. */
struct written {
    struct model_forward rule;
    unsigned refuse_private;
};

/* clang-format off */
#define AT(member) offsetof(struct written, rule.member)
static const struct config_choice rebinding_choices[] = {
    { "allow", false, false }, { "refuse", true, false }, { NULL, 0, false },
};
static const struct config_row hedge_row = {
    "hedge", CONFIG_MS, AT(hedge_ms), 1, 10000, NULL, .help = "", .word = "off",
};
static const struct config_row forward_rows[] = {
    { "upstreams", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The resolvers to ask, the preferred one first.",
      .usual = "required unless from",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST | CONFIG_FORM_MAP,
      .forms_help = "a list of resolvers", .part = &config_upstream_table },
    { "from", CONFIG_PATH, AT(from), 1, 0, NULL,
      .help = "A file like /etc/resolv.conf, read again when it changes. Its resolvers come "
              "behind `upstreams`; where it names this server that line is skipped.",
      .usual = "none" },
    { "hedge", CONFIG_PART, 0, 0, 0, NULL,
      .help = "After how long without an answer the next region is asked too. `auto`: what the "
              "upstream itself rarely exceeds; `off`: 500ms.",
      .usual = "auto", .forms = CONFIG_FORM_TEXT, .forms_help = "auto, off or a duration" },
    { "rebinding", CONFIG_CHOICE, offsetof(struct written, refuse_private), 0, 0, "allow",
      .help = "`refuse` drops private and loopback addresses from answers, so that names of "
              "others cannot lead into the own network.",
      .choices = rebinding_choices },
};
#undef AT
/* clang-format on */

const struct config_table config_forward_table = {
    "forward.NAME",
    "Where queries for names in this tree go; \".\" is every name that has no rule of its own.",
    forward_rows,
    sizeof(forward_rows) / sizeof(forward_rows[0]),
};

/* ------------------------------------------------------------------ upstreams */

static bool is_listed(const struct model_upstream *list, size_t count, const struct addr *addr)
{
    for (size_t i = 0; i < count; i++) {
        if (addr_equal(&list[i].address, addr)) {
            return true;
        }
    }
    return false;
}

/* Queries sent to our own socket would come back for ever. */
static void check_upstream(struct config_context *context, const struct config_item *item,
                           const struct model_upstream *list, size_t index)
{
    const struct addr *addr = &list[index].address;
    const struct model_listener *own = config_own_listener(context, addr);
    char text[ADDR_TEXT_MAX];

    addr_format_port(addr, text, sizeof(text));
    if (own != NULL) {
        struct text where = { 0 };
        config_own_put(own, &where);
        struct error *err = config_error_value(context, item, "%s is where this server listens: %s",
                                               text, text_string(&where));
        error_hint(err, "it would ask itself; name another resolver, or listen elsewhere");
        text_fini(&where);
    }
    if (is_listed(list, index, addr)) {
        config_error_value(context, item, "%s is given twice", text);
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
        if (config_upstream_read(context, &one, &list[i])) {
            check_upstream(context, &one, list, i);
        } else {
            list[i].address.port = 0; /* no address to compare with */
        }
    }
    rule->upstreams = list;
    rule->upstream_count = count;
}

/* ------------------------------------------------------------------ from */

/* Add the file's resolvers that are neither ourselves nor listed. */
static void add_resolvers(struct config_context *context, const struct config_resolv *resolv,
                          struct model_forward *rule)
{
    size_t count = rule->upstream_count;
    struct model_upstream *list =
        arena_array(context->arena, count + CONFIG_RESOLV_MAX, sizeof(*list));

    if (count > 0) {
        memcpy(list, rule->upstreams, count * sizeof(*list));
    }
    for (size_t i = 0; i < resolv->count && count < MAX_UPSTREAMS; i++) {
        const struct addr *addr = &resolv->list[i];
        if (config_own_listener(context, addr) == NULL && !is_listed(list, count, addr)) {
            list[count++] = (struct model_upstream){ .region = MODEL_NONE, .address = *addr };
        }
    }
    rule->from_count = count - rule->upstream_count;
    rule->upstreams = list;
    rule->upstream_count = count;
}

/* A rule with nobody to ask. */
static void report_none(struct config_context *context, const struct config_item *item,
                        const char *path, const struct config_resolv *resolv)
{
    struct error *err;

    if (resolv->count > 0) {
        err = config_error_value(context, item, "%.200s names no resolver but this server", path);
        error_hint(err, "name the file that the DHCP client writes, e.g. "
                        "/run/systemd/resolve/resolv.conf, or add upstreams");
    } else if (resolv->skipped > 0) {
        err = config_error_value(context, item, "%.200s names no resolver that can be asked", path);
        error_hint(err, "what line %u names is not an address in use here; add upstreams",
                   resolv->skipped_line);
    } else {
        err = config_error_value(context, item, "%.200s names no resolver", path);
        error_hint(err, "a nameserver line is wanted there; or add upstreams: [10.1.0.2]");
    }
}

/* Errors only matter where the file was all there is: it may come later, or be empty for a time. */
static void read_from(struct config_context *context, const struct config_item *rule_item,
                      struct model_forward *rule)
{
    struct config_resolv resolv;
    struct config_item ignored;
    struct config_item item;
    struct error err;

    if (rule->from == NULL || !config_item_get(rule_item, "from", &item)) {
        return;
    }
    bool alone = !config_item_get(rule_item, "upstreams", &ignored);
    if (config_resolv_read(rule->from, &resolv, &err) < 0) {
        if (alone) {
            config_error_value(context, &item, "%.200s %s", rule->from, err.message);
        }
        return;
    }
    add_resolvers(context, &resolv, rule);
    if (alone && rule->upstream_count == 0) {
        report_none(context, &item, rule->from, &resolv);
    }
}

/* ------------------------------------------------------------------ rules */

static void read_hedge(struct config_context *context, const struct config_item *rule_item,
                       struct written *written)
{
    struct model_forward *rule = &written->rule;
    struct config_item hedge;

    rule->hedge = MODEL_HEDGE_AUTO;
    if (!config_item_get(rule_item, "hedge", &hedge) || config_node_is_empty(hedge.value) ||
        hedge.value->kind != CONFIG_NODE_SCALAR || strcmp(hedge.value->text, "auto") == 0) {
        return;
    }
    if (config_table_read_value(context, &hedge_row, &hedge, written)) {
        rule->hedge = rule->hedge_ms > 0 ? MODEL_HEDGE_FIXED : MODEL_HEDGE_OFF;
    }
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

static void read_one(struct config_context *context, const struct config_item *item,
                     struct model_forward *out)
{
    struct written written = { 0 };
    struct model_forward *rule = &written.rule;
    struct config_item child;

    rule->place = config_node_place(item->key);
    rule->dname = config_dname_read(context, item, item->name, true);
    rule->name = config_dname_text(context, rule->dname, item->name);
    (void)config_table_read(context, &config_forward_table, item, &written);
    rule->refuse_private = written.refuse_private != 0;
    bool given = config_item_get(item, "upstreams", &child);
    if (given) {
        read_upstreams(context, &child, rule);
    } else if (!item->value->broken && !config_item_get(item, "from", &child)) {
        struct error *err = config_error_key(context, item, "upstreams is required, or from");
        error_hint(err, "e.g. upstreams: [10.1.0.2], or from: /etc/resolv.conf");
    }
    read_from(context, item, rule);
    read_hedge(context, item, &written);
    *out = *rule;
}

void config_forward_read(struct config_context *context, const struct config_item *section)
{
    struct model *model = context->model;
    struct config_names names = { 0 };

    if (section == NULL) {
        return;
    }
    model->forward_count = section->value->count;
    model->forwards = arena_array(context->arena, model->forward_count, sizeof(*model->forwards));
    for (size_t i = 0; i < model->forward_count; i++) {
        struct config_item one = config_item_at(section, i);
        struct model_forward *rule = &model->forwards[i];
        read_one(context, &one, rule);
        if (rule->dname != NULL) {
            config_names_add(&names, context->scratch, rule->name, (uint32_t)i);
            check_holder(context, &one, rule);
        }
    }
    config_names_sort(&names);
    config_dname_check_doubles(context, section, &names);
}

/* ------------------------------------------------------------------ printing */

/* What the file named is a comment: whoever reads this reads the file anew. */
static void put_from(const struct model_forward *rule, struct text *out)
{
    char text[ADDR_TEXT_MAX];

    text_put(out, "    from: ");
    config_print_path(rule->from, out);
    text_put(out, rule->from_count > 0 ? " #" : "");
    for (size_t i = rule->upstream_count - rule->from_count; i < rule->upstream_count; i++) {
        addr_format_port(&rule->upstreams[i].address, text, sizeof(text));
        text_printf(out, " %s", text);
    }
    text_put_char(out, '\n');
}

void config_forward_put(const struct model *model, const struct model_forward *rule,
                        struct text *out)
{
    size_t written = rule->upstream_count - rule->from_count;

    text_put(out, written > 0 ? "    upstreams:\n" : "");
    for (size_t i = 0; i < written; i++) {
        text_put(out, "      - ");
        config_upstream_put(model, &rule->upstreams[i], out);
        text_put_char(out, '\n');
    }
    if (rule->from != NULL) {
        put_from(rule, out);
    }
    text_put(out, "    hedge: ");
    if (rule->hedge == MODEL_HEDGE_FIXED) {
        config_value_put_ms(rule->hedge_ms, out);
    } else {
        text_put(out, rule->hedge == MODEL_HEDGE_AUTO ? "auto" : "off");
    }
    text_printf(out, "\n    rebinding: %s\n", rule->refuse_private ? "refuse" : "allow");
}
