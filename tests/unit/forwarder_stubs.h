#pragma once
/*
 * forwarder_stubs - upstreams that behave as a test wants it
 *
 * Sockets of loopback on ports of the kernel's choosing, UDP and TCP, on the
 * loop of the test itself. Each stub answers with an address that tells it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/addr.h"
#include "zones/wire.h"

#define STUBS_MAX  4
#define BIG_ANSWER 300 /* records: more than a datagram holds */

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
static struct stub stubs[STUBS_MAX];
static unsigned stub_count;

static inline size_t put_record(uint8_t *out, uint16_t type, const void *rdata, uint16_t size)
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
static inline size_t make_answer(const struct stub *stub, const uint8_t *query, size_t length,
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

static inline size_t answer(const struct stub *stub, const uint8_t *query, size_t length,
                            uint8_t *out)
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

static inline void parcel_closed(uv_handle_t *handle)
{
    struct parcel *parcel = handle->data;

    if (--parcel->handles == 0) {
        free(parcel);
    }
}

static inline void parcel_close(struct parcel *parcel)
{
    if (!uv_is_closing((uv_handle_t *)&parcel->timer)) {
        uv_close((uv_handle_t *)&parcel->timer, parcel_closed);
        if (parcel->stream) {
            uv_close((uv_handle_t *)&parcel->tcp, parcel_closed);
        }
    }
}

static inline struct parcel *parcel_new(struct stub *stub, bool stream)
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

static inline void send_late(uv_timer_t *timer)
{
    struct parcel *parcel = timer->data;

    (void)sendto(parcel->stub->fd, parcel->bytes, parcel->length, 0, (struct sockaddr *)&parcel->to,
                 sizeof(parcel->to));
    parcel_close(parcel);
}

/* From another socket, and the wrong id and question from the right one. */
static inline void send_impostors(const struct stub *stub, const uint8_t *message, size_t length,
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

static inline void note_name(struct stub *stub, const uint8_t *query, size_t length)
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

static inline void on_query(uv_poll_t *poll, int status, int events)
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

static inline void write_piece(uv_timer_t *timer);

static inline void on_written(uv_write_t *write, int status)
{
    struct parcel *parcel = write->data;

    if (status < 0 || parcel->written == parcel->length) {
        parcel_close(parcel);
    } else {
        uv_timer_start(&parcel->timer, write_piece, 1, 0);
    }
}

/* One byte, then one more, then large pieces: prefix and message are cut anywhere. */
static inline void write_piece(uv_timer_t *timer)
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

static inline void stream_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct parcel *parcel = handle->data;

    (void)suggested;
    out->base = (char *)parcel->query + parcel->query_length;
    out->len = sizeof(parcel->query) - parcel->query_length;
}

static inline void stream_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
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

static inline void on_connection(uv_stream_t *listener, int status)
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
static inline bool stub_bind(struct stub *stub, uint16_t port)
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

static inline void stub_die(struct stub *stub)
{
    if (stub->fd >= 0) {
        uv_close((uv_handle_t *)&stub->poll, NULL);
        uv_close((uv_handle_t *)&stub->listener, NULL);
        close(stub->fd);
        stub->fd = -1;
    }
}
