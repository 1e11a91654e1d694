#include "resolver/cli/cli_dns.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "resolver/edns.h"
#include "zones/wire.h"

#define QUERY_MAX (WIRE_HEADER_BYTES + WIRE_QUESTION_BYTES + WIRE_OPT_BYTES + EDNS_ERROR_BYTES)

struct ask {
    int fd;
    uint8_t query[2 + QUERY_MAX]; /* behind room for TCP's length */
    size_t length;                /* without it */
    size_t question_length;
    uint16_t id;
    uint64_t deadline_ms;
    uint8_t *message; /* WIRE_MESSAGE_MAX bytes */
};

static int wait_for(const struct ask *ask, short events)
{
    struct pollfd ready = { .fd = ask->fd, .events = events };

    for (;;) {
        uint64_t now_ms = clock_now_ms();
        if (now_ms >= ask->deadline_ms) {
            return -ETIMEDOUT;
        }
        int rc = poll(&ready, 1, (int)(ask->deadline_ms - now_ms));
        if (rc > 0) {
            return 0;
        }
        if (rc < 0 && errno != EINTR) {
            return -errno;
        }
    }
}

static int open_socket(struct ask *ask, const struct addr *server, int kind)
{
    struct sockaddr_storage address;
    socklen_t length = addr_to_sockaddr(server, &address);

    ask->fd = socket(address.ss_family, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (ask->fd < 0) {
        return -errno;
    }
    if (connect(ask->fd, (const struct sockaddr *)&address, length) == 0) {
        return 0;
    }
    if (errno != EINPROGRESS) {
        return -errno;
    }
    int code = 0;
    socklen_t size = sizeof(code);
    int rc = wait_for(ask, POLLOUT);
    if (rc == 0 && getsockopt(ask->fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0) {
        rc = -errno;
    }
    return rc < 0 ? rc : -code;
}

static bool is_answer(const struct ask *ask, size_t length)
{
    size_t end;
    return wire_response_matches(ask->message, length, ask->id, ask->query + 2 + WIRE_HEADER_BYTES,
                                 ask->question_length, true, &end);
}

/* Returns the length of the answer or -errno. */
static ssize_t ask_udp(struct ask *ask)
{
    if (send(ask->fd, ask->query + 2, ask->length, 0) < 0) {
        return -errno;
    }
    for (;;) {
        int rc = wait_for(ask, POLLIN);
        if (rc < 0) {
            return rc;
        }
        ssize_t got = recv(ask->fd, ask->message, WIRE_MESSAGE_MAX, 0);
        if (got < 0 && errno != EAGAIN && errno != EINTR) {
            return -errno;
        }
        if (got > 0 && is_answer(ask, (size_t)got)) {
            return got;
        }
    }
}

static int read_exactly(const struct ask *ask, uint8_t *out, size_t length)
{
    while (length > 0) {
        int rc = wait_for(ask, POLLIN);
        if (rc < 0) {
            return rc;
        }
        ssize_t got = recv(ask->fd, out, length, 0);
        if (got == 0) {
            return -ECONNRESET;
        }
        if (got < 0 && errno != EAGAIN && errno != EINTR) {
            return -errno;
        }
        if (got > 0) {
            out += got;
            length -= (size_t)got;
        }
    }
    return 0;
}

static ssize_t ask_tcp(struct ask *ask)
{
    uint8_t size[2];

    wire_put16(ask->query, (uint16_t)ask->length);
    /* a fresh connection takes these few bytes at once */
    if (send(ask->fd, ask->query, 2 + ask->length, MSG_NOSIGNAL) < 0) {
        return -errno;
    }
    int rc = read_exactly(ask, size, sizeof(size));
    if (rc == 0) {
        rc = read_exactly(ask, ask->message, wire_get16(size));
    }
    if (rc < 0) {
        return rc;
    }
    return is_answer(ask, wire_get16(size)) ? wire_get16(size) : -EPROTO;
}

/* One try; returns the length of the answer or -errno. */
static ssize_t try_once(struct ask *ask, const struct addr *server, bool tcp, uint64_t *out_us)
{
    ask->deadline_ms = clock_now_ms() + CLI_DNS_TIMEOUT_MS;
    uint64_t begin_us = clock_now_us();
    ssize_t length = open_socket(ask, server, tcp ? SOCK_STREAM : SOCK_DGRAM);

    if (length == 0) {
        length = tcp ? ask_tcp(ask) : ask_udp(ask);
    }
    *out_us = clock_now_us() - begin_us;
    if (ask->fd >= 0) {
        (void)close(ask->fd);
    }
    return length;
}

static int explain(const struct addr *server, ssize_t code, struct error *err)
{
    char address[ADDR_TEXT_MAX];

    addr_format_port(server, address, sizeof(address));
    if (code == -ETIMEDOUT) {
        return error_set(err, (int)code, "%s: no answer in %u tries of %u ms", address,
                         CLI_DNS_TRIES, CLI_DNS_TIMEOUT_MS);
    }
    return error_set(err, (int)code, "%s: %s", address, strerror((int)-code));
}

/* An Extended DNS Error option of our own asks for one. */
static void add_explain(struct ask *ask)
{
    uint8_t *opt = ask->query + 2 + ask->length - WIRE_OPT_BYTES;

    ask->length += edns_add_error(opt, WIRE_OPT_BYTES, EDNS_OTHER, "", 0) - WIRE_OPT_BYTES;
}

int cli_dns_ask(const struct addr *server, const struct cli_dns_question *question,
                struct cli_dns_answer *out, struct error *err)
{
    struct ask ask = { .message = malloc(WIRE_MESSAGE_MAX) };
    ssize_t length = -ETIMEDOUT;
    bool tcp = question->tcp;

    if (ask.message == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    hash_random(&ask.id, sizeof(ask.id));
    ask.length = wire_query_build(ask.query + 2, ask.id, WIRE_RD, question->dname, question->type,
                                  WIRE_IN, WIRE_UDP_MOST, false);
    ask.question_length = name_length(question->dname) + 4;
    if (question->explain) {
        add_explain(&ask);
    }
    for (int i = 0; i < CLI_DNS_TRIES && length == -ETIMEDOUT; i++) {
        length = try_once(&ask, server, tcp, &out->took_us);
    }
    if (length > 0 && !tcp && (wire_get16(ask.message + 2) & WIRE_TC) != 0) {
        tcp = true;
        length = try_once(&ask, server, tcp, &out->took_us);
    }
    if (length <= 0) {
        free(ask.message);
        return explain(server, length, err);
    }
    out->message = ask.message;
    out->length = (size_t)length;
    out->tcp = tcp;
    return 0;
}
