#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "resolver/cli/cli.h"

/* What the command under test saw. */
static struct {
    unsigned runs;
    struct cli cli;
    int words;
    bool json;
} seen;

static int run_probe(struct cli *cli, int argc, char **argv)
{
    static const struct option longs[] = {
        { "json", no_argument, NULL, 'j' },
        { "client", required_argument, NULL, 512 },
        { NULL, 0, NULL, 0 },
    };
    int option;

    seen.runs++;
    while ((option = cli_option(cli, argc, argv, "j", longs)) >= 0) {
        seen.json = seen.json || option == 'j';
    }
    if (option == CLI_OPTION_EXIT) {
        return cli->exit_code;
    }
    if (!cli_arguments(cli, argc, 0, 2)) {
        return CLI_USAGE;
    }
    seen.words = argc - optind;
    seen.cli = *cli;
    return CLI_DONE;
}

static const struct cli_command commands[] = {
    { "probe", "probe [NAME] [TYPE]", "looks", "  -j, --json  x\n", run_probe },
    { "later", "", "", "", NULL },
    { NULL, NULL, NULL, NULL, NULL },
};

/* The words of a command line, run; output goes nowhere. */
static int run(const char *line)
{
    char words[256];
    char *argv[16] = { "leeward" };
    int argc = 1;

    memset(&seen, 0, sizeof(seen));
    (void)strncpy(words, line, sizeof(words) - 1);
    words[sizeof(words) - 1] = '\0';
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    optind = 0;
    return cli_main(commands, argc, argv);
}

static void options_stand_before_or_behind_the_command(void **state)
{
    static const char *const lines[] = {
        "--socket /x --color never -v -c f probe --json a b",
        "probe a -v --socket=/x b --json -c f --color never",
        "-v probe a b -j --config f --socket /x --color=never",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_int_equal(run(lines[i]), CLI_DONE);
        assert_int_equal(seen.runs, 1);
        assert_int_equal(seen.words, 2);
        assert_true(seen.json);
        assert_true(seen.cli.verbose);
        assert_false(seen.cli.quiet);
        assert_int_equal(seen.cli.color, CLI_NEVER);
    }
}

static void wrong_usage_has_its_own_code(void **state)
{
    static const char *const lines[] = {
        "",
        "prob",
        "later",
        "help nothing",
        "help later",
        "probe a b c",
        "probe --jsno",
        "probe --json=yes",
        "probe --client",
        "probe -x",
        "probe -c",
        "--color sometimes probe",
        "--what probe",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        int code = run(lines[i]);
        if (code != CLI_USAGE) {
            fail_msg("'%s' gives %d", lines[i], code);
        }
    }
}

static void help_is_no_error(void **state)
{
    static const char *const lines[] = {
        "help",         "help probe",   "--help",         "-h",
        "probe --help", "--help probe", "probe -h x y z", "--version",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        int code = run(lines[i]);
        if (code != CLI_DONE) {
            fail_msg("'%s' gives %d", lines[i], code);
        }
        assert_int_equal(seen.words, 0);
    }
}

static void colour_is_a_wish_of_the_user(void **state)
{
    struct cli cli = { .color = CLI_ALWAYS };

    (void)state;
    (void)setenv("NO_COLOR", "1", 1);
    assert_true(cli_is_colored(&cli, stdout));
    cli.color = CLI_AUTO;
    assert_false(cli_is_colored(&cli, stdout));
    (void)unsetenv("NO_COLOR");
    cli.color = CLI_NEVER;
    assert_false(cli_is_colored(&cli, stdout));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_before_or_behind_the_command),
        cmocka_unit_test(wrong_usage_has_its_own_code),
        cmocka_unit_test(help_is_no_error),
        cmocka_unit_test(colour_is_a_wish_of_the_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
