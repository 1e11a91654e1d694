#pragma once
/*
 * cli_api - a request to the running server, its errors shown
 *
 * One thread.
 */
#include "base/text.h"

struct cli;

/*
 * Ask the server and append the body of its reply to `body`. Returns CLI_DONE;
 * or, with the error already written to stderr, CLI_NO when the server says
 * no, CLI_NO_SERVER when there is none.
 */
int cli_api_call(const struct cli *cli, const char *method, const char *target, unsigned timeout_ms,
                 struct text *body);

/* The same with a body to be sent; NULL: none. */
int cli_api_send(const struct cli *cli, const char *method, const char *target,
                 const struct text *sent, unsigned timeout_ms, struct text *body);
