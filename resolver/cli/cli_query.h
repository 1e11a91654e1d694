#pragma once
/*
 * cli_query - `leeward query`
 */

struct cli;

/* See enum cli_exit. */
int cli_query_run(struct cli *cli, int argc, char **argv);
