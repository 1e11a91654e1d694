#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/checks/plugin_output.h"

static void assert_judged(int code, const char *output, const char *complaint,
                          enum detect_outcome outcome, const char *reason)
{
    struct plugin_verdict verdict;

    plugin_output_judge(code, output, strlen(output), complaint, strlen(complaint), &verdict);
    assert_string_equal(verdict.reason, reason);
    assert_int_equal(verdict.outcome, outcome);
}

static void exit_codes_mean_what_the_guidelines_say(void **state)
{
    (void)state;
    assert_judged(0, "TCP OK", "", DETECT_PASS, "TCP OK");
    assert_judged(1, "LOAD WARNING", "", DETECT_WARNING, "LOAD WARNING");
    assert_judged(2, "CRITICAL: refused", "", DETECT_STRONG, "CRITICAL: refused");
    assert_judged(3, "UNKNOWN: usage", "", DETECT_VOID, "UNKNOWN: usage");
}

static void other_codes_are_failures_but_for_a_shells_own(void **state)
{
    (void)state;
    assert_judged(4, "", "", DETECT_STRONG, "exit code 4");
    assert_judged(255, "gone", "", DETECT_STRONG, "gone");
    assert_judged(126, "", "sh: /x: Permission denied", DETECT_VOID, "sh: /x: Permission denied");
    assert_judged(127, "", "sh: x: not found\n", DETECT_VOID, "sh: x: not found");
}

static void performance_data_and_further_lines_are_left_out(void **state)
{
    (void)state;
    assert_judged(0, "DISK OK - 3 GB free | /=2643MB;5948;5958\nlong text\n| more=1", "",
                  DETECT_PASS, "DISK OK - 3 GB free");
    assert_judged(2, "\n \nPING CRITICAL\r\nrest", "", DETECT_STRONG, "PING CRITICAL");
    assert_judged(0, "|only=1", "", DETECT_PASS, "exit code 0");
}

static void a_complaint_speaks_where_no_output_does(void **state)
{
    (void)state;
    assert_judged(2, "", "Traceback (most recent call last):\n  x", DETECT_STRONG,
                  "Traceback (most recent call last):");
    assert_judged(2, "down", "noise", DETECT_STRONG, "down");
    assert_judged(2, "", "", DETECT_STRONG, "exit code 2");
}

static void what_cannot_be_shown_is_not(void **state)
{
    (void)state;
    assert_judged(0, "a\x1b[31mb\tc", "", DETECT_PASS, "a?[31mb c");
    assert_judged(0, "gr\xc3\xbc\xc3\x9f", "", DETECT_PASS, "gr\xc3\xbc\xc3\x9f");
    assert_judged(0, "bad \xff\xc3", "", DETECT_PASS, "bad ??");
    assert_judged(0, "overlong \xc0\xaf", "", DETECT_PASS, "overlong ??");
}

static void long_words_end_with_a_whole_character(void **state)
{
    struct plugin_verdict verdict;
    char output[400];

    (void)state;
    output[0] = 'x';
    for (size_t i = 1; i + 1 < sizeof(output); i += 2) {
        memcpy(output + i, "\xc3\xbc", 2);
    }
    plugin_output_judge(0, output, sizeof(output) - 1, "", 0, &verdict);
    assert_int_equal(strlen(verdict.reason) % 2, 1);
    assert_in_range(strlen(verdict.reason), PLUGIN_REASON_MAX - 3, PLUGIN_REASON_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_codes_mean_what_the_guidelines_say),
        cmocka_unit_test(other_codes_are_failures_but_for_a_shells_own),
        cmocka_unit_test(performance_data_and_further_lines_are_left_out),
        cmocka_unit_test(a_complaint_speaks_where_no_output_does),
        cmocka_unit_test(what_cannot_be_shown_is_not),
        cmocka_unit_test(long_words_end_with_a_whole_character),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
