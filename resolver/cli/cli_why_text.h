#pragma once
/*
 * cli_why_text - an explained answer for people
 *
 * From the JSON of /api/v1/why to text; no I/O. One thread.
 */
#include <jansson.h>
#include <stdbool.h>

#include "base/text.h"

/* Append the answer and the steps that led to it. */
void cli_why_text_put(const json_t *why, bool colored, struct text *out);
