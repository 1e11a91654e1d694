#pragma once
/*
 * cli_review - `leeward review`
 *
 * One thread.
 */
struct cli;

int cli_review_run(struct cli *cli, int argc, char **argv);

extern const char cli_review_help[];
