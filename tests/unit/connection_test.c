/* Streams to an upstream that answers, errs and closes as it is told. */
#include "upstream_streams.h"

/* Nothing happens by itself for a long while, but for what a test changes. */
static const struct connection_limits patient = {
    .silent_ms = 60000,
    .doubt_ms = 60000,
    .idle_ms = 60000,
    .idle_tls_ms = 60000,
    .forget_ms = 60000,
};

static void set_silent(uint32_t silent_ms)
{
    struct connection_limits limits = patient;

    limits.silent_ms = silent_ms;
    connection_set_limits(set, &limits);
}

struct question {
    uint8_t bytes[QUERY_BYTES];
};

static void read_bytes(int fd, void *out, size_t size)
{
    uint64_t until_ms = clock_now_ms() + PATIENCE_MS;

    for (size_t got = 0; got < size;) {
        ssize_t some = recv(fd, (char *)out + got, size - got, 0);
        if (some > 0) {
            got += (size_t)some;
            continue;
        }
        assert_true(some < 0 && errno == EAGAIN);
        assert_true(clock_now_ms() < until_ms);
        turn();
    }
}

/* Our side has closed it. */
static void read_end(int fd)
{
    uint64_t until_ms = clock_now_ms() + PATIENCE_MS;
    uint8_t byte;
    ssize_t some;

    while ((some = recv(fd, &byte, 1, 0)) < 0 && errno == EAGAIN) {
        assert_true(clock_now_ms() < until_ms);
        turn();
    }
    assert_true(some <= 0);
    (void)close(fd);
}

static struct question read_question(int fd)
{
    struct question question;
    uint8_t prefix[2];

    read_bytes(fd, prefix, sizeof(prefix));
    assert_int_equal(wire_get16(prefix), QUERY_BYTES);
    read_bytes(fd, question.bytes, sizeof(question.bytes));
    return question;
}

static void send_bytes(int fd, const void *bytes, size_t size)
{
    assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

/* An answer repeats the question. */
static void answer(int fd, const struct question *question)
{
    uint8_t frame[2 + QUERY_BYTES];

    wire_put16(frame, QUERY_BYTES);
    memcpy(frame + 2, question->bytes, QUERY_BYTES);
    send_bytes(fd, frame, sizeof(frame));
}

static void reset(int fd)
{
    const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    (void)close(fd);
}

/* A stream that was used: one question was asked and answered. */
static int used_stream(void)
{
    struct asked *first = ask_number(0);
    int fd = accept_one();
    struct question question = read_question(fd);

    answer(fd, &question);
    assert_answered(first);
    return fd;
}

/* ---- one stream ---- */

static void answers_come_in_any_order(void **state)
{
    struct question questions[5];

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        (void)ask_number(i);
    }
    int fd = accept_one();
    for (unsigned i = 0; i < 5; i++) {
        questions[i] = read_question(fd);
        assert_int_equal(questions[i].bytes[WIRE_HEADER_BYTES], i);
    }
    for (unsigned i = 5; i-- > 0;) {
        answer(fd, &questions[i]);
        assert_answered(&asks[i]);
    }
    assert_int_equal(counted(&connection_counters(set)->opened), 1);
    assert_int_equal(counted(&connection_counters(set)->asked), 5);
    (void)close(fd);
}

static void questions_of_one_turn_leave_in_one_go(void **state)
{
    uint8_t bytes[20 * (2 + QUERY_BYTES)];

    (void)state;
    int fd = used_stream();
    for (unsigned i = 1; i <= 20; i++) {
        (void)ask_number(i);
    }
    turn();
    turn();
    assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
    (void)close(fd);
}

static void a_message_in_pieces_is_put_together(void **state)
{
    uint8_t frame[2 + 3000] = { 0 };

    (void)state;
    struct asked *asked = ask_number(7);
    int fd = accept_one();
    struct question question = read_question(fd);
    wire_put16(frame, 3000);
    memcpy(frame + 2, question.bytes, QUERY_BYTES);
    for (size_t i = 0; i < sizeof(frame); i += i < 20 ? 1 : 700) {
        size_t piece = i < 20 ? 1 : sizeof(frame) - i < 700 ? sizeof(frame) - i : 700;
        send_bytes(fd, frame + i, piece);
        turn();
        turn();
    }
    assert_answered(asked);
    assert_int_equal(asked->answer_length, 3000);
    (void)close(fd);
}

static void a_length_that_is_no_messages_ends_the_stream(void **state)
{
    static const uint8_t bad[][2] = { { 0, 0 }, { 0, 11 } };

    (void)state;
    struct asked *asked = ask_number(1);
    for (unsigned i = 0; i < 2; i++) { /* once is forgiven */
        int fd = accept_one();
        (void)read_question(fd);
        send_bytes(fd, bad[i], 2);
        read_end(fd);
    }
    assert_failed(asked, -EPROTO, "sent what is no message");
}

static void an_id_nobody_asked_with_is_dropped(void **state)
{
    (void)state;
    struct asked *asked = ask_number(3);
    int fd = accept_one();
    struct question question = read_question(fd);
    struct question strange = question;
    for (unsigned i = 1; i <= 10; i++) {
        wire_put16(strange.bytes, (uint16_t)(wire_get16(question.bytes) + i));
        answer(fd, &strange);
    }
    answer(fd, &question);
    assert_answered(asked);
    answer(fd, &question); /* twice */
    while (counted(&connection_counters(set)->strangers) < 11) {
        turn();
    }
    (void)close(fd);
}

static void what_comes_for_a_cancelled_ask_is_dropped(void **state)
{
    (void)state;
    struct asked *gone = ask_number(1);
    struct asked *asked = ask_number(2);
    int fd = accept_one();
    struct question questions[] = { read_question(fd), read_question(fd) };
    connection_cancel(&gone->ask);
    connection_cancel(&gone->ask);
    answer(fd, &questions[0]);
    answer(fd, &questions[1]);
    assert_answered(asked);
    assert_int_equal(gone->outcome, WAITING);
    assert_int_equal(counted(&connection_counters(set)->strangers), 0);
    (void)close(fd);
}

static void asks_can_be_cancelled_before_they_are_sent(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        (void)ask_number(i);
    }
    connection_cancel(&asks[3].ask);
    connection_cancel(&asks[0].ask);
    (void)ask_number(4);
    int fd = accept_one();
    static const uint8_t left[] = { 1, 2, 4 };
    for (unsigned i = 0; i < 3; i++) {
        struct question question = read_question(fd);
        assert_int_equal(question.bytes[WIRE_HEADER_BYTES], left[i]);
        answer(fd, &question);
        assert_answered(&asks[left[i]]);
    }
    (void)close(fd);
}

static void a_stream_with_a_wrong_answer_is_not_trusted(void **state)
{
    (void)state;
    struct asked *wrong = ask_number(1);
    struct asked *other = ask_number(2);
    wrong->distrust = true;
    int fd = accept_one();
    struct question question = read_question(fd);
    (void)read_question(fd);
    answer(fd, &question);
    assert_failed(wrong, -EPROTO, "answered another question");
    assert_failed(other, -EPROTO, "answered another question");
    read_end(fd);
}

/* ---- streams that close ---- */

static void questions_of_a_closed_stream_are_asked_again(void **state)
{
    (void)state;
    int fd = used_stream();
    for (unsigned i = 1; i <= 3; i++) {
        (void)ask_number(i);
    }
    (void)read_question(fd);
    reset(fd);
    fd = accept_one();
    for (unsigned i = 1; i <= 3; i++) {
        struct question question = read_question(fd);
        answer(fd, &question);
    }
    for (unsigned i = 1; i <= 3; i++) {
        assert_answered(&asks[i]);
    }
    assert_int_equal(counted(&connection_counters(set)->reopened), 1);
    (void)close(fd);
}

static void one_that_closes_in_a_message_is_opened_again(void **state)
{
    uint8_t half[2 + 20] = { 0, 100 };

    (void)state;
    struct asked *asked = ask_number(1);
    int fd = accept_one();
    struct question question = read_question(fd);
    memcpy(half + 2, question.bytes, QUERY_BYTES);
    send_bytes(fd, half, sizeof(half));
    (void)close(fd);
    fd = accept_one();
    question = read_question(fd);
    answer(fd, &question);
    assert_answered(asked);
    (void)close(fd);
}

static void the_second_close_is_told(void **state)
{
    (void)state;
    struct asked *asked = ask_number(1);
    for (unsigned i = 0; i < 2; i++) {
        int fd = accept_one();
        (void)read_question(fd);
        (void)close(fd);
    }
    assert_failed(asked, UV_EOF, "closed by the upstream");
    assert_int_equal(counted(&connection_counters(set)->opened), 2);
}

static void one_answer_for_each_stream_is_enough(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        (void)ask_number(i);
    }
    for (unsigned i = 0; i < 4; i++) {
        int fd = accept_one();
        struct question question = read_question(fd);
        answer(fd, &question);
        assert_answered(&asks[question.bytes[WIRE_HEADER_BYTES]]);
        (void)close(fd);
    }
    assert_int_equal(counted(&connection_counters(set)->opened), 4);
}

static void an_idle_stream_that_closed_is_replaced(void **state)
{
    (void)state;
    int fd = used_stream();
    (void)close(fd);
    struct asked *asked = ask_number(1);
    fd = accept_one();
    struct question question = read_question(fd);
    answer(fd, &question);
    assert_answered(asked);
    (void)close(fd);
}

static void a_refused_connection_is_told_at_once(void **state)
{
    (void)state;
    (void)close(listening);
    struct asked *asked = ask_number(1);
    struct asked *other = ask_number(2);
    assert_int_equal(asked->outcome, WAITING);
    assert_failed(asked, -ECONNREFUSED, "connection refused");
    assert_failed(other, -ECONNREFUSED, "connection refused");
    listening = -1;
}

static void a_refused_second_stream_is_told(void **state)
{
    (void)state;
    int fd = used_stream();
    struct asked *asked = ask_number(1);
    (void)read_question(fd);
    (void)close(listening);
    (void)close(fd);
    assert_failed(asked, -ECONNREFUSED, "connection refused");
    listening = -1;
}

/* ---- streams that are silent, idle or full ---- */

static void a_silent_stream_is_left_for_a_fresh_one(void **state)
{
    (void)state;
    int silent = used_stream();
    struct asked *asked = ask_number(1);
    (void)read_question(silent);
    set_silent(100);
    while (counted(&connection_counters(set)->reopened) == 0) {
        turn();
    }
    set_silent(60000);
    int fd = accept_one();
    struct question question = read_question(fd);
    answer(fd, &question);
    assert_answered(asked);
    read_end(silent);
    (void)close(fd);
}

static void a_target_that_is_silent_twice_times_out(void **state)
{
    (void)state;
    set_silent(100);
    struct asked *asked = ask_number(1);
    assert_failed(asked, -ETIMEDOUT, "the stream is silent");
    assert_int_equal(counted(&connection_counters(set)->opened), 2);
}

static void silence_counts_for_cancelled_asks_too(void **state)
{
    (void)state;
    int fd = used_stream();
    struct asked *asked = ask_number(1);
    (void)read_question(fd);
    connection_cancel(&asked->ask);
    set_silent(100);
    read_end(fd);
}

static void a_stream_in_doubt_gets_no_more_questions(void **state)
{
    struct connection_limits limits = patient;

    (void)state;
    limits.doubt_ms = 1;
    connection_set_limits(set, &limits);
    int doubtful = used_stream();
    (void)ask_number(1);
    (void)read_question(doubtful);
    uint64_t since_ms = clock_now_ms();
    while (clock_now_ms() < since_ms + 20) {
        turn();
    }
    struct asked *asked = ask_number(2);
    int fd = accept_one();
    struct question question = read_question(fd);
    answer(fd, &question);
    assert_answered(asked);
    (void)close(doubtful);
    (void)close(fd);
}

static void an_idle_stream_is_closed(void **state)
{
    struct connection_limits limits = patient;

    (void)state;
    limits.idle_ms = 50;
    connection_set_limits(set, &limits);
    read_end(used_stream());
    int fd = used_stream();
    assert_int_equal(counted(&connection_counters(set)->opened), 2);
    (void)close(fd);
}

static void many_questions_open_more_streams(void **state)
{
    int fds[2];
    unsigned got = 0;

    (void)state;
    for (unsigned i = 0; i < 150; i++) {
        (void)ask_number(i);
    }
    fds[0] = accept_one();
    fds[1] = accept_one();
    for (; got < 100; got++) {
        struct question question = read_question(fds[0]);
        answer(fds[0], &question);
    }
    for (; got < 150; got++) {
        struct question question = read_question(fds[1]);
        answer(fds[1], &question);
    }
    for (unsigned i = 0; i < 150; i++) {
        assert_answered(&asks[i]);
    }
    assert_int_equal(counted(&connection_counters(set)->opened), 2);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

/* ---- where from ---- */

static void the_source_address_is_used(void **state)
{
    struct sockaddr_in from;
    socklen_t length = sizeof(from);
    struct error err;

    (void)state;
    target.has_source = true;
    assert_int_equal(addr_parse("127.0.0.9", 0, &target.source, &err), 0);
    int fd = used_stream();
    assert_int_equal(getpeername(fd, (struct sockaddr *)&from, &length), 0);
    assert_int_equal(ntohl(from.sin_addr.s_addr), 0x7f000009);
    (void)close(fd);
}

static void a_source_that_is_not_ours_is_refused_at_once(void **state)
{
    const char *text;
    struct error err;

    (void)state;
    target.has_source = true;
    assert_int_equal(addr_parse("192.0.2.1", 0, &target.source, &err), 0);
    assert_int_equal(try_ask(1, &text), -EADDRNOTAVAIL);
    assert_string_equal(text, "address not available");
}

static void other_sources_have_other_streams(void **state)
{
    struct error err;

    (void)state;
    int one = used_stream();
    target.has_source = true;
    assert_int_equal(addr_parse("127.0.0.9", 0, &target.source, &err), 0);
    int two = used_stream();
    assert_int_equal(counted(&connection_counters(set)->opened), 2);
    (void)close(one);
    (void)close(two);
}

/* ---- from within what is told ---- */

static void ask_elsewhere(struct connection_ask *ask, int code, const char *text)
{
    on_failed(ask, code, text);
    connection_cancel(&asks[2].ask);
    (void)ask_number(3);
}

static void a_failure_may_cancel_and_ask(void **state)
{
    (void)state;
    (void)close(listening);
    listening = -1;
    struct asked *asked = ask_number(1);
    asked->ask.failed = ask_elsewhere;
    struct asked *cancelled = ask_number(2);
    assert_failed(asked, -ECONNREFUSED, "connection refused");
    assert_failed(&asks[3], -ECONNREFUSED, "connection refused");
    assert_int_equal(cancelled->outcome, WAITING);
}

static bool all_closed;

static void close_everything(struct connection_ask *ask, int code, const char *text)
{
    on_failed(ask, code, text);
    connection_set_close(set, on_set_closed, &all_closed);
}

static bool close_with_answer(struct connection_ask *ask, const uint8_t *message, size_t length)
{
    connection_set_close(set, on_set_closed, &all_closed);
    return on_answered(ask, message, length);
}

static void turn_until_closed(void)
{
    while (!all_closed) {
        turn();
    }
    all_closed = false;
    set = NULL;
}

static void a_failure_may_close_everything(void **state)
{
    (void)state;
    (void)close(listening);
    listening = -1;
    struct asked *asked = ask_number(1);
    struct asked *other = ask_number(2);
    asked->ask.failed = close_everything;
    turn_until_over(asked);
    turn_until_closed();
    assert_int_equal(other->outcome, WAITING);
}

static void an_answer_may_close_everything(void **state)
{
    (void)state;
    struct asked *asked = ask_number(1);
    struct asked *other = ask_number(2);
    asked->ask.answered = close_with_answer;
    int fd = accept_one();
    struct question one = read_question(fd);
    struct question two = read_question(fd);
    answer(fd, &one);
    answer(fd, &two);
    assert_answered(asked);
    turn_until_closed();
    assert_int_equal(other->outcome, WAITING);
    (void)close(fd);
}

static void closing_tells_nobody(void **state)
{
    (void)state;
    int fd = used_stream();
    struct asked *sent = ask_number(1);
    (void)read_question(fd);
    struct asked *waiting = ask_number(2);
    close_set();
    assert_int_equal(sent->outcome, WAITING);
    assert_int_equal(waiting->outcome, WAITING);
    connection_cancel(&sent->ask);
    (void)close(fd);
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(answers_come_in_any_order),
        CLAIM(questions_of_one_turn_leave_in_one_go),
        CLAIM(a_message_in_pieces_is_put_together),
        CLAIM(a_length_that_is_no_messages_ends_the_stream),
        CLAIM(an_id_nobody_asked_with_is_dropped),
        CLAIM(what_comes_for_a_cancelled_ask_is_dropped),
        CLAIM(asks_can_be_cancelled_before_they_are_sent),
        CLAIM(a_stream_with_a_wrong_answer_is_not_trusted),
        CLAIM(questions_of_a_closed_stream_are_asked_again),
        CLAIM(one_that_closes_in_a_message_is_opened_again),
        CLAIM(the_second_close_is_told),
        CLAIM(one_answer_for_each_stream_is_enough),
        CLAIM(an_idle_stream_that_closed_is_replaced),
        CLAIM(a_refused_connection_is_told_at_once),
        CLAIM(a_refused_second_stream_is_told),
        CLAIM(a_silent_stream_is_left_for_a_fresh_one),
        CLAIM(a_target_that_is_silent_twice_times_out),
        CLAIM(silence_counts_for_cancelled_asks_too),
        CLAIM(a_stream_in_doubt_gets_no_more_questions),
        CLAIM(an_idle_stream_is_closed),
        CLAIM(many_questions_open_more_streams),
        CLAIM(the_source_address_is_used),
        CLAIM(a_source_that_is_not_ours_is_refused_at_once),
        CLAIM(other_sources_have_other_streams),
        CLAIM(a_failure_may_cancel_and_ask),
        CLAIM(a_failure_may_close_everything),
        CLAIM(an_answer_may_close_everything),
        CLAIM(closing_tells_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
