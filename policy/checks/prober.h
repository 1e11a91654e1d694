#pragma once
/*
 * prober - runs the probes of the health table, each at its own pace
 *
 * Control loop only.
 */
#include <uv.h>

#include "policy/health.h"

struct prober;

/* A prober on `loop` for the probes of `health`; NULL when memory is out. */
struct prober *prober_new(uv_loop_t *loop, struct health *health);

/*
 * Start probes that are new in the table and stop those that left it. To be
 * called in the same turn of the loop in which the table changed (after
 * health_bind and health_unbind): a probe that left has lost its check.
 */
void prober_sync(struct prober *prober);

/*
 * Probe this slot of the table as soon as the loop turns, out of turn; nothing
 * happens when it has no probe. What is told from outside arrives with it.
 */
void prober_probe_now(struct prober *prober, size_t slot);

/*
 * What probing is like. A probe is late by the time between when it was due and
 * when it was sent; percentiles are of the last minute or so.
 */
struct prober_view {
    uint64_t started; /* attempts, all in all */
    uint64_t late;    /* of them, by more than 50 ms */
    uint64_t put_off; /* times that one had to wait for others to end */
    uint32_t in_flight;
    uint32_t in_flight_max;
    uint32_t late_p50_ms;
    uint32_t late_p99_ms;
    uint32_t late_most_ms; /* in the last ten to twenty seconds */
};

void prober_view(const struct prober *prober, struct prober_view *out);

/* Stop everything; `closed` (may be NULL) is called when all handles are closed and
 * the prober is freed. */
void prober_close(struct prober *prober, void (*closed)(void *user), void *user);
