#pragma once
/*
 * cli_api - a request to the running server, its reply or its errors shown
 *
 * One thread.
 */
#include <jansson.h>
#include <stdbool.h>

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

/*
 * Write the reply in `body` to stdout: as it came when `json`, else as `put`
 * words it for people. Returns what `put` found, CLI_DONE or CLI_NO, which is
 * so in either form; or CLI_NO when the reply cannot be read or written.
 */
int cli_api_show(const struct cli *cli, const struct text *body, bool json,
                 int (*put)(const struct cli *cli, const json_t *reply, struct text *out));
