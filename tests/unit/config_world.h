#pragma once
/*
 * config_world - configurations that tests load, good ones and bad ones
 *
 * Behind cmocka.h. A failure ends the test.
 */
#include <string.h>

#include "policy/config.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* A file with one mistake: where it is, what is said, what is suggested. */
struct bad {
    const char *text;
    unsigned line;
    unsigned col;
    const char *message; /* a part of it */
    const char *hint;    /* a part of it, NULL: any */
};

/* Two regions in line 1, then a service whose keys begin in line 4. */
#define REGIONS "regions: {a: {minimum_healthy: 0}, b: {minimum_healthy: 0}}\n"
#define SERVICE REGIONS "services:\n  s.example:\n"
#define GOOD    "    minimum_healthy: 1\n    endpoints: {a: [192.0.2.1]}\n"

static inline void fail_with(const char *text, const struct config_report *report)
{
    struct text out = { 0 };

    config_report_print(report, &out);
    print_error("of:\n%s\ncame %zu errors:\n%s\n", text, report->count, text_string(&out));
    text_fini(&out);
    fail();
}

static inline bool has_error(const struct config_report *report, const struct bad *bad)
{
    for (size_t i = 0; i < report->count; i++) {
        const struct error *err = &report->errors[i];
        if (err->line == bad->line && err->col == bad->col &&
            strstr(err->message, bad->message) != NULL &&
            (bad->hint == NULL || strstr(err->hint, bad->hint) != NULL)) {
            return strcmp(err->path, "t.yaml") == 0;
        }
    }
    return false;
}

static inline void expect_bad(const struct bad *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct config_report report;
        struct model *model = NULL;
        int rc = config_load_text(list[i].text, "t.yaml", &model, &report);
        if (rc >= 0 || model != NULL || report.count != 1 || !has_error(&report, &list[i])) {
            print_error("wanted t.yaml:%u:%u: %s\n", list[i].line, list[i].col, list[i].message);
            fail_with(list[i].text, &report);
        }
        config_report_fini(&report);
    }
}

static inline struct model *load_good(const char *text)
{
    struct config_report report;
    struct model *model = NULL;

    if (config_load_text(text, "t.yaml", &model, &report) != 0 || report.count != 0) {
        fail_with(text, &report);
    }
    config_report_fini(&report);
    return model;
}
