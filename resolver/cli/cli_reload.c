#include "resolver/cli/cli_reload.h"

#include <jansson.h>

#include "resolver/cli/cli.h"
#include "resolver/cli/cli_api.h"

/* New endpoints are probed once before a reload ends. */
#define RELOAD_TIMEOUT_MS 60000u

static int show(const struct cli *cli, const struct text *body, bool json)
{
    if (json) {
        return cli_write(stdout, body);
    }
    json_t *reply = json_loadb(text_string(body), body->length, JSON_REJECT_DUPLICATES, NULL);
    const char *report = json_string_value(json_object_get(reply, "report"));
    if (!cli->quiet) {
        (void)printf("reloaded: generation %lld\n",
                     (long long)json_integer_value(json_object_get(reply, "generation")));
    }
    if (cli->verbose && report != NULL && report[0] != '\0') {
        (void)printf("%s\n", report);
    }
    json_decref(reply);
    return CLI_DONE;
}

int cli_reload_run(struct cli *cli, int argc, char **argv)
{
    static const struct option longs[] = {
        { "json", no_argument, NULL, 'j' },
        { NULL, 0, NULL, 0 },
    };
    struct text body = { 0 };
    bool json = false;
    int option;

    while ((option = cli_option(cli, argc, argv, "j", longs)) >= 0) {
        json = true;
    }
    if (option == CLI_OPTION_EXIT) {
        return cli->exit_code;
    }
    if (!cli_arguments(cli, argc, 0, 0)) {
        return CLI_USAGE;
    }
    int code = cli_api_call(cli, "POST", "/api/v1/reload", RELOAD_TIMEOUT_MS, &body);
    if (code == CLI_DONE) {
        code = show(cli, &body, json);
    }
    text_fini(&body);
    return code;
}
