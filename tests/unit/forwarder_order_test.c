/* Who is asked, in which order, and how many at a time. */
#include "forwarder_world.h"

static void the_first_upstream_answers_alone(void **state)
{
    static struct question q;

    (void)state;
    struct stub *first = add(GOOD, FORWARD_OWN);
    struct stub *second = add(GOOD, FORWARD_OTHER);
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 0);
    assert_int_equal(first->asked, 1);
    assert_int_equal(second->asked, 0);
    assert_int_equal(COUNTER(questions), 1);
    assert_int_equal(COUNTER(sent), 1);
    assert_non_null(strstr(q.upstream, "seoul 127.0.0.1:"));
    assert_memory_equal(q.bytes + WIRE_QUESTION, "\3wWw\7example\3com", 17);
    assert_int_equal(first->flags, WIRE_RD | WIRE_AD);
    assert_true(is_described("\"region\":\"seoul\",\"class\":\"own\",\"state\":\"up\""));
}

static void public_is_asked_last(void **state)
{
    static struct question q;

    (void)state;
    struct stub *own = add(RCODE, FORWARD_OWN);
    struct stub *other = add(GOOD, FORWARD_OTHER);
    struct stub *public = add(GOOD, FORWARD_PUBLIC);
    own->rcode = WIRE_SERVFAIL;
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 1);
    assert_int_equal(public->asked, 0);
    other->behaviour = RCODE;
    other->rcode = WIRE_SERVFAIL;
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 2);
    assert_int_equal(public->asked, 1);
}

static void private_names_never_go_to_public(void **state)
{
    static const char *const names[] = { "\4host", "\1a\5local", "\0011\00210\7in-addr\4arpa" };
    static struct question q;

    (void)state;
    struct stub *public = add(GOOD, FORWARD_PUBLIC);
    for (unsigned i = 0; i < 3; i++) {
        ask_about(&q, names[i], WIRE_A, false);
        wait_for(&q);
        assert_true(q.answered);
        assert_int_equal(q.rcode, WIRE_NXDOMAIN);
    }
    assert_int_equal(public->asked, 0);
    struct stub *own = add(GOOD, FORWARD_OWN);
    ask_about(&q, names[0], WIRE_A, false);
    wait_for(&q);
    assert_int_equal(q.from, 1);
    assert_int_equal(own->asked, 1);
    assert_int_equal(public->asked, 0);
}

static void a_region_that_is_away_is_not_asked_while_others_answer(void **state)
{
    static const uint32_t words[] = { HEALTH_REGION_HELD, HEALTH_REGION_GATED,
                                      HEALTH_REGION_DRAINED, HEALTH_REGION_FORCED_DOWN };
    static struct question q;

    (void)state;
    struct stub *own = add(GOOD, FORWARD_OWN);
    struct stub *other = add(GOOD, FORWARD_OTHER);
    for (unsigned i = 0; i < 4; i++) {
        atomic_store(&regions[0].word, words[i]);
        ask(&q);
        wait_for(&q);
        assert_int_equal(q.from, 1);
    }
    assert_int_equal(own->asked, 0);
    other->behaviour = RCODE;
    other->rcode = WIRE_SERVFAIL;
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 0); /* but rather than nobody */
    atomic_store(&regions[0].word, HEALTH_REGION_SUSPECT | HEALTH_REGION_PROVE);
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 0);
}

static void upstreams_are_told_apart_by_more_than_their_address(void **state)
{
    static const uint8_t pin[1][32] = { { 1 } };
    struct tls_settings tls = { .name = "dns.example", .pins = pin, .pin_count = 1 };
    char name[] = "dns.example";

    (void)state;
    struct stub *stub = add(GOOD, FORWARD_OWN);
    for (unsigned i = 1; i < 4; i++) {
        upstreams[i] = upstreams[0];
    }
    upstreams[1].tcp = true;
    upstreams[2].tls = &tls;
    tls.name = name;
    rule.upstream_count = 3;
    adopt();
    name[0] = 'x'; /* the configuration goes, what is known stays */
    assert_true(is_described("\"transport\":\"udp\",\"tls_name\":null"));
    assert_true(is_described("\"transport\":\"tcp\",\"tls_name\":null"));
    assert_true(is_described("\"transport\":\"tls\",\"tls_name\":\"dns.example\""));
    assert_false(is_described("xns.example"));
    rule.upstream_count = 1;
    adopt();
    assert_false(is_described("\"transport\":\"tls\"")); /* it is in force no more */
    assert_int_equal(stub->behaviour, GOOD);
}

static void those_to_be_asked_are_explained_in_their_order(void **state)
{
    static struct question q;
    struct text text = { 0 };
    struct json_writer json;

    (void)state;
    stub_die(add(GOOD, FORWARD_OWN));
    add(GOOD, FORWARD_OTHER);
    rule.hedge_ms = 40;
    ask(&q);
    wait_for(&q);
    json_writer_init(&json, &text);
    json_writer_list_begin(&json, NULL);
    forwarder_explain(forwarder, &rule, &json);
    json_writer_list_end(&json);
    const char *tokyo = strstr(text_string(&text), "\"region\":\"tokyo\"");
    const char *seoul = strstr(text_string(&text), "\"region\":\"seoul\"");
    assert_non_null(tokyo);
    assert_non_null(seoul);
    assert_true(tokyo < seoul);
    assert_non_null(strstr(text_string(&text), "\"hedge_ms\":40"));
    text_fini(&text);
}

/* ---- answers of another class ---- */

static void a_negative_answer_of_a_lesser_class_waits_for_a_better(void **state)
{
    static struct question q;

    (void)state;
    struct stub *own = add(GOOD, FORWARD_OWN);
    struct stub *other = add(NOWHERE, FORWARD_OTHER);
    own->delay_ms = 450;
    rule.hedge_ms = 400;
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 0);
    assert_int_equal(other->asked, 1);
}

static void it_is_taken_when_the_better_stay_silent(void **state)
{
    static struct question q;

    (void)state;
    add(SILENT, FORWARD_OWN);
    add(NOWHERE, FORWARD_OTHER);
    rule.hedge_ms = 20;
    ask(&q);
    wait_for(&q);
    assert_true(q.answered);
    assert_int_equal(q.rcode, WIRE_NXDOMAIN);
    assert_non_null(strstr(q.upstream, "tokyo "));
    assert_true(q.took_ms >= 200);
}

static void who_has_an_older_answer_needs_no_lesser_one(void **state)
{
    static struct question q;

    (void)state;
    struct stub *own = add(RCODE, FORWARD_OWN);
    own->rcode = WIRE_SERVFAIL;
    add(NOWHERE, FORWARD_OTHER);
    struct stub *public = add(GOOD, FORWARD_PUBLIC);
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.rcode, WIRE_NXDOMAIN);
    assert_false(q.positive);
    assert_true(q.lesser);
    has_stale = true;
    ask(&q);
    wait_for(&q);
    assert_false(q.answered);
    assert_int_equal(public->asked, 0);
    own->behaviour = NOWHERE;
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.rcode, WIRE_NXDOMAIN); /* that one knows */
    assert_false(q.lesser);
}

static void private_addresses_are_refused_where_that_is_asked_for(void **state)
{
    static struct question q;

    (void)state;
    struct stub *own = add(GOOD, FORWARD_OWN);
    add(SILENT, FORWARD_OTHER);
    own->is_private = true;
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.answers, 1);
    rule.refuse_private = true;
    ask(&q);
    wait_for(&q);
    assert_true(q.answered);
    assert_int_equal(q.answers, 0);
    assert_int_equal(q.rcode, WIRE_NOERROR);
    assert_int_equal(q.ede_code, 17);
    assert_false(q.positive);
}

/* ---- hedges and budgets ---- */

static void silence_is_hedged_to_another_region(void **state)
{
    static struct question q;

    (void)state;
    struct stub *silent = add(SILENT, FORWARD_OWN);
    add(GOOD, FORWARD_OTHER);
    rule.hedge_ms = 20;
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 1);
    assert_true(q.took_ms >= 20);
    assert_true(silent->asked >= 1);
    assert_int_equal(COUNTER(hedges), 1);
}

static void a_blackhole_is_hedged_on_its_own_times(void **state)
{
    static struct question q[60];
    static char names[60][8];

    (void)state;
    struct stub *own = add(GOOD, FORWARD_OWN);
    add(GOOD, FORWARD_OTHER);
    rule.hedge_auto = true;
    for (unsigned i = 0; i < 20; i++) {
        ask(&q[0]);
        wait_for(&q[0]);
    }
    own->behaviour = SILENT;
    for (unsigned i = 0; i < 60; i++) { /* more than is saved up */
        (void)snprintf(names[i], sizeof(names[i]), "\1%c\2%c%c", 'a' + (int)(i % 26), 'a',
                       'a' + (int)(i / 26));
        ask_about(&q[i], names[i], WIRE_A, false);
    }
    for (unsigned i = 0; i < 60; i++) {
        if (q[i].done == 0) {
            wait_for(&q[i]);
        }
        assert_int_equal(q[i].from, 1);
        assert_true(q[i].took_ms < FORWARD_DEADLINE_MS / 2);
    }
    assert_true(COUNTER(hedges) >= 60);
}

static void above_its_budget_it_spills(void **state)
{
    static const char *const names[] = { "\1a\2xy", "\1b\2xy", "\1c\2xy", "\1d\2xy" };
    static struct question q;

    (void)state;
    struct stub *own = add(GOOD, FORWARD_OWN);
    struct stub *other = add(GOOD, FORWARD_OTHER);
    upstreams[0].max_queries_per_minute = 1;
    for (unsigned i = 0; i < 12; i++) { /* ten at once, then one a minute */
        ask_about(&q, names[i % 4], WIRE_A, false);
        wait_for(&q);
        assert_int_equal(q.from, i < 10 ? 0 : 1);
    }
    assert_int_equal(own->asked, 10);
    assert_true(is_described("\"budget\":1,\"over_budget\":0"));
    other->behaviour = RCODE;
    other->rcode = WIRE_SERVFAIL;
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 0); /* rather than nobody */
    assert_true(is_described("\"budget\":1,\"over_budget\":1"));
}

static void of_two_rules_budgets_the_lower_holds(void **state)
{
    static struct model model = { .in_flight = 10000 };
    static struct question q;
    struct forward_upstream unlimited;
    struct forward_rule rules[2];
    struct snapshot snapshot = { .model = &model, .forwards = rules, .forward_count = 2 };

    (void)state;
    add(GOOD, FORWARD_OWN);
    unlimited = upstreams[0];
    upstreams[0].max_queries_per_minute = 600;
    rules[0] = rule;
    rules[1] = rule;
    rules[1].upstreams = &unlimited;
    for (unsigned i = 0; i < 2; i++) {
        forwarder_adopt(forwarder, &snapshot);
        ask(&q);
        wait_for(&q);
        rule.upstreams = &unlimited;
        ask(&q);
        wait_for(&q);
        assert_true(is_described("\"budget\":600,"));
        rules[0].upstreams = &unlimited; /* the order of rules is of no account */
        rules[1].upstreams = upstreams;
        rule.upstreams = upstreams;
    }
    rules[1].upstreams = &unlimited;
    forwarder_adopt(forwarder, &snapshot);
    assert_true(is_described("\"budget\":null,"));
}

static void no_hedge_goes_above_a_budget_before_long(void **state)
{
    static struct question q;

    (void)state;
    struct stub *own = add(RCODE, FORWARD_OWN);
    struct stub *other = add(GOOD, FORWARD_OTHER);
    own->rcode = WIRE_SERVFAIL;
    upstreams[1].max_queries_per_minute = 1;
    rule.hedge_ms = 20;
    for (unsigned i = 0; i < 10; i++) { /* that is all it may be asked */
        ask(&q);
        wait_for(&q);
        assert_int_equal(q.from, 1);
    }
    own->behaviour = SILENT;
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 1); /* rather than nobody */
    assert_true(q.took_ms >= CHOICE_RESEND_MS);
    assert_int_equal(other->asked, 11);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_upstream_answers_alone),
        TEST(silence_is_hedged_to_another_region),
        TEST(a_negative_answer_of_a_lesser_class_waits_for_a_better),
        TEST(it_is_taken_when_the_better_stay_silent),
        TEST(public_is_asked_last),
        TEST(private_names_never_go_to_public),
        TEST(a_region_that_is_away_is_not_asked_while_others_answer),
        TEST(above_its_budget_it_spills),
        TEST(of_two_rules_budgets_the_lower_holds),
        TEST(no_hedge_goes_above_a_budget_before_long),
        TEST(who_has_an_older_answer_needs_no_lesser_one),
        TEST(private_addresses_are_refused_where_that_is_asked_for),
        TEST(a_blackhole_is_hedged_on_its_own_times),
        TEST(upstreams_are_told_apart_by_more_than_their_address),
        TEST(those_to_be_asked_are_explained_in_their_order),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* as the program does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
