#include "policy/checks/prober.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "policy/checks/check.h"

#define RETRY_MS       50    /* after a probe could not be sent for want of something here */
#define TROUBLE_LOG_MS 60000 /* such trouble is logged once in this time */
#define LATE_MS        50    /* a wake this late says that this node was busy */

/* One probe of the table. Freed when its timer and all its attempts are closed. */
struct runner {
    struct prober *prober;
    struct health_probe *probe;
    const struct check_kind *kind;
    uv_timer_t timer;
    struct check_attempt *attempts; /* in flight; a handful */
    uint64_t armed_ms;              /* when the timer should fire */
    uint64_t settle_ms;             /* nothing is judged before; 0: no such time */
    uint64_t retry_ms;              /* nothing is sent before; 0: no such time */
    unsigned open;                  /* the timer, and attempts not gone */
};

struct prober {
    uv_loop_t *loop;
    struct health *health;
    uv_prepare_t prepare;
    struct runner **runners; /* by slot; NULL: none */
    size_t runner_count;
    unsigned open; /* the prepare handle, and runners not freed */
    bool has_trouble;
    uint64_t trouble_ms; /* when it was last logged */
    void (*closed)(void *user);
    void *user;
};

/* ---- lifetimes ---- */

static void unref_prober(struct prober *prober)
{
    if (--prober->open > 0) {
        return;
    }
    void (*closed)(void *user) = prober->closed;
    void *user = prober->user;
    free(prober->runners);
    free(prober);
    if (closed != NULL) {
        closed(user);
    }
}

static void unref_runner(struct runner *runner)
{
    if (--runner->open > 0) {
        return;
    }
    struct prober *prober = runner->prober;
    free(runner);
    unref_prober(prober);
}

static void on_attempt_gone(struct check_attempt *attempt)
{
    unref_runner(attempt->user);
}

static void on_timer_closed(uv_handle_t *handle)
{
    unref_runner(handle->data);
}

static void unlink_attempt(struct runner *runner, struct check_attempt *attempt)
{
    for (struct check_attempt **at = &runner->attempts; *at != NULL; at = &(*at)->next) {
        if (*at == attempt) {
            *at = attempt->next;
            return;
        }
    }
}

/* ---- sending ---- */

static void on_done(struct check_attempt *attempt, enum detect_outcome outcome, bool misconfigured,
                    const char *reason);

static void note_trouble(struct runner *runner, const char *error, uint64_t now_ms)
{
    struct prober *prober = runner->prober;

    runner->retry_ms = now_ms + RETRY_MS;
    if (prober->has_trouble && now_ms - prober->trouble_ms < TROUBLE_LOG_MS) {
        return;
    }
    prober->has_trouble = true;
    prober->trouble_ms = now_ms;
    log_event(LOG_WARNING, "probe not sent", "target=%s error=%s", runner->probe->label, error);
}

/*
 * Send one probe. The table hears of it only when it is on its way: what this
 * node cannot send is no evidence and must not stand open as an unanswered one.
 */
static bool send_probe(struct runner *runner, uint64_t now_ms)
{
    struct health_probe *probe = runner->probe;
    int error = 0;
    struct check_attempt *attempt =
        runner->kind->start(runner->prober->loop, probe, on_done, runner, &error);

    if (attempt == NULL) {
        note_trouble(runner, uv_strerror(error), now_ms);
        return false;
    }
    attempt->gone = on_attempt_gone;
    attempt->number = health_probe_sent(runner->prober->health, probe, now_ms);
    attempt->deadline_ms = now_ms + probe->detect.timing.timeout_ms;
    attempt->next = runner->attempts;
    runner->attempts = attempt;
    runner->open++;
    return true;
}

static void send_due(struct runner *runner, uint64_t now_ms)
{
    if (now_ms < runner->retry_ms) {
        return;
    }
    /* Ends at the latest when DETECT_OPEN_MAX are in flight. */
    while (detect_is_due(&runner->probe->detect, now_ms) && send_probe(runner, now_ms)) {
    }
}

/* ---- judging ---- */

static void time_out(struct runner *runner, struct check_attempt *attempt, uint64_t now_ms)
{
    struct health_probe *probe = runner->probe;
    uint32_t number = attempt->number;
    char reason[CHECK_REASON_MAX];

    (void)snprintf(reason, sizeof(reason), "%s within %ums", attempt->lacking,
                   probe->detect.timing.timeout_ms);
    unlink_attempt(runner, attempt);
    runner->kind->cancel(attempt);
    health_probe_result(runner->prober->health, probe, number, DETECT_SILENT, false, reason,
                        now_ms);
}

/* Of the attempts in flight the one with the earliest deadline, or NULL. */
static struct check_attempt *first_deadline(const struct runner *runner)
{
    struct check_attempt *first = runner->attempts;

    for (struct check_attempt *at = first; at != NULL; at = at->next) {
        if (at->deadline_ms < first->deadline_ms) {
            first = at;
        }
    }
    return first;
}

static void judge(struct runner *runner, uint64_t now_ms)
{
    struct check_attempt *attempt;

    while ((attempt = first_deadline(runner)) != NULL && attempt->deadline_ms <= now_ms) {
        time_out(runner, attempt, now_ms);
    }
    health_probe_tick(runner->prober->health, runner->probe, now_ms);
}

/*
 * A busy node must not declare its targets dead. A timer that fires late says
 * that this loop was held up, and libuv runs timers before it reads sockets:
 * answers may be waiting that came in good time, or connections that were made
 * and never given their request. So the time in which nobody listened does not
 * count against an attempt (up to once its timeout), and before anything is
 * judged the sockets get their turn and the usual round trip. That happens
 * once in a row, so a loop that is always late still finds what is dead.
 */
static bool allow_for_delay(struct runner *runner, uint64_t now_ms)
{
    const struct detect *detect = &runner->probe->detect;
    uint64_t timeout = detect->timing.timeout_ms;
    uint64_t late = now_ms > runner->armed_ms ? now_ms - runner->armed_ms : 0;

    if (runner->settle_ms != 0 || runner->attempts == NULL ||
        late <= (timeout / 2 < LATE_MS ? timeout / 2 : LATE_MS)) {
        return false;
    }
    for (struct check_attempt *at = runner->attempts; at != NULL; at = at->next) {
        uint64_t most = timeout - at->stretched_ms;
        uint64_t more = late < most ? late : most;
        at->stretched_ms += more;
        at->deadline_ms += more;
    }
    uint64_t settle = 2ull * detect->usual_us / 1000 + 1;
    runner->settle_ms = now_ms + (settle < late ? settle : late);
    return true;
}

/* ---- time ---- */

static void on_timer(uv_timer_t *timer);

static void arm(struct runner *runner, uint64_t now_ms)
{
    uint64_t wake = detect_wake_ms(&runner->probe->detect, now_ms);
    const struct check_attempt *first = first_deadline(runner);
    uint64_t loop_ms = uv_now(runner->prober->loop);

    if (wake < runner->retry_ms) {
        wake = runner->retry_ms;
    }
    if (first != NULL && first->deadline_ms < wake) {
        wake = first->deadline_ms;
    }
    if (wake < runner->settle_ms) {
        wake = runner->settle_ms;
    }
    runner->armed_ms = wake > now_ms ? wake : now_ms;
    /* At least 1 ms, for a timer of 0 ms that starts itself again starves the sockets. */
    (void)uv_timer_start(&runner->timer, on_timer, wake > loop_ms ? wake - loop_ms : 1, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct runner *runner = timer->data;
    uint64_t now = clock_now_ms();

    if (!allow_for_delay(runner, now)) {
        runner->settle_ms = 0;
        judge(runner, now);
    }
    send_due(runner, now);
    arm(runner, now);
}

static void on_done(struct check_attempt *attempt, enum detect_outcome outcome, bool misconfigured,
                    const char *reason)
{
    struct runner *runner = attempt->user;
    uint64_t now = clock_now_ms();

    (void)allow_for_delay(runner, now); /* arming forgets how late the timer is */
    unlink_attempt(runner, attempt);
    health_probe_result(runner->prober->health, runner->probe, attempt->number, outcome,
                        misconfigured, reason, now);
    if (outcome == DETECT_VOID) {
        note_trouble(runner, reason, now);
    }
    send_due(runner, now);
    arm(runner, now);
}

/*
 * Just before the loop sleeps: it reckons its sleep from the time at which the
 * turn began, and would oversleep by what the timers' callbacks have taken.
 */
static void on_prepare(uv_prepare_t *prepare)
{
    uv_update_time(prepare->loop);
}

/* ---- the table ---- */

static bool start_runner(struct prober *prober, struct health_probe *probe)
{
    struct runner *runner = calloc(1, sizeof(*runner));

    if (runner == NULL) {
        return false;
    }
    runner->prober = prober;
    runner->probe = probe;
    runner->kind = check_kind_of(probe->check.kind);
    (void)uv_timer_init(prober->loop, &runner->timer);
    runner->timer.data = runner;
    runner->open = 1;
    prober->open++;
    prober->runners[probe->slot] = runner;
    probe->runner = runner;
    arm(runner, clock_now_ms());
    return true;
}

static void stop_runner(struct prober *prober, size_t slot)
{
    struct runner *runner = prober->runners[slot];

    prober->runners[slot] = NULL;
    if (runner->probe->runner == runner) {
        runner->probe->runner = NULL;
    }
    while (runner->attempts != NULL) {
        struct check_attempt *attempt = runner->attempts;
        runner->attempts = attempt->next;
        runner->kind->cancel(attempt);
    }
    uv_close((uv_handle_t *)&runner->timer, on_timer_closed);
}

/* Room for every slot of the table. */
static bool grow(struct prober *prober, size_t count)
{
    if (count <= prober->runner_count) {
        return true;
    }
    struct runner **runners = reallocarray(prober->runners, count, sizeof(struct runner *));
    if (runners == NULL) {
        return false;
    }
    for (size_t i = prober->runner_count; i < count; i++) {
        runners[i] = NULL;
    }
    prober->runners = runners;
    prober->runner_count = count;
    return true;
}

void prober_sync(struct prober *prober)
{
    size_t missing = 0;

    (void)grow(prober, health_probe_count(prober->health));
    for (size_t slot = 0; slot < health_probe_count(prober->health); slot++) {
        struct health_probe *probe = health_probe(prober->health, slot);
        if (slot >= prober->runner_count) {
            missing += probe->used;
            continue;
        }
        struct runner *runner = prober->runners[slot];
        if (runner != NULL && (!probe->used || probe->runner != runner)) {
            stop_runner(prober, slot);
            runner = NULL;
        }
        if (runner == NULL && probe->used) {
            missing += !start_runner(prober, probe);
        }
    }
    if (missing > 0) {
        log_event(LOG_ERROR, "probes not started", "count=%zu error=%s", missing,
                  uv_strerror(UV_ENOMEM));
    }
}

struct prober *prober_new(uv_loop_t *loop, struct health *health)
{
    struct prober *prober = calloc(1, sizeof(*prober));

    if (prober == NULL) {
        return NULL;
    }
    prober->loop = loop;
    prober->health = health;
    prober->open = 1;
    (void)uv_prepare_init(loop, &prober->prepare);
    prober->prepare.data = prober;
    (void)uv_prepare_start(&prober->prepare, on_prepare);
    return prober;
}

static void on_prepare_closed(uv_handle_t *handle)
{
    unref_prober(handle->data);
}

void prober_close(struct prober *prober, void (*closed)(void *user), void *user)
{
    prober->closed = closed;
    prober->user = user;
    for (size_t slot = 0; slot < prober->runner_count; slot++) {
        if (prober->runners[slot] != NULL) {
            stop_runner(prober, slot);
        }
    }
    uv_close((uv_handle_t *)&prober->prepare, on_prepare_closed);
}
