#pragma once
/*
 * attempt - the life of one probe attempt, the same for every kind
 *
 *     begin, hold a handle ... decide or fail (or cancel) ... handles close
 *     ... done (unless cancelled), gone, release
 *
 * `done` is called from the last close callback. So it never runs within
 * `start`, even when connect() fails at once, and nothing of the attempt is
 * open any more while it runs. Control loop only.
 */
#include "policy/checks/check.h"

/* Fill a zeroed attempt. */
void attempt_begin(struct check_attempt *attempt, const struct check_kind *kind, uv_loop_t *loop,
                   const struct health_probe *probe, check_done *done, void *user);

/* An initialized handle belongs to the attempt from now on; `handle->data` is the attempt. */
void attempt_hold(struct check_attempt *attempt, uv_handle_t *handle);

/* The attempt is over, and why. It must hold a handle. Later calls change nothing. */
void attempt_decide(struct check_attempt *attempt, enum detect_outcome outcome, bool misconfigured,
                    const char *reason);

/*
 * The same for a negative errno that a socket call returned; `where` ("tcp",
 * or NULL) goes in front of its words. Decides by whose trouble it is.
 */
void attempt_fail(struct check_attempt *attempt, const char *where, int code);

/* End it early; releases at once when it holds no handle. */
void attempt_cancel(struct check_attempt *attempt);
