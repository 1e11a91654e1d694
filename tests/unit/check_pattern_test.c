#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/checks/check_pattern.h"

static int match(const char *pattern, const char *text)
{
    return check_pattern_match(pattern, text, strlen(text));
}

static int forget(void **state)
{
    (void)state;
    check_pattern_clear();
    return 0;
}

static void a_pattern_matches_anywhere(void **state)
{
    (void)state;
    assert_int_equal(match("up+", "it is uppp now"), 1);
    assert_int_equal(match("^up", "it is up"), 0);
    assert_int_equal(match("(green|yellow)$", "status: yellow"), 1);
    assert_int_equal(match("a.b", "a\nb"), 1);
    assert_int_equal(match("", ""), 1);
}

static void a_zero_byte_ends_nothing(void **state)
{
    (void)state;
    assert_int_equal(check_pattern_match("well", "all\0is\0well", 11), 1);
    assert_int_equal(check_pattern_match("well", "all\0is\0well", 10), 0);
}

static void no_pattern_is_told(void **state)
{
    (void)state;
    assert_int_equal(match("(", "("), -EINVAL);
    assert_int_equal(match("(", "("), -EINVAL);
}

static void more_patterns_than_are_kept_match_as_well(void **state)
{
    char pattern[32];
    char text[32];

    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 1500; i++) {
            (void)snprintf(pattern, sizeof(pattern), "^is %u$", i);
            (void)snprintf(text, sizeof(text), "is %u", i);
            assert_int_equal(match(pattern, text), 1);
            assert_int_equal(match("^never dropped$", text), 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_pattern_matches_anywhere, forget),
        cmocka_unit_test_teardown(a_zero_byte_ends_nothing, forget),
        cmocka_unit_test_teardown(no_pattern_is_told, forget),
        cmocka_unit_test_teardown(more_patterns_than_are_kept_match_as_well, forget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
