#include "resolver/forward/forwarder.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/json_writer.h"
#include "policy/health.h"
#include "resolver/forward/choice.h"
#include "resolver/forward/upstream.h"
#include "tests/unit/patient_clock.h"
#include "zones/wire.h"

#define GUARD_MS   60000 /* a run that takes longer hangs */
#define NO_HEDGE   1700  /* longer than any answer here takes, on a slow machine too */
#define STUBS_MAX  4
#define BIG_ANSWER 300 /* records: more than a datagram holds */

/* ---- stub upstreams: loopback sockets on ports of the kernel's choosing ---- */

enum behaviour {
    GOOD,
    SILENT,
    RCODE,      /* stub.rcode */
    NOWHERE,    /* NXDOMAIN with a SOA */
    MALFORMED,  /* promises a record that is not there */
    LIES,       /* an address of the parent's name */
    IMPOSTORS,  /* wrong id, wrong question, wrong source; then the truth */
    TRUNCATED,  /* come by TCP; there the answer comes in pieces */
    HANGING_UP, /* come by TCP; there the connection is closed */
    HANGING,    /* come by TCP; there nothing comes */
};

struct stub {
    enum behaviour behaviour;
    unsigned rcode;
    unsigned delay_ms;
    unsigned asked; /* over UDP */
    unsigned ports; /* times in a row that a question came from another port or with another id */
    uint16_t flags; /* of the last question */
    uint16_t last_port, last_id;
    unsigned connected;
    bool is_private;        /* its answers are addresses of 10.0.0.0/8 */
    uint8_t loop_name[64];  /* of the last TXT question */
    uint8_t probe_name[64]; /* of the last SOA question */
    bool is_probed;
    struct addr address;
    int fd;
    uv_poll_t poll;
    uv_tcp_t listener;
};

/* An answer on its way, late or in pieces. */
struct parcel {
    uv_timer_t timer;
    uv_tcp_t tcp;
    struct stub *stub;
    bool stream;
    unsigned handles;
    struct sockaddr_in to;
    uv_write_t write;
    uint8_t bytes[WIRE_MESSAGE_MAX];
    size_t length;
    size_t written;
    uint8_t query[512];
    size_t query_length;
};

static uv_loop_t loop;
static struct forwarder *forwarder;
static struct stub stubs[STUBS_MAX];
static unsigned stub_count;
static struct forward_upstream upstreams[STUBS_MAX];
static struct forward_rule rule;
static struct health_region regions[STUBS_MAX];
static bool has_stale; /* of the questions asked from now on */

static size_t put_record(uint8_t *out, uint16_t type, const void *rdata, uint16_t size)
{
    wire_put16(out, 0xc000 | WIRE_QUESTION);
    wire_put16(out + 2, type);
    wire_put16(out + 4, WIRE_IN);
    wire_put32(out + 6, 60);
    wire_put16(out + 10, size);
    memcpy(out + 12, rdata, size);
    return 12u + size;
}

/* Turn the query into a response with `count` addresses that tell the stub. */
static size_t make_answer(const struct stub *stub, const uint8_t *query, size_t length,
                          unsigned rcode, unsigned count, uint8_t *out)
{
    struct wire_query parsed;

    assert_int_equal(wire_query_parse(query, length, &parsed), WIRE_QUERY_OK);
    size_t at = parsed.question_end;
    memcpy(out, query, at);
    wire_put16(out + 2, (uint16_t)(WIRE_QR | WIRE_RA | WIRE_RD | rcode));
    wire_put16(out + 6, (uint16_t)count);
    wire_put16(out + 8, 0);
    wire_put16(out + 10, 0);
    for (unsigned i = 0; i < count; i++) {
        uint8_t address[4] = { stub->is_private ? 10 : 192, 0, (uint8_t)(stub - stubs),
                               (uint8_t)i };
        at += put_record(out + at, WIRE_A, address, sizeof(address));
    }
    return at;
}

static size_t answer(const struct stub *stub, const uint8_t *query, size_t length, uint8_t *out)
{
    static const uint8_t soa[22] = { 0 };
    size_t size;

    switch (stub->behaviour) {
    case RCODE:
        return make_answer(stub, query, length, stub->rcode, 0, out);
    case NOWHERE:
        size = make_answer(stub, query, length, WIRE_NXDOMAIN, 0, out);
        out[9] = 1;
        return size + put_record(out + size, WIRE_SOA, soa, sizeof(soa));
    case MALFORMED:
        size = make_answer(stub, query, length, WIRE_NOERROR, 1, out);
        return size - 1;
    case LIES:
        size = make_answer(stub, query, length, WIRE_NOERROR, 1, out);
        out[size - 15] += 4; /* its owner is the parent of the name asked */
        return size;
    case TRUNCATED:
    case HANGING_UP:
    case HANGING:
        size = make_answer(stub, query, length, WIRE_TC, 0, out);
        return size;
    default:
        return make_answer(stub, query, length, WIRE_NOERROR, 1, out);
    }
}

static void parcel_closed(uv_handle_t *handle)
{
    struct parcel *parcel = handle->data;

    if (--parcel->handles == 0) {
        free(parcel);
    }
}

static void parcel_close(struct parcel *parcel)
{
    if (!uv_is_closing((uv_handle_t *)&parcel->timer)) {
        uv_close((uv_handle_t *)&parcel->timer, parcel_closed);
        if (parcel->stream) {
            uv_close((uv_handle_t *)&parcel->tcp, parcel_closed);
        }
    }
}

static struct parcel *parcel_new(struct stub *stub, bool stream)
{
    struct parcel *parcel = calloc(1, sizeof(*parcel));

    assert_non_null(parcel);
    parcel->stub = stub;
    parcel->stream = stream;
    parcel->handles = stream ? 2 : 1;
    uv_timer_init(&loop, &parcel->timer);
    parcel->timer.data = parcel;
    return parcel;
}

static void send_late(uv_timer_t *timer)
{
    struct parcel *parcel = timer->data;

    (void)sendto(parcel->stub->fd, parcel->bytes, parcel->length, 0, (struct sockaddr *)&parcel->to,
                 sizeof(parcel->to));
    parcel_close(parcel);
}

/* From another socket, and the wrong id and question from the right one. */
static void send_impostors(const struct stub *stub, const uint8_t *message, size_t length,
                           const struct sockaddr_in *to)
{
    uint8_t wrong[512];
    int other = socket(AF_INET, SOCK_DGRAM, 0);

    assert_true(other >= 0);
    (void)sendto(other, message, length, 0, (const struct sockaddr *)to, sizeof(*to));
    close(other);
    memcpy(wrong, message, length);
    wrong[1] ^= 1;
    (void)sendto(stub->fd, wrong, length, 0, (const struct sockaddr *)to, sizeof(*to));
    memcpy(wrong, message, length);
    wrong[WIRE_QUESTION + 1] ^= 0x20; /* another letter case is another question */
    (void)sendto(stub->fd, wrong, length, 0, (const struct sockaddr *)to, sizeof(*to));
}

static void note_name(struct stub *stub, const uint8_t *query, size_t length)
{
    struct wire_query parsed;

    assert_int_equal(wire_query_parse(query, length, &parsed), WIRE_QUERY_OK);
    if (parsed.type == WIRE_TXT) {
        assert_true(parsed.name_length <= sizeof(stub->loop_name));
        memcpy(stub->loop_name, parsed.dname, parsed.name_length);
    }
    if (parsed.type == WIRE_SOA) {
        assert_true(parsed.name_length <= sizeof(stub->probe_name));
        memcpy(stub->probe_name, parsed.dname, parsed.name_length);
        stub->is_probed = true;
    }
}

static void on_query(uv_poll_t *poll, int status, int events)
{
    struct stub *stub = poll->data;
    struct sockaddr_in from;
    socklen_t size = sizeof(from);
    uint8_t query[512], out[1024];

    (void)status;
    (void)events;
    ssize_t got =
        recvfrom(stub->fd, query, sizeof(query), MSG_DONTWAIT, (struct sockaddr *)&from, &size);
    if (got < 0) {
        return;
    }
    stub->asked++;
    stub->flags = wire_get16(query + 2);
    stub->ports += from.sin_port != stub->last_port || wire_get16(query) != stub->last_id;
    stub->last_port = from.sin_port;
    stub->last_id = wire_get16(query);
    note_name(stub, query, (size_t)got);
    if (stub->behaviour == SILENT) {
        return;
    }
    size_t length = answer(stub, query, (size_t)got, out);
    if (stub->behaviour == IMPOSTORS) {
        send_impostors(stub, out, length, &from);
    }
    struct parcel *parcel = parcel_new(stub, false);
    memcpy(parcel->bytes, out, length);
    parcel->length = length;
    parcel->to = from;
    uv_timer_start(&parcel->timer, send_late, stub->delay_ms, 0);
}

/* ---- the same over TCP ---- */

static void write_piece(uv_timer_t *timer);

static void on_written(uv_write_t *write, int status)
{
    struct parcel *parcel = write->data;

    if (status < 0 || parcel->written == parcel->length) {
        parcel_close(parcel);
    } else {
        uv_timer_start(&parcel->timer, write_piece, 1, 0);
    }
}

/* One byte, then one more, then large pieces: prefix and message are cut anywhere. */
static void write_piece(uv_timer_t *timer)
{
    struct parcel *parcel = timer->data;
    size_t left = parcel->length - parcel->written;
    size_t size = parcel->written < 2 ? 1 : left < 2000 ? left : 2000;
    uv_buf_t buffer = uv_buf_init((char *)parcel->bytes + parcel->written, (unsigned)size);

    parcel->written += size;
    parcel->write.data = parcel;
    if (uv_write(&parcel->write, (uv_stream_t *)&parcel->tcp, &buffer, 1, on_written) < 0) {
        parcel_close(parcel);
    }
}

static void stream_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct parcel *parcel = handle->data;

    (void)suggested;
    out->base = (char *)parcel->query + parcel->query_length;
    out->len = sizeof(parcel->query) - parcel->query_length;
}

static void stream_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct parcel *parcel = stream->data;

    (void)buffer;
    if (got < 0) {
        parcel_close(parcel);
        return;
    }
    parcel->query_length += (size_t)got;
    if (parcel->query_length < 2 || parcel->query_length < 2u + wire_get16(parcel->query) ||
        parcel->length > 0) {
        return;
    }
    if (parcel->stub->behaviour == HANGING_UP) {
        parcel_close(parcel);
        return;
    }
    if (parcel->stub->behaviour == HANGING) {
        return;
    }
    size_t length = make_answer(parcel->stub, parcel->query + 2, parcel->query_length - 2,
                                WIRE_NOERROR, BIG_ANSWER, parcel->bytes + 2);
    wire_put16(parcel->bytes, (uint16_t)length);
    parcel->length = length + 2;
    write_piece(&parcel->timer);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct stub *stub = listener->data;
    struct parcel *parcel = parcel_new(stub, true);

    assert_int_equal(status, 0);
    stub->connected++;
    uv_tcp_init(&loop, &parcel->tcp);
    parcel->tcp.data = parcel;
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&parcel->tcp), 0);
    uv_read_start((uv_stream_t *)&parcel->tcp, stream_alloc, stream_read);
}

/* ---- setting up ---- */

/* UDP on `port` (0: any), and TCP on the same. False when the port is taken. */
static bool stub_bind(struct stub *stub, uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    socklen_t size = sizeof(address);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    stub->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(stub->fd >= 0);
    if (bind(stub->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(stub->fd);
        return false;
    }
    assert_int_equal(getsockname(stub->fd, (struct sockaddr *)&address, &size), 0);
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(tcp >= 0);
    if (bind(tcp, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(tcp);
        close(stub->fd);
        return false;
    }
    assert_true(addr_from_sockaddr((struct sockaddr *)&address, &stub->address));
    uv_poll_init(&loop, &stub->poll, stub->fd);
    stub->poll.data = stub;
    uv_poll_start(&stub->poll, UV_READABLE, on_query);
    uv_tcp_init(&loop, &stub->listener);
    stub->listener.data = stub;
    assert_int_equal(uv_tcp_open(&stub->listener, tcp), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&stub->listener, 16, on_connection), 0);
    return true;
}

static void stub_die(struct stub *stub)
{
    if (stub->fd >= 0) {
        uv_close((uv_handle_t *)&stub->poll, NULL);
        uv_close((uv_handle_t *)&stub->listener, NULL);
        close(stub->fd);
        stub->fd = -1;
    }
}

/*
 * One more upstream of the rule. Where one alone would do, tests add a second
 * that is not asked: as long as there is one left, nobody is asked twice.
 */
static struct stub *add(enum behaviour behaviour, enum forward_class class)
{
    static const char *const names[STUBS_MAX] = { "seoul", "tokyo", "singapore", "mumbai" };
    struct stub *stub = &stubs[stub_count];

    *stub = (struct stub){ .behaviour = behaviour };
    for (unsigned tries = 0; !stub_bind(stub, 0); tries++) {
        assert_true(tries < 100);
    }
    atomic_store(&regions[stub_count].word, 0);
    upstreams[stub_count] = (struct forward_upstream){
        .address = stub->address,
        .class = class,
        .region_name = class == FORWARD_PUBLIC ? "public" : names[stub_count],
        .region = class == FORWARD_PUBLIC ? NULL : &regions[stub_count],
    };
    rule.upstream_count = ++stub_count;
    return stub;
}

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    forwarder = forwarder_new(&loop);
    assert_non_null(forwarder);
    stub_count = 0;
    has_stale = false;
    rule = (struct forward_rule){ .name = ".", .upstreams = upstreams, .hedge_ms = NO_HEDGE };
    rule.dname = (const uint8_t *)"";
    return 0;
}

static void on_closed(void *user)
{
    *(bool *)user = true;
}

static void close_all(void)
{
    bool closed = false;

    forwarder_close(forwarder, on_closed, &closed);
    assert_false(closed);
    for (unsigned i = 0; i < stub_count; i++) {
        stub_die(&stubs[i]);
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(closed);
    forwarder = NULL;
}

static int tear_down(void **state)
{
    (void)state;
    if (forwarder != NULL) {
        close_all();
    }
    assert_int_equal(uv_loop_close(&loop), 0);
    return 0;
}

/* ---- asking ---- */

struct question {
    unsigned done;
    int from; /* the stub whose answer it is, -1 when there is none */
    bool answered;
    unsigned rcode;
    unsigned answers;
    uint8_t bytes[64]; /* of the message */
    uint16_t ede_code;
    char ede_text[400];
    char upstream[128];
    enum forward_class origin;
    bool positive, lesser;
    uint64_t took_ms;
    uint64_t asked_ms;
};

static void on_done(void *user, const struct forward_reply *reply)
{
    struct question *question = user;

    question->done++;
    question->took_ms = uv_now(&loop) - question->asked_ms;
    question->from = -1;
    question->ede_code = reply->ede_code;
    (void)snprintf(question->ede_text, sizeof(question->ede_text), "%s", reply->ede_text);
    (void)snprintf(question->upstream, sizeof(question->upstream), "%s", reply->upstream);
    question->origin = reply->origin;
    question->positive = reply->positive;
    question->lesser = reply->lesser;
    question->answered = reply->message != NULL;
    if (!question->answered) {
        return;
    }
    assert_true(wire_response_sound(reply->message, reply->length));
    question->rcode = wire_get16(reply->message + 2) & WIRE_RCODE;
    question->answers = wire_get16(reply->message + 6);
    memcpy(question->bytes, reply->message, reply->length < 64 ? reply->length : 64);
    if (question->answers > 0) {
        question->from = reply->message[reply->length - 2];
    }
}

static void ask_about(struct question *question, const char *wire_name, uint16_t type,
                      bool dnssec_ok)
{
    struct forward_question q = {
        .name = (const uint8_t *)wire_name,
        .name_length = (uint8_t)name_length((const uint8_t *)wire_name),
        .type = type,
        .class = WIRE_IN,
        .dnssec_ok = dnssec_ok,
        .has_stale = has_stale,
    };

    memset(question, 0, sizeof(*question));
    uv_update_time(&loop);
    question->asked_ms = uv_now(&loop);
    forwarder_ask(forwarder, &rule, &q, on_done, question);
    assert_int_equal(question->done, 0);
}

static void ask(struct question *question)
{
    ask_about(question, "\3wWw\7example\3com", WIRE_A, false);
}

static void on_guard(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("nothing happens any more");
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

/* Run the loop until the condition holds. */
static void run_until(bool (*holds)(void *user), void *user)
{
    uv_timer_t guard, tick;

    uv_timer_init(&loop, &guard);
    uv_timer_init(&loop, &tick);
    uv_timer_start(&guard, on_guard, GUARD_MS, 0);
    uv_timer_start(&tick, on_tick, 5, 5);
    while (!holds(user)) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&guard, NULL);
    uv_close((uv_handle_t *)&tick, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

static bool is_done(void *user)
{
    return ((struct question *)user)->done > 0;
}

static void wait_for(struct question *question)
{
    run_until(is_done, question);
    assert_int_equal(question->done, 1);
}

static uint64_t counter(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

#define COUNTER(name) counter(&forwarder_counters(forwarder)->name)

/* Does `status` say this of some upstream? */
static bool is_described(const char *what)
{
    struct text text = { 0 };
    struct json_writer json;

    json_writer_init(&json, &text);
    json_writer_list_begin(&json, NULL);
    forwarder_describe(forwarder, &json);
    json_writer_list_end(&json);
    bool found = strstr(text_string(&text), what) != NULL;
    text_fini(&text);
    return found;
}

/* ---- the tests ---- */

static void the_first_upstream_answers_alone(void **state)
{
    static struct question q;

    (void)state;
    struct stub *first = add(GOOD, FORWARD_OWN);
    struct stub *second = add(GOOD, FORWARD_OTHER);
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 0);
    assert_int_equal(first->asked, 1);
    assert_int_equal(second->asked, 0);
    assert_int_equal(COUNTER(questions), 1);
    assert_int_equal(COUNTER(sent), 1);
    assert_non_null(strstr(q.upstream, "seoul 127.0.0.1:"));
    assert_memory_equal(q.bytes + WIRE_QUESTION, "\3wWw\7example\3com", 17);
    assert_int_equal(first->flags, WIRE_RD | WIRE_AD);
    assert_true(is_described("\"region\":\"seoul\",\"class\":\"own\",\"state\":\"up\""));
}

static void silence_is_hedged_to_another_region(void **state)
{
    static struct question q;

    (void)state;
    struct stub *silent = add(SILENT, FORWARD_OWN);
    add(GOOD, FORWARD_OTHER);
    rule.hedge_ms = 20;
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 1);
    assert_true(q.took_ms >= 20);
    assert_true(silent->asked >= 1);
    assert_int_equal(COUNTER(hedges), 1);
}

static void an_answer_that_is_none_goes_on_at_once(void **state)
{
    static const struct {
        enum behaviour behaviour;
        unsigned rcode;
    } cases[] = {
        { RCODE, WIRE_SERVFAIL },
        { RCODE, WIRE_REFUSED },
        { RCODE, WIRE_FORMERR },
        { RCODE, WIRE_NOTIMP },
        { RCODE, 9 },
        { MALFORMED, 0 },
        { LIES, 0 },
    };
    static struct question q;
    unsigned asked = 0;

    (void)state;
    struct stub *first = add(GOOD, FORWARD_OWN);
    add(GOOD, FORWARD_OTHER);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        first->behaviour = cases[i].behaviour;
        first->rcode = cases[i].rcode;
        ask(&q);
        wait_for(&q);
        assert_int_equal(q.from, 1);
        /* FORMERR and NOTIMP may be meant for EDNS: it is asked again without */
        asked += cases[i].rcode == WIRE_FORMERR || cases[i].rcode == WIRE_NOTIMP ? 2 : 1;
        assert_int_equal(first->asked, asked);
    }
    assert_int_equal(COUNTER(hedges), 0);
    assert_false(is_described("suspect")); /* one question proves nothing */
}

static void a_dead_socket_goes_on_at_once_and_is_suspect(void **state)
{
    static struct question q;

    (void)state;
    stub_die(add(GOOD, FORWARD_OWN));
    add(GOOD, FORWARD_OTHER);
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 1);
    assert_int_equal(COUNTER(hedges), 0);
    assert_true(is_described("\"state\":\"down\""));
    assert_true(is_described("\"reason\":\"connection refused\""));
    assert_int_equal(COUNTER(sent), 2);
    ask(&q);
    wait_for(&q);
    /* the dead one is not asked first again; a probe on a very slow machine at most */
    assert_in_range(COUNTER(sent), 3, 4);
}

static bool is_up(void *user)
{
    static struct question q;

    (void)user;
    if (q.asked_ms == 0 || q.done > 0) {
        ask(&q);
    }
    return !is_described("\"state\":\"down\"") && !is_described("\"state\":\"suspect\"");
}

static void a_suspect_is_back_after_a_few_good_answers(void **state)
{
    static struct question q;

    (void)state;
    struct stub *first = add(GOOD, FORWARD_OWN);
    add(GOOD, FORWARD_OTHER);
    uint16_t port = first->address.port;
    stub_die(first);
    ask(&q);
    wait_for(&q);
    assert_true(is_described("\"state\":\"down\""));
    assert_true(stub_bind(first, port));
    uint64_t back_ms = uv_now(&loop);
    run_until(is_up, NULL);
    assert_true(uv_now(&loop) - back_ms < GUARD_MS / 2);
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 0);
}

static bool is_suspect(void *user)
{
    struct question *q = user;

    if (q->asked_ms == 0 || q->done > 0) {
        ask(q);
    }
    return is_described("suspect");
}

static void a_silent_upstream_becomes_suspect_and_answers_do_not_wait(void **state)
{
    static struct question q;

    (void)state;
    struct stub *silent = add(SILENT, FORWARD_OWN);
    add(GOOD, FORWARD_OTHER);
    rule.hedge_ms = 20;
    ask(&q);
    run_until(is_suspect, &q);
    assert_true(is_described("\"reason\":\"no answer to "));
    if (q.done == 0) {
        wait_for(&q);
    }
    rule.hedge_ms = NO_HEDGE;
    unsigned asked = silent->asked;
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 1);
    assert_in_range(silent->asked, asked, asked + 1); /* a probe, at most */
}

static void one_broken_domain_makes_nobody_suspect(void **state)
{
    static const char *const names[] = { "\1a\2xy", "\1b\2xy", "\1c\2xy" };
    static struct question q;

    (void)state;
    struct stub *first = add(RCODE, FORWARD_OWN);
    struct stub *second = add(RCODE, FORWARD_OTHER);
    first->rcode = WIRE_SERVFAIL;
    second->rcode = WIRE_SERVFAIL;
    for (unsigned i = 0; i < 3; i++) {
        ask_about(&q, names[i], WIRE_A, false);
        wait_for(&q);
        assert_false(q.answered);
    }
    assert_false(is_described("suspect")); /* nobody could answer these */
    second->behaviour = GOOD;
    for (unsigned i = 0; i < 5; i++) {
        ask_about(&q, names[0], WIRE_A, false);
        wait_for(&q);
    }
    assert_false(is_described("suspect")); /* always the same one */
    for (unsigned i = 0; i < 3; i++) {
        ask_about(&q, names[i], WIRE_A, false);
        wait_for(&q);
        assert_int_equal(q.from, 1);
    }
    assert_true(is_described("\"reason\":\"SERVFAIL to 3 questions that others answered\""));
}

static void impostors_are_ignored(void **state)
{
    static struct question q;

    (void)state;
    struct stub *only = add(IMPOSTORS, FORWARD_OWN);
    add(SILENT, FORWARD_OTHER);
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 0);
    assert_int_equal(only->asked, 1);
    assert_int_equal(COUNTER(mismatched), 2); /* the third never got past the kernel */
}

static void a_truncated_answer_is_fetched_over_tcp(void **state)
{
    static struct question q;

    (void)state;
    struct stub *only = add(TRUNCATED, FORWARD_OWN);
    add(SILENT, FORWARD_OTHER);
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 0);
    assert_int_equal(q.answers, BIG_ANSWER);
    assert_int_equal(only->asked, 1);
    assert_int_equal(only->connected, 1);
    assert_int_equal(COUNTER(sent), 2);
}

static void a_connection_that_is_closed_goes_on(void **state)
{
    static struct question q;

    (void)state;
    struct stub *first = add(HANGING_UP, FORWARD_OWN);
    add(GOOD, FORWARD_OTHER);
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 1);
    assert_int_equal(first->connected, 2); /* once more for what was asked on it */
}

/* Ask ever new names until somebody is suspect. */
static bool is_suspect_of_some(void *user)
{
    static char name[] = "\1a\2xy";
    struct question *q = user;

    if (q->asked_ms == 0 || q->done > 0) {
        name[1] = (char)(name[1] == 'z' ? 'a' : name[1] + 1);
        ask_about(q, name, WIRE_A, false);
    }
    return is_described("suspect");
}

static void connections_without_answers_make_suspect(void **state)
{
    static struct question q;

    (void)state;
    struct stub *first = add(HANGING, FORWARD_OWN);
    add(GOOD, FORWARD_OTHER);
    rule.hedge_ms = 20;
    ask(&q);
    run_until(is_suspect_of_some, &q);
    assert_true(is_described("\"reason\":\"no answer over TCP to 3 questions that others"));
    assert_true(first->connected >= 1); /* streams are shared */
}

static void a_question_without_socket_takes_that_of_its_silent_try(void **state)
{
    static struct question q;
    struct rlimit all, none;

    (void)state;
    struct stub *silent = add(SILENT, FORWARD_OWN);
    add(GOOD, FORWARD_OTHER);
    rule.hedge_ms = 50;
    ask(&q);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    int lowest_free = dup(silent->fd);
    assert_true(lowest_free >= 0);
    close(lowest_free);
    none = all;
    none.rlim_cur = (rlim_t)lowest_free;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    wait_for(&q);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
    assert_int_equal(q.from, 1);
    assert_int_equal(silent->asked, 1);
}

static void a_question_without_socket_takes_one_that_is_only_listened_to(void **state)
{
    static struct question q[2];
    struct rlimit all, none;

    (void)state;
    struct stub *silent = add(SILENT, FORWARD_OWN);
    add(GOOD, FORWARD_OTHER);
    rule.hedge_ms = 20;
    ask(&q[0]);
    wait_for(&q[0]);
    assert_int_equal(q[0].from, 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    int lowest_free = dup(silent->fd);
    assert_true(lowest_free >= 0);
    close(lowest_free);
    none = all;
    none.rlim_cur = (rlim_t)lowest_free;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    ask_about(&q[1], "\1a\2xy", WIRE_A, false);
    wait_for(&q[1]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
    assert_int_equal(q[1].from, 1);
}

static void equal_questions_are_asked_once(void **state)
{
    static struct question q[5];

    (void)state;
    struct stub *only = add(GOOD, FORWARD_OWN);
    add(SILENT, FORWARD_OTHER);
    ask_about(&q[0], "\3wWw\7example\3com", WIRE_A, false);
    ask_about(&q[1], "\3www\7eXample\3com", WIRE_A, false); /* the same name */
    ask_about(&q[2], "\3www\7example\3com", WIRE_A, true);
    ask_about(&q[3], "\3www\7example\3net", WIRE_A, false);
    ask_about(&q[4], "\3www\7example\3com", WIRE_AAAA, false);
    for (unsigned i = 0; i < 5; i++) {
        if (q[i].done == 0) {
            wait_for(&q[i]);
        }
        assert_int_equal(q[i].done, 1);
        assert_true(i == 4 || q[i].from == 0);
    }
    assert_int_equal(only->asked, 4);
    assert_int_equal(COUNTER(coalesced), 1);
    assert_int_equal(COUNTER(questions), 5);
}

static void nobody_answers_by_the_deadline(void **state)
{
    static struct question q;

    (void)state;
    struct stub *first = add(SILENT, FORWARD_OWN);
    struct stub *second = add(SILENT, FORWARD_OTHER);
    rule.hedge_ms = 100;
    ask(&q);
    wait_for(&q);
    assert_false(q.answered);
    assert_true(q.took_ms >= FORWARD_DEADLINE_MS);
    assert_int_equal(q.ede_code, 22);
    assert_non_null(strstr(q.ede_text, "seoul 127.0.0.1:"));
    assert_non_null(strstr(q.ede_text, ": no answer; tokyo 127.0.0.1:"));
    assert_in_range(first->asked, 2, 5); /* and they were asked again meanwhile */
    assert_in_range(second->asked, 2, 5);
    assert_int_equal(first->ports, 1); /* always from the same port: one chance for a forger */
    assert_int_equal(second->ports, 1);
    assert_int_equal(COUNTER(failed), 1);
}

static void when_all_fail_the_reasons_are_told_at_once(void **state)
{
    static struct question q;

    (void)state;
    struct stub *first = add(RCODE, FORWARD_OWN);
    first->rcode = WIRE_REFUSED;
    stub_die(add(GOOD, FORWARD_OTHER));
    ask(&q);
    wait_for(&q);
    assert_false(q.answered);
    assert_int_equal(q.ede_code, 23);
    assert_non_null(strstr(q.ede_text, ": REFUSED; tokyo "));
    assert_non_null(strstr(q.ede_text, ": connection refused"));
    assert_int_equal(COUNTER(hedges), 0);
}

static void a_negative_answer_of_a_lesser_class_waits_for_a_better(void **state)
{
    static struct question q;

    (void)state;
    struct stub *own = add(GOOD, FORWARD_OWN);
    struct stub *other = add(NOWHERE, FORWARD_OTHER);
    own->delay_ms = 450;
    rule.hedge_ms = 400;
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 0);
    assert_int_equal(other->asked, 1);
}

static void it_is_taken_when_the_better_stay_silent(void **state)
{
    static struct question q;

    (void)state;
    add(SILENT, FORWARD_OWN);
    add(NOWHERE, FORWARD_OTHER);
    rule.hedge_ms = 20;
    ask(&q);
    wait_for(&q);
    assert_true(q.answered);
    assert_int_equal(q.rcode, WIRE_NXDOMAIN);
    assert_non_null(strstr(q.upstream, "tokyo "));
    assert_true(q.took_ms >= 200);
}

static void public_is_asked_last(void **state)
{
    static struct question q;

    (void)state;
    struct stub *own = add(RCODE, FORWARD_OWN);
    struct stub *other = add(GOOD, FORWARD_OTHER);
    struct stub *public = add(GOOD, FORWARD_PUBLIC);
    own->rcode = WIRE_SERVFAIL;
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 1);
    assert_int_equal(public->asked, 0);
    other->behaviour = RCODE;
    other->rcode = WIRE_SERVFAIL;
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 2);
    assert_int_equal(public->asked, 1);
}

static void private_names_never_go_to_public(void **state)
{
    static const char *const names[] = { "\4host", "\1a\5local", "\0011\00210\7in-addr\4arpa" };
    static struct question q;

    (void)state;
    struct stub *public = add(GOOD, FORWARD_PUBLIC);
    for (unsigned i = 0; i < 3; i++) {
        ask_about(&q, names[i], WIRE_A, false);
        wait_for(&q);
        assert_true(q.answered);
        assert_int_equal(q.rcode, WIRE_NXDOMAIN);
    }
    assert_int_equal(public->asked, 0);
    struct stub *own = add(GOOD, FORWARD_OWN);
    ask_about(&q, names[0], WIRE_A, false);
    wait_for(&q);
    assert_int_equal(q.from, 1);
    assert_int_equal(own->asked, 1);
    assert_int_equal(public->asked, 0);
}

static void a_region_that_is_away_is_not_asked_while_others_answer(void **state)
{
    static const uint32_t words[] = { HEALTH_REGION_HELD, HEALTH_REGION_GATED,
                                      HEALTH_REGION_DRAINED, HEALTH_REGION_FORCED_DOWN };
    static struct question q;

    (void)state;
    struct stub *own = add(GOOD, FORWARD_OWN);
    struct stub *other = add(GOOD, FORWARD_OTHER);
    for (unsigned i = 0; i < 4; i++) {
        atomic_store(&regions[0].word, words[i]);
        ask(&q);
        wait_for(&q);
        assert_int_equal(q.from, 1);
    }
    assert_int_equal(own->asked, 0);
    other->behaviour = RCODE;
    other->rcode = WIRE_SERVFAIL;
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 0); /* but rather than nobody */
    atomic_store(&regions[0].word, HEALTH_REGION_SUSPECT | HEALTH_REGION_PROVE);
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 0);
}

static void a_rule_without_upstreams_fails_later(void **state)
{
    static struct question q;

    (void)state;
    ask(&q);
    wait_for(&q);
    assert_false(q.answered);
    assert_string_equal(q.ede_text, "no upstream to ask");
}

static unsigned told;

static void on_told(void *user, const struct forward_reply *reply)
{
    char *text = user;

    told++;
    if (reply->message == NULL) {
        (void)snprintf(text, 64, "%s", reply->ede_text);
    }
}

static bool is_told(void *user)
{
    return told >= *(unsigned *)user;
}

static void too_many_questions_are_turned_away(void **state)
{
    static char text[64];
    unsigned wanted = 1;
    struct forward_question q = {
        .name = (const uint8_t *)"\1a\1b",
        .name_length = 5,
        .type = WIRE_A,
        .class = WIRE_IN,
    };

    (void)state;
    add(SILENT, FORWARD_OWN);
    told = 0;
    for (unsigned i = 0; i < 10001; i++) {
        forwarder_ask(forwarder, &rule, &q, on_told, text);
    }
    assert_int_equal(told, 0);
    run_until(is_told, &wanted);
    assert_int_equal(told, 1);
    assert_int_equal(COUNTER(shed), 1);
    assert_string_equal(text, "too many questions in flight");
    forwarder_ask(forwarder, &rule, &q, on_told, text);
    close_all();
    assert_int_equal(told, 10002);
}

static void closing_fails_what_is_in_flight(void **state)
{
    static struct question q;

    (void)state;
    add(SILENT, FORWARD_OWN);
    ask(&q);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    close_all();
    assert_int_equal(q.done, 1);
    assert_false(q.answered);
    assert_string_equal(q.ede_text, "the server is stopping");
}

static void closing_is_possible_at_any_moment(void **state)
{
    static struct question q[2];
    uv_timer_t tick;

    (void)state;
    uv_timer_init(&loop, &tick);
    for (unsigned turns = 0; turns < 12; turns++) {
        if (forwarder == NULL) {
            forwarder = forwarder_new(&loop);
            assert_non_null(forwarder);
            stub_count = 0;
        }
        add(turns % 2 == 0 ? TRUNCATED : SILENT, FORWARD_OWN);
        stub_die(add(GOOD, FORWARD_OTHER));
        add(NOWHERE, FORWARD_OTHER);
        rule.hedge_ms = 1;
        ask(&q[0]);
        ask_about(&q[1], "\1a\2bc", WIRE_A, true);
        uv_timer_start(&tick, on_tick, 1, 1); /* so that no turn waits for ever */
        for (unsigned i = 0; i < turns; i++) {
            (void)uv_run(&loop, UV_RUN_ONCE);
        }
        uv_timer_stop(&tick);
        close_all();
        assert_int_equal(q[0].done, 1);
        assert_int_equal(q[1].done, 1);
    }
    uv_close((uv_handle_t *)&tick, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
}

struct again {
    struct question question;
    unsigned left;
};

static void on_again(void *user, const struct forward_reply *reply)
{
    struct again *again = user;
    struct forward_question q = {
        .name = (const uint8_t *)"\1a\1b",
        .name_length = 5,
        .type = WIRE_A,
        .class = WIRE_IN,
    };

    if (again->left-- > 0) {
        forwarder_ask(forwarder, &rule, &q, on_again, again);
    } else {
        on_done(&again->question, reply);
    }
}

static void who_is_told_may_ask_again(void **state)
{
    static struct again again = { .left = 5 };
    struct forward_question q = {
        .name = (const uint8_t *)"\1a\1b",
        .name_length = 5,
        .type = WIRE_A,
        .class = WIRE_IN,
    };

    (void)state;
    struct stub *only = add(GOOD, FORWARD_OWN);
    add(SILENT, FORWARD_OTHER);
    forwarder_ask(forwarder, &rule, &q, on_again, &again);
    wait_for(&again.question);
    assert_int_equal(again.question.from, 0);
    assert_int_equal(only->asked, 6);
}

static atomic_bool stop_reading;

static void *read_status(void *user)
{
    bool *ok = user;

    *ok = true;
    while (!atomic_load(&stop_reading)) {
        *ok = *ok && !is_described("nonsense");
    }
    return NULL;
}

static void status_is_read_from_another_thread(void **state)
{
    pthread_t thread;
    static struct question q;
    bool ok;

    (void)state;
    atomic_store(&stop_reading, false);
    stub_die(add(GOOD, FORWARD_OWN));
    add(GOOD, FORWARD_OTHER);
    assert_int_equal(pthread_create(&thread, NULL, read_status, &ok), 0);
    for (unsigned i = 0; i < 20; i++) {
        ask(&q);
        wait_for(&q);
    }
    atomic_store(&stop_reading, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(ok);
}

/* ---- selection ---- */

/* Have the rule's upstreams probed. */
static void adopt(void)
{
    static struct model model = { .in_flight = 10000 };
    struct snapshot snapshot = { .model = &model, .forwards = &rule, .forward_count = 1 };

    forwarder_adopt(forwarder, &snapshot);
}

static bool is_down(void *user)
{
    (void)user;
    return forwarder_is_down(forwarder, &rule);
}

static bool is_all_up(void *user)
{
    (void)user;
    return !is_described("\"state\":\"down\"") && !is_described("\"state\":\"suspect\"") &&
           !is_described("\"state\":\"unknown\"");
}

static void the_dead_are_known_before_the_first_question(void **state)
{
    static struct question q;

    (void)state;
    stub_die(add(GOOD, FORWARD_OWN));
    add(SILENT, FORWARD_OWN);
    adopt();
    assert_false(forwarder_is_down(forwarder, &rule));
    run_until(is_down, NULL);
    assert_true(is_described("\"reason\":\"connection refused\""));
    assert_true(is_described("\"reason\":\"no answer to 3 questions in a row\""));
    assert_int_equal(COUNTER(questions), 0);
    add(GOOD, FORWARD_OTHER);
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 2);
    assert_int_equal(q.origin, FORWARD_OTHER);
    assert_true(q.positive);
    assert_false(q.lesser);
    assert_false(forwarder_is_down(forwarder, &rule));
}

static void probes_alone_bring_it_back(void **state)
{
    static struct question q;

    (void)state;
    struct stub *first = add(GOOD, FORWARD_OWN);
    uint16_t port = first->address.port;
    stub_die(first);
    adopt();
    run_until(is_down, NULL);
    assert_true(stub_bind(first, port));
    run_until(is_all_up, NULL);
    assert_false(forwarder_is_down(forwarder, &rule));
    assert_true(COUNTER(probes) >= 4);
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 0);
}

static bool is_slow(void *user)
{
    (void)user;
    return is_described("\"reason\":\"slow: ");
}

static void a_slow_one_is_left_for_a_quick_one_and_used_again(void **state)
{
    static struct question q[UPSTREAM_SLOW_COUNT + 1];
    static char names[UPSTREAM_SLOW_COUNT][4];

    (void)state;
    struct stub *own = add(GOOD, FORWARD_OWN);
    struct stub *other = add(GOOD, FORWARD_OTHER);
    adopt();
    run_until(is_all_up, NULL);
    own->delay_ms = 250;
    for (unsigned i = 0; i < UPSTREAM_SLOW_COUNT; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "\1%c", 'a' + (int)i);
        ask_about(&q[i], names[i], WIRE_A, false);
    }
    run_until(is_slow, NULL);
    ask(&q[UPSTREAM_SLOW_COUNT]);
    wait_for(&q[UPSTREAM_SLOW_COUNT]);
    assert_int_equal(q[UPSTREAM_SLOW_COUNT].from, 1);
    other->delay_ms = 250; /* now it is the network, and the order as written counts again */
    ask(&q[UPSTREAM_SLOW_COUNT]);
    run_until(is_all_up, NULL);
    wait_for(&q[UPSTREAM_SLOW_COUNT]);
    own->delay_ms = 0;
    other->delay_ms = 0;
    ask(&q[UPSTREAM_SLOW_COUNT]);
    wait_for(&q[UPSTREAM_SLOW_COUNT]);
    assert_int_equal(q[UPSTREAM_SLOW_COUNT].from, 0);
}

static void public_is_not_probed_while_others_live(void **state)
{
    (void)state;
    struct stub *own = add(GOOD, FORWARD_OWN);
    struct stub *public = add(GOOD, FORWARD_PUBLIC);
    adopt();
    while (is_described("\"region\":\"seoul\",\"class\":\"own\",\"state\":\"unknown\"")) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    assert_int_equal(own->asked, 2);      /* the domain's SOA, and the name that shows loops */
    assert_in_range(public->asked, 0, 1); /* that name alone */
    assert_true(is_described("\"region\":\"public\",\"class\":\"public\",\"state\":\"unknown\""));
}

static bool is_told_of_loops(void *user)
{
    return ((struct stub *)user)->loop_name[0] != 0;
}

static bool is_probed(void *user)
{
    return ((struct stub *)user)->is_probed;
}

static void a_private_domain_is_not_told_to_public_by_probes(void **state)
{
    static const char *const names[] = { "\1a\2xy", "\1b\2xy", "\1c\2xy", "\1d\2xy" };
    static struct question q;

    (void)state;
    struct stub *public = add(SILENT, FORWARD_PUBLIC);
    rule.dname = (const uint8_t *)"\5cloud\10internal";
    adopt();
    for (unsigned i = 0; !public->is_probed && i < 4; i++) { /* then it is suspect, and alone */
        ask_about(&q, names[i], WIRE_A, false);
        wait_for(&q);
    }
    run_until(is_probed, public);
    assert_int_equal(public->probe_name[0], 0);
}

static void one_that_was_away_is_asked_for_a_loop_when_it_is_back(void **state)
{
    (void)state;
    struct stub *first = add(SILENT, FORWARD_OWN);
    adopt();
    run_until(is_down, NULL);
    memset(first->loop_name, 0, sizeof(first->loop_name));
    first->behaviour = GOOD;
    run_until(is_told_of_loops, first);
    assert_true(forwarder_is_loop(forwarder, first->loop_name));
}

static void when_all_are_down_that_is_told_soon(void **state)
{
    static struct question q;

    (void)state;
    add(SILENT, FORWARD_OWN);
    add(SILENT, FORWARD_OTHER);
    rule.hedge_ms = 20;
    adopt();
    run_until(is_down, NULL);
    ask(&q);
    wait_for(&q);
    assert_false(q.answered);
    assert_int_equal(q.ede_code, 22);
    assert_true(q.took_ms >= CHOICE_DOWN_MS);
    assert_true(atomic_load(&forwarder_counters(forwarder)->sent) > 0);
}

static void who_leads_back_to_us_is_not_asked(void **state)
{
    static struct question q;
    uint8_t name[64], other[64];

    (void)state;
    struct stub *first = add(GOOD, FORWARD_OWN);
    add(GOOD, FORWARD_OTHER);
    adopt();
    run_until(is_told_of_loops, first);
    memcpy(name, first->loop_name, sizeof(name));
    memcpy(other, name, sizeof(other));
    other[20] = other[20] == 'a' ? 'b' : 'a';
    assert_false(forwarder_is_loop(forwarder, other));
    assert_false(forwarder_is_loop(forwarder, (const uint8_t *)"\3www\4test"));
    assert_true(forwarder_is_loop(forwarder, name));
    assert_true(is_described("\"state\":\"loop\""));
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 1);
    adopt();
    assert_false(is_described("\"state\":\"loop\""));
    assert_false(forwarder_is_loop(forwarder, name));
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 0);
}

static void above_its_budget_it_spills(void **state)
{
    static const char *const names[] = { "\1a\2xy", "\1b\2xy", "\1c\2xy", "\1d\2xy" };
    static struct question q;

    (void)state;
    struct stub *own = add(GOOD, FORWARD_OWN);
    struct stub *other = add(GOOD, FORWARD_OTHER);
    upstreams[0].max_queries_per_minute = 1;
    for (unsigned i = 0; i < 12; i++) { /* ten at once, then one a minute */
        ask_about(&q, names[i % 4], WIRE_A, false);
        wait_for(&q);
        assert_int_equal(q.from, i < 10 ? 0 : 1);
    }
    assert_int_equal(own->asked, 10);
    assert_true(is_described("\"budget\":1,\"over_budget\":0"));
    other->behaviour = RCODE;
    other->rcode = WIRE_SERVFAIL;
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 0); /* rather than nobody */
    assert_true(is_described("\"budget\":1,\"over_budget\":1"));
}

static void of_two_rules_budgets_the_lower_holds(void **state)
{
    static struct model model = { .in_flight = 10000 };
    static struct question q;
    struct forward_upstream unlimited;
    struct forward_rule rules[2];
    struct snapshot snapshot = { .model = &model, .forwards = rules, .forward_count = 2 };

    (void)state;
    add(GOOD, FORWARD_OWN);
    unlimited = upstreams[0];
    upstreams[0].max_queries_per_minute = 600;
    rules[0] = rule;
    rules[1] = rule;
    rules[1].upstreams = &unlimited;
    for (unsigned i = 0; i < 2; i++) {
        forwarder_adopt(forwarder, &snapshot);
        ask(&q);
        wait_for(&q);
        rule.upstreams = &unlimited;
        ask(&q);
        wait_for(&q);
        assert_true(is_described("\"budget\":600,"));
        rules[0].upstreams = &unlimited; /* the order of rules is of no account */
        rules[1].upstreams = upstreams;
        rule.upstreams = upstreams;
    }
    rules[1].upstreams = &unlimited;
    forwarder_adopt(forwarder, &snapshot);
    assert_true(is_described("\"budget\":null,"));
}

static void no_hedge_goes_above_a_budget_before_long(void **state)
{
    static struct question q;

    (void)state;
    struct stub *own = add(RCODE, FORWARD_OWN);
    struct stub *other = add(GOOD, FORWARD_OTHER);
    own->rcode = WIRE_SERVFAIL;
    upstreams[1].max_queries_per_minute = 1;
    rule.hedge_ms = 20;
    for (unsigned i = 0; i < 10; i++) { /* that is all it may be asked */
        ask(&q);
        wait_for(&q);
        assert_int_equal(q.from, 1);
    }
    own->behaviour = SILENT;
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 1); /* rather than nobody */
    assert_true(q.took_ms >= CHOICE_RESEND_MS);
    assert_int_equal(other->asked, 11);
}

static void who_has_an_older_answer_needs_no_lesser_one(void **state)
{
    static struct question q;

    (void)state;
    struct stub *own = add(RCODE, FORWARD_OWN);
    own->rcode = WIRE_SERVFAIL;
    add(NOWHERE, FORWARD_OTHER);
    struct stub *public = add(GOOD, FORWARD_PUBLIC);
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.rcode, WIRE_NXDOMAIN);
    assert_false(q.positive);
    assert_true(q.lesser);
    has_stale = true;
    ask(&q);
    wait_for(&q);
    assert_false(q.answered);
    assert_int_equal(public->asked, 0);
    own->behaviour = NOWHERE;
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.rcode, WIRE_NXDOMAIN); /* that one knows */
    assert_false(q.lesser);
}

static void private_addresses_are_refused_where_that_is_asked_for(void **state)
{
    static struct question q;

    (void)state;
    struct stub *own = add(GOOD, FORWARD_OWN);
    add(SILENT, FORWARD_OTHER);
    own->is_private = true;
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.answers, 1);
    rule.refuse_private = true;
    ask(&q);
    wait_for(&q);
    assert_true(q.answered);
    assert_int_equal(q.answers, 0);
    assert_int_equal(q.rcode, WIRE_NOERROR);
    assert_int_equal(q.ede_code, 17);
    assert_false(q.positive);
}

struct noted {
    unsigned count;
    bool is_question; /* the one asked */
};

static void on_noted(void *user, const struct forward_question *question, const uint8_t *dname,
                     struct forward_reply *reply)
{
    struct noted *noted = user;

    noted->count++;
    noted->is_question = question->type == WIRE_A && reply->message != NULL &&
                         memcmp(dname, "\3www\7example\3com", 17) == 0;
}

static bool is_noted(void *user)
{
    return ((struct noted *)user)->count > 0;
}

static void each_answer_is_noted_once(void **state)
{
    static struct question q;
    struct noted noted = { .count = 0 };
    struct forward_question nobody = {
        .name = (const uint8_t *)"\3wWw\7example\3com",
        .name_length = 17,
        .type = WIRE_A,
        .class = WIRE_IN,
    };

    (void)state;
    add(GOOD, FORWARD_OWN);
    add(SILENT, FORWARD_OTHER);
    forwarder_on_answer(forwarder, on_noted, &noted);
    ask(&q);
    forwarder_ask(forwarder, &rule, &nobody, NULL, NULL); /* waits for the same one */
    wait_for(&q);
    assert_int_equal(noted.count, 1);
    assert_true(noted.is_question);
    noted.count = 0;
    forwarder_ask(forwarder, &rule, &nobody, NULL, NULL);
    run_until(is_noted, &noted);
    assert_int_equal(noted.count, 1);
}

static void a_blackhole_is_hedged_on_its_own_times(void **state)
{
    static struct question q[60];
    static char names[60][8];

    (void)state;
    struct stub *own = add(GOOD, FORWARD_OWN);
    add(GOOD, FORWARD_OTHER);
    rule.hedge_auto = true;
    for (unsigned i = 0; i < 20; i++) {
        ask(&q[0]);
        wait_for(&q[0]);
    }
    own->behaviour = SILENT;
    for (unsigned i = 0; i < 60; i++) { /* more than is saved up */
        (void)snprintf(names[i], sizeof(names[i]), "\1%c\2%c%c", 'a' + (int)(i % 26), 'a',
                       'a' + (int)(i / 26));
        ask_about(&q[i], names[i], WIRE_A, false);
    }
    for (unsigned i = 0; i < 60; i++) {
        if (q[i].done == 0) {
            wait_for(&q[i]);
        }
        assert_int_equal(q[i].from, 1);
        assert_true(q[i].took_ms < FORWARD_DEADLINE_MS / 2);
    }
    assert_true(COUNTER(hedges) >= 60);
}

static void upstreams_are_told_apart_by_more_than_their_address(void **state)
{
    static const uint8_t pin[1][32] = { { 1 } };
    struct tls_settings tls = { .name = "dns.example", .pins = pin, .pin_count = 1 };
    char name[] = "dns.example";

    (void)state;
    struct stub *stub = add(GOOD, FORWARD_OWN);
    for (unsigned i = 1; i < 4; i++) {
        upstreams[i] = upstreams[0];
    }
    upstreams[1].tcp = true;
    upstreams[2].tls = &tls;
    tls.name = name;
    rule.upstream_count = 3;
    adopt();
    name[0] = 'x'; /* the configuration goes, what is known stays */
    assert_true(is_described("\"transport\":\"udp\",\"tls_name\":null"));
    assert_true(is_described("\"transport\":\"tcp\",\"tls_name\":null"));
    assert_true(is_described("\"transport\":\"tls\",\"tls_name\":\"dns.example\""));
    assert_false(is_described("xns.example"));
    rule.upstream_count = 1;
    adopt();
    assert_false(is_described("\"transport\":\"tls\"")); /* it is in force no more */
    assert_int_equal(stub->behaviour, GOOD);
}

static void those_to_be_asked_are_explained_in_their_order(void **state)
{
    static struct question q;
    struct text text = { 0 };
    struct json_writer json;

    (void)state;
    stub_die(add(GOOD, FORWARD_OWN));
    add(GOOD, FORWARD_OTHER);
    rule.hedge_ms = 40;
    ask(&q);
    wait_for(&q);
    json_writer_init(&json, &text);
    json_writer_list_begin(&json, NULL);
    forwarder_explain(forwarder, &rule, &json);
    json_writer_list_end(&json);
    const char *tokyo = strstr(text_string(&text), "\"region\":\"tokyo\"");
    const char *seoul = strstr(text_string(&text), "\"region\":\"seoul\"");
    assert_non_null(tokyo);
    assert_non_null(seoul);
    assert_true(tokyo < seoul);
    assert_non_null(strstr(text_string(&text), "\"hedge_ms\":40"));
    text_fini(&text);
}

static void probing_may_end_at_any_moment(void **state)
{
    uv_timer_t tick;

    (void)state;
    uv_timer_init(&loop, &tick);
    for (unsigned turns = 0; turns < 8; turns++) {
        if (forwarder == NULL) {
            forwarder = forwarder_new(&loop);
            assert_non_null(forwarder);
            stub_count = 0;
        }
        add(SILENT, FORWARD_OWN);
        stub_die(add(GOOD, FORWARD_OTHER));
        add(GOOD, FORWARD_PUBLIC);
        adopt();
        uv_timer_start(&tick, on_tick, 1, 1);
        for (unsigned i = 0; i < turns; i++) {
            (void)uv_run(&loop, UV_RUN_ONCE);
            if (i % 3 == 2) {
                adopt();
            }
        }
        uv_timer_stop(&tick);
        close_all();
    }
    uv_close((uv_handle_t *)&tick, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
}

/* What all the other claims rest on, on a machine that does not always run us. */
static void no_time_passes_while_nobody_waits(void **state)
{
    const struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };
    uv_timer_t timer;

    (void)state;
    uv_update_time(&loop);
    uint64_t before_ms = uv_now(&loop);
    (void)nanosleep(&pause, NULL);
    uv_update_time(&loop);
    assert_in_range(uv_now(&loop), before_ms, before_ms + 2);
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_tick, 20, 0);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(uv_now(&loop) >= before_ms + 20);
    uv_close((uv_handle_t *)&timer, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_upstream_answers_alone),
        TEST(silence_is_hedged_to_another_region),
        TEST(an_answer_that_is_none_goes_on_at_once),
        TEST(a_dead_socket_goes_on_at_once_and_is_suspect),
        TEST(a_suspect_is_back_after_a_few_good_answers),
        TEST(a_silent_upstream_becomes_suspect_and_answers_do_not_wait),
        TEST(one_broken_domain_makes_nobody_suspect),
        TEST(impostors_are_ignored),
        TEST(a_truncated_answer_is_fetched_over_tcp),
        TEST(a_connection_that_is_closed_goes_on),
        TEST(connections_without_answers_make_suspect),
        TEST(a_question_without_socket_takes_that_of_its_silent_try),
        TEST(a_question_without_socket_takes_one_that_is_only_listened_to),
        TEST(equal_questions_are_asked_once),
        TEST(nobody_answers_by_the_deadline),
        TEST(when_all_fail_the_reasons_are_told_at_once),
        TEST(a_negative_answer_of_a_lesser_class_waits_for_a_better),
        TEST(it_is_taken_when_the_better_stay_silent),
        TEST(public_is_asked_last),
        TEST(private_names_never_go_to_public),
        TEST(a_region_that_is_away_is_not_asked_while_others_answer),
        TEST(a_rule_without_upstreams_fails_later),
        TEST(too_many_questions_are_turned_away),
        TEST(closing_fails_what_is_in_flight),
        TEST(closing_is_possible_at_any_moment),
        TEST(who_is_told_may_ask_again),
        TEST(status_is_read_from_another_thread),
        TEST(the_dead_are_known_before_the_first_question),
        TEST(probes_alone_bring_it_back),
        TEST(a_slow_one_is_left_for_a_quick_one_and_used_again),
        TEST(public_is_not_probed_while_others_live),
        TEST(a_private_domain_is_not_told_to_public_by_probes),
        TEST(one_that_was_away_is_asked_for_a_loop_when_it_is_back),
        TEST(when_all_are_down_that_is_told_soon),
        TEST(who_leads_back_to_us_is_not_asked),
        TEST(above_its_budget_it_spills),
        TEST(of_two_rules_budgets_the_lower_holds),
        TEST(no_hedge_goes_above_a_budget_before_long),
        TEST(who_has_an_older_answer_needs_no_lesser_one),
        TEST(private_addresses_are_refused_where_that_is_asked_for),
        TEST(each_answer_is_noted_once),
        TEST(a_blackhole_is_hedged_on_its_own_times),
        TEST(upstreams_are_told_apart_by_more_than_their_address),
        TEST(those_to_be_asked_are_explained_in_their_order),
        TEST(probing_may_end_at_any_moment),
        TEST(no_time_passes_while_nobody_waits),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* as the program does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
