#include "policy/config_check_kinds.h"

#include <string.h>

#include "policy/config_check_parts.h"

#define HTTPS_PORT     443
#define TEXT_MAX_BYTES 4096

struct tcp_written {
    uint16_t port;
};

struct handshake_written {
    uint16_t port;
    struct config_check_tls tls;
};

/* clang-format off */
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
    { "send", CONFIG_PART, 0, 0, 0, NULL,
      .help = "A text to send once connected, up to 4096 bytes; in double quotes `\\r\\n` ends a "
              "line.",
      .usual = "nothing",
      .forms = CONFIG_FORM_TEXT, .forms_help = "a text" },
    { "expect", CONFIG_PART, 0, 0, 0, NULL,
      .help = "A text that must be in what comes back.",
      .usual = "nothing need come",
      .forms = CONFIG_FORM_TEXT, .forms_help = "a text" },
    { "tls", CONFIG_PART, 0, 0, 0, NULL,
      .help = "Secure the connection first: on, the name in the certificate, or a map.",
      .usual = "off",
      .forms = CONFIG_FORM_TEXT | CONFIG_FORM_MAP, .forms_help = "on, a name or a map",
      .part = &config_check_tls_table },
};
#undef AT

static const struct config_row handshake_rows[] = {
    { "server", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The address to connect to; of a region's check required.",
      .usual = "the endpoint",
      .forms = CONFIG_FORM_TEXT, .forms_help = "an address" },
    { "port", CONFIG_PORT, offsetof(struct handshake_written, port), 1, 65535, NULL,
      .help = "The port to connect to; an endpoint or server written with a port is probed "
              "there.",
      .usual = "443" },
    CONFIG_CHECK_TLS_ROWS(struct handshake_written),
};

static const struct config_row icmp_rows[] = {
    { "server", CONFIG_PART, 0, 0, 0, NULL,
      .help = "The address to send to; of a region's check required.",
      .usual = "the endpoint",
      .forms = CONFIG_FORM_TEXT, .forms_help = "an address without a port" },
};
/* clang-format on */

const struct config_table config_check_tcp_table = {
    "checks.NAME.tcp",
    "Opens a TCP connection, and talks over it if told to.",
    tcp_rows,
    sizeof(tcp_rows) / sizeof(tcp_rows[0]),
};

const struct config_table config_check_handshake_table = {
    "checks.NAME.tls",
    "Makes a TLS handshake; the certificate must be good.",
    handshake_rows,
    sizeof(handshake_rows) / sizeof(handshake_rows[0]),
};

const struct config_table config_check_icmp_table = {
    "checks.NAME.icmp",
    "Sends an ICMP echo. It needs a raw socket, so a start as root, or a group within "
    "net.ipv4.ping_group_range.",
    icmp_rows,
    sizeof(icmp_rows) / sizeof(icmp_rows[0]),
};

void config_check_read_tcp(struct config_context *context, const struct config_item *kind,
                           struct model_check *check)
{
    struct tcp_written written = { 0 };
    struct config_item tls;

    check->kind = MODEL_CHECK_TCP;
    bool good = config_table_read(context, &config_check_tcp_table, kind, &written);
    good = config_check_read_server(context, kind, 0, check) && good;
    config_check_settle_port(context, kind, written.port, good, check);
    check->send = config_check_read_text(context, kind, "send", TEXT_MAX_BYTES);
    check->send_size = check->send == NULL ? 0 : strlen(check->send);
    check->expect = config_check_read_text(context, kind, "expect", TEXT_MAX_BYTES);
    if (config_item_get(kind, "tls", &tls) && tls.value->kind != CONFIG_NODE_LIST) {
        config_check_read_tls(context, &tls, NULL, check);
    }
}

void config_check_read_handshake(struct config_context *context, const struct config_item *kind,
                                 struct model_check *check)
{
    struct handshake_written written = { 0 };

    check->kind = MODEL_CHECK_TLS;
    (void)config_table_read(context, &config_check_handshake_table, kind, &written);
    uint16_t port = written.port != 0 ? written.port : HTTPS_PORT;
    (void)config_check_read_server(context, kind, port, check);
    check->port = port;
    config_check_settle_tls(context, kind, &written.tls, NULL, check);
}

void config_check_read_icmp(struct config_context *context, const struct config_item *kind,
                            struct model_check *check)
{
    struct config_item server;

    check->kind = MODEL_CHECK_ICMP;
    (void)config_table_read(context, &config_check_icmp_table, kind, NULL);
    if (config_check_read_server(context, kind, 0, check) && check->server.port != 0 &&
        config_item_get(kind, "server", &server)) {
        config_error_value(context, &server, "an echo has no port");
    }
}
