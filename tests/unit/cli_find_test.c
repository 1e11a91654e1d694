#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "resolver/cli/cli.h"
#include "resolver/cli/cli_find.h"
#include "tests/unit/scratch.h"

static void a_socket_is_found_in_broken_yaml(void **state)
{
    static const struct {
        const char *yaml;
        const char *path; /* NULL: not found */
    } cases[] = {
        { "api: {socket: /run/a.sock, page: off}\n", "/run/a.sock" },
        { "node: [\napi:\n  # socket: /no\n  socket: \"/run/b c.sock\" # here\n", "/run/b c.sock" },
        { "api:\n\n  socket: '/run/c.sock'\nlog: x\n", "/run/c.sock" },
        { "api:\n  page: off\nother:\n  socket: /no\n", NULL },
        { "# api: {socket: /no}\n", NULL },
        { "api:\n  socket:\n", NULL },
        { "", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text out = { 0 };
        bool found = cli_find_scan(cases[i].yaml, &out);
        if (found != (cases[i].path != NULL)) {
            fail_msg("case %zu: %s", i, text_string(&out));
        }
        if (found) {
            assert_string_equal(text_string(&out), cases[i].path);
        }
        text_fini(&out);
    }
}

static void assert_socket(const struct cli *cli, const char *wanted)
{
    struct text out = { 0 };

    assert_true(cli_find_socket(cli, &out));
    assert_string_equal(text_string(&out), wanted);
    text_fini(&out);
}

static void an_option_stands_above_the_file(void **state)
{
    struct cli cli = { .socket_path = "/tmp/x.sock", .config_path = "/nonexistent" };

    (void)state;
    assert_socket(&cli, "/tmp/x.sock");
}

static void a_path_of_the_file_is_relative_to_it_even_when_it_is_broken(void **state)
{
    struct scratch scratch;
    struct cli cli = { 0 };
    char wanted[128];

    (void)state;
    scratch_init(&scratch);
    (void)snprintf(wanted, sizeof(wanted), "%s/x.sock", scratch.dir);
    cli.config_path = scratch_write(&scratch, "good.yaml", "api: {socket: x.sock}\n");
    assert_socket(&cli, wanted);
    cli.config_path = scratch_write(&scratch, "bad.yaml", "nonsense: 1\napi: {socket: x.sock}\n");
    assert_socket(&cli, wanted);
    cli.config_path = scratch_write(&scratch, "none.yaml", "nonsense: 1\n");
    assert_socket(&cli, "/run/leeward/leeward.sock");
    scratch_fini(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_socket_is_found_in_broken_yaml),
        cmocka_unit_test(an_option_stands_above_the_file),
        cmocka_unit_test(a_path_of_the_file_is_relative_to_it_even_when_it_is_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
