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
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/spawner_helper.h"
#include "policy/programs.h"

#define PATIENCE_MS 60000

struct world {
    uv_loop_t loop;
    uv_timer_t patience;
    bool impatient;
    unsigned ended;
    struct spawner_result result;
    uint32_t id;
};

static void on_patience(uv_timer_t *timer)
{
    ((struct world *)timer->data)->impatient = true;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    (void)uv_timer_init(&w->loop, &w->patience);
    w->patience.data = w;
    (void)uv_timer_start(&w->patience, on_patience, PATIENCE_MS, 0);
    uv_unref((uv_handle_t *)&w->patience);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    programs_stop();
    uv_close((uv_handle_t *)&w->patience, NULL);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    free(w);
    return 0;
}

static void on_ended(void *user, const struct spawner_result *result)
{
    struct world *w = user;

    w->ended++;
    w->result = *result;
}

static void run(struct world *w, const char *script)
{
    static const char *const bare[] = { NULL };
    const char *const arguments[] = { "/bin/sh", "-c", script, NULL };
    struct spawner_program program = { .arguments = arguments, .environment = bare };
    struct error err;

    assert_int_equal(programs_run(&w->loop, &program, on_ended, w, &w->id, &err), 0);
}

/* Until the loop has nothing left to wait for. */
static void turn(struct world *w)
{
    while (uv_run(&w->loop, UV_RUN_ONCE) != 0 && !w->impatient) {
    }
    assert_false(w->impatient);
}

/* A number that a program printed. */
static pid_t helper_of(struct world *w)
{
    run(w, "echo $PPID");
    turn(w);
    return (pid_t)atoi(w->result.output);
}

static void a_program_tells_its_end_and_leaves_the_loop_alone(void **state)
{
    struct world *w = *state;

    run(w, "echo done; exit 4");
    turn(w); /* ends: nothing is watched while nothing runs */
    assert_int_equal(w->ended, 1);
    assert_int_equal(w->result.end, SPAWNER_EXITED);
    assert_int_equal(w->result.value, 4);
    assert_string_equal(w->result.output, "done\n");
}

static void all_that_run_share_one_helper(void **state)
{
    struct world *w = *state;
    pid_t first = helper_of(w);

    assert_true(first > 1);
    assert_int_not_equal(first, getpid());
    assert_int_equal(helper_of(w), first);
}

static void a_cancelled_one_tells_nothing(void **state)
{
    struct world *w = *state;

    run(w, "sleep 1000");
    programs_cancel(w->id);
    programs_cancel(w->id);
    turn(w);
    assert_int_equal(w->ended, 0);
}

static void a_helper_that_died_while_idle_is_replaced(void **state)
{
    struct world *w = *state;
    pid_t first = helper_of(w);

    assert_int_equal(kill(first, SIGKILL), 0);
    /* its end of the pair closes with it; until then a program may still be lost */
    for (w->result.end = SPAWNER_NOT_STARTED; w->result.end == SPAWNER_NOT_STARTED;) {
        run(w, "echo $PPID");
        turn(w);
    }
    assert_int_not_equal(atoi(w->result.output), first);
}

static void programs_of_a_helper_that_dies_are_told(void **state)
{
    struct world *w = *state;

    run(w, "kill -KILL $PPID");
    turn(w);
    assert_int_equal(w->ended, 1);
    assert_int_equal(w->result.end, SPAWNER_NOT_STARTED);
    assert_int_equal(w->result.value, EPIPE);
    run(w, "exit 0");
    turn(w);
    assert_int_equal(w->ended, 2);
    assert_int_equal(w->result.end, SPAWNER_EXITED);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_program_tells_its_end_and_leaves_the_loop_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(all_that_run_share_one_helper, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cancelled_one_tells_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_helper_that_died_while_idle_is_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(programs_of_a_helper_that_dies_are_told, setup, teardown),
    };

    if (argc == 2 && strcmp(argv[1], SPAWNER_COMMAND) == 0) {
        return spawner_helper_run();
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
