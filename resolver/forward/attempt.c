#include "resolver/forward/attempt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/hash.h"
#include "resolver/forward/upstream.h"

#define DATAGRAMS_A_TURN 16 /* then other sockets of the loop have theirs */

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void count_sent(struct attempt *attempt)
{
    count(&attempt->pool->counters->sent);
    count(&attempt->upstream->sent);
}

static uint16_t draw_id(struct attempt_pool *pool)
{
    if (pool->ids_left == 0) {
        hash_random(pool->ids, sizeof(pool->ids));
        pool->ids_left = ATTEMPT_IDS;
    }
    return pool->ids[--pool->ids_left];
}

bool attempt_is_local(int code)
{
    return code == -EMFILE || code == -ENFILE || code == -ENOMEM || code == -ENOBUFS ||
           code == -EAGAIN || code == -EADDRNOTAVAIL;
}

const uint8_t *attempt_question(const struct attempt *attempt)
{
    return attempt->query + ATTEMPT_STREAM_LEN + WIRE_QUESTION;
}

/* ---- the end ---- */

static void on_closed(uv_handle_t *handle)
{
    struct attempt *attempt = handle->data;
    struct attempt_pool *pool = attempt->pool;

    if (--attempt->handles > 0) {
        return;
    }
    free(attempt->message);
    free(attempt);
    pool->alive--;
    pool->events->released(pool->user);
}

void attempt_close(struct attempt *attempt)
{
    if (attempt->closing) {
        return;
    }
    attempt->closing = true;
    attempt->pool->open--;
    uv_close((uv_handle_t *)&attempt->timer, on_closed);
    if (attempt->handles > 1) {
        uv_close(&attempt->handle, on_closed);
    }
    if (attempt->fd >= 0) {
        close(attempt->fd); /* no longer polled: uv_close has seen to that */
        attempt->fd = -1;
    }
}

/* ---- replies ---- */

/* Does it answer the question? Then the owner is told. */
static bool deliver(struct attempt *attempt, const uint8_t *message, size_t length)
{
    uint16_t id = wire_get16(attempt->query + ATTEMPT_STREAM_LEN);
    size_t answers_at;

    if (!wire_response_matches(message, length, id, attempt_question(attempt),
                               attempt->question_length, true, &answers_at)) {
        count(&attempt->pool->counters->mismatched);
        return false;
    }
    attempt->pool->events->reply(attempt, message, length, answers_at);
    return true;
}

/* ---- answers over UDP ---- */

static void read_datagrams(struct attempt *attempt)
{
    struct attempt_pool *pool = attempt->pool;

    for (unsigned i = 0; i < DATAGRAMS_A_TURN && !attempt->closing; i++) {
        ssize_t got = recv(attempt->fd, pool->buffer, WIRE_MESSAGE_MAX, MSG_DONTWAIT);
        if (got >= 0) {
            (void)deliver(attempt, pool->buffer, (size_t)got);
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            pool->events->error(attempt, -errno);
            return;
        }
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct attempt *attempt = poll->data;

    (void)events;
    read_datagrams(attempt);
    if (status < 0 && !attempt->closing) {
        /* libuv stops polling a socket with a pending error, which is read now */
        int code = uv_poll_start(poll, UV_READABLE, on_readable);
        if (code < 0) {
            attempt->pool->events->error(attempt, code);
        }
    }
}

/* ---- silence ---- */

/* Is it silent indeed? After a long turn of the loop timers come before what was in time. */
static bool is_silent(struct attempt *attempt)
{
    if (!attempt->stream) {
        read_datagrams(attempt);
    }
    return !attempt->closing;
}

static void on_spent(uv_timer_t *timer)
{
    struct attempt *attempt = timer->data;

    if (is_silent(attempt)) {
        attempt->spent = true;
        attempt->pool->events->spent(attempt);
    }
}

static void on_silent(uv_timer_t *timer)
{
    struct attempt *attempt = timer->data;
    uint64_t spent_ms = attempt->sent_ms + UPSTREAM_LISTEN_MS;
    uint64_t now_ms = uv_now(timer->loop);

    if (is_silent(attempt)) {
        attempt->silent = true;
        (void)uv_timer_start(timer, on_spent, spent_ms > now_ms ? spent_ms - now_ms : 0, 0);
        attempt->pool->events->silent(attempt);
    }
}

/* What goes out now is to be answered. Starting a timer that is not closing cannot fail. */
static void expect_answer(struct attempt *attempt)
{
    attempt->sent_ms = uv_now(attempt->pool->loop);
    attempt->silent = false;
    attempt->spent = false;
    (void)uv_timer_start(&attempt->timer, on_silent, upstream_silent_ms(attempt->upstream), 0);
}

/* ---- asking over UDP ---- */

/* A connected socket on a port of the kernel's choosing, which is a random one. */
static int open_socket(struct attempt *attempt)
{
    struct sockaddr_storage address;
    socklen_t size = addr_to_sockaddr(&attempt->upstream->address, &address);

    attempt->fd = socket(address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (attempt->fd < 0 || connect(attempt->fd, (struct sockaddr *)&address, size) != 0) {
        return -errno;
    }
    return 0;
}

static int send_datagram(struct attempt *attempt)
{
    const uint8_t *query = attempt->query + ATTEMPT_STREAM_LEN;

    if (send(attempt->fd, query, attempt->query_length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        return -errno;
    }
    expect_answer(attempt);
    return 0;
}

static int start_datagram(struct attempt *attempt)
{
    int code = open_socket(attempt);

    if (code == 0) {
        code = uv_poll_init(attempt->pool->loop, &attempt->poll, attempt->fd);
    }
    if (code < 0) {
        return code;
    }
    attempt->handles++;
    attempt->poll.data = attempt;
    code = uv_poll_start(&attempt->poll, UV_READABLE, on_readable);
    return code < 0 ? code : send_datagram(attempt);
}

/* ---- TCP ---- */

static void fail_stream(struct attempt *attempt, int code)
{
    if (!attempt->closing) {
        attempt->pool->events->error(attempt, code);
    }
}

/* Room for exactly what is still missing: of the prefix, then of the message. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct attempt *attempt = handle->data;
    uint8_t *bytes = attempt->expected == 0 ? attempt->prefix : attempt->message;
    size_t size = attempt->expected == 0 ? sizeof(attempt->prefix) : attempt->expected;

    (void)suggested;
    out->base = (char *)bytes + attempt->got;
    out->len = size - attempt->got;
}

/* The length before the message is known. */
static void begin_message(struct attempt *attempt)
{
    size_t length = wire_get16(attempt->prefix);

    if (length < WIRE_HEADER_BYTES) {
        fail_stream(attempt, -EPROTO);
        return;
    }
    attempt->message = malloc(length);
    if (attempt->message == NULL) {
        fail_stream(attempt, -ENOMEM);
        return;
    }
    attempt->expected = length;
    attempt->got = 0;
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct attempt *attempt = stream->data;

    (void)buffer;
    if (attempt->closing || got == 0) {
        return;
    }
    if (got < 0) {
        fail_stream(attempt, (int)got);
        return;
    }
    attempt->got += (size_t)got;
    if (attempt->expected == 0) {
        if (attempt->got == sizeof(attempt->prefix)) {
            begin_message(attempt);
        }
    } else if (attempt->got == attempt->expected) {
        /* nothing else was asked on this connection, so nothing else can come */
        if (!deliver(attempt, attempt->message, attempt->expected)) {
            fail_stream(attempt, -EPROTO);
        }
    }
}

static void on_written(uv_write_t *write, int status)
{
    if (status < 0) {
        fail_stream(write->data, status);
    }
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct attempt *attempt = connect->data;

    if (attempt->closing) {
        return;
    }
    uv_stream_t *stream = (uv_stream_t *)&attempt->tcp;
    uv_buf_t query =
        uv_buf_init((char *)attempt->query, (unsigned)ATTEMPT_STREAM_LEN + attempt->query_length);
    if (status == 0) {
        status = uv_read_start(stream, on_alloc, on_read);
    }
    if (status == 0) {
        attempt->write.data = attempt;
        status = uv_write(&attempt->write, stream, &query, 1, on_written);
    }
    if (status < 0) {
        fail_stream(attempt, status);
    }
}

static int start_stream(struct attempt *attempt)
{
    struct sockaddr_storage address;
    int code = uv_tcp_init(attempt->pool->loop, &attempt->tcp);

    if (code < 0) {
        return code;
    }
    attempt->handles++;
    attempt->tcp.data = attempt;
    attempt->connect.data = attempt;
    (void)addr_to_sockaddr(&attempt->upstream->address, &address);
    expect_answer(attempt);
    return uv_tcp_connect(&attempt->connect, &attempt->tcp, (struct sockaddr *)&address,
                          on_connected);
}

/* ---- the beginning ---- */

static void build_query(struct attempt *attempt, const struct forward_question *question)
{
    /* AD asks to be told whether the answer was validated: RFC 6840, section 5.7. */
    uint16_t flags = (uint16_t)(WIRE_RD | WIRE_AD | (question->checking_disabled ? WIRE_CD : 0));
    uint8_t *query = attempt->query + ATTEMPT_STREAM_LEN;
    size_t length =
        wire_query_build(query, draw_id(attempt->pool), flags, question->name, question->type,
                         question->class, WIRE_UDP_MOST, question->dnssec_ok);

    wire_put16(attempt->query, (uint16_t)length);
    attempt->query_length = (uint16_t)length;
    attempt->question_length = (uint16_t)(question->name_length + 4u);
}

int attempt_open(struct attempt_pool *pool, struct upstream *upstream, bool stream,
                 const struct forward_question *question, struct attempt **out)
{
    if (pool->open >= pool->most) {
        return -EMFILE;
    }
    struct attempt *attempt = calloc(1, sizeof(*attempt));
    if (attempt == NULL) {
        return -ENOMEM;
    }
    attempt->pool = pool;
    attempt->upstream = upstream;
    attempt->stream = stream;
    attempt->dnssec_ok = question->dnssec_ok;
    attempt->fd = -1;
    attempt->first_ms = uv_now(pool->loop);
    attempt->sent_ms = attempt->first_ms;
    build_query(attempt, question);
    (void)uv_timer_init(pool->loop, &attempt->timer);
    attempt->timer.data = attempt;
    attempt->handles = 1;
    pool->open++;
    pool->alive++;
    int code = stream ? start_stream(attempt) : start_datagram(attempt);
    if (code < 0) {
        attempt_close(attempt);
        return code;
    }
    count_sent(attempt);
    *out = attempt;
    return 0;
}

int attempt_resend(struct attempt *attempt)
{
    int code = send_datagram(attempt);

    if (code == 0) {
        count_sent(attempt);
    }
    return code;
}
