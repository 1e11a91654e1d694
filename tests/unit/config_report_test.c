#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/config.h"
#include "tests/unit/scratch.h"

static void assert_printed(const char *yaml, const char *expected)
{
    struct config_report report;
    struct model *model = NULL;
    struct text out = { 0 };

    assert_true(config_load_text(yaml, "t.yaml", &model, &report) < 0);
    config_report_print(&report, &out);
    assert_string_equal(text_string(&out), expected);
    text_fini(&out);
    config_report_fini(&report);
}

static void an_error_reads_as_documented(void **state)
{
    (void)state;
    assert_printed("regions: {seoul: {minimum_healthy: 0}}\n"
                   "\n"
                   "services:\n"
                   "  api.svc.example.com:\n"
                   "    endpoints: {seoul: 192.0.2.1}\n",
                   "t.yaml:4:3: services.api.svc.example.com: minimum_healthy is required\n"
                   "    4 |   api.svc.example.com:\n"
                   "      |   ^\n"
                   "   hint: how many endpoints of a region must be healthy for it to be used, "
                   "e.g. minimum_healthy: 1\n");
}

static void the_caret_stands_under_tabs_and_wide_letters(void **state)
{
    (void)state;
    /* a tab stays a tab; a Korean letter takes two columns of a terminal, an accent none */
    assert_printed("log: {level:\t\"x\", a: 1}\n", "t.yaml:1:14: log.level: unknown value 'x'\n"
                                                   "    1 | log: {level:\t\"x\", a: 1}\n"
                                                   "      |             \t^\n"
                                                   "   hint: it must be error, warning, info or "
                                                   "debug\n"
                                                   "t.yaml:1:19: log: unknown key 'a'\n"
                                                   "    1 | log: {level:\t\"x\", a: 1}\n"
                                                   "      |             \t     ^\n");
    assert_printed("node: {name: 한글, zz: 1}\n", "t.yaml:1:18: node: unknown key 'zz'\n"
                                                  "    1 | node: {name: 한글, zz: 1}\n"
                                                  "      |                    ^\n");
    assert_printed("node: {name: e\xcc\x81, zz: 1}\n", "t.yaml:1:18: node: unknown key 'zz'\n"
                                                       "    1 | node: {name: e\xcc\x81, zz: 1}\n"
                                                       "      |                 ^\n");
}

static void lines_end_as_in_yaml(void **state)
{
    (void)state;
    assert_printed("log: {}\r\nzz: 1\r\n", "t.yaml:2:1: unknown key 'zz'\n"
                                           "    2 | zz: 1\n"
                                           "      | ^\n");
    assert_printed("log: {}\rzz: 1\r", "t.yaml:2:1: unknown key 'zz'\n"
                                       "    2 | zz: 1\n"
                                       "      | ^\n");
}

static void long_lines_are_cut_around_the_place(void **state)
{
    struct text yaml = { 0 };
    struct config_report report;
    struct model *model = NULL;
    struct text out = { 0 };

    (void)state;
    text_put(&yaml, "node: {name: \"");
    for (unsigned i = 0; i < 80; i++) {
        text_put(&yaml, "한");
    }
    text_put(&yaml, "\", zz: 1}");
    for (unsigned i = 0; i < 200; i++) {
        text_put(&yaml, " ");
    }
    assert_true(config_load_text(text_string(&yaml), "t.yaml", &model, &report) < 0);
    config_report_print(&report, &out);
    assert_int_equal(report.errors[0].col, 98);
    const char *line = strstr(text_string(&out), "    1 | ... 한");
    assert_non_null(line);
    assert_non_null(strstr(line, "\", zz: 1}"));
    /* four for the dots, two for each of 57 letters, three more */
    assert_non_null(strstr(line, "\n      | "));
    assert_int_equal(strcspn(strstr(line, "\n      | ") + 9, "^"), 4 + 2 * 57 + 3);
    config_report_fini(&report);
    text_fini(&yaml);
    text_fini(&out);
}

static void nothing_a_terminal_would_obey_is_shown(void **state)
{
    (void)state;
    assert_printed("\"z\\e[31m\\u202e\": 1\n", "t.yaml:1:1: unknown key 'z?[31m?'\n"
                                               "    1 | \"z\\e[31m\\u202e\": 1\n"
                                               "      | ^\n");
    assert_printed("zz\x1b[31m: 1\n", "t.yaml:1:3: control characters are not allowed\n"
                                      "    1 | zz?[31m: 1\n"
                                      "      |   ^\n");
}

static void an_error_found_later_shows_its_line_too(void **state)
{
    struct scratch scratch;
    struct config_report report = { 0 };
    struct text out = { 0 };
    struct error err;
    char expected[1024];

    (void)state;
    scratch_init(&scratch);
    const char *path = scratch_write(&scratch, "a.zone", "@ SOA x\nwww AA 192.0.2.1\n");
    error_set_at(&err, -22, path, 2, 5, "unknown type");
    config_report_add(&report, &err);
    error_set(&err, -22, "no place");
    config_report_add(&report, &err);
    error_set_at(&err, -22, "/nonexistent/file", 1, 1, "gone");
    config_report_add(&report, &err);
    error_set_at(&err, -22, path, 99, 1, "behind the end");
    config_report_add(&report, &err);
    config_report_print(&report, &out);
    (void)snprintf(expected, sizeof(expected),
                   "%s:2:5: unknown type\n    2 | www AA 192.0.2.1\n      |     ^\nno place\n"
                   "/nonexistent/file:1:1: gone\n%s:99:1: behind the end\n",
                   path, path);
    assert_string_equal(text_string(&out), expected);
    text_fini(&out);
    config_report_fini(&report);
    scratch_fini(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_reads_as_documented),
        cmocka_unit_test(the_caret_stands_under_tabs_and_wide_letters),
        cmocka_unit_test(lines_end_as_in_yaml),
        cmocka_unit_test(long_lines_are_cut_around_the_place),
        cmocka_unit_test(nothing_a_terminal_would_obey_is_shown),
        cmocka_unit_test(an_error_found_later_shows_its_line_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
