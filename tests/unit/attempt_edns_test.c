/* Cookies and EDNS, with upstreams that know them well, badly or not at all. */
#include "attempt_world.h"

/* ---- cookies ---- */

static void the_server_cookie_is_sent_back(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    stub.cookies = GOOD;
    ask(&told);
    assert_answered(&told, false);
    assert_non_null(cookie_of(stub.query, stub.length));
    assert_false(has_server_cookie(stub.query, stub.length));
    ask(&told);
    assert_true(has_server_cookie(stub.query, stub.length));
    assert_memory_equal(cookie_of(stub.query, stub.length), cookie_of(stub.before, stub.length), 8);
    assert_true(upstream.habits.sends_cookies);
    assert_int_equal(stub.streamed, 0);
}

static void a_wrong_cookie_is_not_believed(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    stub.cookies = FOREIGN;
    stub.stream_cookies = GOOD;
    ask(&told);
    assert_answered(&told, true);
    assert_int_equal(MISMATCHED, 1);
    assert_false(is_off(HABITS_COOKIES));
    assert_true(upstream.habits.sends_cookies);
}

static void a_missing_cookie_is_not_believed_of_one_that_sends_them(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    stub.cookies = GOOD;
    ask(&told);
    stub.cookies = NONE;
    stub.stream_cookies = GOOD;
    ask(&told); /* as a forger would answer */
    assert_answered(&told, true);
    assert_true(upstream.habits.sends_cookies);
    stub.stream_cookies = NONE;
    ask(&told); /* it does not send them any more */
    assert_answered(&told, true);
    assert_true(is_off(HABITS_COOKIES));
    ask(&told);
    assert_answered(&told, false);
    assert_null(cookie_of(stub.query, stub.length));
    assert_true(has_opt(stub.query));
    assert_int_equal(stub.streamed, 2);
}

static void a_missing_cookie_is_accepted_where_tcp_is_refused(void **state)
{
    struct told told;

    (void)state;
    open_stub(false);
    stub.cookies = GOOD;
    ask(&told);
    stub.cookies = NONE;
    ask(&told);
    assert_answered(&told, false);
    assert_int_equal(stub.datagrams, 4);
    assert_true(is_off(HABITS_COOKIES));
}

static void badcookie_is_answered_with_the_cookie(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    stub.cookies = BAD_ONCE;
    ask(&told);
    assert_answered(&told, false);
    assert_int_equal(stub.datagrams, 2);
    assert_int_equal(stub.ports, 1);
    assert_int_equal(stub.ids, 2);
    assert_true(has_server_cookie(stub.query, stub.length));
    stub.cookies = BAD_ALWAYS;
    ask(&told);
    assert_answered(&told, true);
    assert_int_equal(stub.datagrams, 4);
    assert_int_equal(stub.streamed, 1);
}

static void badcookie_without_tcp_is_an_error(void **state)
{
    struct told told;

    (void)state;
    open_stub(false);
    stub.cookies = BAD_ALWAYS;
    ask(&told);
    assert_int_equal(told.errors, 1);
    assert_int_equal(told.code, UV_ECONNREFUSED);
    assert_true(told.stream);
}

static void a_cookie_that_is_an_error_is_left_out(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    stub.no_options = true;
    ask(&told);
    assert_answered(&told, false);
    assert_int_equal(stub.datagrams, 2);
    assert_true(has_opt(stub.query));
    assert_true(is_off(HABITS_COOKIES));
    ask(&told);
    assert_int_equal(stub.datagrams, 3);
}

/* ---- EDNS ---- */

static void formerr_without_opt_ends_edns(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    stub.no_edns = true;
    ask(&told);
    assert_answered(&told, false);
    assert_int_equal(stub.datagrams, 2);
    assert_int_equal(stub.ids, 2);
    assert_false(has_opt(stub.query));
    ask(&told);
    assert_answered(&told, false);
    assert_int_equal(stub.datagrams, 3);
    assert_int_equal(stub.streamed, 0);
}

static void formerr_may_come_without_a_question(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    stub.no_edns = true;
    stub.no_question = true;
    ask(&told);
    assert_answered(&told, false);
    assert_int_equal(stub.datagrams, 2);
}

static void one_that_spoke_edns_must_refuse_it_twice(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    ask(&told);
    stub.no_edns = true;
    ask(&told);
    assert_answered(&told, false);
    assert_int_equal(stub.datagrams, 3);
    ask(&told);
    assert_int_equal(stub.datagrams, 5);
    ask(&told);
    assert_int_equal(stub.datagrams, 6);
}

static void badvers_ends_edns(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    stub.badvers = true;
    ask(&told);
    assert_answered(&told, false);
    assert_int_equal(stub.datagrams, 2);
    assert_false(has_opt(stub.query));
}

static void edns_is_refused_over_a_stream_too(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    stub.no_edns = true;
    assert_int_equal(begin(&told, true), 0);
    run_until(is_over, &told);
    assert_answered(&told, true);
    assert_int_equal(stub.streamed, 2);
    assert_false(has_opt(stub.query));
}

static void an_error_to_plain_words_is_the_answer(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    upstream.habits.edns_off_until_ms = UINT64_MAX;
    stub.folds = false;
    ask(&told);
    assert_answered(&told, false);
    assert_false(has_opt(stub.query));
    assert_int_equal(stub.datagrams, 1);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_server_cookie_is_sent_back),
        TEST(a_wrong_cookie_is_not_believed),
        TEST(a_missing_cookie_is_not_believed_of_one_that_sends_them),
        TEST(a_missing_cookie_is_accepted_where_tcp_is_refused),
        TEST(badcookie_is_answered_with_the_cookie),
        TEST(badcookie_without_tcp_is_an_error),
        TEST(a_cookie_that_is_an_error_is_left_out),
        TEST(formerr_without_opt_ends_edns),
        TEST(formerr_may_come_without_a_question),
        TEST(one_that_spoke_edns_must_refuse_it_twice),
        TEST(badvers_ends_edns),
        TEST(edns_is_refused_over_a_stream_too),
        TEST(an_error_to_plain_words_is_the_answer),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* as the program does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
