#include "policy/config_check_parts.h"

#include <regex.h>
#include <string.h>

#include "base/arena.h"
#include "policy/config_address.h"
#include "policy/config_tls.h"
#include "policy/config_value.h"

#define PATTERN_MAX_BYTES 512
#define PATTERN_MAX_TIMES 1000 /* what its repetitions come to together */

/* ---- where a probe goes ---- */

bool config_check_read_server(struct config_context *context, const struct config_item *kind,
                              uint16_t default_port, struct model_check *check)
{
    struct config_item item;

    if (!config_item_get(kind, "server", &item)) {
        return true;
    }
    check->has_server =
        config_address_read(context, &item, CONFIG_ADDRESS_SERVER, default_port, &check->server);
    return check->has_server;
}

void config_check_settle_port(struct config_context *context, const struct config_item *kind,
                              uint16_t port, bool good, struct model_check *check)
{
    struct config_item ignored;

    if (port == 0 && check->server.port == 0 && good && !config_item_get(kind, "port", &ignored)) {
        struct error *err = config_error_key(context, kind, "port is required");
        error_hint(err, "what the check connects to, e.g. port: 8080");
    }
    check->port = port != 0 ? port : check->server.port;
    if (check->has_server && check->server.port == 0) {
        check->server.port = port;
    }
}

/* ---- what comes back ---- */

const char *config_check_read_text(struct config_context *context, const struct config_item *map,
                                   const char *key, size_t max)
{
    struct config_item item;

    if (!config_item_get(map, key, &item) || item.value->kind != CONFIG_NODE_SCALAR) {
        return NULL; /* other forms are reported where the table is read */
    }
    const char *text = config_table_scalar(context, &item);
    if (text == NULL) {
        return NULL;
    }
    if (text[0] == '\0') {
        config_error_value(context, &item, "must not be empty");
        return NULL;
    }
    if (strlen(text) > max) {
        config_error_value(context, &item, "must be at most %zu bytes long", max);
        return NULL;
    }
    return arena_strdup(context->arena, text);
}

/* The largest number in "{2,5}", 0 when it is none. */
static size_t read_times(const char *text)
{
    size_t number = 0;
    size_t largest = 0;

    for (text++; *text != '}'; text++) {
        if (*text == ',') {
            number = 0;
        } else if (*text < '0' || *text > '9') {
            return 0;
        } else {
            number = number > PATTERN_MAX_TIMES ? number : number * 10 + (size_t)(*text - '0');
            largest = number > largest ? number : largest;
        }
    }
    return largest;
}

/*
 * What makes a pattern take unbounded memory or time: repetitions that multiply
 * each other, and back references. NULL, or why it is refused.
 */
static const char *find_excess(const char *pattern)
{
    size_t times = 1;

    for (const char *c = pattern; *c != '\0'; c++) {
        if (*c == '\\' && c[1] != '\0') {
            c++;
            if (*c >= '1' && *c <= '9') {
                return "back references are not supported";
            }
        } else if (*c == '{') {
            size_t more = read_times(c);
            times = more > 1 ? times * more : times;
            if (times > PATTERN_MAX_TIMES) {
                return "it repeats too much";
            }
        }
    }
    return NULL;
}

const char *config_check_read_pattern(struct config_context *context, const struct config_item *map,
                                      const char *key)
{
    const char *pattern = config_check_read_text(context, map, key, PATTERN_MAX_BYTES);
    struct config_item item;
    char why[128];
    regex_t compiled;

    if (pattern == NULL || !config_item_get(map, key, &item)) {
        return NULL;
    }
    const char *excess = find_excess(pattern);
    if (excess != NULL) {
        config_error_value(context, &item, "'%.80s' is not a good regular expression: %s", pattern,
                           excess);
        return NULL;
    }
    int rc = regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB);
    if (rc != 0) {
        (void)regerror(rc, &compiled, why, sizeof(why));
        struct error *err = config_error_value(
            context, &item, "'%.80s' is not a good regular expression: %s", pattern, why);
        error_hint(err, "POSIX extended; a backslash before . [ ( * + ? { | ^ $ makes it plain");
        return NULL;
    }
    regfree(&compiled);
    return pattern;
}

/* ---- how a stream is secured ---- */

struct tls_map {
    struct config_check_tls tls;
};

/* clang-format off */
static const struct config_row tls_rows[] = {
    CONFIG_CHECK_TLS_ROWS(struct tls_map),
};
/* clang-format on */

const struct config_table config_check_tls_table = {
    "checks.NAME.tcp.tls",
    "TLS on top of a connection: on, the name in the certificate, or a map.",
    tls_rows,
    sizeof(tls_rows) / sizeof(tls_rows[0]),
};

static void report_useless(struct config_context *context, const struct config_item *item,
                           const char *key)
{
    struct config_item child;

    if (config_item_get(item, key, &child)) {
        config_error_key(context, &child, "is of no use with verify: off");
    }
}

void config_check_settle_tls(struct config_context *context, const struct config_item *item,
                             const struct config_check_tls *written, const char *protocol,
                             struct model_check *check)
{
    struct tls_settings *tls =
        arena_copy(context->arena, &written->settings, sizeof(written->settings));
    struct config_item child;

    tls->protocol = protocol;
    tls->unverified = !written->verify;
    (void)config_tls_read_trust(context, item, tls);
    if (tls->name != NULL && config_item_get(item, "name", &child)) {
        (void)config_tls_check_subject(context, &child, tls->name, "the target's");
    }
    if (tls->unverified) {
        report_useless(context, item, "pins");
        report_useless(context, item, "ca_file");
        tls->pins = NULL;
        tls->pin_count = 0;
    }
    check->tls = tls;
    /* of a certificate that is not looked at its end does not matter, unless it is asked for */
    bool looked_at = !tls->unverified || config_item_get(item, "days_left", &child);
    check->days_left = looked_at ? written->days_left : 0;
}

void config_check_set_tls(struct config_context *context, const char *protocol,
                          struct model_check *check)
{
    struct tls_map usual = { 0 };

    config_table_set_defaults(context, &config_check_tls_table, &usual);
    usual.tls.settings.protocol = protocol;
    check->tls = arena_copy(context->arena, &usual.tls.settings, sizeof(usual.tls.settings));
    check->days_left = usual.tls.days_left;
}

void config_check_read_tls(struct config_context *context, const struct config_item *item,
                           const char *protocol, struct model_check *check)
{
    struct tls_map written = { 0 };
    struct error ignored;
    bool on;

    if (item->value->kind == CONFIG_NODE_MAP || config_node_is_empty(item->value)) {
        (void)config_table_read(context, &config_check_tls_table, item, &written);
        config_check_settle_tls(context, item, &written.tls, protocol, check);
        return;
    }
    const char *text = config_table_scalar(context, item);
    if (text == NULL) {
        return;
    }
    bool is_word = config_value_bool(text, &on, &ignored) == 0;
    if (is_word) {
        if (on) {
            config_check_set_tls(context, protocol, check);
        }
        return;
    }
    config_table_set_defaults(context, &config_check_tls_table, &written);
    if (config_tls_check_subject(context, item, text, "the target's")) {
        written.tls.settings.name = arena_strdup(context->arena, text);
    }
    config_check_settle_tls(context, item, &written.tls, protocol, check);
}

bool config_check_host_name(const char *host, char *out, size_t cap)
{
    struct addr addr;
    struct error ignored;

    if (host == NULL || strlen(host) >= cap) {
        return false;
    }
    memcpy(out, host, strlen(host) + 1);
    if (addr_parse(host, 0, &addr, &ignored) == 0) {
        addr_format(&addr, out, cap);
    } else if (strchr(out, ':') != NULL) {
        *strchr(out, ':') = '\0';
    }
    return config_tls_is_subject(out);
}

bool config_check_default_name(struct config_context *context, const struct config_item *item,
                               struct model_check *check)
{
    char name[256];

    if (check->tls == NULL || check->tls->name != NULL || check->tls->pin_count > 0) {
        return true;
    }
    struct tls_settings *tls = arena_copy(context->arena, check->tls, sizeof(*tls));
    if (config_check_host_name(check->host, name, sizeof(name))) {
        tls->name = arena_strdup(context->arena, name);
        check->tls = tls;
        return true;
    }
    if (tls->unverified) {
        return true;
    }
    struct error *err =
        config_error_key(context, item, "name is required: nothing else tells the certificate");
    error_hint(err, "the name in the target's certificate, e.g. name: api.example.com, or verify: "
                    "off");
    return false;
}
