/* Letters that are mixed, and forgers who do not keep them. */
#include "attempt_world.h"

static void letters_are_mixed_and_an_answer_that_keeps_them_is_taken(void **state)
{
    struct told told;
    unsigned mixed = 0;

    (void)state;
    open_stub(true);
    for (unsigned i = 0; i < 5; i++) {
        ask(&told);
        assert_answered(&told, false);
        mixed += was_mixed(stub.query);
    }
    assert_true(mixed >= 4); /* 22 letters: all five but for a miracle */
    assert_int_equal(stub.datagrams, 5);
    assert_int_equal(stub.streamed, 0);
    assert_int_equal(MISMATCHED, 0);
    assert_true(stub.ports >= 4);
    assert_true(stub.ids >= 4);
}

static void an_upstream_that_folds_is_found_out_over_tcp(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    stub.folds = true;
    stub.folds_stream = true;
    ask(&told);
    assert_answered(&told, true);
    assert_int_equal(stub.streamed, 1);
    assert_true(is_off(HABITS_CASE));
    ask(&told);
    assert_answered(&told, false);
    assert_false(was_mixed(stub.query));
    assert_int_equal(stub.streamed, 1);
}

static void a_forged_datagram_alone_changes_nothing(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    stub.folds = true; /* as if the truth were late; over TCP the letters are kept */
    for (unsigned i = 0; i < 4; i++) {
        ask(&told);
        assert_answered(&told, true);
        assert_false(is_off(HABITS_CASE));
    }
    assert_int_equal(stub.streamed, 4);
    assert_int_equal(MISMATCHED, 4);
}

static void while_a_stream_is_asked_plainly_no_datagram_gets_by_without_the_id(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    stub.folds = true;
    stub.plain_stream = true;
    ask(&told);
    assert_answered(&told, true);
    assert_int_equal(stub.streamed, 2);
    assert_int_equal(MISMATCHED, 2); /* the doubtful one and the forged one */
}

static void the_truth_behind_a_forged_datagram_is_taken(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    stub.forged_first = true;
    stub.hangs = true;
    ask(&told);
    assert_answered(&told, false);
    assert_int_equal(MISMATCHED, 1);
    assert_int_equal(upstream.habits.doubts[HABITS_CASE], 0);
}

static void without_tcp_it_takes_two_replies_to_two_ports(void **state)
{
    struct told told;

    (void)state;
    open_stub(false);
    stub.folds = true;
    ask(&told);
    assert_answered(&told, false);
    assert_int_equal(stub.datagrams, 3); /* doubted, doubted again, believed */
    assert_int_equal(stub.ports, 2);
    assert_int_equal(stub.ids, 3);
    assert_true(is_off(HABITS_CASE));
    assert_false(was_mixed(stub.query));
    ask(&told);
    assert_answered(&told, false);
    assert_int_equal(stub.datagrams, 4);
}

static void tcp_that_leads_nowhere_counts_as_none(void **state)
{
    struct told told;

    (void)state;
    open_stub(true);
    stub.folds = true;
    stub.hangs = true;
    ask(&told);
    assert_answered(&told, false);
    assert_int_equal(told.silent, 0);
    assert_true(is_off(HABITS_CASE));
}

static void what_keeps_the_letters_ends_the_doubts(void **state)
{
    struct told told;

    (void)state;
    open_stub(false);
    upstream.habits.doubts[HABITS_CASE] = 1;
    ask(&told);
    assert_answered(&told, false);
    assert_int_equal(upstream.habits.doubts[HABITS_CASE], 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(letters_are_mixed_and_an_answer_that_keeps_them_is_taken),
        TEST(an_upstream_that_folds_is_found_out_over_tcp),
        TEST(a_forged_datagram_alone_changes_nothing),
        TEST(while_a_stream_is_asked_plainly_no_datagram_gets_by_without_the_id),
        TEST(the_truth_behind_a_forged_datagram_is_taken),
        TEST(without_tcp_it_takes_two_replies_to_two_ports),
        TEST(tcp_that_leads_nowhere_counts_as_none),
        TEST(what_keeps_the_letters_ends_the_doubts),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* as the program does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
