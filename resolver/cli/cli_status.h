#pragma once
/*
 * cli_status - `leeward status`
 */

struct cli;

/* See enum cli_exit. */
int cli_status_run(struct cli *cli, int argc, char **argv);
