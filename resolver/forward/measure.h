#pragma once
/*
 * measure - what one upstream's last answers say: how long, how many lost
 *
 * Round trips in microseconds of the last ten seconds, at most 128 of them:
 * smoothed, their variation (RFC 6298, section 2) and the time that 95% keep.
 * Beside them how many questions were answered, lost and failed, by quarters
 * of a second, so that what comes in clumps does not look worse than it is.
 *
 * Decides only; the time is an argument, in monotonic milliseconds. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#define MEASURE_SAMPLES   128   /* round trips kept */
#define MEASURE_WINDOW_MS 10000 /* older ones say nothing any more */
#define MEASURE_FEW       8     /* fewer samples than this have no 95th percentile */
#define MEASURE_MOST_US   60000000 /* a round trip that took longer is taken for this */
#define MEASURE_SLOTS     20
#define MEASURE_SLOT_MS   250 /* so the shares are of the last five seconds */

struct measure_sample {
    uint32_t at_ms; /* lower half of the clock */
    uint32_t us;
};

struct measure_slot {
    uint64_t number; /* of quarters of a second */
    uint32_t answered;
    uint32_t lost;
    uint32_t failed;
};

struct measure {
    struct measure_sample samples[MEASURE_SAMPLES];
    uint32_t count; /* of samples ever taken */
    uint32_t smoothed_us;
    uint32_t variation_us;
    uint32_t p95_us;      /* as it was at p95_count; 0: too few */
    uint32_t p95_count;   /* samples when it was sorted last */
    uint64_t p95_made_ms; /* then */
    struct measure_slot slots[MEASURE_SLOTS];
};

/* A good answer came `us` after its question. */
void measure_answered(struct measure *measure, uint32_t us, uint64_t now_ms);

/* One came whose time says little. */
void measure_heard(struct measure *measure, uint64_t now_ms);

/* `weight` questions brought no answer, as far as is known. */
void measure_lost(struct measure *measure, uint32_t weight, uint64_t now_ms);

/* One counted as lost was answered after all. */
void measure_found(struct measure *measure, uint32_t weight, uint64_t now_ms);

/* An answer came that was of no use. */
void measure_failed(struct measure *measure, uint64_t now_ms);

/* Smoothed round trip in microseconds, 0 before the first answer. */
uint32_t measure_smoothed_us(const struct measure *measure);

/*
 * What 95% of the last answers kept, or smoothed + 4 * variation while there
 * are few; 0 when nothing is known. Sorted anew ten times a second at most.
 */
uint32_t measure_p95_us(struct measure *measure, uint64_t now_ms);

/* Lost of 1000 questions in the last five seconds. */
uint32_t measure_loss_permille(const struct measure *measure, uint64_t now_ms);

/* Lost of 1000 among the last questions, as measure_is_lossy counts them. */
uint32_t measure_recent_loss_permille(const struct measure *measure, uint32_t most,
                                      uint64_t now_ms);

/*
 * Among the last questions, as many as hold at least `most` of them but none
 * older than five seconds: were `least` lost, and one in `share`?
 */
bool measure_is_lossy(const struct measure *measure, uint32_t least, uint32_t most,
                      uint32_t share, uint64_t now_ms);

/* Forget who was lost: what comes from now on is another time. */
void measure_forget_losses(struct measure *measure);

/* Forget how long answers took, for the same reason. */
void measure_forget_times(struct measure *measure);
