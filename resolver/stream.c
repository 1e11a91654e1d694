#include "resolver/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "resolver/relay.h"

#define FRAME_BYTES   2
#define READ_BYTES    4096
#define MESSAGE_BYTES (FRAME_BYTES + WIRE_MESSAGE_MAX)
#define QUERY_MOST    4096         /* no honest query is longer, padding and all */
#define WRITE_ENOUGH  (64 * 1024)  /* unsent answers: no more queries are taken */
#define WRITE_MOST    (256 * 1024) /* with answers from elsewhere: the client does not read */
#define TICK_MOST_MS  1000
#define ACCEPT_MOST   16 /* connections in one turn of the loop */

struct acceptor {
    uv_poll_t poll; /* the socket stays the listener's: uv_tcp_t would close it */
    struct stream_set *set;
    int fd;
    bool pausing; /* until the next tick: there is no descriptor to be had */
    struct acceptor *next;
};

struct stream {
    uv_tcp_t tcp;
    struct stream_set *set;
    struct stream *before, *next; /* by last query, the longest idle first */
    struct sockaddr_storage source;
    uint64_t active_ms;
    unsigned pending; /* questions being asked elsewhere */
    struct addr local; /* the address it was made to, with port */
    bool is_loopback;
    bool taking;      /* in take_queries, which an answer may lead to again */
    bool closing;     /* uv_close was called */
    bool closed;      /* its callback came */
    bool reading;
    bool no_more; /* the client has finished sending */
    size_t used;  /* bytes in `input` */
    uint8_t input[FRAME_BYTES + QUERY_MOST];
};

struct stream_set {
    struct stream_host host;
    struct acceptor *acceptors;
    struct stream *oldest, *newest;
    unsigned count;
    unsigned handles; /* uv handles not closed yet, the timer's included */
    bool closing;
    uv_timer_t timer;
    uint8_t output[MESSAGE_BYTES]; /* the answer being made */
};

struct write {
    uv_write_t request;
    uint8_t bytes[];
};

static void release(struct stream_set *set)
{
    if (--set->handles == 0 && set->closing) {
        free(set);
    }
}

/* ---- the list of connections ---- */

static void unlink_stream(struct stream *s)
{
    struct stream_set *set = s->set;

    *(s->before != NULL ? &s->before->next : &set->oldest) = s->next;
    *(s->next != NULL ? &s->next->before : &set->newest) = s->before;
    s->before = NULL;
    s->next = NULL;
}

static void link_newest(struct stream *s)
{
    struct stream_set *set = s->set;

    s->before = set->newest;
    *(set->newest != NULL ? &set->newest->next : &set->oldest) = s;
    set->newest = s;
}

static void on_stream_closed(uv_handle_t *handle)
{
    struct stream *s = handle->data;

    s->closed = true;
    release(s->set);
    if (s->pending == 0) {
        free(s);
    }
}

static void close_stream(struct stream *s)
{
    if (s->closing) {
        return;
    }
    s->closing = true;
    unlink_stream(s);
    s->set->count--;
    uv_close((uv_handle_t *)&s->tcp, on_stream_closed);
}

static void touch(struct stream *s)
{
    s->active_ms = uv_now(s->set->host.loop);
    unlink_stream(s);
    link_newest(s);
}

/* ---- answers ---- */

static void set_reading(struct stream *s);

/* The client has finished sending, and has all its answers. */
static bool is_over(const struct stream *s)
{
    return s->no_more && s->pending == 0 && s->tcp.write_queue_size == 0;
}

/* Something that queries were waiting for has happened. */
static void go_on(struct stream *s)
{
    set_reading(s);
    if (!s->closing && !s->taking && is_over(s)) {
        close_stream(s);
    }
}

static void on_written(uv_write_t *request, int status)
{
    struct stream *s = request->data;

    free(request);
    if (status < 0) {
        close_stream(s);
    } else {
        go_on(s);
    }
}

/* Send a message that stands behind room for its length. */
static void send_framed(struct stream *s, uint8_t *framed, size_t length)
{
    uv_buf_t buffer;

    if (s->closing) {
        return;
    }
    wire_put16(framed, (uint16_t)length);
    buffer = uv_buf_init((char *)framed, (unsigned)(FRAME_BYTES + length));
    int sent = uv_try_write((uv_stream_t *)&s->tcp, &buffer, 1);
    if (sent == (int)buffer.len) {
        return;
    }
    if (sent < 0 && sent != UV_EAGAIN) {
        close_stream(s);
        return;
    }
    size_t done = sent > 0 ? (size_t)sent : 0;
    size_t left = buffer.len - done;
    struct write *w =
        s->tcp.write_queue_size + left > WRITE_MOST ? NULL : malloc(sizeof(*w) + left);
    if (w == NULL) {
        close_stream(s);
        return;
    }
    memcpy(w->bytes, framed + done, left);
    w->request.data = s;
    buffer = uv_buf_init((char *)w->bytes, (unsigned)left);
    if (uv_write(&w->request, (uv_stream_t *)&s->tcp, &buffer, 1, on_written) < 0) {
        free(w);
        close_stream(s);
    }
}

const struct sockaddr *stream_source(const struct stream *stream)
{
    return (const struct sockaddr *)&stream->source;
}

/* Answer one query of `length` bytes; it stands in the set's output buffer. */
static void answer(struct stream *s, size_t length)
{
    struct stream_set *set = s->set;
    uint8_t *message = set->output + FRAME_BYTES;
    const struct query_client client = {
        .source = (const struct sockaddr *)&s->source,
        .local_is_loopback = s->is_loopback,
        .stream = true,
        .listener = &s->local,
    };
    struct handover_question question;

    set->host.awake(set->host.user);
    set->host.query->now_ms = (int64_t)clock_coarse_ms();
    enum query_verdict verdict =
        query_answer(set->host.query, publication_read(set->host.publication), &client, message,
                     length, WIRE_MESSAGE_MAX, &length);
    switch (verdict) {
    case QUERY_SEND:
        send_framed(s, set->output, length);
        if (set->host.query->refresh != NULL) {
            relay_keep(&question, &set->host.query->query, message, true);
            question.refresh = true;
            set->host.query->refresh = NULL;
            set->host.forward(set->host.user, NULL, &question);
        }
        break;
    case QUERY_FORWARD:
        relay_keep(&question, &set->host.query->query, message, true);
        s->pending++;
        set->host.forward(set->host.user, s, &question);
        break;
    case QUERY_DROP:
        close_stream(s); /* not a query: this is no DNS client */
        break;
    }
}

void stream_reply(struct stream *stream, const uint8_t *message, size_t length)
{
    struct stream *s = stream;

    s->pending--;
    if (s->closed) {
        if (s->pending == 0) {
            free(s);
        }
        return;
    }
    if (!s->closing) {
        memcpy(s->set->output + FRAME_BYTES, message, length);
        send_framed(s, s->set->output, length);
        go_on(s);
    }
}

/* ---- queries ---- */

/* Is there room for the answers to more questions? */
static bool is_open_for_more(const struct stream *s)
{
    return !s->closing && s->pending < STREAM_PIPELINE_MAX &&
           s->tcp.write_queue_size <= WRITE_ENOUGH;
}

/* Take every whole query from the input. */
static void take_queries(struct stream *s)
{
    size_t at = 0;

    if (s->taking) {
        return; /* the one at work goes on where it is */
    }
    s->taking = true;
    while (is_open_for_more(s) && s->used - at >= FRAME_BYTES) {
        size_t length = wire_get16(s->input + at);
        if (length > QUERY_MOST || length < WIRE_HEADER_BYTES) {
            close_stream(s);
            break;
        }
        if (s->used - at < FRAME_BYTES + length) {
            break;
        }
        touch(s);
        memcpy(s->set->output + FRAME_BYTES, s->input + at + FRAME_BYTES, length);
        at += FRAME_BYTES + length;
        answer(s, length);
    }
    s->taking = false;
    s->used -= at;
    memmove(s->input, s->input + at, s->used);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct stream *s = handle->data;

    (void)suggested;
    *buffer = uv_buf_init((char *)s->input + s->used, (unsigned)(sizeof(s->input) - s->used));
}

static void on_read(uv_stream_t *tcp, ssize_t got, const uv_buf_t *buffer)
{
    struct stream *s = tcp->data;

    (void)buffer;
    if (got == 0) {
        return;
    }
    if (got == UV_EOF) {
        s->no_more = true;
        go_on(s);
        return;
    }
    if (got < 0) {
        close_stream(s);
        return;
    }
    s->used += (size_t)got;
    set_reading(s);
}

/* Read while there is room for more; what waits in the input comes first. */
static void set_reading(struct stream *s)
{
    take_queries(s);
    if (s->closing) {
        return;
    }
    bool want = is_open_for_more(s) && s->used < sizeof(s->input) && !s->no_more;
    if (want && !s->reading) {
        s->reading = uv_read_start((uv_stream_t *)&s->tcp, on_room, on_read) == 0;
    } else if (!want && s->reading) {
        (void)uv_read_stop((uv_stream_t *)&s->tcp);
        s->reading = false;
    }
}

/* ---- connections ---- */

/* Make room for one more connection: the one idle longest goes. */
static void make_room(struct stream_set *set)
{
    while (set->count >= set->host.connections_max && set->oldest != NULL) {
        close_stream(set->oldest);
    }
}

/* The address this connection was made to: a listener may have them all. */
static void read_local(struct stream *s, int fd)
{
    struct sockaddr_storage sa;
    socklen_t length = sizeof(sa);

    s->is_loopback = getsockname(fd, (struct sockaddr *)&sa, &length) == 0 &&
                     addr_from_sockaddr((struct sockaddr *)&sa, &s->local) &&
                     addr_is_loopback(&s->local);
}

static void adopt(struct stream_set *set, int fd, const struct sockaddr_storage *source)
{
    struct stream *s = calloc(1, sizeof(*s));

    if (s == NULL || uv_tcp_init(set->host.loop, &s->tcp) < 0) {
        free(s);
        close(fd);
        return;
    }
    set->handles++;
    set->count++;
    s->set = set;
    s->source = *source;
    read_local(s, fd);
    s->tcp.data = s;
    s->active_ms = uv_now(set->host.loop);
    link_newest(s);
    if (uv_tcp_open(&s->tcp, fd) < 0) {
        close(fd);
        close_stream(s);
        return;
    }
    (void)uv_tcp_nodelay(&s->tcp, 1);
    set_reading(s);
}

/*
 * There is no descriptor for a newcomer: an idle connection makes room. Without
 * one the socket is left alone for a while, for it would be ready all the time.
 */
static void find_descriptor(struct acceptor *acceptor)
{
    struct stream_set *set = acceptor->set;

    if (set->oldest != NULL) {
        close_stream(set->oldest);
        return;
    }
    (void)uv_poll_stop(&acceptor->poll);
    acceptor->pausing = true;
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct acceptor *acceptor = poll->data;
    struct stream_set *set = acceptor->set;

    (void)events;
    for (unsigned i = 0; status == 0 && i < ACCEPT_MOST; i++) {
        struct sockaddr_storage source = { 0 };
        socklen_t length = sizeof(source);
        int fd = accept4(acceptor->fd, (struct sockaddr *)&source, &length,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            /* after the first it may be said though nobody is waiting */
            if (i == 0 && is_shortage(errno)) {
                find_descriptor(acceptor);
            }
            return;
        }
        make_room(set);
        adopt(set, fd, &source);
    }
}

/* Close connections that have been idle too long; accept again where that pauses. */
static void on_timer(uv_timer_t *timer)
{
    struct stream_set *set = timer->data;
    uint64_t now = uv_now(set->host.loop);
    struct stream *s = set->oldest;

    while (s != NULL && now - s->active_ms >= set->host.idle_ms) {
        struct stream *next = s->next;
        if (s->pending == 0) {
            close_stream(s);
        }
        s = next;
    }
    for (struct acceptor *a = set->acceptors; a != NULL; a = a->next) {
        if (a->pausing) {
            a->pausing = false;
            (void)uv_poll_start(&a->poll, UV_READABLE, on_connection);
        }
    }
}

struct stream_set *stream_set_new(const struct stream_host *host)
{
    struct stream_set *set = calloc(1, sizeof(*set));

    if (set == NULL) {
        return NULL;
    }
    set->host = *host;
    set->timer.data = set;
    uint64_t tick = host->idle_ms / 4u + 1;
    tick = tick < TICK_MOST_MS ? tick : TICK_MOST_MS;
    uv_timer_init(host->loop, &set->timer);
    set->handles = 1;
    uv_timer_start(&set->timer, on_timer, tick, tick);
    return set;
}

static void on_acceptor_closed(uv_handle_t *handle)
{
    struct acceptor *acceptor = handle->data;
    struct stream_set *set = acceptor->set;

    free(acceptor);
    release(set);
}

int stream_set_listen(struct stream_set *set, int fd)
{
    struct acceptor *acceptor = calloc(1, sizeof(*acceptor));

    if (acceptor == NULL) {
        return -ENOMEM;
    }
    int rc = uv_poll_init(set->host.loop, &acceptor->poll, fd);
    if (rc < 0) {
        free(acceptor);
        return rc;
    }
    acceptor->set = set;
    acceptor->fd = fd;
    acceptor->poll.data = acceptor;
    acceptor->next = set->acceptors;
    set->acceptors = acceptor;
    set->handles++;
    return uv_poll_start(&acceptor->poll, UV_READABLE, on_connection);
}

void stream_set_unlisten(struct stream_set *set, int fd)
{
    for (struct acceptor **link = &set->acceptors; *link != NULL; link = &(*link)->next) {
        struct acceptor *acceptor = *link;
        if (acceptor->fd == fd) {
            *link = acceptor->next;
            (void)uv_poll_stop(&acceptor->poll);
            uv_close((uv_handle_t *)&acceptor->poll, on_acceptor_closed);
            return;
        }
    }
}

unsigned stream_set_count(const struct stream_set *set)
{
    return set->count;
}

static void on_timer_closed(uv_handle_t *handle)
{
    release(handle->data);
}

void stream_set_close(struct stream_set *set)
{
    set->closing = true;
    while (set->acceptors != NULL) {
        stream_set_unlisten(set, set->acceptors->fd);
    }
    while (set->oldest != NULL) {
        close_stream(set->oldest);
    }
    uv_close((uv_handle_t *)&set->timer, on_timer_closed);
}
