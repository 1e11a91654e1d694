#pragma once
/*
 * api - HTTP over the Unix socket: status, why, reload
 *
 * libmicrohttpd driven by the control loop, loaded for the first client; where it
 * cannot be loaded, clients get 503 with the reason. The socket's file mode (0660) is the
 * permission for everything that changes state.
 */
#include <uv.h>

#include "base/error.h"

struct api;
struct control;

/*
 * Listen on `path` (a stale socket file of a dead server is replaced, a live
 * one is an error). -errno, explained.
 */
int api_open(uv_loop_t *loop, struct control *control, const char *path, struct api **out,
             struct error *err);

/* Stop, remove the socket file, and call `closed` when all handles are closed. */
void api_close(struct api *api, void (*closed)(void *user), void *user);
