#include "policy/config_check_print.h"

#include <stdlib.h>
#include <string.h>

#include "policy/config_check.h"
#include "policy/config_check_parts.h"
#include "policy/config_print.h"
#include "policy/config_tls.h"
#include "policy/config_value.h"
#include "zones/words.h"

/* A check and what of it depends on where it is used. */
struct shown {
    const struct model_check *check;
    const char *host; /* of http; NULL: not written */
    const char *name; /* in the certificate, likewise */
};

/* ------------------------------------------------------------------ maps in braces */

static void put_key(const char *key, struct text *out)
{
    bool is_first = out->length > 0 && out->bytes[out->length - 1] == '{';

    text_printf(out, "%s%s: ", is_first ? "" : ", ", key);
}

static void put_text(const char *key, const char *value, struct text *out)
{
    if (value != NULL) {
        put_key(key, out);
        config_print_scalar(value, out);
    }
}

static void put_number(const char *key, unsigned value, struct text *out)
{
    put_key(key, out);
    text_printf(out, "%u", value);
}

static void put_duration(const char *key, uint32_t ms, struct text *out)
{
    put_key(key, out);
    config_value_put_ms(ms, out);
}

/* ------------------------------------------------------------------ kinds */

static void put_tls(const struct shown *shown, struct text *out)
{
    struct tls_settings tls = *shown->check->tls;
    struct text trust = { 0 };

    put_key("verify", out);
    text_put(out, tls.unverified ? "off" : "on");
    tls.name = shown->name;
    config_tls_put(&tls, &trust);
    text_printf(out, "%s%s", trust.length > 0 ? ", " : "", text_string(&trust));
    text_fini(&trust);
    put_number("days_left", shown->check->days_left, out);
}

static void put_tls_map(const struct shown *shown, struct text *out)
{
    if (shown->check->tls != NULL) {
        put_key("tls", out);
        text_put_char(out, '{');
        put_tls(shown, out);
        text_put_char(out, '}');
    }
}

static void put_dns(const struct shown *shown, struct text *out)
{
    const struct model_check *check = shown->check;
    char type[WORDS_MAX];

    put_text("name", check->query_name, out);
    put_key("type", out);
    text_put(out, words_type_name(check->query_type, type));
    put_key("transport", out);
    text_put(out, check->tls != NULL ? "tls" : check->over_tcp ? "tcp" : "udp");
    put_number("port", check->port, out);
    put_tls_map(shown, out);
    if (check->expect_address_count == 0 && !check->expect_rcode_given &&
        check->expect_pattern == NULL) {
        return;
    }
    put_key("expect", out);
    text_put_char(out, '{');
    if (check->expect_address_count > 0) {
        put_key("address", out);
        config_print_addresses(check->expect_addresses, check->expect_address_count, out);
    }
    if (check->expect_rcode_given) {
        put_key("rcode", out);
        text_put(out, words_rcode_find(check->expect_rcode));
    }
    put_text("match", check->expect_pattern, out);
    text_put_char(out, '}');
}

static void put_tcp(const struct shown *shown, struct text *out)
{
    put_number("port", shown->check->port, out);
    put_text("send", shown->check->send, out);
    put_text("expect", shown->check->expect, out);
    put_tls_map(shown, out);
}

static void put_headers(const struct model_check *check, struct text *out)
{
    if (check->header_count == 0) {
        return;
    }
    put_key("headers", out);
    text_put_char(out, '{');
    for (size_t i = 0; i < check->header_count; i++) {
        text_put(out, i == 0 ? "" : ", ");
        config_print_scalar(check->headers[i].name, out);
        text_put(out, ": ");
        config_print_scalar(check->headers[i].value, out);
    }
    text_put_char(out, '}');
}

static void put_response(const struct model_check *check, struct text *out)
{
    put_key("expect", out);
    text_put(out, "{status: [");
    for (size_t i = 0; i < check->status_count; i++) {
        const struct model_range *range = &check->statuses[i];
        text_printf(out, range->first == range->last ? "%s%u" : "%s%u-%u", i == 0 ? "" : ", ",
                    range->first, range->last);
    }
    text_put_char(out, ']');
    put_text("body", check->body, out);
    put_text("match", check->body_pattern, out);
    if (check->json_pointer != NULL) {
        put_key("json", out);
        text_put_char(out, '{');
        put_text("pointer", check->json_pointer, out);
        put_text("value", check->json_value, out);
        text_put_char(out, '}');
    }
    text_put_char(out, '}');
}

static void put_http(const struct shown *shown, struct text *out)
{
    const struct model_check *check = shown->check;

    put_number("port", check->port, out);
    put_text("method", check->method, out);
    put_text("path", check->path, out);
    put_text("host", shown->host, out);
    put_headers(check, out);
    if (check->tls != NULL) {
        put_tls(shown, out);
    }
    put_response(check, out);
}

static void put_exec(const struct model_check *check, struct text *out)
{
    put_key("command", out);
    text_put_char(out, '[');
    config_print_path(check->arguments[0], out);
    for (size_t i = 1; i < check->argument_count; i++) {
        text_put(out, ", ");
        config_print_scalar(check->arguments[i], out);
    }
    text_put_char(out, ']');
    if (check->port != 0) {
        put_number("port", check->port, out);
    }
}

static void put_kind(const struct shown *shown, struct text *out)
{
    const struct model_check *check = shown->check;

    switch (check->kind) {
    case MODEL_CHECK_DNS:
        put_dns(shown, out);
        break;
    case MODEL_CHECK_TCP:
        put_tcp(shown, out);
        break;
    case MODEL_CHECK_HTTP:
        put_http(shown, out);
        break;
    case MODEL_CHECK_TLS:
        put_number("port", check->port, out);
        put_tls(shown, out);
        break;
    case MODEL_CHECK_EXEC:
        put_exec(check, out);
        break;
    case MODEL_CHECK_PUSH:
        put_duration("ttl", check->push_ttl_ms, out);
        break;
    case MODEL_CHECK_FILE:
        put_key("path", out);
        config_print_path(check->file, out);
        break;
    case MODEL_CHECK_ICMP:
    case MODEL_CHECK_KINDS:
        break;
    }
}

/* The map of a check; the first line continues the caller's. */
static void put_check(const struct shown *shown, unsigned indent, struct text *out)
{
    struct model_check check = *shown->check;

    text_printf(out, "%s: {", model_check_word(&check));
    if (check.has_server) {
        put_key("server", out);
        config_print_address(&check.server, out);
    }
    put_kind(shown, out);
    text_put(out, "}\n");
    check.timing.fall = check.timing.fall_auto ? 0 : check.timing.fall; /* 0 is written "auto" */
    config_print_rows(&config_check_table, &check, indent, out);
    if (check.timing.fall_auto) {
        text_printf(out, "%*sfalse_alarm: 1/", (int)indent, "");
        config_value_put_ms(check.timing.false_alarm_ms, out);
        text_put_char(out, '\n');
    }
}

/* A check where it is used: by its name, or written in place. */
static void put_used(const struct model_check *check, unsigned indent, struct text *out)
{
    if (check->name != NULL) {
        config_print_scalar(check->name, out);
        text_put_char(out, '\n');
        return;
    }
    const struct shown shown = {
        .check = check,
        .host = check->host,
        .name = check->tls == NULL ? NULL : check->tls->name,
    };
    put_check(&shown, indent, out);
}

/* ------------------------------------------------------------------ where they are used */

static void put_list(const char *key, const struct model_check *checks, size_t count,
                     struct text *out)
{
    if (count == 0) {
        return;
    }
    text_printf(out, "    %s:\n", key);
    for (size_t i = 0; i < count; i++) {
        text_put(out, "      - ");
        put_used(&checks[i], 8, out);
    }
}

void config_check_put_region(const struct model_region *region, struct text *out)
{
    put_list("checks", region->checks, region->check_count, out);
}

struct tree {
    const struct model *model;
    const struct model_service *service;
};

static void put_condition(const struct tree *tree, const struct model_condition *condition,
                          unsigned indent, struct text *out);

static void put_parts(const struct tree *tree, const struct model_condition *condition,
                      unsigned indent, struct text *out)
{
    if (condition->needed == condition->part_count) {
        text_put(out, "all:\n");
    } else if (condition->needed == 1) {
        text_put(out, "any:\n");
    } else {
        text_printf(out, "at_least: %u\n%*sof:\n", condition->needed, (int)indent, "");
    }
    for (size_t i = 0; i < condition->part_count; i++) {
        text_printf(out, "%*s- ", (int)indent + 2, "");
        put_condition(tree, &condition->parts[i], indent + 4, out);
    }
}

/* The first line continues the caller's. */
static void put_condition(const struct tree *tree, const struct model_condition *condition,
                          unsigned indent, struct text *out)
{
    switch (condition->kind) {
    case MODEL_CONDITION_CHECK:
        put_used(&tree->service->checks[condition->index], indent, out);
        break;
    case MODEL_CONDITION_REGION:
        text_put(out, "region: ");
        config_print_scalar(tree->model->regions[condition->index].name, out);
        text_put_char(out, '\n');
        break;
    case MODEL_CONDITION_SERVICE:
        text_put(out, "service: ");
        config_print_scalar(tree->model->services[condition->index].name, out);
        text_put_char(out, '\n');
        break;
    case MODEL_CONDITION_AT_LEAST:
        put_parts(tree, condition, indent, out);
        break;
    case MODEL_CONDITION_NOT:
        text_printf(out, "not:\n%*s", (int)indent + 2, "");
        put_condition(tree, &condition->parts[0], indent + 2, out);
        break;
    }
}

void config_check_put_service(const struct model *model, const struct model_service *service,
                              struct text *out)
{
    const struct tree tree = { model, service };

    if (service->condition == NULL) {
        put_list("check", service->checks, service->check_count, out);
        return;
    }
    text_put(out, "    check:\n      ");
    put_condition(&tree, service->condition, 6, out);
}

/* ------------------------------------------------------------------ named ones */

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

/* The same for the name in the certificate, which is otherwise the host's. */
static const char *written_name(const struct use *uses, size_t count)
{
    char usual[256];

    for (size_t i = 0; i < count; i++) {
        const struct model_check *check = uses[i].check;
        if (check->tls == NULL || check->tls->name == NULL) {
            continue;
        }
        if (!config_check_host_name(check->host, usual, sizeof(usual)) ||
            strcmp(usual, check->tls->name) != 0) {
            return check->tls->name;
        }
    }
    return NULL;
}

void config_check_put_named(const struct model *model, struct text *out)
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
        const struct shown shown = {
            .check = check,
            .host = written_host(uses.list + i, end - i),
            .name = written_name(uses.list + i, end - i),
        };
        put_check(&shown, 4, out);
    }
    free(uses.list);
}
