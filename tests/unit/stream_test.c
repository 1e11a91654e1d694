/*
 * DNS over TCP on a loop in this thread; the clients are plain sockets that do
 * not block, looked at between two turns of the loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "resolver/publication.h"
#include "resolver/relay.h"
#include "resolver/stream.h"
#include "tests/unit/patient_clock.h"
#include "world.h"

#define PATIENCE_MS 60000u /* a run that takes longer hangs */
#define FOREVER_MS  3600000u
#define KEPT_MAX    256
#define MANY        4000

static const char yaml[] =
    "node: {name: t, region: seoul}\n"
    "listen: [127.0.0.1:5300]\n"
    "regions: {seoul: {minimum_healthy: 0}}\n"
    "services:\n"
    "  api.example.com:\n"
    "    order: [seoul]\n"
    "    minimum_healthy: 1\n"
    "    max_addresses: 32\n"
    "    endpoints: {seoul: [192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4, 192.0.2.5,\n"
    "      192.0.2.6, 192.0.2.7, 192.0.2.8, 192.0.2.9, 192.0.2.10, 192.0.2.11, 192.0.2.12,\n"
    "      192.0.2.13, 192.0.2.14, 192.0.2.15, 192.0.2.16, 192.0.2.17, 192.0.2.18, 192.0.2.19,\n"
    "      192.0.2.20, 192.0.2.21, 192.0.2.22, 192.0.2.23, 192.0.2.24, 192.0.2.25, 192.0.2.26,\n"
    "      192.0.2.27, 192.0.2.28, 192.0.2.29, 192.0.2.30, 192.0.2.31, 192.0.2.32]}\n"
    "forward: {\".\": {upstreams: [127.0.0.1:1]}}\n";

/* A question that was forwarded, kept until the test answers it. */
struct kept {
    struct stream *stream;
    struct handover_question question;
};

struct bench {
    struct world world;
    struct publication publication;
    uv_loop_t loop;
    uv_timer_t tick; /* so that a turn of the loop ends */
    struct stream_set *set;
    int listening;
    struct sockaddr_in address;
    bool at_once; /* answer what is forwarded before forward returns */
    unsigned forwarded;
    struct kept kept[KEPT_MAX];
    size_t kept_count;
    size_t reply_bytes; /* of a reply to what was forwarded; 0: as short as can be */
};

static struct bench *b; /* one at a time */

/* ---- the host ---- */

static void awake(void *user)
{
    (void)user;
}

static void reply(struct stream *stream, const struct handover_question *question)
{
    static uint8_t message[WIRE_MESSAGE_MAX];
    size_t length = relay_put_failure(question, WIRE_NXDOMAIN, NULL, message, sizeof(message));

    if (length < b->reply_bytes) {
        memset(message + length, 0, b->reply_bytes - length);
        length = b->reply_bytes;
    }
    stream_reply(stream, message, length);
}

static void forward(void *user, struct stream *stream, const struct handover_question *question)
{
    (void)user;
    b->forwarded++;
    if (b->at_once) {
        reply(stream, question);
        return;
    }
    assert_true(b->kept_count < KEPT_MAX);
    b->kept[b->kept_count++] = (struct kept){ stream, *question };
}

/* Reply to the oldest `count` of what was forwarded. */
static void reply_to(size_t count)
{
    assert_true(count <= b->kept_count);
    for (size_t i = 0; i < count; i++) {
        struct kept kept = b->kept[0];
        b->kept_count--;
        memmove(b->kept, b->kept + 1, b->kept_count * sizeof(kept));
        reply(kept.stream, &kept.question);
    }
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void begin_at(unsigned connections_max, unsigned idle_ms, uint32_t address)
{
    socklen_t length = sizeof(b->address);

    b = calloc(1, sizeof(*b));
    assert_non_null(b);
    assert_true(world_init(&b->world, yaml));
    publication_init(&b->publication);
    publication_put(&b->publication, b->world.snapshot);
    assert_int_equal(uv_loop_init(&b->loop), 0);
    (void)uv_timer_init(&b->loop, &b->tick);
    (void)uv_timer_start(&b->tick, on_tick, 1, 1);
    const struct stream_host host = {
        .loop = &b->loop,
        .publication = &b->publication,
        .query = &b->world.thread,
        .connections_max = connections_max,
        .idle_ms = idle_ms,
        .awake = awake,
        .forward = forward,
    };
    b->set = stream_set_new(&host);
    assert_non_null(b->set);
    b->address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(address) };
    b->listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(b->listening, (struct sockaddr *)&b->address, length), 0);
    assert_int_equal(listen(b->listening, 64), 0);
    assert_int_equal(getsockname(b->listening, (struct sockaddr *)&b->address, &length), 0);
    assert_int_equal(stream_set_listen(b->set, b->listening), 0);
}

static void begin(unsigned connections_max, unsigned idle_ms)
{
    begin_at(connections_max, idle_ms, INADDR_LOOPBACK);
}

static void turn(void)
{
    (void)uv_run(&b->loop, UV_RUN_ONCE);
}

static void end(void)
{
    stream_set_close(b->set);
    reply_to(b->kept_count);
    uv_close((uv_handle_t *)&b->tick, NULL);
    assert_int_equal(uv_run(&b->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    close(b->listening);
    assert_ptr_equal(publication_stop(&b->publication), b->world.snapshot);
    publication_fini(&b->publication);
    world_fini(&b->world);
    free(b);
    b = NULL;
}

/* ---- clients ---- */

struct client {
    int fd;
    uint8_t bytes[256 * 1024]; /* received, not looked at yet */
    size_t used;
    bool closed; /* by the server */
};

static struct client clients[8];

/* A client; when `small` the kernel holds little between it and the server. */
static struct client *connect_client(unsigned index, bool small)
{
    struct client *c = &clients[index];
    int size = 2048;

    *c = (struct client){ .fd = socket(AF_INET, SOCK_STREAM, 0) };
    assert_true(c->fd >= 0);
    if (small) {
        assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
        assert_int_equal(setsockopt(b->listening, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
        assert_int_equal(setsockopt(b->listening, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
    }
    struct sockaddr_in to = b->address;
    if (to.sin_addr.s_addr == htonl(INADDR_ANY)) {
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof(to)), 0);
    int one = 1;
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return c;
}

static void send_bytes(struct client *c, const void *bytes, size_t size)
{
    assert_int_equal(send(c->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT), (ssize_t)size);
}

/* A framed query with this id into `out`; returns its length. */
static size_t put_query(uint8_t *out, uint16_t id, const char *name)
{
    uint8_t dname[NAME_MAX_BYTES];
    struct error err;

    assert_true(name_parse(name, dname, &err) >= 0);
    size_t length = wire_query_build(out + 2, id, WIRE_RD, dname, WIRE_A, WIRE_IN, 0, false);
    wire_put16(out, (uint16_t)length);
    return 2 + length;
}

static void ask(struct client *c, uint16_t id, const char *name)
{
    uint8_t query[512];

    send_bytes(c, query, put_query(query, id, name));
}

/* Take what has come. */
static void look(struct client *c)
{
    ssize_t got;

    while (c->used < sizeof(c->bytes) && !c->closed) {
        got = recv(c->fd, c->bytes + c->used, sizeof(c->bytes) - c->used, MSG_DONTWAIT);
        if (got > 0) {
            c->used += (size_t)got;
            continue;
        }
        c->closed = got == 0 || errno == ECONNRESET;
        return;
    }
}

/* The next whole message that has come, its id; -1: none yet. */
static int take_message(struct client *c, unsigned *out_rcode, unsigned *out_answers)
{
    look(c);
    if (c->used < 2 || c->used < 2u + wire_get16(c->bytes)) {
        return -1;
    }
    size_t length = wire_get16(c->bytes);
    const uint8_t *message = c->bytes + 2;
    int id = wire_get16(message);
    *out_rcode = message[3] & WIRE_RCODE;
    *out_answers = wire_get16(message + 6);
    assert_int_equal(wire_get16(message + 2) & (WIRE_QR | WIRE_TC), WIRE_QR);
    c->used -= 2 + length;
    memmove(c->bytes, c->bytes + 2 + length, c->used);
    return id;
}

/* The next message, waited for. */
static void expect(struct client *c, uint16_t id, unsigned rcode, unsigned answers)
{
    uint64_t until = clock_now_ms() + PATIENCE_MS;
    unsigned got_rcode = 99, got_answers = 99;
    int got;

    while ((got = take_message(c, &got_rcode, &got_answers)) < 0 && clock_now_ms() < until) {
        assert_false(c->closed);
        turn();
    }
    assert_int_equal(got, id);
    assert_int_equal(got_rcode, rcode);
    assert_int_equal(got_answers, answers);
}

static void expect_closed(struct client *c)
{
    uint64_t until = clock_now_ms() + PATIENCE_MS;

    while (!c->closed && clock_now_ms() < until) {
        turn();
        look(c);
    }
    assert_true(c->closed);
    assert_int_equal(c->used, 0);
}

static void turn_until_forwarded(unsigned count)
{
    uint64_t until = clock_now_ms() + PATIENCE_MS;

    while (b->forwarded < count && clock_now_ms() < until) {
        turn();
    }
    assert_int_equal(b->forwarded, count);
}

static void turn_until_count(unsigned count)
{
    uint64_t until = clock_now_ms() + PATIENCE_MS;

    while (stream_set_count(b->set) != count && clock_now_ms() < until) {
        turn();
    }
    assert_int_equal(stream_set_count(b->set), count);
}

static void leave(struct client *c)
{
    close(c->fd);
    c->fd = -1;
}

/* ---- messages and frames ---- */

static void several_queries_at_once_are_all_answered(void **state)
{
    uint8_t queries[4096];
    size_t length = 0;
    (void)state;

    begin(8, FOREVER_MS);
    struct client *c = connect_client(0, false);
    for (uint16_t i = 0; i < 50; i++) {
        length += put_query(queries + length, i, i % 2 == 0 ? "api.example.com" : "example.com");
    }
    send_bytes(c, queries, length);
    /* those of others are forwarded, so ours come first */
    for (uint16_t i = 0; i < 50; i += 2) {
        expect(c, i, WIRE_NOERROR, 32);
    }
    assert_int_equal(b->forwarded, 25);
    reply_to(25);
    for (uint16_t i = 1; i < 50; i += 2) {
        expect(c, i, WIRE_NXDOMAIN, 0);
    }
    assert_int_equal(stream_set_count(b->set), 1);
    leave(c);
    end();
}

static void a_query_may_come_byte_by_byte(void **state)
{
    uint8_t query[512];
    (void)state;

    begin(8, FOREVER_MS);
    struct client *c = connect_client(0, false);
    size_t length = put_query(query, 7, "api.example.com");
    for (size_t i = 0; i < length; i++) {
        send_bytes(c, query + i, 1);
        turn();
    }
    expect(c, 7, WIRE_NOERROR, 32);
    /* and one and a half at once */
    length = put_query(query, 8, "api.example.com");
    length += put_query(query + length, 9, "api.example.com");
    send_bytes(c, query, length - 20);
    expect(c, 8, WIRE_NOERROR, 32);
    send_bytes(c, query + length - 20, 20);
    expect(c, 9, WIRE_NOERROR, 32);
    leave(c);
    end();
}

static void who_has_finished_sending_gets_all_answers_then_the_end(void **state)
{
    (void)state;

    begin(8, FOREVER_MS);
    struct client *c = connect_client(0, false);
    ask(c, 1, "api.example.com");
    ask(c, 2, "www.example.org");
    ask(c, 3, "www.example.net");
    send_bytes(c, "\0", 1); /* and half a frame that never ends */
    assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
    expect(c, 1, WIRE_NOERROR, 32);
    turn_until_forwarded(2);
    reply_to(1);
    expect(c, 2, WIRE_NXDOMAIN, 0);
    turn();
    assert_int_equal(stream_set_count(b->set), 1);
    reply_to(1);
    expect(c, 3, WIRE_NXDOMAIN, 0);
    expect_closed(c);
    leave(c);
    end();
}

static void what_is_no_query_ends_the_connection(void **state)
{
    uint8_t query[512];
    (void)state;

    begin(8, FOREVER_MS);
    size_t length = put_query(query, 1, "api.example.com");
    static const uint8_t beginnings[][2] = {
        { 0, 0 },  /* an empty message */
        { 0, 11 }, /* no header */
        { 16, 1 }, /* 4097: longer than any query */
        { 255, 255 },
    };
    for (size_t i = 0; i < 4; i++) {
        struct client *c = connect_client(0, false);
        send_bytes(c, query, length); /* a good one before it is answered */
        expect(c, 1, WIRE_NOERROR, 32);
        send_bytes(c, beginnings[i], 2);
        expect_closed(c);
        leave(c);
    }
    struct client *c = connect_client(0, false);
    query[4] |= 0x80; /* a response */
    send_bytes(c, query, length);
    expect_closed(c);
    leave(c);
    turn_until_count(0);
    end();
}

static void a_broken_query_is_answered_and_the_next_one_too(void **state)
{
    uint8_t query[512];
    (void)state;

    begin(8, FOREVER_MS);
    struct client *c = connect_client(0, false);
    size_t length = put_query(query, 5, "api.example.com");
    wire_put16(query, (uint16_t)(length - 2 - 3)); /* cut within the question */
    send_bytes(c, query, length - 3);
    expect(c, 5, WIRE_FORMERR, 0);
    ask(c, 6, "api.example.com");
    expect(c, 6, WIRE_NOERROR, 32);
    leave(c);
    end();
}

/* ---- what is asked elsewhere ---- */

static void an_answer_to_who_has_left_is_dropped(void **state)
{
    (void)state;

    begin(8, FOREVER_MS);
    struct client *c = connect_client(0, false);
    ask(c, 1, "www.example.org");
    ask(c, 2, "www.example.net");
    turn_until_forwarded(2);
    const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    leave(c);
    turn_until_count(0);
    reply_to(1);
    turn();
    reply_to(1);
    end();
}

static void an_answer_at_once_is_sent_once(void **state)
{
    uint8_t queries[4096];
    size_t length = 0;
    (void)state;

    begin(8, FOREVER_MS);
    b->at_once = true;
    struct client *c = connect_client(0, false);
    for (uint16_t i = 0; i < 80; i++) {
        length += put_query(queries + length, i, "www.example.org");
    }
    send_bytes(c, queries, length);
    for (uint16_t i = 0; i < 80; i++) {
        expect(c, i, WIRE_NXDOMAIN, 0);
    }
    assert_int_equal(b->forwarded, 80);
    ask(c, 1000, "api.example.com");
    expect(c, 1000, WIRE_NOERROR, 32);
    leave(c);
    end();
}

static void an_answer_at_once_may_end_the_connection(void **state)
{
    (void)state;

    begin(8, FOREVER_MS);
    b->at_once = true;
    struct client *c = connect_client(0, false);
    ask(c, 1, "www.example.org");
    ask(c, 2, "www.example.org");
    assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
    expect(c, 1, WIRE_NXDOMAIN, 0);
    expect(c, 2, WIRE_NXDOMAIN, 0);
    expect_closed(c);
    leave(c);
    end();
}

static void only_so_many_are_asked_elsewhere_at_a_time(void **state)
{
    uint8_t queries[8192];
    size_t length = 0;
    (void)state;

    begin(8, FOREVER_MS);
    struct client *c = connect_client(0, false);
    for (uint16_t i = 0; i < 100; i++) {
        length += put_query(queries + length, i, "www.example.org");
    }
    send_bytes(c, queries, length);
    assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
    turn_until_forwarded(STREAM_PIPELINE_MAX);
    for (unsigned i = 0; i < 20; i++) {
        turn();
    }
    assert_int_equal(b->forwarded, STREAM_PIPELINE_MAX);
    for (uint16_t i = 0; i < 100; i++) {
        turn_until_forwarded(i + STREAM_PIPELINE_MAX < 100 ? i + STREAM_PIPELINE_MAX : 100);
        reply_to(1);
        expect(c, i, WIRE_NXDOMAIN, 0);
    }
    expect_closed(c);
    leave(c);
    end();
}

static void recursion_is_decided_by_the_address_connected_to(void **state)
{
    (void)state;

    begin_at(8, FOREVER_MS, INADDR_ANY);
    struct client *c = connect_client(0, false);
    ask(c, 1, "www.example.org");
    turn_until_forwarded(1);
    reply_to(1);
    expect(c, 1, WIRE_NXDOMAIN, 0);
    leave(c);
    end();
}

/* ---- limits ---- */

static void an_idle_connection_is_closed(void **state)
{
    (void)state;

    begin(8, 50);
    struct client *silent = connect_client(0, false);
    struct client *half = connect_client(1, false);
    struct client *waiting = connect_client(2, false);
    ask(waiting, 1, "www.example.org");
    send_bytes(half, "\0\100half a query", 14);
    turn_until_forwarded(1);
    expect_closed(silent);
    expect_closed(half);
    /* who waits for an answer is not idle */
    uint64_t until = clock_now_ms() + 150;
    while (clock_now_ms() < until) {
        turn();
    }
    look(waiting);
    assert_false(waiting->closed);
    reply_to(1);
    expect(waiting, 1, WIRE_NXDOMAIN, 0);
    expect_closed(waiting);
    leave(silent);
    leave(half);
    leave(waiting);
    end();
}

static void the_one_idle_longest_makes_room(void **state)
{
    (void)state;

    begin(3, FOREVER_MS);
    struct client *first = connect_client(0, false);
    turn_until_count(1);
    struct client *second = connect_client(1, false);
    turn_until_count(2);
    struct client *third = connect_client(2, false);
    turn_until_count(3);
    ask(first, 1, "api.example.com"); /* so the second is idle longest */
    expect(first, 1, WIRE_NOERROR, 32);
    struct client *fourth = connect_client(3, false);
    expect_closed(second);
    assert_int_equal(stream_set_count(b->set), 3);
    ask(first, 2, "api.example.com");
    ask(third, 3, "api.example.com");
    ask(fourth, 4, "api.example.com");
    expect(first, 2, WIRE_NOERROR, 32);
    expect(third, 3, WIRE_NOERROR, 32);
    expect(fourth, 4, WIRE_NOERROR, 32);
    leave(first);
    leave(second);
    leave(third);
    leave(fourth);
    turn_until_count(0);
    end();
}

/* More queries than the kernel holds, whose answers nobody reads. */
static struct {
    uint8_t bytes[MANY * 64];
    size_t length;
    size_t sent;
} flood;

/* Send of the flood what can be sent now. */
static bool send_flood(struct client *c)
{
    ssize_t sent = send(c->fd, flood.bytes + flood.sent, flood.length - flood.sent,
                        MSG_NOSIGNAL | MSG_DONTWAIT);

    flood.sent += sent > 0 ? (size_t)sent : 0;
    return sent > 0;
}

/* Send until the server takes no more for a while. */
static void flood_until_full(struct client *c)
{
    uint64_t calm_since = clock_now_ms();

    flood.length = 0;
    flood.sent = 0;
    for (uint16_t i = 0; i < MANY; i++) {
        flood.length += put_query(flood.bytes + flood.length, i, "api.example.com");
    }
    while (clock_now_ms() - calm_since < 300) {
        if (send_flood(c)) {
            calm_since = clock_now_ms();
        }
        turn();
    }
}

static void who_reads_slowly_is_served_slowly(void **state)
{
    uint64_t until;
    unsigned rcode, answers;
    (void)state;

    begin(8, FOREVER_MS);
    struct client *c = connect_client(0, true);
    flood_until_full(c);
    /* far from all: what is not read is not answered */
    assert_true(atomic_load(&b->world.counters.by_source[QUERY_SERVICE]) < MANY / 2);
    assert_int_equal(stream_set_count(b->set), 1);
    until = clock_now_ms() + PATIENCE_MS;
    for (int i = 0; i < MANY && clock_now_ms() < until;) {
        if (flood.sent < flood.length) {
            (void)send_flood(c);
        }
        int got = take_message(c, &rcode, &answers);
        if (got < 0) {
            assert_false(c->closed);
            turn();
            continue;
        }
        assert_int_equal(got, i);
        assert_int_equal(answers, 32);
        i++;
    }
    ask(c, 9999, "api.example.com");
    expect(c, 9999, WIRE_NOERROR, 32);
    leave(c);
    end();
}

static void who_does_not_read_at_all_loses_the_connection(void **state)
{
    (void)state;

    begin(8, FOREVER_MS);
    b->reply_bytes = 65000;
    struct client *c = connect_client(0, true);
    for (uint16_t i = 0; i < 20; i++) {
        ask(c, i, "www.example.org");
    }
    turn_until_forwarded(20);
    reply_to(20);
    turn_until_count(0);
    leave(c);
    end();
}

/* From now on no descriptor can be had. */
static void take_descriptors(struct rlimit *out_before)
{
    int lowest = dup(0);

    assert_true(lowest >= 0);
    close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, out_before), 0);
    struct rlimit tight = *out_before;
    tight.rlim_cur = (rlim_t)lowest;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
}

static void without_descriptors_it_waits_for_one(void **state)
{
    struct rlimit limit;
    (void)state;

    begin(8, FOREVER_MS);
    struct client *first = connect_client(0, false);
    ask(first, 1, "api.example.com");
    take_descriptors(&limit);
    /* many turns, none of which may be hot: each waits for a tick of 1 ms */
    uint64_t start = clock_now_ms();
    for (unsigned i = 0; i < 100; i++) {
        turn();
    }
    uint64_t taken = clock_now_ms() - start;
    unsigned count = stream_set_count(b->set);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(taken >= 50);
    assert_int_equal(count, 0);
    expect(first, 1, WIRE_NOERROR, 32);
    leave(first);
    end();
}

static void without_descriptors_the_one_idle_longest_makes_room(void **state)
{
    struct rlimit limit;
    uint64_t until = clock_now_ms() + PATIENCE_MS;
    unsigned rcode = 0, answers = 0;
    int got;
    (void)state;

    begin(8, FOREVER_MS);
    struct client *first = connect_client(0, false);
    turn_until_count(1);
    struct client *second = connect_client(1, false);
    ask(second, 2, "api.example.com");
    take_descriptors(&limit);
    while ((got = take_message(second, &rcode, &answers)) < 0 && clock_now_ms() < until) {
        turn();
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(got, 2);
    expect_closed(first);
    leave(first);
    leave(second);
    end();
}

static void what_is_not_listened_to_any_more_goes_on(void **state)
{
    (void)state;

    begin(8, FOREVER_MS);
    struct client *c = connect_client(0, false);
    ask(c, 1, "api.example.com");
    expect(c, 1, WIRE_NOERROR, 32);
    stream_set_unlisten(b->set, b->listening);
    struct client *late = connect_client(1, false); /* by the kernel's backlog */
    ask(late, 2, "api.example.com");
    ask(c, 3, "api.example.com");
    expect(c, 3, WIRE_NOERROR, 32);
    assert_int_equal(stream_set_count(b->set), 1);
    assert_int_equal(stream_set_listen(b->set, b->listening), 0);
    expect(late, 2, WIRE_NOERROR, 32);
    leave(c);
    leave(late);
    end();
}

static void the_end_closes_whatever_is_open(void **state)
{
    (void)state;

    begin(8, FOREVER_MS);
    struct client *idle = connect_client(0, false);
    struct client *waiting = connect_client(1, false);
    struct client *deaf = connect_client(2, true);
    ask(waiting, 1, "www.example.org");
    flood_until_full(deaf);
    turn_until_forwarded(1);
    assert_int_equal(stream_set_count(b->set), 3);
    end();
    leave(idle);
    leave(waiting);
    leave(deaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_queries_at_once_are_all_answered),
        cmocka_unit_test(a_query_may_come_byte_by_byte),
        cmocka_unit_test(who_has_finished_sending_gets_all_answers_then_the_end),
        cmocka_unit_test(what_is_no_query_ends_the_connection),
        cmocka_unit_test(a_broken_query_is_answered_and_the_next_one_too),
        cmocka_unit_test(an_answer_to_who_has_left_is_dropped),
        cmocka_unit_test(an_answer_at_once_is_sent_once),
        cmocka_unit_test(an_answer_at_once_may_end_the_connection),
        cmocka_unit_test(only_so_many_are_asked_elsewhere_at_a_time),
        cmocka_unit_test(recursion_is_decided_by_the_address_connected_to),
        cmocka_unit_test(an_idle_connection_is_closed),
        cmocka_unit_test(the_one_idle_longest_makes_room),
        cmocka_unit_test(who_reads_slowly_is_served_slowly),
        cmocka_unit_test(who_does_not_read_at_all_loses_the_connection),
        cmocka_unit_test(without_descriptors_it_waits_for_one),
        cmocka_unit_test(without_descriptors_the_one_idle_longest_makes_room),
        cmocka_unit_test(what_is_not_listened_to_any_more_goes_on),
        cmocka_unit_test(the_end_closes_whatever_is_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
