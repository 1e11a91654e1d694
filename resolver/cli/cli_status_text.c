#include "resolver/cli/cli_status_text.h"

#include <stdio.h>
#include <string.h>

#include "resolver/cli/cli_status_part.h"

/* ---- the node ---- */

static void put_counts(const json_t *counts, struct text *out)
{
    const char *key;
    json_t *value;
    const char *before = " ";

    json_object_foreach((json_t *)counts, key, value)
    {
        if (json_integer_value(value) > 0) {
            text_printf(out, "%s%s %lld", before, key, (long long)json_integer_value(value));
            before = ", ";
        }
    }
}

static void put_queries(const json_t *status, struct text *out)
{
    const json_t *queries = json_object_get(status, "queries");

    text_printf(out, "%llu quer%s", cli_json_number(queries, "total"),
                cli_json_number(queries, "total") == 1 ? "y" : "ies");
    if (cli_json_number(queries, "total") > 0) {
        text_put_char(out, ':');
        put_counts(json_object_get(queries, "by_source"), out);
        text_put(out, ";");
        put_counts(json_object_get(queries, "by_rcode"), out);
    }
    if (cli_json_number(queries, "dropped") > 0) {
        text_printf(out, "; not answerable %llu", cli_json_number(queries, "dropped"));
    }
    if (cli_json_number(queries, "unsent") > 0) {
        text_printf(out, "; not sendable %llu", cli_json_number(queries, "unsent"));
    }
    if (cli_json_number(queries, "ring_full") > 0) {
        text_printf(out, "; turned away %llu", cli_json_number(queries, "ring_full"));
    }
    text_put_char(out, '\n');
}

static void put_listeners(const json_t *status, struct text *out)
{
    const json_t *listeners = json_object_get(status, "listeners");
    const char *before = "listens on ";

    for (size_t i = 0; i < json_array_size(listeners); i++) {
        text_printf(out, "%s%s", before, json_string_value(json_array_get(listeners, i)));
        before = ", ";
    }
    if (json_array_size(listeners) > 0) {
        text_put(out, "; ");
    }
}

/* While it hears nothing at all, what it says of others is what was so before. */
static void put_isolation(const json_t *status, const struct cli_status_view *view,
                          struct text *out)
{
    const json_t *isolated = json_object_get(json_object_get(status, "guards"), "isolated");
    struct text words = { 0 };

    if (!json_is_object(isolated)) {
        return;
    }
    text_put(&words, "THIS NODE IS CUT OFF for ");
    text_put_duration(&words, cli_json_number(isolated, "since_ms_ago"));
    text_printf(&words, ": %s; it answers as before that", cli_json_string(isolated, "reason"));
    cli_table_paint(out, view->colored, CLI_PAINT_BAD, text_string(&words));
    text_put_char(out, '\n');
    text_fini(&words);
}

/* Whoever should be told of what happens is not. */
static void put_hooks(const json_t *status, const struct cli_status_view *view, struct text *out)
{
    const json_t *hooks = json_object_get(status, "failing_hooks");

    for (size_t i = 0; i < json_array_size(hooks); i++) {
        const json_t *hook = json_array_get(hooks, i);
        unsigned long long untold = cli_json_number(hook, "untold");
        struct text words = { 0 };
        text_printf(&words, "hook %s fails for ", cli_json_string(hook, "hook"));
        text_put_duration(&words, cli_json_number(hook, "since_ms_ago"));
        text_printf(&words, ": %s; %llu event%s not told", cli_json_string(hook, "reason"), untold,
                    untold == 1 ? "" : "s");
        cli_table_paint(out, view->colored, CLI_PAINT_BAD, text_string(&words));
        text_put_char(out, '\n');
        text_fini(&words);
    }
}

static void put_node(const json_t *status, const struct cli_status_view *view, struct text *out)
{
    const json_t *config = json_object_get(status, "config");
    const char *path = cli_json_string(config, "path");
    const char *warning = cli_json_string(config, "warning");
    bool ready = cli_json_truth(status, "ready");

    text_printf(out, "leeward %s on ", cli_json_string(status, "version"));
    cli_table_paint(out, view->colored, CLI_PAINT_STRONG, cli_json_string(status, "node"));
    text_put(out, ": ");
    cli_table_paint(out, view->colored, ready ? CLI_PAINT_GOOD : CLI_PAINT_DOUBT,
                    ready ? "ready" : "not ready");
    text_put(out, ", up ");
    text_put_duration(out, cli_json_number(status, "uptime_ms"));
    text_printf(out, ", generation %llu of ", cli_json_number(status, "generation"));
    cli_table_paint(out, view->colored, CLI_PAINT_PLAIN,
                    path[0] != '\0' ? path : "the embedded default");
    text_put_char(out, '\n');
    if (warning[0] != '\0') {
        cli_table_paint(out, view->colored, CLI_PAINT_BAD,
                        "NOT the file on disk: running the last accepted configuration, because ");
        cli_table_paint(out, view->colored, CLI_PAINT_BAD, warning);
        text_put_char(out, '\n');
    }
    put_isolation(status, view, out);
    put_hooks(status, view, out);
    put_listeners(status, out);
    put_queries(status, out);
}

/* ---- regions ---- */

/* Below its region the label need not name it again. */
static const char *short_label(const char *label, const char *region)
{
    size_t length = strlen(region);
    return strncmp(label, region, length) == 0 && label[length] == ' ' ? label + length + 1 : label;
}

/* What it asks for is gone everywhere, so that nothing follows from it. */
static bool decides_nothing(const json_t *check)
{
    const char *state = cli_json_string(check, "state");
    return cli_json_truth(check, "misconfigured") && strcmp(state, "down") != 0 &&
           strcmp(state, "held") != 0;
}

/* What a check says against its target, on which evidence. */
static void put_cause(struct cli_table *table, const json_t *check)
{
    bool is_telling =
        !cli_status_is_fine(cli_json_string(check, "state")) || cli_json_truth(check, "degraded");
    const char *reason = is_telling ? cli_json_string(check, "reason") : "";
    const char *evidence = cli_json_string(json_object_get(check, "evidence"), "text");

    if (evidence[0] == '\0') {
        cli_table_add(table, CLI_PAINT_PLAIN, "%s", reason);
    } else if (reason[0] == '\0') {
        cli_table_add(table, CLI_PAINT_PLAIN, "%s", evidence);
    } else {
        cli_table_add(table, CLI_PAINT_PLAIN, "%s (%s)", reason, evidence);
    }
}

static void put_check(struct cli_table *table, const char *region, const json_t *check)
{
    const char *state = cli_json_string(check, "state");

    cli_table_add(table, CLI_PAINT_PLAIN, "  %s",
                  short_label(cli_json_string(check, "label"), region));
    cli_table_add(
        table, cli_json_truth(check, "misconfigured") ? CLI_PAINT_DOUBT : cli_status_paint(state),
        "%s", cli_json_truth(check, "misconfigured") ? "misconfigured" : state);
    if (json_is_integer(json_object_get(check, "usual_ms"))) {
        cli_table_add(table, CLI_PAINT_PLAIN, "~%llums", cli_json_number(check, "usual_ms"));
    } else {
        cli_table_add(table, CLI_PAINT_PLAIN, "-");
    }
    cli_status_put_age(table, check, "since_ms_ago");
    if (decides_nothing(check)) {
        cli_table_add(
            table, CLI_PAINT_PLAIN,
            "%s: does the name still exist? nothing follows from this check until it does",
            cli_json_string(check, "reason"));
    } else {
        put_cause(table, check);
    }
}

/* Checks that count as up only because what they ask for is gone everywhere. */
static unsigned long long count_misconfigured(const json_t *checks)
{
    unsigned long long found = 0;

    for (size_t i = 0; i < json_array_size(checks); i++) {
        found += decides_nothing(json_array_get(checks, i));
    }
    return found;
}

/* "1/2 up, needs 1", or "1/2 up (1 misconfigured), needs 1" */
static void put_region_counts(struct cli_table *table, const json_t *region)
{
    unsigned long long doubtful = count_misconfigured(json_object_get(region, "checks"));
    char note[48] = "";

    if (cli_json_number(region, "total") == 0) {
        cli_table_add(table, CLI_PAINT_PLAIN, "-");
        return;
    }
    if (doubtful > 0) {
        (void)snprintf(note, sizeof(note), " (%llu misconfigured)", doubtful);
    }
    cli_table_add(table, CLI_PAINT_PLAIN, "%llu/%llu up%s, needs %llu",
                  cli_json_number(region, "up"), cli_json_number(region, "total"), note,
                  cli_json_number(region, "minimum"));
}

/* Who says so, or its checks; a region that is simply in needs no reason. */
static void put_region_reason(struct cli_table *table, const json_t *region)
{
    const json_t *override = json_object_get(region, "override");
    bool plain =
        strcmp(cli_json_string(region, "state"), "in") == 0 && !cli_json_truth(region, "lifted");
    struct text reason = { 0 };

    if (json_is_object(override)) {
        cli_status_put_override(override, &reason);
    } else if (!plain) {
        text_put(&reason, cli_json_string(region, "reason"));
    }
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", text_string(&reason));
    text_fini(&reason);
}

static void put_region(struct cli_table *table, const json_t *region, bool all)
{
    const char *state = cli_json_string(region, "state");
    const json_t *checks = json_object_get(region, "checks");

    cli_table_add(table, CLI_PAINT_STRONG, "%s", cli_json_string(region, "name"));
    cli_table_add(table,
                  cli_json_truth(region, "lifted") ? CLI_PAINT_DOUBT : cli_status_paint(state),
                  "%s%s", state, cli_json_truth(region, "lifted") ? " (gate lifted)" : "");
    put_region_counts(table, region);
    cli_status_put_age(table, region, "since_ms_ago");
    put_region_reason(table, region);
    for (size_t i = 0; i < json_array_size(checks); i++) {
        const json_t *check = json_array_get(checks, i);
        if (all || !cli_status_is_fine(cli_json_string(check, "state")) ||
            cli_json_truth(check, "misconfigured")) {
            put_check(table, cli_json_string(region, "name"), check);
        }
    }
}

static void put_regions(const json_t *status, const struct cli_status_view *view, struct text *out)
{
    static const char *const heads[] = { "REGION", "STATE", "CHECKS", "SINCE", "REASON" };
    const json_t *regions = json_object_get(status, "regions");
    struct cli_table table;

    if (json_array_size(regions) == 0) {
        return;
    }
    cli_table_init(&table, 5, heads);
    for (size_t i = 0; i < json_array_size(regions); i++) {
        put_region(&table, json_array_get(regions, i), view->all);
    }
    text_put_char(out, '\n');
    cli_table_put(&table, view->colored, view->width, out);
    cli_table_fini(&table);
}

/* ---- overrides ---- */

static void put_override(struct cli_table *table, const json_t *override)
{
    struct text words = { 0 };

    cli_status_put_override(override, &words);
    cli_table_add(table, CLI_PAINT_STRONG, "%s", cli_json_string(override, "target"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", text_string(&words));
    text_fini(&words);
}

/* What was said by hand and still holds; what was ended early does not. */
static void put_overrides(const json_t *status, const struct cli_status_view *view,
                          struct text *out)
{
    static const char *const heads[] = { "OVERRIDE", "WHAT" };
    const json_t *overrides = json_object_get(status, "overrides");
    struct cli_table table;
    bool any = false;

    cli_table_init(&table, 2, heads);
    for (size_t i = 0; i < json_array_size(overrides); i++) {
        const json_t *override = json_array_get(overrides, i);
        if (!cli_json_truth(override, "ended_early")) {
            put_override(&table, override);
            any = true;
        }
    }
    if (any) {
        text_put_char(out, '\n');
        cli_table_put(&table, view->colored, view->width, out);
    }
    cli_table_fini(&table);
}

/* ---- probing ---- */

/* "checks: 12, 9120 probes sent; late: 99% by less than 2ms, at most 5ms; 1 in flight" */
static void put_probing(const json_t *status, struct text *out)
{
    const json_t *probing = json_object_get(status, "probing");

    if (cli_json_number(probing, "checks") == 0) {
        return;
    }
    text_printf(out,
                "\nchecks: %llu, %llu probes sent; late by %llums at p99, %llums at most; "
                "%llu in flight",
                cli_json_number(probing, "checks"), cli_json_number(probing, "started"),
                cli_json_number(probing, "late_p99_ms"), cli_json_number(probing, "late_most_ms"),
                cli_json_number(probing, "in_flight"));
    if (cli_json_number(probing, "put_off") > 0) {
        text_printf(out, "; %llu had to wait for others to end",
                    cli_json_number(probing, "put_off"));
    }
    text_put_char(out, '\n');
}

/* ---- zones ---- */

static void put_zone(struct cli_table *table, const json_t *zone)
{
    const char *file = cli_json_string(zone, "file");

    cli_table_add(table, CLI_PAINT_STRONG, "%s", cli_json_string(zone, "name"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%llu", cli_json_number(zone, "serial"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", file[0] != '\0' ? file : "made for services");
}

static void put_zones(const json_t *status, const struct cli_status_view *view, struct text *out)
{
    static const char *const heads[] = { "ZONE", "SERIAL", "FILE" };
    const json_t *zones = json_object_get(status, "zones");
    size_t count = json_array_size(zones);
    size_t shown = view->all || count <= CLI_STATUS_ZONES ? count : CLI_STATUS_ZONES;
    struct cli_table table;

    if (count == 0) {
        return;
    }
    cli_table_init(&table, 3, heads);
    for (size_t i = 0; i < shown; i++) {
        put_zone(&table, json_array_get(zones, i));
    }
    text_put_char(out, '\n');
    cli_table_put(&table, view->colored, view->width, out);
    cli_table_fini(&table);
    if (shown < count) {
        text_printf(out, "%zu more zones (-v lists them)\n", count - shown);
    }
}

/* ---- the cache ---- */

static void put_size(unsigned long long bytes, struct text *out)
{
    if (bytes < 1024 * 1024) {
        text_printf(out, "%llu KiB", (bytes + 1023) / 1024);
    } else {
        text_printf(out, "%.1f MiB", (double)bytes / (1024.0 * 1024.0));
    }
}

/* "cache: 812 entries, 410 KiB of 64.0 MiB; 9120 hits, 930 misses (91%), 12 stale" */
static void put_cache(const json_t *status, struct text *out)
{
    const json_t *cache = json_object_get(status, "cache");
    unsigned long long hits = cli_json_number(cache, "hits");
    unsigned long long misses = cli_json_number(cache, "misses");

    if (cli_json_number(cache, "size_bytes") == 0) {
        return;
    }
    text_printf(out, "\ncache: %llu entr%s, ", cli_json_number(cache, "entries"),
                cli_json_number(cache, "entries") == 1 ? "y" : "ies");
    put_size(cli_json_number(cache, "bytes"), out);
    text_put(out, " of ");
    put_size(cli_json_number(cache, "size_bytes"), out);
    text_printf(out, "; %llu hits, %llu misses", hits, misses);
    if (hits + misses > 0) {
        text_printf(out, " (%llu%%)", hits * 100 / (hits + misses));
    }
    text_printf(out, ", %llu stale", cli_json_number(cache, "stale"));
    if (cli_json_number(cache, "shed") > 0) {
        text_printf(out, ", %llu turned away", cli_json_number(cache, "shed"));
    }
    text_put_char(out, '\n');
}

/* "forward: 930 asked of upstreams; 12 hedges, 3 resends (1.6%), 41 probes; 0 failed" */
static void put_forward(const json_t *status, struct text *out)
{
    const json_t *forward = json_object_get(status, "forward");
    unsigned long long asked = cli_json_number(forward, "asked");
    unsigned long long extra =
        cli_json_number(forward, "hedges") + cli_json_number(forward, "resends");

    if (cli_json_number(forward, "sent") == 0) {
        return;
    }
    text_printf(out, "forward: %llu asked of upstreams; %llu hedges, %llu resends", asked,
                cli_json_number(forward, "hedges"), cli_json_number(forward, "resends"));
    if (asked > 0) {
        text_printf(out, " (%.1f%%)", 100.0 * (double)extra / (double)asked);
    }
    text_printf(out, ", %llu probes; %llu failed\n", cli_json_number(forward, "probes"),
                cli_json_number(forward, "failed"));
}

/* ---- upstreams ---- */

static void put_upstream(struct cli_table *table, const json_t *upstream)
{
    const char *region = cli_json_string(upstream, "region");
    const char *state = cli_json_string(upstream, "state");

    cli_table_add(table, CLI_PAINT_STRONG, "%s", cli_json_string(upstream, "address"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", region[0] != '\0' ? region : "-");
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", cli_json_string(upstream, "class"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", cli_json_string(upstream, "transport"));
    cli_table_add(table, cli_status_paint(state), "%s", state);
    cli_status_put_age(table, upstream, "since_ms_ago");
    cli_status_put_age(table, upstream, "rtt_ms");
    cli_status_put_age(table, upstream, "p95_ms");
    cli_table_add(table, CLI_PAINT_PLAIN, "%llu%%", cli_json_number(upstream, "loss_percent"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%llu", cli_json_number(upstream, "sent"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%llu", cli_json_number(upstream, "failed"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", cli_json_string(upstream, "reason"));
}

static void put_upstreams(const json_t *status, const struct cli_status_view *view,
                          struct text *out)
{
    static const char *const heads[] = {
        "UPSTREAM", "REGION", "CLASS", "VIA",  "STATE",  "SINCE",
        "RTT",      "P95",    "LOSS",  "SENT", "FAILED", "REASON"
    };
    const json_t *upstreams = json_object_get(status, "upstreams");
    struct cli_table table;

    if (json_array_size(upstreams) == 0) {
        return;
    }
    cli_table_init(&table, sizeof(heads) / sizeof(heads[0]), heads);
    for (size_t i = 0; i < json_array_size(upstreams); i++) {
        put_upstream(&table, json_array_get(upstreams, i));
    }
    text_put_char(out, '\n');
    cli_table_put(&table, view->colored, view->width, out);
    cli_table_fini(&table);
}

void cli_status_text_put(const json_t *status, const struct cli_status_view *view, struct text *out)
{
    put_node(status, view, out);
    put_regions(status, view, out);
    cli_status_put_services(status, view, out);
    put_overrides(status, view, out);
    put_zones(status, view, out);
    put_probing(status, out);
    put_cache(status, out);
    put_forward(status, out);
    put_upstreams(status, view, out);
}
