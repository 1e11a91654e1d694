#include "policy/config_sections.h"

#include "policy/config_cache.h"
#include "policy/config_check.h"
#include "policy/config_clients.h"
#include "policy/config_condition.h"
#include "policy/config_forward.h"
#include "policy/config_guards.h"
#include "policy/config_maintenance.h"
#include "policy/config_notify.h"
#include "policy/config_part.h"
#include "policy/config_pool.h"
#include "policy/config_region.h"
#include "policy/config_server.h"
#include "policy/config_service.h"
#include "policy/config_view.h"
#include "policy/config_zone.h"

/* clang-format off */
static const struct config_row section_rows[] = {
    { "node", CONFIG_PART, 0, 0, 0, NULL, .help = "This node.",
      .forms = CONFIG_FORM_MAP, .forms_help = "a map", .part = &config_server_node_table },
    { "listen", CONFIG_PART, 0, 0, 0, NULL, .help = "Where queries are taken, over UDP and TCP.",
      .usual = "[127.0.0.1:53]",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST | CONFIG_FORM_MAP,
      .forms_help = "a list of addresses", .part = &config_server_listen_table },
    { "access", CONFIG_PART, 0, 0, 0, NULL, .help = "Who may ask what.",
      .forms = CONFIG_FORM_MAP, .forms_help = "a map", .part = &config_server_access_table },
    { "regions", CONFIG_PART, 0, 0, 0, NULL, .help = "The places where endpoints stand.",
      .usual = "none; required with services",
      .forms = CONFIG_FORM_MAP | CONFIG_FORM_NAMED, .forms_help = "a map from names to regions",
      .part = &config_region_table },
    { "checks", CONFIG_PART, 0, 0, 0, NULL, .help = "Checks with names, for reuse.",
      .forms = CONFIG_FORM_MAP | CONFIG_FORM_NAMED, .forms_help = "a map from names to checks",
      .part = &config_check_table },
    { "services", CONFIG_PART, 0, 0, 0, NULL, .help = "The names whose answers move.",
      .forms = CONFIG_FORM_MAP | CONFIG_FORM_NAMED, .forms_help = "a map from names to services",
      .part = &config_service_table },
    { "views", CONFIG_PART, 0, 0, 0, NULL, .help = "Clients that get endpoints of their own.",
      .forms = CONFIG_FORM_MAP | CONFIG_FORM_NAMED, .forms_help = "a map from names to views",
      .part = &config_view_table },
    { "clients", CONFIG_PART, 0, 0, 0, NULL, .help = "Where clients stand, for `nearest`.",
      .usual = "where this node stands",
      .forms = CONFIG_FORM_LIST | CONFIG_FORM_MAP, .forms_help = "a list of maps",
      .part = &config_clients_table },
    { "zones", CONFIG_PART, 0, 0, 0, NULL, .help = "The zones we answer for.",
      .forms = CONFIG_FORM_MAP | CONFIG_FORM_NAMED, .forms_help = "a map from names to zones",
      .part = &config_zone_table },
    { "forward", CONFIG_PART, 0, 0, 0, NULL, .help = "Where other names are resolved.",
      .forms = CONFIG_FORM_MAP | CONFIG_FORM_NAMED, .forms_help = "a map from names to rules",
      .part = &config_forward_table },
    { "cache", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Answers of others, kept and used when nobody answers; `off`: none.",
      .usual = "{size: 64MiB}",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_MAP, .forms_help = "off or a map",
      .part = &config_cache_table },
    { "hosts", CONFIG_PATH, offsetof(struct model, hosts), 1, 0, NULL,
      .help = "A file like /etc/hosts whose names are answered before any is asked for elsewhere.",
      .usual = "none" },
    { "guards", CONFIG_PART, 0, 0, 0, NULL, .help = "What automation never does.",
      .forms = CONFIG_FORM_MAP, .forms_help = "a map", .part = &config_guards_table },
    { "api", CONFIG_PART, 0, 0, 0, NULL, .help = "How the server is asked and told.",
      .forms = CONFIG_FORM_MAP, .forms_help = "a map", .part = &config_server_api_table },
    { "log", CONFIG_PART, 0, 0, 0, NULL, .help = "What is written to stderr.",
      .forms = CONFIG_FORM_MAP, .forms_help = "a map", .part = &config_server_log_table },
    { "journal", CONFIG_PART, 0, 0, 0, NULL,
      .help = "What happened, in files of the state directory.",
      .usual = "{size: 8MiB, files: 4}",
      .forms = CONFIG_FORM_MAP, .forms_help = "a map", .part = &config_server_journal_table },
    { "maintenance", CONFIG_PART, 0, 0, 0, NULL, .help = "Times in which something is drained.",
      .forms = CONFIG_FORM_LIST | CONFIG_FORM_MAP, .forms_help = "a list of maps",
      .part = &config_maintenance_table },
    { "notify", CONFIG_PART, 0, 0, 0, NULL, .help = "Who is told of what happens.",
      .forms = CONFIG_FORM_LIST | CONFIG_FORM_MAP, .forms_help = "a list of maps",
      .part = &config_notify_table },
    { "laggards", CONFIG_COUNT, offsetof(struct model, laggards), 0, 1000000, "off",
      .help = "How many clients each thread remembers, to tell which of them had the old answer "
              "when a service moved and have not asked again.",
      .word = "off" },
    { "generation", CONFIG_SERIAL, offsetof(struct model, file_generation), 0, 0, "0",
      .help = "The number of this plan: a reload with a lower one is refused; 0: it has none." },
    { "fleet", CONFIG_LATER, 0, 0, 0, NULL, .help = "Health shared between nodes." },
    { "include", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Files to read too, patterns allowed; a key given twice is an error.",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST,
      .forms_help = "a list of paths and patterns" },
};
/* clang-format on */

const struct config_table config_sections_table = {
    "",
    "The sections of a file. All of them may be left out.",
    section_rows,
    sizeof(section_rows) / sizeof(section_rows[0]),
};

/* The section when it is there and a map, else NULL; what else it is, is reported already. */
static const struct config_item *section(const struct config_item *root, const char *key,
                                         struct config_item *out)
{
    if (!config_item_get(root, key, out) || out->value->kind != CONFIG_NODE_MAP) {
        return NULL;
    }
    return out;
}

void config_sections_read(struct config_context *context, const struct config_node *root)
{
    struct config_item file = config_item_root(root);
    struct config_item item;

    (void)config_table_read(context, &config_sections_table, &file, context->model);
    /* what is referred to comes before what refers to it */
    config_check_read_named(context, section(&file, "checks", &item));
    config_region_read(context, section(&file, "regions", &item));
    config_part_read_named(context);
    config_server_read(context, &file);
    config_guards_read(context, &file);
    config_cache_read(context, &file);
    config_view_read(context, section(&file, "views", &item));
    config_service_read(context, section(&file, "services", &item));
    config_view_check_used(context, section(&file, "views", &item));
    config_condition_resolve(context, section(&file, "services", &item));
    config_zone_read(context, section(&file, "zones", &item));
    config_pool_check_names(context, section(&file, "services", &item));
    config_clients_read(context, &file);
    config_maintenance_read(context, &file);
    config_notify_read(context, &file);
    config_forward_read(context, section(&file, "forward", &item));
}

static size_t collect(const struct config_table *table, const struct config_table **out,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (out[i] == table) {
            return count;
        }
    }
    REQUIRE(count < CONFIG_SECTIONS_MAX_TABLES);
    out[count++] = table;
    for (size_t i = 0; i < table->row_count; i++) {
        if (table->rows[i].part != NULL) {
            count = collect(table->rows[i].part, out, count);
        }
    }
    return count;
}

size_t config_sections_list(const struct config_table *out[CONFIG_SECTIONS_MAX_TABLES])
{
    return collect(&config_sections_table, out, 0);
}
