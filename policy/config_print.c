#include "policy/config_print.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "policy/config.h"
#include "policy/config_acl.h"
#include "policy/config_cache.h"
#include "policy/config_check_print.h"
#include "policy/config_clients.h"
#include "policy/config_env.h"
#include "policy/config_forward.h"
#include "policy/config_guards.h"
#include "policy/config_maintenance.h"
#include "policy/config_notify.h"
#include "policy/config_pool.h"
#include "policy/config_region.h"
#include "policy/config_sections.h"
#include "policy/config_server.h"
#include "policy/config_steer.h"
#include "policy/config_table.h"
#include "policy/config_utf8.h"
#include "policy/config_value.h"
#include "policy/config_view.h"
#include "zones/name.h"
#include "zones/words.h"

/* ------------------------------------------------------------------ scalars */

/* Words and numbers that YAML readers take for something else than text. */
static bool is_ambiguous(const char *value)
{
    static const char *const words[] = { "true", "false", "yes", "no",   "on",
                                         "off",  "y",     "n",   "null", "~" };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(words[i], value) == 0) {
            return true;
        }
    }
    return strspn(value, "0123456789.eE+-_xX") == strlen(value);
}

/* May it stand without quotes, in a list in brackets too? One colon may be a port's. */
static bool is_plain(const char *value)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
    size_t length = strspn(value, good);

    if (value[0] == '\0' || value[0] == '-' || value[0] == '.') {
        return false;
    }
    if (value[length] == ':' && length > 0) {
        const char *port = value + length + 1;
        return port[0] != '\0' && strspn(port, "0123456789") == strlen(port);
    }
    return value[length] == '\0' && (strchr(value, '.') != NULL || !is_ambiguous(value));
}

static void put_quoted(const char *value, struct text *out)
{
    size_t length = strlen(value);
    uint32_t code;

    text_put_char(out, '"');
    for (size_t i = 0; i < length;) {
        size_t size = config_utf8_read(value + i, length - i, &code);
        if (size == 0) {
            text_put(out, "\\uFFFD");
            i++;
            continue;
        }
        if (code == '"' || code == '\\') {
            text_printf(out, "\\%c", (char)code);
        } else if (code < 0x100 && !config_utf8_is_shown(code)) {
            text_printf(out, "\\x%02X", code);
        } else if (!config_utf8_is_shown(code)) {
            text_printf(out, "\\u%04X", code);
        } else {
            text_put_bytes(out, value + i, size);
        }
        i += size;
    }
    text_put_char(out, '"');
}

void config_print_scalar(const char *value, struct text *out)
{
    struct text escaped = { 0 };

    if (is_plain(value)) {
        text_put(out, value);
        return;
    }
    config_env_put_escaped(value, &escaped);
    put_quoted(text_string(&escaped), out);
    text_fini(&escaped);
}

void config_print_address(const struct addr *addr, struct text *out)
{
    char text[ADDR_TEXT_MAX];

    if (addr->port == 0) {
        addr_format(addr, text, sizeof(text));
    } else {
        addr_format_port(addr, text, sizeof(text));
    }
    config_print_scalar(text, out);
}

void config_print_path(const char *path, struct text *out)
{
    struct text whole = { 0 };
    char *folder = path[0] == '/' ? NULL : getcwd(NULL, 0);

    if (folder != NULL) {
        text_printf(&whole, "%s/", strcmp(folder, "/") == 0 ? "" : folder);
    }
    text_put(&whole, path);
    config_print_scalar(text_string(&whole), out);
    text_fini(&whole);
    free(folder);
}

/* ------------------------------------------------------------------ rows */

static void put_indent(unsigned indent, struct text *out)
{
    text_printf(out, "%*s", (int)indent, "");
}

static void put_row(const struct config_row *row, const void *base, struct text *out)
{
    const char *value = NULL;

    if (row->kind != CONFIG_TEXT && row->kind != CONFIG_PATH) {
        config_table_put_value(row, base, out);
        return;
    }
    memcpy(&value, (const char *)base + row->at, sizeof(value));
    if (value == NULL) {
        text_put(out, row->word);
    } else if (row->kind == CONFIG_PATH) {
        config_print_path(value, out);
    } else {
        config_print_scalar(value, out);
    }
}

/* Is there anything to write: a plain value, and not a text that was never given? */
static bool has_value(const struct config_row *row, const void *base)
{
    const char *value;

    if (row->kind == CONFIG_PART || row->kind == CONFIG_LATER) {
        return false;
    }
    if (row->kind == CONFIG_TEXT || row->kind == CONFIG_PATH) {
        memcpy(&value, (const char *)base + row->at, sizeof(value));
        return value != NULL || row->word != NULL;
    }
    return true;
}

void config_print_rows(const struct config_table *table, const void *base, unsigned indent,
                       struct text *out)
{
    for (size_t i = 0; i < table->row_count; i++) {
        const struct config_row *row = &table->rows[i];
        if (has_value(row, base)) {
            put_indent(indent, out);
            text_printf(out, "%s: ", row->key);
            put_row(row, base, out);
            text_put_char(out, '\n');
        }
    }
}

void config_print_addresses(const struct addr *list, size_t count, struct text *out)
{
    text_put_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        text_put(out, i == 0 ? "" : ", ");
        config_print_address(&list[i], out);
    }
    text_put_char(out, ']');
}

/* ------------------------------------------------------------------ sections */

static void put_section(const struct config_table *table, const struct model *model,
                        struct text *out)
{
    text_printf(out, "%s:\n", table->name);
    config_print_rows(table, model, 2, out);
}

static void put_key(const char *name, struct text *out)
{
    text_put(out, "  ");
    config_print_scalar(name, out);
    text_put_char(out, ':');
}

static void put_acl(const char *key, const struct model_acl *acl, struct text *out)
{
    text_printf(out, "  %s: ", key);
    config_acl_put(acl, out);
    text_put_char(out, '\n');
}

static void put_regions(const struct model *model, struct text *out)
{
    if (model->region_count > 0) {
        text_put(out, "regions:\n");
    }
    for (size_t i = 0; i < model->region_count; i++) {
        const struct model_region *region = &model->regions[i];
        put_key(region->name, out);
        text_put_char(out, '\n');
        config_print_rows(&config_region_table, region, 4, out);
        config_check_put_region(region, out);
    }
}

static void put_service(const struct model *model, const struct model_service *service,
                        struct text *out)
{
    static const char *const modes[] = { "last_good", "all", "servfail" };

    put_key(service->name, out);
    text_put_char(out, '\n');
    config_steer_put(model, service, out);
    text_printf(out, "    failback: %s\n",
                service->failback == MODEL_FAILBACK_MANUAL ? "manual" : "auto");
    text_put(out, "    ramp: ");
    config_value_put_ms(service->ramp_ms, out);
    text_put(out, "\n");
    if (service->srv_port != 0) {
        text_printf(out, "    srv: {port: %u}\n", service->srv_port);
    }
    text_put(out, "    minimum_healthy: ");
    config_value_put_minimum(service->minimum_healthy, out);
    text_printf(out, "\n    max_addresses: %u\n", service->max_addresses);
    if (service->max_failover_ms > 0) {
        text_put(out, "    max_failover: ");
        config_value_put_ms(service->max_failover_ms, out);
        text_put_char(out, '\n');
    }
    config_pool_put(model, service, 4, out);
    text_printf(out, "    ttl: {normal: %us, suspect: %us}\n", service->ttl_normal_s,
                service->ttl_suspect_s);
    config_check_put_service(model, service, out);
    text_put(out, "    on_all_down: ");
    if (service->on_all_down == MODEL_ALL_DOWN_FALLBACK) {
        text_put(out, "{fallback: ");
        config_print_addresses(service->fallback, service->fallback_count, out);
        text_put(out, "}\n");
    } else {
        text_printf(out, "%s\n", modes[service->on_all_down]);
    }
    config_view_put_service(model, service, out);
}

static void put_zone(const struct model_zone *zone, struct text *out)
{
    char name[NAME_TEXT_MAX];

    put_key(zone->name, out);
    if (zone->file == NULL && zone->nameserver_count == 0) {
        text_put(out, " {}\n");
        return;
    }
    text_put_char(out, '\n');
    if (zone->file != NULL) {
        text_put(out, "    file: ");
        config_print_path(zone->file, out);
        text_put_char(out, '\n');
    }
    if (zone->nameserver_count > 0) {
        text_put(out, "    nameservers: [");
        for (size_t i = 0; i < zone->nameserver_count; i++) {
            name_format(zone->nameservers[i], name, sizeof(name));
            text_put(out, i == 0 ? "" : ", ");
            config_print_scalar(name, out);
        }
        text_put(out, "]\n");
    }
}

static void put_named_sections(const struct model *model, struct text *out)
{
    put_regions(model, out);
    config_check_put_named(model, out);
    config_view_put(model, out);
    text_put(out, model->service_count > 0 ? "services:\n" : "");
    for (size_t i = 0; i < model->service_count; i += 1 + model->services[i].view_count) {
        put_service(model, &model->services[i], out);
    }
    text_put(out, model->zone_count > 0 ? "zones:\n" : "");
    for (size_t i = 0; i < model->zone_count; i++) {
        put_zone(&model->zones[i], out);
    }
    text_put(out, model->forward_count > 0 ? "forward:\n" : "");
    for (size_t i = 0; i < model->forward_count; i++) {
        put_key(model->forwards[i].name, out);
        text_put_char(out, '\n');
        config_forward_put(model, &model->forwards[i], out);
    }
}

void config_print(const struct model *model, struct text *out)
{
    put_section(&config_server_node_table, model, out);
    if (model->node_region != MODEL_NONE) {
        text_put(out, "  region: ");
        config_print_scalar(model->regions[model->node_region].name, out);
        text_put_char(out, '\n');
    }
    text_put(out, "listen:\n");
    for (size_t i = 0; i < model->listener_count; i++) {
        text_put(out, "  - ");
        config_print_address(&model->listeners[i].address, out);
        text_put_char(out, '\n');
    }
    put_section(&config_server_access_table, model, out);
    put_acl("query", &model->query, out);
    put_acl("recursion", &model->recursion, out);
    put_named_sections(model, out);
    put_section(&config_cache_table, model, out);
    config_print_rows(&config_sections_table, model, 0, out);
    put_section(&config_guards_table, model, out);
    config_guards_put(model, out);
    config_clients_put(model, out);
    config_maintenance_put(model, out);
    config_notify_put(model, out);
    put_section(&config_server_api_table, model, out);
    put_section(&config_server_log_table, model, out);
    put_section(&config_server_journal_table, model, out);
}
