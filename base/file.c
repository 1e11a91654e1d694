#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(struct error *err, const char *path, const char *what)
{
    int code = errno;

    return error_set_at(err, -code, path, 0, 0, "cannot %s: %s", what, strerror(code));
}

/* Read until the end; returns the length, -1 with errno set. */
static ssize_t read_all(int fd, char *bytes, size_t room)
{
    size_t length = 0;

    while (length < room) {
        ssize_t got = read(fd, bytes + length, room - length);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        length += (size_t)got;
    }
    return (ssize_t)length;
}

int file_read(const char *path, size_t most, char **out_bytes, size_t *out_length,
              struct error *err)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return fail(err, path, "open it");
    }
    if (fstat(fd, &info) < 0 || S_ISDIR(info.st_mode)) {
        errno = S_ISDIR(info.st_mode) ? EISDIR : errno;
        (void)fail(err, path, "read it");
        close(fd);
        return err->code;
    }
    size_t room = S_ISREG(info.st_mode) ? (size_t)info.st_size + 1 : most + 1;
    room = room > most + 1 ? most + 1 : room;
    char *bytes = malloc(room + 1);
    ssize_t length = bytes == NULL ? -1 : read_all(fd, bytes, room);
    int rc = length < 0 ? fail(err, path, "read it") : 0;
    close(fd);
    if (rc == 0 && (size_t)length > most) {
        rc = error_set_at(err, -EFBIG, path, 0, 0, "larger than %zu bytes", most);
    }
    if (rc < 0) {
        free(bytes);
        return rc;
    }
    bytes[length] = '\0';
    *out_bytes = bytes;
    *out_length = (size_t)length;
    return 0;
}

static int write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t done = write(fd, bytes, length);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return -1;
        }
        bytes += done;
        length -= (size_t)done;
    }
    return fsync(fd);
}

int file_replace(const char *path, const char *bytes, size_t length, struct error *err)
{
    char beside[PATH_MAX];

    if (snprintf(beside, sizeof(beside), "%s.new", path) >= (int)sizeof(beside)) {
        errno = ENAMETOOLONG;
        return fail(err, path, "write it");
    }
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail(err, beside, "create it");
    }
    int rc = write_all(fd, bytes, length) < 0 ? fail(err, beside, "write it") : 0;
    close(fd);
    if (rc == 0 && rename(beside, path) < 0) {
        rc = fail(err, path, "replace it");
    }
    if (rc < 0) {
        (void)unlink(beside);
    }
    return rc;
}

int file_make_directory(const char *path, struct error *err)
{
    char part[PATH_MAX];
    size_t length = strlen(path);

    if (length == 0 || length >= sizeof(part)) {
        errno = length == 0 ? ENOENT : ENAMETOOLONG;
        return fail(err, path, "make it");
    }
    memcpy(part, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (part[i] != '/' && part[i] != '\0') {
            continue;
        }
        char kept = part[i];
        part[i] = '\0';
        if (mkdir(part, 0755) < 0 && errno != EEXIST) {
            return fail(err, part, "make the directory");
        }
        part[i] = kept;
    }
    return 0;
}
