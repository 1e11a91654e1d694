#include "resolver/control.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "policy/checks/prober.h"
#include "policy/config.h"
#include "policy/health.h"
#include "resolver/accepted.h"
#include "resolver/api/api.h"
#include "resolver/events.h"
#include "resolver/movements.h"
#include "resolver/notify.h"
#include "resolver/privileges.h"
#include "resolver/server.h"
#include "resolver/watch.h"

#define FIRST_ROUND_GRACE_MS 100 /* on top of the largest timeout */
#define LAST_WORD_TURNS      4   /* of the loop, for the api to send an answer */
#define DESCRIPTORS_WANTED   65536

/* A reload on its way: its new probes are being waited for. */
struct reload {
    struct model *model;
    struct health_binding *binding;
    control_reload_done *done;
    void *user;
};

struct control {
    struct control_options options;
    char *path; /* of the config, NULL: the embedded default */
    char *warning;
    uv_loop_t loop;
    uv_signal_t signals[3];
    uv_async_t retired;   /* a snapshot is out of use */
    uv_prepare_t prepare; /* remembers choices after transitions */
    uv_timer_t round;     /* the end of the wait for first results */
    uv_timer_t poll;      /* looks whether they are in */
    bool stopping;
    bool ready;
    bool changed; /* the table said something new */
    uint64_t started_ms;
    uint64_t generation;
    struct hash_key key;
    struct health *health;
    struct prober *prober;
    struct server *server;
    struct snapshot *snapshot;
    struct movements *movements;
    struct api *api;
    struct watch *watch; /* of files the configuration was made from */
    struct reload reload; /* model NULL: none */
    bool reload_again;    /* when it has ended: the file has changed meanwhile */
    unsigned closing;     /* parts that still have handles */
};

static const char stopping_report[] = "the server is stopping\n";
static const char *const search_paths[] = { "./leeward.yaml", "/etc/leeward/leeward.yaml" };

/* ---- for the api ---- */

const struct snapshot *control_snapshot(const struct control *control)
{
    return control->snapshot;
}

struct health *control_health(const struct control *control)
{
    return control->health;
}

struct server *control_server(const struct control *control)
{
    return control->server;
}

const char *control_config_path(const struct control *control)
{
    return control->path == NULL ? "(embedded default)" : control->path;
}

const char *control_config_warning(const struct control *control)
{
    return control->warning == NULL ? "" : control->warning;
}

bool control_is_ready(const struct control *control)
{
    return control->ready;
}

uint64_t control_started_ms(const struct control *control)
{
    return control->started_ms;
}

/* ---- loading ---- */

static void print_report(const struct config_report *report)
{
    struct text text = { 0 };

    config_report_print(report, &text);
    fputs(text_string(&text), stderr);
    text_fini(&text);
}

static void set_warning(struct control *c, const char *warning)
{
    free(c->warning);
    c->warning = warning == NULL ? NULL : strdup(warning);
}

static const char *find_config(const struct control_options *options)
{
    if (options->config_path != NULL) {
        return options->config_path;
    }
    for (size_t i = 0; i < sizeof(search_paths) / sizeof(search_paths[0]); i++) {
        if (access(search_paths[i], F_OK) == 0) {
            return search_paths[i];
        }
    }
    return NULL;
}

static int load(struct control *c, struct model **out, struct config_report *report)
{
    return c->path != NULL ? config_load(c->path, out, report) : config_load_default(out, report);
}

/* Start from what was accepted last, loudly. */
static int load_accepted(struct control *c, const struct config_report *report, struct model **out)
{
    char directory[PATH_MAX];
    struct error err;

    accepted_directory(c->path, directory, sizeof(directory));
    int rc = accepted_load(directory, c->path, out, &err);
    if (rc < 0) {
        log_event(LOG_ERROR, "no accepted configuration to start from", "path=%s error=%s",
                  err.path, err.message);
        return rc;
    }
    char where[512] = "";
    if (report->count > 0) {
        (void)error_format(&report->errors[0], where, sizeof(where));
    }
    set_warning(c, where);
    log_event(LOG_ERROR, "running the last accepted configuration", "config=%s errors=%zu first=%s",
              c->path, report->count, where);
    return 0;
}

static int load_at_start(struct control *c, struct model **out)
{
    struct config_report report = { 0 };
    int rc = load(c, out, &report);

    if (rc < 0) {
        print_report(&report);
        if (c->path != NULL && !c->options.strict) {
            rc = load_accepted(c, &report, out);
        }
    }
    config_report_fini(&report);
    return rc;
}

/* ---- the table's news ---- */

static void on_health(void *user, const struct health_event *event)
{
    struct control *c = user;

    c->changed = true;
    events_log(event);
}

/* Before the loop sleeps: what services answer now is what they remember. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct control *c = prepare->data;

    if (!c->changed || c->snapshot == NULL) {
        return;
    }
    c->changed = false;
    for (size_t i = 0; i < c->snapshot->service_count; i++) {
        steer_remember(&c->snapshot->services[i]);
    }
    movements_tell(c->movements, c->snapshot);
}

/* ---- generations ---- */

static void on_retired(uv_async_t *async)
{
    struct control *c = async->data;
    struct snapshot *old;

    while ((old = server_take_retired(c->server)) != NULL) {
        health_unbind(c->health, snapshot_free(old));
    }
    prober_sync(c->prober);
}

static void wake_for_retired(void *user)
{
    struct control *c = user;

    (void)uv_async_send(&c->retired);
}

static uint32_t longest_timeout(const struct model *model)
{
    uint32_t longest = 0;

    for (size_t i = 0; i < model->region_count; i++) {
        for (size_t k = 0; k < model->regions[i].check_count; k++) {
            uint32_t timeout = model->regions[i].checks[k].timing.timeout_ms;
            longest = timeout > longest ? timeout : longest;
        }
    }
    for (size_t i = 0; i < model->service_count; i++) {
        for (size_t k = 0; k < model->services[i].check_count; k++) {
            uint32_t timeout = model->services[i].checks[k].timing.timeout_ms;
            longest = timeout > longest ? timeout : longest;
        }
    }
    return longest;
}

/* Make `snapshot` the one in force. */
static int put_in_force(struct control *c, struct snapshot *snapshot, struct error *err)
{
    health_commit(c->health, snapshot->binding, clock_now_ms());
    movements_adopt(c->movements, c->snapshot, snapshot);
    c->snapshot = snapshot;
    c->changed = true;
    on_prepare(&c->prepare);
    log_configure(snapshot->model->log_level, snapshot->model->log_format);
    watch_adopt(c->watch, snapshot->model);
    return server_publish(c->server, snapshot, err);
}

/* ---- readiness and reloads: waiting for first results ---- */

static void become_ready(struct control *c)
{
    if (c->ready) {
        return;
    }
    c->ready = true;
    log_event(LOG_INFO, "ready", "services=%zu regions=%zu after=%llums",
              c->snapshot->service_count, c->snapshot->model->region_count,
              (unsigned long long)(clock_now_ms() - c->started_ms));
    notify_send("READY=1");
}

static void end_reload(struct control *c, bool ok, const char *report)
{
    struct reload reload = c->reload;

    memset(&c->reload, 0, sizeof(c->reload));
    if (reload.done != NULL) {
        reload.done(reload.user, ok, report);
    }
    if (c->reload_again) {
        c->reload_again = false;
        control_reload(c, NULL, NULL);
    }
}

static bool is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* What is settled at the start, and only there, is told of rather than done. */
static void tell_what_waits(const struct control *c, const struct model *fresh)
{
    const struct model *old = c->snapshot->model;

    const struct {
        const char *key;
        bool changed;
    } settled[] = {
        { "node.threads", old->threads != fresh->threads },
        { "node.user", !is_same_text(old->node_user, fresh->node_user) },
        { "api.socket",
          c->options.socket_path == NULL && !is_same_text(old->api_socket, fresh->api_socket) },
    };

    for (size_t i = 0; i < sizeof(settled) / sizeof(settled[0]); i++) {
        if (settled[i].changed) {
            log_event(LOG_WARNING, "changed, but needs a restart", "key=%s", settled[i].key);
        }
    }
}

static void refuse_reload(struct control *c, const struct error *err)
{
    struct config_report report = { 0 };
    struct text text = { 0 };
    char line[512];

    config_report_add(&report, err);
    config_report_print(&report, &text);
    (void)error_format(err, line, sizeof(line));
    log_event(LOG_ERROR, "reload refused", "config=%s generation=%llu error=%s",
              control_config_path(c), (unsigned long long)c->generation, line);
    health_unbind(c->health, c->reload.binding);
    prober_sync(c->prober);
    model_free(c->reload.model);
    end_reload(c, false, text_string(&text));
    text_fini(&text);
    config_report_fini(&report);
}

static void finish_reload(struct control *c)
{
    struct snapshot *fresh;
    struct error err;
    char report[256];

    int rc = snapshot_build(c->reload.model, c->reload.binding, c->snapshot, &c->key,
                            c->generation + 1, &fresh, &err);
    if (rc < 0) {
        refuse_reload(c, &err);
        return;
    }
    rc = server_rebind(c->server, fresh->model, &err);
    if (rc < 0) {
        fresh->model = NULL; /* still the reload's, as the binding */
        (void)snapshot_free(fresh);
        refuse_reload(c, &err);
        return;
    }
    tell_what_waits(c, fresh->model);
    c->generation++;
    (void)put_in_force(c, fresh, &err); /* only the first time can fail */
    set_warning(c, NULL);
    accepted_save(fresh->model);
    prober_sync(c->prober);
    (void)snprintf(report, sizeof(report), "generation %llu: %zu services, %zu regions, %zu zones",
                   (unsigned long long)c->generation, fresh->service_count,
                   fresh->model->region_count, fresh->model->zone_count);
    log_event(LOG_INFO, "reloaded", "config=%s generation=%llu services=%zu",
              control_config_path(c), (unsigned long long)c->generation, fresh->service_count);
    end_reload(c, true, report);
}

static void stop_waiting(struct control *c)
{
    uv_timer_stop(&c->poll);
    uv_timer_stop(&c->round);
    if (c->reload.model != NULL) {
        finish_reload(c);
    }
    become_ready(c);
}

static void on_poll(uv_timer_t *timer)
{
    struct control *c = timer->data;
    const struct health_binding *binding =
        c->reload.model != NULL ? c->reload.binding : c->snapshot->binding;

    if (health_pending(binding) == 0) {
        stop_waiting(c);
    }
}

static void on_round(uv_timer_t *timer)
{
    stop_waiting(timer->data);
}

static void wait_for_first_results(struct control *c, const struct model *model)
{
    uv_update_time(&c->loop);
    uv_timer_start(&c->poll, on_poll, 0, 5);
    uv_timer_start(&c->round, on_round, longest_timeout(model) + FIRST_ROUND_GRACE_MS, 0);
}

/* The whole report of a file that does not load, printed, logged and handed over. */
static void report_unloadable(struct control *c, const struct config_report *report,
                              control_reload_done *done, void *user)
{
    struct text text = { 0 };
    char line[512] = "";

    config_report_print(report, &text);
    if (report->count > 0) {
        (void)error_format(&report->errors[0], line, sizeof(line));
    }
    log_event(LOG_ERROR, "reload refused", "config=%s errors=%zu first=%s generation=%llu",
              control_config_path(c), report->count, line, (unsigned long long)c->generation);
    if (done != NULL) {
        done(user, false, text_string(&text));
    }
    text_fini(&text);
}

void control_reload(struct control *control, control_reload_done *done, void *user)
{
    struct control *c = control;
    struct config_report report = { 0 };
    struct model *model;

    if (c->stopping || c->reload.model != NULL) {
        if (done != NULL) {
            done(user, false,
                 c->stopping ? stopping_report
                             : "a reload is under way; try again when it has ended\n");
        }
        return;
    }
    if (load(c, &model, &report) < 0) {
        report_unloadable(c, &report, done, user);
        config_report_fini(&report);
        return;
    }
    config_report_fini(&report);
    struct health_binding *binding = health_bind(c->health, model, clock_now_ms());
    if (binding == NULL) {
        model_free(model);
        if (done != NULL) {
            done(user, false, "out of memory\n");
        }
        return;
    }
    c->reload = (struct reload){ model, binding, done, user };
    prober_sync(c->prober);
    wait_for_first_results(c, model);
}

static void on_file_changed(void *user, const char *path)
{
    struct control *c = user;

    log_event(LOG_INFO, "file changed", "path=%s", path);
    if (c->reload.model != NULL) {
        c->reload_again = true;
    } else {
        control_reload(c, NULL, NULL);
    }
}

/* ---- start ---- */

static void on_signal(uv_signal_t *handle, int number);

static int start_loop(struct control *c)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
    int rc = uv_loop_init(&c->loop);

    if (rc < 0) {
        return rc;
    }
    for (unsigned i = 0; i < 3; i++) {
        uv_signal_init(&c->loop, &c->signals[i]);
        c->signals[i].data = c;
        rc = uv_signal_start(&c->signals[i], on_signal, numbers[i]);
        if (rc < 0) {
            return rc;
        }
    }
    uv_prepare_init(&c->loop, &c->prepare);
    c->prepare.data = c;
    uv_prepare_start(&c->prepare, on_prepare);
    uv_timer_init(&c->loop, &c->round);
    c->round.data = c;
    uv_timer_init(&c->loop, &c->poll);
    c->poll.data = c;
    c->retired.data = c;
    return uv_async_init(&c->loop, &c->retired, on_retired);
}

/* What the user we become will write to is made while we still may. */
static void prepare_directories(const struct control *c, const struct model *model)
{
    const char *socket =
        c->options.socket_path != NULL ? c->options.socket_path : model->api_socket;
    char parent[PATH_MAX];

    privileges_give(model->state_directory, model->node_user);
    if (socket != NULL && strrchr(socket, '/') != NULL && strlen(socket) < sizeof(parent)) {
        memcpy(parent, socket, strlen(socket) + 1);
        *strrchr(parent, '/') = '\0';
        privileges_give(parent, model->node_user);
    }
}

/* Sockets to upstreams and clients count in thousands; the soft limit is often 1024. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* The first generation: from the model to answering sockets. */
static int start_serving(struct control *c, struct model *model, struct error *err)
{
    struct health_binding *binding = health_bind(c->health, model, clock_now_ms());
    struct snapshot *snapshot;

    if (binding == NULL) {
        model_free(model);
        return error_set(err, -ENOMEM, "out of memory");
    }
    int rc = snapshot_build(model, binding, NULL, &c->key, 1, &snapshot, err);
    if (rc < 0) {
        health_unbind(c->health, binding);
        model_free(model);
        return rc;
    }
    rc = server_new(model, &c->server, err);
    if (rc == 0) {
        prepare_directories(c, model);
        rc = privileges_drop(model->node_user, err);
    }
    if (rc < 0) {
        health_unbind(c->health, snapshot_free(snapshot));
        return rc;
    }
    c->generation = 1;
    server_on_retired(c->server, wake_for_retired, c);
    return put_in_force(c, snapshot, err);
}

/* Names are answered with or without the api: a failure here is told, no more. */
static void start_api(struct control *c)
{
    const char *path =
        c->options.socket_path != NULL ? c->options.socket_path : c->snapshot->model->api_socket;
    struct error err;

    if (path != NULL && api_open(&c->loop, c, path, &c->api, &err) < 0) {
        log_event(LOG_ERROR, "no api", "socket=%s error=%s hint=%s", path, err.message, err.hint);
    }
}

static void print_error(const struct error *err)
{
    struct config_report report = { 0 };

    config_report_add(&report, err);
    print_report(&report);
    config_report_fini(&report);
}

/* ---- end ---- */

static void on_part_closed(void *user)
{
    struct control *c = user;

    c->closing--;
}

static void close_handles(struct control *c)
{
    for (unsigned i = 0; i < 3; i++) {
        uv_close((uv_handle_t *)&c->signals[i], NULL);
    }
    uv_close((uv_handle_t *)&c->prepare, NULL);
    uv_close((uv_handle_t *)&c->round, NULL);
    uv_close((uv_handle_t *)&c->poll, NULL);
    uv_close((uv_handle_t *)&c->retired, NULL);
    watch_close(c->watch);
    if (c->api != NULL) {
        c->closing++;
        api_close(c->api, on_part_closed, c);
    }
    c->closing++;
    prober_close(c->prober, on_part_closed, c);
}

/* A reload that is being waited for comes to nothing; who asked for it hears so. */
static void abandon_reload(struct control *c)
{
    uv_timer_stop(&c->poll);
    uv_timer_stop(&c->round);
    if (c->reload.model == NULL) {
        return;
    }
    health_unbind(c->health, c->reload.binding);
    prober_sync(c->prober);
    model_free(c->reload.model);
    c->reload_again = false;
    end_reload(c, false, stopping_report);
    for (unsigned i = 0; i < LAST_WORD_TURNS; i++) {
        (void)uv_run(&c->loop, UV_RUN_NOWAIT);
    }
}

static void shut_down(struct control *c)
{
    struct snapshot *current = NULL;
    struct snapshot *old;

    c->stopping = true;
    abandon_reload(c);
    if (c->server != NULL) {
        server_on_retired(c->server, NULL, NULL); /* the loop goes first */
    }
    close_handles(c);
    uv_run(&c->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&c->loop);
    if (c->server != NULL) {
        current = server_stop(c->server);
        while ((old = server_take_retired(c->server)) != NULL) {
            health_unbind(c->health, snapshot_free(old));
        }
        server_free(c->server);
    }
    if (current != NULL) {
        health_unbind(c->health, snapshot_free(current));
    }
    health_free(c->health);
    movements_free(c->movements);
    free(c->path);
    free(c->warning);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct control *c = handle->data;

    if (number == SIGHUP) {
        if (c->reload.model != NULL) {
            c->reload_again = true;
        } else {
            control_reload(c, NULL, NULL);
        }
        return;
    }
    log_event(LOG_INFO, "stopping", "signal=%s", number == SIGTERM ? "SIGTERM" : "SIGINT");
    notify_send("STOPPING=1");
    c->stopping = true;
    uv_stop(&c->loop);
}

static int start(struct control *c, struct error *err)
{
    struct model *model;

    memset(err, 0, sizeof(*err));
    int rc = load_at_start(c, &model);
    if (rc < 0) {
        return rc; /* already told */
    }
    log_configure(model->log_level, model->log_format);
    log_event(LOG_INFO, "starting", "version=%s node=%s config=%s", LEEWARD_VERSION,
              model->node_name, control_config_path(c));
    rc = start_serving(c, model, err);
    if (rc == 0) {
        start_api(c);
        prober_sync(c->prober);
        wait_for_first_results(c, c->snapshot->model);
        if (c->warning == NULL) {
            accepted_save(c->snapshot->model);
        }
    }
    return rc;
}

int control_run(const struct control_options *options)
{
    struct control *c = calloc(1, sizeof(*c));
    struct error err;

    if (c == NULL) {
        return 1;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    c->options = *options;
    c->started_ms = clock_now_ms();
    c->key = hash_key_random();
    const char *path = find_config(options);
    c->path = path == NULL ? NULL : strdup(path);
    c->health = health_new(on_health, c);
    c->movements = movements_new();
    raise_descriptor_limit();
    if (c->health == NULL || c->movements == NULL || start_loop(c) < 0 ||
        (c->watch = watch_new(&c->loop, on_file_changed, c)) == NULL ||
        (c->prober = prober_new(&c->loop, c->health)) == NULL) {
        fputs("leeward: cannot start: out of memory or descriptors\n", stderr);
        return 1;
    }
    int rc = start(c, &err);
    if (rc == 0) {
        uv_run(&c->loop, UV_RUN_DEFAULT);
    } else if (err.code != 0) {
        print_error(&err);
    }
    shut_down(c);
    free(c);
    return rc == 0 ? 0 : 1;
}
