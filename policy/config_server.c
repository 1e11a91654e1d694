#include "policy/config_server.h"

#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena.h"
#include "policy/config_acl.h"
#include "policy/config_address.h"
#include "policy/config_region.h"

#define DNS_PORT      53 /* RFC 1035, section 4.2 */
#define MAX_LISTENERS 64
#define KIB           ((uint64_t)1024)

/* clang-format off */
#define AT(member) offsetof(struct model, member)
static const struct config_row node_rows[] = {
    { "name", CONFIG_TEXT, AT(node_name), 1, 255, NULL,
      .help = "What this node is called in logs and status.",
      .usual = "the host name" },
    { "region", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Where this node stands: the start of nearest and of upstream order.",
      .usual = "none",
      .forms = CONFIG_FORM_TEXT, .forms_help = "the name of a region" },
    { "state_directory", CONFIG_PATH, AT(state_directory), 1, 0, "/var/lib/leeward",
      .help = "Where health, overrides and the last accepted configuration are kept; one that "
              "cannot be written is a warning." },
    { "threads", CONFIG_COUNT, AT(threads), 1, 64, "auto",
      .help = "Answerers per address; auto: 1 when every listener is loopback, else one per core "
              "up to 8.",
      .word = "auto" },
    { "user", CONFIG_TEXT, AT(node_user), 1, 32, NULL,
      .help = "Who to become after binding, when started as root.",
      .usual = "stays root, with a "
      "warning" },
};
const struct config_table config_server_node_table = {
    "node", "This node.", node_rows, sizeof(node_rows) / sizeof(node_rows[0]),
};

static const struct config_row listen_rows[] = {
    { "address", CONFIG_PART, 0, 0, 0, NULL,
      .help = "An address of this host, port 53 unless written.",
      .usual = "required",
      .forms = CONFIG_FORM_TEXT, .forms_help = "an address" },
    { "tls", CONFIG_LATER, 0, 0, 0, NULL, .help = "DNS over TLS." },
    { "https", CONFIG_LATER, 0, 0, 0, NULL, .help = "DNS over HTTPS." },
};
const struct config_table config_server_listen_table = {
    "listen", "Where queries are taken, over UDP and TCP: addresses, or maps.",
    listen_rows, sizeof(listen_rows) / sizeof(listen_rows[0]),
};

static const struct config_row access_rows[] = {
    { "query", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Who may ask for our zones and services: prefixes, `any`, `loopback`.",
      .usual = "[any]",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST,
      .forms_help = "a list of any, loopback and prefixes" },
    { "recursion", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Who may have other names resolved. `loopback`: source and local address are "
              "loopback.",
      .usual = "[loopback]",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST,
      .forms_help = "a list of any, loopback and prefixes" },
    { "transfer", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Who may have whole zones; must be empty so far.",
      .usual = "[]",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST, .forms_help = "a list" },
    { "in_flight", CONFIG_COUNT, AT(in_flight), 64, 1000000, "10000",
      .help = "Most questions that are being asked elsewhere at a time; further ones are refused "
              "with SERVFAIL." },
    { "in_flight_per_client", CONFIG_COUNT, AT(in_flight_per_client), 1, 1000000, "1000",
      .help = "Most of them of one client, so that one that floods does not starve the others." },
    { "rate_limit", CONFIG_LATER, 0, 0, 0, NULL, .help = "Response rate limiting." },
};
const struct config_table config_server_access_table = {
    "access", "Who may ask what.", access_rows, sizeof(access_rows) / sizeof(access_rows[0]),
};

static const struct config_row api_rows[] = {
    { "socket", CONFIG_PATH, AT(api_socket), 1, 0, "/run/leeward/leeward.sock",
      .help = "The Unix socket of the api; `off`: none.",
      .word = "off" },
    { "page", CONFIG_LATER, 0, 0, 0, NULL, .help = "The address of the status page." },
};
const struct config_table config_server_api_table = {
    "api", "How the server is asked and told.", api_rows, sizeof(api_rows) / sizeof(api_rows[0]),
};

static const struct config_choice level_choices[] = {
    { "error", LOG_ERROR, false }, { "warning", LOG_WARNING, false },
    { "info", LOG_INFO, false }, { "debug", LOG_DEBUG, false }, { NULL, 0, false },
};
static const struct config_choice format_choices[] = {
    { "logfmt", LOG_FORMAT_LOGFMT, false }, { "json", LOG_FORMAT_JSON, false }, { NULL, 0, false },
};
static const struct config_choice queries_choices[] = {
    { "off", MODEL_LOG_QUERIES_OFF, false }, { "errors", MODEL_LOG_QUERIES_ERRORS, true },
    { "all", MODEL_LOG_QUERIES_ALL, true }, { NULL, 0, false },
};
static const struct config_row log_rows[] = {
    { "level", CONFIG_CHOICE, AT(log_level), 0, 0, "info",
      .help = "What is written to stderr.",
      .choices = level_choices },
    { "format", CONFIG_CHOICE, AT(log_format), 0, 0, "logfmt",
      .help = "How a line is written.",
      .choices = format_choices },
    { "queries", CONFIG_CHOICE, AT(log_queries), 0, 0, "off",
      .help = "Which queries are written.",
      .choices = queries_choices },
};
const struct config_table config_server_log_table = {
    "log", "One line per event, to stderr.", log_rows, sizeof(log_rows) / sizeof(log_rows[0]),
};

static const struct config_row journal_rows[] = {
    { "size", CONFIG_SIZE, AT(journal_bytes), 64 * KIB, KIB * KIB * KIB, "8MiB",
      .help = "When a file is full and the next one is begun." },
    { "files", CONFIG_COUNT, AT(journal_files), 1, 1000, "4",
      .help = "How many are kept." },
};
#undef AT
const struct config_table config_server_journal_table = {
    "journal", "What happened, in files of the state directory.",
    journal_rows, sizeof(journal_rows) / sizeof(journal_rows[0]),
};
/* clang-format on */

/* Read a section that goes into the model; defaults alone when it is not there. */
static bool read_section(struct config_context *context, const struct config_table *table,
                         const struct config_item *root, struct config_item *out)
{
    if (!config_item_get(root, table->name, out)) {
        config_table_set_defaults(context, table, context->model);
        return false;
    }
    (void)config_table_read(context, table, out, context->model);
    return out->value->kind == CONFIG_NODE_MAP;
}

static const char *host_name(struct config_context *context)
{
    char name[256] = "";

    if (gethostname(name, sizeof(name) - 1) < 0 || name[0] == '\0') {
        return "localhost";
    }
    return arena_strdup(context->arena, name);
}

static void read_node(struct config_context *context, const struct config_item *root)
{
    struct model *model = context->model;
    struct config_item node;
    struct config_item region;

    model->node_region = MODEL_NONE;
    if (read_section(context, &config_server_node_table, root, &node) &&
        config_item_get(&node, "region", &region)) {
        model->node_region = config_region_of_value(context, &region);
        if (model->node_region == MODEL_NONE && model->region_count == 0 &&
            region.value->kind == CONFIG_NODE_SCALAR && !region.value->broken) {
            config_error_value(context, &region, "there are no regions");
        }
    }
    if (model->node_name == NULL) {
        model->node_name = host_name(context);
    }
}

static bool read_listener(struct config_context *context, const struct config_item *item,
                          struct model_listener *listener)
{
    struct config_item address = *item;

    listener->place = config_node_place(item->value);
    if (item->value->kind == CONFIG_NODE_MAP) {
        if (!config_table_read(context, &config_server_listen_table, item, NULL)) {
            return false;
        }
        if (!config_item_get(item, "address", &address)) {
            config_error_key(context, item, "address is required");
            return false;
        }
    }
    return config_address_read(context, &address, CONFIG_ADDRESS_LISTEN, DNS_PORT,
                               &listener->address);
}

static void check_listener(struct config_context *context, const struct config_item *item,
                           size_t index)
{
    const struct model_listener *list = context->model->listeners;
    char text[ADDR_TEXT_MAX];

    for (size_t i = 0; i < index; i++) {
        if (list[i].place.line > 0 && addr_equal(&list[i].address, &list[index].address)) {
            addr_format_port(&list[i].address, text, sizeof(text));
            config_error_value(context, item, "%s is given twice, first in line %u", text,
                               list[i].place.line);
            return;
        }
    }
}

static void read_listen(struct config_context *context, const struct config_item *root)
{
    static const struct addr usual = { .family = ADDR_V4,
                                       .port = DNS_PORT,
                                       .bytes = { 127, 0, 0, 1 } };
    struct model *model = context->model;
    struct config_item listen;
    size_t count = 1;
    bool given = config_item_get(root, "listen", &listen);

    if (given) {
        count = config_item_list_count(&listen);
        if (count == 0 && !listen.value->broken) {
            struct error *err = config_error_key(context, &listen, "there are no addresses");
            error_hint(err, "e.g. listen: [127.0.0.1:53]");
        }
        if (count > MAX_LISTENERS) {
            config_error_key(context, &listen, "more than %d addresses", MAX_LISTENERS);
            return;
        }
    }
    model->listeners = arena_array(context->arena, count, sizeof(*model->listeners));
    model->listener_count = count;
    if (!given) {
        model->listeners[0].address = usual;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct config_item one = config_item_list_at(&listen, i);
        if (read_listener(context, &one, &model->listeners[i])) {
            check_listener(context, &one, i);
        } else {
            model->listeners[i].place.line = 0; /* no address to compare with */
        }
    }
}

/* ------------------------------------------------------------------ access */

static void read_access(struct config_context *context, const struct config_item *root)
{
    struct model *model = context->model;
    struct config_item access;
    struct config_item item;

    model->query.any = true;
    model->recursion.loopback = true;
    if (!read_section(context, &config_server_access_table, root, &access)) {
        return;
    }
    if (config_item_get(&access, "query", &item) && item.value->kind != CONFIG_NODE_MAP) {
        config_acl_read(context, &item, &model->query);
    }
    if (config_item_get(&access, "recursion", &item) && item.value->kind != CONFIG_NODE_MAP) {
        config_acl_read(context, &item, &model->recursion);
    }
    if (config_item_get(&access, "transfer", &item) && item.value->kind != CONFIG_NODE_MAP &&
        config_item_list_count(&item) > 0) {
        struct error *err =
            config_error_node(context, &access, item.key, "transfer is not available yet");
        error_hint(err, "leave it out, or empty: transfer: []");
    }
}

/* ------------------------------------------------------------------ the rest */

static void read_api(struct config_context *context, const struct config_item *root)
{
    const struct model *model = context->model;
    struct config_item api;
    struct config_item path;
    const size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

    if (read_section(context, &config_server_api_table, root, &api) &&
        config_item_get(&api, "socket", &path) && model->api_socket != NULL &&
        strlen(model->api_socket) > most) {
        config_error_value(context, &path, "the path of a socket is at most %zu bytes long", most);
    }
}

void config_server_read(struct config_context *context, const struct config_item *root)
{
    struct config_item ignored;

    read_node(context, root);
    read_listen(context, root);
    read_access(context, root);
    read_api(context, root);
    (void)read_section(context, &config_server_log_table, root, &ignored);
    (void)read_section(context, &config_server_journal_table, root, &ignored);
}
