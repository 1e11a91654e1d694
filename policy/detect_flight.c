#include "policy/detect_flight.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t detect_flight_age_limit_ms(const struct detect *d)
{
    if (d->usual_us == 0) {
        return d->timing.timeout_ms;
    }
    uint64_t twice_ms = 2ull * d->usual_us / 1000;
    return earlier(later(twice_ms, DETECT_AGE_FLOOR_MS), d->timing.timeout_ms);
}

/* ---- where they are kept ---- */

const struct detect_open *detect_open_probes(const struct detect *detect)
{
    return detect->open_more != NULL ? detect->open_more : detect->open_few;
}

static struct detect_open *open_probes(struct detect *d)
{
    return d->open_more != NULL ? d->open_more : d->open_few;
}

void detect_flight_add(struct detect *d, uint32_t number, uint64_t now_ms)
{
    REQUIRE(d->open_count < DETECT_OPEN_MAX);
    if (d->open_more == NULL && d->open_count == DETECT_OPEN_FEW) {
        d->open_more = calloc(DETECT_OPEN_MAX, sizeof(*d->open_more));
        REQUIRE(d->open_more != NULL);
        memcpy(d->open_more, d->open_few, sizeof(d->open_few));
    }
    open_probes(d)[d->open_count++] = (struct detect_open){ .number = number, .sent_ms = now_ms };
}

/* The probes go back to the few places only when none is left: no to and fro. */
static void drop(struct detect *d, uint32_t i)
{
    struct detect_open *open = open_probes(d);

    d->open_count--;
    memmove(&open[i], &open[i + 1], (d->open_count - i) * sizeof(open[0]));
    if (d->open_count == 0) {
        free(d->open_more);
        d->open_more = NULL;
    }
}

bool detect_flight_take(struct detect *d, uint32_t number, struct detect_open *out)
{
    for (uint32_t i = 0; i < d->open_count; i++) {
        const struct detect_open *open = &detect_open_probes(d)[i];
        if (open->number == number) {
            *out = *open;
            drop(d, i);
            return true;
        }
    }
    return false;
}

void detect_fini(struct detect *detect)
{
    free(detect->open_more);
    detect->open_more = NULL;
    detect->open_count = 0;
}

/* ---- what they say ---- */

void detect_flight_delay(struct detect *d, uint64_t lost_ms)
{
    for (uint32_t i = 0; i < d->open_count; i++) {
        open_probes(d)[i].lost_ms += lost_ms;
    }
}

void detect_flight_forgive(struct detect *d)
{
    for (uint32_t i = 0; i < d->open_count; i++) {
        open_probes(d)[i].forgiven = true;
    }
}

const struct detect_open *detect_flight_oldest(const struct detect *d)
{
    const struct detect_open *open = detect_open_probes(d);

    for (uint32_t i = 0; i < d->open_count; i++) {
        if (!open[i].forgiven) {
            return &open[i];
        }
    }
    return NULL;
}

uint32_t detect_flight_silent(const struct detect *d, uint64_t now_ms)
{
    uint64_t limit = detect_flight_age_limit_ms(d);
    uint32_t count = 0;

    for (uint32_t i = 0; i < d->open_count; i++) {
        const struct detect_open *open = &detect_open_probes(d)[i];
        count += !open->forgiven && now_ms >= detect_flight_watched_at(open, limit);
    }
    return count;
}

uint64_t detect_flight_silent_bits(const struct detect *d, uint64_t now_ms)
{
    uint64_t limit = detect_flight_age_limit_ms(d);
    uint64_t bits = 0;

    for (uint32_t i = 0; i < d->open_count; i++) {
        const struct detect_open *open = &detect_open_probes(d)[i];
        uint32_t age = detect_flight_age(d, open->number);
        if (age < EVIDENCE_PROBES && now_ms >= detect_flight_watched_at(open, limit)) {
            bits |= UINT64_C(1) << age;
        }
    }
    return bits;
}

uint64_t detect_flight_ripens_ms(const struct detect *d, uint64_t now_ms)
{
    uint64_t limit = detect_flight_age_limit_ms(d);
    uint64_t wake = UINT64_MAX;

    for (uint32_t i = 0; i < d->open_count; i++) {
        const struct detect_open *open = &detect_open_probes(d)[i];
        if (open->forgiven) {
            continue;
        }
        uint64_t aged = detect_flight_watched_at(open, limit);
        uint64_t timed_out = detect_flight_watched_at(open, d->timing.timeout_ms);
        wake = aged > now_ms ? earlier(wake, aged) : wake;
        wake = timed_out > now_ms ? earlier(wake, timed_out) : wake;
    }
    return wake;
}
