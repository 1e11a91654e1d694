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

static int put_reply(const struct cli *cli, const json_t *reply, struct text *out)
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
        return CLI_DONE;
    }
    cli_table_init(&table, 5, heads);
    for (size_t i = 0; i < json_array_size(clients); i++) {
        put_client(json_array_get(clients, i), &table);
    }
    cli_table_put(&table, cli_is_colored(cli, stdout), 0, out);
    cli_table_fini(&table);
    if (json_is_true(json_object_get(reply, "cut"))) {
        text_put(out, "there are more\n");
    }
    return CLI_DONE;
}

int cli_laggards_run(struct cli *cli, int argc, char **argv)
{
    struct text path = { 0 };
    struct text body = { 0 };
    bool json;

    if (!cli_json_option(cli, argc, argv, 1, 1, &json)) {
        return cli->exit_code;
    }
    text_put(&path, "/api/v1/laggards?name=");
    cli_http_put_escaped(&path, argv[optind]);
    int code = cli_api_call(cli, "GET", text_string(&path), CLI_HTTP_TIMEOUT_MS, &body);
    if (code == CLI_DONE) {
        code = cli_api_show(cli, &body, json, put_reply);
    }
    text_fini(&path);
    text_fini(&body);
    return code;
}
