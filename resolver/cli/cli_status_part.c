#include "resolver/cli/cli_status_part.h"

#include <string.h>

void cli_status_put_age(struct cli_table *table, const json_t *object, const char *key)
{
    struct text age = { 0 };

    if (json_is_integer(json_object_get(object, key))) {
        text_put_duration(&age, cli_json_number(object, key));
    } else {
        text_put(&age, "-");
    }
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", text_string(&age));
    text_fini(&age);
}

enum cli_paint cli_status_paint(const char *state)
{
    static const struct {
        const char *state;
        enum cli_paint paint;
    } paints[] = {
        { "in", CLI_PAINT_GOOD },         { "up", CLI_PAINT_GOOD },
        { "held", CLI_PAINT_DOUBT },      { "suspect", CLI_PAINT_DOUBT },
        { "kept", CLI_PAINT_DOUBT },      { "doubted", CLI_PAINT_DOUBT },
        { "unknown", CLI_PAINT_DOUBT },   { "drained", CLI_PAINT_DOUBT },
        { "shared", CLI_PAINT_DOUBT },    { "degraded", CLI_PAINT_DOUBT },
        { "stale", CLI_PAINT_DOUBT },     { "unchecked", CLI_PAINT_PLAIN },
        { "forced up", CLI_PAINT_DOUBT },
    };

    for (unsigned i = 0; i < sizeof(paints) / sizeof(paints[0]); i++) {
        if (strcmp(paints[i].state, state) == 0) {
            return paints[i].paint;
        }
    }
    return CLI_PAINT_BAD;
}

bool cli_status_is_fine(const char *state)
{
    return strcmp(state, "up") == 0 || strcmp(state, "unchecked") == 0;
}

/* "drained by alice: kernel update, until 2026-11-22T18:00:00Z" */
void cli_status_put_override(const json_t *override, struct text *out)
{
    const char *state = cli_json_string(override, "state");
    const char *until = cli_json_string(override, "until");

    text_printf(out, "%s by %s: %s",
                strcmp(state, "drain") == 0 ? "drained"
                : strcmp(state, "up") == 0  ? "forced up"
                                            : "forced down",
                cli_json_truth(override, "scheduled") ? "maintenance"
                                                      : cli_json_string(override, "author"),
                cli_json_string(override, "reason"));
    if (until[0] != '\0') {
        text_printf(out, ", until %.19sZ", until); /* without the fraction */
    }
}
