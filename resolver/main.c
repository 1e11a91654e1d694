/*
 * main - the program's subcommands
 */
#include <stdio.h>
#include <string.h>

#include "base/spawner.h"
#include "base/spawner_helper.h"
#include "policy/geo_reader.h"
#include "resolver/cli/cli.h"
#include "resolver/cli/cli_cache.h"
#include "resolver/cli/cli_check.h"
#include "resolver/cli/cli_history.h"
#include "resolver/cli/cli_laggards.h"
#include "resolver/cli/cli_override.h"
#include "resolver/cli/cli_push.h"
#include "resolver/cli/cli_query.h"
#include "resolver/cli/cli_reload.h"
#include "resolver/cli/cli_review.h"
#include "resolver/cli/cli_simulate.h"
#include "resolver/cli/cli_status.h"
#include "resolver/cli/cli_why.h"
#include "resolver/cli/demo.h"
#include "resolver/control.h"
#include "resolver/webhook.h"

static int run_server(struct cli *cli, int argc, char **argv)
{
    static const struct option longs[] = {
        { "strict", no_argument, NULL, 512 },
        { "replace", no_argument, NULL, 513 },
        { NULL, 0, NULL, 0 },
    };
    struct control_options options = { 0 };
    int option;

    while ((option = cli_option(cli, argc, argv, "", longs)) >= 0) {
        if (option == 513) {
            return cli_wrong_usage(cli, "--replace is not available yet");
        }
        options.strict = true;
    }
    if (option == CLI_OPTION_EXIT) {
        return cli->exit_code;
    }
    if (!cli_arguments(cli, argc, 0, 0)) {
        return CLI_USAGE;
    }
    options.config_path = cli->config_path;
    options.socket_path = cli->socket_path;
    return control_run(&options);
}

static int run_version(struct cli *cli, int argc, char **argv)
{
    bool json;

    if (!cli_json_option(cli, argc, argv, 0, 0, &json)) {
        return cli->exit_code;
    }
    (void)printf(json ? "{\"version\":\"%s\"}\n" : "leeward %s\n", LEEWARD_VERSION);
    return CLI_DONE;
}

static const char run_help[] =
    "Serve until SIGTERM or SIGINT, in the foreground, logging to stderr. SIGHUP takes\n"
    "the configuration again. A configuration that does not load is reported and the\n"
    "last accepted one is used. Without any file: answer on 127.0.0.1:5300 and forward\n"
    "to the resolvers of /etc/resolv.conf.\n"
    "\n"
    "      --strict         do not start with the last accepted configuration instead\n";

static const char demo_help[] =
    "Three simulated regions on loopback, this server before them, a client that asks\n"
    "50 times a second, and a region that fails and heals. Takes less than a minute.\n"
    "Exit code 0: answers moved, came back, and no lookup failed.\n"
    "\n"
    "SCENARIO is what happens to Seoul:\n"
    "  blackhole            its resolver falls silent (the default)\n"
    "  servfail             its resolver answers SERVFAIL to everything\n"
    "  die                  its resolver is gone: packets are refused\n"
    "  service              its web servers answer 500, its resolver lives\n"
    "\n"
    "      --fault NAME     the same as SCENARIO\n"
    "      --fast           shorter quiet phases\n"
    "      --keep           leave everything running to play with, until Ctrl-C\n";

static const char check_help[] =
    "Validate a configuration and the zone files it names: every error with file, line,\n"
    "column and a hint. Exit code 1 when there is one. What this machine lacks for it\n"
    "(node.user, rights to write) is a warning.\n"
    "\n"
    "      --print          the effective configuration, defaults filled in\n"
    "      --timing         how long each service may take to leave a region\n"
    "      --schema         the JSON Schema of configurations, for editors\n"
    "      --reference      all keys with their defaults, as Markdown\n";

static const char status_help[] =
    "Regions, services and upstreams: state, since when, and why. -v shows what is\n"
    "healthy in the same detail.\n"
    "\n"
    "  -j, --json           as the api gives it\n"
    "  -w, --watch          again every second, until Ctrl-C\n";

static const char why_help[] =
    "The answer to NAME now, and each step that led to it, from the code that answers.\n"
    "TYPE is A unless given.\n"
    "\n"
    "      --client IP      who asks (one on loopback): decides what is allowed, its view and\n"
    "                       place\n"
    "      --ecs PREFIX     as a resolver that asks for clients in PREFIX (RFC 7871)\n"
    "      --listener ADDR  asked at this one of our addresses, for views that listen\n"
    "  -v, --verbose        every region with its endpoints and checks, not only the unwell\n"
    "  -j, --json           as the api gives it\n";

static const char query_help[] =
    "Ask the running server over UDP (TCP when the answer is truncated) and show what\n"
    "came back (its flags and extended errors, too) and how long it took. TYPE is A\n"
    "unless given. Exit code 1: the answer\n"
    "is an error; 3: there is none.\n"
    "\n"
    "  -s, --server ADDR    another server, with a port if it is not 53\n"
    "  -t, --tcp            over TCP at once\n"
    "  -e, --explain        have the server say why it answers like this (RFC 8914)\n"
    "  -j, --json           as JSON\n";

static const char reload_help[] =
    "Have the running server take its configuration again. When it does not load, all\n"
    "errors are shown, nothing changes, and the exit code is 1.\n"
    "\n"
    "  -j, --json           as the api gives it\n";

static const struct cli_command commands[] = {
    { "run", "run [-c FILE] [--strict]", "serve", run_help, run_server },
    { "demo", "demo [SCENARIO] [--fast] [--keep]", "a region fails and heals, on this machine",
      demo_help, demo_run },
    { "check", "check [-c FILE] [--print] [--timing] [--schema] [--reference]",
      "validate a configuration", check_help, cli_check_run },
    { "reload", "reload [--json]", "have the server take its configuration again", reload_help,
      cli_reload_run },
    { "status", "status [--json] [--watch]", "regions, services, upstreams", status_help,
      cli_status_run },
    { "why", "why NAME [TYPE] [--client IP] [--ecs PREFIX] [--listener ADDRESS]",
      "an answer, and each step that led to it", why_help, cli_why_run },
    { "query", "query NAME [TYPE] [--server ADDR] [--explain]",
      "a lookup through the server, timed", query_help, cli_query_run },
    { "version", "version [--json]", "the version of this program",
      "  -j, --json           as JSON\n", run_version },
    { "review", "review [-c NEW] [--json]", "what a configuration would change, by meaning",
      cli_review_help, cli_review_run },
    { "simulate", "simulate --down TARGET... | --every-region",
      "what every service would answer if things were down", cli_simulate_help, cli_simulate_run },
    { "drain", "drain TARGET --reason TEXT [--for 30m] [--force]",
      "take a region, or a service there, out of the answers", cli_drain_help, cli_drain_run },
    { "undrain", "undrain TARGET", "end a drain", cli_undrain_help, cli_undrain_run },
    { "force", "force up|down TARGET --reason TEXT [--for 30m]",
      "say what is up or down, whatever checks say", cli_force_help, cli_force_run },
    { "release", "release TARGET", "take a drain or force back, let answers return",
      cli_release_help, cli_release_run },
    { "cache", "cache show|flush NAME|*.NAME|all [--json]",
      "what is kept of others' answers: show it, or forget it",
      "  cache show NAME         the entries of a name, with their records\n"
      "  cache show '*.NAME'     those of a name and of all names below it\n"
      "  cache show all          everything; -v with records\n"
      "  cache flush ...         forget them: the next question asks upstreams\n"
      "  -j, --json              the server's own words\n",
      cli_cache_run },
    { "push", "push TARGET up|degraded|down [--ttl 10s] [--message TEXT]", "report to a push check",
      cli_push_help, cli_push_run },
    { "keys", "", "", "", NULL },
    { "doctor", "", "", "", NULL },
    { "history", "history [--since 1h] [TARGET]", "what happened, oldest first", cli_history_help,
      cli_history_run },
    { "laggards", "laggards NAME [--json]", "clients that still go by an older answer",
      cli_laggards_help, cli_laggards_run },
    { NULL, NULL, NULL, NULL, NULL },
};

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], SPAWNER_COMMAND) == 0) {
        return spawner_helper_run();
    }
    if (argc == 2 && strcmp(argv[1], WEBHOOK_COMMAND) == 0) {
        return webhook_run();
    }
    if (argc == 3 && strcmp(argv[1], GEO_COMMAND) == 0) {
        return geo_reader_run(argv[2]);
    }
    return cli_main(commands, argc, argv);
}
