#include "resolver/forward/habits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define NOW UINT64_C(1000000)

static const uint8_t client[HABITS_CLIENT_COOKIE] = "client 1";
static const uint8_t other[HABITS_CLIENT_COOKIE] = "client 2";
static const uint8_t server[HABITS_SERVER_COOKIE] = "a server's cookie of 32 bytes!!";

static void everything_is_believed_of_a_new_one(void **state)
{
    struct habits habits = { 0 };

    (void)state;
    assert_true(habits_has(&habits, HABITS_CASE, NOW));
    assert_true(habits_has(&habits, HABITS_COOKIES, NOW));
    assert_true(habits_speaks_edns(&habits, NOW));
    assert_true(habits_cookie_due(&habits, NOW));
    assert_false(habits.sends_cookies);
}

static void what_is_proved_is_believed_for_an_hour(void **state)
{
    for (unsigned i = 0; i < HABITS_PROTECTIONS; i++) {
        struct habits habits = { 0 };
        habits_lost(&habits, i, NOW);
        assert_false(habits_has(&habits, i, NOW));
        assert_false(habits_has(&habits, i, NOW + HABITS_LOST_MS - 1));
        assert_true(habits_has(&habits, i, NOW + HABITS_LOST_MS));
        assert_true(habits_has(&habits, 1 - i, NOW));
    }
    (void)state;
}

static void it_takes_two_doubts(void **state)
{
    for (unsigned i = 0; i < HABITS_PROTECTIONS; i++) {
        struct habits habits = { 0 };
        assert_false(habits_doubted(&habits, i, NOW));
        assert_true(habits_has(&habits, i, NOW));
        assert_true(habits_doubted(&habits, i, NOW));
        assert_false(habits_has(&habits, i, NOW + HABITS_OFF_MS - 1));
        assert_true(habits_has(&habits, i, NOW + HABITS_OFF_MS));
        /* and two again the next time */
        assert_false(habits_doubted(&habits, i, NOW + HABITS_OFF_MS));
    }
    (void)state;
}

static void what_shows_the_protection_ends_a_doubt(void **state)
{
    struct habits habits = { 0 };

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        assert_false(habits_doubted(&habits, HABITS_CASE, NOW));
        habits_kept(&habits, HABITS_CASE);
        assert_false(habits_doubted(&habits, HABITS_COOKIES, NOW));
        habits_cookie_came(&habits, client, server, 8);
    }
}

static void doubts_of_one_are_none_of_the_other(void **state)
{
    struct habits habits = { 0 };

    (void)state;
    assert_false(habits_doubted(&habits, HABITS_CASE, NOW));
    assert_false(habits_doubted(&habits, HABITS_COOKIES, NOW));
}

static void a_doubt_of_what_is_given_up_already_makes_it_no_longer(void **state)
{
    struct habits habits = { 0 };

    (void)state;
    habits_lost(&habits, HABITS_CASE, NOW);
    assert_true(habits_doubted(&habits, HABITS_CASE, NOW + 5));
    assert_true(habits_has(&habits, HABITS_CASE, NOW + HABITS_LOST_MS));
}

static void a_proof_outlasts_doubts(void **state)
{
    struct habits habits = { 0 };

    (void)state;
    habits_lost(&habits, HABITS_COOKIES, NOW);
    habits_cookies_refused(&habits, NOW);
    assert_false(habits_has(&habits, HABITS_COOKIES, NOW + HABITS_LOST_MS - 1));
}

static void the_server_cookie_belongs_to_ours(void **state)
{
    struct habits habits = { 0 };

    (void)state;
    habits_draw_cookie(&habits, client, NOW);
    assert_false(habits_cookie_due(&habits, NOW + HABITS_COOKIE_MS - 1));
    habits_cookie_came(&habits, client, server, HABITS_SERVER_COOKIE);
    assert_int_equal(habits.server_cookie_length, HABITS_SERVER_COOKIE);
    assert_memory_equal(habits.server_cookie, server, HABITS_SERVER_COOKIE);
    assert_true(habits.sends_cookies);
    assert_true(habits_cookie_due(&habits, NOW + HABITS_COOKIE_MS));
    habits_draw_cookie(&habits, other, NOW + HABITS_COOKIE_MS);
    assert_int_equal(habits.server_cookie_length, 0);
    assert_true(habits.sends_cookies);              /* all the same */
    habits_cookie_came(&habits, client, server, 8); /* it was on its way */
    assert_int_equal(habits.server_cookie_length, 0);
    habits_cookie_came(&habits, other, server, 8);
    assert_int_equal(habits.server_cookie_length, 8);
}

static void who_sends_no_cookies_any_more_is_not_expected_to(void **state)
{
    struct habits habits = { 0 };

    (void)state;
    habits_draw_cookie(&habits, client, NOW);
    habits_cookie_came(&habits, client, server, 8);
    habits_lost(&habits, HABITS_COOKIES, NOW);
    assert_false(habits.sends_cookies);
    assert_int_equal(habits.server_cookie_length, 0);
}

static void a_cookie_that_is_an_error_is_not_sent_for_a_while(void **state)
{
    struct habits habits = { 0 };

    (void)state;
    habits_cookies_refused(&habits, NOW);
    assert_false(habits_has(&habits, HABITS_COOKIES, NOW + HABITS_OFF_MS - 1));
    assert_true(habits_has(&habits, HABITS_COOKIES, NOW + HABITS_OFF_MS));
    assert_true(habits_speaks_edns(&habits, NOW));
}

static void edns_is_given_up_for_a_while(void **state)
{
    struct habits habits = { 0 };

    (void)state;
    habits_edns_refused(&habits, NOW);
    assert_false(habits_speaks_edns(&habits, NOW + HABITS_OFF_MS - 1));
    assert_true(habits_speaks_edns(&habits, NOW + HABITS_OFF_MS));
}

static void who_spoke_edns_must_refuse_it_twice(void **state)
{
    struct habits habits = { 0 };

    (void)state;
    habits_edns_came(&habits);
    habits_edns_refused(&habits, NOW);
    assert_true(habits_speaks_edns(&habits, NOW));
    habits_edns_came(&habits);
    habits_edns_refused(&habits, NOW);
    assert_true(habits_speaks_edns(&habits, NOW));
    habits_edns_refused(&habits, NOW);
    assert_false(habits_speaks_edns(&habits, NOW));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_believed_of_a_new_one),
        cmocka_unit_test(what_is_proved_is_believed_for_an_hour),
        cmocka_unit_test(it_takes_two_doubts),
        cmocka_unit_test(what_shows_the_protection_ends_a_doubt),
        cmocka_unit_test(doubts_of_one_are_none_of_the_other),
        cmocka_unit_test(a_doubt_of_what_is_given_up_already_makes_it_no_longer),
        cmocka_unit_test(a_proof_outlasts_doubts),
        cmocka_unit_test(the_server_cookie_belongs_to_ours),
        cmocka_unit_test(who_sends_no_cookies_any_more_is_not_expected_to),
        cmocka_unit_test(a_cookie_that_is_an_error_is_not_sent_for_a_while),
        cmocka_unit_test(edns_is_given_up_for_a_while),
        cmocka_unit_test(who_spoke_edns_must_refuse_it_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
