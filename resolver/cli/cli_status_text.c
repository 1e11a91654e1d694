#include "resolver/cli/cli_status_text.h"

#include <stdio.h>
#include <string.h>

#include "resolver/cli/cli_table.h"

/* ---- members of JSON ---- */

static const char *string(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value != NULL ? value : "";
}

static unsigned long long number(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? (unsigned long long)value : 0;
}

static bool truth(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static void put_age(struct cli_table *table, const json_t *object, const char *key)
{
    struct text age = { 0 };

    if (json_is_integer(json_object_get(object, key))) {
        text_put_duration(&age, number(object, key));
    } else {
        text_put(&age, "-");
    }
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", text_string(&age));
    text_fini(&age);
}

static enum cli_paint paint_of(const char *state)
{
    static const struct {
        const char *state;
        enum cli_paint paint;
    } paints[] = {
        { "in", CLI_PAINT_GOOD },         { "up", CLI_PAINT_GOOD },
        { "held", CLI_PAINT_DOUBT },      { "suspect", CLI_PAINT_DOUBT },
        { "kept", CLI_PAINT_DOUBT },      { "doubted", CLI_PAINT_DOUBT },
        { "unknown", CLI_PAINT_DOUBT },   { "drained", CLI_PAINT_DOUBT },
        { "unchecked", CLI_PAINT_PLAIN },
    };

    for (unsigned i = 0; i < sizeof(paints) / sizeof(paints[0]); i++) {
        if (strcmp(paints[i].state, state) == 0) {
            return paints[i].paint;
        }
    }
    return CLI_PAINT_BAD;
}

static bool is_fine(const char *state)
{
    return strcmp(state, "up") == 0 || strcmp(state, "unchecked") == 0;
}

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

    text_printf(out, "%llu quer%s", number(queries, "total"),
                number(queries, "total") == 1 ? "y" : "ies");
    if (number(queries, "total") > 0) {
        text_put_char(out, ':');
        put_counts(json_object_get(queries, "by_source"), out);
        text_put(out, ";");
        put_counts(json_object_get(queries, "by_rcode"), out);
    }
    if (number(queries, "dropped") > 0) {
        text_printf(out, "; not answerable %llu", number(queries, "dropped"));
    }
    if (number(queries, "unsent") > 0) {
        text_printf(out, "; not sendable %llu", number(queries, "unsent"));
    }
    if (number(queries, "ring_full") > 0) {
        text_printf(out, "; turned away %llu", number(queries, "ring_full"));
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

static void put_node(const json_t *status, const struct cli_status_view *view, struct text *out)
{
    const json_t *config = json_object_get(status, "config");
    const char *path = string(config, "path");
    const char *warning = string(config, "warning");
    bool ready = truth(status, "ready");

    text_printf(out, "leeward %s on ", string(status, "version"));
    cli_table_paint(out, view->colored, CLI_PAINT_STRONG, string(status, "node"));
    text_put(out, ": ");
    cli_table_paint(out, view->colored, ready ? CLI_PAINT_GOOD : CLI_PAINT_DOUBT,
                    ready ? "ready" : "not ready");
    text_put(out, ", up ");
    text_put_duration(out, number(status, "uptime_ms"));
    text_printf(out, ", generation %llu of ", number(status, "generation"));
    cli_table_paint(out, view->colored, CLI_PAINT_PLAIN,
                    path[0] != '\0' ? path : "the embedded default");
    text_put_char(out, '\n');
    if (warning[0] != '\0') {
        cli_table_paint(out, view->colored, CLI_PAINT_BAD,
                        "NOT the file on disk: running the last accepted configuration, because ");
        cli_table_paint(out, view->colored, CLI_PAINT_BAD, warning);
        text_put_char(out, '\n');
    }
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
    const char *state = string(check, "state");
    return truth(check, "misconfigured") && strcmp(state, "down") != 0 &&
           strcmp(state, "held") != 0;
}

static void put_check(struct cli_table *table, const char *region, const json_t *check)
{
    const char *state = string(check, "state");

    cli_table_add(table, CLI_PAINT_PLAIN, "  %s", short_label(string(check, "label"), region));
    cli_table_add(table, truth(check, "misconfigured") ? CLI_PAINT_DOUBT : paint_of(state), "%s",
                  truth(check, "misconfigured") ? "misconfigured" : state);
    if (json_is_integer(json_object_get(check, "usual_ms"))) {
        cli_table_add(table, CLI_PAINT_PLAIN, "~%llums", number(check, "usual_ms"));
    } else {
        cli_table_add(table, CLI_PAINT_PLAIN, "-");
    }
    put_age(table, check, "since_ms_ago");
    if (decides_nothing(check)) {
        cli_table_add(
            table, CLI_PAINT_PLAIN,
            "%s: does the name still exist? nothing follows from this check until it does",
            string(check, "reason"));
    } else {
        cli_table_add(table, CLI_PAINT_PLAIN, "%s", is_fine(state) ? "" : string(check, "reason"));
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

    if (number(region, "total") == 0) {
        cli_table_add(table, CLI_PAINT_PLAIN, "-");
        return;
    }
    if (doubtful > 0) {
        (void)snprintf(note, sizeof(note), " (%llu misconfigured)", doubtful);
    }
    cli_table_add(table, CLI_PAINT_PLAIN, "%llu/%llu up%s, needs %llu", number(region, "up"),
                  number(region, "total"), note, number(region, "minimum"));
}

static void put_region(struct cli_table *table, const json_t *region, bool all)
{
    const char *state = string(region, "state");
    const json_t *checks = json_object_get(region, "checks");
    bool plain = strcmp(state, "in") == 0 && !truth(region, "lifted"); /* needs no reason */

    cli_table_add(table, CLI_PAINT_STRONG, "%s", string(region, "name"));
    cli_table_add(table, truth(region, "lifted") ? CLI_PAINT_DOUBT : paint_of(state), "%s%s", state,
                  truth(region, "lifted") ? " (gate lifted)" : "");
    put_region_counts(table, region);
    put_age(table, region, "since_ms_ago");
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", plain ? "" : string(region, "reason"));
    for (size_t i = 0; i < json_array_size(checks); i++) {
        const json_t *check = json_array_get(checks, i);
        if (all || !is_fine(string(check, "state")) || truth(check, "misconfigured")) {
            put_check(table, string(region, "name"), check);
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

/* ---- services ---- */

static enum cli_paint rung_paint(const json_t *answer)
{
    unsigned long long rung = number(answer, "rung");

    if (strcmp(string(answer, "result"), "addresses") != 0) {
        return CLI_PAINT_BAD;
    }
    return rung == 1 ? CLI_PAINT_GOOD : rung <= 3 ? CLI_PAINT_DOUBT : CLI_PAINT_BAD;
}

static void put_joined(struct cli_table *table, enum cli_paint paint, const json_t *list,
                       const char *otherwise)
{
    struct text joined = { 0 };

    for (size_t i = 0; i < json_array_size(list); i++) {
        text_printf(&joined, "%s%s", i > 0 ? " " : "", json_string_value(json_array_get(list, i)));
    }
    cli_table_add(table, paint, "%s", joined.length > 0 ? text_string(&joined) : otherwise);
    text_fini(&joined);
}

static void put_answer(struct cli_table *table, const char *name, const char *type,
                       const json_t *answer)
{
    enum cli_paint paint = rung_paint(answer);

    cli_table_add(table, CLI_PAINT_STRONG, "%s", name);
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", type);
    put_joined(table, paint, json_object_get(answer, "regions"), string(answer, "result"));
    cli_table_add(table, paint, "rung %llu", number(answer, "rung"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%llus", number(answer, "ttl_s"));
    put_joined(table, CLI_PAINT_PLAIN, json_object_get(answer, "addresses"), "-");
}

static void put_endpoint(struct cli_table *table, const char *region, const json_t *endpoint)
{
    const char *state = string(endpoint, "state");
    struct text age = { 0 };

    text_put_duration(&age, number(endpoint, "since_ms_ago"));
    cli_table_add(table, CLI_PAINT_PLAIN, "  %s %s", region, string(endpoint, "address"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", "");
    cli_table_add(table, paint_of(state), "%s", state);
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", text_string(&age));
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", "");
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", is_fine(state) ? "" : string(endpoint, "reason"));
    text_fini(&age);
}

/* Its endpoints that need a look, or all; only counts without a table. */
static unsigned put_endpoints(struct cli_table *table, const json_t *service, bool all)
{
    const json_t *pools = json_object_get(service, "pools");
    unsigned count = 0;

    for (size_t i = 0; i < json_array_size(pools); i++) {
        const json_t *pool = json_array_get(pools, i);
        const json_t *endpoints = json_object_get(pool, "endpoints");
        for (size_t j = 0; j < json_array_size(endpoints); j++) {
            const json_t *endpoint = json_array_get(endpoints, j);
            if (!all && is_fine(string(endpoint, "state"))) {
                continue;
            }
            count++;
            if (table != NULL) {
                put_endpoint(table, string(pool, "region"), endpoint);
            }
        }
    }
    return count;
}

static bool is_bare(const json_t *name)
{
    return json_array_size(json_object_get(name, "addresses")) == 0;
}

static void put_hostname(struct cli_table *table, const json_t *name, bool lost)
{
    bool kept = json_is_integer(json_object_get(name, "kept_ms_ago"));
    const char *state = kept ? "kept" : lost ? "unresolved" : "doubted";
    const char *reason = string(name, "reason");

    cli_table_add(table, CLI_PAINT_PLAIN, "  %s %s", string(name, "region"), string(name, "name"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", string(name, "type"));
    cli_table_add(table, paint_of(state), "%s", state);
    put_age(table, name, kept ? "kept_ms_ago" : "last_answer_ms_ago");
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", "");
    cli_table_add(table, CLI_PAINT_PLAIN, "%s",
                  reason[0] != '\0' ? reason : string(name, "last_answer"));
}

/* Its host names of which resolvers say something odd, or nothing; counts as above. */
static unsigned put_hostnames(struct cli_table *table, const json_t *service)
{
    const json_t *names = json_object_get(service, "hostnames"); /* A and AAAA side by side */
    unsigned count = 0;

    for (size_t i = 0; i + 1 < json_array_size(names); i += 2) {
        bool lost = is_bare(json_array_get(names, i)) && is_bare(json_array_get(names, i + 1));
        for (size_t k = 0; k < 2; k++) {
            const json_t *name = json_array_get(names, i + k);
            if (!lost && string(name, "reason")[0] == '\0') {
                continue;
            }
            count++;
            if (table != NULL) {
                put_hostname(table, name, lost);
            }
        }
    }
    return count;
}

/* Is it answered by something else than its first region, or is an endpoint not up? */
static bool needs_look(const json_t *service)
{
    static const char *const types[] = { "A", "AAAA" };
    const json_t *answers = json_object_get(service, "answer");
    const json_t *first = json_array_get(json_object_get(service, "pools"), 0);

    for (unsigned i = 0; i < 2; i++) {
        const json_t *answer = json_object_get(answers, types[i]);
        const json_t *region = json_array_get(json_object_get(answer, "regions"), 0);
        if (!json_is_object(answer)) {
            continue;
        }
        if (number(answer, "rung") != 1 || region == NULL ||
            strcmp(json_string_value(region), string(first, "region")) != 0) {
            return true;
        }
    }
    return put_endpoints(NULL, service, false) + put_hostnames(NULL, service) > 0;
}

static void put_service(struct cli_table *table, const json_t *service, bool all)
{
    static const char *const types[] = { "A", "AAAA" };
    const json_t *answers = json_object_get(service, "answer");
    const char *name = string(service, "name");

    for (unsigned i = 0; i < 2; i++) {
        const json_t *answer = json_object_get(answers, types[i]);
        if (json_is_object(answer)) {
            put_answer(table, name, types[i], answer);
            name = "";
        }
    }
    (void)put_endpoints(table, service, all);
    (void)put_hostnames(table, service);
}

static void put_services(const json_t *status, const struct cli_status_view *view, struct text *out)
{
    static const char *const heads[] = { "SERVICE", "TYPE", "FROM", "BY", "TTL", "ADDRESSES" };
    const json_t *services = json_object_get(status, "services");
    size_t count = json_array_size(services);
    bool all = view->all || count <= CLI_STATUS_SERVICES;
    struct cli_table table;
    size_t left_out = 0;

    if (count == 0) {
        return;
    }
    cli_table_init(&table, 6, heads);
    for (size_t i = 0; i < count; i++) {
        const json_t *service = json_array_get(services, i);
        if (all || needs_look(service)) {
            put_service(&table, service, view->all);
        } else {
            left_out++;
        }
    }
    text_put_char(out, '\n');
    if (left_out < count) {
        cli_table_put(&table, view->colored, view->width, out);
    }
    if (left_out > 0) {
        text_printf(out,
                    "%zu %sservices answer from their first region, all endpoints up (-v lists "
                    "them)\n",
                    left_out, left_out < count ? "more " : "");
    }
    cli_table_fini(&table);
}

/* ---- zones ---- */

static void put_zone(struct cli_table *table, const json_t *zone)
{
    const char *file = string(zone, "file");

    cli_table_add(table, CLI_PAINT_STRONG, "%s", string(zone, "name"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%llu", number(zone, "serial"));
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
    unsigned long long hits = number(cache, "hits");
    unsigned long long misses = number(cache, "misses");

    if (number(cache, "size_bytes") == 0) {
        return;
    }
    text_printf(out, "\ncache: %llu entr%s, ", number(cache, "entries"),
                number(cache, "entries") == 1 ? "y" : "ies");
    put_size(number(cache, "bytes"), out);
    text_put(out, " of ");
    put_size(number(cache, "size_bytes"), out);
    text_printf(out, "; %llu hits, %llu misses", hits, misses);
    if (hits + misses > 0) {
        text_printf(out, " (%llu%%)", hits * 100 / (hits + misses));
    }
    text_printf(out, ", %llu stale", number(cache, "stale"));
    if (number(cache, "shed") > 0) {
        text_printf(out, ", %llu turned away", number(cache, "shed"));
    }
    text_put_char(out, '\n');
}

/* "forward: 930 asked of upstreams; 12 hedges, 3 resends (1.6%), 41 probes; 0 failed" */
static void put_forward(const json_t *status, struct text *out)
{
    const json_t *forward = json_object_get(status, "forward");
    unsigned long long asked = number(forward, "asked");
    unsigned long long extra = number(forward, "hedges") + number(forward, "resends");

    if (number(forward, "sent") == 0) {
        return;
    }
    text_printf(out, "forward: %llu asked of upstreams; %llu hedges, %llu resends", asked,
                number(forward, "hedges"), number(forward, "resends"));
    if (asked > 0) {
        text_printf(out, " (%.1f%%)", 100.0 * (double)extra / (double)asked);
    }
    text_printf(out, ", %llu probes; %llu failed\n", number(forward, "probes"),
                number(forward, "failed"));
}

/* ---- upstreams ---- */

static void put_upstream(struct cli_table *table, const json_t *upstream)
{
    const char *region = string(upstream, "region");
    const char *state = string(upstream, "state");

    cli_table_add(table, CLI_PAINT_STRONG, "%s", string(upstream, "address"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", region[0] != '\0' ? region : "-");
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", string(upstream, "class"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", string(upstream, "transport"));
    cli_table_add(table, paint_of(state), "%s", state);
    put_age(table, upstream, "since_ms_ago");
    put_age(table, upstream, "rtt_ms");
    put_age(table, upstream, "p95_ms");
    cli_table_add(table, CLI_PAINT_PLAIN, "%llu%%", number(upstream, "loss_percent"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%llu", number(upstream, "sent"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%llu", number(upstream, "failed"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", string(upstream, "reason"));
}

static void put_upstreams(const json_t *status, const struct cli_status_view *view,
                          struct text *out)
{
    static const char *const heads[] = { "UPSTREAM", "REGION", "CLASS", "VIA",
                                         "STATE",    "SINCE",  "RTT",   "P95",
                                         "LOSS",     "SENT",   "FAILED", "REASON" };
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
    put_services(status, view, out);
    put_zones(status, view, out);
    put_cache(status, out);
    put_forward(status, out);
    put_upstreams(status, view, out);
}
