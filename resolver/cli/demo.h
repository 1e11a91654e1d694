#pragma once
/*
 * demo - `leeward demo`: a region fails and heals, on this machine
 *
 * One thread: children end with the thread that started them.
 */

struct cli;

/* See enum cli_exit: CLI_DONE only if answers moved, came back and no lookup failed. */
int demo_run(struct cli *cli, int argc, char **argv);
