#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "base/text.h"

#define FORMAT_MAX      256
#define FIRST_SEPARATOR '\x1f' /* stands for the spaces of the format */
#define LAST_SEPARATOR  '\x01'

static _Atomic int log_level_now = LOG_INFO;
static _Atomic int log_format_now = LOG_FORMAT_LOGFMT;

static const char *const level_names[] = { "error", "warning", "info", "debug" };

void log_configure(enum log_level level, enum log_format format)
{
    atomic_store_explicit(&log_level_now, (int)level, memory_order_relaxed);
    atomic_store_explicit(&log_format_now, (int)format, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&log_level_now, memory_order_relaxed);
}

static bool needs_quotes(const char *value)
{
    if (*value == '\0') {
        return true;
    }
    for (const unsigned char *c = (const unsigned char *)value; *c != '\0'; c++) {
        if (*c <= ' ' || *c == '"' || *c == '=' || *c == '\\' || *c >= 0x7f) {
            return true;
        }
    }
    return false;
}

static void put_logfmt(struct text *line, const char *key, const char *value)
{
    text_printf(line, " %s=", key);
    if (needs_quotes(value)) {
        json_writer_put_quoted(line, value);
    } else {
        text_put(line, value);
    }
}

/* Write each "key=value" of `fields`, which is cut into pieces. */
static void put_fields(struct text *line, struct json_writer *json, char *fields, char separator)
{
    char *rest = fields;

    while (rest != NULL && *rest != '\0') {
        char *field = strsep(&rest, (const char[]){ separator, '\0' });
        char *value = strchr(field, '=');
        if (value == NULL) {
            continue;
        }
        *value++ = '\0';
        if (json != NULL) {
            json_writer_string(json, field, value);
        } else {
            put_logfmt(line, field, value);
        }
    }
}

static void put_line(struct text *line, enum log_level level, const char *event, char *fields,
                     char separator)
{
    char time[32];

    clock_format_wall(clock_wall_ms(), time, sizeof(time));
    if (atomic_load_explicit(&log_format_now, memory_order_relaxed) == LOG_FORMAT_JSON) {
        struct json_writer json;
        json_writer_init(&json, line);
        json_writer_object_begin(&json, NULL);
        json_writer_string(&json, "time", time);
        json_writer_string(&json, "level", level_names[level]);
        json_writer_string(&json, "event", event);
        put_fields(line, &json, fields, separator);
        json_writer_object_end(&json);
    } else {
        text_printf(line, "%s %s %s", time, level_names[level], event);
        put_fields(line, NULL, fields, separator);
    }
    text_put_char(line, '\n');
}

static size_t count(const char *string, char c)
{
    size_t found = 0;

    for (; *string != '\0'; string++) {
        found += *string == c;
    }
    return found;
}

/*
 * Fill in the fields with `separator` between them. False when an argument
 * holds that character too: values come from strangers, and none may pass for
 * a field of ours.
 */
static bool fill_in(struct text *values, const char *fields, char separator, va_list args)
{
    char format[FORMAT_MAX];

    (void)snprintf(format, sizeof(format), "%s", fields);
    for (char *c = format; *c != '\0'; c++) {
        if (*c == ' ') {
            *c = separator;
        }
    }
    values->length = 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    text_vprintf(values, format, args);
#pragma GCC diagnostic pop
    return count(text_string(values), separator) == count(format, separator);
}

void log_event(enum log_level level, const char *event, const char *fields, ...)
{
    struct text values = { 0 };
    struct text line = { 0 };
    char separator = FIRST_SEPARATOR;
    bool told_apart = false;
    va_list args;

    if (!log_enabled(level)) {
        return;
    }
    while (!told_apart && separator >= LAST_SEPARATOR) {
        va_start(args, fields);
        told_apart = fill_in(&values, fields, separator, args);
        va_end(args);
        separator = (char)(separator - !told_apart);
    }
    /* an argument with every control character: better no evidence than a false one */
    char none[] = "";
    put_line(&line, level, event, told_apart && values.bytes != NULL ? values.bytes : none,
             separator);
    if (!text_failed(&line)) {
        ssize_t done = write(STDERR_FILENO, line.bytes, line.length);
        (void)done; /* a closed stderr is no reason to stop serving */
    }
    text_fini(&values);
    text_fini(&line);
}
