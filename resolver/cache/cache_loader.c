#include "resolver/cache/cache_loader.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "resolver/cache/cache_file.h"

/* What one turn of the loop may take: queries wait behind it. */
#define TURN_RECORDS 256
#define TURN_US      2000u
#define READ_BYTES   (64u * 1024)

#define BUFFER_BYTES (READ_BYTES + CACHE_FILE_RECORD_MOST)

struct cache_loader {
    uv_idle_t idle;
    void (*done)(void *user, size_t count);
    void *user;
    int fd; /* -1: nothing to read */
    uint64_t begun_ms;

    uint64_t at;   /* in the file, of the buffer's first byte not yet taken */
    size_t from;   /* that byte in the buffer */
    size_t filled; /* bytes in the buffer, those taken included */
    struct cache_file_reading reading;
    uint8_t buffer[BUFFER_BYTES];
    char path[PATH_MAX];
    char aside[PATH_MAX];
};

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void close_loader(struct cache_loader *loader)
{
    if (loader->fd >= 0) {
        (void)close(loader->fd);
        loader->fd = -1;
    }
    uv_close((uv_handle_t *)&loader->idle, on_closed);
}

static void finish(struct cache_loader *loader)
{
    void (*done)(void *user, size_t count) = loader->done;
    void *user = loader->user;
    size_t count = (size_t)loader->reading.stored;

    close_loader(loader);
    done(user, count);
}

static void finish_whole(struct cache_loader *loader)
{
    const struct cache_file_reading *reading = &loader->reading;

    log_event(LOG_INFO, "cache loaded", "path=%s entries=%llu left_out=%llu after=%llums",
              loader->path, (unsigned long long)reading->stored,
              (unsigned long long)(reading->records - reading->stored),
              (unsigned long long)(clock_now_ms() - loader->begun_ms));
    finish(loader);
}

static void finish_damaged(struct cache_loader *loader, const struct error *err)
{
    bool is_moved = rename(loader->path, loader->aside) == 0;
    const char *kept_as = is_moved ? loader->aside : strerror(errno);

    log_event(LOG_WARNING, "cache file set aside",
              "path=%s reason=%s byte=%llu loaded=%llu kept_as=%s", loader->path, err->message,
              (unsigned long long)loader->at, (unsigned long long)loader->reading.stored, kept_as);
    finish(loader);
}

static void warn_unreadable(const struct cache_loader *loader, const char *error)
{
    log_event(LOG_WARNING, "cache not loaded", "path=%s error=%s loaded=%llu", loader->path, error,
              (unsigned long long)loader->reading.stored);
}

/* Bytes read, 0 at the end of the file, -errno. */
static int read_more(struct cache_loader *loader)
{
    ssize_t got;

    memmove(loader->buffer, loader->buffer + loader->from, loader->filled - loader->from);
    loader->filled -= loader->from;
    loader->from = 0;
    size_t room = BUFFER_BYTES - loader->filled;
    do {
        got = read(loader->fd, loader->buffer + loader->filled,
                   room < READ_BYTES ? room : READ_BYTES);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return -errno;
    }
    loader->filled += (size_t)got;
    return (int)got;
}

/*
 * Take what the buffer holds, as much as one turn may. Above 0 when there is
 * more in it for the next turn, 0 when more has to be read, -EINVAL.
 */
static int take_some(struct cache_loader *loader, struct error *err)
{
    uint64_t end_us = clock_now_us() + TURN_US;

    for (unsigned i = 0; i < TURN_RECORDS; i++) {
        long length = cache_file_take(&loader->reading, loader->buffer + loader->from,
                                      loader->filled - loader->from, err);
        if (length <= 0) {
            return (int)length;
        }
        loader->from += (size_t)length;
        loader->at += (size_t)length;
        if (clock_now_us() >= end_us) {
            break;
        }
    }
    return 1;
}

static void on_turn(uv_idle_t *idle)
{
    struct cache_loader *loader = idle->data;
    struct error err = { .code = 0 };

    if (loader->fd < 0) {
        finish(loader);
        return;
    }
    int rc = take_some(loader, &err);
    if (rc < 0) {
        finish_damaged(loader, &err);
        return;
    }
    if (rc > 0) {
        return;
    }
    rc = read_more(loader);
    if (rc < 0) {
        warn_unreadable(loader, strerror(-rc));
        finish(loader);
        return;
    }
    if (rc > 0) {
        return;
    }
    if (cache_file_finish(&loader->reading, loader->filled, &err) < 0) {
        finish_damaged(loader, &err);
        return;
    }
    finish_whole(loader);
}

/* Leaves -1 when there is nothing to read. */
static void open_file(struct cache_loader *loader)
{
    struct stat info;

    loader->fd = open(loader->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (loader->fd < 0) {
        if (errno != ENOENT) {
            warn_unreadable(loader, strerror(errno));
        }
        return;
    }
    if (fstat(loader->fd, &info) < 0 || !S_ISREG(info.st_mode)) {
        warn_unreadable(loader, "not a regular file");
        (void)close(loader->fd);
        loader->fd = -1;
    }
}

static int set_paths(struct cache_loader *loader, const char *directory)
{
    int length = snprintf(loader->path, sizeof(loader->path), "%s/%s", directory, CACHE_FILE_NAME);

    if (length < 0 || (size_t)length >= sizeof(loader->path)) {
        return -ENAMETOOLONG;
    }
    length = snprintf(loader->aside, sizeof(loader->aside), "%s/%s", directory, CACHE_LOADER_ASIDE);
    return length < 0 || (size_t)length >= sizeof(loader->aside) ? -ENAMETOOLONG : 0;
}

int cache_loader_start(uv_loop_t *loop, struct cache *cache, const char *directory,
                       void (*done)(void *user, size_t count), void *user,
                       struct cache_loader **out)
{
    struct cache_file_times times = { .now_ms = (int64_t)clock_now_ms() };
    struct cache_loader *loader = calloc(1, sizeof(*loader));

    if (loader == NULL) {
        return -ENOMEM;
    }
    int rc = set_paths(loader, directory);
    if (rc < 0) {
        free(loader);
        return rc;
    }
    loader->done = done;
    loader->user = user;
    loader->begun_ms = clock_now_ms();
    times.wall_ms = clock_wall_ms(); /* the later one: nothing is loaded as fresher */
    cache_file_begin(&loader->reading, cache, &times);
    open_file(loader);
    (void)uv_idle_init(loop, &loader->idle); /* cannot fail */
    loader->idle.data = loader;
    (void)uv_idle_start(&loader->idle, on_turn);
    *out = loader;
    return 0;
}

void cache_loader_cancel(struct cache_loader *loader)
{
    if (loader != NULL) {
        close_loader(loader);
    }
}
