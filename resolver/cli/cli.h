#pragma once
/*
 * cli - the frame of every subcommand: options, help, exit codes, colours
 *
 * Plain blocking code of one thread; nothing here runs in the server.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/error.h"
#include "base/text.h"

enum cli_exit {
    CLI_DONE = 0,
    CLI_NO = 1,        /* the answer is no: invalid, refused, unhealthy */
    CLI_USAGE = 2,     /* wrong usage */
    CLI_NO_SERVER = 3, /* no server to talk to */
};

enum cli_when {
    CLI_AUTO,
    CLI_ALWAYS,
    CLI_NEVER,
};

struct cli_command;

/* What the user asked for, apart from the subcommand's own options. */
struct cli {
    const struct cli_command *commands; /* all, ended by one without a name */
    const struct cli_command *command;  /* the one that runs */
    const char *config_path;            /* -c, NULL when not given */
    const char *socket_path;            /* --socket, NULL when not given */
    enum cli_when color;
    bool quiet;
    bool verbose;
    bool help;     /* --help stood before the subcommand */
    int exit_code; /* of CLI_OPTION_EXIT */
};

struct cli_command {
    const char *name;
    const char *usage;   /* what stands behind "leeward " */
    const char *summary; /* one line for the list */
    const char *help;    /* its options and what it does, lines */
    /* argv[0] is the subcommand's name; NULL: not available yet */
    int (*run)(struct cli *cli, int argc, char **argv);
};

enum {
    CLI_OPTION_END = -1,  /* no more: optind stands at the first plain argument */
    CLI_OPTION_EXIT = -2, /* help was given or usage was wrong: leave with cli->exit_code */
};

/*
 * Dispatch to the subcommand and return the exit code of the program. The
 * options that every subcommand takes may stand before or after its name.
 */
int cli_main(const struct cli_command *commands, int argc, char **argv);

/*
 * The next option of the subcommand, as getopt_long would say it; the options
 * that every subcommand takes are dealt with inside. `shorts` and `longs` are
 * the subcommand's own; `longs` may be NULL and ends with an empty row.
 */
int cli_option(struct cli *cli, int argc, char **argv, const char *shorts,
               const struct option *longs);

/*
 * All options and arguments of a subcommand that takes no option but --json.
 * False: leave with cli->exit_code.
 */
bool cli_json_option(struct cli *cli, int argc, char **argv, int least, int most, bool *out_json);

/* Complain that usage is wrong, point at --help. Returns CLI_USAGE. */
int cli_wrong_usage(const struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Are plain arguments between `least` and `most`? Complains when not. */
bool cli_arguments(const struct cli *cli, int argc, int least, int most);

/* Write an error and its hint to stderr. */
void cli_print_error(const struct error *err);

/* Should what is written to this stream be coloured? */
bool cli_is_colored(const struct cli *cli, FILE *stream);

/* Columns of the terminal at this stream, 0 when it is none. */
unsigned cli_width(FILE *stream);

/* Write a text out whole; CLI_DONE, or CLI_NO when that failed (a full disk, say). */
int cli_write(FILE *stream, const struct text *text);
