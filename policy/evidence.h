#pragma once
/*
 * evidence - how strongly a row of probe outcomes speaks for a death
 *
 * Each outcome is as much more likely from a dead target than from this living
 * one as its loss makes it; the logarithm of that is its weight, a failure's
 * above 0 and a pass's below. The weights are summed in the order of sending,
 * never below 0 (CUSUM; Page, 1954), and a sum of `evidence_threshold` is a
 * verdict. Two sums are kept, for a target dies in two ways:
 *
 *     told    of the probes that were answered: wrong answers, refusals
 *     silent  of all probes: whatever is no pass
 *
 * The loss is measured from probes that were sent 64 probes ago and have seen
 * no verdict since: the failures of a death are never learnt as loss, a slow
 * drift is.
 *
 * Decides only: no I/O. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "policy/model.h"

#define EVIDENCE_PROBES   64   /* remembered; more than DETECT_OPEN_MAX and than ever are needed */
#define EVIDENCE_ROUNDING 1e-6 /* a sum so little below the threshold has reached it */

struct evidence {
    uint64_t passed; /* bit i: of the probe sent i probes before the newest */
    uint64_t strong;
    uint64_t silent;
    float strong_rate; /* of the answered probes this share was a failure */
    float failed_rate; /* of all probes */
};

enum evidence_kind {
    EVIDENCE_PASS,
    EVIDENCE_STRONG,
    EVIDENCE_SILENT,
};

/* A probe is being sent: the one sent EVIDENCE_PROBES before it is learnt from. */
void evidence_sent(struct evidence *evidence);

/* The outcome of the probe sent `age` probes before the newest; older ones are ignored. */
void evidence_note(struct evidence *evidence, uint32_t age, enum evidence_kind kind);

/* A verdict was made: nothing so far counts any more, and nothing of it is learnt. */
void evidence_forget(struct evidence *evidence);

/*
 * The sum that makes a verdict, in nats. A target that lives and loses probes
 * independently of each other at the rates measured is declared down at most
 * once in `false_alarm_ms`: a run of the sum that starts at 0 gets to h with a
 * probability of at most exp(-h), for exp(sum) has an expectation of at most 1.
 * A run starts with a probe of the usual pace (those sent faster belong to a
 * run that goes on), so there are false_alarm_ms / interval_ms chances in each
 * of two sums: h = ln(2 false_alarm_ms / interval_ms).
 */
double evidence_threshold(const struct model_timing *timing);

/* The sums by now. `unanswered` are the bits of probes in flight that count as silent. */
double evidence_told(const struct evidence *evidence, const struct model_timing *timing);
double evidence_silent(const struct evidence *evidence, const struct model_timing *timing,
                       uint64_t unanswered);

/*
 * So many failures in a row make a verdict at the rates measured; of a target
 * that loses nothing, and of one that loses as much as is believed at all. The
 * second is `fall` or `silent_fall`, here `least`, for no failure weighs more
 * than its share of them; or 2 or 3 where that is lower: one outcome is never
 * so sure.
 */
uint32_t evidence_told_needed(const struct evidence *evidence, const struct model_timing *timing);
uint32_t evidence_silent_needed(const struct evidence *evidence, const struct model_timing *timing);
uint32_t evidence_least_needed(const struct model_timing *timing, uint32_t least);
uint32_t evidence_most_needed(const struct model_timing *timing, uint32_t least);
