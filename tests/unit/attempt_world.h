#pragma once
/*
 * attempt_world - attempts at one upstream that mixes up what a test wants mixed up
 *
 * The upstream's sockets, of loopback and on a port of the kernel's choosing,
 * the attempts and who owns them are all on one loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "resolver/forward/attempt.h"
#include "resolver/forward/upstream.h"
#include "tests/unit/patient_clock.h"
#include "zones/wire.h"

#define GUARD_MS  60000 /* a run that takes longer hangs */
#define QUERY_MAX 512

static const char name[] = "\3wWw\11somewhere\7eXample\3com";
#define NAME_BYTES ((uint8_t)sizeof(name))

/* ---- an upstream ---- */

enum cookies {
    NONE,
    GOOD,
    FOREIGN,    /* another's client cookie */
    BAD_ONCE,   /* BADCOOKIE until the server cookie is right */
    BAD_ALWAYS, /* over UDP */
};

struct stub {
    /* behaviour */
    bool folds;        /* the question's letters, over UDP */
    bool folds_stream; /* and over TCP */
    bool forged_first; /* a folded one goes before the right one */
    bool hangs;        /* nothing comes over TCP */
    bool no_edns;      /* FORMERR without OPT to EDNS, NOTIMP over TCP */
    bool no_question;  /* in that reply */
    bool plain_stream; /* FORMERR to EDNS over TCP; a forger who sees that is quick */
    bool badvers;
    bool no_options; /* FORMERR, with OPT, to a query with an option */
    bool lasting;    /* nothing comes over UDP */
    enum cookies cookies;
    enum cookies stream_cookies;

    /* what came */
    unsigned datagrams;
    unsigned streamed;
    uint8_t query[QUERY_MAX]; /* the last */
    size_t length;
    uint8_t before[QUERY_MAX]; /* the one before */
    struct sockaddr_in from;
    unsigned ports; /* times that it came from another port than the one before */
    unsigned ids;   /* and with another id */

    struct addr address;
    int fd;
    uv_poll_t poll;
    uv_tcp_t listener;
    bool listening;
};

struct client {
    uv_tcp_t tcp;
    uv_write_t write;
    struct stub *stub;
    uint8_t bytes[QUERY_MAX];
    size_t got;
    uint8_t answer[QUERY_MAX];
    struct client *next;
};

static uv_loop_t loop;
static struct stub stub;
static struct client *clients;
static struct upstream upstream;
static struct forward_counters counters;
static struct attempt_pool pool;
static uint8_t buffer[WIRE_MESSAGE_MAX];
static const uint8_t secret[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

static inline bool has_opt(const uint8_t *query)
{
    return wire_get16(query + 10) == 1;
}

static inline size_t question_end(void)
{
    return WIRE_QUESTION + NAME_BYTES + 4u;
}

/* The cookie option of the query, or NULL: it is the only one. */
static inline const uint8_t *cookie_of(const uint8_t *query, size_t length)
{
    size_t at = question_end() + WIRE_OPT_BYTES;

    return has_opt(query) && length > at ? query + at + 4 : NULL;
}

static inline bool has_server_cookie(const uint8_t *query, size_t length)
{
    const uint8_t *cookie = cookie_of(query, length);

    return cookie != NULL && wire_get16(cookie - 2) == 16 && memcmp(cookie + 8, secret, 8) == 0;
}

/* Behind the message: OPT with what the upstream does about cookies. */
static inline size_t put_opt(uint8_t *out, const uint8_t *query, size_t length,
                             enum cookies cookies, uint8_t rcode_high)
{
    const uint8_t *cookie = cookie_of(query, length);

    wire_put_opt(out, false, rcode_high);
    if (cookie == NULL || cookies == NONE) {
        return WIRE_OPT_BYTES;
    }
    wire_put16(out + 9, 20);
    wire_put16(out + 11, 10);
    wire_put16(out + 13, 16);
    memcpy(out + 15, cookie, 8);
    if (cookies == FOREIGN) {
        out[15] ^= 1;
    }
    memcpy(out + 23, secret, 8);
    return WIRE_OPT_BYTES + 20u;
}

/* The reply to the query, one address. */
static inline size_t make_reply(const uint8_t *query, size_t length, bool folds,
                                enum cookies cookies, uint8_t *out)
{
    static const uint8_t record[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1 };
    size_t at = question_end();
    unsigned rcode = WIRE_NOERROR, rcode_high = 0;
    bool bad_cookie =
        (cookies == BAD_ONCE && !has_server_cookie(query, length)) || cookies == BAD_ALWAYS;

    memcpy(out, query, at);
    memset(out + 6, 0, 6);
    if (folds) {
        name_fold(query + WIRE_QUESTION, NAME_BYTES, out + WIRE_QUESTION);
    }
    if (stub.no_edns && has_opt(query)) {
        rcode = WIRE_FORMERR;
        if (stub.no_question) {
            wire_put16(out + 4, 0);
            at = WIRE_HEADER_BYTES;
        }
    } else if (stub.no_options && cookie_of(query, length) != NULL) {
        rcode = WIRE_FORMERR;
    } else if (stub.badvers && has_opt(query)) {
        rcode_high = 1;
    } else if (bad_cookie) {
        rcode = 23 & 15;
        rcode_high = 23 >> 4;
    } else {
        wire_put16(out + 6, 1);
        memcpy(out + at, record, sizeof(record));
        at += sizeof(record);
    }
    wire_put16(out + 2, (uint16_t)(WIRE_QR | WIRE_RA | WIRE_RD | rcode));
    if (has_opt(query) && !stub.no_edns) {
        wire_put16(out + 10, 1);
        at +=
            put_opt(out + at, query, length, stub.no_options ? NONE : cookies, (uint8_t)rcode_high);
    }
    return at;
}

static inline void note(const uint8_t *query, size_t length)
{
    memcpy(stub.before, stub.query, sizeof(stub.before));
    memcpy(stub.query, query, length);
    stub.length = length;
}

static inline void on_query(uv_poll_t *poll, int status, int events)
{
    struct sockaddr_in from;
    socklen_t size = sizeof(from);
    uint8_t query[QUERY_MAX], out[QUERY_MAX];

    (void)poll;
    (void)status;
    (void)events;
    ssize_t got =
        recvfrom(stub.fd, query, sizeof(query), MSG_DONTWAIT, (struct sockaddr *)&from, &size);
    if (got < 0) {
        return;
    }
    stub.datagrams++;
    stub.ports += stub.from.sin_port != from.sin_port;
    stub.ids += stub.datagrams == 1 || memcmp(stub.query, query, 2) != 0;
    stub.from = from;
    note(query, (size_t)got);
    if (stub.lasting) {
        return;
    }
    if (stub.forged_first) {
        size_t length = make_reply(query, (size_t)got, true, FOREIGN, out);
        (void)sendto(stub.fd, out, length, 0, (struct sockaddr *)&from, sizeof(from));
    }
    size_t length = make_reply(query, (size_t)got, stub.folds, stub.cookies, out);
    (void)sendto(stub.fd, out, length, 0, (struct sockaddr *)&from, sizeof(from));
}

static inline void client_closed(uv_handle_t *handle)
{
    struct client *client = handle->data;

    for (struct client **at = &clients; *at != NULL; at = &(*at)->next) {
        if (*at == client) {
            *at = client->next;
            break;
        }
    }
    free(client);
}

static inline void client_close(struct client *client)
{
    if (!uv_is_closing((uv_handle_t *)&client->tcp)) {
        uv_close((uv_handle_t *)&client->tcp, client_closed);
    }
}

static inline void client_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct client *client = handle->data;

    (void)suggested;
    *out = uv_buf_init((char *)client->bytes + client->got,
                       (unsigned)(sizeof(client->bytes) - client->got));
}

/* One question at a time is all that is asked here. */
/* What a forger sends who has found the port, but not the id. */
static inline void forge_without_id(const uint8_t *query, size_t length)
{
    uint8_t out[QUERY_MAX];

    length = make_reply(query, length, false, NONE, out);
    wire_put16(out, 0);
    (void)sendto(stub.fd, out, length, 0, (struct sockaddr *)&stub.from, sizeof(stub.from));
}

/* The answer to a query that came over TCP. */
static inline size_t make_streamed(const uint8_t *query, size_t length, uint8_t *out)
{
    bool no_edns = stub.no_edns;

    if (stub.plain_stream && !has_opt(query)) {
        forge_without_id(query, length);
    }
    stub.no_edns = no_edns || stub.plain_stream;
    length = make_reply(query, length, stub.folds_stream, stub.stream_cookies, out);
    stub.no_edns = no_edns;
    return length;
}

static inline void client_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *out)
{
    struct client *client = stream->data;

    (void)out;
    if (got < 0) {
        client_close(client);
        return;
    }
    client->got += (size_t)got;
    if (client->got < 2 || client->got < 2u + wire_get16(client->bytes)) {
        return;
    }
    size_t length = wire_get16(client->bytes);
    client->got = 0;
    stub.streamed++;
    note(client->bytes + 2, length);
    if (stub.hangs) {
        return;
    }
    length = make_streamed(client->bytes + 2, length, client->answer + 2);
    wire_put16(client->answer, (uint16_t)length);
    uv_buf_t reply = uv_buf_init((char *)client->answer, (unsigned)length + 2);
    assert_int_equal(uv_write(&client->write, stream, &reply, 1, NULL), 0);
}

static inline void on_connection(uv_stream_t *listener, int status)
{
    struct client *client = calloc(1, sizeof(*client));

    assert_int_equal(status, 0);
    assert_non_null(client);
    uv_tcp_init(&loop, &client->tcp);
    client->tcp.data = client;
    client->next = clients;
    clients = client;
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&client->tcp), 0);
    uv_read_start((uv_stream_t *)&client->tcp, client_alloc, client_read);
}

/* TCP beside UDP, on the same port. False when somebody has that. */
static inline bool open_sockets(bool listening)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof(address);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    stub.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(stub.fd >= 0);
    assert_int_equal(bind(stub.fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(stub.fd, (struct sockaddr *)&address, &size), 0);
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(tcp >= 0);
    if (bind(tcp, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(tcp);
        close(stub.fd);
        return false;
    }
    uv_tcp_init(&loop, &stub.listener);
    assert_int_equal(uv_tcp_open(&stub.listener, tcp), 0);
    if (listening) {
        assert_int_equal(uv_listen((uv_stream_t *)&stub.listener, 16, on_connection), 0);
    } /* else it keeps the port, and refuses */
    assert_true(addr_from_sockaddr((struct sockaddr *)&address, &stub.address));
    return true;
}

static inline void open_stub(bool listening)
{
    for (unsigned tries = 0; !open_sockets(listening); tries++) {
        assert_true(tries < 100);
    }
    uv_poll_init(&loop, &stub.poll, stub.fd);
    uv_poll_start(&stub.poll, UV_READABLE, on_query);
    upstream = (struct upstream){ .address = stub.address };
    upstream.target.address = stub.address;
}

/* ---- the owner ---- */

struct told {
    unsigned replies;
    unsigned errors;
    unsigned silent;
    int code;
    bool stream;
    unsigned rcode;
    unsigned answers;
    uint8_t message[QUERY_MAX];
    size_t length;
    struct attempt *attempt;
};

static unsigned released;

static inline void on_reply(struct attempt *attempt, const uint8_t *message, size_t length,
                            size_t answers_at)
{
    struct told *told = attempt->owner;

    told->replies++;
    told->stream = attempt->stream;
    told->rcode = wire_get16(message + 2) & WIRE_RCODE;
    told->answers = wire_get16(message + 6);
    told->length = length;
    assert_true(length <= sizeof(told->message));
    assert_true(answers_at <= length);
    memcpy(told->message, message, length);
    attempt_close(attempt);
}

static inline void on_error(struct attempt *attempt, int code)
{
    struct told *told = attempt->owner;

    told->errors++;
    told->code = code;
    told->stream = attempt->stream;
    attempt_close(attempt);
}

static inline void on_silent(struct attempt *attempt)
{
    struct told *told = attempt->owner;

    told->silent++;
}

static inline void on_spent(struct attempt *attempt)
{
    (void)attempt;
}

static inline void on_released(void *user)
{
    (void)user;
    released++;
}

static inline void on_guard(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("nothing happens any more");
}

static inline void run_until(bool (*holds)(void *user), void *user)
{
    uv_timer_t guard;

    uv_timer_init(&loop, &guard);
    uv_timer_start(&guard, on_guard, GUARD_MS, 0);
    while (!holds(user)) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&guard, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

static inline bool is_over(void *user)
{
    struct told *told = user;

    return told->replies + told->errors > 0;
}

static inline bool is_silent(void *user)
{
    struct told *told = user;

    return told->silent > 0;
}

static inline int begin(struct told *told, bool stream)
{
    struct forward_question question = {
        .name = (const uint8_t *)name,
        .name_length = NAME_BYTES,
        .type = WIRE_A,
        .class = WIRE_IN,
    };

    *told = (struct told){ 0 };
    uv_update_time(&loop);
    int code = attempt_open(&pool, &upstream, stream, &question, &told->attempt);
    if (code == 0) {
        told->attempt->owner = told;
    }
    return code;
}

static inline void ask(struct told *told)
{
    assert_int_equal(begin(told, false), 0);
    run_until(is_over, told);
}

/* It was answered, and what is told is in the letters asked. */
static inline void assert_answered(const struct told *told, bool stream)
{
    assert_int_equal(told->replies, 1);
    assert_int_equal(told->errors, 0);
    assert_int_equal(told->stream, stream);
    assert_int_equal(told->answers, 1);
    assert_memory_equal(told->message + WIRE_QUESTION, name, NAME_BYTES);
}

static inline bool was_mixed(const uint8_t *query)
{
    return memcmp(query + WIRE_QUESTION, name, NAME_BYTES) != 0;
}

static inline bool is_off(enum habits_protection protection)
{
    return !habits_has(&upstream.habits, protection, uv_now(&loop));
}

static inline int set_up(void **state)
{
    static const struct attempt_events events = {
        .reply = on_reply,
        .error = on_error,
        .silent = on_silent,
        .spent = on_spent,
        .released = on_released,
    };

    (void)state;
    memset(&stub, 0, sizeof(stub));
    memset(&counters, 0, sizeof(counters));
    assert_int_equal(uv_loop_init(&loop), 0);
    pool = (struct attempt_pool){
        .loop = &loop,
        .buffer = buffer,
        .events = &events,
        .counters = &counters,
        .most = 10,
    };
    assert_int_equal(attempt_pool_open(&pool), 0);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    uv_close((uv_handle_t *)&stub.poll, NULL);
    uv_close((uv_handle_t *)&stub.listener, NULL);
    for (struct client *client = clients; client != NULL; client = client->next) {
        client_close(client);
    }
    attempt_pool_close(&pool);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(pool.alive, 0);
    assert_int_equal(pool.open, 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    close(stub.fd);
    return 0;
}

#define MISMATCHED (atomic_load(&counters.mismatched))
