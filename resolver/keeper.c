#include "resolver/keeper.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "policy/health_file.h"
#include "policy/steer_names.h"

#define HEALTH_FILE   "health"
#define STARTS_FILE   "starts"
#define WRITE_WAIT_MS 1000  /* changes come in crowds */
#define RENEW_MS      60000 /* and what does not change must stay young */
#define STARTS_KEPT   8
#define STARTS_MOST   ((size_t)4096)
#define LOOP_STARTS   2 /* that ended abnormally */
#define LOOP_MS       60000
#define GOODS_MOST    20000 /* services whose last good answers are kept by name: rendering
                             * more would keep the loop from its probes */

/* What one service answered before the start. */
struct recalled {
    char *service;
    char *region;
    enum addr_family family;
    struct addr *addresses;
    size_t address_count;
};

struct keeper {
    uv_loop_t *loop;
    struct health *health;
    const struct snapshot *snapshot;
    char *directory; /* NULL: nothing is kept */
    struct recalled *recalled;
    size_t recalled_count;
    uv_timer_t timer;
    uv_work_t work;
    bool working, changed, closing, told;
    struct text writing;
    char path[PATH_MAX];
    struct error error; /* of the last write */
};

static void path_of(const struct keeper *keeper, const char *name, char *out, size_t cap)
{
    (void)snprintf(out, cap, "%s/%s", keeper->directory, name);
}

/* ---- starts that ended abnormally ---- */

/* The times of starts whose end was not noted, oldest first. Returns their number. */
static size_t read_starts(const struct keeper *keeper, uint64_t *times)
{
    char path[PATH_MAX];
    char *text;
    size_t length, count = 0;
    struct error ignored;

    path_of(keeper, STARTS_FILE, path, sizeof(path));
    if (file_read(path, STARTS_MOST, &text, &length, &ignored) < 0) {
        return 0;
    }
    for (char *at = text; *at != '\0' && count < STARTS_KEPT; count++) {
        char *end;
        times[count] = strtoull(at, &end, 10);
        if (end == at) {
            break;
        }
        at = end + strspn(end, "\n");
    }
    free(text);
    return count;
}

static void write_starts(const struct keeper *keeper, const uint64_t *times, size_t count)
{
    char path[PATH_MAX];
    struct text text = { 0 };
    struct error ignored;

    for (size_t i = 0; i < count; i++) {
        text_printf(&text, "%llu\n", (unsigned long long)times[i]);
    }
    path_of(keeper, STARTS_FILE, path, sizeof(path));
    if (file_make_directory(keeper->directory, &ignored) == 0) {
        (void)file_replace(path, text_string(&text), text.length, &ignored);
    }
    text_fini(&text);
}

/* Note this start; true when others ended abnormally just before. */
static bool note_start(const struct keeper *keeper)
{
    uint64_t times[STARTS_KEPT + 1];
    uint64_t now_ms = clock_wall_ms();
    size_t recent = 0;
    size_t count = read_starts(keeper, times);

    for (size_t i = 0; i < count; i++) {
        if (times[i] <= now_ms && now_ms - times[i] < LOOP_MS) {
            times[recent++] = times[i];
        }
    }
    bool is_loop = recent >= LOOP_STARTS;
    recent = is_loop || recent == STARTS_KEPT ? 0 : recent; /* and counted anew */
    times[recent++] = now_ms;
    write_starts(keeper, times, recent);
    return is_loop;
}

static void set_aside(const struct keeper *keeper, const char *name)
{
    char from[PATH_MAX], to[PATH_MAX];

    path_of(keeper, name, from, sizeof(from));
    (void)snprintf(to, sizeof(to), "%s/%s.aside", keeper->directory, name);
    int rc = rename(from, to);
    log_event(LOG_ERROR, "starting without restored state", "path=%s kept_as=%s because=%s", from,
              rc == 0 ? to : "(there was none)",
              "the last starts ended abnormally within a minute");
}

/* ---- taking it back ---- */

static void on_good(void *user, const struct health_good *good)
{
    struct keeper *keeper = user;
    struct recalled *list =
        reallocarray(keeper->recalled, keeper->recalled_count + 1, sizeof(*list));

    if (list == NULL) {
        return;
    }
    keeper->recalled = list;
    struct recalled *entry = &list[keeper->recalled_count];
    *entry = (struct recalled){
        .service = strdup(good->service),
        .region = strdup(good->region),
        .family = good->family,
        .addresses = calloc(good->address_count + 1, sizeof(struct addr)),
        .address_count = good->address_count,
    };
    REQUIRE(entry->service != NULL && entry->region != NULL && entry->addresses != NULL);
    memcpy(entry->addresses, good->addresses, good->address_count * sizeof(struct addr));
    keeper->recalled_count++;
}

bool keeper_restore(struct keeper *keeper, const char *state_directory)
{
    char path[PATH_MAX];
    struct error err = { 0 };

    if (state_directory == NULL || keeper->directory != NULL) {
        return false;
    }
    keeper->directory = strdup(state_directory);
    if (keeper->directory == NULL) {
        return false;
    }
    if (note_start(keeper)) {
        set_aside(keeper, HEALTH_FILE);
        return true;
    }
    path_of(keeper, HEALTH_FILE, path, sizeof(path));
    if (health_file_read(keeper->health, path, clock_now_ms(), clock_wall_ms(), on_good, keeper,
                         &err) < 0) {
        log_event(LOG_ERROR, "health not restored", "path=%s error=%s", path, err.message);
    }
    return false;
}

static void free_recalled(struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->recalled_count; i++) {
        free(keeper->recalled[i].service);
        free(keeper->recalled[i].region);
        free(keeper->recalled[i].addresses);
    }
    free(keeper->recalled);
    keeper->recalled = NULL;
    keeper->recalled_count = 0;
}

static void recall(struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->recalled_count; i++) {
        const struct recalled *entry = &keeper->recalled[i];
        const struct health_good good = {
            .service = entry->service,
            .family = entry->family,
            .region = entry->region,
            .addresses = entry->addresses,
            .address_count = entry->address_count,
        };
        uint8_t dname[NAME_MAX_BYTES];
        struct error ignored;
        if (name_parse(entry->service, dname, &ignored) <= 0) {
            continue;
        }
        const struct steer_service *service = snapshot_service(keeper->snapshot, dname);
        if (service != NULL) {
            (void)steer_names_recall(service, &good);
        }
    }
    free_recalled(keeper);
}

void keeper_adopt(struct keeper *keeper, const struct snapshot *snapshot)
{
    keeper->snapshot = snapshot;
    recall(keeper);
    keeper_note(keeper);
}

/* ---- writing ---- */

static void put_goods_of(const struct steer_service *service, struct text *out)
{
    struct addr addresses[HEALTH_FILE_GOOD_MAX];
    struct health_good good;

    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        for (uint32_t pool = 0; pool < service->pool_count; pool++) {
            if (steer_names_of(service, f, pool, addresses, &good)) {
                health_file_put_good(out, &good);
            }
        }
    }
}

static void put_goods(const struct keeper *keeper, struct text *out)
{
    size_t count = keeper->snapshot == NULL ? 0 : keeper->snapshot->service_count;

    for (size_t i = 0; i < count && count <= GOODS_MOST; i++) {
        const struct steer_service *service = &keeper->snapshot->services[i];
        if (keeper->snapshot->model->services[i].view != MODEL_NONE) {
            continue; /* a view goes by its service's name */
        }
        put_goods_of(service, out);
    }
}

static void render(struct keeper *keeper)
{
    health_file_render(keeper->health, clock_now_ms(), clock_wall_ms(), &keeper->writing);
    put_goods(keeper, &keeper->writing);
    health_file_finish(&keeper->writing);
    path_of(keeper, HEALTH_FILE, keeper->path, sizeof(keeper->path));
    keeper->changed = false;
}

static void write_out(struct keeper *keeper)
{
    memset(&keeper->error, 0, sizeof(keeper->error));
    if (!text_failed(&keeper->writing)) {
        (void)health_file_write(keeper->path, text_string(&keeper->writing), keeper->writing.length,
                                &keeper->error);
    }
}

static void on_work(uv_work_t *work)
{
    write_out(work->data);
}

static void tell(struct keeper *keeper)
{
    if (keeper->error.code < 0 && !keeper->told) {
        keeper->told = true;
        log_event(LOG_WARNING, "health is not kept", "path=%s error=%s hint=%s", keeper->path,
                  keeper->error.message, "make the directory writable or set node.state_directory");
    }
}

static void on_timer(uv_timer_t *timer);

static void finish(struct keeper *keeper);

static void on_written(uv_work_t *work, int status)
{
    struct keeper *keeper = work->data;

    (void)status;
    keeper->working = false;
    text_fini(&keeper->writing);
    tell(keeper);
    if (keeper->closing) {
        finish(keeper);
        return;
    }
    (void)uv_timer_start(&keeper->timer, on_timer, keeper->changed ? WRITE_WAIT_MS : RENEW_MS, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct keeper *keeper = timer->data;

    if (keeper->working || keeper->directory == NULL || keeper->snapshot == NULL) {
        return;
    }
    render(keeper);
    keeper->work.data = keeper;
    if (uv_queue_work(keeper->loop, &keeper->work, on_work, on_written) == 0) {
        keeper->working = true;
    } else {
        text_fini(&keeper->writing);
        keeper->changed = true;
        (void)uv_timer_start(&keeper->timer, on_timer, WRITE_WAIT_MS, 0);
    }
}

void keeper_note(struct keeper *keeper)
{
    if (keeper->changed || keeper->directory == NULL) {
        return;
    }
    keeper->changed = true;
    if (!keeper->working) {
        (void)uv_timer_start(&keeper->timer, on_timer, WRITE_WAIT_MS, 0);
    }
}

/* ---- life ---- */

struct keeper *keeper_new(uv_loop_t *loop, struct health *health)
{
    struct keeper *keeper = calloc(1, sizeof(*keeper));

    if (keeper == NULL) {
        return NULL;
    }
    keeper->loop = loop;
    keeper->health = health;
    (void)uv_timer_init(loop, &keeper->timer);
    keeper->timer.data = keeper;
    uv_unref((uv_handle_t *)&keeper->timer);
    return keeper;
}

static void on_closed(uv_handle_t *handle)
{
    struct keeper *keeper = handle->data;

    free_recalled(keeper);
    text_fini(&keeper->writing);
    free(keeper->directory);
    free(keeper);
}

/* The last state, now: the loop ends. This end is no abnormal one. */
static void finish(struct keeper *keeper)
{
    if (keeper->directory != NULL && keeper->snapshot != NULL) {
        render(keeper);
        write_out(keeper);
        tell(keeper);
    }
    if (keeper->directory != NULL) {
        write_starts(keeper, NULL, 0); /* nor is a start that was refused, as for a port in use */
    }
    uv_close((uv_handle_t *)&keeper->timer, on_closed);
}

void keeper_close(struct keeper *keeper)
{
    keeper->closing = true;
    if (!keeper->working) {
        finish(keeper);
    }
}
