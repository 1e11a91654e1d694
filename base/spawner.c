#include "base/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/spawner_helper.h"
#include "base/spawner_wire.h"

/* ---- the helper's life ---- */

/* The helper's end, above the descriptors that its start rearranges. */
static int open_pair(int ends[2])
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return -errno;
    }
    ends[0] = fcntl(pair[0], F_DUPFD_CLOEXEC, SPAWNER_HELPER_FD + 1);
    ends[1] = fcntl(pair[1], F_DUPFD_CLOEXEC, SPAWNER_HELPER_FD + 1);
    (void)close(pair[0]);
    (void)close(pair[1]);
    if (ends[1] >= 0 && ends[0] >= 0) {
        return 0;
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    return -EMFILE;
}

/* The binary that runs, also when a newer one lies in its place meanwhile. */
static int start_helper(int fd, pid_t *out)
{
    char *arguments[] = { (char *)(uintptr_t) "leeward", (char *)(uintptr_t)SPAWNER_COMMAND, NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;

    (void)sigemptyset(&none);
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0) {
        return -rc;
    }
    rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        (void)posix_spawnattr_setsigmask(&attributes, &none);
        (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
        (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        (void)posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
        (void)posix_spawn_file_actions_adddup2(&actions, fd, SPAWNER_HELPER_FD);
        (void)posix_spawn_file_actions_addclosefrom_np(&actions, SPAWNER_HELPER_FD + 1);
        rc = posix_spawn(out, "/proc/self/exe", &actions, &attributes, arguments, environ);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return -rc;
}

int spawner_open(struct spawner *out, struct error *err)
{
    pid_t pid = 0;
    int ends[2] = { -1, -1 };
    int rc = open_pair(ends);

    if (rc < 0) {
        return error_set(err, rc, "no helper to run programs: %s", strerror(-rc));
    }
    rc = start_helper(ends[1], &pid);
    (void)close(ends[1]);
    if (rc < 0) {
        (void)close(ends[0]);
        (void)error_set(err, rc, "no helper to run programs: /proc/self/exe: %s", strerror(-rc));
        if (rc == -ENOENT) {
            error_hint(err, "is /proc mounted?");
        }
        return rc;
    }
    out->fd = ends[0];
    out->pid = pid;
    return 0;
}

/* The end of the stream has the helper kill its programs and end, which takes it no time. */
void spawner_close(struct spawner *spawner)
{
    if (spawner->fd < 0) {
        return;
    }
    (void)close(spawner->fd);
    spawner->fd = -1;
    while (waitpid(spawner->pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

/* ---- messages ---- */

static int send_message(const struct spawner *spawner, const void *message, size_t size)
{
    for (;;) {
        if (send(spawner->fd, message, size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
            return 0;
        }
        if (errno == ECONNRESET || errno == ENOTCONN) {
            return -EPIPE;
        }
        if (errno != EINTR) {
            return errno == EMSGSIZE ? -E2BIG : -errno;
        }
    }
}

struct pen {
    char *at;
    size_t left;
    bool full;
};

static void write_bytes(struct pen *pen, const void *bytes, size_t size)
{
    if (pen->full || size > pen->left) {
        pen->full = true;
        return;
    }
    if (size > 0) {
        memcpy(pen->at, bytes, size);
    }
    pen->at += size;
    pen->left -= size;
}

static uint32_t write_strings(struct pen *pen, const char *const *strings)
{
    uint32_t count = 0;

    for (; strings[count] != NULL; count++) {
        write_bytes(pen, strings[count], strlen(strings[count]) + 1);
    }
    return count;
}

int spawner_run(const struct spawner *spawner, uint32_t id, const struct spawner_program *program)
{
    struct spawner_request request = {
        .verb = SPAWNER_RUN,
        .id = id,
        .timeout_ms = program->timeout_ms,
        .input_size = (uint32_t)program->input_size,
    };
    char *message = malloc(SPAWNER_REQUEST_MAX);

    if (message == NULL) {
        return -ENOMEM;
    }
    struct pen pen = {
        .at = message + sizeof(request),
        .left = SPAWNER_REQUEST_MAX - sizeof(request),
    };
    request.argument_count = write_strings(&pen, program->arguments);
    request.environment_count = write_strings(&pen, program->environment);
    write_bytes(&pen, program->input, program->input_size);
    memcpy(message, &request, sizeof(request));
    int rc = pen.full ? -E2BIG : send_message(spawner, message, (size_t)(pen.at - message));
    free(message);
    return rc;
}

int spawner_cancel(const struct spawner *spawner, uint32_t id)
{
    struct spawner_request request = { .verb = SPAWNER_CANCEL, .id = id };

    return send_message(spawner, &request, sizeof(request));
}

int spawner_receive(const struct spawner *spawner, struct spawner_result *out)
{
    char bytes[SPAWNER_OUTPUT_MAX + SPAWNER_COMPLAINT_MAX];
    struct spawner_reply reply;
    struct iovec parts[] = {
        { .iov_base = &reply, .iov_len = sizeof(reply) },
        { .iov_base = bytes, .iov_len = sizeof(bytes) },
    };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
    ssize_t size = recvmsg(spawner->fd, &message, MSG_DONTWAIT);

    if (size < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
    }
    if ((size_t)size < sizeof(reply) ||
        (size_t)size != sizeof(reply) + reply.output_size + reply.complaint_size ||
        reply.output_size > SPAWNER_OUTPUT_MAX || reply.complaint_size > SPAWNER_COMPLAINT_MAX) {
        return -EPIPE;
    }
    out->id = reply.id;
    out->end = (enum spawner_end)reply.end;
    out->value = reply.value;
    out->output_size = reply.output_size;
    out->complaint_size = reply.complaint_size;
    memcpy(out->output, bytes, out->output_size);
    memcpy(out->complaint, bytes + out->output_size, out->complaint_size);
    out->output[out->output_size] = '\0';
    out->complaint[out->complaint_size] = '\0';
    return 1;
}
