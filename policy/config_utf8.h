#pragma once
/*
 * config_utf8 - one code point of a text that may be anything
 *
 * Pure functions, any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Read the code point at `s`, of which `left` bytes may be read. Returns how
 * many bytes it takes (RFC 3629), or 0 when they are not UTF-8 or `left` is 0.
 */
size_t config_utf8_read(const char *s, size_t left, uint32_t *out);

/* Does the text hold nothing but UTF-8? */
bool config_utf8_is_valid(const char *text, size_t length);

/* Does a terminal show it, rather than obey it? Tabs and line ends count as not shown. */
bool config_utf8_is_shown(uint32_t code);

/* Columns it takes on a terminal: 0, 1 or 2. */
unsigned config_utf8_width(uint32_t code);
