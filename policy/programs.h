#pragma once
/*
 * programs - programs run for the control loop: exec checks, hooks
 *
 * There is one spawner for the whole process, started with the first program
 * and again when it has died; so this is the process's, not an object's. While
 * nothing runs it has no handle on the loop. One thread (the control thread).
 */
#include <stdint.h>
#include <uv.h>

#include "base/spawner.h"

/* How a program ended; `result` is only valid during the call. Never from within programs_run. */
typedef void programs_done(void *user, const struct spawner_result *result);

/*
 * Run a program. At most SPAWNER_PROGRAMS_MAX run at once: more are refused
 * with -EAGAIN, for one that waited in a queue would be blamed for the time it
 * stood there. Other -errno: it could not be asked for; explained. `done` is
 * called once, unless it is cancelled.
 */
int programs_run(uv_loop_t *loop, const struct spawner_program *program, programs_done *done,
                 void *user, uint32_t *out_id, struct error *err);

/* Kill it and forget it: `done` is not called any more. */
void programs_cancel(uint32_t id);

/* End the spawner and what it runs, whose `done` is not called. For the end of tests. */
void programs_stop(void);
