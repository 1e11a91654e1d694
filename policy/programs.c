#include "policy/programs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

struct running {
    uint32_t id; /* 0: free */
    programs_done *done;
    void *user;
};

static struct {
    struct spawner spawner; /* `fd` is -1 while there is none; see is_open */
    bool is_open;
    uv_poll_t *poll; /* while something runs */
    uint32_t last_id;
    unsigned count;
    struct running running[SPAWNER_PROGRAMS_MAX];
} all;

/* ---- the loop's handle ---- */

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void stop_watching(void)
{
    if (all.poll != NULL) {
        uv_close((uv_handle_t *)all.poll, on_closed);
        all.poll = NULL;
    }
}

static void on_readable(uv_poll_t *poll, int status, int events);

static int watch(uv_loop_t *loop)
{
    if (all.poll != NULL) {
        return 0;
    }
    uv_poll_t *poll = malloc(sizeof(*poll));
    if (poll == NULL) {
        return UV_ENOMEM;
    }
    int rc = uv_poll_init(loop, poll, all.spawner.fd);
    if (rc < 0) {
        free(poll);
        return rc;
    }
    all.poll = poll;
    rc = uv_poll_start(poll, UV_READABLE, on_readable);
    if (rc < 0) {
        stop_watching();
    }
    return rc;
}

/* ---- what runs ---- */

static struct running *find(uint32_t id)
{
    for (size_t i = 0; i < SPAWNER_PROGRAMS_MAX; i++) {
        if (all.running[i].id == id) {
            return &all.running[i];
        }
    }
    return NULL;
}

/* Take it off the list. */
static void forget(struct running *running)
{
    running->id = 0;
    if (--all.count == 0) {
        stop_watching();
    }
}

static void close_spawner(void)
{
    if (all.is_open) {
        stop_watching();
        spawner_close(&all.spawner);
        all.is_open = false;
    }
}

static void finish(const struct spawner_result *result)
{
    struct running *running = find(result->id);

    if (running == NULL) {
        return; /* cancelled meanwhile */
    }
    programs_done *done = running->done;
    void *user = running->user;
    forget(running);
    done(user, result);
}

/* The helper is gone, and nobody knows how its programs would have ended. */
static void fail_all(void)
{
    static struct spawner_result result;
    struct running running[SPAWNER_PROGRAMS_MAX];

    log_event(LOG_WARNING, "spawner gone", "programs=%u", all.count);
    close_spawner();
    memcpy(running, all.running, sizeof(running));
    memset(all.running, 0, sizeof(all.running));
    all.count = 0;
    result.end = SPAWNER_NOT_STARTED;
    result.value = EPIPE;
    for (size_t i = 0; i < SPAWNER_PROGRAMS_MAX; i++) {
        if (running[i].id != 0) {
            result.id = running[i].id;
            running[i].done(running[i].user, &result);
        }
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    static struct spawner_result result; /* too large for the stack of a callback */
    int rc = 0;

    (void)events;
    if (status < 0) {
        fail_all();
        return;
    }
    /* a done callback may have closed the poll, or opened another */
    while (all.poll == poll && (rc = spawner_receive(&all.spawner, &result)) > 0) {
        finish(&result);
    }
    if (all.poll == poll && rc < 0) {
        fail_all();
    }
}

/* ---- running ---- */

static int ensure_spawner(struct error *err)
{
    if (all.is_open) {
        return 0;
    }
    int rc = spawner_open(&all.spawner, err);
    if (rc == 0) {
        all.is_open = true;
    }
    return rc;
}

static uint32_t take_id(void)
{
    do {
        all.last_id++;
    } while (all.last_id == 0 || find(all.last_id) != NULL);
    return all.last_id;
}

static int send_run(uint32_t id, const struct spawner_program *program, struct error *err)
{
    int rc = ensure_spawner(err);

    if (rc < 0) {
        return rc;
    }
    rc = spawner_run(&all.spawner, id, program);
    if (rc == -EPIPE && all.count == 0) {
        close_spawner(); /* it died while nobody looked */
        rc = ensure_spawner(err);
        if (rc < 0) {
            return rc;
        }
        rc = spawner_run(&all.spawner, id, program);
    }
    if (rc == -E2BIG) {
        (void)error_set(err, rc, "%s: arguments and input are longer than %u bytes",
                        program->arguments[0], SPAWNER_REQUEST_MAX);
    } else if (rc < 0) {
        (void)error_set(err, rc, "%s: cannot be run now: %s", program->arguments[0], strerror(-rc));
    }
    return rc;
}

int programs_run(uv_loop_t *loop, const struct spawner_program *program, programs_done *done,
                 void *user, uint32_t *out_id, struct error *err)
{
    if (all.count == SPAWNER_PROGRAMS_MAX) {
        return error_set(err, -EAGAIN, "%u programs are running already", SPAWNER_PROGRAMS_MAX);
    }
    uint32_t id = take_id();
    int rc = send_run(id, program, err);
    if (rc < 0) {
        return rc;
    }
    rc = watch(loop);
    if (rc < 0) {
        (void)spawner_cancel(&all.spawner, id);
        return error_set(err, rc, "%s: %s", program->arguments[0], uv_strerror(rc));
    }
    *find(0) = (struct running){ .id = id, .done = done, .user = user };
    all.count++;
    *out_id = id;
    return 0;
}

void programs_cancel(uint32_t id)
{
    struct running *running = id == 0 ? NULL : find(id);

    if (running != NULL) {
        /* should this not go through, the program's own time limit ends it */
        (void)spawner_cancel(&all.spawner, id);
        forget(running);
    }
}

void programs_stop(void)
{
    close_spawner();
    memset(all.running, 0, sizeof(all.running));
    all.count = 0;
}
