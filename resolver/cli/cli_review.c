#include "resolver/cli/cli_review.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/config.h"
#include "policy/review.h"
#include "resolver/accepted.h"
#include "resolver/api/api_review.h"
#include "resolver/cli/cli.h"
#include "resolver/cli/cli_api.h"
#include "resolver/cli/cli_http.h"
#include "resolver/cli/cli_json.h"
#include "resolver/cli/cli_table.h"

#define REVIEW_TIMEOUT_MS 60000u

const char cli_review_help[] =
    "What the configuration would change against the one that runs, by meaning: services,\n"
    "orders, endpoints, rules, and healthy capacity that would leave. Nothing is changed.\n"
    "Exit code 1 when guards.removal_limit would refuse it; the ID that is printed then,\n"
    "written as guards: {accept: ID}, consents to exactly this difference. Without a\n"
    "running server the last accepted configuration is compared with.\n"
    "\n"
    "  -j, --json           as the api gives it\n";

static void put_changes(const json_t *review, bool colored, struct text *out)
{
    static const char *const heads[] = { "NAME", "WHAT", "CHANGE" };
    const json_t *changes = json_object_get(review, "changes");
    struct cli_table table;

    if (json_array_size(changes) == 0) {
        text_put(out, "nothing would change\n");
        return;
    }
    cli_table_init(&table, 3, heads);
    for (size_t i = 0; i < json_array_size(changes); i++) {
        const json_t *change = json_array_get(changes, i);
        bool loses = cli_json_number(change, "healthy_endpoints_lost") > 0;
        cli_table_add(&table, CLI_PAINT_STRONG, "%s", cli_json_string(change, "name"));
        cli_table_add(&table, CLI_PAINT_PLAIN, "%s", cli_json_string(change, "kind"));
        cli_table_add(&table, loses ? CLI_PAINT_BAD : CLI_PAINT_PLAIN, "%s",
                      cli_json_string(change, "text"));
    }
    cli_table_put(&table, colored, 0, out);
    cli_table_fini(&table);
}

static void put_verdict(const json_t *review, bool colored, struct text *out)
{
    const json_t *list = json_object_get(review, "too_much");
    const char *older = cli_json_string(review, "older");

    if (older[0] != '\0') {
        text_printf(out, "a reload would be refused: %s\n", older);
        return;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *excess = json_array_get(list, i);
        struct text line = { 0 };
        text_printf(&line, "%s would lose %llu of %llu endpoints that are up; %llu may leave",
                    cli_json_string(excess, "service"), cli_json_number(excess, "lost"),
                    cli_json_number(excess, "healthy"), cli_json_number(excess, "allowed"));
        cli_table_paint(out, colored, CLI_PAINT_BAD, text_string(&line));
        text_put_char(out, '\n');
        text_fini(&line);
    }
    if (json_is_true(json_object_get(review, "refused"))) {
        text_printf(out,
                    "a reload would be refused; guards: {accept: %s} consents to exactly this\n",
                    cli_json_string(review, "id"));
    } else if (json_is_true(json_object_get(review, "accepted"))) {
        text_put(out, "the file consents to it: guards.accept is this difference's ID\n");
    }
}

static int put_review(const struct cli *cli, const json_t *review, struct text *out)
{
    put_changes(review, cli_is_colored(cli, stdout), out);
    put_verdict(review, cli_is_colored(cli, stdout), out);
    return cli_json_truth(review, "refused") ? CLI_NO : CLI_DONE;
}

/* Nobody runs: against the last accepted configuration, whose endpoints all count as up. */
static int compare_accepted(const char *path, const struct model *fresh, struct text *body)
{
    struct model *accepted;
    struct error err;

    if (accepted_load(fresh->state_directory, path, &accepted, &err) < 0) {
        (void)fputs("leeward: no server runs, and none has accepted a configuration yet\n", stderr);
        return CLI_NO_SERVER;
    }
    const struct review_old old = { .model = accepted };
    struct review *review = review_new(&old, fresh);
    if (review != NULL) {
        (void)fputs("no server runs: compared with what was accepted last\n", stderr);
        api_review_put_json(review, body);
    }
    review_free(review);
    model_free(accepted);
    return review == NULL ? CLI_NO : CLI_DONE;
}

static int ask(const struct cli *cli, const char *path, const struct model *fresh,
               struct text *body)
{
    struct text target = { 0 };
    struct text sent = { 0 };
    char *absolute = realpath(path, NULL);

    text_put(&target, "/api/v1/review?name=");
    cli_http_put_escaped(&target, absolute == NULL ? path : absolute);
    text_put(&sent, fresh->source);
    int code = cli_api_send(cli, "POST", text_string(&target), &sent, REVIEW_TIMEOUT_MS, body);
    if (code == CLI_NO_SERVER) {
        code = compare_accepted(path, fresh, body);
    }
    free(absolute);
    text_fini(&target);
    text_fini(&sent);
    return code;
}

static void print_report(const struct config_report *report)
{
    struct text text = { 0 };

    config_report_print(report, &text);
    (void)fputs(text_string(&text), stderr);
    text_fini(&text);
}

int cli_review_run(struct cli *cli, int argc, char **argv)
{
    struct config_report report = { 0 };
    struct text body = { 0 };
    struct model *fresh;
    bool json;

    if (!cli_json_option(cli, argc, argv, 0, 0, &json)) {
        return cli->exit_code;
    }
    const char *path = cli->config_path != NULL              ? cli->config_path
                       : access("./leeward.yaml", F_OK) == 0 ? "./leeward.yaml"
                                                             : "/etc/leeward/leeward.yaml";
    if (config_load(path, &fresh, &report) < 0) {
        print_report(&report);
        config_report_fini(&report);
        return CLI_NO;
    }
    config_report_fini(&report);
    int code = ask(cli, path, fresh, &body);
    if (code == CLI_DONE) {
        code = cli_api_show(cli, &body, json, put_review);
    }
    text_fini(&body);
    model_free(fresh);
    return code;
}
