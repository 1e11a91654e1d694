#include "resolver/cli/cli_laggards.h"

#include <jansson.h>
#include <stdint.h>

#include "resolver/cli/cli.h"
#include "resolver/cli/cli_api.h"
#include "resolver/cli/cli_http.h"
#include "resolver/cli/cli_json.h"
#include "resolver/cli/cli_table.h"

const char cli_laggards_help[] =
    "Clients whose last answer from the service NAME is not what they would be answered\n"
    "now, as far as they are remembered (`laggards` in the configuration). Those whose\n"
    "TTL has run out come first: they hold on to the old answer.\n"
    "\n"
    "  -j, --json           as the api gives it\n";

static void put_client(const json_t *client, struct cli_table *table)
{
    json_int_t left_ms = json_integer_value(json_object_get(client, "ttl_left_ms"));
    const char *region = cli_json_string(client, "region");
    bool expired = left_ms <= 0;
    struct text ago = { 0 };
    struct text left = { 0 };

    text_put_duration(&ago, cli_json_number(client, "asked_ms_ago"));
    text_put_duration(&left, (unsigned long long)(expired ? -left_ms : left_ms));
    cli_table_add(table, CLI_PAINT_STRONG, "%s", cli_json_string(client, "client"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", cli_json_string(client, "type"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", region[0] == '\0' ? "-" : region);
    cli_table_add(table, CLI_PAINT_PLAIN, "%s ago", text_string(&ago));
    cli_table_add(table, expired ? CLI_PAINT_BAD : CLI_PAINT_PLAIN, "%s%s",
                  expired ? "out since " : "", text_string(&left));
    text_fini(&ago);
    text_fini(&left);
}

static void put_reply(const json_t *reply, bool colored, struct text *out)
{
    static const char *const heads[] = { "CLIENT", "TYPE", "ANSWERED WITH", "ASKED", "TTL LEFT" };
    const json_t *clients = json_object_get(reply, "clients");
    struct cli_table table;

    text_printf(out,
                "%s: of %llu clients remembered %llu go by an older answer, %llu of them "
                "beyond its TTL\n",
                cli_json_string(reply, "service"), cli_json_number(reply, "remembered"),
                cli_json_number(reply, "lagging"), cli_json_number(reply, "expired"));
    if (json_array_size(clients) == 0) {
        return;
    }
    cli_table_init(&table, 5, heads);
    for (size_t i = 0; i < json_array_size(clients); i++) {
        put_client(json_array_get(clients, i), &table);
    }
    cli_table_put(&table, colored, 0, out);
    cli_table_fini(&table);
    if (json_is_true(json_object_get(reply, "cut"))) {
        text_put(out, "there are more\n");
    }
}

static int show(const struct cli *cli, bool json, const struct text *body)
{
    struct text out = { 0 };

    if (json) {
        return cli_write(stdout, body);
    }
    json_t *reply = json_loadb(text_string(body), body->length, 0, NULL);
    if (reply == NULL) {
        (void)fputs("leeward: the server's answer cannot be read\n", stderr);
        return CLI_NO;
    }
    put_reply(reply, cli_is_colored(cli, stdout), &out);
    int code = cli_write(stdout, &out);
    text_fini(&out);
    json_decref(reply);
    return code;
}

int cli_laggards_run(struct cli *cli, int argc, char **argv)
{
    static const struct option longs[] = {
        { "json", no_argument, NULL, 'j' },
        { NULL, 0, NULL, 0 },
    };
    struct text path = { 0 };
    struct text body = { 0 };
    bool json = false;
    int option;

    while ((option = cli_option(cli, argc, argv, "j", longs)) >= 0) {
        json = true;
    }
    if (option == CLI_OPTION_EXIT) {
        return cli->exit_code;
    }
    if (!cli_arguments(cli, argc, 1, 1)) {
        return CLI_USAGE;
    }
    text_put(&path, "/api/v1/laggards?name=");
    cli_http_put_escaped(&path, argv[optind]);
    int code = cli_api_call(cli, "GET", text_string(&path), CLI_HTTP_TIMEOUT_MS, &body);
    if (code == CLI_DONE) {
        code = show(cli, json, &body);
    }
    text_fini(&path);
    text_fini(&body);
    return code;
}
