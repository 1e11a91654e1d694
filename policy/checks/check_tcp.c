/*
 * check_tcp - does the target accept a connection, and answer as it should?
 *
 * With `send` it is sent something, with `expect` that must be in the first
 * 4 KiB of what comes back, wherever; over TLS, if the check says so.
 *
 * The connection is closed as any other, with a FIN. That leaves TIME_WAIT
 * here, on the side that closes first, and SO_LINGER 0 would avoid it with a
 * reset; but a reset is an error in the target's logs at every probe, and may
 * make its accept() fail. TIME_WAIT is affordable: ports are only used up per
 * target, where 28,000 of them for 60 s allow 470 probes per second and the
 * shortest confirm_interval makes 20; and the kernel bounds their number
 * (tcp_max_tw_buckets) by letting the excess go early.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/checks/check_quote.h"
#include "policy/checks/check_stream.h"

#define REPLY_BYTES 4096

struct check_tcp {
    struct check_attempt attempt; /* first: the two are one object */
    struct check_stream stream;
    size_t size;     /* of what has come */
    size_t searched; /* bytes of it in which what is expected does not begin */
    char reply[];    /* REPLY_BYTES, if anything is expected */
};

static struct check_tcp *tcp_of(const struct check_stream *stream)
{
    return (struct check_tcp *)stream->attempt;
}

static const struct model_check *check_of(const struct check_tcp *tcp)
{
    return tcp->attempt.probe->check;
}

static void on_connected(struct check_stream *stream)
{
    struct check_tcp *tcp = tcp_of(stream);
    const struct model_check *check = check_of(tcp);

    if (check->send != NULL && check->send_size > 0) {
        check_stream_send(stream, check->send, check->send_size);
    }
    if (tcp->attempt.closing) {
        return;
    }
    if (check->expect == NULL) {
        check_stream_decide(stream, DETECT_PASS, false, "connected");
        return;
    }
    tcp->attempt.lacking = "no reply";
    stream->buffer = tcp->reply;
    stream->buffer_size = REPLY_BYTES;
    check_stream_read(stream);
}

/* Is what is expected there by now? */
static bool has_expected(struct check_tcp *tcp)
{
    const char *expected = check_of(tcp)->expect;
    size_t length = strlen(expected);

    if (tcp->size < length) {
        return false;
    }
    if (memmem(tcp->reply + tcp->searched, tcp->size - tcp->searched, expected, length) != NULL) {
        return true;
    }
    tcp->searched = tcp->size - length + 1; /* it may have come in part */
    return false;
}

static void decide_missing(struct check_tcp *tcp, const char *where)
{
    const char *expected = check_of(tcp)->expect;
    char reason[CHECK_REASON_MAX];
    char wanted[CHECK_QUOTE_MAX];
    char got[CHECK_QUOTE_MAX];

    (void)check_quote(expected, strlen(expected), wanted);
    if (tcp->size == 0) {
        (void)snprintf(reason, sizeof(reason), "closed without a reply, expected '%s'", wanted);
    } else {
        (void)snprintf(reason, sizeof(reason), "'%s' is not in the reply%s: '%s'", wanted, where,
                       check_quote(tcp->reply, tcp->size, got));
    }
    check_stream_decide(&tcp->stream, DETECT_STRONG, false, reason);
}

static void on_received(struct check_stream *stream, size_t size)
{
    struct check_tcp *tcp = tcp_of(stream);

    tcp->size += size;
    tcp->attempt.lacking = "reply not as expected";
    if (has_expected(tcp)) {
        check_stream_decide(stream, DETECT_PASS, false, "reply as expected");
    } else if (tcp->size == REPLY_BYTES) {
        decide_missing(tcp, "'s first 4 KiB");
    }
    stream->buffer = tcp->reply + tcp->size;
    stream->buffer_size = REPLY_BYTES - tcp->size;
}

static void on_ended(struct check_stream *stream)
{
    decide_missing(tcp_of(stream), "");
}

static struct check_attempt *start(uv_loop_t *loop, const struct health_probe *probe,
                                   check_done *done, void *user, int *out_error)
{
    bool expects = probe->check->expect != NULL;
    struct check_tcp *tcp = calloc(1, sizeof(*tcp) + (expects ? REPLY_BYTES : 0));

    if (tcp == NULL) {
        *out_error = UV_ENOMEM;
        return NULL;
    }
    attempt_begin(&tcp->attempt, &check_tcp_kind, loop, probe, done, user);
    tcp->attempt.lacking = "connect: no answer";
    tcp->stream.attempt = &tcp->attempt;
    tcp->stream.on_connected = on_connected;
    tcp->stream.on_received = on_received;
    tcp->stream.on_ended = on_ended;
    int rc = check_stream_open(&tcp->stream, &probe->target);
    if (rc < 0) {
        attempt_cancel(&tcp->attempt);
        *out_error = rc;
        return NULL;
    }
    return &tcp->attempt;
}

static void release(struct check_attempt *attempt)
{
    struct check_tcp *tcp = (struct check_tcp *)attempt;

    check_stream_fini(&tcp->stream);
    free(tcp);
}

const struct check_kind check_tcp_kind = {
    .name = "tcp",
    .start = start,
    .cancel = attempt_cancel,
    .release = release,
};
