/*
 * check_tls - does the target show a certificate that is good?
 *
 * A handshake and no more. A certificate that is refused is a failure; one
 * that expires before `days_left` is a warning.
 */
#include <stdio.h>
#include <stdlib.h>

#include "policy/checks/check_stream.h"

#define DAY_S 86400

struct check_tls {
    struct check_attempt attempt; /* first: the two are one object */
    struct check_stream stream;
};

static void on_connected(struct check_stream *stream)
{
    char reason[64];
    int64_t left;

    if (!check_stream_seconds_left(stream, &left) || left < 0) {
        (void)snprintf(reason, sizeof(reason), "handshake complete"); /* it was not judged */
    } else {
        (void)snprintf(reason, sizeof(reason), "certificate good for %lld days",
                       (long long)(left / DAY_S));
    }
    check_stream_decide(stream, DETECT_PASS, false, reason);
}

static struct check_attempt *start(uv_loop_t *loop, const struct health_probe *probe,
                                   check_done *done, void *user, int *out_error)
{
    struct check_tls *tls = calloc(1, sizeof(*tls));

    if (tls == NULL) {
        *out_error = UV_ENOMEM;
        return NULL;
    }
    attempt_begin(&tls->attempt, &check_tls_kind, loop, probe, done, user);
    tls->attempt.lacking = "connect: no answer";
    tls->stream.attempt = &tls->attempt;
    tls->stream.on_connected = on_connected;
    int rc = check_stream_open(&tls->stream, &probe->target);
    if (rc < 0) {
        attempt_cancel(&tls->attempt);
        *out_error = rc;
        return NULL;
    }
    return &tls->attempt;
}

static void release(struct check_attempt *attempt)
{
    struct check_tls *tls = (struct check_tls *)attempt;

    check_stream_fini(&tls->stream);
    free(tls);
}

const struct check_kind check_tls_kind = {
    .name = "tls",
    .start = start,
    .cancel = attempt_cancel,
    .release = release,
};
