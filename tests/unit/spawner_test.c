/*
 * The spawner with real programs of this machine: its helper is this test's
 * own binary, started anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/spawner.h"
#include "base/spawner_helper.h"

#define PATIENCE_MS 60000 /* for a slow and busy machine */

static const char *const bare[] = { NULL };

static struct spawner open_spawner(void)
{
    struct spawner spawner;
    struct error err;

    assert_int_equal(spawner_open(&spawner, &err), 0);
    return spawner;
}

/* The next result; it must come. */
static void wait_result(const struct spawner *spawner, struct spawner_result *out)
{
    struct pollfd ready = { .fd = spawner->fd, .events = POLLIN };
    int rc = 0;

    while (rc == 0) {
        assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
        rc = spawner_receive(spawner, out);
    }
    assert_int_equal(rc, 1);
}

static int run_shell(const struct spawner *spawner, uint32_t id, const char *script,
                     uint32_t timeout_ms)
{
    const char *const arguments[] = { "/bin/sh", "-c", script, NULL };
    struct spawner_program program = {
        .arguments = arguments,
        .environment = bare,
        .timeout_ms = timeout_ms,
    };

    return spawner_run(spawner, id, &program);
}

static void shell(const char *script, struct spawner_result *out)
{
    struct spawner spawner = open_spawner();

    assert_int_equal(run_shell(&spawner, 7, script, 0), 0);
    wait_result(&spawner, out);
    assert_int_equal(out->id, 7);
    spawner_close(&spawner);
}

/* Nothing may be there to reap it: a dead process that still has its number is dead. */
static bool is_alive(int pid)
{
    char path[64];
    char line[256] = "";

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    (void)!fgets(line, sizeof(line), file);
    (void)fclose(file);
    const char *state = strrchr(line, ')');
    return state != NULL && strncmp(state, ") Z", 3) != 0 && strncmp(state, ") X", 3) != 0;
}

/* ---- claims ---- */

static void what_a_program_says_and_its_exit_code_come_back(void **state)
{
    struct spawner_result result;

    (void)state;
    shell("echo all is well; echo but look >&2; exit 3", &result);
    assert_int_equal(result.end, SPAWNER_EXITED);
    assert_int_equal(result.value, 3);
    assert_string_equal(result.output, "all is well\n");
    assert_string_equal(result.complaint, "but look\n");
}

static void only_the_beginning_of_much_output_is_kept(void **state)
{
    struct spawner_result result;

    (void)state;
    shell("i=0; while [ $i -lt 2000 ]; do "
          "echo 0123456789012345678901234567890123456789012345678901234567890123456789; "
          "i=$((i + 1)); done",
          &result);
    assert_int_equal(result.end, SPAWNER_EXITED);
    assert_int_equal(result.value, 0);
    assert_int_equal(result.output_size, SPAWNER_OUTPUT_MAX);
    assert_memory_equal(result.output, "0123456789", 10);
}

static void it_gets_the_environment_it_was_given_and_no_other(void **state)
{
    const char *const arguments[] = { "/usr/bin/env", NULL };
    const char *const environment[] = { "LEEWARD_ADDRESS=203.0.113.10", "PATH=/usr/bin:/bin",
                                        NULL };
    struct spawner_program program = { .arguments = arguments, .environment = environment };
    struct spawner spawner = open_spawner();
    struct spawner_result result;

    (void)state;
    assert_int_equal(spawner_run(&spawner, 1, &program), 0);
    wait_result(&spawner, &result);
    assert_string_equal(result.output, "LEEWARD_ADDRESS=203.0.113.10\nPATH=/usr/bin:/bin\n");
    spawner_close(&spawner);
}

static void its_input_is_what_was_given(void **state)
{
    const char *const arguments[] = { "/bin/cat", NULL };
    static char input[50000];
    struct spawner_program program = {
        .arguments = arguments,
        .environment = bare,
        .input = input,
        .input_size = sizeof(input),
    };
    struct spawner spawner = open_spawner();
    struct spawner_result result;

    (void)state;
    memset(input, 'x', sizeof(input));
    memcpy(input, "first", 5);
    assert_int_equal(spawner_run(&spawner, 1, &program), 0);
    wait_result(&spawner, &result);
    assert_int_equal(result.end, SPAWNER_EXITED);
    assert_int_equal(result.value, 0); /* it read to the end */
    assert_memory_equal(result.output, "firstxxx", 8);
    spawner_close(&spawner);
}

static void a_program_that_does_not_read_its_input_ends_well(void **state)
{
    const char *const arguments[] = { "/bin/true", NULL };
    struct spawner_program program = {
        .arguments = arguments,
        .environment = bare,
        .input = "{}",
        .input_size = 2,
    };
    struct spawner spawner = open_spawner();
    struct spawner_result result;

    (void)state;
    assert_int_equal(spawner_run(&spawner, 1, &program), 0);
    wait_result(&spawner, &result);
    assert_int_equal(result.end, SPAWNER_EXITED);
    assert_int_equal(result.value, 0);
    spawner_close(&spawner);
}

static void it_has_no_descriptors_but_three(void **state)
{
    struct spawner_result result;

    (void)state;
    /* the fourth is of the directory that ls itself has open */
    shell("ls /proc/self/fd | wc -l; readlink /proc/self/fd/0", &result);
    assert_string_equal(result.output, "4\n/dev/null\n");
}

static void what_is_not_there_is_told_as_such(void **state)
{
    const char *const arguments[] = { "/nowhere/plugin", NULL };
    struct spawner_program program = { .arguments = arguments, .environment = bare };
    struct spawner spawner = open_spawner();
    struct spawner_result result;

    (void)state;
    assert_int_equal(spawner_run(&spawner, 1, &program), 0);
    wait_result(&spawner, &result);
    assert_int_equal(result.end, SPAWNER_NOT_STARTED);
    assert_int_equal(result.value, ENOENT);
    spawner_close(&spawner);
}

static void a_signal_is_told_apart_from_an_exit(void **state)
{
    struct spawner_result result;

    (void)state;
    shell("kill -SEGV $$", &result);
    assert_int_equal(result.end, SPAWNER_KILLED);
    assert_int_equal(result.value, SIGSEGV);
}

static void its_time_limit_kills_it_and_what_it_started(void **state)
{
    struct spawner spawner = open_spawner();
    struct spawner_result result;

    (void)state;
    assert_int_equal(run_shell(&spawner, 1, "sleep 1000 & echo $!; wait", 300), 0);
    wait_result(&spawner, &result);
    assert_int_equal(result.end, SPAWNER_TIMED_OUT);
    int child = atoi(result.output);
    for (int i = 0; child > 1 && is_alive(child) && i < PATIENCE_MS / 10; i++) {
        (void)poll(NULL, 0, 10);
    }
    assert_true(child == 0 || !is_alive(child)); /* 0: it was killed before it said so */
    spawner_close(&spawner);
}

static void what_a_program_leaves_behind_is_killed_too(void **state)
{
    struct spawner_result result;

    (void)state;
    shell("sleep 1000 >/dev/null 2>&1 & echo $!", &result);
    assert_int_equal(result.end, SPAWNER_EXITED);
    int child = atoi(result.output);
    assert_true(child > 1);
    for (int i = 0; is_alive(child) && i < PATIENCE_MS / 10; i++) {
        (void)poll(NULL, 0, 10);
    }
    assert_false(is_alive(child));
}

static void one_that_was_cancelled_sends_no_result(void **state)
{
    struct spawner spawner = open_spawner();
    struct spawner_result result;

    (void)state;
    assert_int_equal(run_shell(&spawner, 1, "sleep 1000", 0), 0);
    assert_int_equal(spawner_cancel(&spawner, 1), 0);
    assert_int_equal(run_shell(&spawner, 2, "exit 0", 0), 0);
    wait_result(&spawner, &result);
    assert_int_equal(result.id, 2);
    spawner_close(&spawner);
}

static void more_than_it_may_run_are_refused(void **state)
{
    struct spawner spawner = open_spawner();
    struct spawner_result result;

    (void)state;
    for (uint32_t i = 1; i <= SPAWNER_PROGRAMS_MAX + 1; i++) {
        assert_int_equal(run_shell(&spawner, i, "sleep 1000", 0), 0);
    }
    wait_result(&spawner, &result);
    assert_int_equal(result.end, SPAWNER_REFUSED);
    assert_int_equal(result.id, SPAWNER_PROGRAMS_MAX + 1);
    spawner_close(&spawner); /* which kills the others */
}

static void too_long_a_request_is_refused(void **state)
{
    static char input[SPAWNER_REQUEST_MAX];
    const char *const arguments[] = { "/bin/true", NULL };
    struct spawner_program program = {
        .arguments = arguments,
        .environment = bare,
        .input = input,
        .input_size = sizeof(input),
    };
    struct spawner spawner = open_spawner();

    (void)state;
    assert_int_equal(spawner_run(&spawner, 1, &program), -E2BIG);
    spawner_close(&spawner);
}

static void with_the_server_go_the_programs(void **state)
{
    struct spawner spawner = open_spawner();
    int ends[2];
    char byte;

    (void)state;
    /* the program holds the only other end of a pipe through /proc, until it is gone */
    assert_int_equal(pipe(ends), 0);
    char script[128];
    (void)snprintf(script, sizeof(script), "exec sleep 1000 >/proc/%d/fd/%d", getpid(), ends[1]);
    assert_int_equal(run_shell(&spawner, 1, script, 0), 0);
    assert_int_equal(run_shell(&spawner, 2, "exit 0", 0), 0);
    struct spawner_result result;
    wait_result(&spawner, &result); /* the first is started by now */
    assert_int_equal(close(ends[1]), 0);
    spawner_close(&spawner);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    (void)close(ends[0]);
}

static void a_helper_that_is_gone_is_noticed(void **state)
{
    struct spawner spawner = open_spawner();
    struct pollfd ready = { .fd = spawner.fd, .events = POLLIN };
    struct spawner_result result;

    (void)state;
    assert_int_equal(kill(spawner.pid, SIGKILL), 0);
    assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
    assert_int_equal(spawner_receive(&spawner, &result), -EPIPE);
    assert_int_equal(run_shell(&spawner, 1, "exit 0", 0), -EPIPE);
    spawner_close(&spawner);
}

static void by_hand_the_helper_does_nothing(void **state)
{
    int kept = dup(SPAWNER_HELPER_FD);

    (void)state;
    (void)close(SPAWNER_HELPER_FD);
    assert_int_equal(spawner_helper_run(), 1);
    if (kept >= 0) {
        (void)dup2(kept, SPAWNER_HELPER_FD);
        (void)close(kept);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_program_says_and_its_exit_code_come_back),
        cmocka_unit_test(only_the_beginning_of_much_output_is_kept),
        cmocka_unit_test(it_gets_the_environment_it_was_given_and_no_other),
        cmocka_unit_test(its_input_is_what_was_given),
        cmocka_unit_test(a_program_that_does_not_read_its_input_ends_well),
        cmocka_unit_test(it_has_no_descriptors_but_three),
        cmocka_unit_test(what_is_not_there_is_told_as_such),
        cmocka_unit_test(a_signal_is_told_apart_from_an_exit),
        cmocka_unit_test(its_time_limit_kills_it_and_what_it_started),
        cmocka_unit_test(what_a_program_leaves_behind_is_killed_too),
        cmocka_unit_test(one_that_was_cancelled_sends_no_result),
        cmocka_unit_test(more_than_it_may_run_are_refused),
        cmocka_unit_test(too_long_a_request_is_refused),
        cmocka_unit_test(with_the_server_go_the_programs),
        cmocka_unit_test(a_helper_that_is_gone_is_noticed),
        cmocka_unit_test(by_hand_the_helper_does_nothing),
    };

    if (argc == 2 && strcmp(argv[1], SPAWNER_COMMAND) == 0) {
        return spawner_helper_run();
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
