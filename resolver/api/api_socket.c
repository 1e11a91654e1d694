#include "resolver/api/api_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FILE_MODE   0660 /* the permission for everything that changes state */
#define FOLDER_MODE 0755
#define BACKLOG     64

static int fill_address(const char *path, struct sockaddr_un *out, struct error *err)
{
    size_t length = strlen(path);

    memset(out, 0, sizeof(*out));
    out->sun_family = AF_UNIX;
    if (length == 0 || length >= sizeof(out->sun_path)) {
        return error_set(err, -ENAMETOOLONG, "api socket %s: at most %zu bytes fit", path,
                         sizeof(out->sun_path) - 1);
    }
    memcpy(out->sun_path, path, length + 1);
    return 0;
}

/* Does anybody accept connections there? */
static bool is_alive(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return true;
    }
    int rc = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    bool alive = rc == 0 || errno == EAGAIN; /* EAGAIN: its backlog is full */
    (void)close(fd);
    return alive;
}

/* Remove what a dead server left behind. */
static int clear_stale(const struct sockaddr_un *address, struct error *err)
{
    struct stat file;
    const char *path = address->sun_path;

    if (lstat(path, &file) < 0) {
        return errno == ENOENT || errno == ENOTDIR
                   ? 0
                   : error_set(err, -errno, "api socket %s: %s", path, strerror(errno));
    }
    if (!S_ISSOCK(file.st_mode)) {
        (void)error_set(err, -EADDRINUSE, "api socket %s: a file that is no socket is there", path);
        error_hint(err, "remove it, or set api.socket to another path");
        return err->code;
    }
    if (is_alive(address)) {
        (void)error_set(err, -EADDRINUSE, "api socket %s: another server listens there", path);
        error_hint(err, "stop it, or give this one another api.socket");
        return err->code;
    }
    if (unlink(path) < 0 && errno != ENOENT) {
        return error_set(err, -errno, "api socket %s: cannot remove the old one: %s", path,
                         strerror(errno));
    }
    return 0;
}

/* Make the folder, one level of it: /run is empty after a boot. */
static void make_folder(const char *path)
{
    char folder[108];
    const char *slash = strrchr(path, '/');

    if (slash == NULL || slash == path) {
        return;
    }
    (void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
    (void)mkdir(folder, FOLDER_MODE); /* what stays missing is reported by bind */
}

/* The socket's own mode limits the mode the file is made with: never open to all. */
static int listen_at(int fd, const struct sockaddr_un *address, struct error *err)
{
    const char *what = "mode";

    if (fchmod(fd, FILE_MODE) == 0) {
        what = "bind";
        if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0) {
            what = "mode";
            if (chmod(address->sun_path, FILE_MODE) == 0) {
                what = "listen";
                if (listen(fd, BACKLOG) == 0) {
                    return 0;
                }
            }
        }
    }
    int code = -errno;
    (void)error_set(err, code, "api socket %s: %s: %s", address->sun_path, what, strerror(-code));
    if (code == -EACCES || code == -ENOENT || code == -EROFS) {
        error_hint(err, "its folder must exist and be writable; or set api.socket");
    }
    return code;
}

int api_socket_open(const char *path, struct api_socket *out, struct error *err)
{
    struct sockaddr_un address;
    struct stat file;
    int rc = fill_address(path, &address, err);

    if (rc < 0) {
        return rc;
    }
    make_folder(path);
    rc = clear_stale(&address, err);
    if (rc < 0) {
        return rc;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return error_set(err, -errno, "api socket %s: %s", path, strerror(errno));
    }
    rc = listen_at(fd, &address, err);
    if (rc == 0 && stat(path, &file) < 0) {
        rc = error_set(err, -errno, "api socket %s: %s", path, strerror(errno));
    }
    if (rc < 0) {
        (void)close(fd);
        return rc;
    }
    out->fd = fd;
    memcpy(out->path, address.sun_path, sizeof(out->path));
    out->device = file.st_dev;
    out->inode = file.st_ino;
    return 0;
}

void api_socket_remove(const struct api_socket *socket)
{
    struct stat file;

    if (stat(socket->path, &file) == 0 && file.st_dev == socket->device &&
        file.st_ino == socket->inode) {
        (void)unlink(socket->path);
    }
}
