#include "resolver/cli/demo_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "resolver/cli/demo_world.h"
#include "zones/wire.h"

#define QUERY_MAX (WIRE_HEADER_BYTES + WIRE_QUESTION_BYTES + WIRE_OPT_BYTES)

static int open_socket(const struct addr *server, struct error *err)
{
    struct sockaddr_storage address;
    socklen_t length = addr_to_sockaddr(server, &address);
    int fd = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, length) < 0) {
        int code = -errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return error_set(err, code, "client: %s", strerror(-code));
    }
    return fd;
}

int demo_client_open(struct demo_client *client, const struct addr *server,
                     const struct addr *direct, struct error *err)
{
    memset(client, 0, sizeof(*client));
    client->fds[1] = -1;
    client->fds[0] = open_socket(server, err);
    if (client->fds[0] < 0) {
        return client->fds[0];
    }
    client->fds[1] = open_socket(direct, err);
    if (client->fds[1] < 0) {
        int rc = client->fds[1];
        demo_client_close(client);
        return rc;
    }
    hash_random(&client->next_id, sizeof(client->next_id));
    return 0;
}

void demo_client_close(struct demo_client *client)
{
    for (unsigned i = 0; i < 2; i++) {
        if (client->fds[i] >= 0) {
            (void)close(client->fds[i]);
            client->fds[i] = -1;
        }
    }
}

void demo_client_begin(struct demo_client *client, unsigned phase)
{
    client->phase = phase;
}

/* ---- what becomes of a lookup ---- */

static void end_lookup(struct demo_client *client, enum demo_client_kind kind,
                       struct demo_client_lookup *lookup, uint64_t now_us)
{
    struct demo_client_counts *counts = &client->counts[lookup->phase][kind];
    uint32_t took_us = (uint32_t)(now_us - lookup->sent_us);

    lookup->open = false;
    counts->worst_us = took_us > counts->worst_us ? took_us : counts->worst_us;
    unsigned *count = &client->sample_counts[lookup->phase];
    if (kind != DEMO_CLIENT_DIRECT && *count < DEMO_CLIENT_SAMPLES) {
        client->samples[lookup->phase][(*count)++] = took_us;
    }
}

static void fail_lookup(struct demo_client *client, enum demo_client_kind kind,
                        struct demo_client_lookup *lookup, uint64_t now_us)
{
    client->counts[lookup->phase][kind].failed++;
    end_lookup(client, kind, lookup, now_us);
}

/* The first A record of the answer. */
static bool find_address(const uint8_t *message, size_t length, size_t at, struct addr *out)
{
    struct wire_reader reader;
    struct wire_record record;

    wire_reader_init(&reader, message, length);
    reader.at = at;
    for (unsigned i = wire_get16(message + 6); i > 0 && wire_read_record(&reader, &record); i--) {
        if (record.type == WIRE_A && record.rdata_length == 4) {
            memset(out, 0, sizeof(*out));
            out->family = ADDR_V4;
            memcpy(out->bytes, message + record.rdata_at, 4);
            return true;
        }
    }
    return false;
}

static void take_answer(struct demo_client *client, enum demo_client_kind kind,
                        struct demo_client_lookup *lookup, const uint8_t *message, size_t length,
                        size_t at, uint64_t now_us)
{
    struct demo_client_counts *counts = &client->counts[lookup->phase][kind];
    struct addr address;

    if ((wire_get16(message + 2) & WIRE_RCODE) != WIRE_NOERROR) {
        fail_lookup(client, kind, lookup, now_us);
        return;
    }
    bool found = find_address(message, length, at, &address);
    if (!found) {
        counts->empty++;
    } else if (now_us - lookup->sent_us > DEMO_CLIENT_SLOW_US) {
        counts->slow++;
    }
    if (found && kind == DEMO_CLIENT_SERVICE &&
        (!client->has_address || !addr_same_host(&client->address, &address))) {
        client->has_address = true;
        client->address = address;
        client->address_since_us = now_us;
    }
    /* a simulated region answers with 10.NUMBER.x.y */
    if (found && kind == DEMO_CLIENT_OTHER && client->resolver != address.bytes[1]) {
        client->resolver = address.bytes[1];
        client->resolver_since_us = now_us;
    }
    if (kind != DEMO_CLIENT_DIRECT) {
        client->last_us = (uint32_t)(now_us - lookup->sent_us);
    }
    end_lookup(client, kind, lookup, now_us);
}

/* A datagram: of which lookup? */
static void take_datagram(struct demo_client *client, bool direct, const uint8_t *message,
                          size_t length, uint64_t now_us)
{
    unsigned first = direct ? DEMO_CLIENT_DIRECT : DEMO_CLIENT_SERVICE;
    unsigned last = direct ? DEMO_CLIENT_DIRECT : DEMO_CLIENT_OTHER;
    uint16_t id = length >= 2 ? wire_get16(message) : 0;
    size_t end;

    for (unsigned kind = first; kind <= last; kind++) {
        struct demo_client_lookup *lookup = &client->lookups[kind][id % DEMO_CLIENT_IDS];
        if (lookup->open && wire_response_matches(message, length, id, lookup->question,
                                                  lookup->question_length, true, &end)) {
            take_answer(client, (enum demo_client_kind)kind, lookup, message, length, end, now_us);
            return;
        }
    }
}

/* ---- asking ---- */

static void ask(struct demo_client *client, enum demo_client_kind kind, const uint8_t *dname,
                uint16_t id, uint64_t now_us)
{
    struct demo_client_lookup *lookup = &client->lookups[kind][id % DEMO_CLIENT_IDS];
    uint8_t query[QUERY_MAX];

    if (lookup->open) {
        fail_lookup(client, kind, lookup, now_us);
    }
    size_t length =
        wire_query_build(query, id, WIRE_RD, dname, WIRE_A, WIRE_IN, WIRE_UDP_MOST, false);
    lookup->question_length = (uint8_t)(name_length(dname) + 4);
    memcpy(lookup->question, query + WIRE_HEADER_BYTES, lookup->question_length);
    lookup->open = true;
    lookup->phase = (uint8_t)client->phase;
    lookup->sent_us = now_us;
    client->counts[client->phase][kind].asked++;
    int fd = client->fds[kind == DEMO_CLIENT_DIRECT];
    ssize_t sent = send(fd, query, length, 0);
    if (sent < 0 && errno == ECONNREFUSED) {
        sent = send(fd, query, length, 0); /* the error was an earlier packet's */
    }
    if (sent < 0) {
        fail_lookup(client, kind, lookup, now_us);
    }
}

static void ask_next(struct demo_client *client, uint64_t now_us)
{
    uint8_t dname[NAME_MAX_BYTES];
    struct error ignored = { 0 };
    char name[48];
    uint16_t id = client->next_id++;

    if (client->turn++ % 2 == 0) {
        (void)name_parse(DEMO_WORLD_SERVICE, dname, &ignored);
        ask(client, DEMO_CLIENT_SERVICE, dname, id, now_us);
        return;
    }
    (void)snprintf(name, sizeof(name), "host%u.random.example", client->turn);
    (void)name_parse(name, dname, &ignored);
    ask(client, DEMO_CLIENT_OTHER, dname, id, now_us);
    ask(client, DEMO_CLIENT_DIRECT, dname, id, now_us);
}

/* ---- time ---- */

/* Give up what is too old; true when something is still open. */
static bool expire(struct demo_client *client, uint64_t now_us)
{
    bool open = false;

    for (unsigned kind = 0; kind < DEMO_CLIENT_KINDS; kind++) {
        for (unsigned i = 0; i < DEMO_CLIENT_IDS; i++) {
            struct demo_client_lookup *lookup = &client->lookups[kind][i];
            if (!lookup->open) {
                continue;
            }
            if (now_us - lookup->sent_us >= DEMO_CLIENT_TIMEOUT_US) {
                fail_lookup(client, (enum demo_client_kind)kind, lookup, now_us);
            } else {
                open = true;
            }
        }
    }
    return open;
}

/* A socket refused a packet: nothing that is still open there will be answered. */
static void take_refusal(struct demo_client *client, bool direct, uint64_t now_us)
{
    unsigned first = direct ? DEMO_CLIENT_DIRECT : DEMO_CLIENT_SERVICE;
    unsigned last = direct ? DEMO_CLIENT_DIRECT : DEMO_CLIENT_OTHER;

    for (unsigned kind = first; kind <= last; kind++) {
        for (unsigned i = 0; i < DEMO_CLIENT_IDS; i++) {
            struct demo_client_lookup *lookup = &client->lookups[kind][i];
            if (lookup->open) {
                fail_lookup(client, (enum demo_client_kind)kind, lookup, now_us);
            }
        }
    }
}

static void listen_to(struct demo_client *client, bool direct)
{
    uint8_t message[4096];

    for (;;) {
        ssize_t got = recv(client->fds[direct], message, sizeof(message), 0);
        uint64_t now_us = clock_now_us();
        if (got < 0 && errno == ECONNREFUSED) {
            take_refusal(client, direct, now_us);
            continue;
        }
        if (got < 0) {
            return;
        }
        take_datagram(client, direct, message, (size_t)got, now_us);
    }
}

/* Wait for answers until `until_us`. */
static void wait_until(struct demo_client *client, uint64_t until_us)
{
    struct pollfd ready[2] = {
        { .fd = client->fds[0], .events = POLLIN },
        { .fd = client->fds[1], .events = POLLIN },
    };
    uint64_t now_us = clock_now_us();
    uint64_t wait_us = until_us > now_us ? until_us - now_us : 0;
    struct timespec timeout = { .tv_sec = (time_t)(wait_us / 1000000u),
                                .tv_nsec = (long)(wait_us % 1000000u * 1000u) };

    if (ppoll(ready, 2, &timeout, NULL) <= 0) {
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (ready[i].revents != 0) {
            listen_to(client, i == 1);
        }
    }
}

void demo_client_run(struct demo_client *client, uint64_t until_us)
{
    uint64_t now_us = clock_now_us();

    if (now_us >= client->next_us) {
        ask_next(client, now_us);
        /* after a pause of this process there is no burst: the pace begins anew */
        bool late = now_us - client->next_us > DEMO_CLIENT_EVERY_US;
        client->next_us = (late ? now_us : client->next_us) + DEMO_CLIENT_EVERY_US;
        (void)expire(client, now_us);
    }
    wait_until(client, until_us < client->next_us ? until_us : client->next_us);
}

void demo_client_drain(struct demo_client *client)
{
    uint64_t now_us = clock_now_us();

    while (expire(client, now_us)) {
        wait_until(client, now_us + DEMO_CLIENT_EVERY_US);
        now_us = clock_now_us();
    }
}

/* ---- counting ---- */

struct demo_client_counts demo_client_through_server(const struct demo_client *client,
                                                     unsigned phase)
{
    const struct demo_client_counts *a = &client->counts[phase][DEMO_CLIENT_SERVICE];
    const struct demo_client_counts *b = &client->counts[phase][DEMO_CLIENT_OTHER];

    return (struct demo_client_counts){
        .asked = a->asked + b->asked,
        .failed = a->failed + b->failed,
        .empty = a->empty + b->empty,
        .slow = a->slow + b->slow,
        .worst_us = a->worst_us > b->worst_us ? a->worst_us : b->worst_us,
    };
}

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

uint32_t demo_client_median_us(struct demo_client *client, unsigned phase)
{
    unsigned count = client->sample_counts[phase];

    if (count == 0) {
        return 0;
    }
    qsort(client->samples[phase], count, sizeof(client->samples[phase][0]), compare);
    return client->samples[phase][count / 2];
}
