#include "policy/checks/lateness.h"

#define HALVING_MS 10000u
#define LINEAR     32u

static unsigned step_of(uint64_t ms)
{
    unsigned step = LINEAR;

    if (ms < LINEAR) {
        return (unsigned)ms;
    }
    for (ms /= LINEAR; ms > 1 && step < LATENESS_STEPS - 1; ms /= 2) {
        step++;
    }
    return step;
}

/* The upper end of a step. */
static uint32_t most_of(unsigned step)
{
    return step < LINEAR ? step : (LINEAR << (step - LINEAR + 1)) - 1;
}

static void halve(struct lateness *lateness, uint64_t now_ms)
{
    for (unsigned i = 0; i < LATENESS_STEPS; i++) {
        lateness->counts[i] /= 2;
    }
    lateness->most_before_ms = lateness->most_ms;
    lateness->most_ms = 0;
    lateness->halved_ms = now_ms;
}

void lateness_note(struct lateness *lateness, uint64_t late_ms, uint64_t now_ms)
{
    if (now_ms >= lateness->halved_ms + HALVING_MS) {
        halve(lateness, now_ms);
    }
    lateness->counts[step_of(late_ms)]++;
    if (late_ms > lateness->most_ms) {
        lateness->most_ms = late_ms < UINT32_MAX ? (uint32_t)late_ms : UINT32_MAX;
    }
}

uint32_t lateness_ms(const struct lateness *lateness, unsigned percent)
{
    uint64_t total = 0, seen = 0;

    for (unsigned i = 0; i < LATENESS_STEPS; i++) {
        total += lateness->counts[i];
    }
    for (unsigned i = 0; i < LATENESS_STEPS && total > 0; i++) {
        seen += lateness->counts[i];
        if (seen * 100 >= total * percent) {
            uint32_t most = lateness_most_ms(lateness);
            return most_of(i) < most || i < LINEAR ? most_of(i) : most;
        }
    }
    return 0;
}

uint32_t lateness_most_ms(const struct lateness *lateness)
{
    return lateness->most_ms > lateness->most_before_ms ? lateness->most_ms
                                                        : lateness->most_before_ms;
}
