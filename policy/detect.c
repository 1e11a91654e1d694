#include "policy/detect.h"

#include <string.h>

#include "policy/detect_flight.h"

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

/* Does anything since the last success speak against the target? */
static bool is_doubted(const struct detect *d, uint64_t now_ms)
{
    const struct detect_open *oldest = detect_flight_oldest(d);

    return d->strong_run > 0 || d->silent_run > 0 ||
           (oldest != NULL &&
            now_ms >= detect_flight_watched_at(oldest, detect_flight_age_limit_ms(d)));
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
    if (d->open_count < d->timing.silent_fall) { /* nearly always */
        return gap_ms;
    }
    uint32_t needed = detect_silent_needed(d);
    if (d->open_count < needed) {
        return gap_ms;
    }
    return later(gap_ms, 1 + d->timing.timeout_ms / (DETECT_OPEN_MAX - needed));
}

/* Bring the next probe forward to a confirmation's gap behind the last one. */
static void hasten(struct detect *d)
{
    uint64_t at_ms = d->last_sent_ms + roomy_gap_ms(d, hurried_gap_ms(d));

    if (at_ms < d->next_send_ms && d->next_number > 0) {
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
        detect_flight_delay(d, lost);
        d->hold_until_ms += d->held ? lost : 0;
        d->scatter = d->scatter || lost >= d->timing.interval_ms;
    }
    d->seen_ms = later(d->seen_ms, now_ms);
}

bool detect_is_due(const struct detect *detect, uint64_t now_ms)
{
    return detect->open_count < DETECT_OPEN_MAX && now_ms >= detect->next_send_ms;
}

void detect_want_now(struct detect *detect, uint64_t now_ms)
{
    detect->next_send_ms = earlier(detect->next_send_ms, now_ms);
}

uint32_t detect_sent(struct detect *detect, uint64_t now_ms)
{
    struct detect *d = detect;
    uint32_t number = ++d->next_number;

    note_time(d, now_ms);
    detect_flight_add(d, number, now_ms);
    evidence_sent(&d->evidence);
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

/* Do the answers alone, refusals and wrong ones, make a verdict? */
static bool is_told(const struct detect *d)
{
    if (d->state == DETECT_UNKNOWN) {
        return d->strong_run > 0; /* the first result alone decides */
    }
    if (d->timing.fall_auto) {
        return d->strong_run > 0 && evidence_told(&d->evidence, &d->timing) >=
                                        evidence_threshold(&d->timing) - EVIDENCE_ROUNDING;
    }
    return d->strong_run >= d->timing.fall;
}

static bool is_quiet(const struct detect *d, uint64_t now_ms)
{
    return d->state != DETECT_DOWN && d->recovered_ms != 0 && now_ms - d->recovered_ms >= QUIET_MS;
}

uint32_t detect_flaps(const struct detect *detect, uint64_t now_ms)
{
    return is_quiet(detect, now_ms) ? 0 : detect->flaps;
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

/* For people: the sum that decides now, before it is forgotten. */
static void note_verdict(struct detect *d, uint64_t now_ms)
{
    struct detect_evidence evidence = detect_evidence(d, now_ms);
    bool weighed = evidence.weighed && evidence.sum >= evidence.needed;

    d->verdict_sum = (uint16_t)(weighed ? earlier(evidence.sum, UINT16_MAX) : 0);
}

static void go_down(struct detect *d, uint64_t now_ms)
{
    note_verdict(d, now_ms);
    d->hold_now_ms = next_hold_ms(d, now_ms);
    d->flaps = is_quiet(d, now_ms) ? 1 : d->flaps + 1;
    d->held = false;
    d->silently = !is_told(d);
    d->pass_run = 0;
    evidence_forget(&d->evidence);
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
    evidence_forget(&d->evidence); /* what was noted while it was down is no part of its life */
    d->hold_until_ms = now_ms + d->hold_now_ms;
    d->since_ms = now_ms;
}

/* ---- evidence ---- */

uint32_t detect_silent_count(const struct detect *detect, uint64_t now_ms)
{
    return detect->silent_run + detect_flight_silent(detect, now_ms);
}

/* Is the oldest unanswered probe of the run past its timeout? */
static bool is_silence_ripe(const struct detect *d, uint64_t now_ms)
{
    const struct detect_open *oldest = detect_flight_oldest(d);

    /* silence may be told early, as when this machine's own firewall drops */
    return (d->silent_run > 0 && now_ms >= d->silent_from_ms + d->timing.timeout_ms) ||
           (oldest != NULL && now_ms >= detect_flight_watched_at(oldest, d->timing.timeout_ms));
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
    uint64_t from_ms = detect_flight_watched_at(open, 0);

    d->silent_from_ms = d->silent_run == 0 ? from_ms : earlier(d->silent_from_ms, from_ms);
    d->silent_run++;
    note_failure(d, open->sent_ms);
}

static bool is_silent(const struct detect *d, uint64_t now_ms)
{
    if (d->timing.fall_auto) {
        return evidence_silent(&d->evidence, &d->timing, detect_flight_silent_bits(d, now_ms)) >=
               evidence_threshold(&d->timing) - EVIDENCE_ROUNDING;
    }
    return detect_silent_count(d, now_ms) + d->strong_run >= d->timing.silent_fall;
}

static bool is_dead(const struct detect *d, bool ripe, uint64_t now_ms)
{
    return is_told(d) || (ripe && is_silent(d, now_ms));
}

/*
 * DOWN for silence, and now it refuses: that is no longer silence alone. It
 * takes as many refusals in a row as would have made the verdict, at the loss
 * known of its life.
 */
static bool is_told_after_all(struct detect *d)
{
    bool told =
        d->silently && !d->held && d->strong_run > 0 && d->strong_run >= detect_strong_needed(d);

    d->silently = d->silently && !told;
    return told;
}

/* Judge a run of failures. Returns true when the state or `held` changed. */
static bool judge(struct detect *d, uint64_t now_ms)
{
    bool ripe = is_silence_ripe(d, now_ms);
    bool first = d->state == DETECT_UNKNOWN && d->silent_run > 0;

    if (d->strong_run == 0 && !ripe && !first) {
        return false;
    }
    const struct detect_open *oldest = detect_flight_oldest(d);
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
            note_verdict(d, now_ms);
            d->held = false;
            d->pass_run = 0;
            d->since_ms = now_ms;
            return true;
        }
        return is_told_after_all(d);
    }
    return false;
}

/* Smoothed latency with gain 1/8, as RFC 6298 smooths round trips. */
static void note_latency(struct detect *d, const struct detect_open *open, uint64_t now_ms)
{
    uint64_t took_ms = now_ms - earlier(now_ms, detect_flight_watched_at(open, 0));
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
    detect_flight_forgive(d);
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

/* What is known of a target that is DOWN is no part of its life. */
static void note_evidence(struct detect *d, const struct detect_open *open,
                          enum detect_outcome outcome)
{
    static const enum evidence_kind kinds[] = {
        [DETECT_PASS] = EVIDENCE_PASS,     [DETECT_WARNING] = EVIDENCE_PASS,
        [DETECT_STRONG] = EVIDENCE_STRONG, [DETECT_SILENT] = EVIDENCE_SILENT,
        [DETECT_NEUTRAL] = EVIDENCE_PASS, /* it answered, after all */
    };

    if (outcome != DETECT_VOID && (d->state != DETECT_DOWN || d->held)) {
        evidence_note(&d->evidence, detect_flight_age(d, open->number), kinds[outcome]);
    }
}

static bool take_result(struct detect *d, const struct detect_open *open,
                        enum detect_outcome outcome, uint64_t now_ms)
{
    bool was_degraded = d->degraded;

    note_evidence(d, open, outcome);
    switch (outcome) {
    case DETECT_PASS:
    case DETECT_WARNING:
        d->heard = true;
        d->degraded = outcome == DETECT_WARNING;
        return take_pass(d, open, now_ms) ||
               (d->degraded != was_degraded && d->state != DETECT_DOWN);
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
    bool changed =
        detect_flight_take(detect, number, &open) && take_result(detect, &open, outcome, now_ms);
    return act(detect, now_ms) || changed;
}

bool detect_tick(struct detect *detect, uint64_t now_ms)
{
    note_time(detect, now_ms);
    return act(detect, now_ms);
}

/* When silence next changes its meaning. */
static uint64_t next_ripening_ms(const struct detect *d, uint64_t now_ms)
{
    uint64_t ripe = d->silent_from_ms + d->timing.timeout_ms;
    uint64_t wake = detect_flight_ripens_ms(d, now_ms);

    return d->silent_run > 0 && ripe > now_ms ? earlier(wake, ripe) : wake;
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
    evidence_forget(&detect->evidence);
    if (detect->state == DETECT_DOWN || detect->state == DETECT_SUSPECT) {
        go_up(detect, now_ms);
        calm(detect, detect->last_sent_ms);
    }
}
