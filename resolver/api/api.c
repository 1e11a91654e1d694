#include "resolver/api/api.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "resolver/api/api_refusal.h"
#include "resolver/api/api_route.h"
#include "resolver/api/api_simulate.h"
#include "resolver/api/api_socket.h"
#include "resolver/api/mhd.h"
#include "resolver/api/peer.h"
#include "resolver/control.h"
#include "resolver/slices.h"

#define CONNECTIONS_MAX      64u
#define CONNECTION_TIMEOUT_S 10u
#define CONNECTION_BYTES     (16u * 1024u) /* a request's head at most */
#define ACCEPT_PAUSE_MS      1000u         /* when no connection can be accepted */

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

/* A simulation that a connection waits for; one after the other. */
struct simulating {
    struct request *request; /* suspended, or about to be */
    struct api_simulation *simulation;
    bool suspended;
    bool ended;
    struct simulating *next;
};

struct request {
    struct api *api;
    struct MHD_Connection *connection;
    struct text body;
    struct waiting *waiting; /* its reload, else NULL */
    struct simulating *simulating;
};

struct api {
    struct control *control;
    const struct mhd *mhd;
    struct MHD_Daemon *daemon; /* NULL until the first client; the two above and below too */
    struct api_socket socket;
    struct api_refusal refusal;
    struct waiting *waitings;
    struct simulating *simulatings; /* the first is under way */
    struct slices slices;
    uv_poll_t clients; /* the socket, until the daemon reads from it */
    uv_poll_t poll;    /* all that the daemon reads from */
    uv_timer_t timer;
    unsigned open_handles;
    void (*closed)(void *user);
    void *user;
};

/* ---- replies ---- */

static enum MHD_Result send_reply(struct request *request, struct api_reply *reply)
{
    const struct mhd *mhd = request->api->mhd;
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
    struct MHD_Response *response = mhd->create_response_from_buffer(length, bytes, mode);
    if (response == NULL) {
        api_reply_fini(reply);
        return MHD_NO;
    }
    (void)mhd->add_response_header(response, "Content-Type", reply->content_type);
    (void)mhd->add_response_header(response, "Cache-Control", "no-store");
    if (reply->allow != NULL) {
        (void)mhd->add_response_header(response, "Allow", reply->allow);
    }
    enum MHD_Result result = mhd->queue_response(request->connection, reply->status, response);
    mhd->destroy_response(response);
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
        waiting->api->mhd->resume_connection(waiting->request->connection);
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
        request->api->mhd->suspend_connection(request->connection);
        return MHD_YES;
    }
    api_route_reloaded(request->api->control, waiting->ok, text_string(&waiting->report), &reply);
    return send_reply(request, &reply);
}

/* ---- simulations ---- */

/* The first that has not ended. */
static struct simulating *first_simulating(const struct api *api)
{
    struct simulating *first = api->simulatings;

    while (first != NULL && first->ended) {
        first = first->next;
    }
    return first;
}

static bool simulate_some(void *user)
{
    struct api *api = user;
    struct simulating *s = first_simulating(api);

    if (s == NULL) {
        return false; /* who waited has gone */
    }
    if (!api_simulate_some(s->simulation)) {
        s->ended = true;
        if (s->suspended) {
            s->suspended = false;
            api->mhd->resume_connection(s->request->connection);
            wake(api);
        }
    }
    return first_simulating(api) != NULL;
}

static void on_simulated(void *user)
{
    (void)user; /* each was told when its own had ended */
}

/* Reply when it has ended, else let the connection sleep until then. */
static enum MHD_Result go_on_with_simulation(struct request *request)
{
    struct simulating *s = request->simulating;
    struct api_reply reply = { 0 };

    if (!s->ended) {
        s->suspended = true;
        request->api->mhd->suspend_connection(request->connection);
        return MHD_YES;
    }
    api_simulate_take(s->simulation, &reply);
    return send_reply(request, &reply);
}

static enum MHD_Result begin_simulation(struct request *request, const struct api_request *asked)
{
    struct api *api = request->api;
    struct api_reply reply = { 0 };
    struct api_simulation *simulation = api_simulate_begin(api->control, asked, &reply);
    struct simulating *s = simulation == NULL ? NULL : calloc(1, sizeof(*s));
    struct simulating **last = &api->simulatings;

    if (simulation == NULL) {
        return send_reply(request, &reply);
    }
    if (s == NULL) {
        api_simulate_free(simulation);
        return MHD_NO;
    }
    bool idle = first_simulating(api) == NULL;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = s;
    s->request = request;
    s->simulation = simulation;
    request->simulating = s;
    if (idle) {
        slices_begin(&api->slices, simulate_some, on_simulated, api);
    }
    return go_on_with_simulation(request);
}

static void end_simulation(struct request *request)
{
    struct simulating *s = request->simulating;
    struct simulating **at = &request->api->simulatings;

    while (s != NULL && *at != s) {
        at = &(*at)->next;
    }
    if (s != NULL) {
        *at = s->next;
        api_simulate_free(s->simulation);
        free(s);
    }
}

/* ---- requests ---- */

static const char *argument(const struct request *request, const char *key)
{
    return request->api->mhd->lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND,
                                                      key);
}

/* Who is at the other end of the socket. */
static void find_author(const struct request *request, char *out, size_t cap)
{
    const union MHD_ConnectionInfo *info = request->api->mhd->get_connection_info(
        request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    if (info == NULL) {
        (void)snprintf(out, cap, "somebody");
    } else {
        peer_describe(info->connect_fd, out, cap);
    }
}

static enum MHD_Result answer(struct request *request, const char *path, const char *method)
{
    struct api_reply reply = { 0 };
    char author[PEER_TEXT_MAX];
    struct api_request asked = {
        .method = method,
        .path = path,
        .name = argument(request, "name"),
        .type = argument(request, "type"),
        .client = argument(request, "client"),
        .ecs = argument(request, "ecs"),
        .listener = argument(request, "listener"),
        .since = argument(request, "since"),
        .target = argument(request, "target"),
        .brief = argument(request, "brief"),
        .body = text_string(&request->body),
        .body_length = request->body.length,
        .author = author,
    };

    if (text_failed(&request->body)) {
        return MHD_NO;
    }
    author[0] = '\0';
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        find_author(request, author, sizeof(author)); /* of what changes something */
    }
    switch (api_route(request->api->control, &asked, &reply)) {
    case API_ROUTE_RELOAD:
        return begin_reload(request) == MHD_NO ? MHD_NO : go_on_with_reload(request);
    case API_ROUTE_SIMULATE:
        return begin_simulation(request, &asked);
    default:
        return send_reply(request, &reply);
    }
}

/* Called first without a body, then for each part of it, then once more to answer. */
static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_size, void **connection_user)
{
    struct request *request = *connection_user;

    (void)version;
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
        if (request->body.length + *data_size > api_route_body_max(path)) {
            return MHD_NO; /* cut off: nobody who means well sends that much */
        }
        text_put_bytes(&request->body, data, *data_size);
        *data_size = 0;
        return MHD_YES;
    }
    return request->waiting != NULL      ? go_on_with_reload(request)
           : request->simulating != NULL ? go_on_with_simulation(request)
                                         : answer(request, path, method);
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
    end_simulation(request);
    text_fini(&request->body);
    free(request);
    *connection_user = NULL;
}

/* ---- the loop ---- */

static void on_timer(uv_timer_t *timer);

/* What MHD waits for besides its sockets changes with every run. */
static void rearm(struct api *api)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms;

    if (api->mhd->get_timeout(api->daemon, &timeout_ms) == MHD_YES) {
        (void)uv_timer_start(&api->timer, on_timer, timeout_ms, 0);
    } else {
        (void)uv_timer_stop(&api->timer);
    }
}

static void run(struct api *api)
{
    (void)api->mhd->run(api->daemon);
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

/* Whether the daemon closes the socket when it fails to start depends on how far it came. */
static void close_unless_closed(int fd, int original)
{
    struct stat a;
    struct stat b;

    if (fstat(fd, &a) == 0 && fstat(original, &b) == 0 && a.st_dev == b.st_dev &&
        a.st_ino == b.st_ino) {
        (void)close(fd);
    }
}

/* The daemon has a descriptor of its own to close; ours is for a second try. */
static int start_daemon(struct api *api, struct error *err)
{
    /* in two calls: ThreadSanitizer takes note of dup, but not of F_DUPFD_CLOEXEC */
    int fd = dup(api->socket.fd);

    if (fd >= 0) {
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    if (fd < 0) {
        return error_set(err, -errno, "the HTTP server does not start: %s", strerror(errno));
    }
    api->daemon = api->mhd->start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request,
        api, MHD_OPTION_EXTERNAL_LOGGER, log_message, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        CONNECTION_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
    if (api->daemon == NULL) {
        close_unless_closed(fd, api->socket.fd);
        return error_set(err, -EIO, "the HTTP server does not start");
    }
    return 0;
}

static void stop_daemon(struct api *api)
{
    api->mhd->stop_daemon(api->daemon);
    api->daemon = NULL;
}

static int attach(struct api *api, struct error *err)
{
    const union MHD_DaemonInfo *info =
        api->mhd->get_daemon_info(api->daemon, MHD_DAEMON_INFO_EPOLL_FD_LINUX_ONLY);
    int rc = info == NULL ? -EIO : uv_poll_init(api->clients.loop, &api->poll, info->epoll_fd);

    if (rc < 0) {
        return error_set(err, rc, "the HTTP server does not start: %s", uv_strerror(rc));
    }
    api->poll.data = api;
    api->open_handles++;
    (void)uv_poll_start(&api->poll, UV_READABLE, on_readable);
    return 0;
}

static int start(struct api *api, struct error *err)
{
    int rc = mhd_load(&api->mhd, err);

    if (rc == 0) {
        rc = start_daemon(api, err);
    }
    if (rc < 0) {
        return rc;
    }
    rc = attach(api, err);
    if (rc < 0) {
        stop_daemon(api);
    }
    return rc;
}

static void on_part_closed(struct api *api)
{
    if (--api->open_handles == 0) {
        void (*closed)(void *user) = api->closed;
        void *user = api->user;
        free(api);
        if (closed != NULL) {
            closed(user);
        }
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    on_part_closed(handle->data);
}

static void on_slices_closed(void *user)
{
    on_part_closed(user);
}

static void on_client(uv_poll_t *poll, int status, int events);

static void on_pause_over(uv_timer_t *timer)
{
    struct api *api = timer->data;
    (void)uv_poll_start(&api->clients, UV_READABLE, on_client);
}

/* The HTTP server is started for the first client, and tried again for each one refused. */
static void on_client(uv_poll_t *poll, int status, int events)
{
    struct api *api = poll->data;
    struct error err = { 0 };

    (void)status;
    (void)events;
    if (start(api, &err) == 0) {
        (void)uv_poll_stop(&api->clients);
        uv_close((uv_handle_t *)&api->clients, on_handle_closed);
        api_refusal_fini(&api->refusal);
        run(api);
    } else if (api_refuse(&api->refusal, api->socket.fd, api->socket.path, &err) < 0) {
        /* out of descriptors, and the socket stays readable */
        (void)uv_poll_stop(&api->clients);
        (void)uv_timer_start(&api->timer, on_pause_over, ACCEPT_PAUSE_MS, 0);
    }
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
    rc = uv_poll_init(loop, &api->clients, api->socket.fd);
    if (rc < 0) {
        (void)error_set(err, rc, "api socket %s: %s", path, uv_strerror(rc));
        (void)close(api->socket.fd);
        api_socket_remove(&api->socket);
        free(api);
        return rc;
    }
    (void)uv_timer_init(loop, &api->timer);
    slices_init(&api->slices, loop);
    api->clients.data = api;
    api->timer.data = api;
    api->open_handles = 3;
    (void)uv_poll_start(&api->clients, UV_READABLE, on_client);
    *out = api;
    return 0;
}

/* The daemon cannot stop while a connection is suspended: they get no reply any more. */
static void resume_all(struct api *api)
{
    for (struct waiting *w = api->waitings; w != NULL; w = w->next) {
        if (w->suspended) {
            w->suspended = false;
            api->mhd->resume_connection(w->request->connection);
        }
    }
    for (struct simulating *s = api->simulatings; s != NULL; s = s->next) {
        if (s->suspended) {
            s->suspended = false;
            api->mhd->resume_connection(s->request->connection);
        }
    }
}

void api_close(struct api *api, void (*closed)(void *user), void *user)
{
    uv_poll_t *poll = api->daemon != NULL ? &api->poll : &api->clients;

    api->closed = closed;
    api->user = user;
    slices_close(&api->slices, on_slices_closed, api);
    api_socket_remove(&api->socket);
    /* before its descriptor goes, whose number another thread may be given at once */
    uv_close((uv_handle_t *)poll, on_handle_closed);
    if (api->daemon != NULL) {
        resume_all(api);
        stop_daemon(api);
    }
    (void)close(api->socket.fd);
    api_refusal_fini(&api->refusal);
    uv_close((uv_handle_t *)&api->timer, on_handle_closed);
}
