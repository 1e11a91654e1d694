/* tcp checks against a small server on loopback. */
#include "check_world.h"

static int set_up_tcp(void **state)
{
    return set_up(state, MODEL_CHECK_TCP, sizeof(struct fixture));
}

static void tcp_passes_when_it_connects(void **state)
{
    struct fixture *f = *state;

    serve_stream(f, STAY_SILENT, false, "");
    assert_probe(f, DETECT_PASS, "connected");
}

static void tcp_tells_a_refusal(void **state)
{
    struct fixture *f = *state;

    bind_stream(f); /* and does not listen */
    assert_probe(f, DETECT_STRONG, "connection refused");
}

static void a_cancelled_attempt_says_nothing(void **state)
{
    struct fixture *f = *state;

    serve_stream(f, STAY_SILENT, false, "");
    struct check_attempt *attempt = start(f);
    assert_string_equal(attempt->lacking, "connect: no answer");
    attempt->kind->cancel(attempt);
    turn_until_gone(f);
    assert_int_equal(f->done_count, 0);
}

static void tcp_sends_and_finds_what_it_expects(void **state)
{
    struct fixture *f = *state;

    f->check.send = "PING\r\n\0x";
    f->check.send_size = 8;
    f->check.expect = "+PONG";
    serve_stream(f, SEND_AT_ONCE, false, "+PONG\r\n");
    assert_probe(f, DETECT_PASS, "reply as expected");
    assert_int_equal(f->request_size, 8);
    assert_memory_equal(f->request, "PING\r\n\0x", 8);
    serve_stream(f, SEND_BY_BYTES, false, "noise ++PO+PONG");
    assert_probe(f, DETECT_PASS, "reply as expected");
}

static void tcp_waits_for_a_banner(void **state)
{
    struct fixture *f = *state;

    f->check.expect = "220 ";
    f->first_word = true;
    serve_stream(f, SEND_AT_ONCE, false, "220 mail.example ESMTP\r\n");
    assert_probe(f, DETECT_PASS, "reply as expected");
}

static void tcp_sends_without_expecting(void **state)
{
    struct fixture *f = *state;

    f->check.send = "hello";
    f->check.send_size = 5;
    serve_stream(f, STAY_SILENT, false, "");
    assert_probe(f, DETECT_PASS, "connected");
}

static void tcp_tells_what_it_misses(void **state)
{
    struct fixture *f = *state;

    f->check.send = "PING\r\n";
    f->check.send_size = 6;
    f->check.expect = "+PONG\r";
    serve_stream(f, HANG_UP, false, "");
    assert_probe(f, DETECT_STRONG, "closed without a reply, expected '+PONG.'");
    serve_stream(f, RESET, false, "");
    assert_probe(f, DETECT_STRONG, "connection reset");
    serve_stream(f, SEND_BY_BYTES, true, "-ERR no\r\n+PONG");
    assert_probe(f, DETECT_STRONG, "'+PONG.' is not in the reply: '-ERR no..+PONG'");
}

static void tcp_reads_4_kib(void **state)
{
    struct fixture *f = *state;
    char reply[5000];

    memset(reply, 'x', sizeof(reply));
    reply[sizeof(reply) - 1] = '\0';
    f->check.expect = "end";
    f->first_word = true;
    memcpy(reply + 4093, "end", 3);
    serve_stream(f, SEND_AT_ONCE, false, reply);
    assert_probe(f, DETECT_PASS, "reply as expected");
    memcpy(reply + 4093, "xend", 4);
    serve_stream(f, SEND_AT_ONCE, false, reply);
    assert_probe(f, DETECT_STRONG,
                 "'end' is not in the reply's first 4 KiB: "
                 "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...'");
}

static void half_a_reply_lacks_the_rest(void **state)
{
    struct fixture *f = *state;

    f->check.send = "PING\r\n";
    f->check.send_size = 6;
    f->check.expect = "+PONG";
    serve_stream(f, SEND_AT_ONCE, false, "+PO");
    assert_lacks(f, "reply not as expected");
    serve_stream(f, STAY_SILENT, false, "");
    assert_lacks(f, "no reply");
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, set_up_tcp, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(tcp_passes_when_it_connects),
        CLAIM(tcp_tells_a_refusal),
        CLAIM(a_cancelled_attempt_says_nothing),
        CLAIM(tcp_sends_and_finds_what_it_expects),
        CLAIM(tcp_waits_for_a_banner),
        CLAIM(tcp_sends_without_expecting),
        CLAIM(tcp_tells_what_it_misses),
        CLAIM(tcp_reads_4_kib),
        CLAIM(half_a_reply_lacks_the_rest),
        CLAIM(a_target_that_cannot_be_reached_fails),
        CLAIM(no_descriptor_left_is_our_own_trouble),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
