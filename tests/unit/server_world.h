#pragma once
/*
 * server_world - the server whole, in this process
 *
 * Real sockets on loopback, its own threads, generations made and published as
 * the control thread does it, an upstream and clients.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "policy/config.h"
#include "resolver/publication.h"
#include "resolver/query.h"
#include "resolver/server.h"
#include "tests/unit/descriptors.h"
#include "tests/unit/scratch.h"

#define PATIENCE_S  60 /* a run that takes longer hangs */
#define PATIENCE_MS (PATIENCE_S * 1000u)
#define ANY_PORT    1 /* written for it: a configuration cannot ask for any */
#define NOBODY      2 /* a port for upstreams that are not asked */

/* ---- threads that can be refused ---- */

static int threads_left = -1; /* -1: as many as are wanted */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *user);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *user);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *user)
{
    if (threads_left == 0) {
        return EAGAIN;
    }
    threads_left -= threads_left > 0;
    return __real_pthread_create(thread, attributes, run, user);
}

/* ---- an upstream that knows one address for every name ---- */

struct upstream {
    int fd;
    uint16_t port;
    pthread_t thread;
    _Atomic bool stop;
    _Atomic bool silent;
    _Atomic unsigned asked;
};

static inline void *answer_all(void *user)
{
    static const uint8_t record[] = { 0xc0, 12, 0, WIRE_A, 0,   WIRE_IN, 0,   0,
                                      0,    60, 0, 4,      203, 0,       113, 7 };
    struct upstream *u = user;
    uint8_t message[2048];
    struct sockaddr_in from;
    struct wire_query query;

    while (!atomic_load(&u->stop)) {
        socklen_t size = sizeof(from);
        ssize_t got = recvfrom(u->fd, message, 1024, 0, (struct sockaddr *)&from, &size);
        if (got <= 0 || wire_query_parse(message, (size_t)got, &query) != WIRE_QUERY_OK) {
            continue;
        }
        atomic_fetch_add(&u->asked, query.type == WIRE_A); /* else a probe of the forwarder's */
        if (atomic_load(&u->silent)) {
            continue;
        }
        size_t at = query.question_end;
        wire_put16(message + 2, WIRE_QR | WIRE_RD | WIRE_RA);
        wire_put16(message + 6, query.type == WIRE_A);
        wire_put32(message + 8, 0);
        if (query.type == WIRE_A) {
            memcpy(message + at, record, sizeof(record));
            at += sizeof(record);
        }
        (void)sendto(u->fd, message, at, 0, (struct sockaddr *)&from, size);
    }
    return NULL;
}

static inline void upstream_start(struct upstream *u)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct timeval moment = { .tv_usec = 20000 };
    socklen_t size = sizeof(at);

    memset(u, 0, sizeof(*u));
    u->fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(u->fd, (struct sockaddr *)&at, size), 0);
    assert_int_equal(getsockname(u->fd, (struct sockaddr *)&at, &size), 0);
    assert_int_equal(setsockopt(u->fd, SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof(moment)), 0);
    u->port = ntohs(at.sin_port);
    assert_int_equal(__real_pthread_create(&u->thread, NULL, answer_all, u), 0);
}

static inline void upstream_stop(struct upstream *u)
{
    atomic_store(&u->stop, true);
    pthread_join(u->thread, NULL);
    close(u->fd);
}

/* ---- what the control thread does ---- */

struct control {
    struct health *health;
    struct server *server;
    struct snapshot *current;
    uint64_t generation;
    unsigned retired;
};

static inline void ignore(void *user, const struct health_event *event)
{
    (void)user;
    (void)event;
}

static inline void begin(struct control *c)
{
    memset(c, 0, sizeof(*c));
    c->health = health_new(ignore, NULL);
    assert_non_null(c->health);
}

static inline struct snapshot *build(struct control *c, const char *yaml)
{
    const struct hash_key key = { 3, 4 };
    struct config_report report = { 0 };
    struct text text = { 0 };
    struct snapshot *snapshot;
    struct model *model;
    struct error err;

    if (config_load_text(yaml, "t.yaml", &model, &report) < 0) {
        config_report_print(&report, &text);
        fail_msg("%s", text_string(&text));
    }
    config_report_fini(&report);
    for (size_t i = 0; i < model->listener_count; i++) {
        struct addr *address = &model->listeners[i].address;
        address->port = address->port == ANY_PORT ? 0 : address->port;
    }
    struct health_binding *binding = health_bind(c->health, model, clock_now_ms());
    assert_non_null(binding);
    if (snapshot_build(model, binding, c->current, &key, ++c->generation, &snapshot, &err) < 0) {
        fail_msg("%s:%u: %s", err.path, err.line, err.message);
    }
    return snapshot;
}

static inline void discard(struct control *c, struct snapshot *snapshot)
{
    health_unbind(c->health, snapshot_free(snapshot));
}

static inline void take_retired(struct control *c)
{
    struct snapshot *old;

    while ((old = server_take_retired(c->server)) != NULL) {
        discard(c, old);
        c->retired++;
    }
}

/* Publish a generation; the first one starts the server. */
static inline int publish(struct control *c, struct snapshot *snapshot, struct error *err)
{
    if (c->server == NULL) {
        int rc = server_new(snapshot->model, &c->server, err);
        if (rc < 0) {
            discard(c, snapshot);
            return rc;
        }
    } else {
        int rc = server_rebind(c->server, snapshot->model, err);
        if (rc < 0) {
            discard(c, snapshot);
            return rc;
        }
    }
    health_commit(c->health, snapshot->binding, clock_now_ms());
    c->current = snapshot;
    return server_publish(c->server, snapshot, err);
}

static inline void serve(struct control *c, const char *yaml)
{
    struct error err;

    if (publish(c, build(c, yaml), &err) < 0) {
        fail_msg("%s", err.message);
    }
}

static inline void end(struct control *c)
{
    if (c->server != NULL) {
        struct snapshot *last = server_stop(c->server);
        assert_ptr_equal(last, c->current);
        take_retired(c);
        if (last != NULL) {
            discard(c, last);
        }
        server_free(c->server);
    }
    health_free(c->health);
}

/* The port of the listener whose address begins so. */
static inline uint16_t port_of(const struct control *c, const char *address)
{
    struct text text = { 0 };
    struct json_writer json;
    char wanted[64];

    json_writer_init(&json, &text);
    json_writer_list_begin(&json, NULL);
    server_describe_listeners(c->server, &json);
    json_writer_list_end(&json);
    (void)snprintf(wanted, sizeof(wanted), "\"%s:", address);
    const char *found = strstr(text_string(&text), wanted);
    uint16_t port = found == NULL ? 0 : (uint16_t)atoi(found + strlen(wanted));
    text_fini(&text);
    return port;
}

/* ---- clients ---- */

struct reply {
    int length; /* -1: none came */
    unsigned rcode;
    unsigned flags;
    unsigned answers;
    uint8_t message[4096];
};

static inline socklen_t make_address(const char *host, uint16_t port, struct sockaddr_storage *out)
{
    struct addr address;
    struct error err;

    assert_int_equal(addr_parse(host, port, &address, &err), 0);
    return addr_to_sockaddr(&address, out);
}

/* A socket from `source` (NULL: any) connected to the server; only its answers arrive. */
static inline int open_client(int type, const char *source, const char *host, uint16_t port)
{
    const struct timeval patience = { .tv_sec = PATIENCE_S };
    struct sockaddr_storage to, from;
    socklen_t size = make_address(host, port, &to);
    int fd = socket(to.ss_family, type, 0);

    assert_true(fd >= 0);
    if (source != NULL) {
        socklen_t own = make_address(source, 0, &from);
        assert_int_equal(bind(fd, (struct sockaddr *)&from, own), 0);
    }
    assert_int_equal(connect(fd, (struct sockaddr *)&to, size), 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
}

static inline size_t put_query(uint8_t *out, uint16_t id, uint16_t flags, const char *name,
                               uint16_t type)
{
    uint8_t dname[NAME_MAX_BYTES];
    struct error err;

    assert_true(name_parse(name, dname, &err) >= 0);
    return wire_query_build(out, id, flags, dname, type, WIRE_IN, 1232, false);
}

static inline void read_reply(struct reply *reply, ssize_t got)
{
    reply->length = got < WIRE_HEADER_BYTES ? -1 : (int)got;
    reply->flags = wire_get16(reply->message + 2);
    reply->rcode = reply->flags & WIRE_RCODE;
    reply->answers = wire_get16(reply->message + 6);
}

/* A limit of time makes a call fail that goes on after a signal without one. */
static inline ssize_t receive_some(int fd, uint8_t *out, size_t size)
{
    ssize_t got;

    do {
        got = recv(fd, out, size, 0);
    } while (got < 0 && errno == EINTR);
    return got;
}

static inline bool receive_all(int fd, uint8_t *out, size_t size)
{
    size_t used = 0;
    ssize_t got = 1;

    while (used < size && got > 0) {
        got = receive_some(fd, out + used, size - used);
        used += got > 0 ? (size_t)got : 0;
    }
    return used == size;
}

static inline void send_query(int fd, bool stream, uint16_t flags, const char *name, uint16_t type)
{
    uint8_t query[512];
    size_t length = put_query(query + 2, 77, flags, name, type);

    wire_put16(query, (uint16_t)length);
    size_t skip = stream ? 0 : 2;
    assert_int_equal(send(fd, query + skip, length + 2 - skip, MSG_NOSIGNAL),
                     (ssize_t)(length + 2 - skip));
}

static inline void receive(int fd, bool stream, struct reply *out)
{
    uint8_t frame[2];
    ssize_t got = -1;

    memset(out, 0, sizeof(*out));
    if (!stream) {
        got = receive_some(fd, out->message, sizeof(out->message));
    } else if (receive_all(fd, frame, 2) && wire_get16(frame) <= sizeof(out->message) &&
               receive_all(fd, out->message, wire_get16(frame))) {
        got = wire_get16(frame);
    }
    read_reply(out, got);
}

/* Ask once; a datagram that is lost on loopback is a failure. */
static inline void ask(int fd, bool stream, const char *name, struct reply *out)
{
    send_query(fd, stream, WIRE_RD, name, WIRE_A);
    receive(fd, stream, out);
}

static inline void ask_once(bool stream, const char *source, const char *host, uint16_t port,
                            const char *name, struct reply *out)
{
    int fd = open_client(stream ? SOCK_STREAM : SOCK_DGRAM, source, host, port);

    ask(fd, stream, name, out);
    close(fd);
}

/* The last byte of the only address in the answer, behind aliases; -1 when there is none. */
static inline int address_of(const struct reply *reply)
{
    struct wire_reader reader;
    struct wire_record record;
    uint8_t name[NAME_MAX_BYTES];

    if (reply->length < 0) {
        return -1;
    }
    wire_reader_init(&reader, reply->message, (size_t)reply->length);
    reader.at = WIRE_QUESTION;
    (void)wire_read_name(&reader, name);
    (void)wire_read32(&reader);
    for (unsigned i = 0; i < reply->answers && wire_read_record(&reader, &record); i++) {
        if (record.type == WIRE_A) {
            return reply->message[record.rdata_at + 3];
        }
    }
    return -1;
}

/* A configuration: what listens, what is forwarded to, and which address api has. */
static inline const char *config(const char *listen, unsigned threads, uint16_t upstream,
                                 unsigned last)
{
    static char text[2048];

    (void)snprintf(text, sizeof(text),
                   "node: {name: t, region: seoul, threads: %u}\n"
                   "listen: [%s]\n"
                   "cache: {persist: false}\n"
                   "regions: {seoul: {minimum_healthy: 0}}\n"
                   "services: {api.example.com: {order: [seoul], minimum_healthy: 1,\n"
                   "  endpoints: {seoul: [192.0.2.%u]}}}\n"
                   "forward: {\".\": {upstreams: [\"127.0.0.1:%u\"]}}\n",
                   threads, listen, last, upstream);
    return text;
}
