#include "resolver/cli/cli_status_part.h"

#include <string.h>

static enum cli_paint rung_paint(const json_t *answer)
{
    unsigned long long rung = cli_json_number(answer, "rung");

    if (strcmp(cli_json_string(answer, "result"), "addresses") != 0) {
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
    put_joined(table, paint, json_object_get(answer, "regions"), cli_json_string(answer, "result"));
    cli_table_add(table, paint, "rung %llu", cli_json_number(answer, "rung"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%llus", cli_json_number(answer, "ttl_s"));
    put_joined(table, CLI_PAINT_PLAIN, json_object_get(answer, "addresses"), "-");
}

/* What says so, on which evidence; or who. */
static void put_cause(struct cli_table *table, const json_t *endpoint)
{
    const json_t *override = json_object_get(endpoint, "override");
    const char *failing = cli_json_string(endpoint, "failing");
    const char *evidence = cli_json_string(endpoint, "evidence");
    struct text cause = { 0 };

    if (json_is_object(override)) {
        cli_status_put_override(override, &cause);
    } else if (!cli_status_is_fine(cli_json_string(endpoint, "state"))) {
        text_put(&cause, cli_json_string(endpoint, "reason"));
        if (evidence[0] != '\0') {
            text_printf(&cause, " (%s)", evidence);
        }
        if (failing[0] != '\0') {
            text_printf(&cause, "%sfails %s", cause.length > 0 ? "; " : "", failing);
        }
    }
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", text_string(&cause));
    text_fini(&cause);
}

static void put_endpoint(struct cli_table *table, const char *region, const json_t *endpoint)
{
    const char *state = cli_json_string(endpoint, "state");
    struct text age = { 0 };

    text_put_duration(&age, cli_json_number(endpoint, "since_ms_ago"));
    cli_table_add(table, CLI_PAINT_PLAIN, "  %s %s", region, cli_json_string(endpoint, "address"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", "");
    cli_table_add(table, cli_status_paint(state), "%s", state);
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", text_string(&age));
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", "");
    put_cause(table, endpoint);
    text_fini(&age);
}

/* What lies over a pool beside its health; false when nothing does. */
static bool describe_pool(const json_t *pool, struct text *out)
{
    const json_t *override = json_object_get(pool, "override");

    if (json_is_object(override)) {
        cli_status_put_override(override, out);
    } else if (cli_json_truth(pool, "parked")) {
        text_put(out, "second choice, waits to be released (failback: manual)");
    } else if (cli_json_truth(pool, "shared")) {
        text_put(out, "silent just after another region left: shares its answers");
    } else if (json_is_integer(json_object_get(pool, "ramp_percent"))) {
        text_printf(out, "just back, takes %llu%% of its answers",
                    cli_json_number(pool, "ramp_percent"));
    }
    return out->length > 0;
}

static const char *pool_state(const json_t *pool)
{
    const char *state = cli_json_string(json_object_get(pool, "override"), "state");

    if (state[0] != '\0') {
        return strcmp(state, "drain") == 0 ? "drained"
               : strcmp(state, "up") == 0  ? "forced up"
                                           : "forced down";
    }
    return cli_json_truth(pool, "parked")   ? "parked"
           : cli_json_truth(pool, "shared") ? "shared"
                                            : "ramping";
}

static void put_pool_row(struct cli_table *table, const json_t *pool, const struct text *what)
{
    cli_table_add(table, CLI_PAINT_PLAIN, "  %s", cli_json_string(pool, "region"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", "");
    cli_table_add(table, CLI_PAINT_DOUBT, "%s", pool_state(pool));
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", "");
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", "");
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", text_string(what));
}

/* Its pools over which something lies; counts as below. */
static unsigned put_pools(struct cli_table *table, const json_t *service)
{
    const json_t *pools = json_object_get(service, "pools");
    unsigned count = 0;

    for (size_t i = 0; i < json_array_size(pools); i++) {
        struct text what = { 0 };
        if (describe_pool(json_array_get(pools, i), &what)) {
            count++;
            if (table != NULL) {
                put_pool_row(table, json_array_get(pools, i), &what);
            }
        }
        text_fini(&what);
    }
    return count;
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
            if (!all && cli_status_is_fine(cli_json_string(endpoint, "state"))) {
                continue;
            }
            count++;
            if (table != NULL) {
                put_endpoint(table, cli_json_string(pool, "region"), endpoint);
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
    const char *reason = cli_json_string(name, "reason");

    cli_table_add(table, CLI_PAINT_PLAIN, "  %s %s", cli_json_string(name, "region"),
                  cli_json_string(name, "name"));
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", cli_json_string(name, "type"));
    cli_table_add(table, cli_status_paint(state), "%s", state);
    cli_status_put_age(table, name, kept ? "kept_ms_ago" : "last_answer_ms_ago");
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", "");
    cli_table_add(table, CLI_PAINT_PLAIN, "%s",
                  reason[0] != '\0' ? reason : cli_json_string(name, "last_answer"));
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
            if (!lost && cli_json_string(name, "reason")[0] == '\0') {
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
    const char *steer = cli_json_string(service, "steer");
    bool is_ordered = steer[0] == '\0' || strcmp(steer, "region_order") == 0;

    for (unsigned i = 0; i < 2; i++) {
        const json_t *answer = json_object_get(answers, types[i]);
        const json_t *region = json_array_get(json_object_get(answer, "regions"), 0);
        if (!json_is_object(answer)) {
            continue;
        }
        if (cli_json_number(answer, "rung") != 1 || region == NULL ||
            (is_ordered &&
             strcmp(json_string_value(region), cli_json_string(first, "region")) != 0)) {
            return true;
        }
    }
    return put_endpoints(NULL, service, false) + put_hostnames(NULL, service) +
               put_pools(NULL, service) >
           0;
}

/* The same of the service or one of its views. */
static bool any_needs_look(const json_t *service)
{
    const json_t *views = json_object_get(service, "views");
    bool found = needs_look(service);

    for (size_t i = 0; !found && i < json_array_size(views); i++) {
        found = needs_look(json_array_get(views, i));
    }
    return found;
}

/* How its answers are chosen, where that is more than the order of regions. */
static void put_steer(struct cli_table *table, const json_t *service)
{
    const char *steer = cli_json_string(service, "steer");
    bool is_manual = strcmp(cli_json_string(service, "failback"), "manual") == 0;

    if (!is_manual && (steer[0] == '\0' || strcmp(steer, "region_order") == 0)) {
        return;
    }
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", "  steered by");
    for (unsigned i = 0; i < 4; i++) {
        cli_table_add(table, CLI_PAINT_PLAIN, "%s", "");
    }
    cli_table_add(table, CLI_PAINT_PLAIN, "%s%s", steer, is_manual ? "; failback by hand" : "");
}

/* A service, or one of its views, which goes by its own name. */
static void put_variant(struct cli_table *table, const json_t *service, const char *name, bool all)
{
    static const char *const types[] = { "A", "AAAA" };
    const json_t *answers = json_object_get(service, "answer");

    for (unsigned i = 0; i < 2; i++) {
        const json_t *answer = json_object_get(answers, types[i]);
        if (json_is_object(answer)) {
            put_answer(table, name, types[i], answer);
            name = "";
        }
    }
    if (all) {
        put_steer(table, service);
    }
    (void)put_pools(table, service);
    (void)put_endpoints(table, service, all);
    (void)put_hostnames(table, service);
}

static void put_service(struct cli_table *table, const json_t *service, bool all)
{
    const json_t *views = json_object_get(service, "views");

    put_variant(table, service, cli_json_string(service, "name"), all);
    for (size_t i = 0; i < json_array_size(views); i++) {
        const json_t *view = json_array_get(views, i);
        struct text name = { 0 };
        if (all || needs_look(view)) {
            text_printf(&name, "  view %s", cli_json_string(view, "view"));
            put_variant(table, view, text_string(&name), all);
        }
        text_fini(&name);
    }
}

void cli_status_put_services(const json_t *status, const struct cli_status_view *view,
                             struct text *out)
{
    static const char *const heads[] = { "SERVICE", "TYPE", "FROM", "BY", "TTL", "ADDRESSES" };
    const json_t *services = json_object_get(status, "services");
    size_t left_out = (size_t)cli_json_number(status, "services_left_out"); /* by the server */
    size_t count = json_array_size(services);
    bool all = view->all || count + left_out <= CLI_STATUS_SERVICES;
    size_t shown = 0;
    struct cli_table table;

    if (count + left_out == 0) {
        return;
    }
    cli_table_init(&table, 6, heads);
    for (size_t i = 0; i < count; i++) {
        const json_t *service = json_array_get(services, i);
        if (all || any_needs_look(service)) {
            put_service(&table, service, view->all);
            shown++;
        } else {
            left_out++;
        }
    }
    text_put_char(out, '\n');
    if (shown > 0) {
        cli_table_put(&table, view->colored, view->width, out);
    }
    if (left_out > 0) {
        text_printf(out,
                    "%zu %sservices answer from their first region, all endpoints up (-v lists "
                    "them)\n",
                    left_out, shown > 0 ? "more " : "");
    }
    cli_table_fini(&table);
}
