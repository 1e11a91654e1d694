#pragma once
/*
 * cli_json - members of what the server answered
 *
 * Missing members, and those of another type, read as "", 0 and false: another
 * version of the server may answer. One thread.
 */
#include <jansson.h>
#include <stdbool.h>

#include "base/text.h"

/* What the server answered, to be json_decref'd; NULL, and it is told on stderr: no JSON. */
json_t *cli_json_read(const struct text *body);

/* As long as `object` is. Never NULL. */
const char *cli_json_string(const json_t *object, const char *key);

/* 0 for what is negative, too. */
unsigned long long cli_json_number(const json_t *object, const char *key);

bool cli_json_truth(const json_t *object, const char *key);
