#include "resolver/cli/cli_reload.h"

#include <jansson.h>

#include "resolver/cli/cli.h"
#include "resolver/cli/cli_api.h"

/* New endpoints are probed once before a reload ends. */
#define RELOAD_TIMEOUT_MS 60000u

static void put_count(const json_t *reply, const char *before, const char *key, const char *one,
                      struct text *out)
{
    const json_t *count = json_object_get(reply, key);

    if (json_is_integer(count)) {
        text_printf(out, "%s%lld %s%s", before, (long long)json_integer_value(count), one,
                    json_integer_value(count) == 1 ? "" : "s");
    }
}

/* "reloaded leeward.yaml: generation 4: 12 services, 3 regions, 1 zone" */
static void put_reloaded(const json_t *reply, struct text *out)
{
    const char *config = json_string_value(json_object_get(reply, "config"));

    text_printf(out, "reloaded%s%s: generation %lld", config != NULL ? " " : "",
                config != NULL ? config : "",
                (long long)json_integer_value(json_object_get(reply, "generation")));
    put_count(reply, ": ", "services", "service", out);
    put_count(reply, ", ", "regions", "region", out);
    put_count(reply, ", ", "zones", "zone", out);
    text_put_char(out, '\n');
}

static int show(const struct cli *cli, const struct text *body, bool json)
{
    if (json) {
        return cli_write(stdout, body);
    }
    json_t *reply = json_loadb(text_string(body), body->length, JSON_REJECT_DUPLICATES, NULL);
    struct text out = { 0 };
    int code = CLI_DONE;

    if (!cli->quiet) {
        put_reloaded(reply, &out);
        code = cli_write(stdout, &out);
    }
    text_fini(&out);
    json_decref(reply);
    return code;
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
