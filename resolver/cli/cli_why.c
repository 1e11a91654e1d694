#include "resolver/cli/cli_why.h"

#include <jansson.h>

#include "resolver/cli/cli.h"
#include "resolver/cli/cli_api.h"
#include "resolver/cli/cli_http.h"
#include "resolver/cli/cli_why_text.h"

static void put_argument(const char *key, const char *value, struct text *out)
{
    if (value != NULL) {
        text_printf(out, "&%s=", key);
        cli_http_put_escaped(out, value);
    }
}

static void put_target(const char *name, const char *type, const char *client, const char *ecs,
                       const char *listener, struct text *out)
{
    text_put(out, "/api/v1/why?name=");
    cli_http_put_escaped(out, name);
    put_argument("type", type, out);
    put_argument("client", client, out);
    put_argument("ecs", ecs, out);
    put_argument("listener", listener, out);
}

static int put_why(const struct cli *cli, const json_t *why, struct text *out)
{
    const struct cli_why_view view = { .colored = cli_is_colored(cli, stdout),
                                       .all = cli->verbose };

    cli_why_text_put(why, &view, out);
    return CLI_DONE;
}

int cli_why_run(struct cli *cli, int argc, char **argv)
{
    static const struct option longs[] = {
        { "json", no_argument, NULL, 'j' },
        { "client", required_argument, NULL, 512 },
        { "ecs", required_argument, NULL, 513 },
        { "listener", required_argument, NULL, 514 },
        { NULL, 0, NULL, 0 },
    };
    const char *client = NULL;
    const char *ecs = NULL;
    const char *listener = NULL;
    bool json = false;
    int option;

    while ((option = cli_option(cli, argc, argv, "j", longs)) >= 0) {
        if (option == 'j') {
            json = true;
        } else if (option == 512) {
            client = optarg;
        } else if (option == 513) {
            ecs = optarg;
        } else {
            listener = optarg;
        }
    }
    if (option == CLI_OPTION_EXIT) {
        return cli->exit_code;
    }
    if (!cli_arguments(cli, argc, 1, 2)) {
        return CLI_USAGE;
    }
    struct text target = { 0 };
    struct text body = { 0 };
    put_target(argv[optind], optind + 1 < argc ? argv[optind + 1] : NULL, client, ecs, listener,
               &target);
    int code = cli_api_call(cli, "GET", text_string(&target), CLI_HTTP_TIMEOUT_MS, &body);
    if (code == CLI_DONE) {
        code = cli_api_show(cli, &body, json, put_why);
    }
    text_fini(&target);
    text_fini(&body);
    return code;
}
