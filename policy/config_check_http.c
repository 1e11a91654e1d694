#include "policy/config_check_kinds.h"

#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "policy/config_check_parts.h"

#define HTTPS_PORT     443
#define TLS_PROTOCOL   "http/1.1"
#define HEADERS_MAX    32
#define VALUE_MAX      1024
#define TEXT_MAX_BYTES 1024

/* What is written before it goes into the model; of http without `tls`. */
struct written {
    uint16_t port;
    const char *method;
    const char *path;
    const char *host;
    struct config_check_tls tls;
};

/* clang-format off */
static const struct config_row json_rows[] = {
    { "pointer", CONFIG_PART, 0, 0, 0, CONFIG_REQUIRED,
      .help = "What to look at (RFC 6901); it must be there.",
      .example = "e.g. pointer: /status",
      .forms = CONFIG_FORM_TEXT, .forms_help = "a JSON pointer" },
    { "value", CONFIG_PART, 0, 0, 0, NULL,
      .help = "What it must be: a number, true, false, null or a text.",
      .usual = "anything",
      .forms = CONFIG_FORM_TEXT, .forms_help = "a value" },
};
static const struct config_table json_table = {
    "checks.NAME.http.expect.json", "A value in a JSON body.",
    json_rows, sizeof(json_rows) / sizeof(json_rows[0]),
};

static const struct config_row expect_rows[] = {
    { "status", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Status codes that pass; redirects are not followed.",
      .usual = "200-299",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST,
      .forms_help = "a code, a range such as 200-299, or a list of them" },
    { "body", CONFIG_PART, 0, 0, 0, NULL,
      .help = "A text that must be in the body.",
      .usual = "any body",
      .forms = CONFIG_FORM_TEXT, .forms_help = "a text" },
    { "match", CONFIG_PART, 0, 0, 0, NULL,
      .help = "A POSIX extended regular expression that must match somewhere in the body.",
      .usual = "any body",
      .forms = CONFIG_FORM_TEXT, .forms_help = "a regular expression" },
    { "json", CONFIG_PART, 0, 0, 0, NULL,
      .help = "A value that must be in the body, which is JSON.",
      .usual = "any body",
      .forms = CONFIG_FORM_MAP, .forms_help = "a map", .part = &json_table },
};
static const struct config_table expect_table = {
    "checks.NAME.http.expect", "What a good response is; all of it must hold.",
    expect_rows, sizeof(expect_rows) / sizeof(expect_rows[0]),
};

/* What plain and secured requests have in common. */
#define HTTP_ROWS(usual_port)                                                                    \
    { "server", CONFIG_PART, 0, 0, 0, NULL,                                                      \
      .help = "The address to connect to; of a region's check required.",                        \
      .usual = "the endpoint",                                                                   \
      .forms = CONFIG_FORM_TEXT, .forms_help = "an address" },                                   \
    { "port", CONFIG_PORT, offsetof(struct written, port), 1, 65535, NULL,                       \
      .help = "The port to connect to; an endpoint or server written with a port is probed "     \
              "there.",                                                                          \
      .usual = usual_port },                                                                     \
    { "method", CONFIG_TEXT, offsetof(struct written, method), 1, 16, "GET",                     \
      .help = "The method of the request, e.g. HEAD." },                                         \
    { "path", CONFIG_TEXT, offsetof(struct written, path), 1, 1024, "/",                         \
      .help = "What is asked for, with its query if need be." },                                 \
    { "host", CONFIG_TEXT, offsetof(struct written, host), 1, 255, NULL,                         \
      .help = "The Host header.",                                                                \
      .usual = "the service's name" },                                                           \
    { "headers", CONFIG_PART, 0, 0, 0, NULL,                                                     \
      .help = "More headers, each name with its value.",                                         \
      .usual = "none",                                                                           \
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_NAMED,                                             \
      .forms_help = "a map from names to values" },                                              \
    { "expect", CONFIG_PART, 0, 0, 0, NULL,                                                      \
      .help = "What a good response is.",                                                        \
      .usual = "status 200-299",                                                                 \
      .forms = CONFIG_FORM_MAP, .forms_help = "a map", .part = &expect_table }

static const struct config_row http_rows[] = {
    HTTP_ROWS("required unless the server has one"),
};

static const struct config_row https_rows[] = {
    HTTP_ROWS("443"),
    CONFIG_CHECK_TLS_ROWS(struct written),
};
/* clang-format on */

const struct config_table config_check_http_table = {
    "checks.NAME.http",
    "Sends a request over plain HTTP.",
    http_rows,
    sizeof(http_rows) / sizeof(http_rows[0]),
};

const struct config_table config_check_https_table = {
    "checks.NAME.https",
    "Sends a request over TLS; the certificate must be good.",
    https_rows,
    sizeof(https_rows) / sizeof(https_rows[0]),
};

/* ---- the request ---- */

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
                          const struct written *written)
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

/* Of RFC 9110, section 5.6.2. */
static bool is_token(const char *text)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "!#$%&'*+-.^_`|~";
    size_t length = strlen(text);

    return length > 0 && length <= 256 && strspn(text, good) == length;
}

static void check_method(struct config_context *context, const struct config_item *kind,
                         const char *method)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ-";
    struct config_item item;

    if (method == NULL || !config_item_get(kind, "method", &item)) {
        return;
    }
    if (strspn(method, letters) != strlen(method)) {
        struct error *err = config_error_value(context, &item, "'%.40s' is not a method", method);
        error_hint(err, "write GET, HEAD, POST or another one in capitals");
    } else if (strcmp(method, "CONNECT") == 0) {
        config_error_value(context, &item, "CONNECT asks for no response to look at");
    }
}

/* Headers that the request has anyway, and what to write instead. */
static const char *find_own(const char *name)
{
    static const struct {
        const char *name;
        const char *hint;
    } own[] = {
        { "Host", "write host: beside headers" },
        { "Connection", "each probe has a connection of its own" },
        { "Content-Length", "a probe sends no body" },
        { "Transfer-Encoding", "a probe sends no body" },
    };

    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (strcasecmp(own[i].name, name) == 0) {
            return own[i].hint;
        }
    }
    return NULL;
}

/* RFC 9110, section 5.5; an empty value is one. */
static bool is_header_value(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f) {
            return false;
        }
    }
    return strlen(text) <= VALUE_MAX;
}

static void read_header(struct config_context *context, const struct config_item *item,
                        struct model_header *header)
{
    const char *own = find_own(item->name);

    if (!is_token(item->name)) {
        config_error_key(context, item, "not a good name of a header");
    } else if (own != NULL) {
        struct error *err = config_error_key(context, item, "is not for you to set");
        error_hint(err, "%s", own);
    }
    const char *value = config_table_scalar(context, item);
    if (value != NULL && !is_header_value(value)) {
        struct error *err = config_error_value(context, item, "not a good value of a header");
        error_hint(err, "one line of at most %d bytes", VALUE_MAX);
    }
    header->name = arena_strdup(context->arena, item->name);
    header->value = arena_strdup(context->arena, value == NULL ? "" : value);
}

static void read_headers(struct config_context *context, const struct config_item *kind,
                         struct model_check *check)
{
    struct config_item item;

    if (!config_item_get(kind, "headers", &item) || item.value->kind != CONFIG_NODE_MAP) {
        return;
    }
    size_t count = item.value->count;
    if (count > HEADERS_MAX) {
        config_error_key(context, &item, "more than %d headers", HEADERS_MAX);
        return;
    }
    struct model_header *list = arena_array(context->arena, count, sizeof(*list));
    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_at(&item, i);
        read_header(context, &one, &list[i]);
    }
    check->headers = list;
    check->header_count = count;
}

/* ---- the response ---- */

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

/* RFC 6901, section 3: "" or /words in which ~ stands before 0 or 1 only. */
static bool is_pointer(const char *text)
{
    if (text[0] != '\0' && text[0] != '/') {
        return false;
    }
    for (const char *tilde = text; (tilde = strchr(tilde, '~')) != NULL; tilde++) {
        if (tilde[1] != '0' && tilde[1] != '1') {
            return false;
        }
    }
    return strlen(text) <= TEXT_MAX_BYTES;
}

static void read_json(struct config_context *context, const struct config_item *json,
                      struct model_check *check)
{
    struct config_item item;

    (void)config_table_read(context, &json_table, json, NULL);
    if (config_item_get(json, "pointer", &item) && item.value->kind == CONFIG_NODE_SCALAR) {
        const char *text = config_table_scalar(context, &item);
        if (text != NULL && !is_pointer(text)) {
            struct error *err =
                config_error_value(context, &item, "'%.80s' is not a JSON pointer", text);
            error_hint(err, "it begins with a slash, e.g. /status/database; ~0 is a tilde, ~1 a "
                            "slash in a name");
        }
        check->json_pointer = text == NULL ? NULL : arena_strdup(context->arena, text);
    }
    if (config_item_get(json, "value", &item) && item.value->kind == CONFIG_NODE_SCALAR &&
        !item.value->broken) {
        const char *text = item.value->text;
        bool is_nothing = config_node_is_empty(item.value) && strcmp(text, "null") != 0;
        text = is_nothing ? config_table_scalar(context, &item) : text;
        check->json_value = text == NULL ? NULL : arena_strdup(context->arena, text);
    }
}

static void read_expected(struct config_context *context, const struct config_item *kind,
                          struct model_check *check)
{
    struct config_item expect;
    struct config_item json;

    if (!config_item_get(kind, "expect", &expect)) {
        return;
    }
    (void)config_table_read(context, &expect_table, &expect, NULL);
    read_expected_statuses(context, &expect, check);
    check->body = config_check_read_text(context, &expect, "body", TEXT_MAX_BYTES);
    check->body_pattern = config_check_read_pattern(context, &expect, "match");
    if (config_item_get(&expect, "json", &json) &&
        (json.value->kind == CONFIG_NODE_MAP || config_node_is_empty(json.value))) {
        read_json(context, &json, check);
    }
    if (strcmp(check->method, "HEAD") == 0 &&
        (check->body != NULL || check->body_pattern != NULL || check->json_pointer != NULL)) {
        config_error_key(context, &expect, "the response to HEAD has no body");
    }
}

/* ---- both kinds ---- */

static void take(struct config_context *context, const struct config_item *kind,
                 const struct written *written, struct model_check *check)
{
    static const struct model_range usual = { 200, 299 };

    check->kind = MODEL_CHECK_HTTP;
    check_request(context, kind, written);
    check_method(context, kind, written->method);
    check->method = written->method;
    check->path = written->path;
    check->host = written->host;
    check->statuses = arena_copy(context->arena, &usual, sizeof(usual));
    check->status_count = 1;
    read_headers(context, kind, check);
    read_expected(context, kind, check);
}

void config_check_read_http(struct config_context *context, const struct config_item *kind,
                            struct model_check *check)
{
    struct written written = { 0 };

    bool good = config_table_read(context, &config_check_http_table, kind, &written);
    good = config_check_read_server(context, kind, 0, check) && good;
    config_check_settle_port(context, kind, written.port, good, check);
    take(context, kind, &written, check);
}

void config_check_read_https(struct config_context *context, const struct config_item *kind,
                             struct model_check *check)
{
    struct written written = { 0 };

    (void)config_table_read(context, &config_check_https_table, kind, &written);
    check->port = written.port != 0 ? written.port : HTTPS_PORT;
    (void)config_check_read_server(context, kind, check->port, check);
    config_check_settle_tls(context, kind, &written.tls, TLS_PROTOCOL, check);
    take(context, kind, &written, check);
}
