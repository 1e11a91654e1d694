/*
 * bench-detect-days - days of probing in simulated time: false alarms and deaths
 *
 * A target that lives loses probes, or answers wrongly, at a given rate; `fall:
 * 3, silent_fall: 10` and `fall: auto` judge the same kind of days. Then it
 * dies, again and again. One row of a table for each rate, and a table of what
 * a rate does that comes suddenly. Nothing here reads a clock or a random
 * device: the same tables on every machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "policy/detect.h"

#define SECOND 1000u
#define MINUTE 60000u
#define DAY    86400000ull
#define NEVER  UINT64_MAX

#define LEARNING (20 * MINUTE) /* before a day counts, and before a death */
#define PATIENCE (60 * MINUTE) /* for one that is to be up when it dies */
#define DEATHS   60u
#define ONSETS   1000u

/* How a living target misbehaves. */
struct habit {
    const char *name;
    double lost;         /* share of probes that nobody answers */
    double wrong;        /* share of answers that are wrong */
    uint32_t burst_ms;   /* mean length of a time in which everything is lost; 0: none */
    uint32_t between_ms; /* mean time from one to the next */
};

static const struct habit habits[] = {
    { "nothing", 0, 0, 0, 0 },
    { "1% lost", 0.01, 0, 0, 0 },
    { "5% lost", 0.05, 0, 0, 0 },
    { "30% lost", 0.30, 0, 0, 0 },
    { "45% lost", 0.45, 0, 0, 0 },
    { "1% wrong answers", 0, 0.01, 0, 0 },
    { "5% wrong answers", 0, 0.05, 0, 0 },
    { "30% wrong answers", 0, 0.30, 0, 0 },
    { "5% lost, 5% wrong", 0.05, 0.05, 0, 0 },
    { "bursts of 100 ms, 5% of the time", 0, 0, 100, 1900 },
    { "bursts of 300 ms, 5% of the time", 0, 0, 300, 5700 },
    { "bursts of 1 s, 5% of the time", 0, 0, 1000, 19000 },
};

static const struct habit onsets[] = {
    { "30% lost", 0.30, 0, 0, 0 },          { "50% lost", 0.50, 0, 0, 0 },
    { "5% wrong answers", 0, 0.05, 0, 0 },  { "10% wrong answers", 0, 0.10, 0, 0 },
    { "30% wrong answers", 0, 0.30, 0, 0 },
};

static const struct model_timing fixed_timing = {
    .interval_ms = 1000,
    .timeout_ms = 500,
    .confirm_interval_ms = 50,
    .false_alarm_ms = 30 * DAY,
    .fall = 3,
    .silent_fall = 10,
    .rise = 2,
    .hold_down_ms = 10000,
    .hold_down_max_ms = 300000,
    .jitter_percent = 10,
};

struct reply {
    uint32_t number;
    uint64_t at_ms;
    enum detect_outcome outcome;
};

struct world {
    struct detect d;
    const struct habit *habit;
    struct reply replies[DETECT_OPEN_MAX];
    unsigned reply_count;
    uint64_t now_ms;
    uint64_t random;
    uint64_t fails_at_ms;
    enum detect_outcome fault;
    uint64_t burst_from_ms; /* the next one, or the one that goes on */
    uint64_t burst_until_ms;
    uint64_t sent;
    uint64_t downs;
    uint64_t down_ms;
};

/* xorshift64*: a share of 1. */
static double chance(struct world *w)
{
    w->random ^= w->random >> 12;
    w->random ^= w->random << 25;
    w->random ^= w->random >> 27;
    return (double)((w->random * 2685821657736338717ull) >> 11) / 9007199254740992.0;
}

/* A time with this mean and no memory, to a millisecond: by steps of a thousandth of the mean. */
static uint64_t spell(struct world *w, uint32_t mean_ms)
{
    uint64_t steps = 1;

    while (chance(w) >= 0.02) {
        steps++;
    }
    return steps * mean_ms / 50 + 1;
}

static bool is_burst(struct world *w, uint64_t at_ms)
{
    if (w->habit->burst_ms == 0) {
        return false;
    }
    while (at_ms >= w->burst_until_ms) {
        w->burst_from_ms = w->burst_until_ms + spell(w, w->habit->between_ms);
        w->burst_until_ms = w->burst_from_ms + spell(w, w->habit->burst_ms);
    }
    return at_ms >= w->burst_from_ms;
}

static void begin(struct world *w, const struct model_timing *timing, const struct habit *habit,
                  uint32_t seed)
{
    memset(w, 0, sizeof(*w));
    w->habit = habit;
    w->random = 88172645463325252ull ^ ((uint64_t)seed << 32);
    w->now_ms = SECOND;
    w->fails_at_ms = NEVER;
    detect_init(&w->d, timing, seed + 1, w->now_ms);
    for (unsigned i = 0; i < 20; i++) {
        (void)chance(w);
    }
}

static enum detect_outcome outcome_of(struct world *w)
{
    const struct habit *habit = w->habit;

    if (w->now_ms >= w->fails_at_ms) {
        return w->fault;
    }
    if (is_burst(w, w->now_ms) || chance(w) < habit->lost) {
        return DETECT_SILENT;
    }
    return chance(w) < habit->wrong ? DETECT_STRONG : DETECT_PASS;
}

static void send_one(struct world *w)
{
    struct reply *reply = &w->replies[w->reply_count++];
    uint64_t rtt = 5 + (uint64_t)(chance(w) * 10);

    reply->outcome = outcome_of(w);
    reply->number = detect_sent(&w->d, w->now_ms);
    reply->at_ms = w->now_ms + (reply->outcome == DETECT_SILENT ? w->d.timing.timeout_ms : rtt);
    w->sent++;
}

static void deliver(struct world *w)
{
    for (unsigned i = 0; i < w->reply_count;) {
        struct reply reply = w->replies[i];
        if (reply.at_ms > w->now_ms) {
            i++;
            continue;
        }
        w->replies[i] = w->replies[--w->reply_count];
        (void)detect_result(&w->d, reply.number, reply.outcome, w->now_ms);
    }
}

static void step(struct world *w)
{
    bool was_down = w->d.state == DETECT_DOWN;
    uint64_t next = detect_wake_ms(&w->d, w->now_ms);

    for (unsigned i = 0; i < w->reply_count; i++) {
        next = w->replies[i].at_ms < next ? w->replies[i].at_ms : next;
    }
    w->down_ms += was_down ? next - w->now_ms : 0;
    w->now_ms = next;
    deliver(w);
    (void)detect_tick(&w->d, w->now_ms);
    while (detect_is_due(&w->d, w->now_ms)) {
        send_one(w);
    }
    w->downs += w->d.state == DETECT_DOWN && !was_down;
}

static void run_until(struct world *w, uint64_t until_ms)
{
    while (w->now_ms < until_ms) {
        step(w);
    }
}

struct life {
    double alarms; /* false verdicts in a day, once the habit is known */
    double probes; /* in a second */
    double away;   /* share of the time in which it was DOWN */
};

static struct life live(const struct model_timing *timing, const struct habit *habit, unsigned days)
{
    struct world w;

    begin(&w, timing, habit, 1);
    run_until(&w, LEARNING);
    uint64_t downs = w.downs, sent = w.sent;
    w.down_ms = 0;
    run_until(&w, LEARNING + days * DAY);
    struct life life = {
        .alarms = (double)(w.downs - downs) / days,
        .probes = (double)(w.sent - sent) / (double)(days * DAY / SECOND),
        .away = (double)w.down_ms / (double)(days * DAY),
    };
    detect_fini(&w.d);
    return life;
}

static int compare(const void *a, const void *b)
{
    const uint32_t *left = a, *right = b;

    return (*left > *right) - (*left < *right);
}

struct times {
    uint32_t median;
    uint32_t most;
};

/* From the failure to DOWN. */
static struct times deaths(const struct model_timing *timing, const struct habit *habit,
                           enum detect_outcome fault)
{
    uint32_t took[DEATHS] = { 0 };
    uint32_t count = 0;

    for (uint32_t i = 0; i < DEATHS; i++) {
        struct world w;
        begin(&w, timing, habit, 1000 + i);
        run_until(&w, LEARNING + i * 7);
        while (w.d.state == DETECT_DOWN && w.now_ms < PATIENCE) { /* a false alarm: later */
            step(&w);
        }
        if (w.d.state == DETECT_DOWN) {
            detect_fini(&w.d);
            continue; /* it is hardly ever up: it cannot die */
        }
        w.fault = fault;
        w.fails_at_ms = w.now_ms + 1 + i * 1009 % SECOND;
        run_until(&w, w.fails_at_ms);
        while (w.d.state != DETECT_DOWN) {
            step(&w);
        }
        took[count++] = w.now_ms < w.fails_at_ms ? 0 : (uint32_t)(w.now_ms - w.fails_at_ms);
        detect_fini(&w.d);
    }
    if (count < DEATHS / 2) {
        return (struct times){ 0 };
    }
    qsort(took, count, sizeof(took[0]), compare);
    return (struct times){ .median = took[count / 2], .most = took[count - 1] };
}

static void put_life(const struct life *life, unsigned days)
{
    if (life->alarms == 0 && life->away < 0.5) {
        printf(" none in %u d", days);
    } else if (life->alarms >= 1 || life->away >= 0.5) {
        printf(" %.1f a day", life->alarms);
    } else {
        printf(" 1 in %.1f d", 1 / life->alarms);
    }
    if (life->away >= 0.001) {
        printf(", down %.1f%%", 100 * life->away);
    }
    printf(" |");
}

static void put_row(const struct habit *habit, unsigned days)
{
    struct model_timing timings[2] = { fixed_timing, fixed_timing };
    struct life lives[2];

    timings[1].fall_auto = true;
    printf("| %s |", habit->name);
    for (unsigned i = 0; i < 2; i++) {
        lives[i] = live(&timings[i], habit, days);
        put_life(&lives[i], days);
    }
    printf(" %.2f / %.2f |", lives[0].probes, lives[1].probes);
    for (unsigned fault = 0; fault < 2; fault++) {
        for (unsigned i = 0; i < 2; i++) {
            struct times t = deaths(&timings[i], habit, fault == 0 ? DETECT_STRONG : DETECT_SILENT);
            if (t.most == 0) {
                printf(" never up for long |");
            } else {
                printf(" %u / %u |", t.median, t.most);
            }
        }
    }
    printf("\n");
    (void)fflush(stdout);
}

/* ---- what comes suddenly ---- */

/* Of so many targets that were well and begin to misbehave, how many are down within a time. */
static unsigned fallen(const struct model_timing *timing, const struct habit *habit,
                       uint32_t within_ms)
{
    unsigned count = 0;

    for (uint32_t i = 0; i < ONSETS; i++) {
        struct world w;
        begin(&w, timing, &habits[0], 5000 + i);
        run_until(&w, 5 * MINUTE);
        w.habit = habit;
        run_until(&w, w.now_ms + within_ms);
        count += w.downs > 0;
        detect_fini(&w.d);
    }
    return count;
}

static void put_onset(const struct habit *habit)
{
    struct model_timing timings[2] = { fixed_timing, fixed_timing };

    timings[1].fall_auto = true;
    printf("| %s |", habit->name);
    for (unsigned minutes = 1; minutes <= 10; minutes += 9) {
        for (unsigned i = 0; i < 2; i++) {
            printf(" %.1f%% |", 100.0 * fallen(&timings[i], habit, minutes * MINUTE) / ONSETS);
        }
    }
    printf("\n");
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    unsigned days = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 90;

    if (days == 0 || argc > 2) {
        (void)fprintf(stderr, "usage: bench-detect-days [DAYS]\n");
        return 2;
    }
    printf("| while it lives | false: counted | false: auto | probes a second, counted / auto "
           "| refuses: counted | refuses: auto | silent: counted | silent: auto |\n");
    printf("|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof(habits) / sizeof(habits[0]); i++) {
        put_row(&habits[i], days);
    }
    printf("\n| suddenly | down in 1 min: counted | auto | in 10 min: counted | auto |\n");
    printf("|---|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof(onsets) / sizeof(onsets[0]); i++) {
        put_onset(&onsets[i]);
    }
    return 0;
}
