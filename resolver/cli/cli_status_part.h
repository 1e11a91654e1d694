#pragma once
/*
 * cli_status_part - what the parts of a status for people have in common
 *
 * The inside of cli_status_text: reads members of JSON and paints states. One
 * thread.
 */
#include <jansson.h>
#include <stdbool.h>

#include "resolver/cli/cli_json.h"
#include "resolver/cli/cli_status_text.h"
#include "resolver/cli/cli_table.h"

/* A cell with a duration, "-" when it is missing. */
void cli_status_put_age(struct cli_table *table, const json_t *object, const char *key);

/* The colour of a state. */
enum cli_paint cli_status_paint(const char *state);

/* Is an endpoint or check in this state nothing to look at? */
bool cli_status_is_fine(const char *state);

/* What an override says, who said it and until when. */
void cli_status_put_override(const json_t *override, struct text *out);

/* The table of services. */
void cli_status_put_services(const json_t *status, const struct cli_status_view *view,
                             struct text *out);
