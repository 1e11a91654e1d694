#include "resolver/forward/attempt.h"

#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"
#include "resolver/forward/upstream.h"

#define LATE_MS 20 /* a timer this late says that the loop was held up */

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

/* ---- silence ---- */

static void on_spent(uv_timer_t *timer)
{
    struct attempt *attempt = timer->data;

    attempt->spent = true;
    attempt->pool->events->spent(attempt);
}

/*
 * After a turn of the loop that took long, timers come before answers that were
 * in time. So a timer that is late gives the sockets their turn, once.
 */
static void on_silent(uv_timer_t *timer)
{
    struct attempt *attempt = timer->data;
    uint64_t age_ms = uv_now(timer->loop) - attempt->sent_ms;
    uint64_t left_ms = age_ms < UPSTREAM_LISTEN_MS ? UPSTREAM_LISTEN_MS - age_ms : 0;

    if (!attempt->settled && age_ms > attempt->patience_ms + LATE_MS) {
        attempt->settled = true;
        (void)uv_timer_start(timer, on_silent, 1, 0);
        return;
    }
    attempt->silent = true;
    (void)uv_timer_start(timer, on_spent, left_ms, 0);
    attempt->pool->events->silent(attempt);
}

/* What goes out now is to be answered. Starting a timer that is not closing cannot fail. */
static void expect_answer(struct attempt *attempt)
{
    attempt->sent_ms = uv_now(attempt->pool->loop);
    attempt->patience_ms = upstream_silent_ms(attempt->upstream);
    attempt->settled = false;
    attempt->silent = false;
    attempt->spent = false;
    (void)uv_timer_start(&attempt->timer, on_silent, attempt->patience_ms, 0);
}

/* ---- UDP ---- */

static void on_datagram_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct attempt *attempt = handle->data;

    (void)suggested;
    *out = uv_buf_init((char *)attempt->pool->buffer, WIRE_MESSAGE_MAX);
}

static void on_datagram(uv_udp_t *udp, ssize_t got, const uv_buf_t *buffer,
                        const struct sockaddr *from, unsigned flags)
{
    struct attempt *attempt = udp->data;

    (void)flags;
    if (attempt->closing) {
        return;
    }
    if (got < 0) {
        attempt->pool->events->error(attempt, (int)got);
    } else if (from != NULL) { /* else there is nothing more to read */
        (void)deliver(attempt, (const uint8_t *)buffer->base, (size_t)got);
    }
}

static int send_datagram(struct attempt *attempt)
{
    uv_buf_t query =
        uv_buf_init((char *)attempt->query + ATTEMPT_STREAM_LEN, attempt->query_length);
    int code = uv_udp_try_send(&attempt->udp, &query, 1, NULL);

    if (code < 0) {
        return code;
    }
    expect_answer(attempt);
    return 0;
}

/* The port is of the kernel's choosing, which is a random one. */
static int start_datagram(struct attempt *attempt)
{
    struct sockaddr_storage address;
    int code = uv_udp_init(attempt->pool->loop, &attempt->udp);

    if (code < 0) {
        return code;
    }
    attempt->handles++;
    attempt->udp.data = attempt;
    (void)addr_to_sockaddr(&attempt->upstream->address, &address);
    code = uv_udp_connect(&attempt->udp, (struct sockaddr *)&address);
    if (code == 0) {
        code = uv_udp_recv_start(&attempt->udp, on_datagram_alloc, on_datagram);
    }
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
    attempt->sent_ms = uv_now(pool->loop);
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
