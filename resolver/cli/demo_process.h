#pragma once
/*
 * demo_process - children that end with the program
 *
 * The kernel ends a child when the THREAD that started it ends. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/*
 * Start `program` (a path, or a name to be found in PATH) with stderr, and
 * stdout unless `out_fd` is wanted, appended to `log_path`. With `out_fd` its
 * stdout can be read there; the caller closes it. Returns the pid or -errno,
 * explained.
 */
pid_t demo_process_start(const char *program, char *const *argv, const char *log_path, int *out_fd,
                         struct error *err);

/*
 * Read the first line that the child writes into `out`, without newline.
 * -EPIPE when it ends before, -ETIMEDOUT when it says nothing in time.
 */
int demo_process_read_line(int fd, unsigned timeout_ms, char *out, size_t cap);

/* End it: ask, wait for at most a second, then kill. Waits for its end. */
void demo_process_stop(pid_t pid);

/* Does it run? One that has ended is gone afterwards. */
bool demo_process_is_alive(pid_t pid);
