#include "resolver/forward/attempt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "resolver/forward/upstream.h"

#define LATE_MS 20 /* a timer this late says that the loop was held up */
#define DOUBT_MS                                                                                   \
    (2 * UPSTREAM_SILENT_MS) /* TCP, handshake included, may take to clear up a doubt */

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void count_sent(struct attempt *attempt)
{
    count(&attempt->pool->counters->sent);
    count(&attempt->upstream->sent);
}

static uint64_t now_ms(const struct attempt *attempt)
{
    return uv_now(attempt->pool->loop);
}

/* `size` random bytes that nobody has seen; valid until the next are drawn. */
static const uint8_t *draw(struct attempt_pool *pool, size_t size)
{
    if (pool->random_left < size) {
        hash_random(pool->random, sizeof(pool->random));
        pool->random_left = sizeof(pool->random);
    }
    pool->random_left -= size;
    return pool->random + pool->random_left;
}

const uint8_t *attempt_question(const struct attempt *attempt)
{
    return attempt->exchange.asked;
}

/* ---- the end ---- */

static void on_closed(uv_handle_t *handle)
{
    struct attempt *attempt = handle->data;
    struct attempt_pool *pool = attempt->pool;

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
    if (attempt->asking) {
        attempt->asking = false;
        connection_cancel(&attempt->ask);
    }
    datagram_close(&attempt->datagram);
    uv_close((uv_handle_t *)&attempt->timer, on_closed);
}

static void fail(struct attempt *attempt, int code, const char *text)
{
    attempt->fault = text;
    attempt->pool->events->error(attempt, code);
}

/* ---- silence ---- */

static void on_overdue(struct attempt *attempt);

static void on_spent(uv_timer_t *timer)
{
    struct attempt *attempt = timer->data;

    attempt->spent = true;
    attempt->pool->events->spent(attempt);
}

/* Is a stream asked for this reason because a datagram is in doubt? */
static bool is_doubt(enum attempt_stream reason)
{
    return reason == ATTEMPT_STREAM_CASE || reason == ATTEMPT_STREAM_COOKIE;
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
    if (attempt->asking && is_doubt(attempt->reason)) {
        on_overdue(attempt);
        return;
    }
    attempt->silent = true;
    (void)uv_timer_start(timer, on_spent, left_ms, 0);
    attempt->pool->events->silent(attempt);
}

/* What goes out now is to be answered. Starting a timer that is not closing cannot fail. */
static void expect_answer(struct attempt *attempt, uint32_t patience_ms)
{
    attempt->sent_ms = now_ms(attempt);
    attempt->sent_us = uv_hrtime() / 1000;
    attempt->patience_ms = patience_ms;
    attempt->settled = false;
    attempt->silent = false;
    attempt->spent = false;
    (void)uv_timer_start(&attempt->timer, on_silent, patience_ms, 0);
}

/* ---- the words ---- */

static const struct habits *cookies_of(struct attempt *attempt)
{
    struct habits *habits = &attempt->upstream->habits;

    if (!habits_has(habits, HABITS_COOKIES, now_ms(attempt))) {
        return NULL;
    }
    if (habits_cookie_due(habits, now_ms(attempt))) {
        habits_draw_cookie(habits, draw(attempt->pool, HABITS_CLIENT_COOKIE), now_ms(attempt));
    }
    return habits;
}

/* With all that makes a reply hard to forge, as far as the upstream bears it. */
static void write_datagram(struct attempt *attempt)
{
    const struct habits *habits = &attempt->upstream->habits;
    struct exchange_manner manner = {
        .id = wire_get16(draw(attempt->pool, 2)),
        .edns = !attempt->plain && habits_speaks_edns(habits, now_ms(attempt)),
        .cookies = attempt->cookieless ? NULL : cookies_of(attempt),
    };

    if (habits_has(habits, HABITS_CASE, now_ms(attempt))) {
        manner.letters = draw(attempt->pool, EXCHANGE_LETTERS(attempt->question_length));
    }
    exchange_write(&attempt->exchange, &manner);
}

/*
 * A stream cannot be forged, and draws an id of its own. A socket that is still
 * open beside it listens for this one, which nobody has seen.
 */
static void write_streamed(struct attempt *attempt)
{
    struct exchange_manner manner = {
        .id = wire_get16(draw(attempt->pool, 2)),
        .edns = !attempt->plain && habits_speaks_edns(&attempt->upstream->habits, now_ms(attempt)),
    };

    exchange_write(&attempt->exchange, &manner);
}

/* ---- replies ---- */

/* The owner sees the question in the client's letters, and so all names that point into it. */
static void deliver(struct attempt *attempt, uint8_t *message, size_t length,
                    const struct exchange_reply *reply)
{
    if (reply->has_question) {
        memcpy(message + WIRE_QUESTION, attempt->exchange.asked, attempt->question_length);
    }
    attempt->pool->events->reply(attempt, message, length, reply->answers_at);
}

static void learn_cookie(struct attempt *attempt, const struct exchange_reply *reply)
{
    const struct exchange *exchange = &attempt->exchange;

    if (reply->cookie == EXCHANGE_OUR_COOKIE) {
        habits_cookie_came(&attempt->upstream->habits, exchange->query + exchange->cookie_at,
                           reply->server_cookie, reply->server_cookie_length);
    }
}

static void learn_edns(struct attempt *attempt, const struct exchange_reply *reply)
{
    struct habits *habits = &attempt->upstream->habits;

    if (reply->has_opt) {
        habits_edns_came(habits);
    }
    if (exchange_is_answered(reply)) {
        if (attempt->plain) {
            habits_edns_refused(habits, now_ms(attempt));
        } else if (attempt->cookieless) {
            habits_cookies_refused(habits, now_ms(attempt));
        }
    }
}

/* ---- streams ---- */

static void doubt_remains(struct attempt *attempt);

/* What the answer over TCP lacks too, the upstream does not have. */
static void learn_from_stream(struct attempt *attempt, const struct exchange_reply *reply)
{
    const struct exchange *exchange = &attempt->exchange;
    struct habits *habits = &attempt->upstream->habits;

    if (!exchange_is_answered(reply)) {
        return;
    }
    learn_edns(attempt, reply);
    learn_cookie(attempt, reply);
    if (exchange->mixed && reply->other_letters) {
        habits_lost(habits, HABITS_CASE, now_ms(attempt));
    }
    if (exchange->cookie_at != 0 && attempt->reason == ATTEMPT_STREAM_COOKIE &&
        reply->cookie != EXCHANGE_OUR_COOKIE) {
        habits_lost(habits, HABITS_COOKIES, now_ms(attempt));
    }
}

/* The stream is of no use: what does that mean for the attempt? */
static void stream_failed(struct attempt *attempt, int code, const char *text)
{
    if (is_doubt(attempt->reason) && !error_is_ours(code)) {
        attempt->unstreamable = true;
        doubt_remains(attempt);
        return;
    }
    attempt->stream = true;
    fail(attempt, code, text);
}

static void on_stream_failed(struct connection_ask *ask, int code, const char *text)
{
    struct attempt *attempt = ask->user;

    attempt->asking = false;
    stream_failed(attempt, code, text);
}

/* Put the words as they are to the upstream over a stream. */
static int ask_stream(struct attempt *attempt, enum attempt_stream reason, const char **out_text)
{
    struct connection_ask *ask = &attempt->ask;

    memcpy(attempt->streamed, attempt->exchange.query, attempt->exchange.length);
    ask->message = attempt->streamed;
    ask->length = attempt->exchange.length;
    attempt->reason = reason;
    expect_answer(attempt, is_doubt(reason) ? DOUBT_MS : upstream_silent_ms(attempt->upstream));
    int code =
        connection_ask(attempt->pool->connections, &attempt->upstream->target, ask, out_text);
    attempt->asking = code == 0;
    return code;
}

static void turn_to_stream(struct attempt *attempt, enum attempt_stream reason)
{
    const char *text = NULL;
    int code = ask_stream(attempt, reason, &text);

    if (code < 0) {
        stream_failed(attempt, code, text);
    } else {
        count_sent(attempt);
    }
}

/* Without EDNS then. */
static void ask_stream_plainly(struct attempt *attempt)
{
    attempt->plain = true;
    write_streamed(attempt);
    turn_to_stream(attempt, attempt->reason);
}

static bool on_stream_answered(struct connection_ask *ask, const uint8_t *message, size_t length)
{
    struct attempt *attempt = ask->user;
    struct exchange_reply reply;
    uint16_t id = wire_get16(attempt->streamed);

    if (!exchange_read(&attempt->exchange, id, message, length, &reply)) {
        count(&attempt->pool->counters->mismatched);
        return false;
    }
    attempt->asking = false;
    if (exchange_refuses_edns(&attempt->exchange, &reply) && !attempt->plain) {
        ask_stream_plainly(attempt);
        return true;
    }
    learn_from_stream(attempt, &reply);
    attempt->stream = true;
    memcpy(attempt->pool->buffer, message, length);
    deliver(attempt, attempt->pool->buffer, length, &reply);
    return true;
}

/* ---- UDP ---- */

static int send_datagram(struct attempt *attempt)
{
    uint64_t sent_us = uv_hrtime() / 1000; /* on this machine the answer may be here at once */
    int code = datagram_send(&attempt->datagram, attempt->exchange.query, attempt->exchange.length);

    if (code < 0) {
        return code;
    }
    expect_answer(attempt, upstream_silent_ms(attempt->upstream));
    attempt->sent_us = sent_us;
    return 0;
}

/* The port is of the kernel's choosing, which is a random one. */
static int start_datagram(struct attempt *attempt)
{
    const struct connection_target *target = &attempt->upstream->target;

    int code = datagram_open(&attempt->datagram, attempt->pool->datagrams, &target->address,
                             target->has_source ? &target->source : NULL);
    if (code < 0) {
        return code;
    }
    write_datagram(attempt);
    return send_datagram(attempt);
}

/* In other words, with another id: what comes for the last ones is a stranger's. */
static void send_again(struct attempt *attempt)
{
    write_datagram(attempt);
    int code = send_datagram(attempt);
    if (code < 0) {
        fail(attempt, code, NULL);
    } else {
        count_sent(attempt);
    }
}

/* The same from another port: two replies that lack the same are no chance hit. */
static void start_afresh(struct attempt *attempt)
{
    attempt->fresh = true;
    datagram_close(&attempt->datagram);
    int code = start_datagram(attempt);
    if (code < 0) {
        fail(attempt, code, NULL);
    } else {
        count_sent(attempt);
    }
}

/* TCP did not tell what a datagram left in doubt. */
static void doubt_remains(struct attempt *attempt)
{
    enum habits_protection protection =
        attempt->reason == ATTEMPT_STREAM_CASE ? HABITS_CASE : HABITS_COOKIES;

    if (habits_doubted(&attempt->upstream->habits, protection, now_ms(attempt))) {
        send_again(attempt);
    } else if (!attempt->fresh) {
        start_afresh(attempt);
    } else if (!uv_is_active((uv_handle_t *)&attempt->timer)) {
        /* others have shown meanwhile that the protection is there: this one is silent */
        (void)uv_timer_start(&attempt->timer, on_silent, 1, 0);
    }
}

/* The stream that was to clear up a doubt is silent. */
static void on_overdue(struct attempt *attempt)
{
    attempt->asking = false;
    connection_cancel(&attempt->ask);
    stream_failed(attempt, -ETIMEDOUT, NULL);
}

static void doubt(struct attempt *attempt, enum attempt_stream reason)
{
    if (attempt->unstreamable) {
        attempt->reason = reason;
        doubt_remains(attempt);
    } else {
        turn_to_stream(attempt, reason);
    }
}

static void retry_cookie(struct attempt *attempt)
{
    if (attempt->cookie_tried) {
        turn_to_stream(attempt, ATTEMPT_STREAM_BAD_COOKIE);
        return;
    }
    attempt->cookie_tried = true;
    send_again(attempt);
}

/* What the datagram says is not the answer: what is to be done? */
static void act(struct attempt *attempt, enum exchange_verdict verdict,
                const struct exchange_reply *reply)
{
    switch (verdict) {
    case EXCHANGE_DOUBT_CASE:
        doubt(attempt, ATTEMPT_STREAM_CASE);
        break;
    case EXCHANGE_DOUBT_COOKIE:
        doubt(attempt, ATTEMPT_STREAM_COOKIE);
        break;
    case EXCHANGE_BAD_COOKIE:
        learn_cookie(attempt, reply);
        retry_cookie(attempt);
        break;
    case EXCHANGE_COOKIE_REFUSED:
        attempt->cookieless = true;
        send_again(attempt);
        break;
    case EXCHANGE_EDNS_REFUSED:
        attempt->plain = true;
        send_again(attempt);
        break;
    case EXCHANGE_TAKE:
        break;
    }
}

static void take(struct attempt *attempt, uint8_t *message, size_t length,
                 const struct exchange_reply *reply)
{
    if (attempt->exchange.mixed && reply->has_question) {
        habits_kept(&attempt->upstream->habits, HABITS_CASE);
    }
    learn_cookie(attempt, reply);
    learn_edns(attempt, reply);
    deliver(attempt, message, length, reply);
}

static struct attempt *attempt_of(struct datagram *datagram)
{
    return (struct attempt *)((char *)datagram - offsetof(struct attempt, datagram));
}

static void on_datagram(struct datagram *datagram, uint8_t *message, size_t length)
{
    struct attempt *attempt = attempt_of(datagram);
    struct exchange_reply reply;
    uint16_t id = wire_get16(attempt->exchange.query);

    if (!exchange_read(&attempt->exchange, id, message, length, &reply)) {
        count(&attempt->pool->counters->mismatched);
        return;
    }
    enum exchange_verdict verdict =
        exchange_judge(&attempt->exchange, &reply, &attempt->upstream->habits);
    if (verdict == EXCHANGE_TAKE) {
        take(attempt, message, length, &reply);
        return;
    }
    if (verdict == EXCHANGE_DOUBT_CASE || verdict == EXCHANGE_DOUBT_COOKIE) {
        count(&attempt->pool->counters->mismatched);
    }
    if (!attempt->asking) { /* else the stream will tell */
        act(attempt, verdict, &reply);
    }
}

static void on_datagram_failed(struct datagram *datagram, int code)
{
    struct attempt *attempt = attempt_of(datagram);

    fail(attempt, code, NULL);
}

/* ---- the pool ---- */

static void on_part_closed(void *user)
{
    struct attempt_pool *pool = user;

    pool->alive--;
    pool->events->released(pool->user);
}

int attempt_pool_open(struct attempt_pool *pool)
{
    static const struct datagram_events events = {
        .arrived = on_datagram,
        .failed = on_datagram_failed,
    };

    pool->datagrams = datagram_set_new(pool->loop, pool->buffer, WIRE_MESSAGE_MAX, &events);
    if (pool->datagrams == NULL) {
        return -ENOMEM;
    }
    pool->connections = connection_set_new(pool->loop);
    if (pool->connections == NULL) {
        datagram_set_close(pool->datagrams, NULL, NULL);
        return -ENOMEM;
    }
    pool->alive += 2;
    return 0;
}

void attempt_pool_close(struct attempt_pool *pool)
{
    datagram_set_close(pool->datagrams, on_part_closed, pool);
    connection_set_close(pool->connections, on_part_closed, pool);
}

/* ---- the beginning ---- */

static struct attempt *attempt_new(struct attempt_pool *pool, struct upstream *upstream,
                                   const struct forward_question *question)
{
    struct attempt *attempt = calloc(1, sizeof(*attempt));

    if (attempt == NULL) {
        return NULL;
    }
    attempt->pool = pool;
    attempt->upstream = upstream;
    attempt->sent_ms = uv_now(pool->loop);
    attempt->dnssec_ok = question->dnssec_ok;
    attempt->question_length = (uint16_t)(question->name_length + 4u);
    attempt->datagram.fd = -1;
    attempt->ask.answered = on_stream_answered;
    attempt->ask.failed = on_stream_failed;
    attempt->ask.user = attempt;
    exchange_init(&attempt->exchange, question);
    (void)uv_timer_init(pool->loop, &attempt->timer);
    attempt->timer.data = attempt;
    pool->open++;
    pool->alive++;
    return attempt;
}

int attempt_open(struct attempt_pool *pool, struct upstream *upstream, bool stream,
                 const struct forward_question *question, struct attempt **out)
{
    int code;

    if (pool->open >= pool->most) {
        return -EMFILE;
    }
    struct attempt *attempt = attempt_new(pool, upstream, question);
    if (attempt == NULL) {
        return -ENOMEM;
    }
    attempt->stream = stream || upstream->stream_only;
    if (attempt->stream) {
        write_streamed(attempt);
        code = ask_stream(attempt, ATTEMPT_STREAM_ASKED, &attempt->fault);
    } else {
        code = start_datagram(attempt);
    }
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
    if (attempt->stream || attempt->asking) {
        return 0;
    }
    int code = send_datagram(attempt);
    if (code == 0) {
        count_sent(attempt);
    }
    return code;
}
