#include "resolver/cli/cli_push.h"

#include <jansson.h>
#include <string.h>

#include "base/json_writer.h"
#include "resolver/cli/cli.h"
#include "resolver/cli/cli_api.h"
#include "resolver/cli/cli_http.h"
#include "resolver/cli/cli_json.h"

const char cli_push_help[] =
    "Report to a push check how things are: up, degraded or down. TARGET is the check's\n"
    "name, or NAME/ADDRESS for one endpoint; a check that a service writes in place goes\n"
    "by the service's name. The report acts at once and holds for its ttl; when none\n"
    "follows in time the check fails.\n"
    "\n"
    "      --ttl DURATION   how long it holds: 10s, 5m (the check's ttl)\n"
    "      --message TEXT   why, shown where the check is\n"
    "  -j, --json           as the api gives it\n";

struct wish {
    const char *ttl;
    const char *message;
    bool json;
};

static void put_wish(const char *state, const struct wish *wish, struct text *out)
{
    struct json_writer json;

    json_writer_init(&json, out);
    json_writer_object_begin(&json, NULL);
    json_writer_string(&json, "state", state);
    if (wish->ttl != NULL) {
        json_writer_string(&json, "ttl", wish->ttl);
    }
    if (wish->message != NULL) {
        json_writer_string(&json, "message", wish->message);
    }
    json_writer_object_end(&json);
}

/* "queue is up for 30s: 2 probes" */
static int put_report(const struct cli *cli, const json_t *reply, struct text *out)
{
    const char *target = json_string_value(json_object_get(reply, "target"));
    const char *state = json_string_value(json_object_get(reply, "state"));
    unsigned long long probes = cli_json_number(reply, "probes");

    if (!cli->quiet && target != NULL && state != NULL) {
        text_printf(out, "%s is %s for ", target, state);
        text_put_duration(out, cli_json_number(reply, "ttl_ms"));
        text_printf(out, ": %llu probe%s\n", probes, probes == 1 ? "" : "s");
    }
    return CLI_DONE;
}

static int push(struct cli *cli, const char *target, const char *state, const struct wish *wish)
{
    struct text path = { 0 };
    struct text sent = { 0 };
    struct text body = { 0 };

    text_put(&path, "/api/v1/checks/");
    cli_http_put_escaped(&path, target);
    text_put(&path, "/push");
    put_wish(state, wish, &sent);
    int code = cli_api_send(cli, "POST", text_string(&path), &sent, CLI_HTTP_TIMEOUT_MS, &body);
    if (code == CLI_DONE) {
        code = cli_api_show(cli, &body, wish->json, put_report);
    }
    text_fini(&path);
    text_fini(&sent);
    text_fini(&body);
    return code;
}

int cli_push_run(struct cli *cli, int argc, char **argv)
{
    static const struct option longs[] = {
        { "ttl", required_argument, NULL, 512 },
        { "message", required_argument, NULL, 513 },
        { "json", no_argument, NULL, 'j' },
        { NULL, 0, NULL, 0 },
    };
    struct wish wish = { 0 };
    int option;

    while ((option = cli_option(cli, argc, argv, "j", longs)) >= 0) {
        wish.ttl = option == 512 ? optarg : wish.ttl;
        wish.message = option == 513 ? optarg : wish.message;
        wish.json = wish.json || option == 'j';
    }
    if (option == CLI_OPTION_EXIT) {
        return cli->exit_code;
    }
    if (!cli_arguments(cli, argc, 2, 2)) {
        return CLI_USAGE;
    }
    const char *state = argv[optind + 1];
    if (strcmp(state, "up") != 0 && strcmp(state, "degraded") != 0 && strcmp(state, "down") != 0) {
        return cli_wrong_usage(cli, "up, degraded or down, not '%s'", state);
    }
    return push(cli, argv[optind], state, &wish);
}
