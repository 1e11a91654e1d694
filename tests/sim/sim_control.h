#pragma once
/*
 * sim_control - the control socket: a line in, a line out
 *
 * Loop thread only, but for sim_control_call, which is the client and runs
 * without a loop.
 */
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#define SIM_CONTROL_LINE 2048

struct sim_region;
struct sim_control_client;

struct sim_control {
    struct sim_region *region;
    bool started;
    uv_pipe_t pipe;
    struct sim_control_client *clients;
    unsigned count;
};

/*
 * Listen at `path`, a Unix socket readable by this user only. A socket left
 * behind by a dead process is replaced; -EADDRINUSE when a living one
 * answers there, or a file stands there that is no socket.
 */
int sim_control_start(struct sim_control *control, struct sim_region *region, uv_loop_t *loop,
                      const char *path);

/* Stop listening and remove the socket; nothing when it was never started. */
void sim_control_close(struct sim_control *control);

/*
 * Send one command to the region listening at `path` and wait up to five
 * seconds for its reply, stored without newline. 0 or a negative errno.
 */
int sim_control_call(const char *path, const char *command, char *reply, size_t size);
