#include "resolver/cli/cli_cache.h"

#include <jansson.h>
#include <string.h>

#include "resolver/cli/cli.h"
#include "resolver/cli/cli_api.h"
#include "resolver/cli/cli_http.h"
#include "resolver/cli/cli_json.h"

/* "www.example.com A positive, 25s of 60s left (own)" and its records below. */
static void put_entry(const json_t *entry, bool verbose, struct text *out)
{
    unsigned long long ttl_s = cli_json_number(entry, "ttl_s");
    unsigned long long age_s = cli_json_number(entry, "age_s");
    const json_t *answer = json_object_get(entry, "answer");

    text_printf(out, "%s %s %s, ", cli_json_string(entry, "name"), cli_json_string(entry, "type"),
                cli_json_string(entry, "kind"));
    if (json_is_true(json_object_get(entry, "fresh"))) {
        text_put_duration(out, cli_json_number(entry, "left_s") * 1000);
        text_put(out, " of ");
        text_put_duration(out, ttl_s * 1000);
        text_put(out, " left");
    } else {
        text_put(out, "expired ");
        text_put_duration(out, (age_s > ttl_s ? age_s - ttl_s : 0) * 1000);
        text_put(out, " ago");
    }
    text_printf(out, " (%s%s%s)\n", cli_json_string(entry, "origin"),
                json_is_true(json_object_get(entry, "dnssec_ok")) ? ", DO" : "",
                json_is_true(json_object_get(entry, "checking_disabled")) ? ", CD" : "");
    for (size_t i = 0; verbose && i < json_array_size(answer); i++) {
        text_printf(out, "    %s\n", json_string_value(json_array_get(answer, i)));
    }
}

static int put_entries(const json_t *reply, bool verbose, struct text *out)
{
    const json_t *entries = json_object_get(reply, "entries");
    unsigned long long matching = cli_json_number(reply, "matching");
    unsigned long long shown = cli_json_number(reply, "shown");

    for (size_t i = 0; i < json_array_size(entries); i++) {
        put_entry(json_array_get(entries, i), verbose, out);
    }
    text_printf(out, "%llu in the cache", matching);
    if (shown < matching) {
        text_printf(out, ", %llu shown", shown);
    }
    text_put_char(out, '\n');
    return matching == 0 ? CLI_NO : CLI_DONE;
}

/* Of many names one line each; of one name its records, too. */
static int put_many(const struct cli *cli, const json_t *reply, struct text *out)
{
    return put_entries(reply, cli->verbose, out);
}

static int put_one(const struct cli *cli, const json_t *reply, struct text *out)
{
    (void)cli;
    return put_entries(reply, true, out);
}

static int put_flushed(const struct cli *cli, const json_t *reply, struct text *out)
{
    unsigned long long count = cli_json_number(reply, "flushed");

    if (!cli->quiet) {
        text_printf(out, "%llu forgotten\n", count);
    }
    return count == 0 ? CLI_NO : CLI_DONE;
}

int cli_cache_run(struct cli *cli, int argc, char **argv)
{
    struct text target = { 0 };
    struct text body = { 0 };
    bool json;

    if (!cli_json_option(cli, argc, argv, 2, 2, &json)) {
        return cli->exit_code;
    }
    bool flush = strcmp(argv[optind], "flush") == 0;
    if (!flush && strcmp(argv[optind], "show") != 0) {
        return cli_wrong_usage(cli, "show or flush, not '%s'", argv[optind]);
    }
    const char *pattern = argv[optind + 1];
    text_put(&target, "/api/v1/cache?name=");
    cli_http_put_escaped(&target, pattern);
    int code = cli_api_call(cli, flush ? "DELETE" : "GET", text_string(&target),
                            CLI_HTTP_TIMEOUT_MS, &body);
    if (code == CLI_DONE) {
        bool one = pattern[0] != '*' && strcmp(pattern, "all") != 0;
        code = cli_api_show(cli, &body, json, flush ? put_flushed : one ? put_one : put_many);
    }
    text_fini(&target);
    text_fini(&body);
    return code;
}
