#include "base/json_writer.h"

#include <inttypes.h>
#include <stddef.h>

void json_writer_init(struct json_writer *json, struct text *text)
{
    json->text = text;
    json->more = false;
}

/*
 * Length of the valid UTF-8 sequence at `s` (RFC 3629), 0 when there is none.
 * Overlong forms, surrogates and values above U+10FFFF are not valid.
 */
static size_t utf8_length(const unsigned char *s)
{
    if (s[0] < 0x80) {
        return 1;
    }
    size_t length = s[0] >= 0xf0 && s[0] <= 0xf4   ? 4
                    : s[0] >= 0xe0 && s[0] <= 0xef ? 3
                    : s[0] >= 0xc2 && s[0] <= 0xdf ? 2
                                                   : 0;
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) {
        return 0;
    }
    return length;
}

/* So many bytes stand for themselves: printable ASCII that needs no escape. */
static size_t plain_length(const unsigned char *s)
{
    size_t length = 0;

    while (s[length] >= 0x20 && s[length] < 0x7f && s[length] != '"' && s[length] != '\\') {
        length++;
    }
    return length;
}

void json_writer_put_quoted(struct text *text, const char *value)
{
    const unsigned char *s = (const unsigned char *)value;

    text_put_char(text, '"');
    while (*s != '\0') {
        size_t plain = plain_length(s);
        if (plain > 0) {
            text_put_bytes(text, (const char *)s, plain);
            s += plain;
            continue;
        }
        size_t length = utf8_length(s);
        if (length == 0) {
            text_put(text, "\xef\xbf\xbd");
            s++;
            continue;
        }
        if (*s == '"' || *s == '\\') {
            text_put_char(text, '\\');
            text_put_char(text, (char)*s);
        } else if (*s == '\n') {
            text_put(text, "\\n");
        } else if (*s < 0x20 || *s == 0x7f) {
            text_printf(text, "\\u%04x", *s);
        } else {
            text_put_bytes(text, (const char *)s, length);
        }
        s += length;
    }
    text_put_char(text, '"');
}

static void begin_value(struct json_writer *json, const char *key)
{
    if (json->more) {
        text_put_char(json->text, ',');
    }
    if (key != NULL) {
        json_writer_put_quoted(json->text, key);
        text_put_char(json->text, ':');
    }
    json->more = true;
}

static void open(struct json_writer *json, const char *key, char bracket)
{
    begin_value(json, key);
    text_put_char(json->text, bracket);
    json->more = false;
}

static void close(struct json_writer *json, char bracket)
{
    text_put_char(json->text, bracket);
    json->more = true;
}

void json_writer_object_begin(struct json_writer *json, const char *key)
{
    open(json, key, '{');
}

void json_writer_object_end(struct json_writer *json)
{
    close(json, '}');
}

void json_writer_list_begin(struct json_writer *json, const char *key)
{
    open(json, key, '[');
}

void json_writer_list_end(struct json_writer *json)
{
    close(json, ']');
}

void json_writer_string(struct json_writer *json, const char *key, const char *value)
{
    begin_value(json, key);
    json_writer_put_quoted(json->text, value);
}

void json_writer_uint(struct json_writer *json, const char *key, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);

    begin_value(json, key);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    text_put_bytes(json->text, digits + at, sizeof(digits) - at);
}

void json_writer_int(struct json_writer *json, const char *key, int64_t value)
{
    begin_value(json, key);
    text_printf(json->text, "%" PRId64, value);
}

void json_writer_bool(struct json_writer *json, const char *key, bool value)
{
    begin_value(json, key);
    text_put(json->text, value ? "true" : "false");
}

void json_writer_null(struct json_writer *json, const char *key)
{
    begin_value(json, key);
    text_put(json->text, "null");
}

void json_writer_raw(struct json_writer *json, const char *key, const char *value)
{
    begin_value(json, key);
    text_put(json->text, value);
}
