#include "policy/checks/check_stream.h"

#include <errno.h>
#include <netinet/in.h>

#include "base/error.h"

/*
 * Is the socket connected to itself? TCP allows that when the port that the
 * kernel picked for us is the one we connect to: on loopback, where nobody
 * listens any more, about one probe in 28,000 would find a living target.
 */
static bool is_self_connected(const struct check_stream *stream)
{
    struct sockaddr_storage own;
    struct addr addr;
    int size = sizeof(own);

    return uv_tcp_getsockname(&stream->tcp, (struct sockaddr *)&own, &size) == 0 &&
           addr_from_sockaddr((struct sockaddr *)&own, &addr) &&
           addr.port == stream->attempt->probe->target.port &&
           addr_same_host(&addr, &stream->attempt->probe->target);
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
        return;
    }
    stream->on_connected(stream);
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
    stream->connecting.data = stream;
    rc = uv_tcp_connect(&stream->connecting, &stream->tcp, (struct sockaddr *)&address, on_connect);
    if (rc < 0 && !error_is_ours(rc)) {
        attempt_fail(stream->attempt, stream->where, rc);
        return 0;
    }
    return rc;
}

static void on_written(uv_write_t *request, int status)
{
    struct check_stream *stream = request->data;

    if (status < 0) {
        attempt_fail(stream->attempt, stream->where, status);
    }
}

void check_stream_send(struct check_stream *stream, const void *bytes, size_t size)
{
    uv_buf_t rest = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)size);

    /* A request fits the send buffer of a new connection, nearly always. */
    int sent = uv_try_write((uv_stream_t *)&stream->tcp, &rest, 1);
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
    int rc = uv_write(&stream->writing, (uv_stream_t *)&stream->tcp, &rest, 1, on_written);
    if (rc < 0) {
        attempt_fail(stream->attempt, stream->where, rc);
    }
}

static struct check_stream *stream_of(void *tcp)
{
    return (struct check_stream *)tcp; /* its first member */
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct check_stream *stream = stream_of(handle);

    (void)suggested;
    *out = uv_buf_init(stream->buffer, (unsigned)stream->buffer_size);
}

static void on_read(uv_stream_t *handle, ssize_t size, const uv_buf_t *buf)
{
    struct check_stream *stream = stream_of(handle);

    (void)buf;
    if (size == UV_EOF) {
        stream->on_ended(stream);
    } else if (size < 0) {
        attempt_fail(stream->attempt, stream->where, (int)size);
    } else if (size > 0) {
        stream->on_received(stream, (size_t)size);
    }
}

void check_stream_read(struct check_stream *stream)
{
    int rc = uv_read_start((uv_stream_t *)&stream->tcp, on_alloc, on_read);

    if (rc < 0) {
        attempt_fail(stream->attempt, stream->where, rc);
    }
}
