#include "resolver/cli/cli_history.h"

#include <jansson.h>

#include "resolver/cli/cli.h"
#include "resolver/cli/cli_api.h"
#include "resolver/cli/cli_http.h"
#include "resolver/cli/cli_json.h"
#include "resolver/cli/cli_table.h"

#define HISTORY_TIMEOUT_MS 30000u

const char cli_history_help[] =
    "What happened, oldest first, from the journal: transitions of checks, regions and\n"
    "services, overrides and who made them, reloads, decisions of guards. With TARGET\n"
    "only what happened to things with that text in their name.\n"
    "\n"
    "      --since WHEN     a duration back (1h, 2d) or a time (2026-11-22T08:19:00Z)\n"
    "  -j, --json           as the api gives it\n";

static void add_change(const json_t *entry, struct cli_table *table)
{
    const char *from = cli_json_string(entry, "from");
    const char *to = cli_json_string(entry, "to");

    if (from[0] != '\0' && to[0] != '\0') {
        cli_table_add(table, CLI_PAINT_STRONG, "%s -> %s", from, to);
    } else {
        cli_table_add(table, CLI_PAINT_STRONG, "%s%s", from, to);
    }
}

static int put_entries(const struct cli *cli, const json_t *reply, struct text *out)
{
    static const char *const heads[] = { "TIME", "KIND", "TARGET", "CHANGE", "REASON" };
    const json_t *entries = json_object_get(reply, "entries");
    struct cli_table table;

    if (json_array_size(entries) == 0) {
        text_put(out, "nothing happened\n");
        return CLI_DONE;
    }
    cli_table_init(&table, 5, heads);
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        const char *author = cli_json_string(entry, "author");
        cli_table_add(&table, CLI_PAINT_FAINT, "%s", cli_json_string(entry, "time"));
        cli_table_add(&table, CLI_PAINT_PLAIN, "%s", cli_json_string(entry, "kind"));
        cli_table_add(&table, CLI_PAINT_PLAIN, "%s", cli_json_string(entry, "target"));
        add_change(entry, &table);
        cli_table_add(&table, CLI_PAINT_PLAIN, "%s%s%s%s", cli_json_string(entry, "reason"),
                      author[0] == '\0' ? "" : " (", author, author[0] == '\0' ? "" : ")");
    }
    cli_table_put(&table, cli_is_colored(cli, stdout), 0, out);
    cli_table_fini(&table);
    if (json_is_true(json_object_get(reply, "cut"))) {
        text_put(out, "older ones are not shown; ask with --since or a TARGET for fewer\n");
    }
    return CLI_DONE;
}

static void put_target(const char *since, const char *target, struct text *out)
{
    text_put(out, "/api/v1/history");
    if (since != NULL) {
        text_put(out, "?since=");
        cli_http_put_escaped(out, since);
    }
    if (target != NULL) {
        text_put(out, since == NULL ? "?target=" : "&target=");
        cli_http_put_escaped(out, target);
    }
}

int cli_history_run(struct cli *cli, int argc, char **argv)
{
    static const struct option longs[] = {
        { "json", no_argument, NULL, 'j' },
        { "since", required_argument, NULL, 512 },
        { NULL, 0, NULL, 0 },
    };
    struct text path = { 0 };
    struct text body = { 0 };
    const char *since = NULL;
    bool json = false;
    int option;

    while ((option = cli_option(cli, argc, argv, "j", longs)) >= 0) {
        json = json || option == 'j';
        since = option == 512 ? optarg : since;
    }
    if (option == CLI_OPTION_EXIT) {
        return cli->exit_code;
    }
    if (!cli_arguments(cli, argc, 0, 1)) {
        return CLI_USAGE;
    }
    put_target(since, optind < argc ? argv[optind] : NULL, &path);
    int code = cli_api_call(cli, "GET", text_string(&path), HISTORY_TIMEOUT_MS, &body);
    if (code == CLI_DONE) {
        code = cli_api_show(cli, &body, json, put_entries);
    }
    text_fini(&path);
    text_fini(&body);
    return code;
}
