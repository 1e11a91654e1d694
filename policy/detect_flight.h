#pragma once
/*
 * detect_flight - the probes of one target that are in flight
 *
 * Inside of policy/detect: how long each has been watched, which of them speak
 * against the target by now, and when the next one will. The time nobody looked
 * does not count. Decides only; the thread of the target.
 */
#include "policy/detect.h"

#define DETECT_AGE_FLOOR_MS 10u /* below this a late answer says more about this node */

/* How old an unanswered probe must be to count: twice the usual latency. */
uint64_t detect_flight_age_limit_ms(const struct detect *d);

/* When the probe has been watched for so long. */
static inline uint64_t detect_flight_watched_at(const struct detect_open *open, uint64_t for_ms)
{
    return open->sent_ms + open->lost_ms + for_ms;
}

/* One more, of which there is room; it is the newest. */
void detect_flight_add(struct detect *d, uint32_t number, uint64_t now_ms);

/* Take probe `number` out. False when it is not one of them. */
bool detect_flight_take(struct detect *d, uint32_t number, struct detect_open *out);

/* Nobody looked for so long. */
void detect_flight_delay(struct detect *d, uint64_t lost_ms);

/* A success came: what was sent before it is no longer evidence. */
void detect_flight_forgive(struct detect *d);

/* The oldest that still counts, or NULL. */
const struct detect_open *detect_flight_oldest(const struct detect *d);

/* How many count as silent by now; and which, as bits of the evidence. */
uint32_t detect_flight_silent(const struct detect *d, uint64_t now_ms);
uint64_t detect_flight_silent_bits(const struct detect *d, uint64_t now_ms);

/* When one that counts next changes its meaning, after `now_ms`; UINT64_MAX: none does. */
uint64_t detect_flight_ripens_ms(const struct detect *d, uint64_t now_ms);

/* How many probes were sent after this one. */
static inline uint32_t detect_flight_age(const struct detect *d, uint32_t number)
{
    return d->next_number - number;
}
