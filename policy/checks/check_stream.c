#include "policy/checks/check_stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/tls.h"
#include "policy/checks/check_trust.h"

#define READ_BYTES 4096
#define DAY_S      86400
#define FREE_PORTS 1024 /* below it the kernel picks no port of its own accord (ip(7)) */

/* Bytes on their way through TLS that the socket did not take at once. */
struct rest {
    uv_write_t request;
    char bytes[];
};

/* Both hold bytes during one callback only: every attempt is of the same thread. */
static char ciphered[READ_BYTES];
static char shared[READ_BYTES];

static uv_stream_t *socket_of(struct check_stream *stream)
{
    return (uv_stream_t *)&stream->tcp;
}

static struct check_stream *stream_of(void *tcp)
{
    return (struct check_stream *)tcp; /* its first member */
}

static const struct model_check *check_of(const struct check_stream *stream)
{
    return stream->attempt->probe->check;
}

/* ---- the certificate ---- */

bool check_stream_seconds_left(const struct check_stream *stream, int64_t *out_s)
{
    return stream->tls != NULL &&
           tls_seconds_left(stream->tls, (int64_t)(clock_wall_ms() / 1000), out_s);
}

/* Words for a certificate that is good now and will not be for long; false for others. */
static bool expires_soon(const struct check_stream *stream, char *out, size_t cap)
{
    uint32_t wanted = check_of(stream)->days_left;
    int64_t left;

    if (wanted == 0 || !check_stream_seconds_left(stream, &left) ||
        left >= (int64_t)wanted * DAY_S) {
        return false;
    }
    if (left < 0) {
        (void)snprintf(out, cap, "certificate has expired");
    } else if (left < DAY_S) {
        (void)snprintf(out, cap, "certificate expires within a day");
    } else {
        (void)snprintf(out, cap, "certificate expires in %d day%s", (int)(left / DAY_S),
                       left / DAY_S == 1 ? "" : "s");
    }
    return true;
}

/* ---- sending ---- */

static void on_rest_written(uv_write_t *request, int status)
{
    struct check_stream *stream = request->data;

    free(request);
    if (status < 0) {
        attempt_fail(stream->attempt, "tls", status);
    }
}

static int send_rest(struct check_stream *stream, const uint8_t *bytes, size_t size)
{
    struct rest *rest = malloc(sizeof(*rest) + size);

    if (rest == NULL) {
        return UV_ENOMEM;
    }
    memcpy(rest->bytes, bytes, size);
    rest->request.data = stream;
    uv_buf_t buffer = uv_buf_init(rest->bytes, (unsigned)size);
    int rc = uv_write(&rest->request, socket_of(stream), &buffer, 1, on_rest_written);
    if (rc < 0) {
        free(rest);
    }
    return rc;
}

/* What TLS wants sent. To be called after every call of it. */
static int drain(struct check_stream *stream)
{
    const uint8_t *bytes;
    size_t size = tls_output(stream->tls, &bytes);
    int rc = 0;

    if (size == 0) {
        return 0;
    }
    uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)size);
    int sent = uv_try_write(socket_of(stream), &buffer, 1);
    if (sent < 0 && sent != UV_EAGAIN) {
        rc = sent;
    } else if (sent < (int)size) {
        size_t done = sent > 0 ? (size_t)sent : 0;
        rc = send_rest(stream, bytes + done, size - done);
    }
    tls_output_sent(stream->tls);
    return rc;
}

static void on_written(uv_write_t *request, int status)
{
    struct check_stream *stream = request->data;

    if (status < 0) {
        attempt_fail(stream->attempt, stream->where, status);
    }
}

static void send_plain(struct check_stream *stream, const void *bytes, size_t size)
{
    uv_buf_t rest = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)size);

    /* A request fits the send buffer of a new connection, nearly always. */
    int sent = uv_try_write(socket_of(stream), &rest, 1);
    if (sent == UV_EAGAIN) {
        sent = 0;
    }
    if (sent < 0) {
        attempt_fail(stream->attempt, stream->where, sent);
        return;
    }
    if ((size_t)sent == size) {
        return;
    }
    rest.base += sent;
    rest.len -= (size_t)sent;
    stream->writing.data = stream;
    int rc = uv_write(&stream->writing, socket_of(stream), &rest, 1, on_written);
    if (rc < 0) {
        attempt_fail(stream->attempt, stream->where, rc);
    }
}

/* Why TLS has ended, other than by a close. */
static void fail_tls(struct check_stream *stream, int code)
{
    char reason[CHECK_REASON_MAX];
    const char *words = code == -ESHUTDOWN ? "closed within the handshake" : tls_text(stream->tls);
    bool refused = code == -EKEYREJECTED; /* by us; the words say of what they are */

    (void)snprintf(reason, sizeof(reason), "%s%s", refused ? "" : "tls: ", words);
    attempt_decide(stream->attempt, DETECT_STRONG, false, reason);
}

void check_stream_send(struct check_stream *stream, const void *bytes, size_t size)
{
    if (stream->tls == NULL) {
        send_plain(stream, bytes, size);
        return;
    }
    int rc = tls_write(stream->tls, bytes, size);
    if (rc < 0) {
        fail_tls(stream, rc);
    }
    rc = drain(stream);
    if (rc < 0) {
        attempt_fail(stream->attempt, "tls", rc);
    }
}

/* ---- receiving ---- */

/* What has been decrypted, as far as it goes. */
static void read_secured(struct check_stream *stream)
{
    struct check_attempt *attempt = stream->attempt;

    while (!attempt->closing && stream->reading) {
        int got = tls_read(stream->tls, (uint8_t *)stream->buffer, stream->buffer_size);
        int sent = drain(stream);
        if (got > 0) {
            stream->on_received(stream, (size_t)got);
        } else if (got == -ESHUTDOWN) {
            stream->on_ended(stream);
            return;
        } else if (got < 0) {
            fail_tls(stream, got);
        } else if (sent < 0) {
            attempt_fail(attempt, "tls", sent);
        } else {
            return;
        }
    }
}

static void shake_hands(struct check_stream *stream)
{
    int done = tls_handshake(stream->tls);

    if (done == 1) {
        stream->secured = true;
        /* first, so that what it sends goes along with our last word of the handshake */
        stream->on_connected(stream);
    }
    /* an alert goes out too, if it can: the peer's log says why then */
    int sent = drain(stream);
    if (done < 0) {
        fail_tls(stream, done);
    } else if (sent < 0) {
        attempt_fail(stream->attempt, "tls", sent);
    }
}

static void take_ciphered(struct check_stream *stream, size_t size)
{
    int rc = tls_feed(stream->tls, (const uint8_t *)ciphered, size);

    if (rc < 0) {
        attempt_fail(stream->attempt, "tls", rc);
        return;
    }
    if (!stream->secured) {
        shake_hands(stream);
    }
    if (stream->secured) {
        read_secured(stream);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct check_stream *stream = stream_of(handle);

    (void)suggested;
    *out = stream->tls != NULL ? uv_buf_init(ciphered, sizeof(ciphered))
                               : uv_buf_init(stream->buffer, (unsigned)stream->buffer_size);
}

static void on_read(uv_stream_t *handle, ssize_t size, const uv_buf_t *buf)
{
    struct check_stream *stream = stream_of(handle);
    bool greeting = stream->tls != NULL && !stream->secured;

    (void)buf;
    if (size == UV_EOF && greeting) {
        fail_tls(stream, -ESHUTDOWN);
    } else if (size == UV_EOF) {
        stream->on_ended(stream);
    } else if (size < 0) {
        attempt_fail(stream->attempt, greeting ? "tls" : stream->where, (int)size);
    } else if (size > 0 && stream->tls != NULL) {
        take_ciphered(stream, (size_t)size);
    } else if (size > 0) {
        stream->on_received(stream, (size_t)size);
    }
}

static void begin_to_read(struct check_stream *stream)
{
    int rc = uv_read_start(socket_of(stream), on_alloc, on_read);

    if (rc < 0) {
        attempt_fail(stream->attempt, stream->where, rc);
    }
}

void check_stream_read(struct check_stream *stream)
{
    if (stream->buffer == NULL) {
        stream->buffer = shared;
        stream->buffer_size = sizeof(shared);
    }
    stream->reading = true;
    if (stream->tls == NULL) {
        begin_to_read(stream);
    }
}

/* ---- the beginning ---- */

/*
 * Is the socket connected to itself? TCP allows that when the port that the
 * kernel picked for us is the one we connect to: on loopback, where nobody
 * listens any more, about one probe in 28,000 would find a living target.
 */
static bool is_self_connected(const struct check_stream *stream)
{
    const struct addr *target = &stream->attempt->probe->target;
    struct sockaddr_storage own;
    struct addr addr;
    int size = sizeof(own);

    return target->port >= FREE_PORTS &&
           uv_tcp_getsockname(&stream->tcp, (struct sockaddr *)&own, &size) == 0 &&
           addr_from_sockaddr((struct sockaddr *)&own, &addr) && addr.port == target->port &&
           addr_same_host(&addr, target);
}

static void begin_tls(struct check_stream *stream)
{
    stream->tls = tls_new(stream->context, check_of(stream)->tls, NULL);
    if (stream->tls == NULL) {
        attempt_fail(stream->attempt, "tls", UV_ENOMEM);
        return;
    }
    stream->attempt->lacking = "tls: no answer";
    int rc = drain(stream);
    if (rc < 0) {
        attempt_fail(stream->attempt, "tls", rc);
        return;
    }
    begin_to_read(stream);
}

static void on_connect(uv_connect_t *request, int status)
{
    struct check_stream *stream = request->data;

    if (stream->attempt->closing) {
        return;
    }
    if (status == 0 && is_self_connected(stream)) {
        status = -ECONNREFUSED;
    }
    if (status < 0) {
        attempt_fail(stream->attempt, stream->where, status);
    } else if (stream->context != NULL) {
        begin_tls(stream);
    } else {
        stream->on_connected(stream);
    }
}

/* True when the attempt is decided: what TLS needs cannot be had. */
static bool lacks_tls(struct check_stream *stream)
{
    const struct tls_settings *settings = check_of(stream)->tls;
    struct error err;

    if (settings == NULL ||
        check_trust_find(settings, clock_now_ms(), &stream->context, &err) == 0) {
        return false;
    }
    attempt_decide(stream->attempt, DETECT_VOID, false, err.message);
    return true;
}

int check_stream_open(struct check_stream *stream, const struct addr *target)
{
    struct sockaddr_storage address;

    (void)addr_to_sockaddr(target, &address);
    int rc = uv_tcp_init(stream->attempt->loop, &stream->tcp);
    if (rc < 0) {
        return rc;
    }
    attempt_hold(stream->attempt, (uv_handle_t *)&stream->tcp);
    if (lacks_tls(stream)) {
        return 0;
    }
    stream->connecting.data = stream;
    rc = uv_tcp_connect(&stream->connecting, &stream->tcp, (struct sockaddr *)&address, on_connect);
    if (rc < 0 && !error_is_ours(rc)) {
        attempt_fail(stream->attempt, stream->where, rc);
        return 0;
    }
    return rc;
}

/* ---- the end ---- */

void check_stream_decide(struct check_stream *stream, enum detect_outcome outcome,
                         bool misconfigured, const char *reason)
{
    char words[64];

    if (stream->attempt->closing) {
        return;
    }
    if (outcome == DETECT_PASS && expires_soon(stream, words, sizeof(words))) {
        outcome = DETECT_WARNING;
        reason = words;
    }
    if (stream->secured) {
        tls_shutdown(stream->tls);
        (void)drain(stream); /* a courtesy: without it the peer may log a broken stream */
    }
    attempt_decide(stream->attempt, outcome, misconfigured, reason);
}

void check_stream_fini(struct check_stream *stream)
{
    tls_free(stream->tls);
    stream->tls = NULL;
    tls_context_unref(stream->context);
    stream->context = NULL;
}
