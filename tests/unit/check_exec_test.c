/*
 * Exec checks with programs of this machine, and with real monitoring plugins
 * where they are installed. The helper is this test's own binary.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <unistd.h>

#include "base/spawner_helper.h"
#include "policy/programs.h"
#include "tests/unit/probe_world.h"

#define PLUGINS "/usr/lib/nagios/plugins/"

static void use(struct probe_world *w, const char *const *arguments)
{
    w->check.arguments = arguments;
    for (w->check.argument_count = 0; arguments[w->check.argument_count] != NULL;) {
        w->check.argument_count++;
    }
}

static void assert_shell(struct probe_world *w, const char *script, enum detect_outcome outcome,
                         const char *reason)
{
    const char *const arguments[] = { "/bin/sh", "-c", script, NULL };

    use(w, arguments);
    assert_probe(w, outcome, reason);
}

static void a_program_decides_by_its_exit_code(void **state)
{
    struct probe_world w;

    (void)state;
    probe_world_init(&w, MODEL_CHECK_EXEC, "203.0.113.10:8080");
    assert_shell(&w, "echo 'OK - fine | load=1'", DETECT_PASS, "OK - fine");
    assert_shell(&w, "echo slow; exit 1", DETECT_WARNING, "slow");
    assert_shell(&w, "echo dead; exit 2", DETECT_STRONG, "dead");
    assert_shell(&w, "echo what >&2; exit 3", DETECT_VOID, "what");
    probe_world_fini(&w);
}

static void it_is_told_about_its_target(void **state)
{
    struct probe_world w;

    (void)state;
    probe_world_init(&w, MODEL_CHECK_EXEC, "[2001:db8::5]:8080");
    w.check.name = "queue";
    assert_shell(&w, "echo $LEEWARD_ADDRESS $LEEWARD_PORT $LEEWARD_FAMILY $LEEWARD_CHECK",
                 DETECT_PASS, "2001:db8::5 8080 6 queue");
    assert_shell(&w, "test -n \"$PATH\" && test -z \"$HOME\" && echo clean", DETECT_PASS, "clean");
    probe_world_fini(&w);
}

static void what_cannot_be_run_is_no_evidence(void **state)
{
    const char *const nowhere[] = { "/nowhere/check_x", NULL };
    struct probe_world w;

    (void)state;
    probe_world_init(&w, MODEL_CHECK_EXEC, NULL);
    use(&w, nowhere);
    assert_probe(&w, DETECT_VOID, "/nowhere/check_x: No such file or directory");
    assert_shell(&w, "kill -KILL $$", DETECT_VOID, "the program was ended by signal 9 (Killed)");
    probe_world_fini(&w);
}

static void a_cancelled_one_is_killed(void **state)
{
    /* its output is a pipe that closes when it is gone */
    char script[128];
    const char *const arguments[] = { "/bin/sh", "-c", script, NULL };
    struct probe_world w;
    int ends[2];
    char byte;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    (void)snprintf(script, sizeof(script), "exec 5>/proc/%d/fd/%d; echo x >&5; sleep 1000",
                   getpid(), ends[1]);
    probe_world_init(&w, MODEL_CHECK_EXEC, NULL);
    use(&w, arguments);
    probe_start(&w);
    assert_int_equal(read(ends[0], &byte, 1), 1); /* it runs */
    assert_int_equal(close(ends[1]), 0);
    probe_cancel(&w);
    while (read(ends[0], &byte, 1) > 0) {
    }
    assert_int_equal(close(ends[0]), 0);
    probe_world_fini(&w);
}

static void ignore_done(struct check_attempt *attempt, enum detect_outcome outcome,
                        bool misconfigured, const char *reason)
{
    (void)attempt;
    (void)outcome;
    (void)misconfigured;
    (void)reason;
}

static void more_than_may_run_are_not_started(void **state)
{
    const char *const arguments[] = { "/bin/sleep", "1000", NULL };
    struct check_attempt *attempts[SPAWNER_PROGRAMS_MAX];
    struct probe_world w;
    int error = 0;

    (void)state;
    probe_world_init(&w, MODEL_CHECK_EXEC, NULL);
    use(&w, arguments);
    for (size_t i = 0; i < SPAWNER_PROGRAMS_MAX; i++) {
        attempts[i] = check_exec_kind.start(&w.loop, &w.probe, ignore_done, NULL, &error);
        assert_non_null(attempts[i]);
    }
    assert_null(check_exec_kind.start(&w.loop, &w.probe, ignore_done, NULL, &error));
    assert_int_equal(error, UV_EAGAIN);
    for (size_t i = 0; i < SPAWNER_PROGRAMS_MAX; i++) {
        check_exec_kind.cancel(attempts[i]);
    }
    probe_world_fini(&w);
}

/* ---- monitoring plugins ---- */

static bool has_plugins(void)
{
    return access(PLUGINS "check_dummy", X_OK) == 0 && access(PLUGINS "check_tcp", X_OK) == 0;
}

static void plugins_are_understood(void **state)
{
    static const char *const codes[] = { "0", "1", "2", "3" };
    static const enum detect_outcome outcomes[] = { DETECT_PASS, DETECT_WARNING, DETECT_STRONG,
                                                    DETECT_VOID };
    static const char *const words[] = { "OK: it said so", "WARNING: it said so",
                                         "CRITICAL: it said so", "UNKNOWN: it said so" };
    struct probe_world w;

    (void)state;
    if (!has_plugins()) {
        skip();
    }
    probe_world_init(&w, MODEL_CHECK_EXEC, NULL);
    for (size_t i = 0; i < 4; i++) {
        const char *const arguments[] = { PLUGINS "check_dummy", codes[i], "it said so", NULL };
        use(&w, arguments);
        assert_probe(&w, outcomes[i], words[i]);
    }
    probe_world_fini(&w);
}

static void check_tcp_finds_a_listener_and_its_absence(void **state)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
    socklen_t size = sizeof(address);
    struct probe_world w;
    char port[8];
    const char *const arguments[] = {
        PLUGINS "check_tcp", "-H", "127.0.0.1", "-p", port, "-t", "60", NULL
    };

    (void)state;
    if (!has_plugins()) {
        skip();
    }
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(port, sizeof(port), "%u", ntohs(address.sin_port));
    probe_world_init(&w, MODEL_CHECK_EXEC, NULL);
    use(&w, arguments);
    probe_start(&w);
    probe_wait_gone(&w);
    assert_int_equal(w.outcome, DETECT_PASS);
    assert_memory_equal(w.reason, "TCP OK", 6);
    assert_null(strchr(w.reason, '|'));
    (void)close(fd);
    probe_start(&w);
    probe_wait_gone(&w);
    assert_int_equal(w.outcome, DETECT_STRONG);
    probe_world_fini(&w);
}

static int stop(void **state)
{
    (void)state;
    programs_stop();
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_decides_by_its_exit_code),
        cmocka_unit_test(it_is_told_about_its_target),
        cmocka_unit_test(what_cannot_be_run_is_no_evidence),
        cmocka_unit_test(a_cancelled_one_is_killed),
        cmocka_unit_test(more_than_may_run_are_not_started),
        cmocka_unit_test(plugins_are_understood),
        cmocka_unit_test(check_tcp_finds_a_listener_and_its_absence),
    };

    if (argc == 2 && strcmp(argv[1], SPAWNER_COMMAND) == 0) {
        return spawner_helper_run();
    }
    return cmocka_run_group_tests(tests, NULL, stop);
}
