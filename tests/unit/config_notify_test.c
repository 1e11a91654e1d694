#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/config_world.h"
#include "tests/unit/scratch.h"

static void a_program_or_a_url_is_told(void **state)
{
    struct model *model = load_good("notify:\n"
                                    "  - {exec: [/bin/sh, -c, \"cat > /dev/null\"], on: region}\n"
                                    "  - exec: /bin/sh\n"
                                    "    on: [service, endpoint, override, guard, reload]\n"
                                    "    timeout: 3s\n"
                                    "    tries: 1\n"
                                    "  - {webhook: \"https://hooks.example.com/x?y=1\", on:"
                                    " [region, service]}\n");
    const struct model_hook *hooks = model->hooks;

    (void)state;
    assert_int_equal(model->hook_count, 3);
    assert_int_equal(hooks[0].argument_count, 3);
    assert_string_equal(hooks[0].arguments[0], "/bin/sh");
    assert_string_equal(hooks[0].arguments[2], "cat > /dev/null");
    assert_null(hooks[0].arguments[3]);
    assert_null(hooks[0].url);
    assert_int_equal(hooks[0].on, MODEL_NOTIFY_REGION);
    assert_int_equal(hooks[0].timeout_ms, 10000);
    assert_int_equal(hooks[0].tries, 5);
    assert_int_equal(hooks[1].on, 62);
    assert_int_equal(hooks[1].timeout_ms, 3000);
    assert_int_equal(hooks[1].tries, 1);
    assert_int_equal(hooks[1].place.line, 3);
    assert_null(hooks[2].arguments);
    assert_string_equal(hooks[2].url, "https://hooks.example.com/x?y=1");
    assert_int_equal(hooks[2].on, 3);
    model_free(model);
}

static void urls_are_looked_at(void **state)
{
    static const char *const good[] = {
        "http://a",         "https://hooks.example.com",
        "HTTPS://a:8443/x", "http://10.0.0.1:80?x=1",
        "http://[::1]/",    "http://[2001:db8::1]:9000/x",
        "http://a/b@c",     "http://a:65535",
    };
    static const char *const bad[] = {
        "a",           "ftp://a",       "http://",        "http:///x",         "http://:80/",
        "http://a:/",  "http://a:0",    "http://a:65536", "http://a:8x",       "http://a b/",
        "http://[::1", "http://[::1]x", "http://u:p@a/",  "http://a/\xc3\xa9", "http://a/{x}",
        "http://.a/",
    };
    char text[256];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        (void)snprintf(text, sizeof(text), "notify: [{webhook: \"%s\", on: region}]\n", good[i]);
        model_free(load_good(text));
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        (void)snprintf(text, sizeof(text), "notify: [{webhook: \"%s\", on: region}]\n", bad[i]);
        const struct bad one = { text, 1, 20, "notify[0].webhook: ", "e.g. webhook" };
        expect_bad(&one, 1);
    }
}

static void a_program_must_be_there_to_be_run(void **state)
{
    struct scratch scratch;
    char text[512];

    (void)state;
    scratch_init(&scratch);
    const char *path = scratch_write(&scratch, "hook", "#!/bin/sh\n");
    (void)snprintf(text, sizeof(text), "notify: [{exec: [%s], on: region}]\n", path);
    const struct bad bad = { text, 1, 18, "cannot be run", NULL };
    assert_int_equal(chmod(path, 0600), 0);
    expect_bad(&bad, 1);
    assert_int_equal(chmod(path, 0700), 0);
    model_free(load_good(text));
    scratch_fini(&scratch);
}

static void hooks_that_cannot_be_meant_are_refused(void **state)
{
    static const struct bad list[] = {
        { "notify: [{on: region}]\n", 1, 10, "exec is required, or webhook", "e.g. {exec" },
        { "notify: [{exec: /bin/sh, webhook: \"http://a\", on: region}]\n", 1, 10,
          "is either exec or webhook", NULL },
        { "notify: [{exec: /bin/sh}]\n", 1, 10, "on is required", "e.g. on" },
        { "notify: [{exec: /bin/sh, on: []}]\n", 1, 26, "told of nothing", NULL },
        { "notify: [{exec: /bin/sh, on: regoin}]\n", 1, 30, "unknown kind of event 'regoin'",
          "did you mean 'region'?" },
        { "notify: [{exec: /bin/sh, on: [region, region]}]\n", 1, 39, "region is named twice",
          NULL },
        { "notify: [{exec: sh, on: region}]\n", 1, 17, "'sh' is not a path", "whole path" },
        { "notify: [{exec: [], on: region}]\n", 1, 11, "there is no program", NULL },
        { "notify: [{exec: [[/bin/sh]], on: region}]\n", 1, 18, "must be a single value", NULL },
        { "notify: [{exec: /nonexistent/hook, on: region}]\n", 1, 17,
          "/nonexistent/hook cannot be run: No such file", NULL },
        { "notify: [{exec: /dev, on: region}]\n", 1, 17, "cannot be run: not a program", NULL },
        { "notify: [{exec: /bin/sh, on: region, tries: 0}]\n", 1, 45, "1 to 20", NULL },
        { "notify: [{exec: /bin/sh, on: region, timeout: 1ms}]\n", 1, 47, "100ms to 5m", NULL },
        { "notify: [/bin/sh]\n", 1, 10, "must be a map of keys and values", NULL },
        { "notify: me\n", 1, 9, "must be a list of maps", NULL },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

static void the_journal_laggards_and_generation_have_numbers(void **state)
{
    static const struct bad list[] = {
        { "journal: {size: 8}\n", 1, 17, "'8' has no unit", NULL },
        { "journal: {size: 1KiB}\n", 1, 17, "64KiB to 1GiB", NULL },
        { "journal: {files: 0}\n", 1, 18, "1 to 1000", NULL },
        { "laggards: 1000001\n", 1, 11, "0 to 1000000", NULL },
        { "generation: -1\n", 1, 13, "is not a whole number", NULL },
        { "generation: 18446744073709551616\n", 1, 13, "is not a whole number", NULL },
    };
    struct model *model = load_good("journal: {size: 1MiB, files: 9}\nlaggards: 4096\n"
                                    "generation: 18446744073709551615\n");

    (void)state;
    expect_bad(list, COUNT_OF(list));
    assert_true(model->journal_bytes == 1048576);
    assert_int_equal(model->journal_files, 9);
    assert_int_equal(model->laggards, 4096);
    assert_true(model->file_generation == UINT64_MAX);
    model_free(model);
    model = load_good("laggards: off\n");
    assert_true(model->journal_bytes == 8 * 1048576);
    assert_int_equal(model->journal_files, 4);
    assert_int_equal(model->laggards, 0);
    assert_true(model->file_generation == 0);
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_or_a_url_is_told),
        cmocka_unit_test(urls_are_looked_at),
        cmocka_unit_test(a_program_must_be_there_to_be_run),
        cmocka_unit_test(hooks_that_cannot_be_meant_are_refused),
        cmocka_unit_test(the_journal_laggards_and_generation_have_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
