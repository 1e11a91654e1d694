#include "resolver/reload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "policy/checks/prober.h"
#include "policy/config.h"
#include "policy/health.h"
#include "resolver/accepted.h"
#include "resolver/announcer.h"
#include "resolver/control_state.h"
#include "resolver/hostnames.h"
#include "resolver/removals.h"
#include "resolver/server.h"
#include "resolver/startup.h"
#include "resolver/watch.h"

#define FIRST_ROUND_GRACE_MS 100  /* on top of the largest timeout */
#define ADDRESSES_MS         2000 /* new names are waited for at most so long */
#define POLL_MS              5
#define SETTLE_MS            50   /* A and AAAA change together */
#define REBUILD_PAUSE_MS     1000 /* at least between one rebuild and the next */
#define REBUILD_AGAIN_MS     5000 /* after one that failed */
#define LAST_WORD_TURNS      4    /* of the loop, for the api to send an answer */

static const char stopping_report[] = "the server is stopping\n";

static void wait_for_first_results(struct control *c, const struct model *model);

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

/* ---- the end of one ---- */

static bool is_under_way(const struct control *c)
{
    return c->reload.model != NULL;
}

static void settle_after(struct control *c, uint64_t delay_ms);

/* It has come to nothing: what was bound for it is given back. */
static void drop(struct control *c)
{
    health_unbind(c->health, c->reload.binding);
    prober_sync(c->prober);
    model_free(c->reload.model);
    review_free(c->reload.review);
    c->reload.model = NULL;
    c->reload.binding = NULL;
    c->reload.review = NULL;
    hostnames_adopt(c->hostnames, c->snapshot->model, false);
}

static void end(struct control *c, bool ok, const char *report)
{
    struct reload reload = c->reload;

    memset(&c->reload, 0, sizeof(c->reload));
    if (reload.done != NULL) {
        reload.done(reload.user, ok, report);
    }
    if (c->reload_again) {
        c->reload_again = false;
        control_reload(c, NULL, NULL);
    } else if (hostnames_are_news(c->hostnames)) {
        settle_after(c, reload.rebuild && !ok ? REBUILD_AGAIN_MS : SETTLE_MS);
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
        { "cache.persist", old->cache.persist != fresh->cache.persist },
        { "node.state_directory (of the cache)",
          fresh->cache.persist && !is_same_text(old->state_directory, fresh->state_directory) },
    };

    for (size_t i = 0; i < sizeof(settled) / sizeof(settled[0]); i++) {
        if (settled[i].changed) {
            log_event(LOG_WARNING, "changed, but needs a restart", "key=%s", settled[i].key);
        }
    }
}

/* How a reload ended, for the journal. */
static void announce(struct control *c, const char *to, const char *reason)
{
    const struct journal_entry entry = {
        .kind = "reload",
        .target = control_config_path(c),
        .to = to,
        .reason = reason,
    };

    announcer_say(c->announcer, MODEL_NOTIFY_RELOAD, &entry);
}

static void refuse(struct control *c, const struct error *err)
{
    struct config_report report = { 0 };
    struct text text = { 0 };
    char line[512];

    config_report_add(&report, err);
    config_report_print(&report, &text);
    (void)error_format(err, line, sizeof(line));
    log_event(LOG_ERROR, c->reload.rebuild ? "addresses not taken" : "reload refused",
              "config=%s generation=%llu error=%s", control_config_path(c),
              (unsigned long long)c->generation, line);
    if (!c->reload.rebuild) {
        announce(c, "refused", line);
    }
    drop(c);
    end(c, false, text_string(&text));
    text_fini(&text);
    config_report_fini(&report);
}

static int build(struct control *c, struct snapshot **out, struct error *err)
{
    struct snapshot *fresh;
    uint64_t generation = c->generation + 1;
    int rc = c->reload.rebuild
                 ? snapshot_rebuild(c->reload.model, c->reload.binding, c->snapshot, &c->key,
                                    generation, &fresh, err)
                 : snapshot_build(c->reload.model, c->reload.binding, c->snapshot, &c->key,
                                  generation, &fresh, err);

    if (rc == 0 && !c->reload.rebuild) {
        rc = server_rebind(c->server, fresh->model, err);
        if (rc < 0) {
            fresh->model = NULL; /* still the reload's, as the binding */
            (void)snapshot_free(fresh);
        }
    }
    if (rc == 0) {
        *out = fresh;
    }
    return rc;
}

static void finish(struct control *c)
{
    bool rebuild = c->reload.rebuild;
    struct snapshot *fresh = NULL;
    struct error err;
    char report[256];

    if (build(c, &fresh, &err) < 0) {
        refuse(c, &err);
        return;
    }
    if (!rebuild) {
        tell_what_waits(c, fresh->model);
        control_set_warning(c, NULL);
        accepted_save(fresh->model);
    }
    if (c->reload.review != NULL) {
        removals_note(c->removals, c->reload.review, clock_now_ms());
        review_free(c->reload.review);
        c->reload.review = NULL;
    }
    c->generation++;
    (void)control_put_in_force(c, fresh, &err); /* only the first time can fail */
    prober_sync(c->prober);
    (void)snprintf(report, sizeof(report), "generation %llu: %zu services, %zu regions, %zu zones",
                   (unsigned long long)c->generation, snapshot_service_total(fresh),
                   fresh->model->region_count, fresh->model->zone_count);
    log_event(rebuild ? LOG_DEBUG : LOG_INFO, rebuild ? "addresses taken" : "reloaded",
              "config=%s generation=%llu services=%zu", control_config_path(c),
              (unsigned long long)c->generation, snapshot_service_total(fresh));
    c->rebuilt_ms = clock_now_ms();
    if (!rebuild) {
        announce(c, "accepted", report);
    }
    end(c, true, report);
}

/* ---- on the way ---- */

/* The addresses of its names are in, or their time is up: bind it and probe what is new. */
static void bind_and_wait(struct control *c)
{
    struct model *model = c->reload.model;

    hostnames_expand(c->hostnames, model);
    c->reload.binding = health_bind(c->health, model, clock_now_ms());
    if (c->reload.binding == NULL) {
        struct error err;
        (void)error_set(&err, -ENOMEM, "out of memory");
        refuse(c, &err);
        return;
    }
    prober_sync(c->prober);
    wait_for_first_results(c, model);
}

static bool begin_rebuild(struct control *c);

static void stop_waiting(struct control *c)
{
    uv_timer_stop(&c->poll);
    uv_timer_stop(&c->round);
    if (is_under_way(c) && c->reload.binding == NULL) {
        bind_and_wait(c);
        return;
    }
    if (is_under_way(c)) {
        finish(c);
    } else if (hostnames_are_news(c->hostnames) && begin_rebuild(c)) {
        return; /* ready when that has ended */
    }
    if (!is_under_way(c)) {
        control_become_ready(c);
    }
}

static void on_poll(uv_timer_t *timer)
{
    struct control *c = timer->data;
    bool names = is_under_way(c) ? c->reload.binding == NULL : !c->ready;
    bool pending = names && hostnames_pending(c->hostnames) > 0;

    if (!is_under_way(c)) {
        pending = pending || health_is_pending(c->snapshot->binding);
    } else if (c->reload.binding != NULL) {
        pending = pending || health_is_pending(c->reload.binding);
    }
    if (!pending) {
        stop_waiting(c);
    }
}

static void on_round(uv_timer_t *timer)
{
    stop_waiting(timer->data);
}

static void wait_at_most(struct control *c, uint64_t most_ms)
{
    uv_update_time(&c->loop);
    uv_timer_start(&c->poll, on_poll, 0, POLL_MS);
    uv_timer_start(&c->round, on_round, most_ms, 0);
}

static void wait_for_first_results(struct control *c, const struct model *model)
{
    wait_at_most(c, longest_timeout(model) + FIRST_ROUND_GRACE_MS);
}

void reload_wait_at_start(struct control *control)
{
    const struct model *model = control->snapshot->model;
    uint64_t most_ms = longest_timeout(model) + FIRST_ROUND_GRACE_MS;

    if (hostnames_pending(control->hostnames) > 0 && most_ms < ADDRESSES_MS) {
        most_ms = ADDRESSES_MS;
    }
    wait_at_most(control, most_ms);
}

/* Set `model` on its way. */
static void begin(struct control *c, const struct reload *reload)
{
    c->reload = *reload;
    hostnames_want(c->hostnames, reload->model);
    if (hostnames_pending(c->hostnames) > 0 && !reload->rebuild) {
        wait_at_most(c, ADDRESSES_MS);
    } else {
        bind_and_wait(c);
    }
}

/* ---- a file taken again ---- */

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
    announce(c, "refused", line);
    if (done != NULL) {
        done(user, false, text_string(&text));
    }
    text_fini(&text);
}

/* A refusal that is about the whole file, logged and handed over. */
static void refuse_file(struct control *c, struct text *report, control_reload_done *done,
                        void *user)
{
    announce(c, "refused", text_string(report));
    log_event(LOG_ERROR, "reload refused", "config=%s generation=%llu error=%s",
              control_config_path(c), (unsigned long long)c->generation, text_string(report));
    text_put_char(report, '\n');
    if (done != NULL) {
        done(user, false, text_string(report));
    }
    text_fini(report);
}

/* An older plan never overwrites a newer one: `generation:` of the file. False: refused. */
static bool pass_fence(struct control *c, const struct model *fresh,
                       control_reload_done *done, void *user)
{
    uint64_t running = c->snapshot->model->file_generation;
    struct text report = { 0 };

    if (fresh->file_generation >= running) {
        return true;
    }
    text_printf(&report, "generation %llu of the file is older than %llu, which runs",
                (unsigned long long)fresh->file_generation, (unsigned long long)running);
    refuse_file(c, &report, done, user);
    return false;
}

/* More healthy capacity would leave than the guard allows, without consent. False: refused. */
static bool pass_review(struct control *c, const struct model *fresh, control_reload_done *done,
                        void *user)
{
    uint64_t now_ms = clock_now_ms();
    struct review *review = removals_review(c->removals, c->snapshot, fresh, now_ms);
    struct text report = { 0 };
    bool good = review == NULL || !review_is_refused(review);

    if (good && review != NULL) {
        c->reload.review = review;
        return true;
    }
    if (!good) {
        review_put_refusal(review, &report);
        text_printf(&report, "; guards: {accept: %s} consents to exactly this change", review->id);
        refuse_file(c, &report, done, user);
    }
    review_free(review);
    return good;
}

void control_reload(struct control *control, control_reload_done *done, void *user)
{
    struct control *c = control;
    struct config_report report = { 0 };
    struct model *model;

    if (c->stopping || (is_under_way(c) && !c->reload.rebuild)) {
        if (done != NULL) {
            done(user, false,
                 c->stopping ? stopping_report
                             : "a reload is under way; try again when it has ended\n");
        }
        return;
    }
    watch_look(c->watch);
    if (startup_read(c, &model, &report) < 0) {
        report_unloadable(c, &report, done, user);
        config_report_fini(&report);
        return;
    }
    config_report_fini(&report);
    if (is_under_way(c)) {
        drop(c); /* a rebuild: the reload takes the same addresses */
    }
    if (!pass_fence(c, model, done, user) || !pass_review(c, model, done, user)) {
        model_free(model);
        return;
    }
    struct review *review = c->reload.review;
    begin(c, &(struct reload){ .model = model, .review = review, .done = done, .user = user });
}

void reload_file(struct control *control)
{
    if (is_under_way(control) && !control->reload.rebuild) {
        control->reload_again = true;
    } else {
        control_reload(control, NULL, NULL);
    }
}

/* ---- the same configuration with other addresses ---- */

/* False when there is no such generation to be had; then it is tried again later. */
static bool begin_rebuild(struct control *c)
{
    const struct model *old = c->snapshot->model;
    struct config_report report = { 0 };
    struct model *model;

    int rc = config_load_text(old->source, old->path, &model, &report);
    if (rc < 0) {
        char line[512] = "";
        if (report.count > 0) {
            (void)error_format(&report.errors[0], line, sizeof(line));
        }
        log_event(LOG_ERROR, "addresses not taken", "config=%s generation=%llu error=%s",
                  control_config_path(c), (unsigned long long)c->generation, line);
        settle_after(c, REBUILD_AGAIN_MS);
    } else {
        begin(c, &(struct reload){ .model = model, .rebuild = true });
    }
    config_report_fini(&report);
    return rc == 0;
}

static void on_settled(uv_timer_t *timer)
{
    struct control *c = timer->data;

    if (!c->stopping && c->ready && !is_under_way(c) && hostnames_are_news(c->hostnames)) {
        (void)begin_rebuild(c);
    }
}

static void settle_after(struct control *c, uint64_t delay_ms)
{
    uint64_t since_ms = clock_now_ms() - c->rebuilt_ms;

    if (c->rebuilt_ms != 0 && since_ms < REBUILD_PAUSE_MS &&
        REBUILD_PAUSE_MS - since_ms > delay_ms) {
        delay_ms = REBUILD_PAUSE_MS - since_ms;
    }
    uv_update_time(&c->loop);
    (void)uv_timer_start(&c->settle, on_settled, delay_ms, 0);
}

void reload_addresses(struct control *control)
{
    /* what is on its way, or the wait at the start, looks for news when it ends */
    if (!control->stopping && control->ready && !is_under_way(control)) {
        settle_after(control, SETTLE_MS);
    }
}

/* ---- the end of all ---- */

void reload_abandon(struct control *control)
{
    struct control *c = control;

    uv_timer_stop(&c->poll);
    uv_timer_stop(&c->round);
    uv_timer_stop(&c->settle);
    if (!is_under_way(c)) {
        return;
    }
    drop(c);
    c->reload_again = false;
    end(c, false, stopping_report);
    uv_timer_stop(&c->settle);
    for (unsigned i = 0; i < LAST_WORD_TURNS; i++) {
        (void)uv_run(&c->loop, UV_RUN_NOWAIT);
    }
}
