#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/config.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

struct bad {
    const char *text;
    unsigned line;
    unsigned col;
    const char *message;
};

/* The first error of a text that must not load. */
static struct error first_error(const char *text)
{
    struct config_report report;
    struct model *model = NULL;

    assert_int_equal(config_load_text(text, "t.yaml", &model, &report), -22);
    assert_null(model);
    assert_true(report.count > 0);
    struct error err = report.errors[0];
    config_report_fini(&report);
    return err;
}

static void assert_good(const char *text)
{
    struct config_report report;
    struct model *model = NULL;
    struct text out = { 0 };

    if (config_load_text(text, "t.yaml", &model, &report) < 0) {
        config_report_print(&report, &out);
        print_error("of:\n%s\n%s", text, text_string(&out));
        fail();
    }
    config_report_fini(&report);
    model_free(model);
}

static void broken_text_is_placed(void **state)
{
    static const struct bad list[] = {
        { "", 1, 1, "the file is empty" },
        { "# only a comment\n", 1, 1, "the file is empty" },
        { "- a\n", 1, 1, "must be a map of sections" },
        { "text\n", 1, 1, "must be a map of sections" },
        { "node: {}\nnode: {}\n", 2, 1, "'node' is given twice, first at t.yaml:1:1" },
        { "node: {name: a, name: b}\n", 1, 17, "'name' is given twice, first at t.yaml:1:8" },
        { "node:\n\tname: a\n", 2, 1, "cannot start any token" },
        { "node: {name: a\n", 2, 1, "did not find expected ',' or '}'" },
        { "node: \"a\n", 2, 1, "unexpected end of stream" },
        { "node: {}\n---\nlog: {}\n", 2, 1, "a second document" },
        { "node: {name: \"a\\0b\"}\n", 1, 14, "a value cannot hold a NUL byte" },
        { "? [a]\n: b\n", 1, 3, "a key must be a single word" },
        { "node: *x\n", 1, 7, "no anchor &x before this alias" },
        { "node: \x01\n", 1, 7, "control characters are not allowed" },
        { "log: {}\nnode: \xff\n", 2, 7, "invalid" },
        { "node: {name: a}\n  bad\n", 2, 3, "did not find expected key" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(list); i++) {
        struct error err = first_error(list[i].text);
        if (err.line != list[i].line || err.col != list[i].col ||
            strstr(err.message, list[i].message) == NULL) {
            print_error("of:\n%s\nwanted %u:%u: %s\ncame   %u:%u: %s\n", list[i].text, list[i].line,
                        list[i].col, list[i].message, err.line, err.col, err.message);
            fail();
        }
    }
}

static void json_is_a_configuration_too(void **state)
{
    (void)state;
    assert_good("{\"regions\": {\"a\": {\"minimum_healthy\": 0}}, \"services\": {\"s.example\": "
                "{\"minimum_healthy\": 1, \"endpoints\": {\"a\": [\"192.0.2.1\"]}}}}");
}

static void aliases_and_merges_are_followed(void **state)
{
    struct config_report report;
    struct model *model = NULL;

    (void)state;
    assert_int_equal(
        config_load_text("regions: {a: {minimum_healthy: 0}}\n"
                         "services:\n"
                         "  x.example: &x\n"
                         "    minimum_healthy: 1\n"
                         "    ttl: 3s\n"
                         "    endpoints: &e {a: [192.0.2.1]}\n"
                         "  y.example: {<<: *x, ttl: 7s}\n"
                         "  z.example: {ttl: 9s, <<: [*x, {max_addresses: 2, ttl: 8s}]}\n"
                         "  w.example: {minimum_healthy: 1, endpoints: *e}\n",
                         "t.yaml", &model, &report),
        0);
    assert_int_equal(model->service_count, 4);
    assert_int_equal(model->services[1].ttl_normal_s, 7);
    assert_int_equal(model->services[1].pools[0].endpoint_count, 1);
    assert_int_equal(model->services[2].ttl_normal_s, 9);
    assert_int_equal(model->services[2].max_addresses, 2);
    config_report_fini(&report);
    model_free(model);
}

static void an_alias_into_itself_is_refused(void **state)
{
    struct error err = first_error("services: &l\n  x: *l\n");

    (void)state;
    assert_int_equal(err.line, 2);
    assert_int_equal(err.col, 6);
    assert_non_null(strstr(err.message, "*l stands inside what it names"));
    err = first_error("a: &l [*l]\n");
    assert_non_null(strstr(err.message, "*l stands inside what it names"));
}

static void a_billion_laughs_are_refused_at_once(void **state)
{
    struct text text = { 0 };

    (void)state;
    text_put(&text, "a: &a [x,x,x,x,x,x,x,x,x]\n");
    for (char c = 'b'; c <= 'z'; c++) {
        text_printf(&text, "%c: &%c [", c, c);
        for (unsigned i = 0; i < 9; i++) {
            text_printf(&text, "*%c,", c - 1);
        }
        text_put(&text, "]\n");
    }
    struct error err = first_error(text_string(&text));
    assert_int_equal(err.line, 7);
    assert_non_null(strstr(err.message, "more than 2000000 values"));
    text_fini(&text);
}

static void laughs_by_merging_stay_small(void **state)
{
    struct text text = { 0 };
    struct config_report report;
    struct model *model = NULL;

    (void)state;
    text_put(&text, "a: &a {k: 1}\n");
    for (char c = 'b'; c <= 'z'; c++) {
        text_printf(&text, "%c: &%c {<<: [*%c, *%c, *%c]}\n", c, c, c - 1, c - 1, c - 1);
    }
    assert_true(config_load_text(text_string(&text), "t.yaml", &model, &report) < 0);
    assert_int_equal(report.count, 26); /* unknown keys, nothing worse */
    config_report_fini(&report);
    text_fini(&text);
}

static void deep_nesting_is_refused_at_once(void **state)
{
    struct text text = { 0 };

    (void)state;
    text_put(&text, "a: ");
    for (unsigned i = 0; i < 200000; i++) {
        text_put_char(&text, '[');
    }
    struct error err = first_error(text_string(&text));
    assert_int_equal(err.line, 1);
    assert_int_equal(err.col, 67);
    assert_non_null(strstr(err.message, "more than 64 deep"));
    text_fini(&text);
    for (unsigned i = 0; i < 500; i++) {
        text_printf(&text, "%*sa:\n", (int)i, "");
    }
    err = first_error(text_string(&text));
    assert_int_equal(err.line, 64);
    text_fini(&text);
}

#define OPEN  "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
#define CLOSE "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"

static void depth_behind_an_alias_counts(void **state)
{
    struct text text = { 0 };

    text_printf(&text, "a: &a %s1%s\n", OPEN, CLOSE);
    text_printf(&text, "b: %s*a%s\n", OPEN, CLOSE);
    struct error err = first_error(text_string(&text));
    text_fini(&text);

    (void)state;
    assert_int_equal(err.line, 2);
    assert_non_null(strstr(err.message, "more than 64 deep"));
}

static void too_many_anchors_are_refused(void **state)
{
    struct text text = { 0 };

    (void)state;
    for (unsigned i = 0; i < 1001; i++) {
        text_printf(&text, "k%u: &a%u 1\n", i, i);
    }
    assert_non_null(strstr(first_error(text_string(&text)).message, "more than 1000 anchors"));
    text_fini(&text);
}

static void variables_cannot_change_the_structure(void **state)
{
    struct config_report report;
    struct model *model = NULL;

    (void)state;
    assert_int_equal(setenv("LEEWARD_TEST", "a}, log: {level: debug", 1), 0);
    assert_int_equal(
        config_load_text("node: {name: \"${LEEWARD_TEST}\"}\n", "t.yaml", &model, &report), 0);
    assert_string_equal(model->node_name, "a}, log: {level: debug");
    assert_int_equal(model->log_level, LOG_INFO);
    config_report_fini(&report);
    model_free(model);
}

static void a_variable_that_is_not_set_is_one_error_at_its_place(void **state)
{
    struct config_report report;
    struct model *model = NULL;

    (void)state;
    assert_int_equal(unsetenv("LEEWARD_TEST"), 0);
    assert_true(config_load_text("node:\n  threads: ${LEEWARD_TEST}\n", "t.yaml", &model, &report) <
                0);
    assert_int_equal(report.count, 1);
    assert_int_equal(report.errors[0].line, 2);
    assert_int_equal(report.errors[0].col, 12);
    assert_non_null(strstr(report.errors[0].message, "LEEWARD_TEST is not set"));
    assert_non_null(strstr(report.errors[0].hint, "${LEEWARD_TEST:-default}"));
    config_report_fini(&report);
}

static void an_unquoted_variable_in_braces_gets_a_hint(void **state)
{
    struct error err = first_error("log: {}\nnode: {name: ${HOME}}\n");

    (void)state;
    assert_int_equal(err.line, 2);
    assert_non_null(strstr(err.hint, "must be quoted"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_text_is_placed),
        cmocka_unit_test(json_is_a_configuration_too),
        cmocka_unit_test(aliases_and_merges_are_followed),
        cmocka_unit_test(an_alias_into_itself_is_refused),
        cmocka_unit_test(a_billion_laughs_are_refused_at_once),
        cmocka_unit_test(laughs_by_merging_stay_small),
        cmocka_unit_test(deep_nesting_is_refused_at_once),
        cmocka_unit_test(depth_behind_an_alias_counts),
        cmocka_unit_test(too_many_anchors_are_refused),
        cmocka_unit_test(variables_cannot_change_the_structure),
        cmocka_unit_test(an_unquoted_variable_in_braces_gets_a_hint),
        cmocka_unit_test(a_variable_that_is_not_set_is_one_error_at_its_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
