#pragma once
/*
 * cli_status_text - the status of the server as tables for people
 *
 * From the JSON of /api/v1/status to text; no I/O. One thread.
 */
#include <jansson.h>
#include <stdbool.h>

#include "base/text.h"

/* Services shown without `all`; of more only those that need a look. */
#define CLI_STATUS_SERVICES 40u

/* Zones shown without `all`. */
#define CLI_STATUS_ZONES 20

struct cli_status_view {
    bool colored;
    bool all;       /* every check, endpoint and service, not only what needs a look */
    unsigned width; /* of the terminal; 0: do not cut lines */
};

/* Append the status. Members that are missing are left out. */
void cli_status_text_put(const json_t *status, const struct cli_status_view *view,
                         struct text *out);
