#include "resolver/cli/cli_query.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "resolver/cli/cli.h"
#include "resolver/cli/cli_api.h"
#include "resolver/cli/cli_dns.h"
#include "resolver/cli/cli_edns.h"
#include "resolver/cli/cli_http.h"
#include "resolver/cli/cli_table.h"
#include "resolver/record_text.h"
#include "zones/wire.h"
#include "zones/words.h"

struct lookup {
    const char *name;
    const char *server_text; /* --server, NULL: the running one */
    uint8_t dname[NAME_MAX_BYTES];
    uint16_t type;
    struct addr server;
    bool tcp;
    bool explain;
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
        (void)json_array_append_new(shown->sections[section], json_string(line));
        return;
    }
    struct text titled = { 0 };
    text_printf(&titled, "  %s%s", titles[section], line);
    cli_table_paint(shown->out, shown->colored, section == 0 ? CLI_PAINT_PLAIN : CLI_PAINT_FAINT,
                    text_string(&titled));
    text_put_char(shown->out, '\n');
    text_fini(&titled);
}

static const struct {
    uint16_t bit;
    const char *name;
} flag_names[] = {
    { WIRE_AA, "aa" },
    { WIRE_TC, "tc" },
    { WIRE_RA, "ra" },
};
#define FLAG_COUNT (sizeof(flag_names) / sizeof(flag_names[0]))

/* With the bits of OPT: RFC 6891, section 6.1.3. */
static unsigned rcode_of(const struct cli_dns_answer *answer, const struct cli_edns *edns)
{
    return edns->rcode_high << 4 | (wire_get16(answer->message + 2) & WIRE_RCODE);
}

static void put_flags(uint16_t flags, struct text *out)
{
    const char *before = ", flags ";

    for (unsigned i = 0; i < FLAG_COUNT; i++) {
        if ((flags & flag_names[i].bit) != 0) {
            text_printf(out, "%s%s", before, flag_names[i].name);
            before = " ";
        }
    }
}

/* "  extended error 22 (No Reachable Authority): seoul 10.1.0.2:53: no answer" */
static void put_errors(const struct cli_edns *edns, bool colored, struct text *out)
{
    for (size_t i = 0; i < edns->error_count; i++) {
        const struct cli_edns_error *error = &edns->errors[i];
        struct text line = { 0 };
        text_printf(&line, "  extended error %u (%s)", error->code,
                    cli_edns_error_name(error->code));
        text_put(&line, error->text_length > 0 ? ": " : "");
        text_put_bytes(&line, error->text, error->text_length);
        cli_table_paint(out, colored, CLI_PAINT_DOUBT, text_string(&line));
        text_put_char(out, '\n');
        text_fini(&line);
    }
}

static void put_head(const struct lookup *lookup, const struct cli_dns_answer *answer,
                     const struct cli_edns *edns, bool colored, struct text *out)
{
    uint16_t flags = wire_get16(answer->message + 2);
    unsigned rcode = rcode_of(answer, edns);
    char server[ADDR_TEXT_MAX];
    char scratch[WORDS_MAX];

    addr_format_port(&lookup->server, server, sizeof(server));
    cli_table_paint(out, colored, CLI_PAINT_STRONG, lookup->name);
    text_put_char(out, ' ');
    record_text_put_type(out, lookup->type);
    text_put(out, ": ");
    cli_table_paint(out, colored, rcode == WIRE_NOERROR ? CLI_PAINT_GOOD : CLI_PAINT_BAD,
                    words_rcode_name(rcode, scratch));
    put_flags(flags, out);
    text_printf(out, ", %u record%s, %.2f ms from %s over %s\n", wire_get16(answer->message + 6),
                wire_get16(answer->message + 6) == 1 ? "" : "s", (double)answer->took_us / 1000.0,
                server, answer->tcp ? "TCP" : "UDP");
}

static int show_text(const struct cli *cli, const struct lookup *lookup,
                     const struct cli_dns_answer *answer)
{
    struct text out = { 0 };
    struct shown shown = { .colored = cli_is_colored(cli, stdout), .out = &out };
    struct cli_edns edns;

    cli_edns_read(answer->message, answer->length, &edns);
    put_head(lookup, answer, &edns, shown.colored, &out);
    put_errors(&edns, shown.colored, &out);
    if (!record_text_walk(answer->message, answer->length, put_record, &shown)) {
        text_put(&out, "  the rest of the message is broken\n");
    }
    int code = cli_write(stdout, &out);
    text_fini(&out);
    return code;
}

static json_t *pack_flags(uint16_t flags)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < FLAG_COUNT; i++) {
        if ((flags & flag_names[i].bit) != 0) {
            (void)json_array_append_new(list, json_string(flag_names[i].name));
        }
    }
    return list;
}

static json_t *pack_errors(const struct cli_edns *edns)
{
    json_t *list = json_array();

    for (size_t i = 0; i < edns->error_count; i++) {
        const struct cli_edns_error *error = &edns->errors[i];
        json_t *text = json_stringn(error->text, error->text_length);
        if (text == NULL) {
            text = json_null(); /* not UTF-8 */
        }
        (void)json_array_append_new(list,
                                    json_pack("{s:i, s:s, s:o}", "code", error->code, "name",
                                              cli_edns_error_name(error->code), "text", text));
    }
    return list;
}

static int show_json(const struct lookup *lookup, const struct cli_dns_answer *answer)
{
    uint16_t flags = wire_get16(answer->message + 2);
    struct text type = { 0 };
    struct cli_edns edns;
    char server[ADDR_TEXT_MAX];
    char scratch[WORDS_MAX];
    struct shown shown = { .sections = { json_array(), json_array(), json_array() } };

    addr_format_port(&lookup->server, server, sizeof(server));
    record_text_put_type(&type, lookup->type);
    cli_edns_read(answer->message, answer->length, &edns);
    bool sound = record_text_walk(answer->message, answer->length, put_record, &shown);
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:b, s:b, s:f, s:b, s:o, s:o, s:o}", "name", lookup->name,
        "type", text_string(&type), "server", server, "rcode",
        words_rcode_name(rcode_of(answer, &edns), scratch), "flags", pack_flags(flags),
        "extended_errors", pack_errors(&edns), "authoritative", (flags & WIRE_AA) != 0, "tcp",
        answer->tcp, "ms", (double)answer->took_us / 1000.0, "sound", sound, "answer",
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
    const struct cli_dns_question question = {
        .dname = lookup->dname,
        .type = lookup->type,
        .tcp = lookup->tcp,
        .explain = lookup->explain,
    };
    if (cli_dns_ask(&lookup->server, &question, &answer, &err) < 0) {
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
        { "explain", no_argument, NULL, 'e' },
        { "server", required_argument, NULL, 's' },
        { "tcp", no_argument, NULL, 't' },
        { NULL, 0, NULL, 0 },
    };
    struct lookup lookup = { 0 };
    int option;

    while ((option = cli_option(cli, argc, argv, "ejs:t", longs)) >= 0) {
        if (option == 's') {
            lookup.server_text = optarg;
        }
        lookup.json = lookup.json || option == 'j';
        lookup.tcp = lookup.tcp || option == 't';
        lookup.explain = lookup.explain || option == 'e';
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
