#include "resolver/cli/cli_override.h"

#include <jansson.h>
#include <string.h>

#include "base/json_writer.h"
#include "resolver/cli/cli.h"
#include "resolver/cli/cli_api.h"
#include "resolver/cli/cli_http.h"
#include "resolver/cli/cli_json.h"
#include "resolver/cli/cli_table.h"

#define OVERRIDES_PATH "/api/v1/overrides"

const char cli_drain_help[] =
    "Take a region, or one service's endpoints in it, out of the answers while anything\n"
    "else is up. TARGET is REGION or REGION/SERVICE (the service by its whole name or its\n"
    "first labels: tokyo/api); globs mean all that fit: 'seoul/*'. Refused when fewer\n"
    "than guards.minimum_regions would stay in, or a service would have no region left.\n"
    "It outlives restarts; `leeward undrain TARGET` ends it.\n"
    "\n"
    "      --reason TEXT    why, for whoever wonders later; required\n"
    "      --for DURATION   ends by itself: 30m, 2h\n"
    "      --force          also where it leaves too little\n"
    "  -j, --json           the overrides in force, as the api gives them\n";

const char cli_undrain_help[] =
    "End a drain, or what is left of a maintenance window.\n"
    "\n"
    "  -j, --json           the overrides in force, as the api gives them\n";

const char cli_force_help[] =
    "Say that TARGET is up or down, whatever its checks say: a REGION, REGION/SERVICE or\n"
    "an endpoint's address. Force ranks above drain and drain above checks; what is\n"
    "forced down is never answered, not even when nothing else is left. It outlives\n"
    "restarts; `leeward release TARGET` ends it.\n"
    "\n"
    "      --reason TEXT    why, for whoever wonders later; required\n"
    "      --for DURATION   ends by itself: 30m, 2h\n"
    "  -j, --json           the overrides in force, as the api gives them\n";

const char cli_release_help[] =
    "Take back what was said of TARGET by drain and force. Of a service whose failback is\n"
    "manual: let its answers return to REGION or REGION/SERVICE.\n"
    "\n"
    "  -j, --json           the overrides in force, as the api gives them\n";

/* What was asked for on the command line. */
struct wish {
    const char *target;
    const char *state; /* NULL: a release */
    const char *reason;
    const char *duration;
    bool force;
    bool json;
};

static bool read_options(struct cli *cli, int argc, char **argv, bool sets, struct wish *wish)
{
    static const struct option all[] = {
        { "json", no_argument, NULL, 'j' },
        { "reason", required_argument, NULL, 512 },
        { "for", required_argument, NULL, 513 },
        { "force", no_argument, NULL, 514 },
        { NULL, 0, NULL, 0 },
    };
    static const struct option few[] = {
        { "json", no_argument, NULL, 'j' },
        { NULL, 0, NULL, 0 },
    };
    int option;

    while ((option = cli_option(cli, argc, argv, "j", sets ? all : few)) >= 0) {
        wish->json = wish->json || option == 'j';
        wish->reason = option == 512 ? optarg : wish->reason;
        wish->duration = option == 513 ? optarg : wish->duration;
        wish->force = wish->force || option == 514;
    }
    return option != CLI_OPTION_EXIT;
}

static void put_when(const json_t *override, struct cli_table *table)
{
    const char *until = json_string_value(json_object_get(override, "until"));

    cli_table_add(table, CLI_PAINT_PLAIN, "%s", until == NULL ? "released" : until);
}

static void put_overrides(const json_t *reply, bool colored, struct text *out)
{
    static const char *const heads[] = { "TARGET", "STATE", "UNTIL", "REASON", "AUTHOR" };
    const json_t *list = json_object_get(reply, "overrides");
    struct cli_table table;

    if (json_array_size(list) == 0) {
        text_put(out, "no override is in force\n");
        return;
    }
    cli_table_init(&table, 5, heads);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        cli_table_add(&table, CLI_PAINT_STRONG, "%s", cli_json_string(o, "target"));
        bool ended = json_is_true(json_object_get(o, "ended_early"));
        cli_table_add(&table, ended ? CLI_PAINT_FAINT : CLI_PAINT_DOUBT, "%s%s",
                      cli_json_string(o, "state"), ended ? " (ended early)" : "");
        put_when(o, &table);
        cli_table_add(&table, CLI_PAINT_PLAIN, "%s", cli_json_string(o, "reason"));
        cli_table_add(&table, CLI_PAINT_FAINT, "%s", cli_json_string(o, "author"));
    }
    cli_table_put(&table, colored, 0, out);
    cli_table_fini(&table);
}

static void warn_of_disk(const json_t *reply)
{
    if (json_is_false(json_object_get(reply, "kept"))) {
        (void)fputs("leeward: warning: it could not be written to disk and ends with the server; "
                    "its log says why\n",
                    stderr);
    }
}

static int put_reply(const struct cli *cli, const json_t *reply, struct text *out)
{
    warn_of_disk(reply);
    if (!cli->quiet) {
        put_overrides(reply, cli_is_colored(cli, stdout), out);
    }
    return CLI_DONE;
}

/* What was released is not in the list, or never was: answers may return (failback: manual). */
static int put_released(const struct cli *cli, const json_t *reply, struct text *out)
{
    bool is_last = json_array_size(json_object_get(reply, "overrides")) == 0;

    warn_of_disk(reply);
    if (!cli->quiet) {
        text_put(out,
                 is_last ? "released; no override is in force\n" : "released; still in force:\n");
    }
    if (!cli->quiet && !is_last) {
        put_overrides(reply, cli_is_colored(cli, stdout), out);
    }
    return CLI_DONE;
}

static void put_wish(const struct wish *wish, struct text *out)
{
    struct json_writer json;

    json_writer_init(&json, out);
    json_writer_object_begin(&json, NULL);
    json_writer_string(&json, "target", wish->target);
    json_writer_string(&json, "state", wish->state);
    json_writer_string(&json, "reason", wish->reason);
    if (wish->duration != NULL) {
        json_writer_string(&json, "for", wish->duration);
    }
    json_writer_bool(&json, "force", wish->force);
    json_writer_object_end(&json);
}

static int set(struct cli *cli, const struct wish *wish)
{
    struct text sent = { 0 };
    struct text body = { 0 };

    if (wish->reason == NULL || wish->reason[0] == '\0') {
        return cli_wrong_usage(cli, "--reason is required: whoever wonders later will be glad");
    }
    put_wish(wish, &sent);
    int code = cli_api_send(cli, "POST", OVERRIDES_PATH, &sent, CLI_HTTP_TIMEOUT_MS, &body);
    if (code == CLI_DONE) {
        code = cli_api_show(cli, &body, wish->json, put_reply);
    }
    text_fini(&sent);
    text_fini(&body);
    return code;
}

static int release(const struct cli *cli, const struct wish *wish, const char *kind)
{
    struct text path = { 0 };
    struct text body = { 0 };

    text_put(&path, OVERRIDES_PATH "/");
    cli_http_put_escaped(&path, wish->target);
    text_printf(&path, "%s%s", kind == NULL ? "" : "?type=", kind == NULL ? "" : kind);
    int code = cli_api_call(cli, "DELETE", text_string(&path), CLI_HTTP_TIMEOUT_MS, &body);
    if (code == CLI_DONE) {
        code = cli_api_show(cli, &body, wish->json, put_released);
    }
    text_fini(&path);
    text_fini(&body);
    return code;
}

int cli_drain_run(struct cli *cli, int argc, char **argv)
{
    struct wish wish = { .state = "drain" };

    if (!read_options(cli, argc, argv, true, &wish)) {
        return cli->exit_code;
    }
    if (!cli_arguments(cli, argc, 1, 1)) {
        return CLI_USAGE;
    }
    wish.target = argv[optind];
    return set(cli, &wish);
}

int cli_force_run(struct cli *cli, int argc, char **argv)
{
    struct wish wish = { 0 };

    if (!read_options(cli, argc, argv, true, &wish)) {
        return cli->exit_code;
    }
    if (!cli_arguments(cli, argc, 2, 2)) {
        return CLI_USAGE;
    }
    wish.state = argv[optind];
    wish.target = argv[optind + 1];
    if (strcmp(wish.state, "up") != 0 && strcmp(wish.state, "down") != 0) {
        return cli_wrong_usage(cli, "up or down, not '%s'", wish.state);
    }
    return set(cli, &wish);
}

static int run_release(struct cli *cli, int argc, char **argv, const char *kind)
{
    struct wish wish = { 0 };

    if (!read_options(cli, argc, argv, false, &wish)) {
        return cli->exit_code;
    }
    if (!cli_arguments(cli, argc, 1, 1)) {
        return CLI_USAGE;
    }
    wish.target = argv[optind];
    return release(cli, &wish, kind);
}

int cli_undrain_run(struct cli *cli, int argc, char **argv)
{
    return run_release(cli, argc, argv, "drain");
}

int cli_release_run(struct cli *cli, int argc, char **argv)
{
    return run_release(cli, argc, argv, NULL);
}
