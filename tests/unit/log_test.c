#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int saved_stderr;
static int pipe_end;
static char line[65536];

/* From here on stderr is a pipe of ours. */
static void capture(void)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    saved_stderr = dup(STDERR_FILENO);
    assert_true(saved_stderr >= 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    assert_int_equal(close(ends[1]), 0);
    pipe_end = ends[0];
}

/* What was logged since, without the time in front; stderr is itself again. */
static const char *captured(void)
{
    ssize_t got = read(pipe_end, line, sizeof(line) - 1);

    assert_true(dup2(saved_stderr, STDERR_FILENO) >= 0);
    (void)close(saved_stderr);
    (void)close(pipe_end);
    line[got > 0 ? got : 0] = '\0';
    char *space = strchr(line, ' ');
    return line[0] == '2' && space == line + 24 ? space + 1 : line;
}

static int tear_down(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_FORMAT_LOGFMT);
    return 0;
}

static void an_event_is_one_line_with_its_evidence(void **state)
{
    (void)state;
    capture();
    log_event(LOG_WARNING, "endpoint down", "target=%s failed=%u/%u last=%s", "seoul/203.0.113.10",
              3u, 3u, "connect timeout");
    assert_string_equal(captured(), "warning endpoint down target=seoul/203.0.113.10 failed=3/3 "
                                    "last=\"connect timeout\"\n");
    assert_int_equal(line[4], '-');
    assert_int_equal(line[23], 'Z');
}

static void values_are_quoted_where_they_need_to_be(void **state)
{
    (void)state;
    capture();
    log_event(LOG_INFO, "x", "a=%s b=%s c=%s d=%s e=%s", "", "q\"uote", "k=v", "back\\slash",
              "new\nline");
    assert_string_equal(captured(), "info x a=\"\" b=\"q\\\"uote\" c=\"k=v\" d=\"back\\\\slash\" "
                                    "e=\"new\\nline\"\n");
}

static void no_value_can_make_a_field_or_a_line(void **state)
{
    static const char evil[] = "a\x1f"
                               "forged=1\nwarning fake \x1e"
                               "b=2\x1d"
                               "c=3";

    (void)state;
    capture();
    log_event(LOG_INFO, "seen", "name=%s next=%d", evil, 7);
    const char *text = captured();
    assert_null(strstr(text, " forged=1"));
    assert_null(strstr(text, " b=2"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_non_null(strstr(text, "forged=1")); /* it is told, inside the value */
    assert_non_null(strstr(text, " next=7\n"));
}

static void a_value_with_every_control_character_costs_the_evidence(void **state)
{
    char evil[64] = "";

    (void)state;
    for (size_t i = 0; i < 31; i++) {
        evil[i] = (char)(i + 1);
    }
    strcpy(evil + 31, "forged=1");
    capture();
    log_event(LOG_INFO, "seen", "name=%s next=%d", evil, 7);
    assert_string_equal(captured(), "info seen\n");
}

static void json_is_the_same_event(void **state)
{
    (void)state;
    log_configure(LOG_DEBUG, LOG_FORMAT_JSON);
    capture();
    log_event(LOG_DEBUG, "region out", "region=%s why=%s", "seoul", "dns \"dead\"");
    const char *text = captured();
    assert_non_null(strstr(text, ",\"level\":\"debug\",\"event\":\"region out\","
                                 "\"region\":\"seoul\",\"why\":\"dns \\\"dead\\\"\"}\n"));
    assert_memory_equal(text, "{\"time\":\"2", 10);
}

static void what_is_below_the_level_is_not_written(void **state)
{
    (void)state;
    log_configure(LOG_WARNING, LOG_FORMAT_LOGFMT);
    assert_true(log_enabled(LOG_ERROR));
    assert_true(log_enabled(LOG_WARNING));
    assert_false(log_enabled(LOG_INFO));
    assert_false(log_enabled(LOG_DEBUG));
    capture();
    log_event(LOG_INFO, "quiet", "a=%d", 1);
    assert_string_equal(captured(), "");
}

static void an_event_may_have_no_evidence(void **state)
{
    (void)state;
    capture();
    log_event(LOG_ERROR, "stopped", "%s", "");
    assert_string_equal(captured(), "error stopped\n");
}

static void a_long_value_is_kept_whole(void **state)
{
    char value[5001];

    (void)state;
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    capture();
    log_event(LOG_INFO, "long", "value=%s", value);
    assert_int_equal(strlen(captured()), strlen("info long value=\n") + 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_event_is_one_line_with_its_evidence, tear_down),
        cmocka_unit_test_teardown(values_are_quoted_where_they_need_to_be, tear_down),
        cmocka_unit_test_teardown(no_value_can_make_a_field_or_a_line, tear_down),
        cmocka_unit_test_teardown(a_value_with_every_control_character_costs_the_evidence,
                                  tear_down),
        cmocka_unit_test_teardown(json_is_the_same_event, tear_down),
        cmocka_unit_test_teardown(what_is_below_the_level_is_not_written, tear_down),
        cmocka_unit_test_teardown(an_event_may_have_no_evidence, tear_down),
        cmocka_unit_test_teardown(a_long_value_is_kept_whole, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
