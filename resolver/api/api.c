#include "resolver/api/api.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "resolver/api/api_route.h"
#include "resolver/api/api_socket.h"
#include "resolver/control.h"

#define CONNECTIONS_MAX      64u
#define CONNECTION_TIMEOUT_S 10u
#define CONNECTION_BYTES     (16u * 1024u) /* a request's head at most */
#define BODY_MAX             (64u * 1024u) /* no page reads one; a client that sends more is cut */

struct request;

/*
 * A reload that a connection waits for. Freed when the reload ends, which may
 * be after the connection and even the api have gone.
 */
struct waiting {
    struct api *api;         /* NULL: closed meanwhile */
    struct request *request; /* suspended */
    bool suspended;
    bool ended;
    bool ok;
    struct text report;
    struct waiting *next;
};

struct request {
    struct api *api;
    struct MHD_Connection *connection;
    size_t body_bytes;
    struct waiting *waiting; /* its reload, else NULL */
};

struct api {
    struct control *control;
    struct MHD_Daemon *daemon;
    struct api_socket socket;
    struct waiting *waitings;
    uv_poll_t poll;
    uv_timer_t timer;
    unsigned open_handles;
    void (*closed)(void *user);
    void *user;
};

/* ---- replies ---- */

static enum MHD_Result send_reply(struct MHD_Connection *connection, struct api_reply *reply)
{
    size_t length = reply->body.length;

    if (text_failed(&reply->body)) {
        api_reply_fini(reply);
        return MHD_NO;
    }
    char *bytes = reply->body.bytes;
    enum MHD_ResponseMemoryMode mode = MHD_RESPMEM_MUST_FREE; /* the text's memory moves over */
    if (bytes == NULL) {
        mode = MHD_RESPMEM_PERSISTENT;
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(length, bytes, mode);
    if (response == NULL) {
        api_reply_fini(reply);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, "Content-Type", reply->content_type);
    (void)MHD_add_response_header(response, "Cache-Control", "no-store");
    if (reply->allow != NULL) {
        (void)MHD_add_response_header(response, "Allow", reply->allow);
    }
    enum MHD_Result result = MHD_queue_response(connection, reply->status, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- reload ---- */

static void unlink_waiting(struct waiting *waiting)
{
    struct waiting **at = &waiting->api->waitings;

    while (*at != waiting) {
        at = &(*at)->next;
    }
    *at = waiting->next;
}

static void wake(struct api *api);

/* Called by the control once, possibly from within control_reload. */
static void reload_ended(void *user, bool ok, const char *report)
{
    struct waiting *waiting = user;

    if (waiting->api == NULL) {
        free(waiting);
        return;
    }
    waiting->ended = true;
    waiting->ok = ok;
    text_put(&waiting->report, report);
    if (waiting->suspended) {
        waiting->suspended = false;
        MHD_resume_connection(waiting->request->connection);
        wake(waiting->api);
    }
}

static enum MHD_Result begin_reload(struct request *request)
{
    struct waiting *waiting = calloc(1, sizeof(*waiting));

    if (waiting == NULL) {
        return MHD_NO;
    }
    waiting->api = request->api;
    waiting->request = request;
    waiting->next = request->api->waitings;
    request->api->waitings = waiting;
    request->waiting = waiting;
    control_reload(request->api->control, reload_ended, waiting);
    return MHD_YES;
}

/* Reply when the reload has ended, else let the connection sleep until then. */
static enum MHD_Result go_on_with_reload(struct request *request)
{
    struct waiting *waiting = request->waiting;
    struct api_reply reply = { 0 };

    if (!waiting->ended) {
        waiting->suspended = true;
        MHD_suspend_connection(request->connection);
        return MHD_YES;
    }
    api_route_reloaded(request->api->control, waiting->ok, text_string(&waiting->report), &reply);
    return send_reply(request->connection, &reply);
}

/* ---- requests ---- */

static const char *argument(struct MHD_Connection *connection, const char *key)
{
    return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, key);
}

static enum MHD_Result answer(struct request *request, const char *path, const char *method)
{
    struct api_reply reply = { 0 };
    struct api_request asked = {
        .method = method,
        .path = path,
        .name = argument(request->connection, "name"),
        .type = argument(request->connection, "type"),
        .client = argument(request->connection, "client"),
    };

    if (api_route(request->api->control, &asked, &reply) == API_ROUTE_REPLY) {
        return send_reply(request->connection, &reply);
    }
    if (begin_reload(request) == MHD_NO) {
        return MHD_NO;
    }
    return go_on_with_reload(request);
}

/* Called first without a body, then for each part of it, then once more to answer. */
static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_size, void **connection_user)
{
    struct request *request = *connection_user;

    (void)version;
    (void)data;
    if (request == NULL) {
        request = calloc(1, sizeof(*request));
        if (request == NULL) {
            return MHD_NO;
        }
        request->api = user;
        request->connection = connection;
        *connection_user = request;
        return MHD_YES;
    }
    if (*data_size > 0) {
        request->body_bytes += *data_size;
        *data_size = 0;
        return request->body_bytes <= BODY_MAX ? MHD_YES : MHD_NO;
    }
    return request->waiting != NULL ? go_on_with_reload(request) : answer(request, path, method);
}

static void on_completed(void *user, struct MHD_Connection *connection, void **connection_user,
                         enum MHD_RequestTerminationCode why)
{
    struct request *request = *connection_user;

    (void)user;
    (void)connection;
    (void)why;
    if (request == NULL) {
        return;
    }
    struct waiting *waiting = request->waiting;
    if (waiting != NULL) {
        unlink_waiting(waiting);
        text_fini(&waiting->report);
        if (waiting->ended) {
            free(waiting);
        } else {
            waiting->api = NULL; /* its reload frees it */
        }
    }
    free(request);
    *connection_user = NULL;
}

/* ---- the loop ---- */

static void on_timer(uv_timer_t *timer);

/* What MHD waits for besides its sockets changes with every run. */
static void rearm(struct api *api)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms;

    if (MHD_get_timeout(api->daemon, &timeout_ms) == MHD_YES) {
        (void)uv_timer_start(&api->timer, on_timer, timeout_ms, 0);
    } else {
        (void)uv_timer_stop(&api->timer);
    }
}

static void run(struct api *api)
{
    (void)MHD_run(api->daemon);
    rearm(api);
}

static void on_timer(uv_timer_t *timer)
{
    run(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run(poll->data);
}

/* Run soon, but not from within a run. */
static void wake(struct api *api)
{
    (void)uv_timer_start(&api->timer, on_timer, 0, 0);
}

/* ---- opening and closing ---- */

static void log_message(void *user, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static void log_message(void *user, const char *format, va_list args)
{
    char message[256];

    (void)user;
    if (!log_enabled(LOG_DEBUG)) {
        return;
    }
    (void)vsnprintf(message, sizeof(message), format, args);
    message[strcspn(message, "\r\n")] = '\0';
    log_event(LOG_DEBUG, "api connection", "message=%s", message);
}

static int start_daemon(struct api *api, struct error *err)
{
    api->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request,
        api, MHD_OPTION_EXTERNAL_LOGGER, log_message, NULL, MHD_OPTION_LISTEN_SOCKET,
        api->socket.fd, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        CONNECTION_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
    if (api->daemon == NULL) {
        return error_set(err, -EIO, "api socket %s: the HTTP server does not start",
                         api->socket.path);
    }
    return 0;
}

static int attach(uv_loop_t *loop, struct api *api, struct error *err)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(api->daemon, MHD_DAEMON_INFO_EPOLL_FD_LINUX_ONLY);
    int rc = info == NULL ? -EIO : uv_poll_init(loop, &api->poll, info->epoll_fd);

    if (rc < 0) {
        return error_set(err, rc, "api socket %s: %s", api->socket.path, uv_strerror(rc));
    }
    (void)uv_timer_init(loop, &api->timer);
    api->poll.data = api;
    api->timer.data = api;
    api->open_handles = 2;
    (void)uv_poll_start(&api->poll, UV_READABLE, on_readable);
    rearm(api);
    return 0;
}

int api_open(uv_loop_t *loop, struct control *control, const char *path, struct api **out,
             struct error *err)
{
    struct api *api = calloc(1, sizeof(*api));

    if (api == NULL) {
        return error_set(err, -ENOMEM, "api: out of memory");
    }
    api->control = control;
    int rc = api_socket_open(path, &api->socket, err);
    if (rc < 0) {
        free(api);
        return rc;
    }
    rc = start_daemon(api, err);
    if (rc < 0) {
        (void)close(api->socket.fd);
    } else {
        rc = attach(loop, api, err);
        if (rc < 0) {
            MHD_stop_daemon(api->daemon); /* closes the socket too */
        }
    }
    if (rc < 0) {
        api_socket_remove(&api->socket);
        free(api);
        return rc;
    }
    *out = api;
    return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct api *api = handle->data;

    if (--api->open_handles == 0) {
        void (*closed)(void *user) = api->closed;
        void *user = api->user;
        free(api);
        if (closed != NULL) {
            closed(user);
        }
    }
}

/* MHD cannot stop while a connection is suspended: their reloads get no reply any more. */
static void resume_all(struct api *api)
{
    for (struct waiting *w = api->waitings; w != NULL; w = w->next) {
        if (w->suspended) {
            w->suspended = false;
            MHD_resume_connection(w->request->connection);
        }
    }
}

void api_close(struct api *api, void (*closed)(void *user), void *user)
{
    api->closed = closed;
    api->user = user;
    api_socket_remove(&api->socket);
    (void)uv_poll_stop(&api->poll);
    resume_all(api);
    MHD_stop_daemon(api->daemon);
    uv_close((uv_handle_t *)&api->poll, on_handle_closed);
    uv_close((uv_handle_t *)&api->timer, on_handle_closed);
}
