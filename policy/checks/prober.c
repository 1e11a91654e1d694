#include "policy/checks/prober.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "policy/checks/check.h"
#include "policy/checks/lateness.h"
#include "policy/checks/schedule.h"

#define RETRY_MS       50    /* after a probe could not be sent for want of something here */
#define TROUBLE_LOG_MS 60000 /* such trouble is logged once in this time */
#define LATE_MS        50    /* a wake this late says that this node was busy */
#define IN_FLIGHT_MAX  20000 /* attempts; a descriptor and some KiB each */
#define FILES_SPARED   256u  /* descriptors left for everything else */
#define PUT_OFF_MS     5     /* with as many in flight as there may be */
#define BURST          64u   /* probes sent before the sockets get their turn */

/* One probe of the table. Freed when it was stopped and all its attempts are closed. */
struct runner {
    struct schedule_entry entry; /* first: the two are one object; when it is woken */
    struct prober *prober;
    struct health_probe *probe;
    const struct check_kind *kind;
    struct check_attempt *attempts; /* in flight; a handful */
    uint64_t settle_ms;             /* nothing is judged before; 0: no such time */
    uint64_t retry_ms;              /* nothing is sent before; 0: no such time */
    unsigned open;                  /* itself, attempts not gone, and who works on it */
    bool stopped;
};

struct prober {
    uv_loop_t *loop;
    struct health *health;
    uv_prepare_t prepare;
    uv_timer_t timer; /* for the first of the schedule */
    struct schedule schedule;
    struct runner **runners; /* by slot; NULL: none */
    size_t runner_count;
    unsigned open;  /* the handles, and runners not freed */
    unsigned burst; /* sent since the sockets had their turn */
    uint32_t in_flight;
    uint32_t in_flight_max;
    uint64_t started;
    uint64_t late;
    uint64_t put_off;
    struct lateness lateness;
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
    schedule_fini(&prober->schedule);
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
    struct runner *runner = attempt->user;

    runner->prober->in_flight--;
    unref_runner(runner);
}

static void on_handle_closed(uv_handle_t *handle)
{
    unref_prober(handle->data);
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
        health_probe_trouble(runner->prober->health, probe, uv_strerror(error), now_ms);
        note_trouble(runner, uv_strerror(error), now_ms);
        return false;
    }
    attempt->gone = on_attempt_gone;
    attempt->number = health_probe_sent(runner->prober->health, probe, now_ms);
    attempt->deadline_ms = now_ms + probe->detect.timing.timeout_ms;
    attempt->next = runner->attempts;
    runner->attempts = attempt;
    runner->open++;
    runner->prober->in_flight++;
    return true;
}

/*
 * May one more be sent? Not with as many in flight as there may be, nor before
 * the sockets had their turn: ten thousand that are due at once must not keep
 * the answers of the first waiting. It stays due, and is counted late.
 */
static bool has_room(struct runner *runner, uint64_t now_ms)
{
    struct prober *prober = runner->prober;

    if (prober->in_flight >= prober->in_flight_max) {
        prober->put_off++;
        runner->retry_ms = now_ms + PUT_OFF_MS;
        return false;
    }
    return prober->burst < BURST;
}

static void count_start(struct prober *prober, uint64_t due_ms, uint64_t now_ms)
{
    uint64_t late = now_ms > due_ms ? now_ms - due_ms : 0;

    prober->started++;
    prober->burst++;
    prober->late += late > LATE_MS;
    lateness_note(&prober->lateness, late, now_ms);
}

static void send_due(struct runner *runner, uint64_t now_ms)
{
    const struct detect *detect = &runner->probe->detect;

    if (now_ms < runner->retry_ms || runner->stopped) {
        return;
    }
    /* Ends at the latest when DETECT_OPEN_MAX are in flight. */
    while (detect_is_due(detect, now_ms) && has_room(runner, now_ms)) {
        uint64_t due_ms = detect->next_send_ms;
        if (!send_probe(runner, now_ms)) {
            break;
        }
        count_start(runner->prober, due_ms, now_ms);
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
    uint64_t late = now_ms > runner->entry.at_ms ? now_ms - runner->entry.at_ms : 0;

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

/* The timer for the first of the schedule. */
static void set_timer(struct prober *prober)
{
    const struct schedule_entry *first = schedule_first(&prober->schedule);
    uint64_t loop_ms = uv_now(prober->loop);

    if (first == NULL) {
        (void)uv_timer_stop(&prober->timer);
        return;
    }
    /* At least 1 ms, for a timer of 0 ms that starts itself again starves the sockets. */
    uint64_t wait = first->at_ms > loop_ms ? first->at_ms - loop_ms : 1;
    (void)uv_timer_start(&prober->timer, on_timer, wait, 0);
}

static void arm(struct runner *runner, uint64_t now_ms)
{
    uint64_t wake = detect_wake_ms(&runner->probe->detect, now_ms);
    const struct check_attempt *first = first_deadline(runner);

    if (wake < runner->retry_ms) {
        wake = runner->retry_ms;
    }
    if (first != NULL && first->deadline_ms < wake) {
        wake = first->deadline_ms;
    }
    if (wake < runner->settle_ms) {
        wake = runner->settle_ms;
    }
    if (!runner->stopped) {
        schedule_put(&runner->prober->schedule, &runner->entry, wake > now_ms ? wake : now_ms + 1);
    }
}

static void wake(struct runner *runner, uint64_t now_ms)
{
    runner->open++; /* what is told to the table may stop it */
    if (!allow_for_delay(runner, now_ms)) {
        runner->settle_ms = 0;
        judge(runner, now_ms);
    }
    send_due(runner, now_ms);
    arm(runner, now_ms);
    unref_runner(runner);
}

/*
 * Everybody whose time has come, as far as a burst goes; the rest stays where
 * it is in the schedule. Each is armed for a later time, so this ends.
 */
static void on_timer(uv_timer_t *timer)
{
    struct prober *prober = timer->data;
    uint64_t now = clock_now_ms();
    struct schedule_entry *first;

    prober->burst = 0;
    while ((first = schedule_first(&prober->schedule)) != NULL && first->at_ms <= now &&
           prober->burst < BURST) {
        wake((struct runner *)first, now);
    }
    set_timer(prober);
}

/*
 * A pass that took longer than the check allows is a warning. Time in which
 * this node was held up is not the target's.
 */
static bool is_slow(const struct runner *runner, const struct check_attempt *attempt,
                    uint64_t now_ms, char *out, size_t cap)
{
    const struct health_probe *probe = runner->probe;
    uint64_t began = attempt->deadline_ms - probe->detect.timing.timeout_ms;
    uint64_t took = now_ms > began ? now_ms - began : 0;

    if (probe->check->degraded_ms == 0 || took <= probe->check->degraded_ms) {
        return false;
    }
    (void)snprintf(out, cap, "slow: %llu ms", (unsigned long long)took);
    return true;
}

static void on_done(struct check_attempt *attempt, enum detect_outcome outcome, bool misconfigured,
                    const char *reason)
{
    struct runner *runner = attempt->user;
    uint64_t now = clock_now_ms();
    char slow[40];

    (void)allow_for_delay(runner, now); /* arming forgets how late the timer is */
    if (outcome == DETECT_PASS && is_slow(runner, attempt, now, slow, sizeof(slow))) {
        outcome = DETECT_WARNING;
        reason = slow;
    }
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
 * Whatever was armed in this turn, one timer is set for it here.
 */
static void on_prepare(uv_prepare_t *prepare)
{
    struct prober *prober = prepare->data;

    uv_update_time(prepare->loop);
    prober->burst = 0;
    set_timer(prober);
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
    runner->kind = check_kind_of(probe->check->kind);
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
    runner->stopped = true;
    schedule_drop(&prober->schedule, &runner->entry);
    unref_runner(runner);
}

/* Room for every slot of the table. */
static bool grow(struct prober *prober, size_t count)
{
    if (count <= prober->runner_count) {
        return true;
    }
    if (!schedule_reserve(&prober->schedule, count)) {
        return false;
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

/* Never so many that the program has no descriptor left for a client. */
static uint32_t in_flight_max(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= IN_FLIGHT_MAX + FILES_SPARED) {
        return IN_FLIGHT_MAX;
    }
    return files.rlim_cur > 2 * FILES_SPARED ? (uint32_t)files.rlim_cur - FILES_SPARED
                                             : FILES_SPARED;
}

struct prober *prober_new(uv_loop_t *loop, struct health *health)
{
    struct prober *prober = calloc(1, sizeof(*prober));

    if (prober == NULL) {
        return NULL;
    }
    prober->loop = loop;
    prober->health = health;
    prober->open = 2;
    prober->in_flight_max = in_flight_max();
    (void)uv_timer_init(loop, &prober->timer);
    prober->timer.data = prober;
    (void)uv_prepare_init(loop, &prober->prepare);
    prober->prepare.data = prober;
    (void)uv_prepare_start(&prober->prepare, on_prepare);
    return prober;
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
    uv_close((uv_handle_t *)&prober->timer, on_handle_closed);
    uv_close((uv_handle_t *)&prober->prepare, on_handle_closed);
}

void prober_probe_now(struct prober *prober, size_t slot)
{
    struct runner *runner = slot < prober->runner_count ? prober->runners[slot] : NULL;
    uint64_t now = clock_now_ms();

    if (runner != NULL) {
        detect_want_now(&runner->probe->detect, now);
        runner->retry_ms = 0;
        schedule_put(&prober->schedule, &runner->entry, now);
    }
}

void prober_view(const struct prober *prober, struct prober_view *out)
{
    *out = (struct prober_view){
        .started = prober->started,
        .late = prober->late,
        .put_off = prober->put_off,
        .in_flight = prober->in_flight,
        .in_flight_max = prober->in_flight_max,
        .late_p50_ms = lateness_ms(&prober->lateness, 50),
        .late_p99_ms = lateness_ms(&prober->lateness, 99),
        .late_most_ms = lateness_most_ms(&prober->lateness),
    };
}
