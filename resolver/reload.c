#include "resolver/reload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "policy/checks/prober.h"
#include "policy/config.h"
#include "policy/geo.h"
#include "policy/health.h"
#include "resolver/announcer.h"
#include "resolver/control_state.h"
#include "resolver/hostnames.h"
#include "resolver/reload_step.h"
#include "resolver/removals.h"
#include "resolver/server.h"
#include "resolver/walk.h"
#include "resolver/watch.h"

#define FIRST_ROUND_GRACE_MS 100  /* on top of the largest timeout */
#define ADDRESSES_MS         2000 /* new names are waited for at most so long */
#define POLL_MS              5
#define SETTLE_MS            50   /* A and AAAA change together */
#define REBUILD_PAUSE_MS     1000 /* at least between one rebuild and the next */
#define REBUILD_AGAIN_MS     5000 /* after one that failed */
#define LAST_WORD_TURNS      4    /* of the loop, for the api to send an answer */

static const char stopping_report[] = "the server is stopping\n";

/* ---- the end of one ---- */

static bool is_under_way(const struct control *c)
{
    return c->reload.under_way;
}

static void settle_after(struct control *c, uint64_t delay_ms);

/* It has come to nothing: what was bound for it is given back. */
static void drop(struct control *c)
{
    struct reload *r = &c->reload;

    slices_stop(&c->slices);
    removals_end(r->inquiry);
    if (r->fresh != NULL) {
        r->fresh->model = NULL; /* still the reload's, as the binding */
        (void)snapshot_free(r->fresh);
    }
    health_unbind(c->health, r->binding);
    prober_sync(c->prober);
    model_free(r->model);
    review_free(r->review);
    r->inquiry = NULL;
    r->fresh = NULL;
    r->model = NULL;
    r->binding = NULL;
    r->review = NULL;
    if (r->begun) {
        hostnames_adopt(c->hostnames, c->snapshot->model, false);
    }
}

static void end(struct control *c, bool ok, const char *report)
{
    struct reload reload = c->reload;

    memset(&c->reload, 0, sizeof(c->reload));
    if (reload.done != NULL) {
        reload.done(reload.user, ok, report);
    }
    config_report_fini(&reload.report);
    if (!c->stopping && !uv_is_active((uv_handle_t *)&c->poll)) { /* else that wait goes on */
        control_become_ready(c);
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

static void on_saved(struct control *c)
{
    char words[sizeof(c->reload.words)];

    memcpy(words, c->reload.words, sizeof(words));
    end(c, true, words);
}

/* It is in force: what that means for others. */
static void settle_review(struct control *c, const struct snapshot *fresh)
{
    tell_what_waits(c, fresh->model);
    control_set_warning(c, NULL);
    if (c->reload.review != NULL) {
        removals_note(c->removals, c->reload.review, clock_now_ms());
        review_free(c->reload.review);
        c->reload.review = NULL;
    }
}

static void put_in_force(struct control *c, struct snapshot *fresh)
{
    bool rebuild = c->reload.rebuild;
    struct error err;

    if (!rebuild) {
        settle_review(c, fresh);
    }
    if (c->reload.turns != walk_turns(c->walk)) {
        snapshot_inherit(fresh, c->snapshot);
    }
    c->reload.model = NULL; /* from here on they are the snapshot's */
    c->reload.binding = NULL;
    c->reload.fresh = NULL;
    c->generation++;
    (void)control_put_in_force(c, fresh, &err); /* only the first time can fail */
    prober_sync(c->prober);
    (void)snprintf(c->reload.words, sizeof(c->reload.words),
                   "generation %llu: %zu services, %zu regions, %zu zones",
                   (unsigned long long)c->generation, snapshot_service_total(fresh),
                   fresh->model->region_count, fresh->model->zone_count);
    log_event(rebuild ? LOG_DEBUG : LOG_INFO, rebuild ? "addresses taken" : "reloaded",
              "config=%s generation=%llu services=%zu", control_config_path(c),
              (unsigned long long)c->generation, snapshot_service_total(fresh));
    c->rebuilt_ms = clock_now_ms();
    if (rebuild) {
        on_saved(c);
        return;
    }
    announce(c, "accepted", c->reload.words);
    c->reload.saved = fresh->model;
    reload_step_save(c, on_saved);
}

static bool has_given_way(struct control *c);

static void on_built(struct control *c)
{
    if (has_given_way(c)) {
        return;
    }
    if (c->reload.rc == 0 && !c->reload.rebuild) {
        c->reload.rc = server_rebind(c->server, c->reload.fresh->model, &c->reload.err);
    }
    if (c->reload.rc < 0) {
        refuse(c, &c->reload.err);
        return;
    }
    put_in_force(c, c->reload.fresh);
}

static void build(struct control *c)
{
    c->reload.turns = walk_turns(c->walk);
    reload_step_build(c, on_built);
}

/* ---- on the way ---- */

static void on_poll(uv_timer_t *timer);
static void on_round(uv_timer_t *timer);

static void wait_at_most(struct control *c, uint64_t most_ms)
{
    uv_update_time(&c->loop);
    uv_timer_start(&c->poll, on_poll, 0, POLL_MS);
    uv_timer_start(&c->round, on_round, most_ms, 0);
}

static bool bind_some(void *user)
{
    struct control *c = user;

    return health_bind_some(c->reload.binding, c->reload.model, clock_now_ms());
}

static void on_bound(void *user)
{
    struct control *c = user;

    prober_sync(c->prober);
    wait_at_most(c, c->reload.longest_ms + FIRST_ROUND_GRACE_MS);
}

/* The addresses of its names are in, or their time is up: bind it and probe what is new. */
static void bind_and_wait(struct control *c)
{
    struct model *model = c->reload.model;

    uv_timer_stop(&c->poll);
    uv_timer_stop(&c->round);
    hostnames_expand(c->hostnames, model);
    c->reload.binding = health_bind_begin(c->health, model, clock_now_ms());
    if (c->reload.binding == NULL) {
        struct error err;
        (void)error_set(&err, -ENOMEM, "out of memory");
        refuse(c, &err);
        return;
    }
    slices_begin(&c->slices, bind_some, on_bound, c);
}

static void begin_rebuild(struct control *c);

static void stop_waiting(struct control *c)
{
    uv_timer_stop(&c->poll);
    uv_timer_stop(&c->round);
    if (c->reload.begun && c->reload.binding == NULL) {
        bind_and_wait(c);
    } else if (c->reload.begun) {
        build(c);
    } else if (!is_under_way(c) && hostnames_are_news(c->hostnames)) {
        begin_rebuild(c); /* ready when that has ended */
    } else {
        control_become_ready(c);
    }
}

static void on_poll(uv_timer_t *timer)
{
    struct control *c = timer->data;
    bool begun = c->reload.begun;
    bool names = begun ? c->reload.binding == NULL : !c->ready;
    bool pending = names && hostnames_pending(c->hostnames) > 0;

    if (!begun) {
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

void reload_wait_at_start(struct control *control)
{
    uint64_t most_ms = model_longest_timeout(control->snapshot->model) + FIRST_ROUND_GRACE_MS;

    if (hostnames_pending(control->hostnames) > 0 && most_ms < ADDRESSES_MS) {
        most_ms = ADDRESSES_MS;
    }
    wait_at_most(control, most_ms);
}

/* What was read is good: set it on its way. */
static void begin(struct control *c)
{
    c->reload.begun = true;
    hostnames_want(c->hostnames, c->reload.model);
    if (hostnames_pending(c->hostnames) > 0 && !c->reload.rebuild) {
        wait_at_most(c, ADDRESSES_MS);
    } else {
        bind_and_wait(c);
    }
}

/* ---- a file taken again ---- */

/* The whole report of a file that does not load, printed, logged and handed over. */
static void report_unloadable(struct control *c)
{
    const struct config_report *report = &c->reload.report;
    struct text text = { 0 };
    char line[512] = "";

    config_report_print(report, &text);
    if (report->count > 0) {
        (void)error_format(&report->errors[0], line, sizeof(line));
    }
    log_event(LOG_ERROR, "reload refused", "config=%s errors=%zu first=%s generation=%llu",
              control_config_path(c), report->count, line, (unsigned long long)c->generation);
    announce(c, "refused", line);
    end(c, false, text_string(&text));
    text_fini(&text);
}

/* A refusal that is about the whole file, logged and handed over. */
static void refuse_file(struct control *c, struct text *report)
{
    announce(c, "refused", text_string(report));
    log_event(LOG_ERROR, "reload refused", "config=%s generation=%llu error=%s",
              control_config_path(c), (unsigned long long)c->generation, text_string(report));
    text_put_char(report, '\n');
    drop(c);
    end(c, false, text_string(report));
    text_fini(report);
}

/* An older plan never overwrites a newer one: `generation:` of the file. False: refused. */
static bool pass_fence(struct control *c)
{
    const struct model *fresh = c->reload.model;
    uint64_t running = c->snapshot->model->file_generation;
    struct text report = { 0 };

    if (fresh->file_generation >= running) {
        return true;
    }
    text_printf(&report, "generation %llu of the file is older than %llu, which runs",
                (unsigned long long)fresh->file_generation, (unsigned long long)running);
    refuse_file(c, &report);
    return false;
}

/* More healthy capacity would leave than the guard allows, without consent: refused. */
static void on_compared(struct control *c)
{
    struct review *review = c->reload.review;
    struct text report = { 0 };

    if (has_given_way(c)) {
        return;
    }
    removals_end(c->reload.inquiry);
    c->reload.inquiry = NULL;
    if (review == NULL || !review_is_refused(review)) {
        begin(c);
        return;
    }
    review_put_refusal(review, &report);
    text_printf(&report, "; guards: {accept: %s} consents to exactly this change", review->id);
    refuse_file(c, &report);
}

static bool look_some(void *user)
{
    struct control *c = user;

    return removals_look(c->reload.inquiry);
}

static void on_looked(void *user)
{
    reload_step_compare(user, on_compared);
}

static void on_read(struct control *c)
{
    if (has_given_way(c)) {
        return;
    }
    if (c->reload.rc < 0) {
        report_unloadable(c);
        return;
    }
    if (!pass_fence(c)) {
        return;
    }
    c->reload.inquiry = removals_begin(c->removals, c->snapshot, clock_now_ms());
    if (c->reload.inquiry == NULL) {
        struct error err;
        (void)error_set(&err, -ENOMEM, "out of memory");
        refuse(c, &err);
        return;
    }
    slices_begin(&c->slices, look_some, on_looked, c);
}

static void read_file(struct control *c, control_reload_done *done, void *user)
{
    watch_look(c->watch);
    c->reload = (struct reload){ .under_way = true, .done = done, .user = user };
    reload_step_read(c, on_read);
}

/* The rebuild that is under way comes to nothing: a reload takes the same addresses. */
static void drop_rebuild(struct control *c)
{
    uv_timer_stop(&c->poll);
    uv_timer_stop(&c->round);
    drop(c);
    config_report_fini(&c->reload.report);
    memset(&c->reload, 0, sizeof(c->reload));
}

/* After a step beside the loop: is what it was for not wanted any more? */
static bool has_given_way(struct control *c)
{
    struct reload_wish wish = c->wish;

    if (c->stopping || !wish.is_there) {
        return c->stopping;
    }
    memset(&c->wish, 0, sizeof(c->wish));
    drop_rebuild(c);
    read_file(c, wish.done, wish.user);
    return true;
}

void control_reload(struct control *control, control_reload_done *done, void *user)
{
    struct control *c = control;
    bool busy = c->wish.is_there || (is_under_way(c) && !c->reload.rebuild);

    if (c->stopping || busy) {
        if (done != NULL) {
            done(user, false,
                 c->stopping ? stopping_report
                             : "a reload is under way; try again when it has ended\n");
        }
        return;
    }
    if (is_under_way(c) && c->reload.at_work) {
        c->wish = (struct reload_wish){ .is_there = true, .done = done, .user = user };
        return;
    }
    if (is_under_way(c)) {
        drop_rebuild(c);
    }
    read_file(c, done, user);
}

void reload_file(struct control *control)
{
    if (control->wish.is_there || (is_under_way(control) && !control->reload.rebuild)) {
        control->reload_again = true;
    } else {
        control_reload(control, NULL, NULL);
    }
}

/* ---- the same configuration with other addresses ---- */

/* There is no such generation to be had; it is tried again later. */
static void give_up_rebuild(struct control *c)
{
    const struct config_report *report = &c->reload.report;
    char line[512] = "";

    if (report->count > 0) {
        (void)error_format(&report->errors[0], line, sizeof(line));
    }
    log_event(LOG_ERROR, "addresses not taken", "config=%s generation=%llu error=%s",
              control_config_path(c), (unsigned long long)c->generation, line);
    end(c, false, "");
}

static void on_read_again(struct control *c)
{
    if (has_given_way(c)) {
        return;
    }
    if (c->reload.rc < 0) {
        give_up_rebuild(c);
    } else {
        begin(c);
    }
}

static void begin_rebuild(struct control *c)
{
    c->reload = (struct reload){ .under_way = true, .rebuild = true };
    reload_step_read(c, on_read_again);
}

static void on_settled(uv_timer_t *timer)
{
    struct control *c = timer->data;

    if (!c->stopping && c->ready && !is_under_way(c) && hostnames_are_news(c->hostnames)) {
        begin_rebuild(c);
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
    struct reload_wish wish = c->wish;

    uv_timer_stop(&c->poll);
    uv_timer_stop(&c->round);
    uv_timer_stop(&c->settle);
    if (!is_under_way(c)) {
        return;
    }
    geo_stop();
    while (is_under_way(c) && c->reload.at_work) {
        (void)uv_run(&c->loop, UV_RUN_ONCE);
    }
    c->reload_again = false;
    memset(&c->wish, 0, sizeof(c->wish));
    if (wish.done != NULL) {
        wish.done(wish.user, false, stopping_report);
    }
    if (is_under_way(c)) {
        drop(c);
        end(c, false, stopping_report);
    }
    uv_timer_stop(&c->settle);
    for (unsigned i = 0; i < LAST_WORD_TURNS; i++) {
        (void)uv_run(&c->loop, UV_RUN_NOWAIT);
    }
}
