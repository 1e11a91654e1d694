#include "resolver/forward/measure.h"

#include <stdlib.h>
#include <string.h>

#define SMOOTH_WEIGHT    8 /* RFC 6298: a new time counts one eighth, */
#define VARIATION_WEIGHT 4 /* its deviation one quarter */
#define SORT_EVERY_MS    100
#define SORT_ALL         16 /* the first samples each count */

/* ---- round trips ---- */

static void smooth(struct measure *measure, uint32_t us)
{
    int64_t smoothed = measure->smoothed_us;
    int64_t variation = measure->variation_us;

    if (measure->count == 0) {
        smoothed = us;
        variation = us / 2;
    } else {
        int64_t off = (int64_t)us - smoothed;
        variation += ((off < 0 ? -off : off) - variation) / VARIATION_WEIGHT;
        smoothed += off / SMOOTH_WEIGHT;
    }
    measure->smoothed_us = smoothed < 1 ? 1 : (uint32_t)smoothed;
    measure->variation_us = (uint32_t)variation;
}

static int by_us(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* The 95th percentile of the samples of the window, 0 when there are few. */
static uint32_t sort_out(const struct measure *measure, uint64_t now_ms)
{
    uint32_t times[MEASURE_SAMPLES];
    uint32_t kept = measure->count < MEASURE_SAMPLES ? measure->count : MEASURE_SAMPLES;
    size_t found = 0;

    for (uint32_t i = 0; i < kept; i++) {
        const struct measure_sample *sample = &measure->samples[i];
        if ((uint32_t)now_ms - sample->at_ms <= MEASURE_WINDOW_MS) {
            times[found++] = sample->us;
        }
    }
    if (found < MEASURE_FEW) {
        return 0;
    }
    qsort(times, found, sizeof(times[0]), by_us);
    return times[(found * 95 + 99) / 100 - 1];
}

uint32_t measure_smoothed_us(const struct measure *measure)
{
    return measure->smoothed_us;
}

uint32_t measure_p95_us(struct measure *measure, uint64_t now_ms)
{
    bool is_new = measure->count != measure->p95_count &&
                  (measure->count <= SORT_ALL || now_ms >= measure->p95_made_ms + SORT_EVERY_MS);

    if (is_new || now_ms >= measure->p95_made_ms + MEASURE_WINDOW_MS) {
        measure->p95_us = sort_out(measure, now_ms);
        measure->p95_count = measure->count;
        measure->p95_made_ms = now_ms;
    }
    if (measure->p95_us != 0) {
        return measure->p95_us;
    }
    return measure->count == 0 ? 0 : measure->smoothed_us + 4 * measure->variation_us;
}

/* ---- shares ---- */

static struct measure_slot *slot_of(struct measure *measure, uint64_t now_ms)
{
    uint64_t number = now_ms / MEASURE_SLOT_MS;
    struct measure_slot *slot = &measure->slots[number % MEASURE_SLOTS];

    if (slot->number != number) {
        *slot = (struct measure_slot){ .number = number };
    }
    return slot;
}

void measure_answered(struct measure *measure, uint32_t us, uint64_t now_ms)
{
    us = us < 1 ? 1 : us > MEASURE_MOST_US ? MEASURE_MOST_US : us;
    smooth(measure, us);
    measure->samples[measure->count % MEASURE_SAMPLES] =
        (struct measure_sample){ .at_ms = (uint32_t)now_ms, .us = us };
    measure->count++;
    if (measure->count == UINT32_MAX) {
        measure->count -= UINT32_MAX / 2 / MEASURE_SAMPLES * MEASURE_SAMPLES;
    }
    slot_of(measure, now_ms)->answered++;
}

void measure_heard(struct measure *measure, uint64_t now_ms)
{
    slot_of(measure, now_ms)->answered++;
}

void measure_lost(struct measure *measure, uint32_t weight, uint64_t now_ms)
{
    slot_of(measure, now_ms)->lost += weight;
}

void measure_found(struct measure *measure, uint32_t weight, uint64_t now_ms)
{
    /* it was counted a moment ago, perhaps in the slot before */
    for (unsigned back = 0; back < MEASURE_SLOTS && weight > 0; back++) {
        uint64_t number = now_ms / MEASURE_SLOT_MS - back;
        struct measure_slot *slot = &measure->slots[number % MEASURE_SLOTS];
        uint32_t took = slot->number != number ? 0 : slot->lost < weight ? slot->lost : weight;
        slot->lost -= took;
        slot->answered += took;
        weight -= took;
    }
}

void measure_failed(struct measure *measure, uint64_t now_ms)
{
    slot_of(measure, now_ms)->failed++;
}

/* Sum up the newest slots until `most` questions are among them. */
static struct measure_slot sum(const struct measure *measure, uint64_t most, uint64_t now_ms)
{
    struct measure_slot all = { .number = now_ms / MEASURE_SLOT_MS };

    for (uint64_t back = 0; back < MEASURE_SLOTS && back <= all.number; back++) {
        const struct measure_slot *slot = &measure->slots[(all.number - back) % MEASURE_SLOTS];
        if (slot->number != all.number - back) {
            continue;
        }
        all.answered += slot->answered;
        all.lost += slot->lost;
        all.failed += slot->failed;
        if ((uint64_t)all.answered + all.lost + all.failed >= most) {
            break;
        }
    }
    return all;
}

static uint32_t permille(uint32_t part, const struct measure_slot *all)
{
    uint64_t whole = (uint64_t)all->answered + all->lost + all->failed;

    return whole == 0 ? 0 : (uint32_t)((part * UINT64_C(1000) + whole / 2) / whole);
}

uint32_t measure_loss_permille(const struct measure *measure, uint64_t now_ms)
{
    struct measure_slot all = sum(measure, UINT64_MAX, now_ms);

    return permille(all.lost, &all);
}

uint32_t measure_recent_loss_permille(const struct measure *measure, uint32_t most, uint64_t now_ms)
{
    struct measure_slot all = sum(measure, most, now_ms);

    return permille(all.lost, &all);
}

bool measure_is_lossy(const struct measure *measure, uint32_t least, uint32_t most, uint32_t share,
                      uint64_t now_ms)
{
    struct measure_slot all = sum(measure, most, now_ms);
    uint64_t whole = (uint64_t)all.answered + all.lost + all.failed;

    return all.lost >= least && (uint64_t)all.lost * share >= whole;
}

void measure_forget_losses(struct measure *measure)
{
    memset(measure->slots, 0, sizeof(measure->slots));
}

void measure_forget_times(struct measure *measure)
{
    measure->count = 0;
    measure->smoothed_us = 0;
    measure->variation_us = 0;
    measure->p95_us = 0;
    measure->p95_count = 0;
    measure->p95_made_ms = 0;
}
