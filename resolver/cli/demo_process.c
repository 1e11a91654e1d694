#include "resolver/cli/demo_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define STOP_WAIT_MS 1000u
#define EXEC_FAILED  127

/*
 * In the child, between fork and exec. A process group of its own: Ctrl-C on
 * the terminal is for the parent, which ends its children in order.
 */
static _Noreturn void become(const char *program, char *const *argv, int log_fd, int stdout_fd,
                             pid_t parent)
{
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent && dup2(log_fd, STDERR_FILENO) >= 0 &&
        dup2(stdout_fd, STDOUT_FILENO) >= 0) {
        (void)unsetenv("NOTIFY_SOCKET"); /* it is not the service that systemd started */
        (void)execvp(program, argv);
    }
    _exit(EXEC_FAILED);
}

pid_t demo_process_start(const char *program, char *const *argv, const char *log_path, int *out_fd,
                         struct error *err)
{
    int ends[2] = { -1, -1 };
    pid_t parent = getpid();
    int log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (log_fd < 0 || (out_fd != NULL && pipe2(ends, O_CLOEXEC) < 0)) {
        int code = -errno;
        if (log_fd >= 0) {
            (void)close(log_fd);
        }
        return error_set(err, code, "%s: %s", log_path, strerror(-code));
    }
    pid_t pid = fork();
    if (pid == 0) {
        become(program, argv, log_fd, out_fd != NULL ? ends[1] : log_fd, parent);
    }
    int code = -errno;
    (void)close(log_fd);
    if (out_fd != NULL) {
        (void)close(ends[1]);
    }
    if (pid < 0) {
        if (out_fd != NULL) {
            (void)close(ends[0]);
        }
        return error_set(err, code, "%s: %s", program, strerror(-code));
    }
    if (out_fd != NULL) {
        *out_fd = ends[0];
    }
    return pid;
}

int demo_process_read_line(int fd, unsigned timeout_ms, char *out, size_t cap)
{
    uint64_t deadline_ms = clock_now_ms() + timeout_ms;
    size_t length = 0;

    while (length + 1 < cap) {
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        uint64_t now_ms = clock_now_ms();
        if (now_ms >= deadline_ms) {
            return -ETIMEDOUT;
        }
        int rc = poll(&ready, 1, (int)(deadline_ms - now_ms));
        if (rc <= 0) {
            continue; /* in time or interrupted: the clock decides */
        }
        ssize_t got = read(fd, out + length, 1);
        if (got <= 0) {
            return -EPIPE;
        }
        if (out[length] == '\n') {
            break;
        }
        length++;
    }
    out[length] = '\0';
    return 0;
}

bool demo_process_is_alive(pid_t pid)
{
    return pid > 0 && waitpid(pid, NULL, WNOHANG) == 0;
}

void demo_process_stop(pid_t pid)
{
    uint64_t deadline_ms = clock_now_ms() + STOP_WAIT_MS;

    if (pid <= 0 || kill(pid, SIGTERM) < 0) {
        return;
    }
    while (clock_now_ms() < deadline_ms) {
        if (waitpid(pid, NULL, WNOHANG) != 0) {
            return;
        }
        (void)poll(NULL, 0, 5);
    }
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}
