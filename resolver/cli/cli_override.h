#pragma once
/*
 * cli_override - `leeward drain`, `undrain`, `force` and `release`
 *
 * One thread.
 */
struct cli;

int cli_drain_run(struct cli *cli, int argc, char **argv);
int cli_undrain_run(struct cli *cli, int argc, char **argv);
int cli_force_run(struct cli *cli, int argc, char **argv);
int cli_release_run(struct cli *cli, int argc, char **argv);

extern const char cli_drain_help[];
extern const char cli_undrain_help[];
extern const char cli_force_help[];
extern const char cli_release_help[];
