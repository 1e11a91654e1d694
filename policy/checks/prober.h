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

/* Stop everything; `closed` (may be NULL) is called when all handles are closed and
 * the prober is freed. */
void prober_close(struct prober *prober, void (*closed)(void *user), void *user);
