#include "resolver/cli/cli_simulate.h"

#include <jansson.h>
#include <string.h>

#include "base/json_writer.h"
#include "resolver/cli/cli.h"
#include "resolver/cli/cli_api.h"
#include "resolver/cli/cli_json.h"
#include "resolver/cli/cli_table.h"

#define SIMULATE_TIMEOUT_MS 600000u /* every region with a million services */
#define TARGETS_MAX         64

const char cli_simulate_help[] =
    "What every service would answer if TARGETs were down (or up), from the code that\n"
    "answers; nothing changes. Services left without a healthy region are shown in red,\n"
    "and then the exit code is 1. A TARGET is REGION, REGION/SERVICE or an address.\n"
    "\n"
    "      --down TARGET    suppose that it fails; may be given more than once\n"
    "      --up TARGET      suppose that it is well\n"
    "      --every-region   each region in turn: the game day as one command\n"
    "  -j, --json           as the api gives it\n";

struct wish {
    const char *down[TARGETS_MAX];
    const char *up[TARGETS_MAX];
    size_t down_count;
    size_t up_count;
    bool every_region;
    bool json;
};

/* "seoul: 203.0.113.10 203.0.113.11", of both families. */
static void put_answer(const json_t *answer, struct text *out)
{
    static const char *const types[] = { "A", "AAAA" };

    for (unsigned i = 0; i < 2; i++) {
        const json_t *choice = json_object_get(answer, types[i]);
        const json_t *addresses = json_object_get(choice, "addresses");
        const json_t *regions = json_object_get(choice, "regions");
        if (choice == NULL) {
            continue;
        }
        text_put(out, out->length == 0 ? "" : "; ");
        if (json_array_size(regions) == 0 && json_array_size(addresses) > 0) {
            text_put(out, cli_json_string(choice, "result")); /* the fallback's: of no region */
        }
        for (size_t r = 0; r < json_array_size(regions); r++) {
            text_printf(out, "%s%s", r == 0 ? "" : "+",
                        json_string_value(json_array_get(regions, r)));
        }
        if (json_array_size(addresses) == 0) {
            text_put(out, cli_json_string(choice, "result"));
        }
        for (size_t a = 0; a < json_array_size(addresses); a++) {
            text_printf(out, " %s", json_string_value(json_array_get(addresses, a)));
        }
    }
}

/* " (seoul 62.5%, tokyo 37.5%)", where answers come from several regions by turns. */
static void put_shares(const json_t *answer, struct text *out)
{
    const json_t *shares = json_object_get(answer, "answers_percent");
    const char *between = " (";
    const char *region;
    json_t *percent;

    if (json_object_size(shares) < 2) {
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)shares, region, percent)
    {
        text_printf(out, "%s%s %.1f%%", between, region, json_number_value(percent));
        between = ", ";
    }
    text_put_char(out, ')');
}

static void put_services(const json_t *scenario, bool colored, struct text *out)
{
    static const char *const heads[] = { "SERVICE", "NOW", "THEN" };
    const json_t *services = json_object_get(scenario, "services");
    struct cli_table table;

    if (json_array_size(services) == 0) {
        return;
    }
    cli_table_init(&table, 3, heads);
    for (size_t i = 0; i < json_array_size(services); i++) {
        const json_t *service = json_array_get(services, i);
        const json_t *after = json_object_get(service, "after");
        bool well = json_is_true(json_object_get(after, "healthy_region"));
        struct text before_text = { 0 };
        struct text after_text = { 0 };
        put_answer(json_object_get(service, "before"), &before_text);
        put_shares(json_object_get(service, "before"), &before_text);
        put_answer(after, &after_text);
        put_shares(after, &after_text);
        cli_table_add(&table, well ? CLI_PAINT_PLAIN : CLI_PAINT_BAD, "%s",
                      cli_json_string(service, "name"));
        cli_table_add(&table, CLI_PAINT_PLAIN, "%s", text_string(&before_text));
        cli_table_add(&table, well ? CLI_PAINT_GOOD : CLI_PAINT_BAD, "%s%s",
                      text_string(&after_text), well ? "" : "  (no healthy region)");
        text_fini(&before_text);
        text_fini(&after_text);
    }
    cli_table_put(&table, colored, 0, out);
    cli_table_fini(&table);
}

static void put_regions(const json_t *scenario, bool colored, struct text *out)
{
    static const char *const heads[] = { "REGION", "UP NOW", "UP THEN", "ANSWERS NOW",
                                         "ANSWERS THEN" };
    const json_t *regions = json_object_get(scenario, "regions");
    struct cli_table table;

    cli_table_init(&table, 5, heads);
    for (size_t i = 0; i < json_array_size(regions); i++) {
        const json_t *region = json_array_get(regions, i);
        bool loses = cli_json_number(region, "up_after") < cli_json_number(region, "up_before");
        cli_table_add(&table, CLI_PAINT_STRONG, "%s", cli_json_string(region, "name"));
        cli_table_add(&table, CLI_PAINT_PLAIN, "%llu of %llu", cli_json_number(region, "up_before"),
                      cli_json_number(region, "endpoints"));
        cli_table_add(&table, loses ? CLI_PAINT_BAD : CLI_PAINT_PLAIN, "%llu of %llu",
                      cli_json_number(region, "up_after"), cli_json_number(region, "endpoints"));
        cli_table_add(&table, CLI_PAINT_PLAIN, "%.1f%%",
                      json_number_value(json_object_get(region, "answers_percent_before")));
        cli_table_add(&table, CLI_PAINT_PLAIN, "%.1f%%",
                      json_number_value(json_object_get(region, "answers_percent_after")));
    }
    cli_table_put(&table, colored, 0, out);
    cli_table_fini(&table);
}

static void put_title(const json_t *scenario, bool colored, struct text *out)
{
    struct text title = { 0 };
    static const char *const keys[] = { "down", "up" };

    for (unsigned k = 0; k < 2; k++) {
        const json_t *list = json_object_get(scenario, keys[k]);
        for (size_t i = 0; i < json_array_size(list); i++) {
            text_printf(&title, "%s%s %s", title.length == 0 ? "" : ", ",
                        json_string_value(json_array_get(list, i)), keys[k]);
        }
    }
    cli_table_paint(out, colored, CLI_PAINT_STRONG, text_string(&title));
    text_printf(out, ": %llu of %llu services would answer otherwise",
                cli_json_number(scenario, "services_changed"),
                cli_json_number(scenario, "services_total"));
    text_fini(&title);
}

static void put_scenario(const json_t *scenario, bool colored, bool quiet, struct text *out)
{
    unsigned long long lost = cli_json_number(scenario, "services_without_healthy_region");

    put_title(scenario, colored, out);
    if (lost > 0) {
        struct text words = { 0 };
        text_printf(&words, "%llu without a healthy region", lost);
        text_put(out, ", ");
        cli_table_paint(out, colored, CLI_PAINT_BAD, text_string(&words));
        text_fini(&words);
    }
    text_put_char(out, '\n');
    if (!quiet) {
        put_services(scenario, colored, out);
        text_put_char(out, '\n');
        put_regions(scenario, colored, out);
    }
    text_put_char(out, '\n');
}

static int put_scenarios(const struct cli *cli, const json_t *reply, struct text *out)
{
    const json_t *scenarios = json_object_get(reply, "scenarios");
    unsigned long long lost = 0;

    for (size_t i = 0; i < json_array_size(scenarios); i++) {
        const json_t *scenario = json_array_get(scenarios, i);
        lost += cli_json_number(scenario, "services_without_healthy_region");
        put_scenario(scenario, cli_is_colored(cli, stdout), cli->quiet, out);
    }
    return lost > 0 ? CLI_NO : CLI_DONE;
}

static void put_list(struct json_writer *json, const char *key, const char *const *list,
                     size_t count)
{
    json_writer_list_begin(json, key);
    for (size_t i = 0; i < count; i++) {
        json_writer_string(json, NULL, list[i]);
    }
    json_writer_list_end(json);
}

static int simulate(const struct cli *cli, const struct wish *wish)
{
    struct text sent = { 0 };
    struct text body = { 0 };
    struct json_writer json;

    json_writer_init(&json, &sent);
    json_writer_object_begin(&json, NULL);
    put_list(&json, "down", wish->down, wish->down_count);
    put_list(&json, "up", wish->up, wish->up_count);
    json_writer_bool(&json, "every_region", wish->every_region);
    json_writer_object_end(&json);
    int code = cli_api_send(cli, "POST", "/api/v1/simulate", &sent, SIMULATE_TIMEOUT_MS, &body);
    if (code == CLI_DONE) {
        code = cli_api_show(cli, &body, wish->json, put_scenarios);
    }
    text_fini(&sent);
    text_fini(&body);
    return code;
}

/* False: too many. */
static bool take_target(const char **list, size_t *count, const char *target)
{
    if (*count == TARGETS_MAX) {
        return false;
    }
    list[(*count)++] = target;
    return true;
}

int cli_simulate_run(struct cli *cli, int argc, char **argv)
{
    static const struct option longs[] = {
        { "json", no_argument, NULL, 'j' },
        { "down", required_argument, NULL, 512 },
        { "up", required_argument, NULL, 513 },
        { "every-region", no_argument, NULL, 514 },
        { NULL, 0, NULL, 0 },
    };
    struct wish wish = { 0 };
    bool fits = true;
    int option;

    while ((option = cli_option(cli, argc, argv, "j", longs)) >= 0) {
        if (option == 512) {
            fits = take_target(wish.down, &wish.down_count, optarg) && fits;
        } else if (option == 513) {
            fits = take_target(wish.up, &wish.up_count, optarg) && fits;
        } else {
            wish.every_region = wish.every_region || option == 514;
            wish.json = wish.json || option == 'j';
        }
    }
    if (option == CLI_OPTION_EXIT) {
        return cli->exit_code;
    }
    if (!cli_arguments(cli, argc, 0, 0)) {
        return CLI_USAGE;
    }
    if (!fits || (wish.down_count + wish.up_count == 0 && !wish.every_region)) {
        return cli_wrong_usage(cli, fits ? "what is supposed? --down TARGET or --every-region"
                                         : "at most 64 targets");
    }
    return simulate(cli, &wish);
}
