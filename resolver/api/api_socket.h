#pragma once
/*
 * api_socket - the Unix socket the api listens on
 *
 * Control thread.
 */
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* A socket file that we made. */
struct api_socket {
    int fd;
    char path[108]; /* what sun_path holds */
    dev_t device;   /* whether the file at `path` is still ours */
    ino_t inode;
};

/*
 * Listen on `path` with file mode 0660 at every moment. The folder is made
 * when it is missing. A socket file nobody listens on is replaced; -EADDRINUSE
 * when somebody does or the file is no socket. -errno, explained.
 */
int api_socket_open(const char *path, struct api_socket *out, struct error *err);

/* Remove the file if it is still ours. The descriptor is closed by who reads from it. */
void api_socket_remove(const struct api_socket *socket);
