#include "policy/evidence.h"

/*
 * Of a dead target's probes so many pass, or fail, in the eyes of the sums: a
 * path that lets one probe in twenty through is dead. Where the sums balance,
 * at a loss of about two thirds for a target known to lose a fifth, it is
 * neither.
 */
#define DEAD_PASSES 0.05
#define DEAD_FAILS  (1.0 - DEAD_PASSES)

#define RATE_MOST   0.5f         /* who loses more is not believed to live with it */
#define GAIN        (1.0f / 512) /* of the measured rates: what happened in some ten minutes */
#define DOUBT_SHARE 1.1f         /* a measured rate may be too low by chance: this much of it, */
#define DOUBT_REST  0.005f       /* and, up to this, as much again */
#define RATE_LEAST  0.0001f
#define CHANCES_MIN 16.0
#define CHANCES_MAX 1e9 /* so that never more failures are needed than are remembered */
#define LEAST_MOST  32u

/*
 * The natural logarithm, to about seven digits: with it from libm every
 * process would map one more library for a few calls a second.
 */
static double natural_log(double x)
{
    double halvings = 0;

    for (; x >= 2; x /= 2) {
        halvings++;
    }
    for (; x < 1; x *= 2) {
        halvings--;
    }
    double t = (x - 1) / (x + 1), square = t * t;
    double series =
        1 + square * (1.0 / 3 +
                      square * (1.0 / 5 +
                                square * (1.0 / 7 +
                                          square * (1.0 / 9 + square * (1.0 / 11 + square / 13)))));
    return halvings * 0.69314718055994531 + 2 * t * series;
}

static float moved(float rate, bool failed)
{
    return rate + ((failed ? 1.0f : 0.0f) - rate) * GAIN;
}

/* The oldest probe remembered is about to be forgotten: it was part of a life. */
static void learn(struct evidence *e)
{
    bool passed = e->passed >> (EVIDENCE_PROBES - 1) != 0;
    bool strong = e->strong >> (EVIDENCE_PROBES - 1) != 0;
    bool silent = e->silent >> (EVIDENCE_PROBES - 1) != 0;

    if (passed || strong) {
        e->strong_rate = moved(e->strong_rate, strong);
    }
    if (passed || strong || silent) {
        e->failed_rate = moved(e->failed_rate, !passed);
    }
}

void evidence_sent(struct evidence *evidence)
{
    learn(evidence);
    evidence->passed <<= 1;
    evidence->strong <<= 1;
    evidence->silent <<= 1;
}

void evidence_note(struct evidence *evidence, uint32_t age, enum evidence_kind kind)
{
    if (age >= EVIDENCE_PROBES) {
        return;
    }
    uint64_t bit = UINT64_C(1) << age;
    switch (kind) {
    case EVIDENCE_PASS:
        evidence->passed |= bit;
        break;
    case EVIDENCE_STRONG:
        evidence->strong |= bit;
        break;
    case EVIDENCE_SILENT:
        evidence->silent |= bit;
        break;
    }
}

void evidence_forget(struct evidence *evidence)
{
    evidence->passed = 0;
    evidence->strong = 0;
    evidence->silent = 0;
}

double evidence_threshold(const struct model_timing *timing)
{
    double interval = timing->interval_ms == 0 ? 1 : timing->interval_ms;
    double chances = (double)timing->false_alarm_ms / interval;

    chances = chances < CHANCES_MIN ? CHANCES_MIN : chances;
    return natural_log(2 * (chances > CHANCES_MAX ? CHANCES_MAX : chances));
}

/* The rate that the weights are made of: the measured one in doubt. */
static double believed(float rate)
{
    float doubted = rate * DOUBT_SHARE + (rate < DOUBT_REST ? rate : DOUBT_REST);

    doubted = doubted > RATE_LEAST ? doubted : RATE_LEAST;
    return (double)(doubted < RATE_MOST ? doubted : RATE_MOST);
}

/* What one failure weighs at this rate: never more than a `least`th of what makes a verdict. */
static double failure_weight(double rate, double threshold, uint32_t least)
{
    double weight = natural_log(DEAD_FAILS / rate);
    double most = threshold / (least == 0 ? 1 : least < LEAST_MOST ? least : LEAST_MOST);

    return weight < most ? weight : most;
}

/* And what a pass takes off. */
static double pass_weight(double rate)
{
    return natural_log((1 - rate) / DEAD_PASSES);
}

/* Failures and passes summed up from the oldest. */
static double sum_up(uint64_t failed, uint64_t passed, double failure, double pass)
{
    double sum = 0;

    if (failed == 0) {
        return 0; /* nearly always */
    }
    for (unsigned i = EVIDENCE_PROBES; i-- > 0;) {
        uint64_t bit = UINT64_C(1) << i;
        if ((failed & bit) != 0) {
            sum += failure;
        } else if ((passed & bit) != 0) {
            sum = sum > pass ? sum - pass : 0;
        }
    }
    return sum;
}

double evidence_told(const struct evidence *evidence, const struct model_timing *timing)
{
    if (evidence->strong == 0) {
        return 0;
    }
    double rate = believed(evidence->strong_rate);
    double failure = failure_weight(rate, evidence_threshold(timing), timing->fall);

    return sum_up(evidence->strong, evidence->passed, failure, pass_weight(rate));
}

double evidence_silent(const struct evidence *evidence, const struct model_timing *timing,
                       uint64_t unanswered)
{
    uint64_t failed = evidence->strong | evidence->silent | unanswered;

    if (failed == 0) {
        return 0;
    }
    double rate = believed(evidence->failed_rate);
    double failure = failure_weight(rate, evidence_threshold(timing), timing->silent_fall);

    return sum_up(failed, evidence->passed, failure, pass_weight(rate));
}

/* Failures in a row that make a verdict: rounding must not ask for one more. */
static uint32_t needed(double rate, const struct model_timing *timing, uint32_t least)
{
    double threshold = evidence_threshold(timing);
    double count = threshold / failure_weight(rate, threshold, least) - EVIDENCE_ROUNDING;
    uint32_t whole = (uint32_t)count;

    return (double)whole < count ? whole + 1 : whole;
}

uint32_t evidence_told_needed(const struct evidence *evidence, const struct model_timing *timing)
{
    return needed(believed(evidence->strong_rate), timing, timing->fall);
}

uint32_t evidence_silent_needed(const struct evidence *evidence, const struct model_timing *timing)
{
    return needed(believed(evidence->failed_rate), timing, timing->silent_fall);
}

uint32_t evidence_least_needed(const struct model_timing *timing, uint32_t least)
{
    return needed((double)RATE_LEAST, timing, least);
}

uint32_t evidence_most_needed(const struct model_timing *timing, uint32_t least)
{
    return needed((double)RATE_MOST, timing, least);
}
