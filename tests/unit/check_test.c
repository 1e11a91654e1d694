/*
 * The kinds of probes against small servers on loopback, all in one loop: the
 * server says what it is told to, the attempt must say what that means.
 */
#include <setjmp.h>
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
#define CANARY      "canary.corp.example"

/* How a stream server answers the first bytes it gets. */
enum manner {
    STAY_SILENT,
    SEND_AT_ONCE,
    SEND_BY_BYTES, /* each a write of its own, in turns of the loop */
    HANG_UP,
    RESET,
};

/* How a datagram server answers. */
enum lie {
    TELL_TRUTH, /* 10.1.2.3 */
    SAY_SERVFAIL,
    SAY_NXDOMAIN,
    SAY_WRONG_FIRST, /* another id, another question, then the truth */
    SAY_OTHER_ADDRESS,
    SAY_MALFORMED,
    SAY_TRUNCATED,
    SAY_NOTHING,
};

struct fixture {
    uv_loop_t loop;
    uv_timer_t patience;
    struct health_probe probe;

    uv_tcp_t listener;
    uv_tcp_t peer; /* one at a time */
    bool has_peer;
    uv_idle_t idle;
    uv_write_t writes[4096];
    enum manner manner;
    bool closes; /* behind what it sends */
    char *reply;
    size_t reply_size;
    size_t reply_sent;
    char peer_buffer[4096];
    char request[4096]; /* what it got */
    size_t request_size;

    uv_udp_t resolver;
    enum lie lie;
    uint8_t datagram[512];
    uint8_t queried[300]; /* the last question's name */

    unsigned done_count;
    unsigned gone_count;
    enum detect_outcome outcome;
    bool misconfigured;
    char reason[200];
    bool impatient;
};

/* ---- the attempt ---- */

static void on_done(struct check_attempt *attempt, enum detect_outcome outcome, bool misconfigured,
                    const char *reason)
{
    struct fixture *f = attempt->user;

    f->done_count++;
    f->outcome = outcome;
    f->misconfigured = misconfigured;
    (void)snprintf(f->reason, sizeof(f->reason), "%s", reason);
}

static void on_gone(struct check_attempt *attempt)
{
    ((struct fixture *)attempt->user)->gone_count++;
}

static struct check_attempt *start(struct fixture *f)
{
    int error = 0;
    struct check_attempt *attempt =
        check_kind_of(f->probe.check.kind)->start(&f->loop, &f->probe, on_done, f, &error);

    assert_non_null(attempt);
    assert_int_equal(f->done_count, 0); /* never from within start */
    attempt->gone = on_gone;
    return attempt;
}

static void hang_up(struct fixture *f);

/* Until the attempt is gone, and the server's side of it. */
static void turn_until_gone(struct fixture *f)
{
    while ((f->gone_count == 0 || f->has_peer) && !f->impatient) {
        (void)uv_run(&f->loop, UV_RUN_ONCE);
        if (f->gone_count > 0) {
            hang_up(f);
        }
    }
    assert_false(f->impatient);
}

static void assert_probe(struct fixture *f, enum detect_outcome outcome, const char *reason)
{
    f->done_count = 0;
    f->gone_count = 0;
    f->request_size = 0;
    (void)start(f);
    turn_until_gone(f);
    assert_int_equal(f->done_count, 1);
    assert_string_equal(f->reason, reason);
    assert_int_equal(f->outcome, outcome);
}

/* ---- the stream server ---- */

static void on_peer_closed(uv_handle_t *handle)
{
    ((struct fixture *)handle->data)->has_peer = false;
}

static void hang_up(struct fixture *f)
{
    uv_idle_stop(&f->idle);
    if (f->has_peer && !uv_is_closing((uv_handle_t *)&f->peer)) {
        uv_close((uv_handle_t *)&f->peer, on_peer_closed);
    }
}

static void send_part(struct fixture *f, size_t size)
{
    uv_buf_t buf = uv_buf_init(f->reply + f->reply_sent, (unsigned)size);

    f->reply_sent += size;
    if (!uv_is_closing((uv_handle_t *)&f->peer)) {
        (void)uv_write(&f->writes[f->reply_sent % 4096], (uv_stream_t *)&f->peer, &buf, 1, NULL);
    }
}

static void on_idle(uv_idle_t *idle)
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

static void answer_stream(struct fixture *f)
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

static void on_peer_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct fixture *f = handle->data;

    (void)suggested;
    *out = uv_buf_init(f->peer_buffer, sizeof(f->peer_buffer));
}

static void on_peer_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct fixture *f = stream->data;

    if (size < 0) {
        hang_up(f);
        return;
    }
    bool first = f->request_size == 0;
    if (f->request_size + (size_t)size < sizeof(f->request)) {
        memcpy(f->request + f->request_size, buf->base, (size_t)size);
        f->request_size += (size_t)size;
        f->request[f->request_size] = '\0';
    }
    if (first && size > 0) {
        answer_stream(f);
    }
}

static void on_connection(uv_stream_t *listener, int status)
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
}

static uint16_t port_of(const struct sockaddr_storage *ss)
{
    return ntohs(((const struct sockaddr_in *)ss)->sin_port);
}

/* Bound in any case; refuses until it listens. */
static void bind_stream(struct fixture *f)
{
    struct sockaddr_storage own;
    int size = sizeof(own);

    (void)addr_to_sockaddr(&f->probe.target, &own);
    assert_int_equal(uv_tcp_bind(&f->listener, (struct sockaddr *)&own, 0), 0);
    (void)uv_tcp_getsockname(&f->listener, (struct sockaddr *)&own, &size);
    f->probe.target.port = port_of(&own);
}

static void serve_stream(struct fixture *f, enum manner manner, bool closes, const char *reply)
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

/* ---- the datagram server ---- */

static void on_udp_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct fixture *f = handle->data;

    (void)suggested;
    *out = uv_buf_init((char *)f->datagram, sizeof(f->datagram));
}

static void say(struct fixture *f, const uint8_t *bytes, size_t size, const struct sockaddr *to)
{
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)size);

    assert_int_equal(uv_udp_try_send(&f->resolver, &buf, 1, to), (int)size);
}

static size_t put_address(uint8_t *at, const char *address)
{
    wire_put16(at, 0xc00c);
    wire_put16(at + 2, WIRE_A);
    wire_put16(at + 4, WIRE_IN);
    wire_put32(at + 6, 60);
    wire_put16(at + 10, 4);
    memcpy(at + 12, address, 4);
    return 16;
}

static void say_wrong(struct fixture *f, const uint8_t *reply, size_t size,
                      const struct sockaddr *to)
{
    uint8_t wrong[512];

    memcpy(wrong, reply, size);
    wrong[0] ^= 0x55;
    say(f, wrong, size, to);
    memcpy(wrong, reply, size);
    wrong[WIRE_QUESTION + 1] ^= 1;
    say(f, wrong, size, to);
    say(f, wrong, 3, to);
    say(f, wrong, 0, to);
}

static void answer_datagram(struct fixture *f, size_t size, const struct sockaddr *to)
{
    uint8_t reply[512];
    unsigned flags = WIRE_QR | WIRE_RD | WIRE_RA;
    bool has_answer = f->lie == TELL_TRUTH || f->lie == SAY_WRONG_FIRST ||
                      f->lie == SAY_OTHER_ADDRESS || f->lie == SAY_MALFORMED;

    assert_in_range(size, WIRE_HEADER_BYTES + 5, 300);
    assert_int_equal(wire_get16(f->datagram + 2), WIRE_RD);
    assert_int_equal(wire_get16(f->datagram + 10), 0); /* no EDNS */
    memcpy(reply, f->datagram, size);
    memcpy(f->queried, f->datagram + WIRE_QUESTION, size - WIRE_HEADER_BYTES);
    flags |= f->lie == SAY_SERVFAIL ? WIRE_SERVFAIL : 0u;
    flags |= f->lie == SAY_NXDOMAIN ? WIRE_NXDOMAIN : 0u;
    flags |= f->lie == SAY_TRUNCATED ? WIRE_TC : 0u;
    wire_put16(reply + 2, (uint16_t)flags);
    if (has_answer) {
        wire_put16(reply + 6, 1);
        size +=
            put_address(reply + size, f->lie == SAY_OTHER_ADDRESS ? "\xc0\0\2\11" : "\12\1\2\3");
    }
    if (f->lie == SAY_WRONG_FIRST) {
        say_wrong(f, reply, size, to);
    }
    if (f->lie != SAY_NOTHING) {
        say(f, reply, size - (f->lie == SAY_MALFORMED), to);
    }
}

static void on_udp_read(uv_udp_t *udp, ssize_t size, const uv_buf_t *buf,
                        const struct sockaddr *from, unsigned flags)
{
    (void)buf;
    (void)flags;
    if (size > 0 && from != NULL) {
        answer_datagram(udp->data, (size_t)size, from);
    }
}

static void serve_datagrams(struct fixture *f, enum lie lie)
{
    struct sockaddr_storage own;
    int size = sizeof(own);

    f->lie = lie;
    if (uv_is_active((uv_handle_t *)&f->resolver)) {
        return;
    }
    (void)addr_to_sockaddr(&f->probe.target, &own);
    assert_int_equal(uv_udp_bind(&f->resolver, (struct sockaddr *)&own, 0), 0);
    (void)uv_udp_getsockname(&f->resolver, (struct sockaddr *)&own, &size);
    f->probe.target.port = port_of(&own);
    assert_int_equal(uv_udp_recv_start(&f->resolver, on_udp_alloc, on_udp_read), 0);
}

/* ---- the fixture ---- */

static void on_impatient(uv_timer_t *timer)
{
    ((struct fixture *)timer->data)->impatient = true;
}

static int set_up(void **state, enum model_check_kind kind)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char own_address[32]; /* so that both a TCP and a UDP port of one number can be had */
    unsigned pid = (unsigned)getpid();
    struct error err;

    assert_non_null(f);
    *state = f;
    f->probe.check.kind = kind;
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
    (void)uv_udp_init(&f->loop, &f->resolver);
    f->resolver.data = f;
    (void)uv_idle_init(&f->loop, &f->idle);
    f->idle.data = f;
    return 0;
}

static int set_up_http(void **state)
{
    return set_up(state, MODEL_CHECK_HTTP);
}

static int set_up_tcp(void **state)
{
    return set_up(state, MODEL_CHECK_TCP);
}

static int set_up_dns(void **state)
{
    (void)set_up(state, MODEL_CHECK_DNS);
    struct fixture *f = *state;
    f->probe.check.query_name = CANARY;
    f->probe.check.query_type = WIRE_A;
    return 0;
}

static void close_one(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    uv_walk(&f->loop, close_one, NULL);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f->reply);
    free(f);
    return 0;
}

/* ---- tcp ---- */

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

static void a_target_that_cannot_be_reached_fails(void **state)
{
    struct fixture *f = *state;
    struct error err;

    /* for broadcast, which is not connected to: the system says so at once */
    assert_int_equal(addr_parse("255.255.255.255:9", 0, &f->probe.target, &err), 0);
    (void)start(f);
    turn_until_gone(f);
    assert_int_equal(f->done_count, 1);
    assert_int_equal(f->outcome, DETECT_STRONG);
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

static void no_descriptor_left_is_our_own_trouble(void **state)
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
    const struct check_kind *kind = check_kind_of(f->probe.check.kind);
    struct check_attempt *attempt = kind->start(&f->loop, &f->probe, on_done, f, &error);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
    assert_null(attempt);
    assert_int_equal(error, UV_EMFILE);
    for (unsigned i = 0; i < 3; i++) {
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(f->done_count, 0);
}

/* ---- http ---- */

static void http_asks_as_configured(void **state)
{
    struct fixture *f = *state;

    f->probe.check.path = "/healthz?x=1";
    f->probe.check.host = "api.svc.example.com";
    serve_stream(f, SEND_AT_ONCE, false, "HTTP/1.1 200 OK\r\n");
    assert_probe(f, DETECT_PASS, "status 200");
    assert_string_equal(f->request, "GET /healthz?x=1 HTTP/1.1\r\n"
                                    "Host: api.svc.example.com\r\n"
                                    "User-Agent: leeward/" LEEWARD_VERSION "\r\n"
                                    "Accept: */*\r\n"
                                    "Connection: close\r\n\r\n");
}

static void http_without_a_host_names_the_target(void **state)
{
    struct fixture *f = *state;
    char target[ADDR_TEXT_MAX];
    char line[128];

    serve_stream(f, SEND_AT_ONCE, false, "HTTP/1.1 204 \r\n\r\n");
    assert_probe(f, DETECT_PASS, "status 204");
    addr_format_port(&f->probe.target, target, sizeof(target));
    (void)snprintf(line, sizeof(line), "GET / HTTP/1.1\r\nHost: %s\r\n", target);
    assert_memory_equal(f->request, line, strlen(line));
}

static void http_tells_what_was_wrong(void **state)
{
    static const struct {
        const char *reply;
        const char *reason;
        enum manner manner;
        bool closes;
    } cases[] = {
        { "HTTP/1.1 500 No\r\nContent-Length: 900\r\n\r\n", "status 500", SEND_AT_ONCE, false },
        { "HTTP/1.1 302 Elsewhere\r\nLocation: /\r\n\r\n", "status 302", SEND_AT_ONCE, true },
        { "220 smtp.example ESMTP\r\n", "not HTTP", SEND_AT_ONCE, false },
        { "HTTP/1.1 20", "closed within the status line", SEND_AT_ONCE, true },
        { "", "closed without a reply", HANG_UP, false },
        { "", "connection reset", RESET, false },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        serve_stream(f, cases[i].manner, cases[i].closes, cases[i].reply);
        assert_probe(f, DETECT_STRONG, cases[i].reason);
    }
}

static void http_tells_a_refusal(void **state)
{
    struct fixture *f = *state;

    bind_stream(f);
    assert_probe(f, DETECT_STRONG, "connection refused");
}

static void http_takes_the_statuses_configured(void **state)
{
    static const struct model_range ranges[] = { { 200, 204 }, { 401, 401 } };
    struct fixture *f = *state;

    f->probe.check.statuses = ranges;
    f->probe.check.status_count = 2;
    serve_stream(f, SEND_AT_ONCE, true, "HTTP/1.1 401 Who\r\n\r\n");
    assert_probe(f, DETECT_PASS, "status 401");
    serve_stream(f, SEND_AT_ONCE, true, "HTTP/1.1 205 Reset\r\n\r\n");
    assert_probe(f, DETECT_STRONG, "status 205");
}

static void http_finds_a_body_in_pieces(void **state)
{
    struct fixture *f = *state;

    f->probe.check.body = "all is well";
    serve_stream(f, SEND_BY_BYTES, false,
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "8\r\nall is w\r\n7\r\nell, I \r\n6\r\nthink.");
    assert_probe(f, DETECT_PASS, "body as expected");
}

static void http_misses_a_body(void **state)
{
    struct fixture *f = *state;

    f->probe.check.body = "ok";
    serve_stream(f, SEND_AT_ONCE, false, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nfailed");
    assert_probe(f, DETECT_STRONG, "body does not contain 'ok'");
    serve_stream(f, SEND_BY_BYTES, true, "HTTP/1.0 200 OK\r\n\r\nfailed");
    assert_probe(f, DETECT_STRONG, "body does not contain 'ok'");
    serve_stream(f, SEND_AT_ONCE, true, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nfai");
    assert_probe(f, DETECT_STRONG, "closed within the body");
    serve_stream(f, SEND_AT_ONCE, true, "HTTP/1.1 503 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_probe(f, DETECT_STRONG, "status 503");
}

static void http_reads_64_kib_of_a_body(void **state)
{
    struct fixture *f = *state;
    size_t head = strlen("HTTP/1.1 200 OK\r\n\r\n");
    size_t size = head + 100000;
    char *reply = malloc(size + 1);

    assert_non_null(reply);
    f->probe.check.body = "ok";
    memset(reply, 'x', size);
    memcpy(reply, "HTTP/1.1 200 OK\r\n\r\n", head);
    reply[size] = '\0';
    memcpy(reply + head + 65534, "ok", 2);
    serve_stream(f, SEND_AT_ONCE, false, reply);
    assert_probe(f, DETECT_PASS, "body as expected");
    memcpy(reply + head + 65534, "xok", 3);
    serve_stream(f, SEND_AT_ONCE, false, reply);
    assert_probe(f, DETECT_STRONG, "body does not contain 'ok' in its first 64 KiB");
    free(reply);
}

/* Turn the loop until the attempt lacks this, then cancel it. */
static void assert_lacks(struct fixture *f, const char *lacking)
{
    struct check_attempt *attempt = start(f);

    while (strcmp(attempt->lacking, lacking) != 0 && !f->impatient) {
        assert_int_equal(f->gone_count, 0);
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
    attempt->kind->cancel(attempt);
    turn_until_gone(f);
    assert_int_equal(f->done_count, 0);
}

static void a_silent_http_server_lacks_a_reply(void **state)
{
    struct fixture *f = *state;

    serve_stream(f, STAY_SILENT, false, "");
    assert_lacks(f, "no reply");
}

static void a_slow_http_server_lacks_the_rest(void **state)
{
    struct fixture *f = *state;

    f->probe.check.body = "ok";
    serve_stream(f, SEND_AT_ONCE, false, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nslow");
    assert_lacks(f, "reply not complete");
}

/* ---- dns ---- */

static void dns_passes_with_data(void **state)
{
    struct fixture *f = *state;

    serve_datagrams(f, TELL_TRUTH);
    assert_probe(f, DETECT_PASS, "NOERROR");
    assert_memory_equal(f->queried, "\6canary\4corp\7example\0\0\1\0\1", 25);
}

static void dns_tells_what_was_wrong(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct addr expected;

    assert_int_equal(addr_parse("10.1.2.3", 0, &expected, &err), 0);
    serve_datagrams(f, SAY_SERVFAIL);
    assert_probe(f, DETECT_STRONG, "SERVFAIL");
    serve_datagrams(f, SAY_NXDOMAIN);
    assert_probe(f, DETECT_STRONG, "NXDOMAIN for " CANARY);
    assert_true(f->misconfigured);
    serve_datagrams(f, SAY_MALFORMED);
    assert_probe(f, DETECT_STRONG, "malformed answer");
    assert_false(f->misconfigured);
    f->probe.check.expect_addresses = &expected;
    f->probe.check.expect_address_count = 1;
    serve_datagrams(f, SAY_OTHER_ADDRESS);
    assert_probe(f, DETECT_STRONG, "wrong answer: 192.0.2.9, expected 10.1.2.3");
    serve_datagrams(f, TELL_TRUTH);
    assert_probe(f, DETECT_PASS, "NOERROR");
}

static void dns_waits_for_its_own_answer(void **state)
{
    struct fixture *f = *state;

    serve_datagrams(f, SAY_WRONG_FIRST);
    assert_probe(f, DETECT_PASS, "NOERROR");
}

static void dns_tells_a_refusal(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in nobody = { .sin_family = AF_INET,
                                  .sin_port = htons(9),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

    /* The port is taken, so that nobody else gets it, and closed to all but one peer. */
    serve_datagrams(f, SAY_NOTHING);
    (void)uv_udp_recv_stop(&f->resolver);
    assert_int_equal(uv_udp_connect(&f->resolver, (struct sockaddr *)&nobody), 0);
    assert_probe(f, DETECT_STRONG, "connection refused");
}

static void a_silent_resolver_lacks_an_answer(void **state)
{
    struct fixture *f = *state;

    serve_datagrams(f, SAY_NOTHING);
    assert_lacks(f, "no answer");
}

static void dns_asks_for_a_random_name_each_time(void **state)
{
    struct fixture *f = *state;
    uint8_t first[64];

    f->probe.check.query_name = "x{random}.corp.example";
    serve_datagrams(f, TELL_TRUTH);
    assert_probe(f, DETECT_PASS, "NOERROR");
    assert_int_equal(f->queried[0], 17);
    assert_memory_equal(f->queried + 18, "\4corp\7example", 14);
    for (size_t i = 2; i < 18; i++) {
        assert_true((f->queried[i] >= 'a' && f->queried[i] <= 'z') ||
                    (f->queried[i] >= '2' && f->queried[i] <= '7'));
    }
    memcpy(first, f->queried, sizeof(first));
    assert_probe(f, DETECT_PASS, "NOERROR");
    assert_memory_not_equal(first, f->queried, 18);
}

static void a_truncated_answer_is_fetched_over_tcp(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct addr expected;

    serve_stream(f, HANG_UP, false, "");
    serve_datagrams(f, SAY_TRUNCATED);
    assert_probe(f, DETECT_PASS, "NOERROR");
    assert_int_equal(f->request_size, 0);
    assert_int_equal(addr_parse("10.1.2.3", 0, &expected, &err), 0);
    f->probe.check.expect_addresses = &expected;
    f->probe.check.expect_address_count = 1;
    assert_probe(f, DETECT_STRONG, "tcp: closed without an answer");
    assert_int_equal(wire_get16((uint8_t *)f->request), f->request_size - 2);
}

/* The stream server's answer depends on the id asked with, so it is made here. */
static void on_dns_stream_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct fixture *f = stream->data;

    if (size <= 2) {
        return;
    }
    f->reply_size = (size_t)size + 16;
    f->reply = malloc(f->reply_size);
    assert_non_null(f->reply);
    memcpy(f->reply, buf->base, (size_t)size);
    uint8_t *message = (uint8_t *)f->reply + 2;
    wire_put16(message - 2, (uint16_t)(size - 2 + 16));
    wire_put16(message + 2, WIRE_QR | WIRE_RD);
    wire_put16(message + 6, 1);
    (void)put_address(message + size - 2, "\12\1\2\3");
    f->manner = SEND_BY_BYTES;
    answer_stream(f);
}

static void on_dns_connection(uv_stream_t *listener, int status)
{
    struct fixture *f = listener->data;

    on_connection(listener, status);
    (void)uv_read_stop((uv_stream_t *)&f->peer);
    (void)uv_read_start((uv_stream_t *)&f->peer, on_peer_alloc, on_dns_stream_read);
}

static void an_answer_over_tcp_may_come_in_pieces(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct addr expected;

    bind_stream(f);
    assert_int_equal(uv_listen((uv_stream_t *)&f->listener, 8, on_dns_connection), 0);
    serve_datagrams(f, SAY_TRUNCATED);
    assert_int_equal(addr_parse("10.1.2.3", 0, &expected, &err), 0);
    f->probe.check.expect_addresses = &expected;
    f->probe.check.expect_address_count = 1;
    assert_probe(f, DETECT_PASS, "NOERROR");
}

#define HTTP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_http, tear_down)
#define TCP_TEST(name)  cmocka_unit_test_setup_teardown(name, set_up_tcp, tear_down)
#define DNS_TEST(name)  cmocka_unit_test_setup_teardown(name, set_up_dns, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_TEST(tcp_passes_when_it_connects),
        TCP_TEST(tcp_tells_a_refusal),
        TCP_TEST(a_target_that_cannot_be_reached_fails),
        TCP_TEST(a_cancelled_attempt_says_nothing),
        TCP_TEST(no_descriptor_left_is_our_own_trouble),
        HTTP_TEST(http_asks_as_configured),
        HTTP_TEST(http_without_a_host_names_the_target),
        HTTP_TEST(http_tells_what_was_wrong),
        HTTP_TEST(http_tells_a_refusal),
        HTTP_TEST(http_takes_the_statuses_configured),
        HTTP_TEST(http_finds_a_body_in_pieces),
        HTTP_TEST(http_misses_a_body),
        HTTP_TEST(http_reads_64_kib_of_a_body),
        HTTP_TEST(a_silent_http_server_lacks_a_reply),
        HTTP_TEST(a_slow_http_server_lacks_the_rest),
        DNS_TEST(dns_passes_with_data),
        DNS_TEST(dns_tells_what_was_wrong),
        DNS_TEST(dns_waits_for_its_own_answer),
        DNS_TEST(dns_tells_a_refusal),
        DNS_TEST(a_target_that_cannot_be_reached_fails),
        DNS_TEST(a_silent_resolver_lacks_an_answer),
        DNS_TEST(no_descriptor_left_is_our_own_trouble),
        DNS_TEST(dns_asks_for_a_random_name_each_time),
        DNS_TEST(a_truncated_answer_is_fetched_over_tcp),
        DNS_TEST(an_answer_over_tcp_may_come_in_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
