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
    text_printf(out, " %s for %s: ", string(why, "type"), string(why, "client"));
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

void cli_why_text_put(const json_t *why, bool colored, struct text *out)
{
    const json_t *steps = json_object_get(why, "steps");
    size_t index;
    const json_t *line;

    put_head(why, colored, out);
    json_array_foreach(json_object_get(why, "answer"), index, line)
    {
        text_put(out, "  ");
        cli_table_paint(out, colored, CLI_PAINT_PLAIN, json_string_value(line));
        text_put_char(out, '\n');
    }
    if (json_array_size(steps) > 0) {
        text_put(out, "because\n");
    }
    json_array_foreach(steps, index, line)
    {
        text_printf(out, "%3zu. ", index + 1);
        cli_table_paint(out, colored, CLI_PAINT_PLAIN, json_string_value(line));
        text_put_char(out, '\n');
    }
    if (json_array_size(json_object_get(why, "upstreams")) > 0) {
        text_put(out, "upstreams\n");
        put_upstreams(why, colored, out);
    }
}
