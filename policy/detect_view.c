#include "policy/detect_flight.h"

/*
 * What a target looks like to people, and how long a verdict takes: see
 * detect.h. Nothing here changes anything.
 */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
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

/* ---- the evidence ---- */

uint32_t detect_strong_needed(const struct detect *detect)
{
    return detect->timing.fall_auto ? evidence_told_needed(&detect->evidence, &detect->timing)
                                    : detect->timing.fall;
}

uint32_t detect_silent_needed(const struct detect *detect)
{
    return detect->timing.fall_auto ? evidence_silent_needed(&detect->evidence, &detect->timing)
                                    : detect->timing.silent_fall;
}

static uint32_t permille(float rate)
{
    return (uint32_t)(rate * 1000.0f + 0.5f);
}

static uint32_t tenths(double nats)
{
    return (uint32_t)(nats * 10 + 0.5);
}

struct detect_evidence detect_evidence(const struct detect *detect, uint64_t now_ms)
{
    const struct detect *d = detect;
    struct detect_evidence out = {
        .weighed = d->timing.fall_auto,
        .lost_permille = permille(d->evidence.failed_rate),
        .wrong_permille = permille(d->evidence.strong_rate),
    };

    if (out.weighed) {
        double told = evidence_told(&d->evidence, &d->timing);
        double silent =
            evidence_silent(&d->evidence, &d->timing, detect_flight_silent_bits(d, now_ms));
        out.silent = silent > told;
        out.sum = tenths(out.silent ? silent : told);
        out.needed = tenths(evidence_threshold(&d->timing));
        return out;
    }
    uint32_t silent = detect_silent_count(d, now_ms) + d->strong_run;
    out.silent =
        (uint64_t)silent * d->timing.fall > (uint64_t)d->strong_run * d->timing.silent_fall;
    out.sum = out.silent ? silent : d->strong_run;
    out.needed = out.silent ? d->timing.silent_fall : d->timing.fall;
    return out;
}

/* ---- how long it takes ---- */

static uint32_t worst_ms(const struct model_timing *t, bool silent, uint32_t rtt_ms,
                         uint32_t needed)
{
    uint64_t gap = ((uint64_t)t->interval_ms * (100u + t->jitter_percent) + 99) / 100;
    uint64_t confirm = earlier(t->confirm_interval_ms, t->interval_ms);
    uint64_t known = rtt_ms; /* how long after its sending the first failure is known */
    uint64_t last = rtt_ms;

    if (silent) {
        known = last = earlier(later(2ull * rtt_ms, DETECT_AGE_FLOOR_MS), t->timeout_ms);
    }
    if (needed >= 2) {
        last += later(confirm, known) + (needed - 2) * confirm;
    }
    uint64_t worst = gap + (silent ? later(t->timeout_ms, last) : last);
    return worst > UINT32_MAX ? UINT32_MAX : (uint32_t)worst;
}

uint32_t detect_worst_ms(const struct model_timing *timing, bool silent, uint32_t rtt_ms)
{
    uint32_t least = silent ? timing->silent_fall : timing->fall;

    return worst_ms(timing, silent, rtt_ms,
                    timing->fall_auto ? evidence_least_needed(timing, least) : least);
}

uint32_t detect_worst_lossy_ms(const struct model_timing *timing, bool silent, uint32_t rtt_ms)
{
    uint32_t least = silent ? timing->silent_fall : timing->fall;

    return worst_ms(timing, silent, rtt_ms,
                    timing->fall_auto ? evidence_most_needed(timing, least) : least);
}
