#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/checks/check.h"
#include "policy/checks/http_body.h"
#include "policy/checks/http_response.h"

static char reason[CHECK_REASON_MAX];

static int forget(void **state)
{
    (void)state;
    check_shutdown();
    return 0;
}

static enum http_body_verdict judge(struct http_body *body, const struct model_check *check,
                                    const char *text, bool complete)
{
    size_t size = strlen(text);
    char *copy = strdup(text); /* as long as it is: reading behind it is seen */

    assert_non_null(copy);
    enum http_body_verdict verdict =
        http_body_judge(body, check, copy, size, complete, reason, sizeof(reason));
    free(copy);
    return verdict;
}

static void nothing_expected_wants_no_body(void **state)
{
    struct model_check check = { 0 };

    (void)state;
    assert_false(http_body_is_wanted(&check));
    check.json_pointer = "";
    assert_true(http_body_is_wanted(&check));
}

static void text_may_come_in_parts(void **state)
{
    struct model_check check = { .body = "all is well" };
    struct http_body body = { 0 };

    (void)state;
    assert_int_equal(judge(&body, &check, "", false), HTTP_BODY_MORE);
    assert_int_equal(judge(&body, &check, "now all is", false), HTTP_BODY_MORE);
    assert_int_equal(judge(&body, &check, "now all is well", false), HTTP_BODY_FITS);
}

static void text_and_pattern_must_both_be_there(void **state)
{
    struct model_check check = { .body = "up", .body_pattern = "load: [0-9]\\b" };
    struct http_body body = { 0 };

    (void)state;
    assert_int_equal(judge(&body, &check, "up, load: 71", false), HTTP_BODY_MORE);
    assert_int_equal(judge(&body, &check, "up, load: 71", true), HTTP_BODY_WRONG);
    assert_string_equal(reason, "body does not match 'load: [0-9]\\b'");
    assert_int_equal(judge(&body, &check, "up, load: 71, load: 3", true), HTTP_BODY_FITS);
    body = (struct http_body){ 0 };
    assert_int_equal(judge(&body, &check, "load: 3", true), HTTP_BODY_WRONG);
    assert_string_equal(reason, "body does not contain 'up'");
}

static void json_is_judged_when_it_is_complete(void **state)
{
    struct model_check check = { .json_pointer = "/status", .json_value = "ok" };
    struct http_body body = { 0 };

    (void)state;
    assert_int_equal(judge(&body, &check, "{\"status\":\"ok\"}", false), HTTP_BODY_MORE);
    assert_int_equal(judge(&body, &check, "{\"status\":\"ok\"}", true), HTTP_BODY_FITS);
    assert_int_equal(judge(&body, &check, "{\"status\":\"no\"}", true), HTTP_BODY_WRONG);
    assert_string_equal(reason, "/status is \"no\", expected ok");
}

static void json_too_long_to_be_read_fails(void **state)
{
    struct model_check check = { .json_pointer = "" };
    struct http_body body = { 0 };
    char *text = calloc(1, HTTP_RESPONSE_BODY_MAX + 1);

    (void)state;
    assert_non_null(text);
    memset(text, ' ', HTTP_RESPONSE_BODY_MAX);
    assert_int_equal(
        http_body_judge(&body, &check, text, HTTP_RESPONSE_BODY_MAX, true, reason, sizeof(reason)),
        HTTP_BODY_WRONG);
    assert_string_equal(reason, "body of JSON is 64 KiB or longer");
    free(text);
}

/* Matched at every byte, 64 KiB would be 2 GiB to look through. */
static void a_body_that_trickles_in_is_matched_in_bounded_time(void **state)
{
    struct model_check check = { .body_pattern = "x+y" };
    struct http_body body = { 0 };
    char *text = calloc(1, HTTP_RESPONSE_BODY_MAX + 1);

    (void)state;
    assert_non_null(text);
    memset(text, 'a', HTTP_RESPONSE_BODY_MAX);
    for (size_t size = 0; size < HTTP_RESPONSE_BODY_MAX - 1; size++) {
        assert_int_equal(http_body_judge(&body, &check, text, size, false, reason, sizeof(reason)),
                         HTTP_BODY_MORE);
    }
    assert_in_range(body.examined, 1, 4 * HTTP_RESPONSE_BODY_MAX);
    memcpy(text + HTTP_RESPONSE_BODY_MAX - 3, "xxy", 3);
    assert_int_equal(
        http_body_judge(&body, &check, text, HTTP_RESPONSE_BODY_MAX, true, reason, sizeof(reason)),
        HTTP_BODY_FITS);
    free(text);
}

#define CLAIM(name) cmocka_unit_test_teardown(name, forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(nothing_expected_wants_no_body),
        CLAIM(text_may_come_in_parts),
        CLAIM(text_and_pattern_must_both_be_there),
        CLAIM(json_is_judged_when_it_is_complete),
        CLAIM(json_too_long_to_be_read_fails),
        CLAIM(a_body_that_trickles_in_is_matched_in_bounded_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
