#include "sim_listen.h"

#include "sim_net.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG          128
#define ACCEPTS_PER_TURN 64
#define UNSENT_MAX       (256u * 1024) /* a peer that does not read is reset */
#define FILL_WAIT_MS     100

struct outgoing {
    uv_write_t request;
    uv_shutdown_t shutdown;
    bool end;
    char bytes[];
};

struct pending {
    struct sim_listen *listen;
    uint64_t conn_id;
    bool end;
    bool exclusive;
    size_t size;
    uint8_t bytes[];
};

static void on_conn_closed(uv_handle_t *handle)
{
    struct sim_conn *conn = handle->data;
    if (conn->listen->on_close != NULL) {
        conn->listen->on_close(conn);
    }
    free(conn);
}

static void conn_unlink(struct sim_conn *conn)
{
    struct sim_listen *server = conn->listen;
    if (conn->previous != NULL) {
        conn->previous->next = conn->next;
    } else {
        server->newest = conn->next;
    }
    if (conn->next != NULL) {
        conn->next->previous = conn->previous;
    } else {
        server->oldest = conn->previous;
    }
    server->count--;
}

void sim_listen_drop(struct sim_conn *conn, bool reset)
{
    if (conn->closing) {
        return;
    }
    conn->closing = true;
    conn_unlink(conn);
    if (!reset || uv_tcp_close_reset(&conn->tcp, on_conn_closed) != 0) {
        uv_close((uv_handle_t *)&conn->tcp, on_conn_closed);
    }
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct sim_conn *conn = handle->data;
    (void)suggested;
    buf->base = (char *)conn->input + conn->input_size;
    buf->len = sizeof conn->input - conn->input_size;
}

static void conn_deliver(struct sim_conn *conn)
{
    if (conn->ending) {
        conn->input_size = 0;
    } else if (!conn->busy && conn->input_size > 0) {
        conn->listen->on_bytes(conn);
    }
    if (!conn->closing && conn->input_size == sizeof conn->input) {
        sim_listen_drop(conn, true); /* more than any request may have */
    }
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct sim_conn *conn = stream->data;
    (void)buf;
    if (size < 0) {
        sim_listen_drop(conn, false);
        return;
    }
    conn->input_size += (size_t)size;
    if (size > 0) {
        conn_deliver(conn);
    }
}

void sim_listen_take(struct sim_conn *conn, size_t size)
{
    conn->input_size -= size;
    memmove(conn->input, conn->input + size, conn->input_size);
}

static void on_ended(uv_shutdown_t *request, int status)
{
    (void)status;
    free(request->data);
}

static void on_written(uv_write_t *request, int status)
{
    struct outgoing *outgoing = request->data;
    struct sim_conn *conn = request->handle->data;
    if (status == 0 && outgoing->end && !conn->closing) {
        outgoing->shutdown.data = outgoing;
        if (uv_shutdown(&outgoing->shutdown, request->handle, on_ended) == 0) {
            return;
        }
    }
    free(outgoing);
    if (status != 0) {
        sim_listen_drop(conn, false);
    }
}

void sim_listen_write(struct sim_conn *conn, const void *bytes, size_t size, bool end)
{
    struct outgoing *outgoing = malloc(sizeof *outgoing + size);
    if (outgoing == NULL ||
        uv_stream_get_write_queue_size((uv_stream_t *)&conn->tcp) > UNSENT_MAX) {
        free(outgoing);
        sim_listen_drop(conn, true);
        return;
    }
    if (size > 0) {
        memcpy(outgoing->bytes, bytes, size);
    }
    outgoing->end = end;
    outgoing->request.data = outgoing;
    conn->ending = conn->ending || end;
    uv_buf_t buf = uv_buf_init(outgoing->bytes, (unsigned)size);
    if (uv_write(&outgoing->request, (uv_stream_t *)&conn->tcp, &buf, 1, on_written) != 0) {
        free(outgoing);
        sim_listen_drop(conn, true);
    }
}

struct sim_conn *sim_listen_find(struct sim_listen *server, uint64_t id)
{
    struct sim_conn *conn = server->newest;
    while (conn != NULL && conn->id != id) {
        conn = conn->next;
    }
    return conn;
}

static void fire(void *data)
{
    struct pending *pending = data;
    struct sim_conn *conn = sim_listen_find(pending->listen, pending->conn_id);
    if (conn == NULL) {
        return;
    }
    if (pending->exclusive) {
        conn->busy = false;
    }
    if (pending->listen->reach != SIM_OPEN) {
        conn->mute = true;
        return;
    }
    if (conn->ending) {
        return;
    }
    if (pending->listen->on_send != NULL) {
        pending->listen->on_send(conn, pending->bytes, pending->size, pending->end);
    } else {
        sim_listen_write(conn, pending->bytes, pending->size, pending->end);
    }
}

/* What arrived behind a request whose answer was slow is looked at afterwards. */
static void fire_and_go_on(void *data)
{
    struct pending *pending = data;
    fire(data);
    struct sim_conn *conn = sim_listen_find(pending->listen, pending->conn_id);
    if (conn != NULL) {
        conn_deliver(conn);
    }
}

void sim_listen_send(struct sim_conn *conn, uint32_t delay_ms, const void *bytes, size_t size,
                     bool end, bool exclusive)
{
    struct pending *pending = malloc(sizeof *pending + size);
    if (pending == NULL) {
        sim_listen_drop(conn, true);
        return;
    }
    pending->listen = conn->listen;
    pending->conn_id = conn->id;
    pending->end = end;
    pending->exclusive = exclusive;
    pending->size = size;
    if (size > 0) {
        memcpy(pending->bytes, bytes, size);
    }
    conn->busy = exclusive;
    /* Without a delay the caller is the one reading; it goes on by itself. */
    if (!sim_later_do(conn->listen->later, delay_ms, delay_ms > 0 ? fire_and_go_on : fire,
                      pending)) {
        conn->busy = false;
        conn->mute = true;
    }
}

static void conn_link(struct sim_listen *server, struct sim_conn *conn)
{
    conn->listen = server;
    conn->id = ++server->last_id;
    conn->next = server->newest;
    if (conn->next != NULL) {
        conn->next->previous = conn;
    } else {
        server->oldest = conn;
    }
    server->newest = conn;
    server->count++;
}

static void conn_start(struct sim_listen *server, int fd, const struct sockaddr_storage *peer)
{
    if (server->count >= SIM_LISTEN_CONNS) {
        sim_listen_drop(server->oldest, true);
    }
    struct sim_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL || uv_tcp_init(server->later->loop, &conn->tcp) != 0) {
        free(conn);
        close(fd);
        return;
    }
    conn->tcp.data = conn;
    conn->peer = *peer;
    conn_link(server, conn);
    if (uv_tcp_open(&conn->tcp, fd) != 0) {
        close(fd);
        sim_listen_drop(conn, false);
        return;
    }
    uv_tcp_nodelay(&conn->tcp, 1);
    if (uv_read_start((uv_stream_t *)&conn->tcp, on_room, on_read) != 0) {
        sim_listen_drop(conn, false);
    } else if (server->on_open != NULL) {
        server->on_open(conn);
    }
}

static bool is_filler(const struct sim_listen *server, const struct sockaddr_storage *peer)
{
    for (unsigned i = 0; i < server->filler_count; i++) {
        struct sockaddr_storage own;
        socklen_t size = sizeof own;
        if (getsockname(server->fillers[i], (struct sockaddr *)&own, &size) == 0 &&
            sim_net_port(&own) == sim_net_port(peer)) {
            return true;
        }
    }
    return false;
}

/* Accept what waits; true when there may be more. */
static bool accept_some(struct sim_listen *server)
{
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage peer = { 0 };
        socklen_t size = sizeof peer;
        int fd = accept4(server->fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0 && is_filler(server, &peer)) {
            close(fd);
        } else if (fd >= 0) {
            conn_start(server, fd, &peer);
        } else if (errno == EMFILE || errno == ENFILE) {
            if (server->oldest != NULL) {
                sim_listen_drop(server->oldest, true);
            }
            return false;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            return false;
        }
    }
    return true;
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    (void)events;
    if (status == 0) {
        (void)accept_some(poll->data);
    }
}

int sim_listen_start(struct sim_listen *server, struct sim_later *later, int fd)
{
    server->fd = fd;
    server->later = later;
    server->reach = SIM_REFUSING; /* bound, not yet listening */
    int rc = uv_poll_init(later->loop, &server->poll, fd);
    if (rc != 0) {
        return rc;
    }
    server->poll.data = server;
    return sim_listen_set_reach(server, SIM_OPEN);
}

/*
 * A listening socket shows the length of its queue and its limit where a
 * connection shows segments: tcpi_unacked and tcpi_sacked. It is full when
 * the length exceeds the limit.
 */
static bool is_full(int fd)
{
    struct tcp_info info = { 0 };
    socklen_t size = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
           info.tcpi_unacked > info.tcpi_sacked;
}

/* Connect to ourselves without ever accepting. */
static void add_filler(struct sim_listen *server)
{
    struct sockaddr_storage own;
    socklen_t size = sizeof own;
    if (getsockname(server->fd, (struct sockaddr *)&own, &size) != 0) {
        return;
    }
    int fd = socket(own.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    struct linger abort_on_close = { .l_onoff = 1 };
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_on_close, sizeof abort_on_close);
    if (connect(fd, (struct sockaddr *)&own, size) != 0 && errno != EINPROGRESS) {
        close(fd);
        return;
    }
    server->fillers[server->filler_count++] = fd;
    struct pollfd wait = { .fd = fd, .events = POLLOUT };
    (void)poll(&wait, 1, FILL_WAIT_MS);
}

/* Fillers are closed after they were accepted, so that they are recognized. */
static void drop_fillers(struct sim_listen *server)
{
    while (server->filler_count > 0) {
        close(server->fillers[--server->filler_count]);
    }
}

static int become_open(struct sim_listen *server)
{
    if (server->reach == SIM_SILENT) {
        while (accept_some(server)) {
        }
        drop_fillers(server);
    }
    if (listen(server->fd, BACKLOG) != 0) {
        return -errno;
    }
    return uv_poll_start(&server->poll, UV_READABLE, on_acceptable);
}

static int become_refusing(struct sim_listen *server)
{
    uv_poll_stop(&server->poll);
    while (server->newest != NULL) {
        sim_listen_drop(server->newest, true);
    }
    /* Ends the listening, keeps the port: it was bound by number. */
    int rc = shutdown(server->fd, SHUT_RDWR) == 0 ? 0 : -errno;
    drop_fillers(server);
    return rc;
}

static int become_silent(struct sim_listen *server)
{
    uv_poll_stop(&server->poll);
    if (server->reach == SIM_OPEN) {
        while (accept_some(server)) {
        }
    }
    if (listen(server->fd, 0) != 0) {
        return -errno;
    }
    while (!is_full(server->fd)) {
        unsigned before = server->filler_count;
        if (before < SIM_LISTEN_FILLERS) {
            add_filler(server);
        }
        if (server->filler_count == before) {
            return -EBUSY;
        }
    }
    return 0;
}

int sim_listen_set_reach(struct sim_listen *server, enum sim_reach reach)
{
    if (reach == server->reach) {
        return 0;
    }
    int rc = reach == SIM_OPEN       ? become_open(server)
             : reach == SIM_REFUSING ? become_refusing(server)
                                     : become_silent(server);
    /* A silence that leaks is still the state to come back from. */
    if (rc == 0 || reach == SIM_SILENT) {
        server->reach = reach;
    }
    return rc;
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct sim_listen *server = handle->data;
    drop_fillers(server);
    close(server->fd);
}

void sim_listen_close(struct sim_listen *server)
{
    while (server->newest != NULL) {
        sim_listen_drop(server->newest, false);
    }
    uv_close((uv_handle_t *)&server->poll, on_poll_closed);
}
