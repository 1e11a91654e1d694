#include "resolver/forward/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/tls.h"

struct write {
    uv_write_t request;
    uint8_t bytes[];
};

static uv_stream_t *stream_of(struct channel *channel)
{
    return (uv_stream_t *)&channel->tcp;
}

static void end(struct channel *channel, int code, const char *text)
{
    if (!channel->closing) {
        channel->events->ended(channel, code, text);
    }
}

static void end_with(struct channel *channel, int code)
{
    end(channel, code, code == UV_EOF ? "closed by the upstream" : uv_strerror(code));
}

/* ---- sending ---- */

static void on_written(uv_write_t *request, int status)
{
    struct channel *channel = request->data;

    free(request);
    if (channel->closing) {
        return;
    }
    if (status < 0) {
        end_with(channel, status);
    } else if (channel->tcp.write_queue_size == 0) {
        channel->events->written(channel);
    }
}

/* At once as far as it goes; the rest waits in memory of its own. */
static int send_bytes(struct channel *channel, const uint8_t *bytes, size_t size)
{
    uv_buf_t buffer = uv_buf_init((char *)bytes, (unsigned)size);
    int sent = uv_try_write(stream_of(channel), &buffer, 1);

    if (sent < 0 && sent != UV_EAGAIN) {
        return sent;
    }
    size_t done = sent > 0 ? (size_t)sent : 0;
    size_t left = size - done;
    if (left == 0) {
        return 0;
    }
    struct write *write = malloc(sizeof(*write) + left);
    if (write == NULL) {
        return -ENOMEM;
    }
    memcpy(write->bytes, bytes + done, left);
    write->request.data = channel;
    buffer = uv_buf_init((char *)write->bytes, (unsigned)left);
    int code = uv_write(&write->request, stream_of(channel), &buffer, 1, on_written);
    if (code < 0) {
        free(write);
    }
    return code;
}

/* What TLS wants sent. To be called after every call of it. */
static int drain(struct channel *channel)
{
    const uint8_t *bytes;
    size_t size = tls_output(channel->tls, &bytes);

    if (size == 0) {
        return 0;
    }
    int code = send_bytes(channel, bytes, size);
    tls_output_sent(channel->tls);
    return code;
}

int channel_write(struct channel *channel, const uint8_t *bytes, size_t size)
{
    if (channel->tls == NULL) {
        return send_bytes(channel, bytes, size);
    }
    int code = tls_write(channel->tls, bytes, size);
    int sent = drain(channel);
    return code < 0 ? code : sent;
}

size_t channel_unsent(const struct channel *channel)
{
    return channel->tcp.write_queue_size;
}

/* ---- receiving ---- */

static void become_ready(struct channel *channel)
{
    channel->ready = true;
    channel->events->ready(channel);
}

static void end_tls(struct channel *channel, int code)
{
    if (code == -ESHUTDOWN) {
        end_with(channel, UV_EOF);
    } else {
        end(channel, code, tls_text(channel->tls));
    }
}

/* Everything that was fed, as far as it can be read; then what TLS says to it. */
static void read_tls(struct channel *channel)
{
    struct channel_buffers *buffers = channel->buffers;
    int got;

    do {
        got = tls_read(channel->tls, buffers->plain, sizeof(buffers->plain));
        /* an alert goes out too, if it can: the upstream's log says why then */
        int sent = drain(channel);
        if (got < 0) {
            end_tls(channel, got);
            return;
        }
        if (sent < 0) {
            end_with(channel, sent);
            return;
        }
        if (!channel->ready && tls_is_open(channel->tls)) {
            become_ready(channel);
        }
        if (got > 0 && !channel->closing) {
            channel->events->received(channel, buffers->plain, (size_t)got);
        }
    } while (got > 0 && !channel->closing);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct channel *channel = handle->data;

    (void)suggested;
    *out = uv_buf_init((char *)channel->buffers->received, sizeof(channel->buffers->received));
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct channel *channel = stream->data;

    if (channel->closing || got == 0) {
        return;
    }
    if (got < 0) {
        end_with(channel, (int)got);
        return;
    }
    if (channel->tls == NULL) {
        channel->events->received(channel, (const uint8_t *)buffer->base, (size_t)got);
        return;
    }
    int code = tls_feed(channel->tls, (const uint8_t *)buffer->base, (size_t)got);
    if (code < 0) {
        end_with(channel, code);
        return;
    }
    read_tls(channel);
}

/* ---- the beginning ---- */

static void on_connected(uv_connect_t *connect, int status)
{
    struct channel *channel = connect->data;

    if (channel->closing) {
        return;
    }
    if (status == 0) {
        channel->connected = true;
        (void)uv_tcp_nodelay(&channel->tcp, 1);
        status = uv_read_start(stream_of(channel), on_alloc, on_read);
    }
    if (status == 0 && channel->tls != NULL) {
        status = drain(channel);
    }
    if (status < 0) {
        end_with(channel, status);
    } else if (channel->tls == NULL) {
        become_ready(channel);
    }
}

static int bind_source(struct channel *channel, const struct addr *source)
{
    struct addr any_port = *source;
    struct sockaddr_storage address;

    any_port.port = 0;
    (void)addr_to_sockaddr(&any_port, &address);
    return uv_tcp_bind(&channel->tcp, (struct sockaddr *)&address, 0);
}

int channel_open(struct channel *channel, const struct channel_opening *opening,
                 const struct channel_events *events)
{
    struct sockaddr_storage address;

    channel->events = events;
    channel->buffers = opening->buffers;
    (void)uv_tcp_init(opening->loop, &channel->tcp); /* makes no socket yet: cannot fail */
    channel->tcp.data = channel;
    channel->connect.data = channel;
    if (opening->context != NULL) {
        channel->tls = tls_new(opening->context, opening->settings, opening->ticket);
        if (channel->tls == NULL) {
            return -ENOMEM;
        }
    }
    int code = opening->source != NULL ? bind_source(channel, opening->source) : 0;
    if (code < 0) {
        return code;
    }
    (void)addr_to_sockaddr(opening->address, &address);
    return uv_tcp_connect(&channel->connect, &channel->tcp, (struct sockaddr *)&address,
                          on_connected);
}

bool channel_is_resumed(const struct channel *channel)
{
    return channel->tls != NULL && tls_is_resumed(channel->tls);
}

bool channel_offered_ticket(const struct channel *channel)
{
    return channel->connected && channel->tls != NULL && tls_offered_ticket(channel->tls);
}

/* ---- the end ---- */

static void on_closed(uv_handle_t *handle)
{
    struct channel *channel = handle->data;

    /* here, because the channel may be closed while TLS is reading */
    tls_free(channel->tls);
    channel->tls = NULL;
    channel->events->closed(channel);
}

void channel_close(struct channel *channel)
{
    if (channel->closing) {
        return;
    }
    channel->closing = true;
    if (channel->ready && channel->tls != NULL) {
        tls_shutdown(channel->tls);
        const uint8_t *bytes;
        size_t size = tls_output(channel->tls, &bytes);
        uv_buf_t buffer = uv_buf_init((char *)bytes, (unsigned)size);
        if (size > 0) {
            (void)uv_try_write(stream_of(channel), &buffer, 1); /* a courtesy */
        }
    }
    uv_close((uv_handle_t *)&channel->tcp, on_closed);
}
