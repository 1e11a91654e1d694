#include "policy/config_notify.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "policy/config_files.h"
#include "policy/config_print.h"
#include "policy/config_value.h"

#define MOST_ARGUMENTS 64
#define MOST_URL       2048

/* clang-format off */
#define AT(member) offsetof(struct model_hook, member)
static const struct config_row notify_rows[] = {
    { "exec", CONFIG_PART, 0, 0, 0, NULL,
      .help = "A program and its arguments; the event is JSON on its standard input.",
      .usual = "required unless webhook",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST,
      .forms_help = "the path of a program, or a list that begins with it" },
    { "webhook", CONFIG_TEXT, AT(url), 1, MOST_URL, NULL,
      .help = "Where the event is sent as JSON, by POST: an http or https URL.",
      .usual = "required unless exec" },
    { "on", CONFIG_PART, 0, 0, 0, CONFIG_REQUIRED,
      .help = "Of what it is told: `region`, `service`, `endpoint`, `override`, `guard`, "
              "`reload`.",
      .example = "e.g. on: [region, service]",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST, .forms_help = "a kind of event or a list" },
    { "timeout", CONFIG_MS, AT(timeout_ms), 100, 300000, "10s",
      .help = "How long one try may take." },
    { "tries", CONFIG_COUNT, AT(tries), 1, 20, "5",
      .help = "How often it is tried before the event is given up." },
};
#undef AT
/* clang-format on */

const struct config_table config_notify_table = {
    "notify",
    "Who is told: a program, or a URL.",
    notify_rows,
    sizeof(notify_rows) / sizeof(notify_rows[0]),
};

static const struct {
    const char *word;
    unsigned flag;
} kinds[] = {
    { "region", MODEL_NOTIFY_REGION },     { "service", MODEL_NOTIFY_SERVICE },
    { "endpoint", MODEL_NOTIFY_ENDPOINT }, { "override", MODEL_NOTIFY_OVERRIDE },
    { "guard", MODEL_NOTIFY_GUARD },       { "reload", MODEL_NOTIFY_RELOAD },
};

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

/* ------------------------------------------------------------------ kinds of events */

static unsigned find_kind(struct config_context *context, const struct config_item *item,
                          const char *text)
{
    const char *words[KIND_COUNT];

    for (size_t i = 0; i < KIND_COUNT; i++) {
        words[i] = kinds[i].word;
        if (strcmp(kinds[i].word, text) == 0) {
            return kinds[i].flag;
        }
    }
    const char *nearest = text_nearest(text, words, KIND_COUNT);
    struct error *err = config_error_value(context, item, "unknown kind of event '%.80s'", text);
    if (nearest != NULL) {
        error_hint(err, "did you mean '%s'?", nearest);
    } else {
        error_hint(err, "one of region, service, endpoint, override, guard and reload");
    }
    return 0;
}

static void read_on(struct config_context *context, const struct config_item *item,
                    struct model_hook *hook)
{
    size_t count = config_item_list_count(item);

    if (count == 0 && !item->value->broken) {
        struct error *err = config_error_key(context, item, "it would be told of nothing");
        error_hint(err, "e.g. on: [region, service]");
    }
    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(item, i);
        const char *text = config_table_scalar(context, &one);
        unsigned flag = text == NULL ? 0 : find_kind(context, &one, text);
        if ((hook->on & flag) != 0) {
            config_error_value(context, &one, "%s is named twice", text);
        }
        hook->on |= flag;
    }
}

/* ------------------------------------------------------------------ programs and URLs */

static void check_program(struct config_context *context, const struct config_item *item,
                          const char *path)
{
    struct stat st;
    const char *why = NULL;

    if (context->is_kept) {
        return;
    }
    if (stat(path, &st) != 0) {
        why = strerror(errno);
    } else if (!S_ISREG(st.st_mode)) {
        why = "not a program";
    } else if (access(path, X_OK) != 0) {
        why = strerror(errno);
    }
    if (why != NULL) {
        config_error_value(context, item, "%.160s cannot be run: %s", path, why);
    }
}

/* The program, found without a search: it is run as what we are. */
static const char *read_program(struct config_context *context, const struct config_item *item,
                                const char *text)
{
    if (strchr(text, '/') == NULL) {
        struct error *err = config_error_value(context, item, "'%.80s' is not a path", text);
        error_hint(err, "write the whole path, e.g. /usr/local/bin/%.60s, or ./%.60s", text, text);
        return text;
    }
    const char *path = config_files_resolve(context, item->value->file, text);
    check_program(context, item, path);
    return path;
}

static void read_exec(struct config_context *context, const struct config_item *item,
                      struct model_hook *hook)
{
    size_t count = config_item_list_count(item);

    if (count == 0 || count > MOST_ARGUMENTS) {
        if (!item->value->broken) {
            struct error *err = config_error_key(
                context, item, count == 0 ? "there is no program" : "more than %d arguments",
                MOST_ARGUMENTS);
            error_hint(err, "e.g. exec: [/usr/local/bin/page-oncall]");
        }
        return;
    }
    const char **list = arena_array(context->arena, count + 1, sizeof(*list));
    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(item, i);
        const char *text = config_table_scalar(context, &one);
        if (text == NULL) {
            return;
        }
        list[i] = i == 0 ? read_program(context, &one, text) : arena_strdup(context->arena, text);
    }
    hook->arguments = list;
    hook->argument_count = count;
}

/* Why it is no URL to send to, or NULL. */
static const char *url_misfit(const char *url)
{
    size_t scheme = strncasecmp(url, "http://", 7) == 0    ? 7
                    : strncasecmp(url, "https://", 8) == 0 ? 8
                                                           : 0;
    const char *host = url + scheme;
    size_t length = strcspn(host, "/?#");
    const char *end = host + length;
    const char *port = end;

    if (scheme == 0) {
        return "must begin with http:// or https://";
    }
    for (const char *c = url; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f || strchr("\"<>\\^`{|}", *c)) {
            return "holds a character that a URL cannot hold (RFC 3986)";
        }
    }
    if (memchr(host, '@', length) != NULL) {
        return "must not hold a user or a password";
    }
    if (host[0] == '[') {
        port = memchr(host, ']', length);
        port = port == NULL ? host : port + 1;
    } else if (memchr(host, ':', length) != NULL) {
        port = memchr(host, ':', length);
    }
    if (port == host || host[0] == '.') {
        return "names no host";
    }
    if (port < end) {
        size_t digits = strspn(port + 1, "0123456789");
        unsigned number = 0;
        for (size_t i = 0; i < digits && number <= UINT16_MAX; i++) {
            number = number * 10 + (unsigned)(port[1 + i] - '0');
        }
        if (*port != ':' || port + 1 + digits != end || number == 0 || number > UINT16_MAX) {
            return "has no port from 1 to 65535 behind its host";
        }
    }
    return NULL;
}

static void read_url(struct config_context *context, const struct config_item *item,
                     const char *url)
{
    const char *why = url_misfit(url);

    if (why != NULL) {
        struct error *err = config_error_value(context, item, "%s", why);
        error_hint(err, "e.g. webhook: \"https://hooks.example.com/x\"");
    }
}

/* ------------------------------------------------------------------ the section */

static void read_one(struct config_context *context, const struct config_item *item,
                     struct model_hook *hook)
{
    struct config_item exec;
    struct config_item webhook;
    struct config_item on;

    hook->place = config_node_place(item->value);
    if (!config_table_read(context, &config_notify_table, item, hook)) {
        return;
    }
    bool has_exec = config_item_get(item, "exec", &exec);
    bool has_url = config_item_get(item, "webhook", &webhook);
    if (has_exec == has_url) {
        struct error *err = config_error_key(
            context, item, has_exec ? "is either exec or webhook" : "exec is required, or webhook");
        error_hint(err, "e.g. {exec: [/usr/local/bin/page-oncall], on: [region]}");
        return;
    }
    if (has_exec) {
        read_exec(context, &exec, hook);
    } else {
        read_url(context, &webhook, hook->url);
    }
    REQUIRE(config_item_get(item, "on", &on));
    read_on(context, &on, hook);
}

void config_notify_read(struct config_context *context, const struct config_item *root)
{
    struct model *model = context->model;
    struct config_item section;

    if (!config_item_get(root, "notify", &section) || section.value->kind == CONFIG_NODE_SCALAR) {
        return;
    }
    model->hook_count = config_item_list_count(&section);
    model->hooks = arena_array(context->arena, model->hook_count, sizeof(*model->hooks));
    for (size_t i = 0; i < model->hook_count; i++) {
        struct config_item one = config_item_list_at(&section, i);
        read_one(context, &one, &model->hooks[i]);
    }
}

/* ------------------------------------------------------------------ printing */

static void put_exec(const struct model_hook *hook, struct text *out)
{
    text_put(out, "exec: [");
    config_print_path(hook->arguments[0], out);
    for (size_t i = 1; i < hook->argument_count; i++) {
        text_put(out, ", ");
        config_print_scalar(hook->arguments[i], out);
    }
    text_put(out, "]\n");
}

void config_notify_put(const struct model *model, struct text *out)
{
    text_put(out, model->hook_count > 0 ? "notify:\n" : "");
    for (size_t i = 0; i < model->hook_count; i++) {
        const struct model_hook *hook = &model->hooks[i];
        bool any = false;
        text_put(out, "  - ");
        if (hook->arguments != NULL) {
            put_exec(hook, out);
        } else {
            text_put(out, "webhook: ");
            config_print_scalar(hook->url, out);
            text_put_char(out, '\n');
        }
        text_put(out, "    on: [");
        for (size_t k = 0; k < KIND_COUNT; k++) {
            if ((hook->on & kinds[k].flag) != 0) {
                text_printf(out, "%s%s", any ? ", " : "", kinds[k].word);
                any = true;
            }
        }
        text_put(out, "]\n    timeout: ");
        config_value_put_ms(hook->timeout_ms, out);
        text_printf(out, "\n    tries: %u\n", hook->tries);
    }
}
