#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/checks/json_match.h"

static char reason[160];

static int match(const char *pointer, const char *value, const char *text)
{
    size_t size = strlen(text);
    char *copy = malloc(size + (size == 0)); /* as long as it is: reading behind it is seen */

    assert_non_null(copy);
    memcpy(copy, text, size);
    memset(reason, 0, sizeof(reason));
    int rc = json_match(pointer, value, copy, size, reason, sizeof(reason));
    free(copy);
    return rc;
}

static void assert_fails(const char *pointer, const char *value, const char *text,
                         const char *words)
{
    assert_int_equal(match(pointer, value, text), 0);
    assert_string_equal(reason, words);
}

/* The example of RFC 6901, section 5. */
static void pointers_are_followed_as_the_rfc_says(void **state)
{
    static const char text[] = "{\"foo\": [\"bar\", \"baz\"], \"\": 0, \"a/b\": 1, \"c%d\": 2,"
                               "\"e^f\": 3, \"g|h\": 4, \"i\\\\j\": 5, \"k\\\"l\": 6, \" \": 7,"
                               "\"m~n\": 8}";
    static const char *const cases[][2] = {
        { "/foo", "[\"bar\",\"baz\"]" },
        { "/foo/0", "bar" },
        { "/", "0" },
        { "/a~1b", "1" },
        { "/c%d", "2" },
        { "/e^f", "3" },
        { "/g|h", "4" },
        { "/i\\j", "5" },
        { "/k\"l", "6" },
        { "/ ", "7" },
        { "/m~0n", "8" },
    };

    (void)state;
    assert_int_equal(match("", NULL, text), 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(match(cases[i][0], cases[i][1], text), 1);
    }
}

static void what_is_not_there_fails(void **state)
{
    static const char *const pointers[] = { "/b",    "/a/9", "/a/-", "/a/01",         "/a/x",
                                            "/a/0/", "/a/",  "a",    "/a/9999999999", "/c~2d" };

    (void)state;
    for (size_t i = 0; i < sizeof(pointers) / sizeof(pointers[0]); i++) {
        assert_int_equal(match(pointers[i], NULL, "{\"a\":[1,2]}"), 0);
    }
    assert_fails("/status", "ok", "{}", "body has no /status");
}

static void without_a_value_anything_there_passes(void **state)
{
    (void)state;
    assert_int_equal(match("/a", NULL, "{\"a\":null}"), 1);
    assert_int_equal(match("/a", NULL, "{\"a\":false}"), 1);
}

static void a_value_is_json_or_a_bare_string(void **state)
{
    (void)state;
    assert_int_equal(match("/a", "ok", "{\"a\":\"ok\"}"), 1);
    assert_int_equal(match("/a", "\"ok\"", "{\"a\":\"ok\"}"), 1);
    assert_int_equal(match("/a", "true", "{\"a\":true}"), 1);
    assert_int_equal(match("/a", "true", "{\"a\":\"true\"}"), 1);
    assert_int_equal(match("/a", "null", "{\"a\":null}"), 1);
    assert_int_equal(match("/a", "{\"y\":2,\"x\":[1]}", "{\"a\":{\"x\":[1],\"y\":2}}"), 1);
    assert_fails("/a", "ok", "{\"a\":\"degraded\"}", "/a is \"degraded\", expected ok");
    assert_fails("/a", "true", "{\"a\":false}", "/a is false, expected true");
    assert_fails("", "1", "2", "body is 2, expected 1");
}

static void numbers_are_equal_by_what_they_mean(void **state)
{
    (void)state;
    assert_int_equal(match("/a", "3", "{\"a\":3.0}"), 1);
    assert_int_equal(match("/a", "3.0", "{\"a\":3}"), 1);
    assert_int_equal(match("/a", "1e2", "{\"a\":100}"), 1);
    assert_int_equal(match("/a", "9007199254740993", "{\"a\":9007199254740992}"), 0);
    assert_int_equal(match("/a", "3", "{\"a\":4, \"b\":18446744073709551616}"), 0);
    assert_int_equal(match("/a", "4", "{\"a\":4, \"b\":18446744073709551616}"), 1);
}

static void what_is_no_json_fails(void **state)
{
    (void)state;
    assert_fails("/a", NULL, "", "body is not JSON");
    assert_fails("/a", NULL, "<html>", "body is not JSON");
    assert_fails("/a", NULL, "{\"a\":1} and more", "body is not JSON");
    assert_fails("/a", NULL, "{\"a\":1", "body is not JSON");
}

static void deep_nesting_is_refused_rather_than_followed(void **state)
{
    static char text[60001];

    (void)state;
    memset(text, '[', 60000);
    assert_fails("/0", NULL, text, "body is not JSON");
}

static void a_long_difference_is_shortened(void **state)
{
    (void)state;
    assert_fails("/a", "ok", "{\"a\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]}",
                 "/a is [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,..., expected ok");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pointers_are_followed_as_the_rfc_says),
        cmocka_unit_test(what_is_not_there_fails),
        cmocka_unit_test(without_a_value_anything_there_passes),
        cmocka_unit_test(a_value_is_json_or_a_bare_string),
        cmocka_unit_test(numbers_are_equal_by_what_they_mean),
        cmocka_unit_test(what_is_no_json_fails),
        cmocka_unit_test(deep_nesting_is_refused_rather_than_followed),
        cmocka_unit_test(a_long_difference_is_shortened),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
