#include "policy/config_report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/config_files.h"
#include "policy/config_utf8.h"

#define SHOWN_MAX  120u /* code points of a line that are shown */
#define SHOWN_LEAD 60u  /* of them before the column, in a long line */

/* What is shown of a line: where to begin, and the column counted from there. */
struct window {
    const char *begin;
    unsigned col; /* from 0 */
    bool cut;     /* something stands before it */
};

struct config_report_cursor config_report_cursor(const char *text, size_t length)
{
    return (struct config_report_cursor){ .at = text, .end = text + length, .line = 1 };
}

/*
 * Length of the line end at `s`, 0 when there is none: those that YAML knows
 * (YAML 1.1, section 4.1.4), so that numbers agree with the parser's.
 */
static size_t line_end(const char *s, const char *end)
{
    size_t left = (size_t)(end - s);

    if (*s == '\n') {
        return 1;
    }
    if (*s == '\r') {
        return left > 1 && s[1] == '\n' ? 2 : 1;
    }
    if (left > 1 && memcmp(s, "\xc2\x85", 2) == 0) {
        return 2;
    }
    if (left > 2 && (memcmp(s, "\xe2\x80\xa8", 3) == 0 || memcmp(s, "\xe2\x80\xa9", 3) == 0)) {
        return 3;
    }
    return 0;
}

static bool move_to(struct config_report_cursor *cursor, unsigned line)
{
    if (line < cursor->line) {
        return false;
    }
    while (cursor->line < line) {
        if (cursor->at == cursor->end) {
            return false;
        }
        size_t size = line_end(cursor->at, cursor->end);
        cursor->at += size == 0 ? 1 : size;
        cursor->line += size > 0;
    }
    return true;
}

/* One code point, anything for bytes that are none. Returns its size. */
static size_t read_code(const char *s, const char *end, uint32_t *out)
{
    size_t size = config_utf8_read(s, (size_t)(end - s), out);

    if (size == 0) {
        *out = 0;
        return 1;
    }
    return size;
}

static struct window find_window(const struct config_report_cursor *cursor, unsigned col)
{
    struct window window = { .begin = cursor->at, .col = col > 0 ? col - 1 : 0 };
    const char *s = cursor->at;
    uint32_t code;

    if (window.col < SHOWN_MAX - SHOWN_LEAD / 2) {
        return window;
    }
    for (unsigned skip = window.col - SHOWN_LEAD; skip > 0; skip--) {
        if (s == cursor->end || line_end(s, cursor->end) > 0) {
            break;
        }
        s += read_code(s, cursor->end, &code);
        window.col--;
    }
    window.begin = s;
    window.cut = true;
    return window;
}

/* The part of the line, without anything a terminal would obey. */
static void put_line(const struct window *window, const char *end, struct text *out)
{
    const char *s = window->begin;
    uint32_t code;

    text_put(out, window->cut ? "... " : "");
    for (unsigned i = 0; s < end && line_end(s, end) == 0; i++) {
        if (i == SHOWN_MAX) {
            text_put(out, " ...");
            return;
        }
        size_t size = read_code(s, end, &code);
        if (code == '\t' || config_utf8_is_shown(code)) {
            text_put_bytes(out, s, size);
        } else {
            text_put_char(out, '?');
        }
        s += size;
    }
}

/* What stands before the caret: as wide as the line up to there, tabs kept. */
static void put_padding(const struct window *window, const char *end, struct text *out)
{
    const char *s = window->begin;
    uint32_t code;

    text_put(out, window->cut ? "    " : "");
    for (unsigned i = 0; i < window->col && i < SHOWN_MAX; i++) {
        if (s == end || line_end(s, end) > 0) {
            return;
        }
        s += read_code(s, end, &code);
        unsigned width = config_utf8_is_shown(code) ? config_utf8_width(code) : 1;
        for (unsigned j = 0; j < width; j++) {
            text_put_char(out, code == '\t' ? '\t' : ' ');
        }
    }
}

/* Room for one more error and the place of its line. */
static bool grow(struct config_report *report)
{
    if (report->count < report->capacity) {
        return true;
    }
    size_t capacity = report->capacity == 0 ? 8 : report->capacity * 2;
    void *errors = realloc(report->errors, capacity * sizeof(*report->errors));
    if (errors == NULL) {
        return false;
    }
    report->errors = errors;
    void *lines = realloc(report->lines, capacity * sizeof(size_t));
    if (lines == NULL) {
        return false;
    }
    report->lines = lines;
    report->capacity = capacity;
    return true;
}

/* `lines` holds for each error where its line begins in `sources`, plus one; 0: none. */
static size_t *line_of(const struct config_report *report, size_t index)
{
    return (size_t *)report->lines + index;
}

void config_report_add_shown(struct config_report *report, const struct error *err,
                             struct config_report_cursor *cursor)
{
    if (!grow(report)) {
        return; /* out of memory: fewer errors are shown, none is made up */
    }
    size_t index = report->count++;
    report->errors[index] = *err;
    *line_of(report, index) = 0;
    if (cursor == NULL || err->line == 0 || !move_to(cursor, err->line)) {
        return;
    }
    struct window window = find_window(cursor, err->col);
    size_t begin = report->sources.length;
    put_line(&window, cursor->end, &report->sources);
    text_put_char(&report->sources, '\0');
    put_padding(&window, cursor->end, &report->sources);
    text_put_char(&report->sources, '\0');
    if (!text_failed(&report->sources)) {
        *line_of(report, index) = begin + 1;
    }
}

void config_report_add(struct config_report *report, const struct error *err)
{
    char *text;
    size_t length;
    struct error ignored;

    if (err->path[0] == '\0' || err->line == 0 ||
        config_files_read(err->path, &text, &length, &ignored) < 0) {
        config_report_add_shown(report, err, NULL);
        return;
    }
    struct config_report_cursor cursor = config_report_cursor(text, length);
    config_report_add_shown(report, err, &cursor);
    free(text);
}

void config_report_fini(struct config_report *report)
{
    free(report->errors);
    free(report->lines);
    text_fini(&report->sources);
    memset(report, 0, sizeof(*report));
}

static void print_one(const struct config_report *report, size_t index, struct text *out)
{
    const struct error *err = &report->errors[index];
    char message[sizeof(err->path) + sizeof(err->message) + 32];
    char number[16];

    (void)error_format(err, message, sizeof(message));
    text_printf(out, "%s\n", message);
    if (*line_of(report, index) > 0) {
        const char *line = report->sources.bytes + *line_of(report, index) - 1;
        const char *padding = line + strlen(line) + 1;
        int width = snprintf(number, sizeof(number), "%5u", err->line);
        text_printf(out, "%s | %s\n%*s | ", number, line, width, "");
        if (err->col > 0) {
            text_printf(out, "%s^", padding);
        }
        text_put_char(out, '\n');
    }
    if (err->hint[0] != '\0') {
        text_printf(out, "   hint: %s\n", err->hint);
    }
}

void config_report_print(const struct config_report *report, struct text *out)
{
    for (size_t i = 0; i < report->count; i++) {
        print_one(report, i, out);
    }
}
