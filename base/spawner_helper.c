#include "base/spawner_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/spawner.h"
#include "base/spawner_wire.h"

#define DESCRIPTORS 1024 /* what programs expect; some close as many as they may have */
#define POLLS_EACH  3
#define POLLS_MAX   (2 + POLLS_EACH * SPAWNER_PROGRAMS_MAX)
#define WORDS_MAX   1024 /* arguments, and as many of the environment */

/* Output as far as it is kept. */
struct catch
{
    int fd; /* -1: at its end */
    size_t size;
    size_t most;
    char *bytes;
};

struct program {
    uint32_t id;
    pid_t pid;
    uint64_t deadline_ms; /* 0: none */
    bool cancelled;       /* nobody waits for its result */
    bool timed_out;
    struct catch output;
    struct catch complaint;
    int input_fd; /* -1: nothing is left to write */
    char *input;
    size_t input_size;
    size_t input_written;
    char output_bytes[SPAWNER_OUTPUT_MAX];
    char complaint_bytes[SPAWNER_COMPLAINT_MAX];
};

struct helper {
    int signals; /* a descriptor that tells of ended children */
    struct program *programs[SPAWNER_PROGRAMS_MAX];
    size_t count;
    char request[SPAWNER_REQUEST_MAX];
};

/* ---- replies ---- */

static void reply(uint32_t id, enum spawner_end end, int value, const struct program *program)
{
    struct spawner_reply head = {
        .id = id,
        .end = end,
        .value = value,
        .output_size = program == NULL ? 0 : (uint32_t)program->output.size,
        .complaint_size = program == NULL ? 0 : (uint32_t)program->complaint.size,
    };
    struct iovec parts[3] = { { .iov_base = &head, .iov_len = sizeof(head) } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = 1 };

    if (program != NULL) {
        parts[1] = (struct iovec){ program->output.bytes, program->output.size };
        parts[2] = (struct iovec){ program->complaint.bytes, program->complaint.size };
        message.msg_iovlen = 3;
    }
    /* waits while the server is busy; whoever has gone is noticed when reading */
    while (sendmsg(SPAWNER_HELPER_FD, &message, MSG_NOSIGNAL) < 0 && errno == EINTR) {
    }
}

/* ---- a program's ends ---- */

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

static void free_program(struct program *program)
{
    close_fd(&program->output.fd);
    close_fd(&program->complaint.fd);
    close_fd(&program->input_fd);
    free(program->input);
    free(program);
}

/* Read what there is. More than is kept is read too, so that nobody waits at a full pipe. */
static void drain(struct catch *catch)
{
    char bytes[4096];

    /* bounded: what writes without end has its turn like others */
    for (unsigned i = 0; i < 16 && catch->fd >= 0; i++) {
        ssize_t size = read(catch->fd, bytes, sizeof(bytes));
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (size <= 0) {
            close_fd(&catch->fd);
            return;
        }
        size_t room = catch->most - catch->size;
        size_t kept = (size_t)size < room ? (size_t)size : room;
        memcpy(catch->bytes + catch->size, bytes, kept);
        catch->size += kept;
    }
}

static void write_input(struct program *program)
{
    ssize_t size = write(program->input_fd, program->input + program->input_written,
                         program->input_size - program->input_written);

    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (size > 0) {
        program->input_written += (size_t)size;
    }
    if (size <= 0 || program->input_written == program->input_size) {
        close_fd(&program->input_fd); /* written, or it does not want it */
    }
}

/* ---- starting ---- */

/* A pipe whose end `ours` (0: the reading one) does not wait. */
static int open_pipe(int ends[2], unsigned ours)
{
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return -errno;
    }
    (void)fcntl(ends[ours], F_SETFL, O_NONBLOCK);
    return 0;
}

/* What it begins with: `fds` as its first three, default signals, a group of its own. */
static int spawn(const int fds[3], char **arguments, char **environment, pid_t *out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all;
    sigset_t none;

    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0) {
        return -rc;
    }
    rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        (void)posix_spawnattr_setpgroup(&attributes, 0);
        (void)posix_spawnattr_setsigmask(&attributes, &none);
        (void)posix_spawnattr_setsigdefault(&attributes, &all);
        (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                        POSIX_SPAWN_SETSIGDEF);
        for (int i = 0; i < 3; i++) {
            (void)posix_spawn_file_actions_adddup2(&actions, fds[i], i);
        }
        (void)posix_spawn_file_actions_addclosefrom_np(&actions, 3);
        rc = posix_spawnp(out, arguments[0], &actions, &attributes, arguments, environment);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return -rc;
}

/* Its pipes and itself. -errno, and what was opened is the program's to close. */
static int start(struct program *program, char **arguments, char **environment)
{
    int output[2] = { -1, -1 };
    int complaint[2] = { -1, -1 };
    int input[2] = { -1, -1 };
    int rc = open_pipe(output, 0);

    if (rc == 0) {
        program->output.fd = output[0];
        rc = open_pipe(complaint, 0);
    }
    if (rc == 0) {
        program->complaint.fd = complaint[0];
        rc = program->input_size > 0 ? open_pipe(input, 1) : 0;
    }
    if (rc == 0) {
        /* without input: the helper's own stdin, which is /dev/null */
        int fds[3] = { program->input_size > 0 ? input[0] : 0, output[1], complaint[1] };
        program->input_fd = input[1];
        rc = spawn(fds, arguments, environment, &program->pid);
    }
    close_fd(&output[1]);
    close_fd(&complaint[1]);
    close_fd(&input[0]);
    return rc;
}

/* Point at `count` terminated strings; what is behind them, or NULL when they are not there. */
static char *take_words(char *at, const char *end, uint32_t count, char *out[WORDS_MAX + 1])
{
    if (count > WORDS_MAX) {
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        char *terminator = memchr(at, '\0', (size_t)(end - at));
        if (terminator == NULL) {
            return NULL;
        }
        out[i] = at;
        at = terminator + 1;
    }
    out[count] = NULL;
    return at;
}

static struct program *new_program(const struct spawner_request *request, const char *input)
{
    struct program *program = calloc(1, sizeof(*program));

    if (program == NULL) {
        return NULL;
    }
    program->id = request->id;
    program->deadline_ms = request->timeout_ms == 0 ? 0 : clock_now_ms() + request->timeout_ms;
    program->input_fd = -1;
    program->output = (struct catch){ -1, 0, SPAWNER_OUTPUT_MAX, program->output_bytes };
    program->complaint = (struct catch){ -1, 0, SPAWNER_COMPLAINT_MAX, program->complaint_bytes };
    program->input_size = request->input_size;
    program->input = malloc(request->input_size + 1u);
    if (program->input == NULL) {
        free(program);
        return NULL;
    }
    memcpy(program->input, input, request->input_size);
    return program;
}

static void take_run(struct helper *h, const struct spawner_request *request, size_t size)
{
    static char *arguments[WORDS_MAX + 1];
    static char *environment[WORDS_MAX + 1];
    char *end = h->request + size;
    char *at = h->request + sizeof(*request);

    if (h->count == SPAWNER_PROGRAMS_MAX) {
        reply(request->id, SPAWNER_REFUSED, 0, NULL);
        return;
    }
    at = take_words(at, end, request->argument_count, arguments);
    at = at == NULL ? NULL : take_words(at, end, request->environment_count, environment);
    if (at == NULL || request->argument_count == 0 || (size_t)(end - at) != request->input_size) {
        reply(request->id, SPAWNER_NOT_STARTED, E2BIG, NULL);
        return;
    }
    struct program *program = new_program(request, at);
    if (program == NULL) {
        reply(request->id, SPAWNER_NOT_STARTED, ENOMEM, NULL);
        return;
    }
    int rc = start(program, arguments, environment);
    if (rc < 0) {
        reply(request->id, SPAWNER_NOT_STARTED, -rc, NULL);
        free_program(program);
        return;
    }
    h->programs[h->count++] = program;
}

/* ---- ending ---- */

/* It, and what it has started. Its number is not given anew before it is reaped. */
static void kill_group(const struct program *program)
{
    (void)kill(-program->pid, SIGKILL);
}

static void take_cancel(struct helper *h, uint32_t id)
{
    for (size_t i = 0; i < h->count; i++) {
        if (h->programs[i]->id == id) {
            h->programs[i]->cancelled = true;
            kill_group(h->programs[i]);
        }
    }
}

static void report(struct program *program, int code, int status)
{
    drain(&program->output);
    drain(&program->complaint);
    if (program->cancelled) {
        return;
    }
    if (program->timed_out) {
        reply(program->id, SPAWNER_TIMED_OUT, 0, program);
    } else {
        reply(program->id, code == CLD_EXITED ? SPAWNER_EXITED : SPAWNER_KILLED, status, program);
    }
}

/* Has it ended? Then kill what it left behind, reap it, and tell. */
static bool reap(struct program *program)
{
    siginfo_t info = { 0 };

    if (waitid(P_PID, (id_t)program->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
        info.si_pid == 0) {
        return false;
    }
    kill_group(program);
    (void)waitpid(program->pid, NULL, 0);
    report(program, info.si_code, info.si_status);
    return true;
}

static void reap_all(struct helper *h)
{
    struct signalfd_siginfo ignored;

    while (read(h->signals, &ignored, sizeof(ignored)) > 0) {
    }
    for (size_t i = 0; i < h->count;) {
        if (reap(h->programs[i])) {
            free_program(h->programs[i]);
            h->programs[i] = h->programs[--h->count];
        } else {
            i++;
        }
    }
}

static void kill_late(struct helper *h, uint64_t now_ms)
{
    for (size_t i = 0; i < h->count; i++) {
        struct program *program = h->programs[i];
        if (program->deadline_ms != 0 && program->deadline_ms <= now_ms) {
            program->deadline_ms = 0;
            program->timed_out = true;
            kill_group(program);
        }
    }
}

/* ---- the loop ---- */

/* False at the end of the stream. */
static bool take_request(struct helper *h)
{
    struct spawner_request request;
    ssize_t size = recv(SPAWNER_HELPER_FD, h->request, sizeof(h->request), MSG_DONTWAIT);

    if (size < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    if ((size_t)size < sizeof(request)) {
        return false;
    }
    memcpy(&request, h->request, sizeof(request));
    if (request.verb == SPAWNER_CANCEL) {
        take_cancel(h, request.id);
    } else {
        take_run(h, &request, (size_t)size);
    }
    return true;
}

static int time_left(const struct helper *h, uint64_t now_ms)
{
    uint64_t least = INT_MAX;

    for (size_t i = 0; i < h->count; i++) {
        uint64_t deadline = h->programs[i]->deadline_ms;
        uint64_t left = deadline > now_ms ? deadline - now_ms : 0;
        if (deadline != 0 && left < least) {
            least = left;
        }
    }
    return least == INT_MAX ? -1 : (int)least;
}

/* poll() passes over what is -1. */
static nfds_t list_polls(const struct helper *h, struct pollfd polls[POLLS_MAX])
{
    nfds_t count = 2;

    polls[0] = (struct pollfd){ .fd = SPAWNER_HELPER_FD, .events = POLLIN };
    polls[1] = (struct pollfd){ .fd = h->signals, .events = POLLIN };
    for (size_t i = 0; i < h->count; i++) {
        const struct program *program = h->programs[i];
        polls[count++] = (struct pollfd){ .fd = program->output.fd, .events = POLLIN };
        polls[count++] = (struct pollfd){ .fd = program->complaint.fd, .events = POLLIN };
        polls[count++] = (struct pollfd){ .fd = program->input_fd, .events = POLLOUT };
    }
    return count;
}

static void serve_pipes(struct helper *h, const struct pollfd *polls)
{
    for (size_t i = 0; i < h->count; i++, polls += POLLS_EACH) {
        if (polls[0].revents != 0) {
            drain(&h->programs[i]->output);
        }
        if (polls[1].revents != 0) {
            drain(&h->programs[i]->complaint);
        }
        if (polls[2].revents != 0) {
            write_input(h->programs[i]);
        }
    }
}

static void serve(struct helper *h)
{
    struct pollfd polls[POLLS_MAX];

    for (;;) {
        nfds_t count = list_polls(h, polls);
        if (poll(polls, count, time_left(h, clock_now_ms())) < 0 && errno != EINTR) {
            return;
        }
        kill_late(h, clock_now_ms());
        serve_pipes(h, polls + 2); /* while they are in the order of the list */
        reap_all(h);
        if (polls[0].revents != 0 && !take_request(h)) {
            return;
        }
    }
}

/* Ctrl-C and the like go to the whole group of processes; the server decides. */
static int take_signals(struct helper *h)
{
    static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };
    sigset_t children;

    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) {
        (void)signal(ignored[i], SIG_IGN);
    }
    (void)signal(SIGCHLD, SIG_DFL);
    (void)sigemptyset(&children);
    (void)sigaddset(&children, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &children, NULL);
    h->signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
    return h->signals < 0 ? -errno : 0;
}

/* What the server was given for itself is not for programs. */
static void shed(void)
{
    struct rlimit limit;

    (void)prctl(PR_SET_NAME, "leeward-spawner");
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > DESCRIPTORS) {
        limit.rlim_cur = DESCRIPTORS;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    (void)fcntl(SPAWNER_HELPER_FD, F_SETFD, FD_CLOEXEC);
}

int spawner_helper_run(void)
{
    int type = 0;
    socklen_t size = sizeof(type);

    if (getsockopt(SPAWNER_HELPER_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
        type != SOCK_SEQPACKET) {
        return 1; /* somebody tries the hidden command by hand */
    }
    struct helper *h = calloc(1, sizeof(*h));
    if (h == NULL || take_signals(h) < 0) {
        free(h);
        return 1;
    }
    shed();
    serve(h);
    for (size_t i = 0; i < h->count; i++) {
        kill_group(h->programs[i]); /* what has no parent is reaped by init */
        free_program(h->programs[i]);
    }
    (void)close(h->signals);
    free(h);
    return 0;
}
