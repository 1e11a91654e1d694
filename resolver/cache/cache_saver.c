#include "resolver/cache/cache_saver.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "resolver/cache/cache_file.h"
#include "resolver/rcu.h"
#include "resolver/thread.h"

#define LOOK_MS      1000u  /* between two looks at the counters */
#define PAUSE_MS     10000u /* between two saves at least */
#define MIB_PAUSE_MS 5000u  /* and for each MiB of cache: the disk has other users, and wears */
#define MIB          (UINT64_C(1) << 20)

#define ONLINE_ENTRIES 64 /* in one go; readers of nothing else wait for us */
#define BUFFER_BYTES   (64u * 1024 + CACHE_FILE_RECORD_MOST)

/* What tells that the cache has changed. A flush changes only the second. */
struct state {
    uint64_t stored;
    uint64_t entries;
};

struct cache_saver {
    const struct cache *cache;
    char path[PATH_MAX];
    char beside[PATH_MAX]; /* written first */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stopping;
    bool stop; /* under the lock */

    /* the thread's own */
    struct state saved; /* at first of an empty cache: what was loaded is written anew */
    uint64_t due_ms;    /* not before */
    int error;          /* of the last try */
};

/* A file on its way out. */
struct output {
    int fd;
    uint64_t count; /* records so far */
    size_t length;  /* in the buffer */
    uint8_t *buffer;
};

static struct state state_of(const struct cache *cache)
{
    const struct cache_counters *counters = cache_counters(cache);

    return (struct state){
        .stored = atomic_load_explicit(&counters->stored, memory_order_relaxed),
        .entries = atomic_load_explicit(&counters->entries, memory_order_relaxed),
    };
}

static bool has_changed(const struct cache_saver *saver)
{
    struct state now = state_of(saver->cache);

    return now.stored != saver->saved.stored || now.entries != saver->saved.entries;
}

static bool is_stopping(struct cache_saver *saver)
{
    pthread_mutex_lock(&saver->lock);
    bool stop = saver->stop;
    pthread_mutex_unlock(&saver->lock);
    return stop;
}

static int flush_buffer(struct output *out)
{
    const uint8_t *bytes = out->buffer;

    while (out->length > 0) {
        ssize_t done = write(out->fd, bytes, out->length);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return -errno;
        }
        bytes += done;
        out->length -= (size_t)done;
    }
    return 0;
}

/* Put a few entries into the buffer. False when there are no more. */
static bool put_some(const struct cache *cache, const struct cache_file_times *times,
                     uint64_t *cursor, struct output *out)
{
    bool more = true;

    rcu_wake();
    for (unsigned i = 0; i < ONLINE_ENTRIES; i++) {
        if (BUFFER_BYTES - out->length < CACHE_FILE_RECORD_MOST) {
            break;
        }
        const struct cache_entry *entry = cache_next(cache, cursor);
        if (entry == NULL) {
            more = false;
            break;
        }
        size_t length =
            cache_file_put_record(entry, times, out->buffer + out->length, CACHE_FILE_RECORD_MOST);
        out->length += length;
        out->count += length > 0;
    }
    rcu_sleep();
    return more;
}

/* -ECANCELED when the saver is to stop and this is not the last save. */
static int write_entries(struct cache_saver *saver, bool last, struct output *out)
{
    struct cache_file_times times = { .wall_ms = clock_wall_ms() };
    uint64_t cursor = 0;
    bool more = true;
    int rc = 0;

    times.now_ms = (int64_t)clock_now_ms(); /* the later one: nothing is saved as fresher */
    out->length = cache_file_put_header(out->buffer, &times);
    while (more && rc == 0) {
        more = put_some(saver->cache, &times, &cursor, out);
        if (BUFFER_BYTES - out->length < CACHE_FILE_RECORD_MOST) {
            rc = flush_buffer(out);
        }
        if (rc == 0 && !last && is_stopping(saver)) {
            rc = -ECANCELED;
        }
    }
    if (rc == 0) {
        rc = flush_buffer(out);
    }
    if (rc == 0) {
        out->length = cache_file_put_end(out->count, out->buffer);
        rc = flush_buffer(out);
    }
    return rc == 0 && fsync(out->fd) < 0 ? -errno : rc;
}

/* Write the file beside, and put it in place when it is whole. 0 or -errno. */
static int replace_file(struct cache_saver *saver, bool last)
{
    struct output out = { .buffer = malloc(BUFFER_BYTES) };

    if (out.buffer == NULL) {
        return -ENOMEM;
    }
    /* one that was left behind by a sudden end; a new one has our mode for sure */
    (void)unlink(saver->beside);
    out.fd = open(saver->beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int rc = out.fd < 0 ? -errno : write_entries(saver, last, &out);
    free(out.buffer);
    if (out.fd < 0) {
        return rc;
    }
    if (close(out.fd) < 0 && rc == 0) {
        rc = -errno;
    }
    if (rc == 0 && rename(saver->beside, saver->path) < 0) {
        rc = -errno;
    }
    if (rc < 0) {
        (void)unlink(saver->beside);
    }
    return rc;
}

/* One line when it begins to fail, fails otherwise or is over. */
static void tell(struct cache_saver *saver, int rc)
{
    if (rc == saver->error) {
        return;
    }
    if (rc < 0) {
        log_event(LOG_WARNING, "cache not saved", "path=%s error=%s", saver->path, strerror(-rc));
    } else {
        log_event(LOG_INFO, "cache saved again", "path=%s", saver->path);
    }
    saver->error = rc;
}

static void save(struct cache_saver *saver, bool last)
{
    struct state state = state_of(saver->cache); /* what comes while we write is for the next */
    uint64_t bytes =
        atomic_load_explicit(&cache_counters(saver->cache)->bytes, memory_order_relaxed);
    uint64_t pause_ms = bytes / MIB * MIB_PAUSE_MS;
    int rc = replace_file(saver, last);

    if (rc == -ECANCELED) {
        return;
    }
    tell(saver, rc);
    if (rc == 0) {
        saver->saved = state;
    }
    saver->due_ms = clock_now_ms() + (pause_ms > PAUSE_MS ? pause_ms : PAUSE_MS);
}

/* Sleep until the next look. True when the saver is to stop. */
static bool wait_for_stop(struct cache_saver *saver)
{
    uint64_t until_ms = clock_now_ms() + LOOK_MS;
    const struct timespec until = {
        .tv_sec = (time_t)(until_ms / 1000),
        .tv_nsec = (long)(until_ms % 1000) * 1000000,
    };
    int rc = 0;

    pthread_mutex_lock(&saver->lock);
    while (!saver->stop && rc == 0) {
        rc = pthread_cond_timedwait(&saver->stopping, &saver->lock, &until);
    }
    bool stop = saver->stop;
    pthread_mutex_unlock(&saver->lock);
    return stop;
}

static void *run(void *user)
{
    struct cache_saver *saver = user;

    urcu_qsbr_register_thread();
    rcu_sleep();
    while (!wait_for_stop(saver)) {
        if (clock_now_ms() >= saver->due_ms && has_changed(saver)) {
            save(saver, false);
        }
    }
    if (has_changed(saver)) {
        save(saver, true);
    }
    urcu_qsbr_unregister_thread();
    return NULL;
}

static int set_paths(struct cache_saver *saver, const char *directory)
{
    int length = snprintf(saver->path, sizeof(saver->path), "%s/%s", directory, CACHE_FILE_NAME);

    if (length < 0 || (size_t)length >= sizeof(saver->path)) {
        return -ENAMETOOLONG;
    }
    length =
        snprintf(saver->beside, sizeof(saver->beside), "%s/%s.new", directory, CACHE_FILE_NAME);
    return length < 0 || (size_t)length >= sizeof(saver->beside) ? -ENAMETOOLONG : 0;
}

static void saver_free(struct cache_saver *saver)
{
    pthread_cond_destroy(&saver->stopping);
    pthread_mutex_destroy(&saver->lock);
    free(saver);
}

int cache_saver_start(const struct cache *cache, const char *directory, struct cache_saver **out)
{
    struct cache_saver *saver = calloc(1, sizeof(*saver));
    pthread_condattr_t monotonic;

    if (saver == NULL) {
        return -ENOMEM;
    }
    saver->cache = cache;
    pthread_mutex_init(&saver->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&saver->stopping, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int rc = set_paths(saver, directory);
    if (rc == 0) {
        rc = thread_start(&saver->thread, "cache saver", 0, run, saver);
    }
    if (rc < 0) {
        saver_free(saver);
        return rc;
    }
    *out = saver;
    return 0;
}

void cache_saver_stop(struct cache_saver *saver)
{
    if (saver == NULL) {
        return;
    }
    pthread_mutex_lock(&saver->lock);
    saver->stop = true;
    pthread_cond_signal(&saver->stopping);
    pthread_mutex_unlock(&saver->lock);
    pthread_join(saver->thread, NULL);
    saver_free(saver);
}
