#pragma once
/*
 * json_match - does a JSON text hold what a check expects, where it expects it?
 *
 * Any thread.
 */
#include <stddef.h>

/*
 * Look up `pointer` (RFC 6901) in the JSON text of `size` bytes at `bytes`.
 * What it names must be there, and with `value` be equal to it: `value` is JSON
 * text, or the very string without quotes. Numbers are equal by what they mean.
 * 1, or 0 with the reason in `reason`, or -ENOMEM.
 */
int json_match(const char *pointer, const char *value, const char *bytes, size_t size, char *reason,
               size_t cap);
