#include "policy/config_check_kinds.h"

#include <errno.h>
#include <string.h>

#include "policy/config_address.h"
#include "policy/config_check_parts.h"
#include "zones/name.h"
#include "zones/wire.h"
#include "zones/words.h"

#define DNS_PORT     53  /* RFC 1035, section 4.2 */
#define TLS_PORT     853 /* RFC 7858, section 3.1 */
#define TLS_PROTOCOL "dot"
#define RANDOM_WORD  "{random}"

enum transport {
    TRANSPORT_UDP,
    TRANSPORT_TCP,
    TRANSPORT_TLS,
};

/* What is written before it goes into the model. */
struct written {
    const char *name;
    const char *type;
    uint16_t port; /* 0: that of the transport */
    unsigned transport;
};

/* clang-format off */
static const struct config_row expect_rows[] = {
    { "rcode", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The response code that passes.",
      .usual = "NOERROR with data",
      .forms = CONFIG_FORM_TEXT, .forms_help = "a response code such as NOERROR" },
    { "address", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Addresses that must all be in the answer.",
      .usual = "any data",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST, .forms_help = "an address or a list of them" },
    { "match", CONFIG_PART, 0, 0, 0, NULL,
      .help = "A POSIX extended regular expression that some record of the answer must match, its "
              "data written as in a zone file.",
      .usual = "any data",
      .forms = CONFIG_FORM_TEXT, .forms_help = "a regular expression" },
};
static const struct config_table expect_table = {
    "checks.NAME.dns.expect", "What a good answer holds.",
    expect_rows, sizeof(expect_rows) / sizeof(expect_rows[0]),
};

static const struct config_choice transport_choices[] = {
    { "udp", TRANSPORT_UDP, false },
    { "tcp", TRANSPORT_TCP, false },
    { "tls", TRANSPORT_TLS, false },
    { NULL, 0, false },
};

#define AT(member) offsetof(struct written, member)
static const struct config_row dns_rows[] = {
    { "server", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The DNS server to ask, port 53 unless written, with tls 853; of a region's check "
              "required.",
      .usual = "the endpoint",
      .forms = CONFIG_FORM_TEXT, .forms_help = "an address" },
    { "name", CONFIG_TEXT, AT(name), 1, 1000, CONFIG_REQUIRED,
      .help = "The name to ask for; `{random}` in it is replaced anew in each probe, against "
              "caches.",
      .example = "a name that always exists, e.g. name: canary.corp.example" },
    { "type", CONFIG_TEXT, AT(type), 1, 16, "A",
      .help = "The type to ask for, by name or as TYPE123." },
    { "transport", CONFIG_CHOICE, AT(transport), 0, 0, "udp",
      .help = "How it is asked.",
      .usual = "udp; with tls: tls",
      .choices = transport_choices },
    { "port", CONFIG_PORT, AT(port), 1, 65535, NULL,
      .help = "The port of an endpoint that is written without one.",
      .usual = "53, with tls 853" },
    { "tls", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Ask over TLS: on, the name in the certificate, or a map.",
      .usual = "off",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_MAP, .forms_help = "on, a name or a map",
      .part = &config_check_tls_table },
    { "expect", CONFIG_PART, 0, 0, 0, NULL,
      .help = "What a good answer holds.",
      .usual = "NOERROR with data",
      .forms = CONFIG_FORM_MAP, .forms_help = "a map", .part = &expect_table },
};
#undef AT
/* clang-format on */

const struct config_table config_check_dns_table = {
    "checks.NAME.dns",
    "Asks a DNS server. NXDOMAIN or no data where data is expected counts as `misconfigured`, not "
    "as down.",
    dns_rows,
    sizeof(dns_rows) / sizeof(dns_rows[0]),
};

/* A word in braces that is not replaced would be asked for as it stands. */
static int refuse_word(const char *name, struct error *err)
{
    const char *open = strchr(name, '{');

    if (open == NULL) {
        return 0;
    }
    (void)error_set(err, -EINVAL, "unknown word '%.*s'", (int)strcspn(open, "}.") + 1, open);
    error_hint(err, "only " RANDOM_WORD " stands for something in a name");
    return err->code;
}

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
    bool valid = refuse_word(text_string(&text), err) == 0 &&
                 name_parse(text_string(&text), dname, err) >= 0;
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
    } else if (check->expect_rcode != 0 && check->expect_pattern != NULL) {
        config_error_value(context, &item, "an answer of %s holds no data to match", text);
    }
}

static void read_expected(struct config_context *context, const struct config_item *expect,
                          bool has_type, struct model_check *check)
{
    (void)config_table_read(context, &expect_table, expect, NULL);
    if (has_type) {
        read_expected_addresses(context, expect, check);
    }
    check->expect_pattern = config_check_read_pattern(context, expect, "match");
    read_expected_rcode(context, expect, check);
}

/* `tls` alone says it all; it must not contradict what is said of the transport. */
static void read_transport(struct config_context *context, const struct config_item *kind,
                           struct written *written, struct model_check *check)
{
    struct config_item transport;
    struct config_item tls;
    bool given = config_item_get(kind, "transport", &transport);

    if (config_item_get(kind, "tls", &tls) && tls.value->kind != CONFIG_NODE_LIST) {
        config_check_read_tls(context, &tls, TLS_PROTOCOL, check);
    } else if (written->transport == TRANSPORT_TLS) {
        config_check_set_tls(context, TLS_PROTOCOL, check);
    }
    if (check->tls != NULL && given && written->transport != TRANSPORT_TLS) {
        struct error *err = config_error_key(context, &tls, "transport is not tls");
        error_hint(err, "write transport: tls, or leave it out");
    } else if (check->tls == NULL && written->transport == TRANSPORT_TLS) {
        config_error_value(context, &transport, "tls is off");
    }
    if (check->tls != NULL) {
        written->transport = TRANSPORT_TLS;
    }
    check->over_tcp = written->transport != TRANSPORT_UDP;
}

void config_check_read_dns(struct config_context *context, const struct config_item *kind,
                           struct model_check *check)
{
    struct written written = { 0 };
    struct config_item item;
    struct error err;

    check->kind = MODEL_CHECK_DNS;
    (void)config_table_read(context, &config_check_dns_table, kind, &written);
    read_transport(context, kind, &written, check);
    uint16_t port = check->tls != NULL ? TLS_PORT : DNS_PORT;
    (void)config_check_read_server(context, kind, port, check);
    check->port = written.port != 0 ? written.port : port;
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
        read_expected(context, &item, good, check);
    }
}
