/*
 * check_dns - does the resolver answer a question as it should?
 *
 * Over UDP with a connected socket per attempt: the kernel picks a random port
 * for it, keeps other senders' datagrams out and reports a refusal at once. The
 * query goes without EDNS, so that no resolver can fail at that; an answer that
 * is then truncated is asked for again over TCP where its data matters. Or over
 * TCP or TLS from the start, as the check says.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "policy/checks/check_stream.h"
#include "policy/checks/dns_reply.h"
#include "zones/wire.h"

#define RANDOM_MARK    "{random}"
#define RANDOM_LETTERS 16
#define LENGTH_BYTES   2    /* before a message over TCP, RFC 1035 section 4.2.2 */
#define DATAGRAM_BYTES 4096 /* more than an answer without EDNS may have */
#define DATAGRAMS_MOST 16   /* read in one turn of the loop */
#define QUERY_BYTES    (WIRE_HEADER_BYTES + WIRE_QUESTION_BYTES + WIRE_OPT_BYTES)

struct check_dns {
    struct check_attempt attempt; /* first: the two are one object */
    uv_poll_t poll;
    int fd;
    int refused; /* connect() said so at once; told by the first event */
    uint8_t query[LENGTH_BYTES + QUERY_BYTES];
    size_t query_length; /* without the length in front */

    /* over TCP */
    struct check_stream stream;
    uint8_t prefix[LENGTH_BYTES];
    uint8_t *message;
    size_t message_length;
    size_t have; /* of prefix and message together */
};

/* ---- the query ---- */

/*
 * Write the check's name, each "{random}" replaced by letters, as a dname.
 * False when it is none: config has seen to that.
 */
static bool make_dname(const char *name, const uint8_t random[RANDOM_LETTERS],
                       uint8_t out[NAME_MAX_BYTES])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    char text[NAME_TEXT_MAX + RANDOM_LETTERS];
    struct error err;
    size_t used = 0;

    while (*name != '\0') {
        if (used + RANDOM_LETTERS >= sizeof(text)) {
            return false;
        }
        if (strncmp(name, RANDOM_MARK, sizeof(RANDOM_MARK) - 1) != 0) {
            text[used++] = *name++;
            continue;
        }
        for (size_t i = 0; i < RANDOM_LETTERS; i++) {
            text[used++] = letters[random[i] % 32];
        }
        name += sizeof(RANDOM_MARK) - 1;
    }
    text[used] = '\0';
    return name_parse(text, out, &err) > 0;
}

static bool make_query(struct check_dns *dns)
{
    const struct model_check *check = dns->attempt.probe->check;
    uint8_t random[2 + RANDOM_LETTERS];
    uint8_t dname[NAME_MAX_BYTES];

    hash_random(random, sizeof(random));
    if (!make_dname(check->query_name, random + 2, dname)) {
        return false;
    }
    dns->query_length = wire_query_build(dns->query + LENGTH_BYTES, wire_get16(random), WIRE_RD,
                                         dname, check->query_type, WIRE_IN, 0, false);
    wire_put16(dns->query, (uint16_t)dns->query_length);
    return true;
}

static void decide(struct check_dns *dns, bool over_udp, const struct dns_reply_verdict *verdict)
{
    if (over_udp) {
        attempt_decide(&dns->attempt, verdict->outcome, verdict->misconfigured, verdict->reason);
    } else {
        check_stream_decide(&dns->stream, verdict->outcome, verdict->misconfigured,
                            verdict->reason);
    }
}

/* Judge a message; true when the attempt is over or goes on over TCP. */
static bool take_message(struct check_dns *dns, const uint8_t *message, size_t length,
                         bool over_udp, enum dns_reply *out_reply)
{
    struct dns_reply_verdict verdict;

    *out_reply = dns_reply_judge(dns->attempt.probe->check, dns->query + LENGTH_BYTES,
                                 dns->query_length, message, length, over_udp, &verdict);
    if (*out_reply == DNS_REPLY_DECIDED) {
        decide(dns, over_udp, &verdict);
    }
    return *out_reply != DNS_REPLY_FOREIGN;
}

/* ---- over TCP and TLS ---- */

static struct check_dns *dns_of(const struct check_stream *stream)
{
    return (struct check_dns *)stream->attempt;
}

static bool is_over_tls(const struct check_dns *dns)
{
    return dns->attempt.probe->check->tls != NULL;
}

/* It is over because of what came, or did not. */
static void fail_stream(struct check_dns *dns, const char *words)
{
    char reason[CHECK_REASON_MAX];

    (void)snprintf(reason, sizeof(reason), "%s: %s", dns->stream.where, words);
    check_stream_decide(&dns->stream, DETECT_STRONG, false, reason);
}

static void on_connected(struct check_stream *stream)
{
    struct check_dns *dns = dns_of(stream);

    dns->attempt.lacking = is_over_tls(dns) ? "no answer" : "tcp: no answer";
    stream->buffer = (char *)dns->prefix;
    stream->buffer_size = LENGTH_BYTES;
    check_stream_send(stream, dns->query, LENGTH_BYTES + dns->query_length);
    if (!dns->attempt.closing) {
        check_stream_read(stream);
    }
}

static void begin_message(struct check_dns *dns)
{
    dns->message_length = wire_get16(dns->prefix);
    dns->message = malloc(dns->message_length + 1); /* an empty one is judged too */
    if (dns->message == NULL) {
        attempt_fail(&dns->attempt, dns->stream.where, UV_ENOMEM);
    }
}

static void on_received(struct check_stream *stream, size_t size)
{
    struct check_dns *dns = dns_of(stream);
    enum dns_reply reply;

    dns->have += size;
    if (dns->have == LENGTH_BYTES) {
        begin_message(dns);
        if (dns->message == NULL) {
            return;
        }
    }
    if (dns->have < LENGTH_BYTES) {
        stream->buffer = (char *)dns->prefix + dns->have;
        stream->buffer_size = LENGTH_BYTES - dns->have;
        return;
    }
    size_t got = dns->have - LENGTH_BYTES;
    if (got < dns->message_length) {
        stream->buffer = (char *)dns->message + got;
        stream->buffer_size = dns->message_length - got;
        return;
    }
    if (!take_message(dns, dns->message, dns->message_length, false, &reply)) {
        fail_stream(dns, "answer to another question");
    }
}

static void on_ended(struct check_stream *stream)
{
    struct check_dns *dns = dns_of(stream);

    fail_stream(dns, dns->have == 0 ? "closed without an answer" : "closed within the answer");
}

/* As check_stream_open. */
static int open_stream(struct check_dns *dns)
{
    dns->attempt.lacking = is_over_tls(dns) ? "connect: no answer" : "tcp connect: no answer";
    dns->stream.attempt = &dns->attempt;
    dns->stream.where = is_over_tls(dns) ? "tls" : "tcp";
    dns->stream.on_connected = on_connected;
    dns->stream.on_received = on_received;
    dns->stream.on_ended = on_ended;
    return check_stream_open(&dns->stream, &dns->attempt.probe->target);
}

static void retry_over_tcp(struct check_dns *dns)
{
    (void)uv_poll_stop(&dns->poll);
    int rc = open_stream(dns);
    if (rc < 0) {
        attempt_fail(&dns->attempt, "tcp", rc);
    }
}

/* ---- over UDP ---- */

static void read_datagrams(struct check_dns *dns)
{
    uint8_t message[DATAGRAM_BYTES];
    enum dns_reply reply;

    for (unsigned i = 0; i < DATAGRAMS_MOST; i++) {
        ssize_t size = recv(dns->fd, message, sizeof(message), MSG_DONTWAIT);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (size < 0) {
            attempt_fail(&dns->attempt, NULL, -errno);
            return;
        }
        if (take_message(dns, message, (size_t)size, true, &reply)) {
            if (reply == DNS_REPLY_TRUNCATED) {
                retry_over_tcp(dns);
            }
            return;
        }
    }
}

static void on_event(uv_poll_t *poll, int status, int events);

static void watch(struct check_dns *dns, int events)
{
    int rc = uv_poll_start(&dns->poll, events, on_event);

    if (rc < 0) {
        attempt_fail(&dns->attempt, NULL, rc);
    }
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct check_dns *dns = poll->data;

    (void)events;
    if (dns->refused != 0) {
        attempt_fail(&dns->attempt, NULL, dns->refused);
        return;
    }
    read_datagrams(dns);
    /* After an error that was none of ours libuv has stopped the handle. */
    if (status < 0 && !dns->attempt.closing && dns->stream.attempt == NULL) {
        watch(dns, UV_READABLE);
    }
}

/* Have ICMP's "unreachable" reported too, not only a refusal (ip(7), ipv6(7)). */
static void want_errors(int fd, const struct addr *target)
{
    int on = 1;

    if (target->family == ADDR_V4) {
        (void)setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
    } else {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on));
    }
}

/* A connected socket in `dns->fd`. Returns 0, or a negative errno of our own trouble. */
static int open_socket(struct check_dns *dns, const struct addr *target)
{
    struct sockaddr_storage address;
    socklen_t size = addr_to_sockaddr(target, &address);

    dns->fd = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (dns->fd < 0) {
        return -errno;
    }
    want_errors(dns->fd, target);
    if (connect(dns->fd, (struct sockaddr *)&address, size) < 0) {
        if (error_is_ours(-errno)) {
            return -errno;
        }
        dns->refused = -errno;
    }
    int rc = uv_poll_init(dns->attempt.loop, &dns->poll, dns->fd);
    if (rc == 0) {
        attempt_hold(&dns->attempt, (uv_handle_t *)&dns->poll);
    }
    return rc;
}

/* Send the query. What could not be sent is judged as what was lost on the way. */
static int send_query(struct check_dns *dns)
{
    if (send(dns->fd, dns->query + LENGTH_BYTES, dns->query_length, MSG_NOSIGNAL) < 0) {
        if (error_is_ours(-errno)) {
            return -errno;
        }
        if (errno != EPERM) {
            dns->refused = -errno;
        }
    }
    return 0;
}

static int begin(struct check_dns *dns)
{
    if (!make_query(dns)) {
        return UV_EINVAL;
    }
    if (dns->attempt.probe->check->over_tcp || is_over_tls(dns)) {
        return open_stream(dns);
    }
    int rc = open_socket(dns, &dns->attempt.probe->target);
    if (rc == 0 && dns->refused == 0) {
        rc = send_query(dns);
    }
    if (rc == 0) {
        /* a refused socket is writable, so it has its event in the next turn */
        rc = uv_poll_start(&dns->poll, dns->refused != 0 ? UV_WRITABLE : UV_READABLE, on_event);
    }
    return rc;
}

static struct check_attempt *start(uv_loop_t *loop, const struct health_probe *probe,
                                   check_done *done, void *user, int *out_error)
{
    struct check_dns *dns = calloc(1, sizeof(*dns));

    if (dns == NULL) {
        *out_error = UV_ENOMEM;
        return NULL;
    }
    dns->fd = -1;
    attempt_begin(&dns->attempt, &check_dns_kind, loop, probe, done, user);
    int rc = begin(dns);
    if (rc < 0) {
        attempt_cancel(&dns->attempt);
        *out_error = rc;
        return NULL;
    }
    return &dns->attempt;
}

static void release(struct check_attempt *attempt)
{
    struct check_dns *dns = (struct check_dns *)attempt;

    if (dns->fd >= 0) {
        (void)close(dns->fd);
    }
    check_stream_fini(&dns->stream);
    free(dns->message);
    free(dns);
}

const struct check_kind check_dns_kind = {
    .name = "dns",
    .start = start,
    .cancel = attempt_cancel,
    .release = release,
};
