#include "resolver/cli/cli_check.h"

#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "policy/config.h"
#include "policy/health.h"
#include "policy/places.h"
#include "resolver/cli/cli.h"
#include "resolver/cli/cli_check_host.h"
#include "resolver/cli/cli_find.h"
#include "resolver/snapshot.h"

enum {
    OPTION_PRINT = 512,
    OPTION_TIMING,
    OPTION_SCHEMA,
    OPTION_REFERENCE,
};

struct wants {
    bool print;
    bool timing;
    bool schema;
    bool reference;
};

/*
 * Databases that cannot be used: the server would start without them, and
 * refuse a reload.
 */
static int read_databases(const struct model *model, struct error *err)
{
    struct arena *arena = arena_new();
    const struct places *ignored;

    if (arena == NULL || model->geo_count == 0) {
        arena_free(arena);
        return 0;
    }
    int rc = places_read(model, NULL, false, arena, &ignored, err);
    arena_free(arena);
    return rc;
}

/*
 * Build what the server would answer from, so that zone files are read too.
 * The model moves into the snapshot, which is handed back; NULL on failure.
 */
static struct snapshot *build(struct health *health, struct model *model, struct error *err)
{
    struct hash_key key = hash_key_random();
    struct snapshot *snapshot = NULL;

    if (read_databases(model, err) < 0) {
        return NULL;
    }
    struct health_binding *binding = health_bind(health, model, clock_now_ms());
    if (binding == NULL) {
        (void)error_set(err, -1, "out of memory");
        return NULL;
    }
    if (snapshot_build(model, binding, NULL, &key, 1, &snapshot, err) < 0) {
        health_unbind(health, binding);
        return NULL;
    }
    return snapshot;
}

static void put_summary(const char *path, const struct model *model, struct text *out)
{
    size_t services = 0; /* those in the file; the views of each stand behind it */

    for (size_t i = 0; i < model->service_count; i += 1 + model->services[i].view_count) {
        services++;
    }
    text_printf(out, "%s: ok, %zu service%s, %zu region%s, %zu zone%s, %zu forward rule%s\n", path,
                services, services == 1 ? "" : "s", model->region_count,
                model->region_count == 1 ? "" : "s", model->zone_count,
                model->zone_count == 1 ? "" : "s", model->forward_count,
                model->forward_count == 1 ? "" : "s");
}

static void put_wanted(const struct cli *cli, const struct wants *wants, const char *path,
                       const struct model *model, struct text *out)
{
    if (wants->print) {
        config_print(model, out);
    }
    if (wants->timing) {
        config_print_timing(model, out);
    }
    if (!wants->print && !wants->timing && !cli->quiet) {
        put_summary(path, model, out);
    }
}

/* What is no error of the file, but will be in the way when the server starts here. */
static void warn(const char *path, const struct model *model)
{
    struct text out = { 0 };

    cli_check_host_put(path, model, &out);
    (void)fputs(text_string(&out), stderr);
    text_fini(&out);
}

static int check(const struct cli *cli, const struct wants *wants)
{
    const char *path = cli_find_config(cli);
    const char *shown = path != NULL ? path : "the embedded default";
    struct config_report report = { 0 };
    struct error err = { 0 };
    struct model *model = NULL;
    struct snapshot *snapshot = NULL;
    struct text out = { 0 };
    struct health *health = health_new(NULL, NULL);

    int rc =
        path != NULL ? config_load(path, &model, &report) : config_load_default(&model, &report);
    if (rc == 0 && health != NULL) {
        snapshot = build(health, model, &err);
        if (snapshot == NULL) {
            config_report_add(&report, &err);
            model_free(model);
        }
    }
    if (snapshot != NULL) {
        warn(shown, snapshot->model);
        put_wanted(cli, wants, shown, snapshot->model, &out);
        health_unbind(health, snapshot_free(snapshot));
    } else {
        config_report_print(&report, &out);
    }
    int code = cli_write(snapshot != NULL ? stdout : stderr, &out);
    if (snapshot == NULL && !cli->quiet) {
        (void)fprintf(stderr, "%s: %zu error%s\n", shown, report.count,
                      report.count == 1 ? "" : "s");
    }
    text_fini(&out);
    config_report_fini(&report);
    health_free(health);
    return snapshot != NULL ? code : CLI_NO;
}

static int print_generated(const struct wants *wants)
{
    struct text out = { 0 };

    if (wants->schema) {
        config_print_schema(&out);
    } else {
        config_print_reference(&out);
    }
    int code = cli_write(stdout, &out);
    text_fini(&out);
    return code;
}

int cli_check_run(struct cli *cli, int argc, char **argv)
{
    static const struct option longs[] = {
        { "print", no_argument, NULL, OPTION_PRINT },
        { "timing", no_argument, NULL, OPTION_TIMING },
        { "schema", no_argument, NULL, OPTION_SCHEMA },
        { "reference", no_argument, NULL, OPTION_REFERENCE },
        { NULL, 0, NULL, 0 },
    };
    struct wants wants = { 0 };
    int option;

    while ((option = cli_option(cli, argc, argv, "", longs)) >= 0) {
        wants.print = wants.print || option == OPTION_PRINT;
        wants.timing = wants.timing || option == OPTION_TIMING;
        wants.schema = wants.schema || option == OPTION_SCHEMA;
        wants.reference = wants.reference || option == OPTION_REFERENCE;
    }
    if (option == CLI_OPTION_EXIT) {
        return cli->exit_code;
    }
    if (!cli_arguments(cli, argc, 0, 1)) {
        return CLI_USAGE;
    }
    if (optind < argc) {
        cli->config_path = argv[optind];
    }
    return wants.schema || wants.reference ? print_generated(&wants) : check(cli, &wants);
}
