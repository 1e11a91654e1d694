#pragma once
/*
 * cli_reload - `leeward reload`
 */

struct cli;

/* See enum cli_exit. */
int cli_reload_run(struct cli *cli, int argc, char **argv);
