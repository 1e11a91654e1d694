#pragma once
/*
 * cli_history - `leeward history`
 *
 * One thread.
 */
struct cli;

int cli_history_run(struct cli *cli, int argc, char **argv);

extern const char cli_history_help[];
