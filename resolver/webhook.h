#pragma once
/*
 * webhook - a process that sends its standard input to a URL, once
 *
 * This program's own binary under a hidden command, run by hooks: so the server
 * itself neither waits for a stranger's server nor loads libcurl, which comes
 * with the first webhook and goes with its end. The URL comes in the
 * environment, because arguments can be read by everybody on the machine and
 * the path of a webhook is often its key.
 */

#include <stdbool.h>

#define WEBHOOK_COMMAND "_webhook"
#define WEBHOOK_URL     "LEEWARD_WEBHOOK_URL"
#define WEBHOOK_TIMEOUT "LEEWARD_WEBHOOK_TIMEOUT_MS"

/*
 * POST what stands on stdin as application/json. No redirect is followed, no
 * proxy used, certificates are verified. The exit status: 0 when the answer's
 * status is 2xx; else 1, and a line on stderr says why.
 */
int webhook_run(void);

/* Is libcurl on this machine? It stays loaded: for commands that end soon. */
bool webhook_is_ready(void);
