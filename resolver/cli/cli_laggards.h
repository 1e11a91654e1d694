#pragma once
/*
 * cli_laggards - `leeward laggards`: clients that still go by an older answer
 *
 * One thread.
 */

struct cli;

extern const char cli_laggards_help[];

int cli_laggards_run(struct cli *cli, int argc, char **argv);
