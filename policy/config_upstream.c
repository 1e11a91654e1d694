#include "policy/config_upstream.h"

#include <string.h>

#include "base/arena.h"
#include "policy/config_address.h"
#include "policy/config_print.h"
#include "policy/config_region.h"
#include "policy/config_tls.h"
#include "policy/config_value.h"

#define DNS_PORT  53  /* RFC 1035, section 4.2 */
#define TLS_PORT  853 /* RFC 7858, section 3.1 */
#define MAX_QUERY 60000000 /* a million a second */

#define TLS_PROTOCOL "dot" /* for ALPN, as IANA lists it */
#define WHOSE        "the resolver's"

/* clang-format off */
#define AT(member) offsetof(struct tls_settings, member)
static const struct config_row tls_rows[] = {
    { "name", CONFIG_TEXT, AT(name), 1, 253, NULL,
      .help = "The name that must be in its certificate; the authorities are checked too.",
      .usual = "required unless pins" },
    { "pins", CONFIG_PART, 0, 0, 0, NULL,
      .help = "SHA-256 of public keys, base64 or hexadecimal; with a name one of them must be in "
              "its chain of certificates, without one they alone decide and one must be its own.",
      .usual = "none",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST, .forms_help = "a pin or a list of them" },
    { "ca_file", CONFIG_PATH, AT(ca_file), 1, 0, NULL,
      .help = "The authorities that are trusted, PEM.",
      .usual = "the system's" },
};
#undef AT
static const struct config_table tls_table = {
    "forward.NAME.upstreams.tls", "DNS over TLS (RFC 7858): the name in the certificate, or a map.",
    tls_rows, sizeof(tls_rows) / sizeof(tls_rows[0]),
};

#define AT(member) offsetof(struct model_upstream, member)
static const struct config_row upstream_rows[] = {
    { "address", CONFIG_PART, 0, 0, 0, CONFIG_REQUIRED,
      .help = "The resolver to ask, port 53 unless written; with tls 853.",
      .example = "e.g. {address: 10.1.0.2}",
      .forms = CONFIG_FORM_TEXT, .forms_help = "an address" },
    { "region", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Where it stands; `public`: outside the company, asked last.",
      .usual = "none",
      .forms = CONFIG_FORM_TEXT, .forms_help = "the name of a region" },
    { "tls", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Ask over TLS: the name in its certificate, or a map.",
      .usual = "none",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_MAP, .forms_help = "a name or a map",
      .part = &tls_table },
    { "tcp", CONFIG_BOOL, AT(tcp), 0, 0, "false",
      .help = "Never ask over UDP." },
    { "max_queries", CONFIG_RATE, AT(max_queries_per_minute), 1, MAX_QUERY, NULL,
      .help = "Most queries it is sent; what is beyond goes to the next one. Cloud resolvers drop "
              "above about 1,000/s.",
      .usual = "no limit" },
    { "source", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The own address that it is asked from.",
      .usual = "the system's choice",
      .forms = CONFIG_FORM_TEXT, .forms_help = "an address without a port" },
};
#undef AT
/* clang-format on */

const struct config_table config_upstream_table = {
    "forward.NAME.upstreams",
    "A resolver to ask: an address, or a map.",
    upstream_rows,
    sizeof(upstream_rows) / sizeof(upstream_rows[0]),
};

/* ------------------------------------------------------------------ tls */

static bool read_tls_map(struct config_context *context, const struct config_item *item,
                         struct tls_settings *tls)
{
    struct config_item child;
    bool good = config_table_read(context, &tls_table, item, tls);

    good = config_tls_read_trust(context, item, tls) && good;
    if (tls->name != NULL && config_item_get(item, "name", &child)) {
        good = config_tls_check_subject(context, &child, tls->name, WHOSE) && good;
    }
    if (good && tls->name == NULL && tls->pin_count > 0 &&
        config_item_get(item, "ca_file", &child)) {
        struct error *err = config_error_key(context, &child, "is of no use without a name");
        error_hint(err, "pins alone decide; give the name in its certificate, or take this out");
        good = false;
    }
    if (good && tls->name == NULL && tls->pin_count == 0) {
        struct error *err = config_error_key(context, item, "a name or pins are required");
        error_hint(err, "what tells the right server, e.g. tls: cloudflare-dns.com");
        good = false;
    }
    return good;
}

static bool read_tls(struct config_context *context, const struct config_item *item,
                     struct model_upstream *upstream)
{
    struct tls_settings *tls = arena_alloc(context->arena, sizeof(*tls));
    struct error ignored;
    bool on;

    upstream->tls = tls;
    tls->protocol = TLS_PROTOCOL;
    if (item->value->kind == CONFIG_NODE_MAP || config_node_is_empty(item->value)) {
        return read_tls_map(context, item, tls);
    }
    const char *text = config_table_scalar(context, item);
    if (text == NULL) {
        return false;
    }
    if (config_value_bool(text, &on, &ignored) == 0) {
        upstream->tls = NULL;
        if (on) {
            struct error *err = config_error_value(context, item, "a name is required");
            error_hint(err, "the name in its certificate, e.g. tls: cloudflare-dns.com");
        }
        return !on;
    }
    tls->name = arena_strdup(context->arena, text);
    return config_tls_check_subject(context, item, text, WHOSE);
}

/* ------------------------------------------------------------------ upstream */

static bool read_region(struct config_context *context, const struct config_item *item,
                        struct model_upstream *upstream)
{
    if (item->value->kind == CONFIG_NODE_SCALAR && strcmp(item->value->text, "public") == 0) {
        upstream->region = MODEL_PUBLIC;
        return true;
    }
    upstream->region = config_region_of_value(context, item);
    if (context->model->region_count == 0 && item->value->kind == CONFIG_NODE_SCALAR &&
        !item->value->broken && !config_node_is_empty(item->value)) {
        struct error *err = config_error_value(context, item, "there are no regions");
        error_hint(err, "name it in the section regions, or leave it out here");
    }
    return upstream->region != MODEL_NONE;
}

static bool read_source(struct config_context *context, const struct config_item *item,
                        struct model_upstream *upstream)
{
    upstream->has_source =
        config_address_read(context, item, CONFIG_ADDRESS_SOURCE, 0, &upstream->source);
    return upstream->has_source;
}

static bool check_families(struct config_context *context, const struct config_item *item,
                           const struct model_upstream *upstream)
{
    struct config_item source;

    if (!upstream->has_source || upstream->source.family == upstream->address.family ||
        !config_item_get(item, "source", &source)) {
        return true;
    }
    bool v4 = upstream->source.family == ADDR_V4;
    config_error_value(context, &source, "%s is IPv%d, but the upstream's address is IPv%d",
                       source.value->text, v4 ? 4 : 6, v4 ? 6 : 4);
    return false;
}

/* The keys of the map but its address; all are looked at, for their errors. */
static bool read_keys(struct config_context *context, const struct config_item *item,
                      struct model_upstream *upstream)
{
    struct config_item child;
    bool good = config_table_read(context, &config_upstream_table, item, upstream);

    if (config_item_get(item, "region", &child)) {
        good = read_region(context, &child, upstream) && good;
    }
    if (config_item_get(item, "tls", &child) && child.value->kind != CONFIG_NODE_LIST) {
        good = read_tls(context, &child, upstream) && good;
    }
    if (config_item_get(item, "source", &child) && child.value->kind == CONFIG_NODE_SCALAR) {
        good = read_source(context, &child, upstream) && good;
    }
    return good;
}

bool config_upstream_read(struct config_context *context, const struct config_item *item,
                          struct model_upstream *upstream)
{
    struct config_item address = *item;
    bool good = true;

    upstream->region = MODEL_NONE;
    if (item->value->kind == CONFIG_NODE_MAP) {
        good = read_keys(context, item, upstream);
        if (!config_item_get(item, "address", &address)) {
            return false;
        }
    }
    uint16_t port = upstream->tls != NULL ? TLS_PORT : DNS_PORT;
    return config_address_read(context, &address, CONFIG_ADDRESS_SERVER, port,
                               &upstream->address) &&
           check_families(context, item, upstream) && good;
}

void config_upstream_put(const struct model *model, const struct model_upstream *upstream,
                         struct text *out)
{
    text_put_char(out, '{');
    if (upstream->region != MODEL_NONE) {
        text_put(out, "region: ");
        config_print_scalar(
            upstream->region == MODEL_PUBLIC ? "public" : model->regions[upstream->region].name,
            out);
        text_put(out, ", ");
    }
    text_put(out, "address: ");
    config_print_address(&upstream->address, out);
    if (upstream->tls != NULL) {
        text_put(out, ", tls: {");
        config_tls_put(upstream->tls, out);
        text_put_char(out, '}');
    }
    text_put(out, upstream->tcp ? ", tcp: true" : "");
    if (upstream->max_queries_per_minute > 0) {
        text_put(out, ", max_queries: ");
        config_value_put_rate(upstream->max_queries_per_minute, out);
    }
    if (upstream->has_source) {
        text_put(out, ", source: ");
        config_print_address(&upstream->source, out);
    }
    text_put_char(out, '}');
}
