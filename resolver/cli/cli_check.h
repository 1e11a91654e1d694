#pragma once
/*
 * cli_check - `leeward check`
 */

struct cli;

/* See enum cli_exit. */
int cli_check_run(struct cli *cli, int argc, char **argv);
