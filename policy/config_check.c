#include "policy/config_check.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "policy/config_address.h"
#include "zones/name.h"
#include "zones/wire.h"
#include "zones/words.h"

#define CONFIRM_LEAST_MS 50
#define HOLD_DOWN_MAX_MS 300000
#define RANDOM_WORD      "{random}"

/* What is written of each kind before it goes into the model. */
struct dns_written {
    const char *name;
    const char *type;
    uint16_t port;
};

struct http_written {
    uint16_t port;
    const char *path;
    const char *host;
};

struct tcp_written {
    uint16_t port;
};

/* clang-format off */
#define AT(member) offsetof(struct dns_written, member)
static const struct config_row dns_expect_rows[] = {
    { "address", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Addresses that must all be in the answer.",
      .usual = "any data",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST, .forms_help = "an address or a list of them" },
    { "rcode", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The response code that passes.",
      .usual = "NOERROR with data",
      .forms = CONFIG_FORM_TEXT, .forms_help = "a response code such as NOERROR" },
};
static const struct config_table dns_expect_table = {
    "checks.NAME.dns.expect", "What a good answer holds.",
    dns_expect_rows, sizeof(dns_expect_rows) / sizeof(dns_expect_rows[0]),
};
static const struct config_row dns_rows[] = {
    { "server", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The DNS server to ask, port 53 unless written; of a region's check required.",
      .usual = "the endpoint",
      .forms = CONFIG_FORM_TEXT, .forms_help = "an address" },
    { "name", CONFIG_TEXT, AT(name), 1, 1000, CONFIG_REQUIRED,
      .help = "The name to ask for; `{random}` in it is replaced anew in each probe, against "
              "caches.",
      .example = "a name that always exists, e.g. name: canary.corp.example" },
    { "type", CONFIG_TEXT, AT(type), 1, 16, "A",
      .help = "The type to ask for." },
    { "port", CONFIG_PORT, AT(port), 1, 65535, "53",
      .help = "The port of an endpoint that is written without one." },
    { "expect", CONFIG_PART, 0, 0, 0, NULL,
      .help = "What a good answer holds.",
      .usual = "NOERROR with data",
      .forms = CONFIG_FORM_MAP, .forms_help = "a map", .part = &dns_expect_table },
};
#undef AT
static const struct config_table dns_table = {
    "checks.NAME.dns", "Asks a DNS server. NXDOMAIN or no data where data is expected counts as "
    "`misconfigured`, not as down.",
    dns_rows, sizeof(dns_rows) / sizeof(dns_rows[0]),
};

#define AT(member) offsetof(struct tcp_written, member)
static const struct config_row tcp_rows[] = {
    { "server", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The address to connect to; of a region's check required.",
      .usual = "the endpoint",
      .forms = CONFIG_FORM_TEXT, .forms_help = "an address" },
    { "port", CONFIG_PORT, AT(port), 1, 65535, NULL,
      .help = "The port to connect to; an endpoint or server written with a port is probed "
              "there.",
      .usual = "required unless the server has one" },
};
#undef AT
static const struct config_table tcp_table = {
    "checks.NAME.tcp", "Opens a TCP connection.",
    tcp_rows, sizeof(tcp_rows) / sizeof(tcp_rows[0]),
};

static const struct config_row http_expect_rows[] = {
    { "status", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Status codes that pass.",
      .usual = "200-299",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST,
      .forms_help = "a code, a range such as 200-299, or a list of them" },
    { "body", CONFIG_TEXT, 0, 1, 1024, NULL,
      .help = "A text that must be in the body.",
      .usual = "any body" },
};
static const struct config_table http_expect_table = {
    "checks.NAME.http.expect", "What a good response is.",
    http_expect_rows, sizeof(http_expect_rows) / sizeof(http_expect_rows[0]),
};

#define AT(member) offsetof(struct http_written, member)
static const struct config_row http_rows[] = {
    { "server", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The address to connect to; of a region's check required.",
      .usual = "the endpoint",
      .forms = CONFIG_FORM_TEXT, .forms_help = "an address" },
    { "port", CONFIG_PORT, AT(port), 1, 65535, NULL,
      .help = "The port to connect to; an endpoint or server written with a port is probed "
              "there.",
      .usual = "required unless the server has one" },
    { "path", CONFIG_TEXT, AT(path), 1, 1024, "/",
      .help = "What to get." },
    { "host", CONFIG_TEXT, AT(host), 1, 255, NULL,
      .help = "The Host header.",
      .usual = "the service's name" },
    { "expect", CONFIG_PART, 0, 0, 0, NULL,
      .help = "What a good response is.",
      .usual = "status 200-299",
      .forms = CONFIG_FORM_MAP, .forms_help = "a map", .part = &http_expect_table },
};
#undef AT
static const struct config_table http_table = {
    "checks.NAME.http", "Sends a GET request over plain HTTP.",
    http_rows, sizeof(http_rows) / sizeof(http_rows[0]),
};

#define AT(member) offsetof(struct model_check, timing.member)
static const struct config_row check_rows[] = {
    { "dns", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Ask a DNS server.",
      .forms = CONFIG_FORM_MAP, .forms_help = "a map", .part = &dns_table },
    { "tcp", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Open a TCP connection.",
      .forms = CONFIG_FORM_MAP, .forms_help = "a map", .part = &tcp_table },
    { "http", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Send an HTTP request.",
      .forms = CONFIG_FORM_MAP, .forms_help = "a map", .part = &http_table },
    { "https", CONFIG_LATER, 0, 0, 0, NULL, .help = "Send an HTTPS request." },
    { "tls", CONFIG_LATER, 0, 0, 0, NULL, .help = "Make a TLS handshake." },
    { "icmp", CONFIG_LATER, 0, 0, 0, NULL, .help = "Send an ICMP echo." },
    { "exec", CONFIG_LATER, 0, 0, 0, NULL, .help = "Run a program." },
    { "push", CONFIG_LATER, 0, 0, 0, NULL, .help = "Be told from outside." },
    { "all", CONFIG_LATER, 0, 0, 0, NULL, .help = "Pass when all of several checks pass." },
    { "any", CONFIG_LATER, 0, 0, 0, NULL, .help = "Pass when any of several checks passes." },
    { "at_least", CONFIG_LATER, 0, 0, 0, NULL, .help = "Pass when so many of several checks "
    "pass." },
    { "of", CONFIG_LATER, 0, 0, 0, NULL, .help = "The checks that `at_least` counts." },
    { "interval", CONFIG_MS, AT(interval_ms), 10, 3600000, "1s",
      .help = "Time between two probes of a healthy target." },
    { "timeout", CONFIG_MS, AT(timeout_ms), 1, 60000, "500ms",
      .help = "A probe is lost when it is unanswered for so long." },
    { "confirm_interval", CONFIG_MS, AT(confirm_interval_ms), 10, 3600000, NULL,
      .help = "Time between two probes once one has failed.",
      .usual = "interval/20, at least "
      "50ms" },
    { "fall", CONFIG_COUNT, AT(fall), 1, 100, "3",
      .help = "Strong failures in a row that make a target down: refused, reset, wrong answer, "
              "bad status." },
    { "silent_fall", CONFIG_COUNT, AT(silent_fall), 1, 32, "10",
      .help = "Unanswered probes in a row, the oldest past `timeout`, that make a target down." },
    { "rise", CONFIG_COUNT, AT(rise), 1, 100, "2",
      .help = "Successes in a row that end being down." },
    { "hold_down", CONFIG_MS, AT(hold_down_ms), 0, 86400000, "10s",
      .help = "How long a target that came back is second choice; doubles with each flap, halves "
              "after each quiet 5m." },
    { "hold_down_max", CONFIG_MS, AT(hold_down_max_ms), 0, 604800000, NULL,
      .help = "What `hold_down` grows to at most.",
      .usual = "5m, at least hold_down" },
    { "jitter", CONFIG_PERCENT, AT(jitter_percent), 0, 50, "10%",
      .help = "How much an interval varies at random, so that probes do not come in step." },
};
#undef AT
/* clang-format on */

const struct config_table config_check_table = {
    "checks.NAME",
    "A probe and its timing. Each check is one of dns, tcp and http. Named here it can be used by "
    "several services and regions; written in place it looks the same.",
    check_rows,
    sizeof(check_rows) / sizeof(check_rows[0]),
};

static bool read_server(struct config_context *context, const struct config_item *kind,
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

/* tcp and http know no usual port: it comes from `port` or stands behind the server. */
static void settle_port(struct config_context *context, const struct config_item *kind,
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

/* ------------------------------------------------------------------ dns */

/* Names with {random} are valid when they are with a word as long as the probe's in its place. */
static bool is_valid_query_name(const char *name, struct error *err)
{
    struct text text = { 0 };
    uint8_t dname[NAME_MAX_BYTES];
    const char *rest = name;

    for (const char *found; (found = strstr(rest, RANDOM_WORD)) != NULL;) {
        text_put_bytes(&text, rest, (size_t)(found - rest));
        text_put(&text, "0123456789abcdef");
        rest = found + strlen(RANDOM_WORD);
    }
    text_put(&text, rest);
    bool valid = name_parse(text_string(&text), dname, err) >= 0;
    text_fini(&text);
    return valid;
}

static void read_expected_addresses(struct config_context *context,
                                    const struct config_item *expect, struct model_check *check)
{
    struct config_item item;

    if (!config_item_get(expect, "address", &item) ||
        !config_address_read_list(context, &item, CONFIG_ADDRESS_ANSWER, &check->expect_addresses,
                                  &check->expect_address_count)) {
        return;
    }
    for (size_t i = 0; i < check->expect_address_count; i++) {
        struct config_item one = config_item_list_at(&item, i);
        uint16_t type = check->expect_addresses[i].family == ADDR_V4 ? WIRE_A : WIRE_AAAA;
        if (type != check->query_type) {
            char name[WORDS_MAX];
            struct error *err =
                config_error_value(context, &one, "%s is never in an answer of type %s",
                                   one.value->text, words_type_name(check->query_type, name));
            error_hint(err, "IPv4 addresses stand in A records, IPv6 in AAAA");
        }
    }
}

static void read_expected_rcode(struct config_context *context, const struct config_item *expect,
                                struct model_check *check)
{
    struct config_item item;
    struct error err;

    if (!config_item_get(expect, "rcode", &item)) {
        return;
    }
    const char *text = config_table_scalar(context, &item);
    if (text == NULL) {
        return;
    }
    if (words_rcode(text, &check->expect_rcode, &err) < 0) {
        config_error_take(context, &item, &err);
        return;
    }
    check->expect_rcode_given = true;
    if (check->expect_rcode != 0 && check->expect_address_count > 0) {
        config_error_value(context, &item, "an answer of %s holds no addresses", text);
    }
}

static void read_dns(struct config_context *context, const struct config_item *kind,
                     struct model_check *check)
{
    struct dns_written written = { 0 };
    struct config_item item;
    struct error err;

    check->kind = MODEL_CHECK_DNS;
    (void)config_table_read(context, &dns_table, kind, &written);
    (void)read_server(context, kind, 53, check);
    check->port = written.port;
    check->query_name = written.name;
    if (written.name != NULL && config_item_get(kind, "name", &item) &&
        !is_valid_query_name(written.name, &err)) {
        config_error_take(context, &item, &err);
    }
    bool good = words_type(written.type, &check->query_type, &err) >= 0;
    if (!good && config_item_get(kind, "type", &item)) {
        config_error_take(context, &item, &err);
    }
    if (config_item_get(kind, "expect", &item)) {
        (void)config_table_read(context, &dns_expect_table, &item, NULL);
        if (good) {
            read_expected_addresses(context, &item, check);
        }
        read_expected_rcode(context, &item, check);
    }
}

/* ------------------------------------------------------------------ tcp, http */

static void read_tcp(struct config_context *context, const struct config_item *kind,
                     struct model_check *check)
{
    struct tcp_written written = { 0 };

    check->kind = MODEL_CHECK_TCP;
    bool good = config_table_read(context, &tcp_table, kind, &written);
    good = read_server(context, kind, 0, check) && good;
    settle_port(context, kind, written.port, good, check);
}

static bool read_status(const char *text, unsigned *out)
{
    unsigned value = 0;

    for (size_t i = 0; i < 3; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *out = value;
    return value >= 100 && value <= 599; /* RFC 9110, section 15 */
}

/* "200" or "200-299". */
static bool read_statuses(const char *text, struct model_range *out)
{
    unsigned first;
    unsigned last;

    if (!read_status(text, &first)) {
        return false;
    }
    last = first;
    if (text[3] == '-') {
        if (!read_status(text + 4, &last) || text[7] != '\0' || last < first) {
            return false;
        }
    } else if (text[3] != '\0') {
        return false;
    }
    *out = (struct model_range){ .first = (uint16_t)first, .last = (uint16_t)last };
    return true;
}

static void read_expected_statuses(struct config_context *context, const struct config_item *expect,
                                   struct model_check *check)
{
    struct config_item item;

    if (!config_item_get(expect, "status", &item)) {
        return;
    }
    size_t count = config_item_list_count(&item);
    struct model_range *list = arena_array(context->arena, count, sizeof(*list));
    if (count == 0) {
        config_error_value(context, &item, "no status would pass");
    }
    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(&item, i);
        const char *text = config_table_scalar(context, &one);
        if (text != NULL && !read_statuses(text, &list[i])) {
            struct error *err =
                config_error_value(context, &one, "'%.40s' is not an HTTP status", text);
            error_hint(err, "write 200, 200-299 or [200, 204]; they go from 100 to 599");
        }
    }
    check->statuses = list;
    check->status_count = count;
}

/* Neither may end the line or the word it goes into (RFC 9112, section 3). */
static bool is_request_word(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7f) {
            return false;
        }
    }
    return true;
}

static void check_request(struct config_context *context, const struct config_item *kind,
                          const struct http_written *written)
{
    struct config_item item;

    if (config_item_get(kind, "path", &item) && written->path != NULL &&
        (written->path[0] != '/' || !is_request_word(written->path))) {
        struct error *err =
            config_error_value(context, &item, "'%.100s' is not a path", written->path);
        error_hint(err, "it begins with a slash and holds no blanks, e.g. /healthz");
    }
    if (config_item_get(kind, "host", &item) && written->host != NULL &&
        (!is_request_word(written->host) || strchr(written->host, '/') != NULL)) {
        struct error *err =
            config_error_value(context, &item, "'%.100s' is not a host", written->host);
        error_hint(err, "a name, with a port if need be, e.g. api.example.com");
    }
}

static void read_http(struct config_context *context, const struct config_item *kind,
                      struct model_check *check)
{
    static const struct model_range usual = { 200, 299 };
    struct http_written written = { 0 };
    struct config_item item;

    check->kind = MODEL_CHECK_HTTP;
    bool good = config_table_read(context, &http_table, kind, &written);
    good = read_server(context, kind, 0, check) && good;
    settle_port(context, kind, written.port, good, check);
    check_request(context, kind, &written);
    check->path = written.path;
    check->host = written.host;
    check->statuses = arena_copy(context->arena, &usual, sizeof(usual));
    check->status_count = 1;
    if (config_item_get(kind, "expect", &item)) {
        (void)config_table_read(context, &http_expect_table, &item, &check->body);
        read_expected_statuses(context, &item, check);
    }
}

/* ------------------------------------------------------------------ a check */

static void settle_timing(struct config_context *context, const struct config_item *check,
                          struct model_timing *timing)
{
    struct config_item item;

    if (timing->confirm_interval_ms == 0) {
        uint32_t share = timing->interval_ms / 20;
        timing->confirm_interval_ms = share > CONFIRM_LEAST_MS ? share : CONFIRM_LEAST_MS;
    }
    if (!config_item_get(check, "hold_down_max", &item)) {
        timing->hold_down_max_ms =
            timing->hold_down_ms > HOLD_DOWN_MAX_MS ? timing->hold_down_ms : HOLD_DOWN_MAX_MS;
    } else if (timing->hold_down_max_ms < timing->hold_down_ms) {
        struct error *err = config_error_value(context, &item, "is less than hold_down");
        error_hint(err, "hold_down doubles with each flap up to hold_down_max");
    }
}

static void report_kinds(struct config_context *context, const struct config_item *check,
                         unsigned kinds)
{
    struct error *err =
        kinds == 0 ? config_error_key(context, check, "a check must be one of dns, tcp and http")
                   : config_error_key(context, check, "a check is only one of dns, tcp and http");

    error_hint(err, kinds == 0 ? "e.g. http: {port: 8080, path: /healthz}"
                               : "list several: check: [{http: ...}, {dns: ...}]");
}

/* A check written as a map. */
static bool read_map(struct config_context *context, const struct config_item *item,
                     struct model_check *check)
{
    static void (*const readers[])(struct config_context *, const struct config_item *,
                                   struct model_check *) = { read_dns, read_tcp, read_http };
    static const char *const names[] = { "dns", "tcp", "http" };
    size_t errors = context->error_count;
    struct config_item kind;
    unsigned kinds = 0;

    check->place = config_node_place(item->key);
    bool good = config_table_read(context, &config_check_table, item, check);
    settle_timing(context, item, &check->timing);
    for (size_t i = 0; i < 3; i++) {
        if (config_item_get(item, names[i], &kind)) {
            readers[i](context, &kind, check);
            kinds++;
        }
    }
    if (kinds > 1 || (kinds == 0 && good)) {
        report_kinds(context, item, kinds);
    }
    return context->error_count == errors;
}

void config_check_read_named(struct config_context *context, const struct config_item *section)
{
    if (section == NULL) {
        return;
    }
    size_t count = section->value->count;
    context->checks = arena_array(context->arena, count, sizeof(*context->checks));
    context->check_broken = arena_array(context->scratch, count, sizeof(bool));
    for (size_t i = 0; i < count; i++) {
        struct config_item item = config_item_at(section, i);
        struct model_check *check = &context->checks[i];
        check->name = arena_strdup(context->arena, item.name);
        if (!config_names_is_valid(item.name)) {
            struct error *err = config_error_key(context, &item, "not a good name of a check");
            error_hint(err, CONFIG_NAMES_HINT);
        }
        context->check_broken[i] = !read_map(context, &item, check);
        config_names_add(&context->check_names, context->scratch, check->name, (uint32_t)i);
    }
    config_names_sort(&context->check_names);
}

/* A check by its name. */
static bool copy_named(struct config_context *context, const struct config_item *item,
                       struct model_check *check)
{
    const char *name = config_table_scalar(context, item);

    if (name == NULL) {
        return false;
    }
    uint32_t index = config_names_find(&context->check_names, name);
    if (index == CONFIG_NAMES_NONE) {
        const char *nearest = config_names_nearest(&context->check_names, name);
        struct error *err = config_error_value(context, item, "unknown check '%.80s'", name);
        if (nearest != NULL) {
            error_hint(err, "did you mean '%s'?", nearest);
        } else {
            error_hint(err, "name it in the section checks, or write it here as a map");
        }
        return false;
    }
    *check = context->checks[index];
    return !context->check_broken[index];
}

bool config_check_read_list(struct config_context *context, const struct config_item *item,
                            bool needs_server, const char *host, const struct model_check **out,
                            size_t *out_count)
{
    size_t count = config_item_list_count(item);
    struct model_check *list = arena_array(context->arena, count, sizeof(*list));
    bool good = !item->value->broken;

    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(item, i);
        bool fine = one.value->kind == CONFIG_NODE_MAP ? read_map(context, &one, &list[i])
                                                       : copy_named(context, &one, &list[i]);
        if (fine && needs_server && !list[i].has_server) {
            struct error *err = config_error_key(
                context, &one, "server is required: a region's check has no endpoint to ask");
            error_hint(err, "e.g. dns: {server: 10.1.0.2, name: canary.corp.example}");
            fine = false;
        }
        if (list[i].kind == MODEL_CHECK_HTTP && list[i].host == NULL) {
            list[i].host = host;
        }
        good = good && fine;
    }
    *out = list;
    *out_count = count;
    return good;
}
