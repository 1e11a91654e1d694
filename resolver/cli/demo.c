#include "resolver/cli/demo.h"

#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "policy/config.h"
#include "policy/timing.h"
#include "resolver/cli/cli.h"
#include "resolver/cli/cli_http.h"
#include "resolver/cli/demo_client.h"
#include "resolver/cli/demo_story.h"
#include "resolver/cli/demo_world.h"

#define LIVE_EVERY_US 100000u
#define MOVE_LIMIT_MS 15000u /* past this the answers have not moved */
#define BACK_LIMIT_MS 30000u

enum phase {
    PHASE_STEADY,
    PHASE_FAULT,
    PHASE_HEALED,
};

/* What happens to the first region. */
struct scenario {
    const char *name;
    const char *command;
    const char *title; /* of the phase, short */
    const char *what;
    bool dns; /* its resolver fails: asking it directly shows the difference */
};

static const struct scenario scenarios[] = {
    { "blackhole", "dns blackhole", "resolver silent", "Seoul's resolver falls silent", true },
    { "servfail", "dns servfail", "resolver SERVFAIL",
      "Seoul's resolver answers SERVFAIL to everything", true },
    { "die", "dns die", "resolver gone", "Seoul's resolver is gone: packets to it are refused",
      true },
    { "service", "http status 500", "web servers 500",
      "Seoul's web servers answer 500; its resolver lives", false },
};
#define SCENARIO_COUNT (sizeof(scenarios) / sizeof(scenarios[0]))

struct demo {
    const struct scenario *scenario;
    bool fast;
    bool keep;
    struct demo_world world;
    struct demo_client *client;
    struct demo_story story;
    uint32_t bound_ms; /* the worst case that the configuration promises */
    uint64_t next_live_us;
    uint64_t fault_us, moved_us; /* 0: has not happened */
    uint64_t cure_us, back_us;
    int moved_to; /* region */
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

static double seconds_between(uint64_t from_us, uint64_t to_us)
{
    return (double)(to_us - from_us) / 1e6;
}

static unsigned long ms_between(uint64_t from_us, uint64_t to_us)
{
    return (unsigned long)((to_us - from_us) / 1000u);
}

/* ---- the clock of the story ---- */

static int current_region(const struct demo *demo)
{
    return demo->client->has_address ? demo_world_region_of(&demo->world, &demo->client->address)
                                     : -1;
}

static void show_live(struct demo *demo, uint64_t now_us)
{
    struct demo_client_counts all = { 0 };
    int region = current_region(demo);
    char address[ADDR_TEXT_MAX] = "";

    for (unsigned i = 0; i < DEMO_CLIENT_PHASES; i++) {
        struct demo_client_counts one = demo_client_through_server(demo->client, i);
        all.asked += one.asked;
        all.failed += one.failed + one.empty;
        all.slow += one.slow;
    }
    if (!demo->client->has_address) {
        return;
    }
    addr_format(&demo->client->address, address, sizeof(address));
    demo_story_live(&demo->story, now_us,
                    "answer %s (%s), %u lookups, %u failed, %u slow, last %.1f ms", address,
                    region < 0 ? "?" : demo->world.regions[region].name, all.asked, all.failed,
                    all.slow, (double)demo->client->last_us / 1000.0);
}

/* One step of the client; false when the demo is to end. */
static bool turn(struct demo *demo, uint64_t until_us)
{
    uint64_t now_us = clock_now_us();

    if (now_us >= demo->next_live_us) {
        demo->next_live_us = now_us + LIVE_EVERY_US;
        show_live(demo, now_us);
        if (!demo_world_is_whole(&demo->world)) {
            demo_story_print(&demo->story, "a process of the demo has ended by itself\n");
            return false;
        }
    }
    demo_client_run(demo->client, until_us);
    return !interrupted;
}

/* The client goes on for so long. */
static bool pass(struct demo *demo, unsigned ms)
{
    uint64_t until_us = clock_now_us() + (uint64_t)ms * 1000u;

    while (clock_now_us() < until_us) {
        if (!turn(demo, until_us)) {
            return false;
        }
    }
    return true;
}

/*
 * The client goes on until the service leads to the first region (`home`) or
 * to another. `*out_us` is when it first did, 0 when it did not within `limit_ms`.
 */
static bool pass_until(struct demo *demo, bool home, unsigned limit_ms, uint64_t *out_us)
{
    uint64_t until_us = clock_now_us() + (uint64_t)limit_ms * 1000u;

    *out_us = 0;
    while (clock_now_us() < until_us) {
        if (!turn(demo, until_us)) {
            return false;
        }
        int region = current_region(demo);
        if (region >= 0 && (region == 0) == home) {
            *out_us = demo->client->address_since_us;
            return true;
        }
    }
    return true;
}

/* ---- what the server says of it ---- */

/* The state and the reason of the first region, as status shows them. */
static void put_region_reason(const json_t *status, struct text *out)
{
    const json_t *region = json_array_get(json_object_get(status, "regions"), 0);
    const char *state = json_string_value(json_object_get(region, "state"));
    const char *reason = json_string_value(json_object_get(region, "reason"));

    if (state != NULL) {
        text_printf(out, "region seoul is %s%s%s", state,
                    reason != NULL && reason[0] != '\0' ? ": " : "", reason != NULL ? reason : "");
    }
}

/* The same of the service's endpoint there. */
static void put_endpoint_reason(const json_t *status, struct text *out)
{
    const json_t *service = json_array_get(json_object_get(status, "services"), 0);
    const json_t *pool = json_array_get(json_object_get(service, "pools"), 0);
    const json_t *endpoint = json_array_get(json_object_get(pool, "endpoints"), 0);
    const char *state = json_string_value(json_object_get(endpoint, "state"));
    const char *reason = json_string_value(json_object_get(endpoint, "reason"));

    if (state != NULL) {
        text_printf(out, "endpoint %s is %s%s%s",
                    json_string_value(json_object_get(endpoint, "address")), state,
                    reason != NULL && reason[0] != '\0' ? ": " : "", reason != NULL ? reason : "");
    }
}

static void tell_reason(struct demo *demo)
{
    struct cli_http_reply reply;
    struct error ignored = { 0 };
    struct text line = { 0 };

    if (cli_http(demo->world.socket_path, "GET", "/api/v1/status", NULL, 1000, &reply, &ignored) ==
        0) {
        json_t *status = json_loadb(text_string(&reply.body), reply.body.length, 0, NULL);
        if (demo->scenario->dns) {
            put_region_reason(status, &line);
        } else {
            put_endpoint_reason(status, &line);
        }
        json_decref(status);
    }
    if (line.length > 0) {
        demo_story_event(&demo->story, clock_now_us(), CLI_PAINT_PLAIN, "says", "%s",
                         text_string(&line));
    }
    text_fini(&reply.body);
    text_fini(&line);
}

/* Which resolver the other names come from by now. */
static void tell_rerouted(struct demo *demo)
{
    const struct demo_client *client = demo->client;

    if (client->resolver >= 2 && client->resolver <= DEMO_WORLD_REGIONS &&
        client->resolver_since_us >= demo->fault_us) {
        demo_story_event(&demo->story, client->resolver_since_us, CLI_PAINT_GOOD, "rerouted",
                         "other names come from %s's resolver, %lu ms after the fault",
                         demo->world.regions[client->resolver - 1].name,
                         ms_between(demo->fault_us, client->resolver_since_us));
    }
}

/* ---- the story ---- */

static void introduce(struct demo *demo)
{
    struct demo_story *story = &demo->story;
    char listen[ADDR_TEXT_MAX];

    addr_format_port(&demo->world.listen, listen, sizeof(listen));
    demo_story_print(story, "22 November 2018, 08:19 KST: the resolvers of AWS's Seoul region "
                            "fail for 84 minutes.\nThe same in small, on loopback:\n\n");
    for (unsigned i = 0; i < DEMO_WORLD_REGIONS; i++) {
        const struct demo_world_region *region = &demo->world.regions[i];
        demo_story_print(story, "  %-10s %s   resolver :%u   web server :%u\n", region->name,
                         region->address, region->dns_port, region->http_port);
    }
    demo_story_print(story,
                     "  %-10s %s   %s from seoul, else tokyo, else singapore;\n"
                     "  %-10s every other name by way of seoul's resolver, else tokyo's, else "
                     "singapore's\n"
                     "  %-10s 50 lookups a second of it, one half that service, one half other "
                     "names\n\n",
                     "leeward", listen, DEMO_WORLD_SERVICE, "", "a client");
}

static bool play_steady(struct demo *demo)
{
    uint64_t seen_us;

    demo_client_begin(demo->client, PHASE_STEADY);
    if (!pass_until(demo, true, MOVE_LIMIT_MS, &seen_us) || !pass(demo, demo->fast ? 1000 : 4000)) {
        return false;
    }
    struct demo_client_counts counts = demo_client_through_server(demo->client, PHASE_STEADY);
    demo_story_event(&demo->story, clock_now_us(), CLI_PAINT_GOOD, "steady",
                     DEMO_WORLD_SERVICE " is %s (seoul); %u lookups, %u failed",
                     demo->world.regions[0].address, counts.asked, counts.failed + counts.empty);
    return seen_us != 0;
}

static bool play_fault(struct demo *demo, struct error *err)
{
    demo_client_begin(demo->client, PHASE_FAULT);
    demo->fault_us = clock_now_us();
    if (demo_world_command(&demo->world, 0, demo->scenario->command, err) < 0) {
        return false;
    }
    demo_story_event(&demo->story, demo->fault_us, CLI_PAINT_BAD, "fault", "%s",
                     demo->scenario->what);
    if (!pass_until(demo, false, MOVE_LIMIT_MS, &demo->moved_us)) {
        return false;
    }
    if (demo->moved_us == 0) {
        demo_story_event(&demo->story, clock_now_us(), CLI_PAINT_BAD, "stuck",
                         "after %u s the answer is still %s", MOVE_LIMIT_MS / 1000,
                         demo->world.regions[0].address);
        return false;
    }
    demo->moved_to = current_region(demo);
    tell_rerouted(demo);
    demo_story_event(&demo->story, demo->moved_us, CLI_PAINT_GOOD, "moved",
                     DEMO_WORLD_SERVICE " is %s (%s), %lu ms after the fault",
                     demo->world.regions[demo->moved_to].address,
                     demo->world.regions[demo->moved_to].name,
                     ms_between(demo->fault_us, demo->moved_us));
    tell_reason(demo);
    return pass(demo, demo->fast ? 2000 : 8000);
}

static bool play_cure(struct demo *demo, struct error *err)
{
    demo_client_begin(demo->client, PHASE_HEALED);
    demo->cure_us = clock_now_us();
    if (demo_world_command(&demo->world, 0, "all heal", err) < 0) {
        return false;
    }
    demo_story_event(&demo->story, demo->cure_us, CLI_PAINT_GOOD, "cure", "Seoul heals");
    if (!pass_until(demo, true, BACK_LIMIT_MS, &demo->back_us)) {
        return false;
    }
    if (demo->back_us == 0) {
        demo_story_event(&demo->story, clock_now_us(), CLI_PAINT_BAD, "stuck",
                         "after %u s the answer has not returned to seoul", BACK_LIMIT_MS / 1000);
        return false;
    }
    demo_story_event(&demo->story, demo->back_us, CLI_PAINT_GOOD, "back",
                     DEMO_WORLD_SERVICE " is %s (seoul), %.1f s after the cure",
                     demo->world.regions[0].address, seconds_between(demo->cure_us, demo->back_us));
    return pass(demo, demo->fast ? 1000 : 4000);
}

/* ---- the summary ---- */

static void summarize_phase(struct demo *demo, unsigned phase, const char *title)
{
    struct demo_client_counts counts = demo_client_through_server(demo->client, phase);

    demo_story_print(&demo->story, "  %-18s %7u %7u %7u %9u %8.1f ms %8.1f ms\n", title,
                     counts.asked, counts.failed, counts.empty, counts.slow,
                     (double)demo_client_median_us(demo->client, phase) / 1000.0,
                     (double)counts.worst_us / 1000.0);
}

static void summarize_direct(struct demo *demo)
{
    const struct demo_client_counts *direct =
        &demo->client->counts[PHASE_FAULT][DEMO_CLIENT_DIRECT];

    if (demo->scenario->dns && direct->asked > 0) {
        demo_story_print(&demo->story,
                         "  without leeward, asking only Seoul's resolver: %u of %u lookups "
                         "failed during the fault\n",
                         direct->failed + direct->empty, direct->asked);
    }
}

static void summarize_times(struct demo *demo)
{
    if (demo->moved_us != 0) {
        demo_story_print(&demo->story,
                         "\n  answers moved to %-9s %6lu ms after the fault (worst case by the "
                         "configuration: %u ms)\n",
                         demo->world.regions[demo->moved_to].name,
                         ms_between(demo->fault_us, demo->moved_us), demo->bound_ms);
    }
    if (demo->back_us != 0) {
        demo_story_print(&demo->story,
                         "  answers back to seoul      %6lu ms after the cure (two good checks, "
                         "then hold_down " DEMO_WORLD_HOLD_DOWN ")\n",
                         ms_between(demo->cure_us, demo->back_us));
    }
}

/* Returns whether all of it happened. */
static bool summarize(struct demo *demo)
{
    struct demo_client_counts lost = { 0 };

    demo_story_print(&demo->story, "\n  %-18s %7s %7s %7s %9s %11s %11s\n", "", "lookups", "failed",
                     "empty", "> 250 ms", "median", "worst");
    summarize_phase(demo, PHASE_STEADY, "steady");
    summarize_phase(demo, PHASE_FAULT, demo->scenario->title);
    summarize_phase(demo, PHASE_HEALED, "healed");
    summarize_direct(demo);
    summarize_times(demo);
    for (unsigned i = 0; i < DEMO_CLIENT_PHASES; i++) {
        struct demo_client_counts counts = demo_client_through_server(demo->client, i);
        lost.failed += counts.failed + counts.empty;
    }
    bool good = demo->moved_us != 0 && demo->back_us != 0 && lost.failed == 0;
    struct text verdict = { 0 };
    cli_table_paint(&verdict, demo->story.colored, good ? CLI_PAINT_GOOD : CLI_PAINT_BAD,
                    good ? "passed" : "failed");
    demo_story_print(&demo->story, "\n  %s: answers %s, %s, %u lookups failed\n",
                     text_string(&verdict), demo->moved_us != 0 ? "moved" : "did not move",
                     demo->back_us != 0 ? "came back" : "did not come back", lost.failed);
    text_fini(&verdict);
    return good;
}

/* ---- afterwards ---- */

static void keep_running(struct demo *demo)
{
    const struct demo_world *world = &demo->world;
    struct text region = { 0 };
    struct text server = { 0 };
    char listen[ADDR_TEXT_MAX];

    addr_format(&world->listen, listen, sizeof(listen));
    demo_world_region_program(&region);
    demo_world_server_program(&server);
    const char *self = text_string(&server);
    demo_story_print(&demo->story,
                     "\nEverything goes on running until Ctrl-C. To play with:\n\n"
                     "  dig -p %u @%s " DEMO_WORLD_SERVICE "\n"
                     "  %s --socket %s status --watch\n"
                     "  %s --socket %s why " DEMO_WORLD_SERVICE "\n"
                     "  %s control %s dns blackhole\n"
                     "  %s control %s http die\n"
                     "  %s control %s all heal\n"
                     "  cat %s\n"
                     "  tail -f %s\n",
                     world->listen.port, listen, self, world->socket_path, self, world->socket_path,
                     text_string(&region), world->regions[0].control, text_string(&region),
                     world->regions[1].control, text_string(&region), world->regions[0].control,
                     world->config_path, world->log_path);
    while (!interrupted && demo_world_is_whole(&demo->world)) {
        (void)poll(NULL, 0, 200);
    }
    text_fini(&region);
    text_fini(&server);
}

/* ---- all of it ---- */

/* The worst case between fault and move, from the configuration itself. */
static uint32_t compute_bound_ms(const struct demo_world *world)
{
    struct config_report report = { 0 };
    struct model *model = NULL;
    uint32_t bound_ms = 0;

    if (config_load(world->config_path, &model, &report) == 0) {
        bound_ms = timing_service_ms(model, &model->services[0]);
        model_free(model);
    }
    config_report_fini(&report);
    return bound_ms;
}

static bool play(struct demo *demo)
{
    struct error err = { 0 };

    introduce(demo);
    bool whole = play_steady(demo) && play_fault(demo, &err) && play_cure(demo, &err);
    demo_story_end(&demo->story);
    if (err.code != 0) {
        cli_print_error(&err);
    }
    if (interrupted) {
        demo_story_print(&demo->story, "interrupted\n");
        return false;
    }
    demo_client_drain(demo->client);
    return summarize(demo) && whole;
}

static int open_client(struct demo *demo, struct error *err)
{
    struct addr direct;

    int rc =
        addr_parse(demo->world.regions[0].address, demo->world.regions[0].dns_port, &direct, err);
    return rc < 0 ? rc : demo_client_open(demo->client, &demo->world.listen, &direct, err);
}

static int run(struct cli *cli, struct demo *demo)
{
    struct sigaction action = { .sa_handler = on_interrupt };
    struct error err = { 0 };
    bool good = false;

    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* a pipe that closes ends the text, not the children */
    if (demo_world_open(&demo->world, &err) < 0) {
        cli_print_error(&err);
        return CLI_NO;
    }
    if (open_client(demo, &err) < 0) {
        cli_print_error(&err);
    } else {
        demo_story_begin(&demo->story, isatty(STDOUT_FILENO) == 1, cli_is_colored(cli, stdout),
                         cli_width(stdout), clock_now_us());
        demo->bound_ms = compute_bound_ms(&demo->world);
        good = play(demo);
        demo_client_close(demo->client);
        if (demo->keep && !interrupted) {
            keep_running(demo);
        }
    }
    demo_world_close(&demo->world);
    return good ? CLI_DONE : CLI_NO;
}

static bool take_scenario(const struct cli *cli, const char *name, struct demo *demo)
{
    const char *names[SCENARIO_COUNT];

    for (unsigned i = 0; i < SCENARIO_COUNT; i++) {
        names[i] = scenarios[i].name;
        if (strcmp(name, names[i]) == 0) {
            demo->scenario = &scenarios[i];
            return true;
        }
    }
    const char *near = text_nearest(name, names, SCENARIO_COUNT);
    (void)cli_wrong_usage(cli, "no scenario '%s'; %s%s%s", name,
                          near != NULL ? "did you mean '" : "blackhole, servfail, die or service",
                          near != NULL ? near : "", near != NULL ? "'?" : "");
    return false;
}

int demo_run(struct cli *cli, int argc, char **argv)
{
    static const struct option longs[] = {
        { "fault", required_argument, NULL, 512 },
        { "fast", no_argument, NULL, 513 },
        { "keep", no_argument, NULL, 514 },
        { NULL, 0, NULL, 0 },
    };
    struct demo demo = { .scenario = &scenarios[0] };
    int option;

    while ((option = cli_option(cli, argc, argv, "", longs)) >= 0) {
        demo.fast = demo.fast || option == 513;
        demo.keep = demo.keep || option == 514;
        if (option == 512 && !take_scenario(cli, optarg, &demo)) {
            return CLI_USAGE;
        }
    }
    if (option == CLI_OPTION_EXIT) {
        return cli->exit_code;
    }
    if (!cli_arguments(cli, argc, 0, 1) ||
        (optind < argc && !take_scenario(cli, argv[optind], &demo))) {
        return CLI_USAGE;
    }
    demo.client = calloc(1, sizeof(*demo.client));
    if (demo.client == NULL) {
        return CLI_NO;
    }
    int code = run(cli, &demo);
    free(demo.client);
    return code;
}
