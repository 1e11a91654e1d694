#include "sim_control.h"

#include "sim_command.h"
#include "sim_region.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS_MAX 32
#define CALL_WAIT_S 5

struct sim_control_client {
    uv_pipe_t pipe;
    struct sim_control *control;
    struct sim_control_client *next;
    size_t size;
    char line[SIM_CONTROL_LINE + 1];
};

struct answer {
    uv_write_t request;
    char line[SIM_CONTROL_LINE + 1];
};

static void on_client_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void client_close(struct sim_control_client *client)
{
    struct sim_control *control = client->control;
    struct sim_control_client **at = &control->clients;
    while (*at != NULL && *at != client) {
        at = &(*at)->next;
    }
    if (*at == NULL) {
        return; /* closing already */
    }
    *at = client->next;
    control->count--;
    uv_close((uv_handle_t *)&client->pipe, on_client_closed);
}

static void on_written(uv_write_t *request, int status)
{
    struct sim_control_client *client = request->handle->data;
    free(request->data);
    if (status != 0) {
        client_close(client);
    }
}

static void client_reply(struct sim_control_client *client, const char *text)
{
    struct answer *answer = malloc(sizeof *answer);
    if (answer == NULL) {
        client_close(client);
        return;
    }
    int size = snprintf(answer->line, sizeof answer->line, "%s\n", text);
    uv_buf_t buf = uv_buf_init(answer->line, (unsigned)size);
    answer->request.data = answer;
    if (uv_write(&answer->request, (uv_stream_t *)&client->pipe, &buf, 1, on_written) != 0) {
        free(answer);
        client_close(client);
    }
}

/* Execute every whole line that has arrived. */
static void client_lines(struct sim_control_client *client)
{
    struct sim_region *region = client->control->region;
    char reply[SIM_CONTROL_LINE];
    char *end = memchr(client->line, '\n', client->size);
    while (end != NULL) {
        size_t used = (size_t)(end - client->line) + 1;
        *end = '\0';
        sim_command_execute(region, client->line, reply, sizeof reply);
        client->size -= used;
        memmove(client->line, client->line + used, client->size);
        client_reply(client, reply);
        if (region->quitting) {
            sim_region_end(region);
            return;
        }
        end = memchr(client->line, '\n', client->size);
    }
    if (client->size == SIM_CONTROL_LINE) {
        client_reply(client, "error: the line is too long");
        client_close(client);
    }
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct sim_control_client *client = handle->data;
    (void)suggested;
    *buf = uv_buf_init(client->line + client->size, (unsigned)(SIM_CONTROL_LINE - client->size));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct sim_control_client *client = stream->data;
    (void)buf;
    if (size < 0 || uv_stream_get_write_queue_size(stream) > 65536) {
        client_close(client);
        return;
    }
    client->size += (size_t)size;
    client_lines(client);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct sim_control *control = server->data;
    struct sim_control_client *client = status == 0 ? calloc(1, sizeof *client) : NULL;
    if (client == NULL || uv_pipe_init(server->loop, &client->pipe, 0) != 0) {
        free(client);
        return;
    }
    client->control = control;
    client->pipe.data = client;
    client->next = control->clients;
    control->clients = client;
    control->count++;
    if (uv_accept(server, (uv_stream_t *)&client->pipe) != 0 || control->count > CLIENTS_MAX ||
        uv_read_start((uv_stream_t *)&client->pipe, on_room, on_read) != 0) {
        client_close(client);
    }
}

static int call_connect(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path) {
        return -ENAMETOOLONG;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    struct timeval wait = { .tv_sec = CALL_WAIT_S };
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        int code = -errno;
        close(fd);
        return code;
    }
    return fd;
}

/* Remove what a dead process left at `path`; what lives is let alone. */
static int clear_path(const char *path)
{
    struct stat status;
    int fd = call_connect(path);
    if (fd >= 0) {
        close(fd);
        return -EADDRINUSE;
    }
    if (fd == -ECONNREFUSED && stat(path, &status) == 0 && S_ISSOCK(status.st_mode)) {
        (void)unlink(path);
    }
    return fd == -ENAMETOOLONG ? fd : 0;
}

int sim_control_start(struct sim_control *control, struct sim_region *region, uv_loop_t *loop,
                      const char *path)
{
    int rc = clear_path(path);
    if (rc != 0) {
        return rc;
    }
    rc = uv_pipe_init(loop, &control->pipe, 0);
    if (rc != 0) {
        return rc;
    }
    control->region = region;
    control->pipe.data = control;
    control->started = true;
    mode_t before = umask(0177);
    rc = uv_pipe_bind(&control->pipe, path);
    umask(before);
    return rc != 0 ? rc : uv_listen((uv_stream_t *)&control->pipe, CLIENTS_MAX, on_connection);
}

void sim_control_close(struct sim_control *control)
{
    if (!control->started) {
        return;
    }
    while (control->clients != NULL) {
        client_close(control->clients);
    }
    /* libuv removes the socket from the file system. */
    uv_close((uv_handle_t *)&control->pipe, NULL);
}

static int call_send(int fd, const char *command)
{
    char line[SIM_CONTROL_LINE];
    int size = snprintf(line, sizeof line, "%s\n", command);
    if (size >= (int)sizeof line) {
        return -EMSGSIZE;
    }
    return send(fd, line, (size_t)size, MSG_NOSIGNAL) == size ? 0 : -errno;
}

static int call_receive(int fd, char *reply, size_t size)
{
    size_t used = 0;
    while (used < size - 1) {
        ssize_t got = recv(fd, reply + used, size - 1 - used, 0);
        if (got <= 0) {
            return got == 0 ? -ECONNRESET : -errno;
        }
        used += (size_t)got;
        char *end = memchr(reply, '\n', used);
        if (end != NULL) {
            *end = '\0';
            return 0;
        }
    }
    return -EMSGSIZE;
}

int sim_control_call(const char *path, const char *command, char *reply, size_t size)
{
    int fd = call_connect(path);
    if (fd < 0) {
        return fd;
    }
    int rc = call_send(fd, command);
    if (rc == 0) {
        rc = call_receive(fd, reply, size);
    }
    close(fd);
    return rc;
}
