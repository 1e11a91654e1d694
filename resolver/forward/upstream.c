#include "resolver/forward/upstream.h"

#include <stdio.h>

#define SILENT_P95       4     /* silent after so many of its own 95th percentile */
#define SILENT_SMOOTHED  3     /* or of its usual time */
#define PROBE_LEAST_MS   300   /* a probe is waited for so long: at least */
#define PROBE_SMOOTHED   4     /* or so many of its usual time */
#define PATIENT_MS       60000 /* suspect for so long: perhaps it has only become slower */
#define PATIENT_PROBE_MS 1000
#define HEDGE_MARGIN     4  /* a quarter */
#define DOUBT_NEAR       4  /* times what probes usually take is long */
#define RIVAL_TIMES      2  /* faster by so much */
#define RETURN_PERCENT   75 /* of the time that is slow: not slow any more */
#define SLOW_MASK        ((1U << UPSTREAM_SLOW_OF) - 1)
#define NEAR_WEIGHT      4
#define RANK_SHARE       5    /* a rank moves by a fifth at least, */
#define RANK_LEAST_US    2000 /* and by this */

/* ---- small things ---- */

static uint32_t read32(const _Atomic uint32_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void write32(_Atomic uint32_t *value, uint32_t to)
{
    atomic_store_explicit(value, to, memory_order_relaxed);
}

static uint32_t clip(uint64_t us)
{
    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

static void count_failure(struct upstream *upstream)
{
    atomic_fetch_add_explicit(&upstream->failed, 1, memory_order_relaxed);
}

/* What the measure says now, for those who read it elsewhere. */
static void publish(struct upstream *upstream, uint64_t now_ms)
{
    write32(&upstream->usual_us, measure_smoothed_us(&upstream->measure));
    write32(&upstream->p95_us, measure_p95_us(&upstream->measure, now_ms));
    write32(&upstream->loss_permille, measure_loss_permille(&upstream->measure, now_ms));
}

/* ---- proofs ---- */

static unsigned proofs_wanted(const struct upstream *upstream)
{
    if (upstream->cause == UPSTREAM_LOSSY) {
        return UPSTREAM_LOSS_PROOFS;
    }
    return upstream->cause == UPSTREAM_SLOW ? UPSTREAM_SLOW_PROOFS : UPSTREAM_PROOFS;
}

/* True when it was the last one wanted. */
static bool prove(struct upstream *upstream, uint64_t now_ms)
{
    atomic_store_explicit(&upstream->proved_ms, now_ms, memory_order_relaxed);
    upstream->proofs++;
    return upstream->suspect && upstream->proofs >= proofs_wanted(upstream);
}

/* ---- slowness ---- */

uint64_t upstream_slow_us(const struct upstream *upstream)
{
    const struct upstream *rival = upstream->rival;
    bool probes = upstream->watched && upstream->class != FORWARD_PUBLIC;

    if (!probes || rival == NULL || rival->suspect || rival->loop || rival->near_us == 0) {
        return 0;
    }
    uint64_t rival_us = rival->near_us;
    if (rival->probing.took_us > rival_us) {
        rival_us = rival->probing.took_us; /* it has become slower, too */
    }
    uint64_t times = RIVAL_TIMES * rival_us;
    uint64_t hedged = UPSTREAM_HEDGE_MOST * UINT64_C(1000) + rival_us;
    return times > hedged ? times : hedged;
}

static void note_time(struct upstream *upstream, uint64_t took_us)
{
    uint64_t slow_us = upstream_slow_us(upstream);
    unsigned newest = slow_us != 0 && took_us > slow_us ? 1 : 0;
    unsigned bits = (unsigned)upstream->slow_answers << 1 | newest;

    upstream->slow_answers = (uint16_t)(bits & SLOW_MASK);
}

static bool are_answers_slow(const struct upstream *upstream)
{
    unsigned count = 0;

    for (unsigned bits = upstream->slow_answers; bits != 0; bits &= bits - 1) {
        count++;
    }
    return count >= UPSTREAM_SLOW_COUNT;
}

/* A probe came: true when it is quick enough for a proof. */
static bool is_quick_probe(struct upstream *upstream, uint64_t took_us)
{
    uint64_t slow_us = upstream_slow_us(upstream);

    upstream->probing.took_us = took_us;
    if (slow_us == 0) {
        upstream->probing.slow = 0;
        return true;
    }
    if (took_us > slow_us) {
        upstream->probing.slow++;
    } else if (!upstream->suspect || took_us * 100 <= slow_us * RETURN_PERCENT) {
        upstream->probing.slow = 0;
    }
    return upstream->probing.slow == 0;
}

bool upstream_is_slow(const struct upstream *upstream)
{
    unsigned slow = upstream->probing.slow;

    return upstream_slow_us(upstream) != 0 &&
           (slow >= UPSTREAM_SLOW_PROBES || (slow > 0 && are_answers_slow(upstream)));
}

bool upstream_slow_due(struct upstream *upstream, uint64_t now_ms)
{
    if (upstream->suspect || now_ms < upstream->slow_due_ms || !are_answers_slow(upstream)) {
        return false;
    }
    upstream->slow_due_ms = now_ms + UPSTREAM_SLOW_AGAIN;
    return true;
}

/* ---- answers ---- */

void upstream_heard(struct upstream *upstream, uint64_t now_ms)
{
    upstream->heard_ms = now_ms;
    upstream->silent_count = 0;
    upstream->overdue = 0;
}

bool upstream_good(struct upstream *upstream, uint64_t took_us, uint64_t now_ms)
{
    measure_answered(&upstream->measure, clip(took_us), now_ms);
    note_time(upstream, took_us);
    publish(upstream, now_ms);
    upstream_heard(upstream, now_ms);
    upstream->bad_count = 0;
    if (upstream->suspect && upstream->cause == UPSTREAM_SLOW) {
        return false;
    }
    return prove(upstream, now_ms);
}

void upstream_late(struct upstream *upstream, uint64_t took_us, uint32_t weight, uint64_t now_ms)
{
    measure_found(&upstream->measure, weight, now_ms);
    measure_answered(&upstream->measure, clip(took_us), now_ms);
    note_time(upstream, took_us);
    publish(upstream, now_ms);
    upstream_heard(upstream, now_ms);
}

void upstream_resent(struct upstream *upstream, unsigned resent, uint64_t took_us, uint64_t now_ms)
{
    if (took_us <= (uint64_t)DOUBT_NEAR * upstream->near_us) {
        measure_lost(&upstream->measure, resent, now_ms);
        publish(upstream, now_ms);
    }
}

void upstream_spoke(struct upstream *upstream, uint64_t now_ms)
{
    count_failure(upstream);
    measure_failed(&upstream->measure, now_ms);
    upstream_heard(upstream, now_ms);
}

/* Where it stands among the regions is not to change with every breath. */
static void come_near(struct upstream *upstream, uint32_t us)
{
    uint32_t near = upstream->near_us;
    uint32_t rank = read32(&upstream->rank_us);

    near = near == 0 ? us : (near * (NEAR_WEIGHT - 1) + us) / NEAR_WEIGHT;
    upstream->near_us = near == 0 ? 1 : near;
    uint32_t moved = near > rank ? near - rank : rank - near;
    if (rank == 0 || (moved > rank / RANK_SHARE && moved > RANK_LEAST_US)) {
        write32(&upstream->rank_us, upstream->near_us);
    }
}

bool upstream_probe_answered(struct upstream *upstream, bool good, uint64_t took_us,
                             uint64_t now_ms)
{
    bool is_live = now_ms < upstream->live_ms + UPSTREAM_NO_LIVE_MS && upstream->live_ms != 0;

    upstream_heard(upstream, now_ms);
    come_near(upstream, took_us < MEASURE_MOST_US ? (uint32_t)took_us : MEASURE_MOST_US);
    /* what it has at hand takes less than what it has to ask for: live questions count more */
    if (upstream->measure.count < MEASURE_FEW || !is_live) {
        measure_answered(&upstream->measure, clip(took_us), now_ms);
    } else {
        measure_heard(&upstream->measure, now_ms);
    }
    publish(upstream, now_ms);
    if (!is_quick_probe(upstream, took_us)) {
        upstream->proofs = 0;
        /* slow, but it is there */
        atomic_store_explicit(&upstream->proved_ms, now_ms, memory_order_relaxed);
        return false;
    }
    if (upstream->suspect && upstream->cause == UPSTREAM_BAD && (is_live || !good)) {
        return false;
    }
    return prove(upstream, now_ms);
}

/* ---- silence ---- */

uint32_t upstream_silent_ms(const struct upstream *upstream)
{
    uint32_t p95_us = read32(&upstream->p95_us);
    uint32_t usual_us = read32(&upstream->usual_us);
    uint64_t us = (uint64_t)SILENT_P95 * p95_us;

    if (p95_us == 0) { /* a stream has to be opened first */
        return upstream->stream_only ? UPSTREAM_LISTEN_MS : UPSTREAM_SILENT_MS;
    }
    us = us < (uint64_t)SILENT_SMOOTHED * usual_us ? (uint64_t)SILENT_SMOOTHED * usual_us : us;
    if (us < UPSTREAM_QUICK_MS * UINT64_C(1000)) {
        return UPSTREAM_QUICK_MS;
    }
    return us < UPSTREAM_LISTEN_MS * UINT64_C(1000) ? (uint32_t)(us / 1000) : UPSTREAM_LISTEN_MS;
}

bool upstream_silent(struct upstream *upstream, uint64_t sent_ms, uint32_t weight, uint64_t now_ms,
                     enum upstream_cause *out_cause)
{
    count_failure(upstream);
    measure_lost(&upstream->measure, weight, now_ms);
    publish(upstream, now_ms);
    upstream->proofs = 0;
    if (upstream->heard_ms > sent_ms &&
        measure_is_lossy(&upstream->measure, UPSTREAM_LOST_COUNT, UPSTREAM_LOST_OF,
                         UPSTREAM_LOST_SHARE, now_ms)) {
        *out_cause = UPSTREAM_LOSSY;
        return !upstream->suspect;
    }
    if (upstream->heard_ms > sent_ms) {
        return false;
    }
    if (upstream->silent_count == 0) {
        upstream->silent_first_ms = sent_ms;
    }
    upstream->silent_count++;
    *out_cause = UPSTREAM_SILENT;
    return !upstream->suspect && upstream->silent_count >= UPSTREAM_SILENT_COUNT &&
           sent_ms >= upstream->silent_first_ms + UPSTREAM_SILENT_SPAN;
}

void upstream_overdue(struct upstream *upstream, uint64_t sent_ms)
{
    if (upstream->heard_ms > sent_ms) {
        return;
    }
    if (upstream->overdue == 0 || sent_ms < upstream->overdue_first_ms) {
        upstream->overdue_first_ms = sent_ms;
    }
    upstream->overdue++;
}

/* Public ones are not asked for nothing. */
static bool is_probed(const struct upstream *upstream)
{
    return upstream->watched && upstream->class != FORWARD_PUBLIC && !upstream->loop;
}

/* Was a probe sent of late, and nothing heard since? */
static bool is_probe_open(const struct upstream *upstream)
{
    uint64_t sent_ms = upstream->probing.sent_ms;

    return sent_ms != 0 && upstream->heard_ms <= sent_ms && sent_ms >= upstream->overdue_first_ms;
}

bool upstream_is_worth_a_probe(const struct upstream *upstream, bool waited_for)
{
    return is_probed(upstream) && !upstream->suspect && !upstream->probing.wanted &&
           upstream->overdue >= (waited_for ? 1 : UPSTREAM_DOUBT_COUNT) && !is_probe_open(upstream);
}

/* How long a probe takes: live questions show it where probes had to open a stream first. */
static uint64_t probe_us(const struct upstream *upstream)
{
    uint32_t usual_us = read32(&upstream->usual_us);

    return usual_us != 0 && usual_us < upstream->near_us ? usual_us : upstream->near_us;
}

bool upstream_is_doubtful(const struct upstream *upstream, uint64_t now_ms, uint64_t *out_at_ms)
{
    uint64_t ms = DOUBT_NEAR * probe_us(upstream) / 1000;

    *out_at_ms = 0;
    if (!is_probed(upstream) || upstream->overdue == 0 || !is_probe_open(upstream)) {
        return false;
    }
    ms = ms < UPSTREAM_DOUBT_LEAST ? UPSTREAM_DOUBT_LEAST : ms;
    ms = ms > UPSTREAM_HEDGE_MOST || upstream->near_us == 0 ? UPSTREAM_HEDGE_MOST : ms;
    *out_at_ms = upstream->probing.sent_ms + ms;
    return now_ms >= *out_at_ms;
}

bool upstream_is_dying(const struct upstream *upstream, uint64_t now_ms)
{
    uint64_t at_ms;

    if (upstream->overdue < UPSTREAM_DYING_COUNT) {
        return false;
    }
    return is_probed(upstream)
               ? upstream_is_doubtful(upstream, now_ms, &at_ms)
               : now_ms >= upstream->overdue_first_ms + read32(&upstream->p95_us) / 1000;
}

bool upstream_is_ailing(const struct upstream *upstream, uint64_t now_ms)
{
    return measure_is_lossy(&upstream->measure, UPSTREAM_AILING_COUNT, UPSTREAM_AILING_OF,
                            UPSTREAM_AILING_SHARE, now_ms);
}

/* ---- failures ---- */

bool upstream_refused(struct upstream *upstream)
{
    count_failure(upstream);
    upstream->proofs = 0;
    return !upstream->suspect;
}

bool upstream_bad(struct upstream *upstream, uint64_t question)
{
    upstream->proofs = 0;
    if (upstream->bad_count >= UPSTREAM_BAD_COUNT) {
        return !upstream->suspect;
    }
    for (unsigned i = 0; i < upstream->bad_count; i++) {
        if (upstream->bad_questions[i] == question) {
            return false;
        }
    }
    upstream->bad_questions[upstream->bad_count++] = question;
    return !upstream->suspect && upstream->bad_count == UPSTREAM_BAD_COUNT;
}

/* ---- states ---- */

void upstream_set(struct upstream *upstream, bool suspect, enum upstream_cause cause,
                  const char *reason, uint64_t now_ms)
{
    upstream->suspect = suspect;
    upstream->cause = cause;
    upstream->since_ms = now_ms;
    upstream->proofs = 0;
    upstream->bad_count = 0;
    upstream->probing.failed = 0;
    upstream->probing.good = false;
    upstream->probing.wanted = false;
    upstream->beside_due_ms = now_ms + UPSTREAM_BESIDE_MS;
    if (!suspect) {
        measure_forget_losses(&upstream->measure);
        upstream->probing.slow = 0;
        upstream->slow_answers = 0;
        upstream->slow_due_ms = 0;
        if (cause == UPSTREAM_SLOW) {
            measure_forget_times(&upstream->measure);
        }
        publish(upstream, now_ms);
    }
    (void)snprintf(upstream->reason, sizeof(upstream->reason), "%s", reason);
}

bool upstream_is_down(const struct upstream *upstream, uint64_t now_ms)
{
    uint64_t proved_ms = atomic_load_explicit(&upstream->proved_ms, memory_order_relaxed);

    if (upstream->loop || !upstream->suspect) {
        return upstream->loop;
    }
    /* through a lossy line a few proofs in a row may be lost, and it is there all the same */
    bool is_there = upstream->cause == UPSTREAM_LOSSY || upstream->cause == UPSTREAM_SLOW;
    uint64_t silence_ms = UPSTREAM_DOWN_MS * (is_there ? 3 : 1);
    return upstream->cause == UPSTREAM_REFUSED ||
           (now_ms >= upstream->since_ms + silence_ms && now_ms >= proved_ms + silence_ms);
}

const char *upstream_state(const struct upstream *upstream, uint64_t now_ms)
{
    if (upstream->loop) {
        return "loop";
    }
    if (upstream->suspect) {
        return upstream_is_down(upstream, now_ms) ? "down" : "suspect";
    }
    return read32(&upstream->usual_us) == 0 ? "unknown" : "up";
}

/* ---- times ---- */

uint32_t upstream_hedge_ms(const struct upstream *upstream)
{
    uint32_t p95_us = read32(&upstream->p95_us);
    /* a little later than 95%: else one in twenty is hedged for nothing, day in, day out */
    uint64_t ms = ((uint64_t)p95_us + p95_us / HEDGE_MARGIN) / 1000 + 1;

    if (p95_us == 0 || ms > UPSTREAM_HEDGE_MOST) {
        return UPSTREAM_HEDGE_MOST;
    }
    return ms < UPSTREAM_HEDGE_LEAST ? UPSTREAM_HEDGE_LEAST : (uint32_t)ms;
}

uint32_t upstream_probe_timeout_ms(const struct upstream *upstream, uint64_t now_ms)
{
    uint64_t ms = (uint64_t)PROBE_SMOOTHED * read32(&upstream->usual_us) / 1000;
    bool is_old = upstream->suspect && now_ms >= upstream->since_ms + PATIENT_MS;

    ms = ms < PROBE_LEAST_MS ? PROBE_LEAST_MS : ms;
    return is_old || ms > PATIENT_PROBE_MS ? PATIENT_PROBE_MS : (uint32_t)ms;
}

bool upstream_beside_due(struct upstream *upstream, uint64_t now_ms)
{
    /* silence, refusal and loss are for probes to look into, where there are any */
    bool wants = upstream->suspect && (upstream->cause == UPSTREAM_BAD || !upstream->watched);

    if (!wants || upstream->loop || now_ms < upstream->beside_due_ms) {
        return false;
    }
    upstream->beside_due_ms = now_ms + UPSTREAM_BESIDE_MS;
    return true;
}

void upstream_look_at_budget(struct upstream *upstream, uint64_t now_ms)
{
    atomic_store_explicit(&upstream->spent, !budget_rate_has(&upstream->rate, now_ms),
                          memory_order_relaxed);
}

void upstream_spend(struct upstream *upstream, uint64_t now_ms)
{
    if (!budget_rate_spend(&upstream->rate, now_ms)) {
        atomic_fetch_add_explicit(&upstream->over_budget, 1, memory_order_relaxed);
    }
}

uint32_t upstream_watch(struct upstream *upstream, uint64_t now_ms)
{
    if (now_ms < upstream->watch_due_ms) {
        upstream->unwatched++;
        return 0;
    }
    uint32_t weight = upstream->unwatched + 1;
    upstream->unwatched = 0;
    upstream->watch_due_ms = now_ms + UPSTREAM_WATCH_MS;
    return weight;
}
