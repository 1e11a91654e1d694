#include "resolver/cli/cli_query.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "resolver/cli/cli.h"
#include "resolver/cli/cli_api.h"
#include "resolver/cli/cli_dns.h"
#include "resolver/cli/cli_http.h"
#include "resolver/cli/cli_table.h"
#include "resolver/record_text.h"
#include "zones/wire.h"

struct lookup {
    const char *name;
    const char *server_text; /* --server, NULL: the running one */
    uint8_t dname[NAME_MAX_BYTES];
    uint16_t type;
    struct addr server;
    bool tcp;
    bool json;
};

/* ---- whom to ask ---- */

/* A wildcard listener is reached over loopback. */
static void make_reachable(struct addr *addr)
{
    if (!addr_is_any(addr)) {
        return;
    }
    memset(addr->bytes, 0, sizeof(addr->bytes));
    if (addr->family == ADDR_V4) {
        addr->bytes[0] = 127;
        addr->bytes[3] = 1;
    } else {
        addr->bytes[15] = 1;
    }
}

static int find_listener(const struct cli *cli, struct addr *out)
{
    struct text body = { 0 };
    struct error err = { 0 };
    int code = cli_api_call(cli, "GET", "/api/v1/status", CLI_HTTP_TIMEOUT_MS, &body);

    if (code == CLI_DONE) {
        json_t *status = json_loadb(text_string(&body), body.length, 0, NULL);
        const char *first =
            json_string_value(json_array_get(json_object_get(status, "listeners"), 0));
        if (first == NULL || addr_parse(first, 53, out, &err) < 0) {
            (void)fputs("leeward: the server names no listener; use --server\n", stderr);
            code = CLI_NO_SERVER;
        } else {
            make_reachable(out);
        }
        json_decref(status);
    }
    text_fini(&body);
    return code;
}

static int find_server(const struct cli *cli, struct lookup *lookup)
{
    struct error err = { 0 };

    if (lookup->server_text == NULL) {
        return find_listener(cli, &lookup->server);
    }
    if (addr_parse(lookup->server_text, 53, &lookup->server, &err) < 0) {
        return cli_wrong_usage(cli, "--server: %s", err.message);
    }
    return CLI_DONE;
}

/* ---- what came back ---- */

struct shown {
    bool colored;
    json_t *sections[3];
    struct text *out;
};

static void put_record(void *user, unsigned section, uint16_t type, const char *line)
{
    static const char *const titles[] = { "", "authority: ", "additional: " };
    struct shown *shown = user;

    (void)type;
    if (shown->out == NULL) {
        /* not json_string: base/json_writer has one too */
        (void)json_array_append_new(shown->sections[section], json_pack("s", line));
        return;
    }
    struct text titled = { 0 };
    text_printf(&titled, "  %s%s", titles[section], line);
    cli_table_paint(shown->out, shown->colored, section == 0 ? CLI_PAINT_PLAIN : CLI_PAINT_FAINT,
                    text_string(&titled));
    text_put_char(shown->out, '\n');
    text_fini(&titled);
}

static void put_head(const struct lookup *lookup, const struct cli_dns_answer *answer, bool colored,
                     struct text *out)
{
    uint16_t flags = wire_get16(answer->message + 2);
    unsigned rcode = flags & WIRE_RCODE;
    char server[ADDR_TEXT_MAX];
    char scratch[16];

    addr_format_port(&lookup->server, server, sizeof(server));
    cli_table_paint(out, colored, CLI_PAINT_STRONG, lookup->name);
    text_put_char(out, ' ');
    record_text_put_type(out, lookup->type);
    text_put(out, ": ");
    cli_table_paint(out, colored, rcode == WIRE_NOERROR ? CLI_PAINT_GOOD : CLI_PAINT_BAD,
                    record_text_rcode(rcode, scratch));
    text_printf(out, "%s, %u record%s, %.2f ms from %s over %s\n",
                (flags & WIRE_AA) != 0 ? ", authoritative" : "", wire_get16(answer->message + 6),
                wire_get16(answer->message + 6) == 1 ? "" : "s", (double)answer->took_us / 1000.0,
                server, answer->tcp ? "TCP" : "UDP");
}

static int show_text(const struct cli *cli, const struct lookup *lookup,
                     const struct cli_dns_answer *answer)
{
    struct text out = { 0 };
    struct shown shown = { .colored = cli_is_colored(cli, stdout), .out = &out };

    put_head(lookup, answer, shown.colored, &out);
    if (!record_text_walk(answer->message, answer->length, put_record, &shown)) {
        text_put(&out, "  the rest of the message is broken\n");
    }
    int code = cli_write(stdout, &out);
    text_fini(&out);
    return code;
}

static int show_json(const struct lookup *lookup, const struct cli_dns_answer *answer)
{
    uint16_t flags = wire_get16(answer->message + 2);
    struct text type = { 0 };
    char server[ADDR_TEXT_MAX];
    char scratch[16];
    struct shown shown = { .sections = { json_array(), json_array(), json_array() } };

    addr_format_port(&lookup->server, server, sizeof(server));
    record_text_put_type(&type, lookup->type);
    bool sound = record_text_walk(answer->message, answer->length, put_record, &shown);
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:s, s:b, s:b, s:f, s:b, s:o, s:o, s:o}", "name", lookup->name, "type",
        text_string(&type), "server", server, "rcode",
        record_text_rcode(flags & WIRE_RCODE, scratch), "authoritative", (flags & WIRE_AA) != 0,
        "tcp", answer->tcp, "ms", (double)answer->took_us / 1000.0, "sound", sound, "answer",
        shown.sections[0], "authority", shown.sections[1], "additional", shown.sections[2]);
    char *bytes = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(6));
    (void)printf("%s\n", bytes != NULL ? bytes : "{}");
    free(bytes);
    json_decref(root);
    text_fini(&type);
    return fflush(stdout) == 0 ? CLI_DONE : CLI_NO;
}

static int run(const struct cli *cli, struct lookup *lookup)
{
    struct cli_dns_answer answer = { 0 };
    struct error err = { 0 };
    int code = find_server(cli, lookup);

    if (code != CLI_DONE) {
        return code;
    }
    if (cli_dns_ask(&lookup->server, lookup->dname, lookup->type, lookup->tcp, &answer, &err) < 0) {
        cli_print_error(&err);
        return CLI_NO_SERVER;
    }
    code = lookup->json ? show_json(lookup, &answer) : show_text(cli, lookup, &answer);
    if ((wire_get16(answer.message + 2) & WIRE_RCODE) != WIRE_NOERROR) {
        code = CLI_NO;
    }
    free(answer.message);
    return code;
}

static int take_question(const struct cli *cli, char **words, int count, struct lookup *lookup)
{
    struct error err = { 0 };

    lookup->name = words[0];
    lookup->type = WIRE_A;
    if (name_parse(words[0], lookup->dname, &err) <= 0) {
        return cli_wrong_usage(cli, "%s", err.message);
    }
    if (count > 1 && record_text_type(words[1], &lookup->type, &err) < 0) {
        return cli_wrong_usage(cli, "%s", err.message);
    }
    return CLI_DONE;
}

int cli_query_run(struct cli *cli, int argc, char **argv)
{
    static const struct option longs[] = {
        { "json", no_argument, NULL, 'j' },
        { "server", required_argument, NULL, 's' },
        { "tcp", no_argument, NULL, 't' },
        { NULL, 0, NULL, 0 },
    };
    struct lookup lookup = { 0 };
    int option;

    while ((option = cli_option(cli, argc, argv, "js:t", longs)) >= 0) {
        if (option == 's') {
            lookup.server_text = optarg;
        }
        lookup.json = lookup.json || option == 'j';
        lookup.tcp = lookup.tcp || option == 't';
    }
    if (option == CLI_OPTION_EXIT) {
        return cli->exit_code;
    }
    if (!cli_arguments(cli, argc, 1, 2)) {
        return CLI_USAGE;
    }
    int code = take_question(cli, argv + optind, argc - optind, &lookup);
    return code == CLI_DONE ? run(cli, &lookup) : code;
}
