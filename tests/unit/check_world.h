#pragma once
/*
 * check_world - a probe attempt and the small server on loopback it is made to,
 * both in one loop: the server says what it is told to, the attempt must say
 * what that means
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <sys/resource.h>

#include "policy/checks/check.h"
#include "zones/wire.h"

#define PATIENCE_MS 20000 /* for a slow and busy machine */
#define WRITES      4096

/* How a stream server answers the first bytes it gets. */
enum manner {
    STAY_SILENT,
    SEND_AT_ONCE,
    SEND_BY_BYTES, /* each a write of its own, in turns of the loop */
    HANG_UP,
    RESET,
};

struct fixture {
    uv_loop_t loop;
    uv_timer_t patience;
    struct model_check check; /* the probe's */
    struct health_probe probe;

    uv_tcp_t listener;
    uv_tcp_t peer; /* one at a time */
    bool has_peer;
    uv_idle_t idle;
    uv_write_t writes[WRITES];
    enum manner manner;
    bool first_word;                    /* it speaks before it is spoken to */
    void (*prepare)(struct fixture *f); /* makes the reply from the request; NULL: it is there */
    bool closes;                        /* behind what it sends */
    char *reply;
    size_t reply_size;
    size_t reply_sent;
    char peer_buffer[4096];
    char request[4096]; /* what it got */
    size_t request_size;

    /* A layer between the server and the socket; NULL: none. */
    void (*layer_open)(struct fixture *f);
    void (*layer_receive)(struct fixture *f, const char *bytes, size_t size);
    void (*layer_send)(struct fixture *f, const char *bytes, size_t size);
    void (*layer_close)(struct fixture *f);

    unsigned done_count;
    unsigned gone_count;
    enum detect_outcome outcome;
    bool misconfigured;
    char reason[200];
    bool impatient;
};

/* ---- the attempt ---- */

static inline void on_done(struct check_attempt *attempt, enum detect_outcome outcome,
                           bool misconfigured, const char *reason)
{
    struct fixture *f = attempt->user;

    f->done_count++;
    f->outcome = outcome;
    f->misconfigured = misconfigured;
    (void)snprintf(f->reason, sizeof(f->reason), "%s", reason);
}

static inline void on_gone(struct check_attempt *attempt)
{
    ((struct fixture *)attempt->user)->gone_count++;
}

static inline struct check_attempt *start(struct fixture *f)
{
    int error = 0;
    struct check_attempt *attempt =
        check_kind_of(f->check.kind)->start(&f->loop, &f->probe, on_done, f, &error);

    assert_non_null(attempt);
    assert_int_equal(f->done_count, 0); /* never from within start */
    attempt->gone = on_gone;
    return attempt;
}

static inline void hang_up(struct fixture *f);

/* Until the attempt is gone, and the server's side of it. */
static inline void turn_until_gone(struct fixture *f)
{
    while ((f->gone_count == 0 || f->has_peer) && !f->impatient) {
        (void)uv_run(&f->loop, UV_RUN_ONCE);
        if (f->gone_count > 0) {
            hang_up(f);
        }
    }
    assert_false(f->impatient);
}

/* One attempt from its beginning to its end. */
static inline void probe_once(struct fixture *f)
{
    f->done_count = 0;
    f->gone_count = 0;
    f->request_size = 0;
    (void)start(f);
    turn_until_gone(f);
    assert_int_equal(f->done_count, 1);
}

static inline void assert_probe(struct fixture *f, enum detect_outcome outcome, const char *reason)
{
    probe_once(f);
    assert_string_equal(f->reason, reason);
    assert_int_equal(f->outcome, outcome);
}

/* Turn the loop until the attempt lacks this, then cancel it. */
static inline void assert_lacks(struct fixture *f, const char *lacking)
{
    f->done_count = 0;
    f->gone_count = 0;
    f->request_size = 0;
    struct check_attempt *attempt = start(f);
    while (strcmp(attempt->lacking, lacking) != 0 && !f->impatient) {
        assert_int_equal(f->gone_count, 0);
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
    attempt->kind->cancel(attempt);
    turn_until_gone(f);
    assert_int_equal(f->done_count, 0);
}

/* ---- the stream server ---- */

static inline void on_peer_closed(uv_handle_t *handle)
{
    ((struct fixture *)handle->data)->has_peer = false;
}

static inline void hang_up(struct fixture *f)
{
    uv_idle_stop(&f->idle);
    if (f->has_peer && !uv_is_closing((uv_handle_t *)&f->peer)) {
        if (f->layer_close != NULL) {
            f->layer_close(f);
        }
        uv_close((uv_handle_t *)&f->peer, on_peer_closed);
    }
}

static inline void send_part(struct fixture *f, size_t size)
{
    char *bytes = f->reply + f->reply_sent;
    uv_buf_t buf = uv_buf_init(bytes, (unsigned)size);

    f->reply_sent += size;
    if (uv_is_closing((uv_handle_t *)&f->peer)) {
        return;
    }
    if (f->layer_send != NULL) {
        f->layer_send(f, bytes, size);
    } else {
        (void)uv_write(&f->writes[f->reply_sent % WRITES], (uv_stream_t *)&f->peer, &buf, 1, NULL);
    }
}

static inline void on_idle(uv_idle_t *idle)
{
    struct fixture *f = idle->data;

    if (f->reply_sent < f->reply_size) {
        send_part(f, 1);
    } else {
        uv_idle_stop(idle);
        if (f->closes) {
            hang_up(f);
        }
    }
}

static inline void answer_stream(struct fixture *f)
{
    f->reply_sent = 0;
    switch (f->manner) {
    case STAY_SILENT:
        break;
    case SEND_AT_ONCE:
        send_part(f, f->reply_size);
        if (f->closes) {
            hang_up(f);
        }
        break;
    case SEND_BY_BYTES:
        (void)uv_idle_start(&f->idle, on_idle);
        break;
    case HANG_UP:
        hang_up(f);
        break;
    case RESET:
        uv_read_stop((uv_stream_t *)&f->peer);
        (void)uv_tcp_close_reset(&f->peer, on_peer_closed);
        break;
    }
}

static inline void on_peer_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct fixture *f = handle->data;

    (void)suggested;
    *out = uv_buf_init(f->peer_buffer, sizeof(f->peer_buffer));
}

/* Bytes of a request; the first ones are answered. */
static inline void take_request(struct fixture *f, const char *bytes, size_t size)
{
    bool first = f->request_size == 0;

    if (f->request_size + size < sizeof(f->request)) {
        memcpy(f->request + f->request_size, bytes, size);
        f->request_size += size;
        f->request[f->request_size] = '\0';
    }
    if (first && size > 0 && !f->first_word) {
        if (f->prepare != NULL) {
            f->prepare(f);
        }
        answer_stream(f);
    }
}

static inline void on_peer_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct fixture *f = stream->data;

    if (size < 0) {
        hang_up(f);
    } else if (size > 0 && f->layer_receive != NULL) {
        f->layer_receive(f, buf->base, (size_t)size);
    } else if (size > 0) {
        take_request(f, buf->base, (size_t)size);
    }
}

static inline void on_connection(uv_stream_t *listener, int status)
{
    struct fixture *f = listener->data;

    assert_int_equal(status, 0);
    (void)uv_tcp_init(&f->loop, &f->peer);
    f->peer.data = f;
    assert_false(f->has_peer);
    f->has_peer = true;
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&f->peer), 0);
    (void)uv_tcp_nodelay(&f->peer, 1);
    (void)uv_read_start((uv_stream_t *)&f->peer, on_peer_alloc, on_peer_read);
    if (f->layer_open != NULL) {
        f->layer_open(f);
    } else if (f->first_word) {
        answer_stream(f);
    }
}

static inline uint16_t port_of(const struct sockaddr_storage *ss)
{
    return ntohs(((const struct sockaddr_in *)ss)->sin_port);
}

/* Bound in any case; refuses until it listens. */
static inline void bind_stream(struct fixture *f)
{
    struct sockaddr_storage own;
    int size = sizeof(own);

    (void)addr_to_sockaddr(&f->probe.target, &own);
    assert_int_equal(uv_tcp_bind(&f->listener, (struct sockaddr *)&own, 0), 0);
    (void)uv_tcp_getsockname(&f->listener, (struct sockaddr *)&own, &size);
    f->probe.target.port = port_of(&own);
}

static inline void serve_stream(struct fixture *f, enum manner manner, bool closes,
                                const char *reply)
{
    if (f->probe.target.port == 0) {
        bind_stream(f);
        assert_int_equal(uv_listen((uv_stream_t *)&f->listener, 8, on_connection), 0);
    }
    f->manner = manner;
    f->closes = closes;
    free(f->reply);
    f->reply = strdup(reply);
    f->reply_size = strlen(reply);
}

/* ---- a resolver that answers over a stream ---- */

static inline size_t put_address(uint8_t *at, const char *address)
{
    wire_put16(at, 0xc00c);
    wire_put16(at + 2, WIRE_A);
    wire_put16(at + 4, WIRE_IN);
    wire_put32(at + 6, 60);
    wire_put16(at + 10, 4);
    memcpy(at + 12, address, 4);
    return 16;
}

/* The reply to a query over TCP (RFC 1035, section 4.2.2): 10.1.2.3. */
static inline void prepare_address(struct fixture *f)
{
    size_t length = f->request_size - 2;

    assert_in_range(f->request_size, 2 + WIRE_HEADER_BYTES, 300);
    assert_int_equal(wire_get16((uint8_t *)f->request), length);
    free(f->reply);
    f->reply_size = f->request_size + 16;
    f->reply = malloc(f->reply_size);
    assert_non_null(f->reply);
    memcpy(f->reply, f->request, f->request_size);
    uint8_t *message = (uint8_t *)f->reply + 2;
    wire_put16(message - 2, (uint16_t)(length + 16));
    wire_put16(message + 2, WIRE_QR | WIRE_RD);
    wire_put16(message + 6, 1);
    (void)put_address(message + length, "\12\1\2\3");
}

/* ---- the fixture ---- */

static inline void on_impatient(uv_timer_t *timer)
{
    ((struct fixture *)timer->data)->impatient = true;
}

/* `size`: of a struct that begins with the fixture. */
static inline int set_up(void **state, enum model_check_kind kind, size_t size)
{
    struct fixture *f = calloc(1, size);
    char own_address[32]; /* so that both a TCP and a UDP port of one number can be had */
    unsigned pid = (unsigned)getpid();
    struct error err;

    assert_non_null(f);
    *state = f;
    (void)signal(SIGPIPE, SIG_IGN); /* as the program does */
    f->check.kind = kind;
    f->probe.check = &f->check;
    f->probe.used = true;
    (void)snprintf(own_address, sizeof(own_address), "127.%u.%u.%u", 64 + (pid >> 16) % 64,
                   pid >> 8 & 255, pid & 255);
    assert_int_equal(addr_parse(own_address, 0, &f->probe.target, &err), 0);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    (void)uv_timer_init(&f->loop, &f->patience);
    f->patience.data = f;
    (void)uv_timer_start(&f->patience, on_impatient, PATIENCE_MS, 0);
    (void)uv_tcp_init(&f->loop, &f->listener);
    f->listener.data = f;
    (void)uv_idle_init(&f->loop, &f->idle);
    f->idle.data = f;
    return 0;
}

static inline void close_one(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;

    uv_walk(&f->loop, close_one, NULL);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f->reply);
    free(f);
    check_shutdown();
    return 0;
}

/* ---- claims about more than one kind ---- */

static inline void a_target_that_cannot_be_reached_fails(void **state)
{
    struct fixture *f = *state;
    struct error err;

    /* for broadcast, which is not connected to: the system says so at once */
    assert_int_equal(addr_parse("255.255.255.255:9", 0, &f->probe.target, &err), 0);
    probe_once(f);
    assert_int_equal(f->outcome, DETECT_STRONG);
}

static inline void no_descriptor_left_is_our_own_trouble(void **state)
{
    struct fixture *f = *state;
    struct rlimit all;
    struct rlimit none;
    int error = 0;

    serve_stream(f, STAY_SILENT, false, "");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    none = all;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    const struct check_kind *kind = check_kind_of(f->check.kind);
    struct check_attempt *attempt = kind->start(&f->loop, &f->probe, on_done, f, &error);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
    assert_null(attempt);
    assert_int_equal(error, UV_EMFILE);
    for (unsigned i = 0; i < 3; i++) {
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(f->done_count, 0);
}
