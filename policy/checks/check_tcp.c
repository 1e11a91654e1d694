/*
 * check_tcp - does the target accept a connection?
 *
 * The connection is closed as any other, with a FIN. That leaves TIME_WAIT
 * here, on the side that closes first, and SO_LINGER 0 would avoid it with a
 * reset; but a reset is an error in the target's logs at every probe, and may
 * make its accept() fail. TIME_WAIT is affordable: ports are only used up per
 * target, where 28,000 of them for 60 s allow 470 probes per second and the
 * shortest confirm_interval makes 20; and the kernel bounds their number
 * (tcp_max_tw_buckets) by letting the excess go early.
 */
#include <stdlib.h>

#include "policy/checks/check_stream.h"

struct check_tcp {
    struct check_attempt attempt; /* first: the two are one object */
    struct check_stream stream;
};

static void on_connected(struct check_stream *stream)
{
    attempt_decide(stream->attempt, DETECT_PASS, false, "connected");
}

static struct check_attempt *start(uv_loop_t *loop, const struct health_probe *probe,
                                   check_done *done, void *user, int *out_error)
{
    struct check_tcp *tcp = calloc(1, sizeof(*tcp));

    if (tcp == NULL) {
        *out_error = UV_ENOMEM;
        return NULL;
    }
    attempt_begin(&tcp->attempt, &check_tcp_kind, loop, probe, done, user);
    tcp->attempt.lacking = "connect: no answer";
    tcp->stream.attempt = &tcp->attempt;
    tcp->stream.on_connected = on_connected;
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
    free(attempt);
}

const struct check_kind check_tcp_kind = {
    .name = "tcp",
    .start = start,
    .cancel = attempt_cancel,
    .release = release,
};
