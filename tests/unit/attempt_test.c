/* The way to an upstream and back. */
#include "attempt_world.h"

static void a_stream_is_used_where_nothing_else_may_be(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    upstream.stream_only = true;
    ask(&told);
    assert_answered(&told, true);
    assert_int_equal(stub.datagrams, 0);
    assert_int_equal(stub.streamed, 1);
    assert_false(was_mixed(stub.query));
    assert_null(cookie_of(stub.query, stub.length));
}

static void a_refused_stream_is_told(void **state)
{
    struct told told;

    (void)state;
    open_stub(false);
    upstream.stream_only = true;
    ask(&told);
    assert_int_equal(told.errors, 1);
    assert_int_equal(told.code, UV_ECONNREFUSED);
    assert_true(told.stream);
}

static void a_refused_datagram_is_told(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    upstream.target.address.bytes[3] = 99; /* the port is open on 127.0.0.1 only */
    ask(&told);
    assert_int_equal(told.errors, 1);
    assert_int_equal(told.code, UV_ECONNREFUSED);
    assert_false(told.stream);
}

static void the_source_address_is_used(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    upstream.target.has_source = true;
    upstream.target.source = (struct addr){ .bytes = { 127, 0, 0, 77 } };
    ask(&told);
    assert_answered(&told, false);
    assert_int_equal(ntohl(stub.from.sin_addr.s_addr), 0x7f00004d);
    upstream.target.source = (struct addr){ .bytes = { 192, 0, 2, 1 } };
    assert_int_equal(begin(&told, false), UV_EADDRNOTAVAIL);
}

static bool was_asked_twice(void *user)
{
    (void)user;
    return stub.datagrams == 2;
}

static void silence_is_told_and_what_is_sent_again_is_the_same(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    stub.lasting = true;
    assert_int_equal(begin(&told, false), 0);
    uint64_t sent_us = told.attempt->sent_us;
    run_until(is_silent, &told);
    assert_int_equal(attempt_resend(told.attempt), 0);
    assert_true(told.attempt->sent_us > sent_us);
    run_until(was_asked_twice, NULL);
    assert_int_equal(stub.ports, 1);
    assert_memory_equal(stub.query, stub.before, stub.length);
    attempt_close(told.attempt);
    attempt_close(told.attempt);
}

static void a_stream_needs_no_second_time(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    assert_int_equal(begin(&told, true), 0);
    assert_int_equal(attempt_resend(told.attempt), 0);
    run_until(is_over, &told);
    assert_answered(&told, true);
    assert_int_equal(stub.datagrams, 0);
    assert_int_equal(atomic_load(&counters.sent), 1);
}

static void closing_is_possible_at_any_moment(void **state)
{
    struct told told[2];

    (void)state;
    open_stub(true);
    stub.folds = true;
    for (unsigned turns = 0; turns < 8; turns++) {
        assert_int_equal(begin(&told[0], false), 0);
        assert_int_equal(begin(&told[1], true), 0);
        for (unsigned i = 0; i < turns; i++) {
            (void)uv_run(&loop, UV_RUN_NOWAIT);
        }
        for (unsigned i = 0; i < 2; i++) {
            if (told[i].replies + told[i].errors == 0) {
                attempt_close(told[i].attempt);
            }
        }
    }
}

static void there_is_an_end_to_the_sockets(void **state)
{
    struct told told[2];

    (void)state;
    open_stub(true);
    stub.lasting = true;
    pool.most = 1;
    assert_int_equal(begin(&told[0], false), 0);
    assert_int_equal(begin(&told[1], false), UV_EMFILE);
    attempt_close(told[0].attempt);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stream_is_used_where_nothing_else_may_be),
        TEST(a_refused_stream_is_told),
        TEST(a_refused_datagram_is_told),
        TEST(the_source_address_is_used),
        TEST(silence_is_told_and_what_is_sent_again_is_the_same),
        TEST(a_stream_needs_no_second_time),
        TEST(closing_is_possible_at_any_moment),
        TEST(there_is_an_end_to_the_sockets),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* as the program does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
