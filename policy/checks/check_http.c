/*
 * check_http - does the target answer a request as it should?
 *
 * One HTTP/1.1 request on a connection of its own, plain or over TLS. Redirects
 * are not followed: what another host answers says nothing about this one.
 * When nothing is expected of the body, the status line suffices.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/checks/check_stream.h"
#include "policy/checks/http_body.h"
#include "policy/checks/http_request.h"
#include "policy/checks/http_response.h"

#define REQUEST_BYTES 1024 /* nearly every request fits; others are written twice */
#define FIRST_BYTES   4096 /* of a body that is kept */

struct check_http {
    struct check_attempt attempt; /* first: the two are one object */
    struct check_stream stream;
    struct http_response response;
    struct http_body body;
    char *bytes; /* of the body: it grows with what comes, when one is wanted */
    size_t request_size;
    char request[]; /* behind everything, as long as it is */
};

static const struct model_check *check_of(const struct check_http *http)
{
    return http->attempt.probe->check;
}

/* ---- the response ---- */

static bool is_wanted_status(const struct model_check *check, unsigned status)
{
    for (size_t i = 0; i < check->status_count; i++) {
        if (status >= check->statuses[i].first && status <= check->statuses[i].last) {
            return true;
        }
    }
    return check->status_count == 0 && status >= 200 && status <= 299;
}

static void decide_status(struct check_http *http, enum detect_outcome outcome)
{
    char words[32];

    (void)snprintf(words, sizeof(words), "status %u", http->response.status);
    check_stream_decide(&http->stream, outcome, false, words);
}

/* Decide by the body as far as it is there; false when more would have to come. */
static bool judge_body(struct check_http *http)
{
    const struct http_response *response = &http->response;
    char reason[CHECK_REASON_MAX];
    bool complete = response->state == HTTP_RESPONSE_DONE;

    http->bytes[response->body_size] = '\0';
    switch (http_body_judge(&http->body, check_of(http), http->bytes, response->body_size, complete,
                            reason, sizeof(reason))) {
    case HTTP_BODY_MORE:
        return false;
    case HTTP_BODY_FITS:
        check_stream_decide(&http->stream, DETECT_PASS, false, "body as expected");
        break;
    case HTTP_BODY_UNKNOWN:
        attempt_fail(&http->attempt, NULL, UV_ENOMEM);
        break;
    case HTTP_BODY_WRONG:
        check_stream_decide(&http->stream, DETECT_STRONG, false, reason);
        break;
    }
    return true;
}

/* What does the response say so far? */
static void judge(struct check_http *http)
{
    const struct http_response *response = &http->response;
    const struct model_check *check = check_of(http);

    if (response->status != 0 && !is_wanted_status(check, response->status)) {
        decide_status(http, DETECT_STRONG);
        return;
    }
    if (response->status != 0 && http_body_is_wanted(check) && judge_body(http)) {
        return;
    }
    switch (response->state) {
    case HTTP_RESPONSE_MORE:
        http->attempt.lacking = response->status != 0 ? "reply not complete" : "no reply";
        break;
    case HTTP_RESPONSE_BAD:
        check_stream_decide(&http->stream, DETECT_STRONG, false, response->error);
        break;
    case HTTP_RESPONSE_DONE:
        decide_status(http, DETECT_PASS);
        break;
    }
}

/* ---- the connection ---- */

static struct check_http *http_of(const struct check_stream *stream)
{
    return (struct check_http *)stream->attempt;
}

/*
 * Room for `size` more bytes of body, and for one beyond, as a full buffer ends
 * the reading. Not 64 KiB from the start: touching fresh memory would cost as
 * much as all the rest of a probe.
 */
static bool reserve_body(struct check_http *http, size_t size)
{
    struct http_response *response = &http->response;
    size_t wanted = response->body_size + size + 1;

    if (wanted > HTTP_RESPONSE_BODY_MAX) {
        wanted = HTTP_RESPONSE_BODY_MAX;
    }
    if (wanted <= response->body_capacity) {
        return true;
    }
    if (response->body_capacity > 0) {
        wanted = HTTP_RESPONSE_BODY_MAX;
    }
    char *bytes = realloc(http->bytes, wanted + 1); /* the zero byte: see check_pattern.h */
    if (bytes == NULL) {
        return false;
    }
    http->bytes = bytes;
    response->body = bytes;
    response->body_capacity = wanted;
    return true;
}

static void on_connected(struct check_stream *stream)
{
    struct check_http *http = http_of(stream);
    const struct model_check *check = check_of(http);

    http_response_init(&http->response, NULL, 0);
    http->response.head = check->method != NULL && strcmp(check->method, "HEAD") == 0;
    if (http_body_is_wanted(check) && !reserve_body(http, FIRST_BYTES)) {
        attempt_fail(&http->attempt, NULL, UV_ENOMEM);
        return;
    }
    http->attempt.lacking = "no reply";
    check_stream_send(stream, http->request, http->request_size);
    if (!http->attempt.closing) {
        check_stream_read(stream);
    }
}

static void on_received(struct check_stream *stream, size_t size)
{
    struct check_http *http = http_of(stream);

    if (http->bytes != NULL && !reserve_body(http, size)) {
        attempt_fail(&http->attempt, NULL, UV_ENOMEM);
        return;
    }
    (void)http_response_feed(&http->response, stream->buffer, size);
    judge(http);
}

static void on_ended(struct check_stream *stream)
{
    struct check_http *http = http_of(stream);

    (void)http_response_end(&http->response);
    judge(http);
}

/* An attempt with its request, or NULL without memory. */
static struct check_http *make(const struct health_probe *probe)
{
    char request[REQUEST_BYTES];
    size_t size = http_request_format(probe->check, &probe->target, request, sizeof(request));
    struct check_http *http = malloc(sizeof(*http) + size + 1);

    if (http == NULL) {
        return NULL;
    }
    memset(http, 0, sizeof(*http));
    http->request_size = size;
    if (size < sizeof(request)) {
        memcpy(http->request, request, size + 1);
    } else {
        (void)http_request_format(probe->check, &probe->target, http->request, size + 1);
    }
    return http;
}

static struct check_attempt *start(uv_loop_t *loop, const struct health_probe *probe,
                                   check_done *done, void *user, int *out_error)
{
    struct check_http *http = make(probe);

    if (http == NULL) {
        *out_error = UV_ENOMEM;
        return NULL;
    }
    attempt_begin(&http->attempt, &check_http_kind, loop, probe, done, user);
    http->attempt.lacking = "connect: no answer";
    http->stream.attempt = &http->attempt;
    http->stream.on_connected = on_connected;
    http->stream.on_received = on_received;
    http->stream.on_ended = on_ended;
    int rc = check_stream_open(&http->stream, &probe->target);
    if (rc < 0) {
        attempt_cancel(&http->attempt);
        *out_error = rc;
        return NULL;
    }
    return &http->attempt;
}

static void release(struct check_attempt *attempt)
{
    struct check_http *http = (struct check_http *)attempt;

    check_stream_fini(&http->stream);
    free(http->bytes);
    free(http);
}

const struct check_kind check_http_kind = {
    .name = "http",
    .start = start,
    .cancel = attempt_cancel,
    .release = release,
};
