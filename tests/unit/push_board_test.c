#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "policy/checks/push_board.h"

#define TTL 10000u

static void assert_view(struct push_board *board, const char *address, uint64_t now_ms,
                        enum push_standing standing, enum push_state state)
{
    struct push_view view;

    push_board_look(board, "queue", address, TTL, now_ms, &view);
    assert_int_equal(view.standing, standing);
    assert_int_equal(view.state, state);
}

static void a_report_holds_for_its_ttl(void **state)
{
    struct push_board *board = push_board_new();
    struct push_view view;

    (void)state;
    assert_int_equal(push_board_report(board, "queue", PUSH_DEGRADED, 3000, "long", 1000), 0);
    assert_view(board, NULL, 3999, PUSH_REPORTED, PUSH_DEGRADED);
    push_board_look(board, "queue", NULL, TTL, 5000, &view);
    assert_int_equal(view.standing, PUSH_EXPIRED);
    assert_int_equal(view.age_ms, 4000);
    assert_string_equal(view.message, "long");
    assert_int_equal(push_board_report(board, "queue", PUSH_UP, 3000, "", 6000), 0);
    assert_view(board, NULL, 6000, PUSH_REPORTED, PUSH_UP);
    push_board_free(board);
}

static void what_was_never_reported_has_its_ttl_from_the_first_look(void **state)
{
    struct push_board *board = push_board_new();

    (void)state;
    assert_view(board, NULL, 500000, PUSH_AWAITED, PUSH_UP);
    assert_view(board, NULL, 500000 + TTL - 1, PUSH_AWAITED, PUSH_UP);
    assert_view(board, NULL, 500000 + TTL, PUSH_MISSING, PUSH_UP);
    assert_int_equal(push_board_report(board, "queue", PUSH_UP, TTL, "", 600000), 0);
    assert_view(board, NULL, 600000, PUSH_REPORTED, PUSH_UP);
    push_board_free(board);
}

static void an_endpoints_own_report_goes_first_while_it_holds(void **state)
{
    struct push_board *board = push_board_new();

    (void)state;
    (void)push_board_report(board, "queue", PUSH_UP, 60000, "", 1000);
    (void)push_board_report(board, "queue/203.0.113.10", PUSH_DOWN, 5000, "", 1000);
    assert_view(board, "203.0.113.10", 2000, PUSH_REPORTED, PUSH_DOWN);
    assert_view(board, "203.0.113.11", 2000, PUSH_REPORTED, PUSH_UP);
    assert_view(board, NULL, 2000, PUSH_REPORTED, PUSH_UP);
    assert_view(board, "203.0.113.10", 6000, PUSH_REPORTED, PUSH_UP);
    assert_view(board, "203.0.113.10", 61000, PUSH_EXPIRED, PUSH_UP);
    push_board_free(board);
}

static void a_waiting_check_is_no_report_of_its_own(void **state)
{
    struct push_board *board = push_board_new();

    (void)state;
    assert_view(board, "203.0.113.10", 0, PUSH_AWAITED, PUSH_UP);
    (void)push_board_report(board, "queue/203.0.113.10", PUSH_UP, 1000, "", 100);
    assert_view(board, "203.0.113.10", 5000, PUSH_EXPIRED, PUSH_UP);
    assert_view(board, "203.0.113.11", 5000, PUSH_AWAITED, PUSH_UP);
    push_board_free(board);
}

static void a_full_board_forgets_only_what_expired_long_ago(void **state)
{
    struct push_board *board = push_board_new();
    struct push_view view;
    char name[32];

    (void)state;
    for (unsigned i = 0; i < PUSH_BOARD_TARGETS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "target-%u", i);
        assert_int_equal(push_board_report(board, name, PUSH_UP, TTL, "", 0), 0);
    }
    assert_int_equal(push_board_report(board, "queue", PUSH_UP, TTL, "", TTL), -ENOSPC);
    assert_int_equal(push_board_report(board, "target-7", PUSH_DOWN, TTL, "", TTL), 0);
    assert_view(board, NULL, TTL, PUSH_AWAITED, PUSH_UP); /* and it is not blamed */
    assert_int_equal(push_board_report(board, "queue", PUSH_UP, TTL, "", TTL + 3600000), 0);
    push_board_look(board, "target-7", NULL, TTL, TTL + 3600000, &view);
    assert_int_equal(view.state, PUSH_DOWN);
    push_board_free(board);
}

static void too_long_a_name_is_refused(void **state)
{
    struct push_board *board = push_board_new();
    char name[PUSH_BOARD_NAME_MAX + 1];

    (void)state;
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(push_board_report(board, name, PUSH_UP, TTL, "", 0), -ENAMETOOLONG);
    push_board_free(board);
}

static void note(void *user, const char *target)
{
    (void)snprintf(user, 64, "%s", target);
}

static void a_listener_hears_of_each_report(void **state)
{
    struct push_board *board = push_board_new();
    char heard[64] = "";

    (void)state;
    push_board_listen(board, note, heard);
    (void)push_board_report(board, "queue/::1", PUSH_UP, TTL, "", 0);
    assert_string_equal(heard, "queue/::1");
    push_board_free(board);
}

static void states_have_names(void **state)
{
    enum push_state got;

    (void)state;
    assert_true(push_state_parse("degraded", &got));
    assert_int_equal(got, PUSH_DEGRADED);
    assert_string_equal(push_state_name(PUSH_DOWN), "down");
    assert_false(push_state_parse("Up", &got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_holds_for_its_ttl),
        cmocka_unit_test(what_was_never_reported_has_its_ttl_from_the_first_look),
        cmocka_unit_test(an_endpoints_own_report_goes_first_while_it_holds),
        cmocka_unit_test(a_waiting_check_is_no_report_of_its_own),
        cmocka_unit_test(a_full_board_forgets_only_what_expired_long_ago),
        cmocka_unit_test(too_long_a_name_is_refused),
        cmocka_unit_test(a_listener_hears_of_each_report),
        cmocka_unit_test(states_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
