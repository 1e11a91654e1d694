#pragma once
/*
 * upstream_streams - a loop, a set of streams and an upstream, all in one thread
 *
 * The upstream's sockets do not block; what is asked of them is tried between
 * two turns of the loop until it is done.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "resolver/forward/connection.h"
#include "tests/unit/patient_clock.h"
#include "zones/wire.h"

#define PATIENCE_MS 60000u /* a run that takes longer hangs */
#define QUERY_BYTES 17     /* a header and a little */
#define ASKS_MAX    256

enum outcome {
    WAITING,
    ANSWERED,
    FAILED,
};

struct asked {
    struct connection_ask ask;
    uint8_t message[QUERY_BYTES]; /* the byte after the header is its number */
    enum outcome outcome;
    int code;
    char text[128];
    size_t answer_length;
    bool distrust; /* an answer is called a wrong one */
};

static uv_loop_t loop;
static uv_timer_t tick; /* so that a turn of the loop ends */
static struct connection_set *set;
static struct connection_target target;
static int listening;
static struct asked asks[ASKS_MAX];

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void turn(void)
{
    (void)uv_run(&loop, UV_RUN_ONCE);
}

/* ---- the upstream ---- */

static void listen_at(const char *address)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t length = sizeof(at);

    assert_int_equal(inet_pton(AF_INET, address, &at.sin_addr), 1);
    listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(listening >= 0);
    assert_int_equal(bind(listening, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(listening, 64), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&at, &length), 0);
    target = (struct connection_target){ 0 };
    assert_true(addr_from_sockaddr((struct sockaddr *)&at, &target.address));
}

/* The next connection, within the patience. */
static int accept_one(void)
{
    uint64_t until_ms = clock_now_ms() + PATIENCE_MS;

    for (;;) {
        int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            return fd;
        }
        assert_int_equal(errno, EAGAIN);
        assert_true(clock_now_ms() < until_ms);
        turn();
    }
}

/* ---- our side ---- */

static bool on_answered(struct connection_ask *ask, const uint8_t *message, size_t length)
{
    struct asked *asked = ask->user;

    assert_int_equal(asked->outcome, WAITING);
    assert_int_equal(wire_get16(message), wire_get16(asked->message));
    if (asked->distrust) {
        return false;
    }
    assert_int_equal(message[WIRE_HEADER_BYTES], asked->message[WIRE_HEADER_BYTES]);
    asked->outcome = ANSWERED;
    asked->answer_length = length;
    return true;
}

static void on_failed(struct connection_ask *ask, int code, const char *text)
{
    struct asked *asked = ask->user;

    assert_int_equal(asked->outcome, WAITING);
    asked->outcome = FAILED;
    asked->code = code;
    strncpy(asked->text, text, sizeof(asked->text) - 1);
}

static int try_ask(unsigned number, const char **out_text)
{
    struct asked *asked = &asks[number];

    memset(asked, 0, sizeof(*asked));
    asked->message[WIRE_HEADER_BYTES] = (uint8_t)number;
    asked->ask.message = asked->message;
    asked->ask.length = QUERY_BYTES;
    asked->ask.answered = on_answered;
    asked->ask.failed = on_failed;
    asked->ask.user = asked;
    return connection_ask(set, &target, &asked->ask, out_text);
}

static struct asked *ask_number(unsigned number)
{
    const char *text;

    assert_int_equal(try_ask(number, &text), 0);
    return &asks[number];
}

static void turn_until_over(const struct asked *asked)
{
    uint64_t until_ms = clock_now_ms() + PATIENCE_MS;

    while (asked->outcome == WAITING) {
        assert_true(clock_now_ms() < until_ms);
        turn();
    }
}

static void assert_answered(const struct asked *asked)
{
    turn_until_over(asked);
    if (asked->outcome != ANSWERED) {
        fail_msg("failed: %d, %s", asked->code, asked->text);
    }
}

static void assert_failed(const struct asked *asked, int code, const char *text)
{
    turn_until_over(asked);
    assert_int_equal(asked->outcome, FAILED);
    assert_int_equal(asked->code, code);
    assert_string_equal(asked->text, text);
}

static uint64_t counted(const _Atomic uint64_t *counter)
{
    return atomic_load(counter);
}

/* ---- a test's beginning and end ---- */

static int begin(void **state)
{
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(uv_loop_init(&loop), 0);
    (void)uv_timer_init(&loop, &tick);
    (void)uv_timer_start(&tick, on_tick, 1, 1);
    set = connection_set_new(&loop);
    assert_non_null(set);
    listen_at("127.0.0.1");
    return 0;
}

static void on_set_closed(void *user)
{
    *(bool *)user = true;
}

static void close_set(void)
{
    bool closed = false;

    connection_set_close(set, on_set_closed, &closed);
    while (!closed) {
        turn();
    }
    set = NULL;
}

static int finish(void **state)
{
    (void)state;
    if (set != NULL) {
        close_set();
    }
    uv_close((uv_handle_t *)&tick, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    (void)close(listening);
    return 0;
}
