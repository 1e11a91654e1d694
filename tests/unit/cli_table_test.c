#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "resolver/cli/cli_table.h"

static const char *const heads[] = { "NAME", "STATE", "REASON" };

static void put(const struct cli_table *table, bool colored, unsigned width, const char *wanted)
{
    struct text out = { 0 };

    cli_table_put(table, colored, width, &out);
    assert_string_equal(text_string(&out), wanted);
    text_fini(&out);
}

static void fill(struct cli_table *table)
{
    cli_table_init(table, 3, heads);
    cli_table_add(table, CLI_PAINT_STRONG, "%s", "seoul");
    cli_table_add(table, CLI_PAINT_BAD, "%s", "gated");
    cli_table_add(table, CLI_PAINT_PLAIN, "%s", "no answer");
    cli_table_add(table, CLI_PAINT_STRONG, "%s", "t");
    cli_table_end_row(table);
}

static void columns_stand_below_each_other_without_blanks_behind(void **state)
{
    struct cli_table table;

    (void)state;
    fill(&table);
    put(&table, false, 0, "NAME   STATE  REASON\nseoul  gated  no answer\nt\n");
    cli_table_fini(&table);
}

static void lines_are_cut_to_the_width(void **state)
{
    struct cli_table table;

    (void)state;
    fill(&table);
    put(&table, false, 18, "NAME   STATE  REAS\nseoul  gated  no a\nt\n");
    put(&table, false, 14, "NAME   STATE\nseoul  gated\nt\n");
    put(&table, false, 3, "NAM\nseo\nt\n");
    cli_table_fini(&table);
}

static void colour_changes_no_width(void **state)
{
    struct cli_table table;

    (void)state;
    fill(&table);
    put(&table, true, 0,
        "\033[2mNAME\033[0m   \033[2mSTATE\033[0m  \033[2mREASON\033[0m\n"
        "\033[1mseoul\033[0m  \033[31mgated\033[0m  no answer\n\033[1mt\033[0m\n");
    cli_table_fini(&table);
}

static void strangers_do_not_steer_the_terminal(void **state)
{
    struct text out = { 0 };

    (void)state;
    cli_table_paint(&out, false, CLI_PAINT_PLAIN, "a\033[2Jb\nc\x7f\xc3\xa9");
    assert_string_equal(text_string(&out), "a?[2Jb?c?\xc3\xa9");
    text_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_stand_below_each_other_without_blanks_behind),
        cmocka_unit_test(lines_are_cut_to_the_width),
        cmocka_unit_test(colour_changes_no_width),
        cmocka_unit_test(strangers_do_not_steer_the_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
