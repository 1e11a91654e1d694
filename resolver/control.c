#include "resolver/control_state.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/log.h"
#include "policy/checks/check.h"
#include "policy/checks/check_push.h"
#include "policy/checks/icmp_socket.h"
#include "policy/checks/prober.h"
#include "policy/checks/push_board.h"
#include "policy/config.h"
#include "policy/health.h"
#include "resolver/accepted.h"
#include "resolver/announcer.h"
#include "resolver/api/api.h"
#include "resolver/events.h"
#include "resolver/hand.h"
#include "resolver/hostnames.h"
#include "resolver/keeper.h"
#include "resolver/movements.h"
#include "resolver/notify.h"
#include "resolver/parking.h"
#include "resolver/privileges.h"
#include "resolver/reload.h"
#include "resolver/removals.h"
#include "resolver/retirement.h"
#include "resolver/server.h"
#include "resolver/startup.h"
#include "resolver/walk.h"
#include "resolver/watch.h"

#define DESCRIPTORS_WANTED 65536

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

const struct hostnames *control_hostnames(const struct control *control)
{
    return control->hostnames;
}

struct announcer *control_announcer(const struct control *control)
{
    return control->announcer;
}

struct hand *control_hand(const struct control *control)
{
    return control->hand;
}

const struct prober *control_prober(const struct control *control)
{
    return control->prober;
}

struct removals *control_removals(const struct control *control)
{
    return control->removals;
}

const char *control_config_path(const struct control *control)
{
    return control->path == NULL ? "(embedded default)" : control->path;
}

const char *control_config_warning(const struct control *control)
{
    return control->warning == NULL ? "" : control->warning;
}

int control_journal_trouble(const struct control *control)
{
    return announcer_trouble(control->announcer);
}

bool control_is_ready(const struct control *control)
{
    return control->ready;
}

uint64_t control_started_ms(const struct control *control)
{
    return control->started_ms;
}

void control_set_warning(struct control *control, const char *warning)
{
    free(control->warning);
    control->warning = warning == NULL ? NULL : strdup(warning);
}

/* ---- the table's news ---- */

static void on_health(void *user, const struct health_event *event)
{
    struct control *c = user;

    c->changed = true;
    events_log(event);
    if (c->announcer != NULL) { /* it goes before the table does */
        announcer_say_health(c->announcer, event);
    }
}

/* A report from outside acts at once: whoever leans on it is asked now. */
static void on_report(void *user, const char *target)
{
    struct control *c = user;

    for (size_t i = 0; i < health_probe_count(c->health); i++) {
        if (check_push_is_about(health_probe(c->health, i), target)) {
            prober_probe_now(c->prober, i);
        }
    }
}

static void on_movement(void *user, const char *service, const char *from, const char *to,
                        const char *reason)
{
    struct control *c = user;
    const struct journal_entry entry = {
        .kind = "service",
        .target = service,
        .from = from,
        .to = to,
        .reason = reason,
    };

    announcer_say(c->announcer, MODEL_NOTIFY_SERVICE, &entry);
}

static void on_hand(void *user, const struct override *override, const char *what)
{
    struct control *c = user;

    c->changed = true;
    log_event(LOG_WARNING, "override", "what=%s target=%s state=%s reason=%s author=%s", what,
              override->target, override_kind_name(override->kind), override->reason,
              override->author);
    if (c->announcer != NULL) {
        announcer_say_override(c->announcer, override, what);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct control *c = timer->data;

    c->tick_ms = UINT64_MAX;
    health_tick(c->health, clock_now_ms());
}

/* Let the table have its turn when it next wants one. */
static void arm_tick(struct control *c)
{
    uint64_t now_ms = clock_now_ms();
    uint64_t wake_ms = health_wake_ms(c->health, now_ms);

    if (wake_ms == c->tick_ms) {
        return;
    }
    c->tick_ms = wake_ms;
    if (wake_ms == UINT64_MAX) {
        (void)uv_timer_stop(&c->tick);
    } else {
        uv_update_time(&c->loop);
        (void)uv_timer_start(&c->tick, on_tick, wake_ms > now_ms ? wake_ms - now_ms : 1, 0);
    }
}

/* Before the loop sleeps: services act on what the table said. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct control *c = prepare->data;

    arm_tick(c);
    if (!c->changed || c->snapshot == NULL) {
        return;
    }
    c->changed = false;
    keeper_note(c->keeper);
    walk_begin(c->walk, c->ready);
}

static void on_walked(void *user)
{
    struct control *c = user;

    hostnames_look(c->hostnames, c->snapshot);
}

/* ---- generations ---- */

static bool commit_some(void *user)
{
    struct control *c = user;

    return health_commit_some(c->health, clock_now_ms());
}

static void on_committed(void *user)
{
    (void)user; /* what changed has been told already */
}

int control_put_in_force(struct control *control, struct snapshot *snapshot, struct error *err)
{
    struct control *c = control;

    slices_stop(&c->commit);
    health_commit_begin(c->health, snapshot->binding, clock_now_ms());
    movements_adopt(c->movements, c->snapshot, snapshot);
    announcer_adopt(c->announcer, snapshot->model);
    keeper_adopt(c->keeper, snapshot);
    parking_adopt(c->snapshot, snapshot); /* by what was just recalled */
    walk_adopt(c->walk, snapshot);
    c->snapshot = snapshot;
    hand_adopt(c->hand, snapshot);
    c->changed = true;
    on_prepare(&c->prepare);
    log_configure(snapshot->model->log_level, snapshot->model->log_format);
    watch_adopt(c->watch, snapshot->model);
    hostnames_adopt(c->hostnames, snapshot->model, true);
    slices_begin(&c->commit, commit_some, on_committed, c);
    return server_publish(c->server, snapshot, err);
}

void control_become_ready(struct control *control)
{
    struct control *c = control;

    if (c->ready) {
        return;
    }
    c->ready = true;
    log_event(LOG_INFO, "ready", "services=%zu regions=%zu after=%llums",
              snapshot_service_total(c->snapshot), c->snapshot->model->region_count,
              (unsigned long long)(clock_now_ms() - c->started_ms));
    notify_send("READY=1");
}

static void on_file_changed(void *user, const char *path)
{
    struct control *c = user;

    log_event(LOG_INFO, "file changed", "path=%s", path);
    reload_file(c);
}

static void on_addresses_changed(void *user)
{
    reload_addresses(user);
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
    uv_timer_init(&c->loop, &c->settle);
    c->settle.data = c;
    uv_timer_init(&c->loop, &c->tick);
    c->tick.data = c;
    slices_init(&c->slices, &c->loop);
    slices_init(&c->commit, &c->loop);
    return retirement_init(&c->retirement, &c->loop);
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

static void say(struct control *c, unsigned category, const char *kind, const char *target,
                const char *to, const char *reason)
{
    const struct journal_entry entry = {
        .kind = kind,
        .target = target,
        .to = to,
        .reason = reason,
    };

    announcer_say(c->announcer, category, &entry);
}

/* Before anything else is: that there was a start, and what it had to do without. */
static void say_start(struct control *c, const struct model *model, bool is_loop)
{
    announcer_adopt(c->announcer, model);
    say(c, 0, "start", model->node_name, "started", "leeward " LEEWARD_VERSION);
    if (c->is_accepted) {
        say(c, MODEL_NOTIFY_RELOAD, "reload", control_config_path(c), "refused", c->warning);
    }
    if (is_loop) {
        say(c, MODEL_NOTIFY_GUARD, "guard", "start", "without restored state",
            "the last starts ended abnormally within a minute");
    }
}

/* The first generation: from the model to answering sockets. */
static int start_serving(struct control *c, struct model *model, struct error *err)
{
    struct snapshot *snapshot;

    prepare_directories(c, model); /* before anything is written there */
    bool is_loop = keeper_restore(c->keeper, model->state_directory);

    if (is_loop && c->warning == NULL) {
        control_set_warning(c, "started without restored state: the last starts ended abnormally "
                               "within a minute");
    }
    hostnames_want(c->hostnames, model);
    hostnames_expand(c->hostnames, model);
    struct health_binding *binding = health_bind(c->health, model, clock_now_ms());

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
        icmp_socket_open(); /* while we may */
        rc = privileges_drop(model->node_user, err);
    }
    if (rc < 0) {
        health_unbind(c->health, snapshot_free(snapshot));
        return rc;
    }
    c->generation = 1;
    retirement_serve(&c->retirement, c->server, c->health, c->prober);
    say_start(c, model, is_loop);
    hand_load(c->hand, model->state_directory);
    rc = control_put_in_force(c, snapshot, err);
    hostnames_serve(c->hostnames, c->server);
    return rc;
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
    startup_print(&report);
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
    uv_close((uv_handle_t *)&c->settle, NULL);
    uv_close((uv_handle_t *)&c->tick, NULL);
    slices_close(&c->slices, NULL, NULL);
    slices_close(&c->commit, NULL, NULL);
    retirement_close(&c->retirement);
    watch_close(c->watch);
    walk_close(c->walk);
    hand_close(c->hand);
    hostnames_close(c->hostnames);
    if (c->api != NULL) {
        c->closing++;
        api_close(c->api, on_part_closed, c);
    }
    c->closing++;
    prober_close(c->prober, on_part_closed, c);
    keeper_close(c->keeper);
    announcer_close(c->announcer);
    c->announcer = NULL;
}

static void shut_down(struct control *c)
{
    struct snapshot *current = NULL;
    struct snapshot *old;

    c->stopping = true;
    reload_abandon(c);
    if (c->server != NULL) {
        server_on_retired(c->server, NULL, NULL); /* the loop goes first */
    }
    push_board_listen(check_push_board(), NULL, NULL);
    close_handles(c);
    uv_run(&c->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&c->loop);
    check_shutdown();
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
    health_unbind(c->health, c->retirement.binding);
    health_free(c->health);
    movements_free(c->movements);
    removals_free(c->removals);
    free(c->path);
    free(c->warning);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct control *c = handle->data;

    if (number == SIGHUP) {
        reload_file(c);
        return;
    }
    log_event(LOG_INFO, "stopping", "signal=%s", number == SIGTERM ? "SIGTERM" : "SIGINT");
    notify_send("STOPPING=1");
    if (c->snapshot != NULL) {
        say(c, 0, "start", c->snapshot->model->node_name, "stopped", "asked to");
    }
    c->stopping = true;
    uv_stop(&c->loop);
}

static int start(struct control *c, struct error *err)
{
    struct model *model;

    memset(err, 0, sizeof(*err));
    int rc = startup_load(c, &model);
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
        reload_wait_at_start(c);
        if (!c->is_accepted) {
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
    (void)mallopt(M_MXFAST, 0); /* else free() merges all small pieces at once now and then */
    c->options = *options;
    c->started_ms = clock_now_ms();
    c->key = hash_key_random();
    const char *path = startup_find(options);
    c->path = path == NULL ? NULL : strdup(path);
    c->health = health_new(on_health, c);
    c->movements = movements_new(on_movement, c);
    c->removals = removals_new();
    raise_descriptor_limit();
    if (c->health == NULL || c->movements == NULL || c->removals == NULL || start_loop(c) < 0 ||
        (c->announcer = announcer_new(&c->loop)) == NULL ||
        (c->keeper = keeper_new(&c->loop, c->health)) == NULL ||
        (c->hand = hand_new(&c->loop, c->health, on_hand, c)) == NULL ||
        (c->hostnames = hostnames_new(&c->loop, on_addresses_changed, c)) == NULL ||
        (c->watch = watch_new(&c->loop, on_file_changed, c)) == NULL ||
        (c->walk = walk_new(&c->loop, c->movements, on_walked, c)) == NULL ||
        (c->prober = prober_new(&c->loop, c->health)) == NULL) {
        fputs("leeward: cannot start: out of memory or descriptors\n", stderr);
        return 1;
    }
    push_board_listen(check_push_board(), on_report, c);
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
