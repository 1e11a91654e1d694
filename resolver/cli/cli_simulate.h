#pragma once
/*
 * cli_simulate - `leeward simulate`
 *
 * One thread.
 */
struct cli;

int cli_simulate_run(struct cli *cli, int argc, char **argv);

extern const char cli_simulate_help[];
