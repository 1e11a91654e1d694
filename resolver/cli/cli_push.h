#pragma once
/*
 * cli_push - `leeward push TARGET STATE`: report to a push check
 *
 * One thread.
 */
struct cli;

extern const char cli_push_help[];

int cli_push_run(struct cli *cli, int argc, char **argv);
