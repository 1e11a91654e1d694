#pragma once
/*
 * cli_find - which configuration and which socket a command is about
 *
 * One thread.
 */
#include <stdbool.h>

#include "base/text.h"

struct cli;

/*
 * The configuration: -c, else ./leeward.yaml, else /etc/leeward/leeward.yaml;
 * NULL when there is none, and the embedded default applies.
 */
const char *cli_find_config(const struct cli *cli);

/*
 * Append the path of the server's socket: --socket, else api.socket of the
 * configuration (of a broken one too, as far as it can be read), else the
 * default. False when the configuration says that there is no socket.
 */
bool cli_find_socket(const struct cli *cli, struct text *out);

/*
 * Look for `socket:` below `api:` in YAML that may be broken elsewhere, and
 * append its value as written. False when it is not there. A step of
 * cli_find_socket, with a name of its own for its test.
 */
bool cli_find_scan(const char *yaml, struct text *out);
