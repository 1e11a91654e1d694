#pragma once
/*
 * cli_why - `leeward why`
 */

struct cli;

/* See enum cli_exit. */
int cli_why_run(struct cli *cli, int argc, char **argv);
