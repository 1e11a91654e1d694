/*
 * check_http - does the target answer a GET as it should?
 *
 * One plain HTTP/1.1 request on a connection of its own. Redirects are not
 * followed: what another host answers says nothing about this one. Without a
 * body to look for, the status line suffices.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/checks/check_stream.h"
#include "policy/checks/http_response.h"

#define HTTP_PORT   80
#define READ_BYTES  4096
#define SHOWN_BYTES 40 /* of the body looked for, in a reason */

struct check_http {
    struct check_attempt attempt; /* first: the two are one object */
    struct check_stream stream;
    struct http_response response;
    char *body;      /* grows with what comes, when a body is looked for */
    size_t searched; /* bytes of it in which what is looked for does not begin */
    char buffer[READ_BYTES];
    int request_size;
    char request[]; /* behind everything, as long as it is */
};

static const struct model_check *check_of(const struct check_http *http)
{
    return &http->attempt.probe->check;
}

/* ---- the request ---- */

/* The Host of a check that names none: the target, its port unless it is 80. */
static void format_host(const struct addr *target, char out[ADDR_TEXT_MAX])
{
    struct addr plain = *target;

    plain.scope = 0; /* RFC 9110, section 7.2: an address of ours alone has no place there */
    addr_format_port(&plain, out, ADDR_TEXT_MAX);
    if (plain.port == HTTP_PORT) {
        *strrchr(out, ':') = '\0';
    }
}

/* As snprintf: returns the length, written or not. */
static int format_request(const struct health_probe *probe, char *out, size_t cap)
{
    char target[ADDR_TEXT_MAX];

    format_host(&probe->target, target);
    return snprintf(out, cap,
                    "GET %s HTTP/1.1\r\n"
                    "Host: %s\r\n"
                    "User-Agent: leeward/" LEEWARD_VERSION "\r\n"
                    "Accept: */*\r\n"
                    "Connection: close\r\n"
                    "\r\n",
                    probe->check.path != NULL ? probe->check.path : "/",
                    probe->check.host != NULL ? probe->check.host : target);
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

/* Look for the body wanted in what has come since the last look. */
static bool has_body(struct check_http *http)
{
    const char *wanted = check_of(http)->body;
    size_t length = strlen(wanted);
    size_t size = http->response.body_size;

    if (size < length) {
        return length == 0;
    }
    if (memmem(http->body + http->searched, size - http->searched, wanted, length) != NULL) {
        return true;
    }
    http->searched = size - length + 1; /* it may have come in part */
    return false;
}

static void decide_body(struct check_http *http)
{
    char reason[CHECK_REASON_MAX];
    const char *wanted = check_of(http)->body;
    bool full = http->response.body_size == HTTP_RESPONSE_BODY_MAX;

    (void)snprintf(reason, sizeof(reason), "body does not contain '%.*s%s'%s", SHOWN_BYTES, wanted,
                   strlen(wanted) > SHOWN_BYTES ? "..." : "", full ? " in its first 64 KiB" : "");
    attempt_decide(&http->attempt, DETECT_STRONG, false, reason);
}

/* What does the response say so far? */
static void judge(struct check_http *http)
{
    const struct http_response *response = &http->response;
    char words[32];

    if (response->status != 0 && !is_wanted_status(check_of(http), response->status)) {
        (void)snprintf(words, sizeof(words), "status %u", response->status);
        attempt_decide(&http->attempt, DETECT_STRONG, false, words);
        return;
    }
    if (check_of(http)->body != NULL && response->status != 0 && has_body(http)) {
        attempt_decide(&http->attempt, DETECT_PASS, false, "body as expected");
        return;
    }
    switch (response->state) {
    case HTTP_RESPONSE_MORE:
        http->attempt.lacking = response->status != 0 ? "reply not complete" : "no reply";
        break;
    case HTTP_RESPONSE_BAD:
        attempt_decide(&http->attempt, DETECT_STRONG, false, response->error);
        break;
    case HTTP_RESPONSE_DONE:
        if (check_of(http)->body != NULL) {
            decide_body(http);
            break;
        }
        (void)snprintf(words, sizeof(words), "status %u", response->status);
        attempt_decide(&http->attempt, DETECT_PASS, false, words);
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
    char *body = realloc(http->body, wanted);
    if (body == NULL) {
        return false;
    }
    http->body = body;
    response->body = body;
    response->body_capacity = wanted;
    return true;
}

static void on_connected(struct check_stream *stream)
{
    struct check_http *http = http_of(stream);

    http_response_init(&http->response, NULL, 0);
    if (check_of(http)->body != NULL && !reserve_body(http, READ_BYTES)) {
        attempt_fail(&http->attempt, NULL, UV_ENOMEM);
        return;
    }
    http->attempt.lacking = "no reply";
    stream->buffer = http->buffer;
    stream->buffer_size = sizeof(http->buffer);
    check_stream_send(stream, http->request, (size_t)http->request_size);
    if (!http->attempt.closing) {
        check_stream_read(stream);
    }
}

static void on_received(struct check_stream *stream, size_t size)
{
    struct check_http *http = http_of(stream);

    if (http->body != NULL && !reserve_body(http, size)) {
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

static struct check_attempt *start(uv_loop_t *loop, const struct health_probe *probe,
                                   check_done *done, void *user, int *out_error)
{
    int size = format_request(probe, NULL, 0);
    struct check_http *http = calloc(1, sizeof(*http) + (size_t)size + 1);

    if (http == NULL) {
        *out_error = UV_ENOMEM;
        return NULL;
    }
    attempt_begin(&http->attempt, &check_http_kind, loop, probe, done, user);
    http->attempt.lacking = "connect: no answer";
    http->request_size = format_request(probe, http->request, (size_t)size + 1);
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

    free(http->body);
    free(http);
}

const struct check_kind check_http_kind = {
    .name = "http",
    .start = start,
    .cancel = attempt_cancel,
    .release = release,
};
