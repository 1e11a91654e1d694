#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "policy/hostname.h"

#define MINUTE 60000u
#define HOUR   (60 * MINUTE)

static struct hostname h;
static uint64_t now;

static int set_up(void **state)
{
    (void)state;
    now = 1000000;
    hostname_init(&h, true, now);
    return 0;
}

static struct addr address(unsigned last)
{
    struct addr addr = { .family = ADDR_V4, .bytes = { 192, 0, 2, (uint8_t)last } };
    return addr;
}

/* Addresses 192.0.2.first and on. */
static enum hostname_wish tell(enum hostname_kind kind, unsigned first, size_t count, bool second)
{
    struct addr list[HOSTNAME_REMEMBERED];

    for (size_t i = 0; i < count; i++) {
        list[i] = address(first + (unsigned)i);
    }
    const struct hostname_answer answer = {
        .kind = kind,
        .second = second,
        .addresses = list,
        .count = count,
        .ttl_s = 60,
        .source = second ? "tokyo 10.2.0.2:53" : "seoul 10.1.0.2:53",
    };
    return hostname_hear(&h, &answer, now);
}

static enum hostname_wish hear(unsigned first, size_t count)
{
    return tell(HOSTNAME_POSITIVE, first, count, false);
}

static size_t size_of_set(void)
{
    struct addr list[HOSTNAME_MOST];
    return hostname_list(&h, list);
}

static bool has(unsigned last)
{
    struct addr a = address(last);
    return hostname_find(&h, &a) != NULL;
}

static void prove(unsigned last, enum hostname_proof proof)
{
    static uint64_t look;
    struct addr a = address(last);
    hostname_prove(&h, &a, proof, ++look, now);
    hostname_tick(&h, now);
}

static void pass(uint64_t ms)
{
    now += ms;
    hostname_tick(&h, now);
}

static void doubt_and_confirm(enum hostname_kind kind)
{
    assert_int_equal(tell(kind, 0, 0, false), HOSTNAME_WANTS_SECOND);
    now += 20;
    (void)tell(kind, 0, 0, true);
}

static void the_first_answer_is_the_set(void **state)
{
    (void)state;
    assert_int_equal(h.ask_ms, now);
    assert_int_equal(hear(1, 3), HOSTNAME_CONTENT);
    assert_int_equal(size_of_set(), 3);
    assert_int_equal(h.version, 3);
    assert_int_equal(h.ask_ms, now + 60000);
    (void)hear(1, 3);
    assert_int_equal(h.version, 3);
}

static void the_set_has_one_order_whatever_the_answers(void **state)
{
    struct addr one[HOSTNAME_MOST], other[HOSTNAME_MOST];

    (void)state;
    (void)hear(7, 1);
    (void)hear(3, 1);
    (void)hear(5, 1);
    assert_int_equal(hostname_list(&h, one), 3);
    (void)set_up(NULL);
    (void)hear(3, 1);
    (void)hear(5, 1);
    (void)hear(7, 1);
    assert_int_equal(hostname_list(&h, other), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(addr_equal(&one[i], &other[i]));
    }
}

static void ttls_are_clamped(void **state)
{
    static const struct {
        uint32_t ttl_s, wait_s;
    } cases[] = { { 0, 5 }, { 4, 5 }, { 5, 5 }, { 77, 77 }, { 86400, 300 }, { UINT32_MAX, 300 } };
    struct addr one = address(1);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct hostname_answer answer = {
            .kind = HOSTNAME_POSITIVE, .addresses = &one, .count = 1, .ttl_s = cases[i].ttl_s
        };
        (void)hostname_hear(&h, &answer, now);
        assert_int_equal(h.ask_ms, now + cases[i].wait_s * 1000);
    }
}

static void what_an_answer_leaves_out_stays_for_a_while(void **state)
{
    (void)state;
    (void)hear(1, 1);
    now += MINUTE;
    (void)hear(2, 1);
    assert_true(has(1) && has(2));
    pass(89000);
    assert_true(has(1));
    assert_int_equal(hostname_tick_ms(&h), now + 1000);
    pass(1000);
    assert_false(has(1));
    assert_true(has(2));
    assert_int_equal(hostname_tick_ms(&h), UINT64_MAX);
}

static void a_balancer_that_rotates_is_never_doubted(void **state)
{
    (void)state;
    for (unsigned turn = 0; turn < 60; turn++) {
        assert_int_equal(hear(1 + turn % 10 * 3, 3), HOSTNAME_CONTENT);
        assert_false(hostname_keeps_any(&h));
        now += MINUTE;
    }
    /* one at a time, of five */
    (void)set_up(NULL);
    for (unsigned turn = 0; turn < 60; turn++) {
        assert_int_equal(hear(1 + turn % 5, 1), HOSTNAME_CONTENT);
        now += MINUTE;
    }
}

static void half_of_the_addresses_are_believed(void **state)
{
    (void)state;
    (void)hear(1, 6);
    now += MINUTE;
    assert_int_equal(hear(1, 3), HOSTNAME_CONTENT);
    pass(2 * MINUTE);
    assert_int_equal(size_of_set(), 3);
}

static void far_fewer_are_doubted_and_the_old_kept(void **state)
{
    (void)state;
    (void)hear(1, 6);
    now += MINUTE;
    assert_int_equal(hear(1, 2), HOSTNAME_WANTS_SECOND);
    now += 10;
    (void)tell(HOSTNAME_POSITIVE, 1, 2, true);
    assert_int_equal(size_of_set(), 6);
    struct addr one = address(1), six = address(6);
    assert_int_equal(hostname_find(&h, &one)->kept_ms, 0);
    assert_true(hostname_find(&h, &six)->kept_ms != 0);
    /* said for longer than ten minutes it is not believed the sooner */
    for (unsigned i = 0; i < 50; i++) {
        pass(MINUTE);
        assert_int_equal(hear(1, 2), HOSTNAME_WANTS_SECOND);
        (void)tell(HOSTNAME_POSITIVE, 1, 2, true);
        assert_int_equal(size_of_set(), 6);
    }
    pass(12 * MINUTE);
    assert_int_equal(size_of_set(), 2);
    assert_int_equal(hear(1, 2), HOSTNAME_CONTENT);
}

static void nxdomain_and_nodata_keep_all_for_an_hour(void **state)
{
    static const enum hostname_kind kinds[] = { HOSTNAME_NXDOMAIN, HOSTNAME_NODATA };

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        (void)set_up(NULL);
        (void)hear(1, 2);
        now += MINUTE;
        uint64_t begin = now;
        doubt_and_confirm(kinds[i]);
        assert_int_equal(size_of_set(), 2);
        assert_int_equal(hostname_kept_ms(&h), begin);
        assert_int_equal(hostname_tick_ms(&h), begin + HOUR);
        for (unsigned minute = 0; minute < 59; minute++) {
            pass(MINUTE);
            doubt_and_confirm(kinds[i]);
            assert_int_equal(size_of_set(), 2);
        }
        pass(MINUTE);
        assert_int_equal(size_of_set(), 0);
        assert_false(h.doubt.open);
        assert_int_equal(tell(kinds[i], 0, 0, false), HOSTNAME_CONTENT);
    }
}

static void a_proof_keeps_beyond_the_hour_and_its_end_ends_it(void **state)
{
    (void)state;
    (void)hear(1, 2);
    now += MINUTE;
    doubt_and_confirm(HOSTNAME_NXDOMAIN);
    prove(1, HOSTNAME_PROVEN);
    prove(2, HOSTNAME_PROVEN);
    pass(5 * (uint64_t)HOUR);
    doubt_and_confirm(HOSTNAME_NXDOMAIN);
    assert_int_equal(size_of_set(), 2);
    prove(2, HOSTNAME_DISPROVEN);
    assert_true(has(1));
    assert_false(has(2));
    prove(1, HOSTNAME_UNPROVEN); /* the check was taken away */
    pass(1);
    assert_false(has(1)); /* proven last five hours ago */
}

static void of_several_verdicts_a_proof_counts_most(void **state)
{
    static const enum hostname_proof kinds[] = { HOSTNAME_UNPROVEN, HOSTNAME_DISPROVEN,
                                                 HOSTNAME_PROVEN };
    struct addr one = address(1);
    uint64_t look = 0;

    (void)state;
    (void)hear(1, 1);
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned k = 0; k < 3; k++) {
            look++;
            hostname_prove(&h, &one, kinds[i], look, now);
            hostname_prove(&h, &one, kinds[k], look, now);
            assert_int_equal(hostname_find(&h, &one)->proof, kinds[i > k ? i : k]);
        }
    }
}

static void a_failing_check_alone_takes_nothing_away(void **state)
{
    (void)state;
    (void)hear(1, 2);
    prove(1, HOSTNAME_DISPROVEN);
    assert_true(has(1));
}

static void another_failure_domain_that_knows_more_is_believed(void **state)
{
    (void)state;
    (void)hear(1, 2);
    now += MINUTE;
    assert_int_equal(tell(HOSTNAME_NODATA, 0, 0, false), HOSTNAME_WANTS_SECOND);
    now += 20;
    assert_int_equal(tell(HOSTNAME_POSITIVE, 1, 3, true), HOSTNAME_CONTENT);
    assert_int_equal(size_of_set(), 3);
    assert_false(hostname_keeps_any(&h));
    assert_true(h.doubt.overruled);
    assert_int_equal(h.ask_ms, now - 20 + HOSTNAME_DOUBT_MOST_S * 1000);
    /* hours later it falls silent: kept from then on */
    for (unsigned i = 0; i < 180; i++) {
        pass(MINUTE);
        (void)tell(HOSTNAME_NODATA, 0, 0, false);
        (void)tell(HOSTNAME_POSITIVE, 1, 3, true);
    }
    assert_int_equal(size_of_set(), 3);
    pass(MINUTE);
    (void)tell(HOSTNAME_NODATA, 0, 0, false);
    (void)tell(HOSTNAME_SILENT, 0, 0, true);
    assert_int_equal(size_of_set(), 3);
    assert_true(hostname_keeps_any(&h));
    pass(HOUR);
    assert_int_equal(size_of_set(), 0);
}

static void a_good_answer_ends_the_doubt(void **state)
{
    (void)state;
    (void)hear(1, 3);
    now += MINUTE;
    doubt_and_confirm(HOSTNAME_NXDOMAIN);
    assert_true(hostname_keeps_any(&h));
    now += MINUTE;
    assert_int_equal(hear(1, 3), HOSTNAME_CONTENT);
    assert_false(hostname_keeps_any(&h));
    assert_false(h.doubt.open);
    /* other addresses than before: the kept ones are only left out now */
    doubt_and_confirm(HOSTNAME_NXDOMAIN);
    now += MINUTE;
    (void)hear(11, 3);
    assert_int_equal(size_of_set(), 6);
    pass(2 * MINUTE);
    assert_int_equal(size_of_set(), 3);
    assert_true(has(11));
}

static void silence_takes_nothing_away_and_is_asked_again_soon(void **state)
{
    static const unsigned waits_s[] = { 5, 10, 20, 30, 30 };

    (void)state;
    (void)hear(1, 2);
    for (size_t i = 0; i < sizeof(waits_s) / sizeof(waits_s[0]); i++) {
        now = h.ask_ms;
        assert_int_equal(tell(HOSTNAME_SILENT, 0, 0, false), HOSTNAME_CONTENT);
        assert_int_equal(h.ask_ms, now + waits_s[i] * 1000);
    }
    pass(24 * (uint64_t)HOUR);
    assert_int_equal(size_of_set(), 2);
    (void)hear(1, 2);
    assert_int_equal(h.ask_ms, now + 60000);
}

static void with_nothing_known_silence_is_asked_again_sooner(void **state)
{
    (void)state;
    (void)tell(HOSTNAME_SILENT, 0, 0, false);
    assert_int_equal(h.ask_ms, now + 1000);
    for (unsigned i = 0; i < 10; i++) {
        (void)tell(HOSTNAME_SILENT, 0, 0, false);
    }
    assert_int_equal(h.ask_ms, now + 5000);
}

static void an_expired_answer_is_better_than_nothing_and_no_more(void **state)
{
    struct addr one = address(1), two = address(2);
    struct hostname_answer answer = {
        .kind = HOSTNAME_POSITIVE, .expired = true, .addresses = &one, .count = 1, .ttl_s = 30
    };

    (void)state;
    (void)hostname_hear(&h, &answer, now);
    assert_true(has(1));
    assert_int_equal(h.ask_ms, now + 5000);
    answer.addresses = &two;
    (void)hostname_hear(&h, &answer, now);
    assert_false(has(2));
    answer.kind = HOSTNAME_NXDOMAIN;
    answer.count = 0;
    assert_int_equal(hostname_hear(&h, &answer, now), HOSTNAME_CONTENT);
    assert_true(has(1));
}

static void what_is_not_to_be_kept_is_believed_at_once(void **state)
{
    (void)state;
    hostname_init(&h, false, now);
    (void)hear(1, 6);
    assert_int_equal(hear(1, 1), HOSTNAME_CONTENT);
    assert_int_equal(size_of_set(), 1);
    assert_int_equal(hear(2, 1), HOSTNAME_CONTENT);
    assert_true(has(2));
    assert_false(has(1));
    assert_int_equal(tell(HOSTNAME_NXDOMAIN, 0, 0, false), HOSTNAME_CONTENT);
    assert_int_equal(size_of_set(), 0);
}

static void a_name_without_addresses_is_not_doubted(void **state)
{
    (void)state;
    assert_int_equal(tell(HOSTNAME_NODATA, 0, 0, false), HOSTNAME_CONTENT);
    assert_int_equal(h.ask_ms, now + 60000);
    assert_int_equal(tell(HOSTNAME_NXDOMAIN, 0, 0, false), HOSTNAME_CONTENT);
    assert_int_equal(h.ask_ms, now + HOSTNAME_ABSENT_MOST_S * 1000);
    assert_int_equal(hear(1, 1), HOSTNAME_CONTENT);
    assert_true(has(1));
}

static void no_more_than_the_set_holds(void **state)
{
    (void)state;
    (void)hear(1, HOSTNAME_REMEMBERED);
    assert_int_equal(size_of_set(), HOSTNAME_MOST);
    for (unsigned i = 0; i < 20; i++) {
        now += MINUTE;
        (void)hear(1 + i * 10, HOSTNAME_MOST);
        assert_int_equal(size_of_set(), HOSTNAME_MOST);
        assert_true(has(1 + i * 10)); /* the new push out the left out */
        assert_true(has(1 + i * 10 + HOSTNAME_MOST - 1));
    }
}

static void every_state_explains_itself(void **state)
{
    struct text text = { 0 };

    (void)state;
    (void)hear(1, 1);
    hostname_explain(&h, now, &text);
    assert_string_equal(text_string(&text), "");
    now += MINUTE;
    doubt_and_confirm(HOSTNAME_NXDOMAIN);
    prove(1, HOSTNAME_PROVEN);
    pass(12 * MINUTE - 20);
    hostname_explain(&h, now, &text);
    assert_string_equal(text_string(&text),
                        "the upstream seoul 10.1.0.2:53 says NXDOMAIN since 12m 0s; "
                        "tokyo 10.2.0.2:53 says so too; its check passes");
    text_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_first_answer_is_the_set, set_up),
        cmocka_unit_test_setup(the_set_has_one_order_whatever_the_answers, set_up),
        cmocka_unit_test_setup(ttls_are_clamped, set_up),
        cmocka_unit_test_setup(what_an_answer_leaves_out_stays_for_a_while, set_up),
        cmocka_unit_test_setup(a_balancer_that_rotates_is_never_doubted, set_up),
        cmocka_unit_test_setup(half_of_the_addresses_are_believed, set_up),
        cmocka_unit_test_setup(far_fewer_are_doubted_and_the_old_kept, set_up),
        cmocka_unit_test_setup(nxdomain_and_nodata_keep_all_for_an_hour, set_up),
        cmocka_unit_test_setup(a_proof_keeps_beyond_the_hour_and_its_end_ends_it, set_up),
        cmocka_unit_test_setup(of_several_verdicts_a_proof_counts_most, set_up),
        cmocka_unit_test_setup(a_failing_check_alone_takes_nothing_away, set_up),
        cmocka_unit_test_setup(another_failure_domain_that_knows_more_is_believed, set_up),
        cmocka_unit_test_setup(a_good_answer_ends_the_doubt, set_up),
        cmocka_unit_test_setup(silence_takes_nothing_away_and_is_asked_again_soon, set_up),
        cmocka_unit_test_setup(with_nothing_known_silence_is_asked_again_sooner, set_up),
        cmocka_unit_test_setup(an_expired_answer_is_better_than_nothing_and_no_more, set_up),
        cmocka_unit_test_setup(what_is_not_to_be_kept_is_believed_at_once, set_up),
        cmocka_unit_test_setup(a_name_without_addresses_is_not_doubted, set_up),
        cmocka_unit_test_setup(no_more_than_the_set_holds, set_up),
        cmocka_unit_test_setup(every_state_explains_itself, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
