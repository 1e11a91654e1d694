#pragma once
/*
 * lateness - how late probes are sent, as a histogram of the last minute or so
 *
 * Counts halve every ten seconds, so that the start, in which everything is
 * due at once, is soon forgotten. Time is an argument. One thread.
 */
#include <stdint.h>

#define LATENESS_STEPS 48

struct lateness {
    uint32_t counts[LATENESS_STEPS]; /* 0 to 31 ms by the millisecond, then doubling */
    uint32_t most_ms;                /* since the last halving, and before that */
    uint32_t most_before_ms;
    uint64_t halved_ms;
};

void lateness_note(struct lateness *lateness, uint64_t late_ms, uint64_t now_ms);

/* So late at most were `percent` of the probes; 0 when there was none. */
uint32_t lateness_ms(const struct lateness *lateness, unsigned percent);

/* The latest of the last ten to twenty seconds in which there was a probe. */
uint32_t lateness_most_ms(const struct lateness *lateness);
