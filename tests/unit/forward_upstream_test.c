#include "resolver/forward/upstream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* One more silence; true when it makes suspect, of silence. */
static bool is_silent(struct upstream *u, uint64_t sent_ms)
{
    enum upstream_cause cause = UPSTREAM_BAD;
    bool suspect = upstream_silent(u, sent_ms, 1, sent_ms + 200, &cause);

    assert_true(!suspect || cause == UPSTREAM_SILENT);
    return suspect;
}

static void make_suspect(struct upstream *u, enum upstream_cause cause, uint64_t now_ms)
{
    upstream_set(u, true, cause, "as told", now_ms);
}

static void three_silences_in_a_row_make_suspect(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    assert_false(is_silent(&u, 1000));
    assert_false(is_silent(&u, 1100));
    assert_true(is_silent(&u, 1200));
    assert_int_equal(u.failed, 3);
}

static void a_burst_of_losses_is_no_silence(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        assert_false(is_silent(&u, 1000 + i));
    }
    assert_true(is_silent(&u, 1000 + UPSTREAM_SILENT_SPAN));
}

static void any_word_since_forgives_a_silence(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    assert_false(is_silent(&u, 1000));
    assert_false(is_silent(&u, 1200));
    upstream_spoke(&u, 1500);
    assert_false(is_silent(&u, 1400)); /* asked before it spoke */
    assert_false(is_silent(&u, 1600));
    assert_false(is_silent(&u, 1800));
    assert_true(is_silent(&u, 2000));
}

static void one_refusal_makes_suspect(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    assert_true(upstream_refused(&u));
    upstream_set(&u, true, UPSTREAM_REFUSED, "connection refused", 1000);
    assert_string_equal(u.reason, "connection refused");
    assert_int_equal(u.since_ms, 1000);
    assert_false(upstream_refused(&u)); /* it is suspect already */
}

static void three_distinct_questions_failed_make_suspect(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    assert_false(upstream_bad(&u, 7));
    assert_false(upstream_bad(&u, 8));
    for (unsigned i = 0; i < 10; i++) {
        assert_false(upstream_bad(&u, 7));
        assert_false(upstream_bad(&u, 8));
    }
    assert_true(upstream_bad(&u, 9));
    upstream_set(&u, true, UPSTREAM_BAD, "SERVFAIL", 0);
    assert_false(upstream_bad(&u, 10));
}

static void a_good_answer_forgets_the_bad_ones(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    assert_false(upstream_bad(&u, 7));
    assert_false(upstream_bad(&u, 8));
    assert_false(upstream_good(&u, 10, 1000));
    assert_false(upstream_bad(&u, 9));
    assert_false(upstream_bad(&u, 10));
    assert_true(upstream_bad(&u, 11));
}

static void three_good_answers_running_end_a_suspicion(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    make_suspect(&u, UPSTREAM_REFUSED, 1000);
    assert_false(upstream_good(&u, 1000, 2000));
    assert_false(upstream_probe_answered(&u, true, 1000, 2050));
    assert_false(is_silent(&u, 2060)); /* they begin anew */
    assert_false(upstream_good(&u, 1000, 2300));
    assert_false(upstream_good(&u, 1000, 2350));
    assert_true(upstream_good(&u, 1000, 2400));
    upstream_set(&u, false, u.cause, "", 2400);
    assert_false(upstream_good(&u, 1000, 2450));
}

static void losses_want_twenty_proofs(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    make_suspect(&u, UPSTREAM_LOSSY, 1000);
    for (unsigned i = 1; i < UPSTREAM_LOSS_PROOFS; i++) {
        assert_false(upstream_probe_answered(&u, true, 1000, 2000 + 50 * i));
    }
    assert_true(upstream_probe_answered(&u, true, 1000, 4000));
}

static void a_late_answer_is_no_proof(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    make_suspect(&u, UPSTREAM_SILENT, 1000);
    for (unsigned i = 0; i < 10; i++) {
        upstream_late(&u, 2000000, 1, 3000 + i);
    }
    assert_int_equal(u.proofs, 0);
}

static void failures_are_disproved_by_live_questions_only(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    make_suspect(&u, UPSTREAM_BAD, 1000);
    u.live_ms = 1000;
    for (unsigned i = 0; i < 10; i++) {
        assert_false(upstream_probe_answered(&u, true, 1000, 2000 + i));
    }
    assert_false(upstream_good(&u, 1000, 3000));
    assert_false(upstream_good(&u, 1000, 3200));
    assert_true(upstream_good(&u, 1000, 3400));
}

static void unless_nobody_asks_any_more(void **state)
{
    struct upstream u = { .suspect = false };
    uint64_t later_ms = 1000 + UPSTREAM_NO_LIVE_MS;

    (void)state;
    make_suspect(&u, UPSTREAM_BAD, 1000);
    u.live_ms = 1000;
    for (unsigned i = 0; i < 10; i++) {
        assert_false(upstream_probe_answered(&u, false, 1000, later_ms + i));
    }
    assert_false(upstream_probe_answered(&u, true, 1000, later_ms + 20));
    assert_false(upstream_probe_answered(&u, true, 1000, later_ms + 30));
    assert_true(upstream_probe_answered(&u, true, 1000, later_ms + 40));
}

static void one_in_five_lost_makes_suspect(void **state)
{
    struct upstream u = { .suspect = false };
    enum upstream_cause cause;
    unsigned lost = 0;
    bool suspect = false;

    (void)state;
    for (uint64_t now_ms = 10000; now_ms < 12000 && !suspect; now_ms += 20) {
        (void)upstream_good(&u, 1000, now_ms);
        if (now_ms % 60 == 0) { /* one of three or four */
            lost++;
            suspect = upstream_silent(&u, now_ms - 110, 1, now_ms, &cause);
        }
    }
    assert_true(suspect);
    assert_int_equal(cause, UPSTREAM_LOSSY);
    assert_int_equal(lost, UPSTREAM_LOST_COUNT);
}

static void one_in_ten_lost_does_not(void **state)
{
    struct upstream u = { .suspect = false };
    enum upstream_cause cause;

    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        (void)upstream_good(&u, 1000, 10000 + 20 * i);
        assert_false(i % 10 == 0 && upstream_silent(&u, 9000 + 20 * i, 1, 10000 + 20 * i, &cause));
    }
}

static void what_comes_late_was_not_lost(void **state)
{
    struct upstream u = { .suspect = false };
    enum upstream_cause cause;

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        (void)upstream_good(&u, 1000, 10000 + 20 * i);
        assert_false(upstream_silent(&u, 9900 + 20 * i, 1, 10000 + 20 * i, &cause));
        upstream_late(&u, 150000, 1, 10010 + 20 * i);
    }
    assert_int_equal(u.loss_permille, 0);
}

static void its_losses_are_not_shown_any_more_when_it_is_back(void **state)
{
    struct upstream u = { .suspect = false };
    enum upstream_cause cause;

    (void)state;
    (void)upstream_silent(&u, 1000, 5, 1200, &cause);
    assert_int_equal(u.loss_permille, 1000);
    make_suspect(&u, UPSTREAM_SILENT, 1300);
    assert_int_equal(u.loss_permille, 1000);
    upstream_set(&u, false, UPSTREAM_SILENT, "", 1500);
    assert_int_equal(u.loss_permille, 0);
}

static void a_suspect_is_put_a_live_question_now_and_then(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    assert_false(upstream_beside_due(&u, 5000)); /* it is not suspect */
    make_suspect(&u, UPSTREAM_SILENT, 5000);
    assert_false(upstream_beside_due(&u, 5000 + UPSTREAM_BESIDE_MS - 1));
    assert_true(upstream_beside_due(&u, 5000 + UPSTREAM_BESIDE_MS));
    assert_false(upstream_beside_due(&u, 5000 + UPSTREAM_BESIDE_MS));
    u.watched = true; /* probes do that */
    assert_false(upstream_beside_due(&u, 50000));
    u.cause = UPSTREAM_BAD; /* but not here */
    assert_true(upstream_beside_due(&u, 50000));
}

static void a_suspect_of_which_nothing_good_is_heard_is_down(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    assert_false(upstream_is_down(&u, 100000));
    make_suspect(&u, UPSTREAM_SILENT, 100000);
    assert_false(upstream_is_down(&u, 100000 + UPSTREAM_DOWN_MS - 1));
    assert_true(upstream_is_down(&u, 100000 + UPSTREAM_DOWN_MS));
    (void)upstream_probe_answered(&u, true, 1000, 102000);
    assert_false(upstream_is_down(&u, 102000));
    assert_true(upstream_is_down(&u, 102000 + UPSTREAM_DOWN_MS));
    upstream_set(&u, false, u.cause, "", 200000);
    assert_false(upstream_is_down(&u, 300000));
    make_suspect(&u, UPSTREAM_REFUSED, 300000);
    assert_true(upstream_is_down(&u, 300000));
}

static void what_is_usually_slow_is_silent_later(void **state)
{
    static const uint32_t cases[][3] = {
        { 0, 0, UPSTREAM_SILENT_MS },
        { 1000, 2000, UPSTREAM_QUICK_MS },
        { 10000, 25000, UPSTREAM_QUICK_MS },
        { 20000, 50000, 200 },
        { 100000, 60000, 300 },
        { 20000, 200000, UPSTREAM_LISTEN_MS },
        { 60000000, 60000000, UPSTREAM_LISTEN_MS },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct upstream u = { .usual_us = cases[i][0], .p95_us = cases[i][1] };
        assert_int_equal(upstream_silent_ms(&u), cases[i][2]);
    }
}

static void others_are_asked_after_its_own_time(void **state)
{
    static const uint32_t cases[][2] = {
        { 0, UPSTREAM_HEDGE_MOST },
        { 300, UPSTREAM_HEDGE_LEAST },
        { 2000, UPSTREAM_HEDGE_LEAST },
        { 20000, 26 },
        { 58500, 74 },
        { 900000, UPSTREAM_HEDGE_MOST },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct upstream u = { .p95_us = cases[i][0] };
        assert_int_equal(upstream_hedge_ms(&u), cases[i][1]);
    }
}

static void three_overdue_without_a_word_are_signs_of_death(void **state)
{
    struct upstream u = { .p95_us = 30000 };

    (void)state;
    upstream_overdue(&u, 1000);
    upstream_overdue(&u, 1010);
    assert_false(upstream_is_dying(&u, 2000));
    upstream_overdue(&u, 1020);
    assert_false(upstream_is_dying(&u, 1029)); /* it may usually take that long */
    assert_true(upstream_is_dying(&u, 1030));
    upstream_heard(&u, 1100);
    assert_false(upstream_is_dying(&u, 1100));
    for (unsigned i = 0; i < 10; i++) {
        upstream_overdue(&u, 1050); /* it was heard since */
    }
    assert_false(upstream_is_dying(&u, 2000));
}

/* An upstream that is probed, and another that is so far away. */
static struct upstream beside(struct upstream *rival, uint32_t rival_us)
{
    *rival = (struct upstream){ .watched = true, .near_us = rival_us };
    return (struct upstream){ .watched = true, .near_us = 1000, .rival = rival };
}

static void overdue_questions_call_for_a_probe_and_its_silence_is_doubt(void **state)
{
    struct upstream rival, u = beside(&rival, 11000);
    uint64_t at_ms;

    (void)state;
    upstream_overdue(&u, 1000);
    assert_false(upstream_is_worth_a_probe(&u, false));
    assert_true(upstream_is_worth_a_probe(&u, true)); /* somebody waits for it */
    upstream_overdue(&u, 1000);
    assert_true(upstream_is_worth_a_probe(&u, false));
    upstream_overdue(&u, 1000);
    assert_false(upstream_is_dying(&u, 5000)); /* not without a probe */
    u.probing.sent_ms = 1010;
    assert_false(upstream_is_worth_a_probe(&u, true)); /* it is on its way */
    assert_false(upstream_is_doubtful(&u, 1019, &at_ms));
    assert_int_equal(at_ms, 1010 + UPSTREAM_DOUBT_LEAST);
    assert_false(upstream_is_dying(&u, 1019));
    assert_true(upstream_is_doubtful(&u, 1020, &at_ms));
    assert_true(upstream_is_dying(&u, 1020));
    assert_false(upstream_probe_answered(&u, true, 15000, 1025));
    assert_false(upstream_is_doubtful(&u, 1030, &at_ms));
    assert_false(upstream_is_dying(&u, 1030));
}

static void public_ones_are_not_probed_in_doubt(void **state)
{
    struct upstream rival, u = beside(&rival, 11000);

    (void)state;
    u.class = FORWARD_PUBLIC;
    upstream_overdue(&u, 1000);
    upstream_overdue(&u, 1000);
    upstream_overdue(&u, 1000);
    assert_false(upstream_is_worth_a_probe(&u, true));
    assert_true(upstream_is_dying(&u, 1100));
    assert_int_equal(upstream_slow_us(&u), 0);
}

static void slow_is_what_a_hedge_would_have_beaten_clearly(void **state)
{
    struct upstream rival, u = beside(&rival, 11000);

    (void)state;
    assert_int_equal(upstream_slow_us(&u), UPSTREAM_HEDGE_MOST * 1000 + 11000);
    rival.near_us = 200000;
    assert_int_equal(upstream_slow_us(&u), 400000);
    rival.near_us = 11000;
    rival.probing.took_us = 250000; /* it has become slow, too */
    assert_int_equal(upstream_slow_us(&u), 500000);
    rival.suspect = true;
    assert_int_equal(upstream_slow_us(&u), 0);
    u.rival = NULL;
    assert_int_equal(upstream_slow_us(&u), 0);
}

static void slow_names_do_not_make_an_upstream_slow(void **state)
{
    struct upstream rival, u = beside(&rival, 11000);
    unsigned probes = 0;

    (void)state;
    for (uint64_t now_ms = 10000; now_ms < 20000; now_ms += 20) {
        (void)upstream_good(&u, 250000, now_ms); /* not one of them is quick */
        if (upstream_slow_due(&u, now_ms)) {
            probes++;
            (void)upstream_probe_answered(&u, true, 2000, now_ms);
        }
        assert_false(upstream_is_slow(&u));
    }
    assert_int_equal(probes, 10000 / UPSTREAM_SLOW_AGAIN);
}

static void slow_answers_and_a_slow_probe_make_it_slow(void **state)
{
    struct upstream rival, u = beside(&rival, 11000);

    (void)state;
    for (unsigned i = 1; i < UPSTREAM_SLOW_COUNT; i++) {
        (void)upstream_good(&u, 250000, 10000);
        (void)upstream_good(&u, 1000, 10000);
        assert_false(upstream_slow_due(&u, 10000));
    }
    upstream_late(&u, 250000, 1, 10000);
    assert_true(upstream_slow_due(&u, 10000));
    assert_false(upstream_is_slow(&u));
    (void)upstream_probe_answered(&u, true, 250000, 10250);
    assert_true(upstream_is_slow(&u));
}

static void so_do_three_slow_probes_in_a_row(void **state)
{
    struct upstream rival, u = beside(&rival, 11000);

    (void)state;
    for (unsigned i = 1; i < UPSTREAM_SLOW_PROBES; i++) {
        (void)upstream_probe_answered(&u, true, 250000, 10000 * i);
        assert_false(upstream_is_slow(&u));
    }
    (void)upstream_probe_answered(&u, true, 2000, 20000);
    for (unsigned i = 1; i < UPSTREAM_SLOW_PROBES; i++) {
        (void)upstream_probe_answered(&u, true, 250000, 20000 + i);
        assert_false(upstream_is_slow(&u));
    }
    (void)upstream_probe_answered(&u, true, 250000, 30000);
    assert_true(upstream_is_slow(&u));
    rival.suspect = true; /* now nobody is faster */
    assert_false(upstream_is_slow(&u));
}

static void quick_probes_alone_end_slowness(void **state)
{
    struct upstream rival, u = beside(&rival, 11000);

    (void)state;
    (void)upstream_good(&u, 250000, 1000);
    make_suspect(&u, UPSTREAM_SLOW, 1000);
    for (unsigned i = 0; i < 10; i++) {
        assert_false(upstream_good(&u, 100, 2000 + i)); /* what it has at hand */
        assert_false(upstream_probe_answered(&u, true, 250000, 2000 + 100 * i));
    }
    assert_false(upstream_is_down(&u, 2900 + UPSTREAM_DOWN_MS)); /* it is there */
    assert_true(upstream_is_down(&u, 2900 + 3 * UPSTREAM_DOWN_MS));
    assert_false(upstream_probe_answered(&u, true, 86000, 4000)); /* hardly quicker is no proof */
    for (unsigned i = 1; i < UPSTREAM_SLOW_PROOFS; i++) {
        assert_false(upstream_probe_answered(&u, true, 1000, 4000 + 50 * i));
    }
    assert_true(upstream_probe_answered(&u, true, 1000, 4500));
    upstream_set(&u, false, u.cause, "", 4500);
    assert_int_equal(u.usual_us, 0); /* what it took then is not what it takes */
    assert_false(upstream_is_slow(&u));
}

static void who_was_silent_comes_back_only_when_quick(void **state)
{
    struct upstream rival, u = beside(&rival, 11000);

    (void)state;
    make_suspect(&u, UPSTREAM_SILENT, 1000);
    for (unsigned i = 0; i < UPSTREAM_PROOFS; i++) {
        assert_false(upstream_probe_answered(&u, true, 250000, 2000 + 300 * i));
    }
    assert_true(upstream_is_slow(&u));
    rival.suspect = true; /* then rather slowly than not at all */
    assert_false(upstream_probe_answered(&u, true, 250000, 4000));
    assert_false(upstream_probe_answered(&u, true, 250000, 4300));
    assert_true(upstream_probe_answered(&u, true, 250000, 4600));
}

static void what_a_second_try_brings_at_once_was_lost_before(void **state)
{
    struct upstream u = { .near_us = 1000 };

    (void)state;
    upstream_resent(&u, 1, 150000, 10000); /* it may be the answer to the first */
    assert_false(upstream_is_ailing(&u, 10000));
    upstream_resent(&u, UPSTREAM_AILING_COUNT, 1200, 10000);
    assert_true(upstream_is_ailing(&u, 10000));
}

static void a_probe_is_waited_for_longer_when_long_suspect(void **state)
{
    struct upstream u = { .usual_us = 1000 };

    (void)state;
    assert_int_equal(upstream_probe_timeout_ms(&u, 5000), 300);
    u.usual_us = 100000;
    assert_int_equal(upstream_probe_timeout_ms(&u, 5000), 400);
    make_suspect(&u, UPSTREAM_SILENT, 5000);
    assert_int_equal(upstream_probe_timeout_ms(&u, 64000), 400);
    assert_int_equal(upstream_probe_timeout_ms(&u, 65000), 1000);
}

static void its_place_moves_with_real_changes_only(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    (void)upstream_probe_answered(&u, true, 20000, 1000);
    assert_int_equal(u.rank_us, 20000);
    for (unsigned i = 0; i < 100; i++) {
        (void)upstream_probe_answered(&u, true, i % 2 == 0 ? 17500 : 23000, 1000);
        assert_int_equal(u.rank_us, 20000);
    }
    for (unsigned i = 0; i < 100; i++) {
        (void)upstream_probe_answered(&u, true, 40000, 1000);
    }
    assert_in_range(u.rank_us, 32000, 40000);
}

/* Whatever has happened to it: once it answers well again, it is up within two seconds. */
static void no_state_is_for_ever(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 3000; n++) {
        struct upstream u = { .watched = n % 2 == 0 };
        unsigned random = n * 2654435761u;
        uint64_t now_ms = 1000;
        for (unsigned i = 0; i < 40; i++, random = random * 1664525u + 1013904223u) {
            enum upstream_cause cause = (enum upstream_cause)(random >> 8 & 3);
            bool suspect = false;
            now_ms += random >> 10 & 127;
            switch (random >> 28) {
            case 0:
                suspect = upstream_good(&u, 1000, now_ms);
                if (suspect) {
                    upstream_set(&u, false, u.cause, "", now_ms);
                }
                continue;
            case 1:
                suspect = upstream_refused(&u);
                cause = UPSTREAM_REFUSED;
                break;
            case 2:
                suspect = upstream_bad(&u, random);
                cause = UPSTREAM_BAD;
                break;
            case 3:
                u.live_ms = now_ms;
                break;
            default:
                suspect = upstream_silent(&u, now_ms - 100, 1 + n % 3, now_ms, &cause);
            }
            if (suspect) {
                make_suspect(&u, cause, now_ms);
            }
        }
        uint64_t until_ms = now_ms + 2000;
        while (u.suspect && now_ms < until_ms) {
            now_ms += 50;
            bool restored = upstream_probe_answered(&u, true, 1000, now_ms);
            if (!restored && upstream_beside_due(&u, now_ms)) {
                restored = upstream_good(&u, 1000, now_ms);
            }
            if (restored) {
                upstream_set(&u, false, u.cause, "", now_ms);
            }
        }
        assert_false(u.suspect);
        assert_false(upstream_is_down(&u, now_ms));
    }
}

static void a_word_that_is_no_answer_ends_no_suspicion(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    assert_false(upstream_bad(&u, 7));
    assert_false(upstream_bad(&u, 8));
    assert_false(is_silent(&u, 1000));
    assert_false(is_silent(&u, 1100));
    upstream_heard(&u, 1150);
    assert_false(is_silent(&u, 1200));
    assert_true(upstream_bad(&u, 9));
    assert_int_equal(u.usual_us, 0);
}

static void few_of_those_overtaken_are_listened_to_and_stand_for_all(void **state)
{
    struct upstream u = { .suspect = false };
    unsigned watched = 0, stands_for = 0;

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        uint32_t weight = upstream_watch(&u, 5000 + i / 10);
        watched += weight > 0;
        stands_for += weight;
    }
    assert_int_equal(watched, 1000 / UPSTREAM_WATCH_MS);
    assert_in_range(stands_for, 9900, 10000);
}

static void packets_above_the_budget_are_counted(void **state)
{
    struct upstream u = { .suspect = false };

    (void)state;
    budget_rate_set(&u.rate, 60, 1000);
    for (unsigned i = 0; i < BUDGET_BURST_LEAST; i++) {
        upstream_look_at_budget(&u, 1000);
        assert_false(u.spent);
        upstream_spend(&u, 1000);
    }
    upstream_look_at_budget(&u, 1000);
    assert_true(u.spent);
    assert_int_equal(u.over_budget, 0);
    upstream_spend(&u, 1000);
    assert_int_equal(u.over_budget, 1);
    upstream_look_at_budget(&u, 2000);
    assert_false(u.spent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_silences_in_a_row_make_suspect),
        cmocka_unit_test(a_burst_of_losses_is_no_silence),
        cmocka_unit_test(any_word_since_forgives_a_silence),
        cmocka_unit_test(one_refusal_makes_suspect),
        cmocka_unit_test(three_distinct_questions_failed_make_suspect),
        cmocka_unit_test(a_good_answer_forgets_the_bad_ones),
        cmocka_unit_test(three_good_answers_running_end_a_suspicion),
        cmocka_unit_test(losses_want_twenty_proofs),
        cmocka_unit_test(a_late_answer_is_no_proof),
        cmocka_unit_test(failures_are_disproved_by_live_questions_only),
        cmocka_unit_test(unless_nobody_asks_any_more),
        cmocka_unit_test(one_in_five_lost_makes_suspect),
        cmocka_unit_test(its_losses_are_not_shown_any_more_when_it_is_back),
        cmocka_unit_test(one_in_ten_lost_does_not),
        cmocka_unit_test(what_comes_late_was_not_lost),
        cmocka_unit_test(a_suspect_is_put_a_live_question_now_and_then),
        cmocka_unit_test(a_suspect_of_which_nothing_good_is_heard_is_down),
        cmocka_unit_test(what_is_usually_slow_is_silent_later),
        cmocka_unit_test(others_are_asked_after_its_own_time),
        cmocka_unit_test(three_overdue_without_a_word_are_signs_of_death),
        cmocka_unit_test(overdue_questions_call_for_a_probe_and_its_silence_is_doubt),
        cmocka_unit_test(public_ones_are_not_probed_in_doubt),
        cmocka_unit_test(slow_is_what_a_hedge_would_have_beaten_clearly),
        cmocka_unit_test(slow_names_do_not_make_an_upstream_slow),
        cmocka_unit_test(slow_answers_and_a_slow_probe_make_it_slow),
        cmocka_unit_test(so_do_three_slow_probes_in_a_row),
        cmocka_unit_test(quick_probes_alone_end_slowness),
        cmocka_unit_test(who_was_silent_comes_back_only_when_quick),
        cmocka_unit_test(what_a_second_try_brings_at_once_was_lost_before),
        cmocka_unit_test(a_probe_is_waited_for_longer_when_long_suspect),
        cmocka_unit_test(its_place_moves_with_real_changes_only),
        cmocka_unit_test(no_state_is_for_ever),
        cmocka_unit_test(a_word_that_is_no_answer_ends_no_suspicion),
        cmocka_unit_test(few_of_those_overtaken_are_listened_to_and_stand_for_all),
        cmocka_unit_test(packets_above_the_budget_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
