#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/config_env.h"

static void assert_expands(const char *value, const char *expected)
{
    struct text out = { 0 };
    struct error err;

    assert_int_equal(config_env_expand(value, &out, &err), 0);
    assert_string_equal(text_string(&out), expected);
    text_fini(&out);
}

static void assert_refused(const char *value, const char *message)
{
    struct text out = { 0 };
    struct error err;

    assert_int_equal(config_env_expand(value, &out, &err), -22);
    assert_non_null(strstr(err.message, message));
    text_fini(&out);
}

static int set_up(void **state)
{
    (void)state;
    setenv("LEEWARD_A", "alpha", 1);
    setenv("LEEWARD_EMPTY", "", 1);
    unsetenv("LEEWARD_NONE");
    return 0;
}

static void variables_are_replaced(void **state)
{
    (void)state;
    assert_expands("", "");
    assert_expands("plain $ text $", "plain $ text $");
    assert_expands("${LEEWARD_A}", "alpha");
    assert_expands("x${LEEWARD_A}y${LEEWARD_A}", "xalphayalpha");
    assert_expands("${LEEWARD_EMPTY}", "");
}

static void a_default_stands_in_for_what_is_unset_or_empty(void **state)
{
    (void)state;
    assert_expands("${LEEWARD_NONE:-beta}", "beta");
    assert_expands("${LEEWARD_EMPTY:-beta}", "beta");
    assert_expands("${LEEWARD_A:-beta}", "alpha");
    assert_expands("${LEEWARD_NONE:-}", "");
    assert_expands("${LEEWARD_NONE:-a:-b c}", "a:-b c");
}

static void a_doubled_dollar_keeps_the_brace(void **state)
{
    (void)state;
    assert_expands("$${LEEWARD_A}", "${LEEWARD_A}");
    assert_expands("$$${LEEWARD_A}", "$${LEEWARD_A}");
    assert_expands("$$", "$$");
}

static void what_is_no_variable_is_refused(void **state)
{
    (void)state;
    assert_refused("${", "is not a variable");
    assert_refused("${}", "is not a variable");
    assert_refused("${1}", "is not a variable");
    assert_refused("${LEEWARD_A", "is not a variable");
    assert_refused("${LEEWARD_A-x}", "is not a variable");
    assert_refused("${LEEWARD_A:-x", "is not a variable");
    assert_refused("${LEEWARD_NONE}", "LEEWARD_NONE is not set");
}

static void bytes_that_are_no_utf8_are_refused(void **state)
{
    (void)state;
    setenv("LEEWARD_BYTES", "a\xff", 1);
    assert_refused("${LEEWARD_BYTES}", "LEEWARD_BYTES is not UTF-8");
}

static void what_is_escaped_comes_back(void **state)
{
    static const char *const list[] = { "", "$", "${", "$${", "$$${x}", "a${b}c$${d}", "\\${x}" };

    (void)state;
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        struct text escaped = { 0 };
        config_env_put_escaped(list[i], &escaped);
        assert_expands(text_string(&escaped), list[i]);
        text_fini(&escaped);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_are_replaced),
        cmocka_unit_test(a_default_stands_in_for_what_is_unset_or_empty),
        cmocka_unit_test(a_doubled_dollar_keeps_the_brace),
        cmocka_unit_test(what_is_no_variable_is_refused),
        cmocka_unit_test(bytes_that_are_no_utf8_are_refused),
        cmocka_unit_test(what_is_escaped_comes_back),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
