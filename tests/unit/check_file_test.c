#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/checks/check_file.h"
#include "tests/unit/probe_world.h"
#include "tests/unit/scratch.h"

static void assert_says(const char *bytes, enum detect_outcome outcome, const char *reason)
{
    char got[160];

    assert_int_equal(check_file_judge(bytes, strlen(bytes), got, sizeof(got)), outcome);
    assert_string_equal(got, reason);
}

static void the_first_word_decides(void **state)
{
    (void)state;
    assert_says("", DETECT_PASS, "up");
    assert_says("up\n", DETECT_PASS, "up");
    assert_says("ok, since Tuesday", DETECT_PASS, "up");
    assert_says("downtown is fine", DETECT_PASS, "up");
    assert_says("down", DETECT_STRONG, "the file says down");
    assert_says("  \nDOWN\nfor no reason", DETECT_STRONG, "the file says down");
    assert_says("down: new disk\nmore", DETECT_STRONG, "the file says down: new disk");
    assert_says("Down new disk\r\n", DETECT_STRONG, "the file says down: new disk");
    assert_says("degraded half of the disks", DETECT_WARNING,
                "the file says degraded: half of the disks");
    assert_says("warning\n", DETECT_WARNING, "the file says degraded");
}

static void only_the_beginning_counts(void **state)
{
    char bytes[CHECK_FILE_BYTES + 100];
    char got[160];

    (void)state;
    memset(bytes, ' ', sizeof(bytes));
    memcpy(bytes + CHECK_FILE_BYTES, "down", 4);
    assert_int_equal(check_file_judge(bytes, sizeof(bytes), got, sizeof(got)), DETECT_PASS);
    memcpy(bytes + 1, "down", 4);
    memset(bytes + 6, 'x', sizeof(bytes) - 6);
    assert_int_equal(check_file_judge(bytes, sizeof(bytes), got, sizeof(got)), DETECT_STRONG);
    assert_in_range(strlen(got), 100, sizeof(got) - 1);
}

static void a_file_is_read_anew_by_each_probe(void **state)
{
    struct scratch scratch;
    struct probe_world w;

    (void)state;
    scratch_init(&scratch);
    probe_world_init(&w, MODEL_CHECK_FILE, NULL);
    w.check.file = strdup(scratch_write(&scratch, "health", "up\n"));
    assert_probe(&w, DETECT_PASS, "up");
    (void)scratch_write(&scratch, "health", "down for repairs\n");
    assert_probe(&w, DETECT_STRONG, "the file says down: for repairs");
    assert_int_equal(unlink(w.check.file), 0);
    assert_probe(&w, DETECT_STRONG, "no file");
    free((void *)(uintptr_t)w.check.file);
    probe_world_fini(&w);
    scratch_fini(&scratch);
}

static void what_is_no_regular_file_neither_hangs_nor_decides(void **state)
{
    struct scratch scratch;
    struct probe_world w;
    char path[300];

    (void)state;
    scratch_init(&scratch);
    (void)snprintf(path, sizeof(path), "%s/pipe", scratch.dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    probe_world_init(&w, MODEL_CHECK_FILE, NULL);
    w.check.file = path;
    assert_probe(&w, DETECT_VOID, "not a regular file");
    w.check.file = scratch.dir;
    assert_probe(&w, DETECT_VOID, "not a regular file");
    w.check.file = "/dev/zero";
    assert_probe(&w, DETECT_VOID, "not a regular file");
    probe_world_fini(&w);
    scratch_fini(&scratch);
}

static void one_that_was_cancelled_says_nothing(void **state)
{
    struct probe_world w;

    (void)state;
    probe_world_init(&w, MODEL_CHECK_FILE, NULL);
    w.check.file = "/nowhere";
    probe_start(&w);
    probe_cancel(&w);
    probe_world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_word_decides),
        cmocka_unit_test(only_the_beginning_counts),
        cmocka_unit_test(a_file_is_read_anew_by_each_probe),
        cmocka_unit_test(what_is_no_regular_file_neither_hangs_nor_decides),
        cmocka_unit_test(one_that_was_cancelled_says_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
