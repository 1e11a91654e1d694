#pragma once
/*
 * cli_cache - leeward cache: what is kept of others' answers, shown or flushed
 */
struct cli;

int cli_cache_run(struct cli *cli, int argc, char **argv);
