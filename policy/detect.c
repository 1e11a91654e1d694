#include "policy/detect.h"

#include <string.h>

#include "base/error.h"

#define AGE_FLOOR_MS       10u     /* below this a late answer says more about this node */
#define STALL_MS           100u    /* a wake later than this: nobody looked, nothing is late */
#define QUIET_MS           300000u /* hold_down halves after each 5 min without a flap */
#define SHORT_TTL_MOST_MS  60000u
#define SHORT_TTL_PAUSE_MS 300000u
#define DOWN_INTERVAL_MS   1000u /* a path that was cut is probed again within a second */
#define FIRST_PROBES       4u    /* within the first timeout: one lost packet decides nothing */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* xorshift32: spreads probes, keeps no secret. */
static uint32_t next_random(struct detect *d)
{
    d->random ^= d->random << 13;
    d->random ^= d->random >> 17;
    d->random ^= d->random << 5;
    return d->random;
}

/* How old an unanswered probe must be to count: twice the usual latency. */
static uint64_t age_limit_ms(const struct detect *d)
{
    if (d->usual_us == 0) {
        return d->timing.timeout_ms;
    }
    return earlier(later(2ull * d->usual_us / 1000, AGE_FLOOR_MS), d->timing.timeout_ms);
}

/* When the probe has been watched for so long. */
static uint64_t watched_at(const struct detect_open *open, uint64_t for_ms)
{
    return open->sent_ms + open->lost_ms + for_ms;
}

void detect_init(struct detect *detect, const struct model_timing *timing, uint32_t seed,
                 uint64_t now_ms)
{
    memset(detect, 0, sizeof(*detect));
    detect->timing = *timing;
    detect->random = seed == 0 ? 1 : seed;
    detect->seen_ms = now_ms;
    detect->next_send_ms = now_ms;
    detect->since_ms = now_ms;
    detect->hold_now_ms = timing->hold_down_ms;
    detect->scatter = true;
}

/* The oldest probe in flight that still counts, or NULL. */
static const struct detect_open *oldest_counting(const struct detect *d)
{
    for (uint32_t i = 0; i < d->open_count; i++) {
        if (!d->open[i].forgiven) {
            return &d->open[i];
        }
    }
    return NULL;
}

/* Does anything since the last success speak against the target? */
static bool is_doubted(const struct detect *d, uint64_t now_ms)
{
    const struct detect_open *oldest = oldest_counting(d);

    return d->strong_run > 0 || d->silent_run > 0 ||
           (oldest != NULL && now_ms >= watched_at(oldest, age_limit_ms(d)));
}

/* Is the next probe wanted sooner than the interval brings it? */
static bool is_hurried(const struct detect *d, uint64_t now_ms)
{
    switch (d->state) {
    case DETECT_UNKNOWN:
        return !d->heard;
    case DETECT_UP:
        return is_doubted(d, now_ms);
    case DETECT_SUSPECT:
        return true;
    case DETECT_DOWN:
        return d->held ? is_doubted(d, now_ms) : d->pass_run > 0;
    }
    return false;
}

/* ---- the pace ---- */

/* The usual gap between probes, with its jitter. */
static uint64_t usual_gap_ms(struct detect *d)
{
    uint64_t jitter = d->timing.jitter_percent;
    uint64_t interval = d->timing.interval_ms;

    if (d->state == DETECT_DOWN) {
        interval = earlier(interval, DOWN_INTERVAL_MS * 100 / (100 + jitter));
    }
    uint64_t spread = interval * jitter / 100;
    if (d->scatter) {
        d->scatter = false;
        return 1 + next_random(d) % interval;
    }
    return interval - spread + next_random(d) % (2 * spread + 1);
}

/* The gap between confirmations. */
static uint64_t hurried_gap_ms(const struct detect *d)
{
    uint64_t gap = d->timing.confirm_interval_ms;

    if (d->state == DETECT_UNKNOWN) {
        gap = later(gap, d->timing.timeout_ms / FIRST_PROBES);
    }
    return later(earlier(gap, d->timing.interval_ms), 1);
}

/*
 * With evidence enough in flight, send so slowly that there is always room for
 * one more: a target with a long timeout must not go unprobed until then.
 */
static uint64_t roomy_gap_ms(const struct detect *d, uint64_t gap_ms)
{
    if (d->open_count < d->timing.silent_fall) {
        return gap_ms;
    }
    return later(gap_ms, 1 + d->timing.timeout_ms / (DETECT_OPEN_MAX - d->timing.silent_fall));
}

/* Bring the next probe forward to a confirmation's gap behind the last one. */
static void hasten(struct detect *d)
{
    uint64_t at_ms = d->last_sent_ms + roomy_gap_ms(d, hurried_gap_ms(d));

    if (at_ms < d->next_send_ms) {
        d->next_send_ms = at_ms;
        d->hastened = true;
    }
}

/* Doubts are over: back to the usual pace, counted from the probe that answered. */
static void calm(struct detect *d, uint64_t sent_ms)
{
    if (d->hastened) {
        d->hastened = false;
        d->next_send_ms =
            later(sent_ms + roomy_gap_ms(d, usual_gap_ms(d)), d->last_sent_ms + hurried_gap_ms(d));
    }
}

/*
 * Time is told. When that comes much later than was asked for, this node stood
 * still (suspended, stopped, busy) and nobody took the answers: that time does
 * not age the probes in flight, nor does it pass a hold_down. After a long one
 * all targets are due at once; their next gaps scatter them again.
 */
static void note_time(struct detect *d, uint64_t now_ms)
{
    uint64_t expected = detect_wake_ms(d, d->seen_ms);

    if (now_ms > expected + STALL_MS) {
        uint64_t lost = now_ms - expected;
        for (uint32_t i = 0; i < d->open_count; i++) {
            d->open[i].lost_ms += lost;
        }
        d->hold_until_ms += d->held ? lost : 0;
        d->scatter = d->scatter || lost >= d->timing.interval_ms;
    }
    d->seen_ms = later(d->seen_ms, now_ms);
}

bool detect_is_due(const struct detect *detect, uint64_t now_ms)
{
    return detect->open_count < DETECT_OPEN_MAX && now_ms >= detect->next_send_ms;
}

uint32_t detect_sent(struct detect *detect, uint64_t now_ms)
{
    struct detect *d = detect;
    uint32_t number = ++d->next_number;

    REQUIRE(d->open_count < DETECT_OPEN_MAX);
    note_time(d, now_ms);
    d->open[d->open_count++] = (struct detect_open){ .number = number, .sent_ms = now_ms };
    d->last_sent_ms = now_ms;
    d->hastened = is_hurried(d, now_ms);
    d->next_send_ms = now_ms + roomy_gap_ms(d, d->hastened ? hurried_gap_ms(d) : usual_gap_ms(d));
    return number;
}

/* ---- states ---- */

static void enter(struct detect *d, enum detect_state state, uint64_t now_ms)
{
    d->state = state;
    d->since_ms = now_ms;
    if (state != DETECT_SUSPECT) {
        d->suspect_end_ms = d->suspect_begin_ms != 0 ? now_ms : d->suspect_end_ms;
        d->suspect_begin_ms = 0;
    } else if (d->suspect_end_ms == 0 || now_ms - d->suspect_end_ms >= SHORT_TTL_PAUSE_MS) {
        d->suspect_begin_ms = now_ms;
    }
}

/* hold_down doubles with each flap and halves with each quiet time before it. */
static uint32_t next_hold_ms(const struct detect *d, uint64_t now_ms)
{
    if (d->recovered_ms == 0) {
        return d->timing.hold_down_ms;
    }
    uint64_t halvings = (now_ms - d->recovered_ms) / QUIET_MS;
    uint64_t hold = halvings < 32 ? ((uint64_t)d->hold_now_ms * 2) >> halvings : 0;
    uint64_t most = later(d->timing.hold_down_max_ms, d->timing.hold_down_ms);
    return (uint32_t)earlier(later(hold, d->timing.hold_down_ms), most);
}

static void go_down(struct detect *d, uint64_t now_ms)
{
    d->hold_now_ms = next_hold_ms(d, now_ms);
    d->held = false;
    d->pass_run = 0;
    enter(d, DETECT_DOWN, now_ms);
}

static void go_up(struct detect *d, uint64_t now_ms)
{
    d->held = false;
    enter(d, DETECT_UP, now_ms);
}

/* DOWN and passing `rise` times: second choice until hold_down is over. */
static void go_held(struct detect *d, uint64_t now_ms)
{
    d->held = true;
    d->hold_until_ms = now_ms + d->hold_now_ms;
    d->since_ms = now_ms;
}

/* ---- evidence ---- */

uint32_t detect_silent_count(const struct detect *detect, uint64_t now_ms)
{
    uint32_t count = detect->silent_run;
    uint64_t limit = age_limit_ms(detect);

    for (uint32_t i = 0; i < detect->open_count; i++) {
        const struct detect_open *open = &detect->open[i];
        count += !open->forgiven && now_ms >= watched_at(open, limit);
    }
    return count;
}

/* Is the oldest unanswered probe of the run past its timeout? */
static bool is_silence_ripe(const struct detect *d, uint64_t now_ms)
{
    const struct detect_open *oldest = oldest_counting(d);

    /* silence may be told early, as when this machine's own firewall drops */
    return (d->silent_run > 0 && now_ms >= d->silent_from_ms + d->timing.timeout_ms) ||
           (oldest != NULL && now_ms >= watched_at(oldest, d->timing.timeout_ms));
}

static void note_failure(struct detect *d, uint64_t at_ms)
{
    if (d->first_failure_ms == 0) {
        d->first_failure_ms = at_ms;
    }
}

/* A probe was given up: part of a run of silence that began when it was sent, or before. */
static void note_silence(struct detect *d, const struct detect_open *open)
{
    uint64_t from_ms = watched_at(open, 0);

    d->silent_from_ms = d->silent_run == 0 ? from_ms : earlier(d->silent_from_ms, from_ms);
    d->silent_run++;
    note_failure(d, open->sent_ms);
}

static bool is_dead(const struct detect *d, bool ripe, uint64_t now_ms)
{
    return d->strong_run >= d->timing.fall ||
           (ripe && detect_silent_count(d, now_ms) + d->strong_run >= d->timing.silent_fall);
}

/* Judge a run of failures. Returns true when the state or `held` changed. */
static bool judge(struct detect *d, uint64_t now_ms)
{
    bool ripe = is_silence_ripe(d, now_ms);
    bool first = d->state == DETECT_UNKNOWN && d->silent_run > 0;

    if (d->strong_run == 0 && !ripe && !first) {
        return false;
    }
    const struct detect_open *oldest = oldest_counting(d);
    note_failure(d, d->strong_run == 0 && oldest != NULL ? oldest->sent_ms : now_ms);
    bool dead = is_dead(d, ripe, now_ms);
    switch (d->state) {
    case DETECT_UNKNOWN: /* the first result alone decides */
        go_down(d, now_ms);
        return true;
    case DETECT_UP:
        if (!dead) {
            enter(d, DETECT_SUSPECT, now_ms);
            return true;
        }
        go_down(d, now_ms);
        return true;
    case DETECT_SUSPECT:
        if (dead) {
            go_down(d, now_ms);
        }
        return dead;
    case DETECT_DOWN:
        /* a lost probe does not end hold_down; a failure, or real silence, does */
        if (d->held && (d->strong_run > 0 || dead)) {
            d->held = false;
            d->pass_run = 0;
            d->since_ms = now_ms;
            return true;
        }
        return false;
    }
    return false;
}

/* Smoothed latency with gain 1/8, as RFC 6298 smooths round trips. */
static void note_latency(struct detect *d, const struct detect_open *open, uint64_t now_ms)
{
    uint64_t took_ms = now_ms - earlier(now_ms, watched_at(open, 0));
    uint64_t us = earlier(took_ms, d->timing.timeout_ms) * 1000 + 1; /* never 0: unknown */

    d->usual_us =
        d->usual_us == 0 ? (uint32_t)us : (uint32_t)(d->usual_us - d->usual_us / 8 + us / 8);
    d->usual_us = d->usual_us == 0 ? 1 : d->usual_us;
}

static void clear_run(struct detect *d)
{
    d->strong_run = 0;
    d->silent_run = 0;
    d->first_failure_ms = 0;
    for (uint32_t i = 0; i < d->open_count; i++) {
        d->open[i].forgiven = true;
    }
}

static bool take_pass(struct detect *d, const struct detect_open *open, uint64_t now_ms)
{
    bool changed = d->state == DETECT_UNKNOWN || d->state == DETECT_SUSPECT;

    note_latency(d, open, now_ms);
    d->last_pass_ms = now_ms;
    d->last_pass_sent_ms = later(d->last_pass_sent_ms, open->sent_ms);
    clear_run(d);
    if (changed) {
        go_up(d, now_ms);
    } else if (d->state == DETECT_DOWN && !d->held) {
        if (++d->pass_run < d->timing.rise) {
            hasten(d);
            return false;
        }
        go_held(d, now_ms);
        changed = true;
    }
    calm(d, open->sent_ms);
    return changed;
}

/* It answered: the failures are over, and nothing else is known. */
static bool take_neutral(struct detect *d, const struct detect_open *open, uint64_t now_ms)
{
    bool changed = d->state == DETECT_SUSPECT;

    clear_run(d);
    d->pass_run = 0;
    if (changed) {
        go_up(d, now_ms);
    }
    calm(d, open->sent_ms);
    return changed;
}

/* Take probe `number` off the open ones. False when it is not one of them. */
static bool take_open(struct detect *d, uint32_t number, struct detect_open *out)
{
    for (uint32_t i = 0; i < d->open_count; i++) {
        if (d->open[i].number == number) {
            *out = d->open[i];
            d->open_count--;
            memmove(&d->open[i], &d->open[i + 1], (d->open_count - i) * sizeof(d->open[0]));
            return true;
        }
    }
    return false;
}

static bool take_result(struct detect *d, const struct detect_open *open,
                        enum detect_outcome outcome, uint64_t now_ms)
{
    switch (outcome) {
    case DETECT_PASS:
    case DETECT_WARNING:
        d->heard = true;
        d->degraded = outcome == DETECT_WARNING;
        return take_pass(d, open, now_ms);
    case DETECT_NEUTRAL:
        d->heard = true;
        return take_neutral(d, open, now_ms);
    case DETECT_STRONG:
        /* also when sent before the last success: the failure is newer than that */
        d->heard = true;
        d->strong_run++;
        note_failure(d, now_ms);
        break;
    case DETECT_SILENT:
        if (open->forgiven) {
            return false;
        }
        note_silence(d, open);
        break;
    case DETECT_VOID:
        return false;
    }
    d->pass_run = 0;
    return judge(d, now_ms);
}

/* What time alone does. */
static bool act(struct detect *d, uint64_t now_ms)
{
    bool changed = false;

    if (is_hurried(d, now_ms)) {
        hasten(d);
    }
    if (d->state != DETECT_UNKNOWN) { /* that waits for a result; a timeout is one */
        changed = judge(d, now_ms);
    }
    if (d->held && now_ms >= d->hold_until_ms && !is_doubted(d, now_ms)) {
        d->recovered_ms = now_ms;
        go_up(d, now_ms);
        changed = true;
    }
    return changed;
}

bool detect_result(struct detect *detect, uint32_t number, enum detect_outcome outcome,
                   uint64_t now_ms)
{
    struct detect_open open;

    note_time(detect, now_ms);
    bool changed = take_open(detect, number, &open) && take_result(detect, &open, outcome, now_ms);
    return act(detect, now_ms) || changed;
}

bool detect_tick(struct detect *detect, uint64_t now_ms)
{
    note_time(detect, now_ms);
    return act(detect, now_ms);
}

/* When a counting probe in flight next changes its meaning. */
static uint64_t next_ripening_ms(const struct detect *d, uint64_t now_ms)
{
    uint64_t wake = UINT64_MAX;
    uint64_t limit = age_limit_ms(d);
    uint64_t ripe = d->silent_from_ms + d->timing.timeout_ms;

    if (d->silent_run > 0 && ripe > now_ms) {
        wake = ripe;
    }
    for (uint32_t i = 0; i < d->open_count; i++) {
        const struct detect_open *open = &d->open[i];
        if (open->forgiven) {
            continue;
        }
        uint64_t aged = watched_at(open, limit);
        uint64_t timed_out = watched_at(open, d->timing.timeout_ms);
        wake = aged > now_ms ? earlier(wake, aged) : wake;
        wake = timed_out > now_ms ? earlier(wake, timed_out) : wake;
    }
    return wake;
}

uint64_t detect_wake_ms(const struct detect *detect, uint64_t now_ms)
{
    const struct detect *d = detect;
    uint64_t wake = UINT64_MAX;

    if (d->open_count < DETECT_OPEN_MAX) {
        wake = d->next_send_ms;
    }
    if (d->held && (d->hold_until_ms > now_ms || !is_doubted(d, now_ms))) {
        wake = earlier(wake, d->hold_until_ms);
    }
    if (d->held || d->state == DETECT_UP || d->state == DETECT_SUSPECT) {
        wake = earlier(wake, next_ripening_ms(d, now_ms));
    }
    return later(wake == UINT64_MAX ? now_ms + 1000 : wake, now_ms);
}

bool detect_is_short_ttl(const struct detect *detect, uint64_t now_ms)
{
    if (detect->state == DETECT_UNKNOWN) {
        return now_ms - detect->since_ms < SHORT_TTL_MOST_MS;
    }
    return detect->suspect_begin_ms != 0 && now_ms - detect->suspect_begin_ms < SHORT_TTL_MOST_MS;
}

void detect_absolve(struct detect *detect, uint64_t now_ms)
{
    clear_run(detect);
    if (detect->state == DETECT_DOWN || detect->state == DETECT_SUSPECT) {
        go_up(detect, now_ms);
        calm(detect, detect->last_sent_ms);
    }
}

const char *detect_state_name(const struct detect *detect)
{
    switch (detect->state) {
    case DETECT_UNKNOWN:
        return "unknown";
    case DETECT_UP:
        return "up";
    case DETECT_SUSPECT:
        return "suspect";
    case DETECT_DOWN:
        return detect->held ? "held" : "down";
    }
    return "unknown";
}
