#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/checks/check_quote.h"

static void assert_quote(const char *text, const char *quote)
{
    char out[CHECK_QUOTE_MAX];

    assert_string_equal(check_quote(text, strlen(text), out), quote);
}

static void short_text_is_shown_whole(void **state)
{
    (void)state;
    assert_quote("", "");
    assert_quote("all is well", "all is well");
    assert_quote("1234567890123456789012345678901234567890",
                 "1234567890123456789012345678901234567890");
}

static void long_text_is_cut(void **state)
{
    (void)state;
    assert_quote("12345678901234567890123456789012345678901",
                 "1234567890123456789012345678901234567890...");
}

static void no_letter_is_cut(void **state)
{
    (void)state;
    assert_quote("12345678901234567890123456789012345678\xe2\x82\xac behind",
                 "12345678901234567890123456789012345678...");
    assert_quote("1234567890123456789012345678901234567\xe2\x82\xac behind",
                 "1234567890123456789012345678901234567\xe2\x82\xac...");
}

static void what_cannot_be_printed_is_a_dot(void **state)
{
    char out[CHECK_QUOTE_MAX];

    (void)state;
    assert_quote("PING\r\n", "PING..");
    assert_string_equal(check_quote("a\0b\x7f", 4, out), "a.b.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_text_is_shown_whole),
        cmocka_unit_test(long_text_is_cut),
        cmocka_unit_test(no_letter_is_cut),
        cmocka_unit_test(what_cannot_be_printed_is_a_dot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
