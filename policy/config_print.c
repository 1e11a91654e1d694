#include "policy/config_print.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "policy/config.h"
#include "policy/config_cache.h"
#include "policy/config_check.h"
#include "policy/config_env.h"
#include "policy/config_forward.h"
#include "policy/config_region.h"
#include "policy/config_sections.h"
#include "policy/config_server.h"
#include "policy/config_table.h"
#include "policy/config_utf8.h"
#include "policy/config_value.h"
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

/* Every plain value of a table, a line each. */
static void put_rows(const struct config_table *table, const void *base, unsigned indent,
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

static void put_addresses(const struct addr *list, size_t count, struct text *out)
{
    text_put_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        text_put(out, i == 0 ? "" : ", ");
        config_print_address(&list[i], out);
    }
    text_put_char(out, ']');
}

/* ------------------------------------------------------------------ checks */

static void put_dns(const struct model_check *check, struct text *out)
{
    char type[WORDS_MAX];
    bool addresses = check->expect_address_count > 0;

    text_put(out, "name: ");
    config_print_scalar(check->query_name, out);
    text_printf(out, ", type: %s, port: %u", words_type_name(check->query_type, type), check->port);
    if (!addresses && !check->expect_rcode_given) {
        return;
    }
    text_put(out, ", expect: {");
    if (addresses) {
        text_put(out, "address: ");
        put_addresses(check->expect_addresses, check->expect_address_count, out);
    }
    if (check->expect_rcode_given) {
        text_printf(out, "%srcode: %s", addresses ? ", " : "",
                    words_rcode_find(check->expect_rcode));
    }
    text_put_char(out, '}');
}

static void put_http(const struct model_check *check, const char *host, struct text *out)
{
    text_printf(out, "port: %u, path: ", check->port);
    config_print_scalar(check->path, out);
    if (host != NULL) {
        text_put(out, ", host: ");
        config_print_scalar(host, out);
    }
    text_put(out, ", expect: {status: [");
    for (size_t i = 0; i < check->status_count; i++) {
        const struct model_range *range = &check->statuses[i];
        text_printf(out, range->first == range->last ? "%s%u" : "%s%u-%u", i == 0 ? "" : ", ",
                    range->first, range->last);
    }
    text_put_char(out, ']');
    if (check->body != NULL) {
        text_put(out, ", body: ");
        config_print_scalar(check->body, out);
    }
    text_put_char(out, '}');
}

/* The map of a check; the first line continues the caller's. */
static void put_check(const struct model_check *check, const char *host, unsigned indent,
                      struct text *out)
{
    static const char *const kinds[] = { "dns", "tcp", "http" };

    text_printf(out, "%s: {", kinds[check->kind]);
    if (check->has_server) {
        text_put(out, "server: ");
        config_print_address(&check->server, out);
        text_put(out, ", ");
    }
    if (check->kind == MODEL_CHECK_DNS) {
        put_dns(check, out);
    } else if (check->kind == MODEL_CHECK_HTTP) {
        put_http(check, host, out);
    } else {
        text_printf(out, "port: %u", check->port);
    }
    text_put(out, "}\n");
    put_rows(&config_check_table, check, indent, out);
}

static void put_checks(const char *key, const struct model_check *checks, size_t count,
                       struct text *out)
{
    if (count == 0) {
        return;
    }
    text_printf(out, "    %s:\n", key);
    for (size_t i = 0; i < count; i++) {
        text_put(out, "      - ");
        if (checks[i].name != NULL) {
            config_print_scalar(checks[i].name, out);
            text_put_char(out, '\n');
        } else {
            put_check(&checks[i], checks[i].host, 8, out);
        }
    }
}

/* One use of a named check. */
struct use {
    const struct model_check *check;
    const char *service; /* NULL: a region's */
    size_t order;
};

struct uses {
    struct use *list; /* NULL while they are counted */
    size_t count;
};

static void note(struct uses *uses, const struct model_check *checks, size_t count,
                 const char *service)
{
    for (size_t i = 0; i < count; i++) {
        if (checks[i].name == NULL) {
            continue;
        }
        if (uses->list != NULL) {
            uses->list[uses->count] = (struct use){ &checks[i], service, uses->count };
        }
        uses->count++;
    }
}

static void note_all(struct uses *uses, const struct model *model)
{
    uses->count = 0;
    for (size_t i = 0; i < model->region_count; i++) {
        note(uses, model->regions[i].checks, model->regions[i].check_count, NULL);
    }
    for (size_t i = 0; i < model->service_count; i++) {
        const struct model_service *service = &model->services[i];
        note(uses, service->checks, service->check_count, service->name);
    }
}

static int compare_uses(const void *a, const void *b)
{
    const struct use *x = a;
    const struct use *y = b;
    int order = strcmp(x->check->name, y->check->name);

    return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

/*
 * The host that was written with a named check, or NULL: each service then got
 * its own name. A host that is written is the same for all who use the check.
 */
static const char *written_host(const struct use *uses, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *host = uses[i].check->host;
        if (host != NULL && (uses[i].service == NULL || strcmp(host, uses[i].service) != 0)) {
            return host;
        }
    }
    return NULL;
}

static void put_named_checks(const struct model *model, struct text *out)
{
    struct uses uses = { 0 };

    note_all(&uses, model);
    if (uses.count == 0) {
        return;
    }
    uses.list = calloc(uses.count, sizeof(*uses.list));
    if (uses.list == NULL) {
        out->failed = true;
        return;
    }
    note_all(&uses, model);
    qsort(uses.list, uses.count, sizeof(*uses.list), compare_uses);
    text_put(out, "checks:\n");
    for (size_t i = 0, end; i < uses.count; i = end) {
        const struct model_check *check = uses.list[i].check;
        for (end = i + 1;
             end < uses.count && strcmp(uses.list[end].check->name, check->name) == 0;) {
            end++;
        }
        text_put(out, "  ");
        config_print_scalar(check->name, out);
        text_put(out, ":\n    ");
        put_check(check, written_host(uses.list + i, end - i), 4, out);
    }
    free(uses.list);
}

/* ------------------------------------------------------------------ sections */

static void put_section(const struct config_table *table, const struct model *model,
                        struct text *out)
{
    text_printf(out, "%s:\n", table->name);
    put_rows(table, model, 2, out);
}

static void put_key(const char *name, struct text *out)
{
    text_put(out, "  ");
    config_print_scalar(name, out);
    text_put_char(out, ':');
}

static void put_acl(const char *key, const struct model_acl *acl, struct text *out)
{
    const char *comma = "";
    char base[ADDR_TEXT_MAX];

    text_printf(out, "  %s: [", key);
    if (acl->any) {
        text_put(out, "any");
        comma = ", ";
    }
    if (acl->loopback) {
        text_printf(out, "%sloopback", comma);
        comma = ", ";
    }
    for (size_t i = 0; i < acl->prefix_count; i++) {
        addr_format(&acl->prefixes[i].base, base, sizeof(base));
        text_printf(out, "%s\"%s/%u\"", comma, base, acl->prefixes[i].bits);
        comma = ", ";
    }
    text_put(out, "]\n");
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
        put_rows(&config_region_table, region, 4, out);
        put_checks("checks", region->checks, region->check_count, out);
    }
}

static void put_endpoint(const struct model_endpoint *endpoint, struct text *out)
{
    char name[NAME_TEXT_MAX];

    if (endpoint->hostname == NULL) {
        config_print_address(&endpoint->address, out);
        return;
    }
    name_format(endpoint->hostname, name, sizeof(name));
    text_put(out, "{hostname: ");
    config_print_scalar(name, out);
    text_printf(out, ", answer: %s, keep_addresses: %s", endpoint->as_cname ? "cname" : "address",
                endpoint->keep_addresses ? "true" : "false");
    if (endpoint->address.port != 0) {
        text_printf(out, ", port: %u", endpoint->address.port);
    }
    text_put_char(out, '}');
}

static void put_pools(const struct model *model, const struct model_service *service,
                      struct text *out)
{
    text_put(out, "    order: [");
    for (size_t i = 0; i < service->pool_count; i++) {
        text_put(out, i == 0 ? "" : ", ");
        config_print_scalar(model->regions[service->pools[i].region].name, out);
    }
    text_put(out, "]\n    endpoints:\n");
    for (size_t i = 0; i < service->pool_count; i++) {
        const struct model_pool *pool = &service->pools[i];
        text_put(out, "    ");
        put_key(model->regions[pool->region].name, out);
        text_put(out, " [");
        for (size_t j = 0; j < pool->endpoint_count; j++) {
            text_put(out, j == 0 ? "" : ", ");
            put_endpoint(&pool->endpoints[j], out);
        }
        text_put(out, "]\n");
    }
}

static void put_service(const struct model *model, const struct model_service *service,
                        struct text *out)
{
    static const char *const modes[] = { "last_good", "all", "servfail" };

    put_key(service->name, out);
    text_put_char(out, '\n');
    text_put(out, "    policy: failover\n");
    text_put(out, "    failback: auto\n");
    text_put(out, "    minimum_healthy: ");
    config_value_put_minimum(service->minimum_healthy, out);
    text_printf(out, "\n    max_addresses: %u\n", service->max_addresses);
    if (service->max_failover_ms > 0) {
        text_put(out, "    max_failover: ");
        config_value_put_ms(service->max_failover_ms, out);
        text_put_char(out, '\n');
    }
    put_pools(model, service, out);
    text_printf(out, "    ttl: {normal: %us, suspect: %us}\n", service->ttl_normal_s,
                service->ttl_suspect_s);
    put_checks("check", service->checks, service->check_count, out);
    text_put(out, "    on_all_down: ");
    if (service->on_all_down == MODEL_ALL_DOWN_FALLBACK) {
        text_put(out, "{fallback: ");
        put_addresses(service->fallback, service->fallback_count, out);
        text_put(out, "}\n");
    } else {
        text_printf(out, "%s\n", modes[service->on_all_down]);
    }
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
    put_named_checks(model, out);
    text_put(out, model->service_count > 0 ? "services:\n" : "");
    for (size_t i = 0; i < model->service_count; i++) {
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
    put_rows(&config_sections_table, model, 0, out);
    put_section(&config_server_guards_table, model, out);
    put_section(&config_server_api_table, model, out);
    put_section(&config_server_log_table, model, out);
}
