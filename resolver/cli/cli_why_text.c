#include "resolver/cli/cli_why_text.h"

#include <string.h>

#include "resolver/cli/cli_table.h"

static const char *string(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value != NULL ? value : "";
}

static enum cli_paint paint_of(const char *rcode)
{
    if (strcmp(rcode, "NOERROR") == 0) {
        return CLI_PAINT_GOOD;
    }
    return strcmp(rcode, "NXDOMAIN") == 0 ? CLI_PAINT_DOUBT : CLI_PAINT_BAD;
}

/* "api.svc.example.com A for 127.0.0.1: NOERROR by service, rung 2, TTL 5 s" */
static void put_head(const json_t *why, bool colored, struct text *out)
{
    const char *rcode = string(why, "rcode");
    const json_t *rung = json_object_get(why, "rung");
    const json_t *ttl = json_object_get(why, "ttl_s");

    cli_table_paint(out, colored, CLI_PAINT_STRONG, string(why, "name"));
    text_printf(out, " %s for ", string(why, "type"));
    cli_table_paint(out, colored, CLI_PAINT_PLAIN, string(why, "client"));
    text_put(out, ": ");
    if (rcode[0] != '\0') {
        cli_table_paint(out, colored, paint_of(rcode), rcode);
    } else {
        cli_table_paint(out, colored, CLI_PAINT_DOUBT, "asked of others");
    }
    text_printf(out, ", source %s", string(why, "source"));
    if (json_is_integer(rung)) {
        text_printf(out, ", rung %lld", (long long)json_integer_value(rung));
    }
    if (json_is_integer(ttl)) {
        text_printf(out, ", TTL %lld s", (long long)json_integer_value(ttl));
    }
    text_put_char(out, '\n');
}

/* How the forwarder finds the upstreams just now; those it has asked at all. */
static void put_upstreams(const json_t *why, bool colored, struct text *out)
{
    const json_t *upstreams = json_object_get(why, "upstreams");
    size_t index;
    const json_t *upstream;

    json_array_foreach(upstreams, index, upstream)
    {
        const char *state = string(upstream, "state");
        bool up = strcmp(state, "up") == 0;
        text_put(out, "  ");
        cli_table_paint(out, colored, CLI_PAINT_PLAIN, string(upstream, "address"));
        text_put(out, " is ");
        cli_table_paint(out, colored, up ? CLI_PAINT_GOOD : CLI_PAINT_BAD, state);
        text_put(out, " for ");
        text_put_duration(
            out, (unsigned long long)json_integer_value(json_object_get(upstream, "since_ms_ago")));
        if (!up) {
            text_put(out, ": ");
            cli_table_paint(out, colored, CLI_PAINT_PLAIN, string(upstream, "reason"));
        }
        text_put_char(out, '\n');
    }
}

/* ---- regions ---- */

static enum cli_paint state_paint(const char *state)
{
    static const char *const doubtful[] = { "suspect", "unknown", "held", "degraded", "shared" };

    if (strcmp(state, "up") == 0 || strcmp(state, "forced up") == 0) {
        return CLI_PAINT_GOOD;
    }
    for (unsigned i = 0; i < sizeof(doubtful) / sizeof(doubtful[0]); i++) {
        if (strcmp(doubtful[i], state) == 0) {
            return CLI_PAINT_DOUBT;
        }
    }
    return strcmp(state, "unchecked") == 0 ? CLI_PAINT_PLAIN : CLI_PAINT_BAD;
}

/* "    check seoul http 203.0.113.10:8080/healthz is up for 3m: status 200" */
static void put_check(const json_t *check, bool colored, struct text *out)
{
    const char *state = string(check, "state");
    const char *evidence = string(json_object_get(check, "evidence"), "text");

    text_put(out, "      ");
    cli_table_paint(out, colored, CLI_PAINT_PLAIN, string(check, "label"));
    text_put(out, " is ");
    cli_table_paint(out, colored, state_paint(state), state);
    text_put(out, ": ");
    cli_table_paint(out, colored, CLI_PAINT_PLAIN, string(check, "reason"));
    if (evidence[0] != '\0') {
        text_put(out, " (");
        cli_table_paint(out, colored, CLI_PAINT_PLAIN, evidence);
        text_put_char(out, ')');
    }
    text_put_char(out, '\n');
}

static void put_endpoint(const json_t *endpoint, bool colored, struct text *out)
{
    const json_t *checks = json_object_get(endpoint, "checks");
    const char *state = string(endpoint, "state");

    text_put(out, "    ");
    cli_table_paint(out, colored, CLI_PAINT_PLAIN, string(endpoint, "address"));
    text_put(out, " is ");
    cli_table_paint(out, colored, state_paint(state), state);
    text_put(out, " for ");
    text_put_duration(
        out, (unsigned long long)json_integer_value(json_object_get(endpoint, "since_ms_ago")));
    text_put_char(out, '\n');
    for (size_t i = 0; i < json_array_size(checks); i++) {
        put_check(json_array_get(checks, i), colored, out);
    }
}

static void put_pool(const json_t *pool, const struct cli_why_view *view, struct text *out)
{
    const json_t *notes = json_object_get(pool, "notes");
    const json_t *endpoints = json_object_get(pool, "endpoints");

    text_put(out, "  ");
    cli_table_paint(out, view->colored, CLI_PAINT_STRONG, string(pool, "region"));
    text_put(out, json_is_true(json_object_get(pool, "used")) ? " answers" : " does not answer");
    text_put(out, json_array_size(notes) == 0 ? "; all well\n" : "\n");
    for (size_t i = 0; i < json_array_size(notes); i++) {
        text_put(out, "    ");
        cli_table_paint(out, view->colored, CLI_PAINT_PLAIN,
                        json_string_value(json_array_get(notes, i)));
        text_put_char(out, '\n');
    }
    for (size_t i = 0; view->all && i < json_array_size(endpoints); i++) {
        put_endpoint(json_array_get(endpoints, i), view->colored, out);
    }
}

/* Regions with which something is not well, or all. */
static void put_pools(const json_t *why, const struct cli_why_view *view, struct text *out)
{
    const char *head = "regions\n";
    size_t index;
    const json_t *pool;

    json_array_foreach(json_object_get(why, "pools"), index, pool)
    {
        if (view->all || json_array_size(json_object_get(pool, "notes")) > 0) {
            text_put(out, head);
            head = "";
            put_pool(pool, view, out);
        }
    }
}

/* ---- the whole ---- */

static void put_changes(const json_t *why, const struct cli_why_view *view, struct text *out)
{
    const json_t *changes = json_object_get(why, "would_change");

    if (json_array_size(changes) > 0) {
        text_put(out, "this would change it\n");
    }
    for (size_t i = 0; i < json_array_size(changes); i++) {
        text_put(out, "  ");
        cli_table_paint(out, view->colored, CLI_PAINT_PLAIN,
                        string(json_array_get(changes, i), "text"));
        text_put_char(out, '\n');
    }
}

static void put_steps(const json_t *why, const struct cli_why_view *view, struct text *out)
{
    const json_t *steps = json_object_get(why, "steps");

    if (json_array_size(steps) > 0) {
        text_put(out, "because\n");
    }
    for (size_t i = 0; i < json_array_size(steps); i++) {
        text_printf(out, "%3zu. ", i + 1);
        cli_table_paint(out, view->colored, CLI_PAINT_PLAIN,
                        json_string_value(json_array_get(steps, i)));
        text_put_char(out, '\n');
    }
}

void cli_why_text_put(const json_t *why, const struct cli_why_view *view, struct text *out)
{
    size_t index;
    const json_t *line;

    put_head(why, view->colored, out);
    json_array_foreach(json_object_get(why, "answer"), index, line)
    {
        text_put(out, "  ");
        cli_table_paint(out, view->colored, CLI_PAINT_PLAIN, json_string_value(line));
        text_put_char(out, '\n');
    }
    put_steps(why, view, out);
    put_pools(why, view, out);
    put_changes(why, view, out);
    if (json_array_size(json_object_get(why, "upstreams")) > 0) {
        text_put(out, "upstreams\n");
        put_upstreams(why, view->colored, out);
    }
}
