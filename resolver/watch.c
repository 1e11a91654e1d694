#include "resolver/watch.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

#define EVERY_MS  1000
#define FILE_MOST (16u << 20)

struct file {
    char *path;
    struct stat seen; /* zeroes when it was not there */
    uint64_t digest;  /* of its content, 0 when it could not be read */
    bool is_large;    /* its content is not looked at */
};

struct watch {
    uv_timer_t timer;
    void (*changed)(void *user, const char *path);
    void *user;
    struct file *files;
    size_t count;
};

static uint64_t digest_of(const char *path)
{
    static const struct hash_key plain = { 3, 4 }; /* only to compare with itself */
    struct error ignored;
    char *bytes;
    size_t length;

    if (file_read(path, FILE_MOST, &bytes, &length, &ignored) < 0) {
        return 0;
    }
    uint64_t digest = hash_bytes(&plain, bytes, length);
    free(bytes);
    return digest | 1;
}

static void look(const char *path, struct stat *out)
{
    memset(out, 0, sizeof(*out));
    (void)stat(path, out);
}

/* What it is now. One that cannot be read has not changed. */
static void take_in(struct file *file)
{
    look(file->path, &file->seen);
    uint64_t digest = file->is_large ? 0 : digest_of(file->path);
    file->digest = digest != 0 ? digest : file->digest;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void on_timer(uv_timer_t *timer)
{
    struct watch *watch = timer->data;
    struct stat now;

    for (size_t i = 0; i < watch->count; i++) {
        struct file *file = &watch->files[i];
        look(file->path, &now);
        if (is_same(&now, &file->seen)) {
            continue;
        }
        uint64_t digest = file->is_large ? 0 : digest_of(file->path);
        /* one that is gone for a moment has not changed */
        bool other = file->is_large ? now.st_size > 0 : digest != 0 && digest != file->digest;
        file->seen = now;
        if (other) {
            file->digest = digest;
            watch->changed(watch->user, file->path);
            return; /* that may have changed the list */
        }
    }
}

struct watch *watch_new(uv_loop_t *loop, void (*changed)(void *user, const char *path), void *user)
{
    struct watch *watch = calloc(1, sizeof(*watch));

    if (watch == NULL) {
        return NULL;
    }
    watch->changed = changed;
    watch->user = user;
    (void)uv_timer_init(loop, &watch->timer);
    watch->timer.data = watch;
    return watch;
}

static void forget(struct file *files, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(files[i].path);
    }
    free(files);
}

static struct file *find(struct file *files, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(files[i].path, path) == 0) {
            return &files[i];
        }
    }
    return NULL;
}

/* `before`: the same file when it was watched already, or NULL. */
static void add(struct watch *watch, const char *path, bool is_large, const struct file *before)
{
    if (find(watch->files, watch->count, path) != NULL) {
        return;
    }
    struct file *files = realloc(watch->files, (watch->count + 1) * sizeof(*files));
    char *copy = strdup(path);
    REQUIRE(files != NULL && copy != NULL);
    struct file *file = &files[watch->count++];
    watch->files = files;
    *file = (struct file){ .path = copy, .is_large = is_large };
    if (before != NULL) {
        file->seen = before->seen;
        file->digest = before->digest;
    } else {
        take_in(file);
    }
}

void watch_look(struct watch *watch)
{
    for (size_t i = 0; i < watch->count; i++) {
        take_in(&watch->files[i]);
    }
}

void watch_adopt(struct watch *watch, const struct model *model)
{
    struct file *old = watch->files;
    size_t count = watch->count;

    watch->files = NULL;
    watch->count = 0;
    for (size_t i = 0; i < model->forward_count; i++) {
        const char *path = model->forwards[i].from;
        if (path != NULL) {
            add(watch, path, false, find(old, count, path));
        }
    }
    if (model->hosts != NULL) {
        add(watch, model->hosts, false, find(old, count, model->hosts));
    }
    for (size_t i = 0; i < model->geo_count; i++) {
        const char *path = model->geos[i].file; /* of tens of MiB */
        add(watch, path, true, find(old, count, path));
    }
    forget(old, count);
    if (watch->count == 0) {
        (void)uv_timer_stop(&watch->timer);
    } else {
        (void)uv_timer_start(&watch->timer, on_timer, EVERY_MS, EVERY_MS);
    }
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void watch_close(struct watch *watch)
{
    if (watch != NULL) {
        forget(watch->files, watch->count);
        uv_close((uv_handle_t *)&watch->timer, on_closed);
    }
}
