#pragma once
/*
 * spawner_helper - the process that runs programs: see spawner
 *
 * Its only thread.
 */

#define SPAWNER_HELPER_FD 3 /* its end of the pair of sockets */

/*
 * Run programs as told until the other end is closed, then kill what runs.
 * Returns the exit code of the process: 0, or 1 when it was not started as it
 * should be.
 */
int spawner_helper_run(void);
