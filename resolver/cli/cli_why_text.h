#pragma once
/*
 * cli_why_text - an explained answer for people
 *
 * From the JSON of /api/v1/why to text; no I/O. One thread.
 */
#include <jansson.h>
#include <stdbool.h>

#include "base/text.h"

struct cli_why_view {
    bool colored;
    bool all; /* every pool with its endpoints and checks, not only what is not well */
};

/* Append the answer, the steps that led to it and what would change it. */
void cli_why_text_put(const json_t *why, const struct cli_why_view *view, struct text *out);
