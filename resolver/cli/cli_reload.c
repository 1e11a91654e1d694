#include "resolver/cli/cli_reload.h"

#include <jansson.h>

#include "resolver/cli/cli.h"
#include "resolver/cli/cli_api.h"

/* New endpoints are probed once before a reload ends. */
#define RELOAD_TIMEOUT_MS 600000u /* of a million services */

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
static int put_reloaded(const struct cli *cli, const json_t *reply, struct text *out)
{
    const char *config = json_string_value(json_object_get(reply, "config"));

    if (cli->quiet) {
        return CLI_DONE;
    }
    text_printf(out, "reloaded%s%s: generation %lld", config != NULL ? " " : "",
                config != NULL ? config : "",
                (long long)json_integer_value(json_object_get(reply, "generation")));
    put_count(reply, ": ", "services", "service", out);
    put_count(reply, ", ", "regions", "region", out);
    put_count(reply, ", ", "zones", "zone", out);
    text_put_char(out, '\n');
    return CLI_DONE;
}

int cli_reload_run(struct cli *cli, int argc, char **argv)
{
    struct text body = { 0 };
    bool json;

    if (!cli_json_option(cli, argc, argv, 0, 0, &json)) {
        return cli->exit_code;
    }
    int code = cli_api_call(cli, "POST", "/api/v1/reload", RELOAD_TIMEOUT_MS, &body);
    if (code == CLI_DONE) {
        code = cli_api_show(cli, &body, json, put_reloaded);
    }
    text_fini(&body);
    return code;
}
