#pragma once
/*
 * json_writer - writes JSON into a text, commas and escapes included
 *
 * The caller opens and closes objects and lists in order; keys are given for
 * members of objects and NULL for elements of lists. Bytes that are not valid
 * UTF-8 are written as U+FFFD, so the result always parses.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

struct json_writer {
    struct text *text;
    bool more; /* a comma is due before the next value */
};

/* Begin writing at the end of `text`, which stays the caller's. */
void json_writer_init(struct json_writer *json, struct text *text);

void json_writer_object_begin(struct json_writer *json, const char *key);
void json_writer_object_end(struct json_writer *json);
void json_writer_list_begin(struct json_writer *json, const char *key);
void json_writer_list_end(struct json_writer *json);
void json_writer_string(struct json_writer *json, const char *key, const char *value);
void json_writer_uint(struct json_writer *json, const char *key, uint64_t value);
void json_writer_int(struct json_writer *json, const char *key, int64_t value);
void json_writer_bool(struct json_writer *json, const char *key, bool value);
void json_writer_null(struct json_writer *json, const char *key);

/* A value that is JSON already. */
void json_writer_raw(struct json_writer *json, const char *key, const char *value);

/* Only the quoted, escaped string; for other writers of JSON. */
void json_writer_put_quoted(struct text *text, const char *value);
