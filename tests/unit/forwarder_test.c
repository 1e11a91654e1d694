/* A question, from its asking to what its asker is told. */
#include "forwarder_world.h"

#include <pthread.h>
#include <sys/resource.h>

static void an_answer_that_is_none_goes_on_at_once(void **state)
{
    static const struct {
        enum behaviour behaviour;
        unsigned rcode;
    } cases[] = {
        { RCODE, WIRE_SERVFAIL },
        { RCODE, WIRE_REFUSED },
        { RCODE, WIRE_FORMERR },
        { RCODE, WIRE_NOTIMP },
        { RCODE, 9 },
        { MALFORMED, 0 },
        { LIES, 0 },
    };
    static struct question q;
    unsigned asked = 0;

    (void)state;
    struct stub *first = add(GOOD, FORWARD_OWN);
    add(GOOD, FORWARD_OTHER);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        first->behaviour = cases[i].behaviour;
        first->rcode = cases[i].rcode;
        ask(&q);
        wait_for(&q);
        assert_int_equal(q.from, 1);
        /* FORMERR and NOTIMP may be meant for EDNS: it is asked again without */
        asked += cases[i].rcode == WIRE_FORMERR || cases[i].rcode == WIRE_NOTIMP ? 2 : 1;
        assert_int_equal(first->asked, asked);
    }
    assert_int_equal(COUNTER(hedges), 0);
    assert_false(is_described("suspect")); /* one question proves nothing */
}

static void impostors_are_ignored(void **state)
{
    static struct question q;

    (void)state;
    struct stub *only = add(IMPOSTORS, FORWARD_OWN);
    add(SILENT, FORWARD_OTHER);
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 0);
    assert_int_equal(only->asked, 1);
    assert_int_equal(COUNTER(mismatched), 2); /* the third never got past the kernel */
}

static void a_truncated_answer_is_fetched_over_tcp(void **state)
{
    static struct question q;

    (void)state;
    struct stub *only = add(TRUNCATED, FORWARD_OWN);
    add(SILENT, FORWARD_OTHER);
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 0);
    assert_int_equal(q.answers, BIG_ANSWER);
    assert_int_equal(only->asked, 1);
    assert_int_equal(only->connected, 1);
    assert_int_equal(COUNTER(sent), 2);
}

static void a_connection_that_is_closed_goes_on(void **state)
{
    static struct question q;

    (void)state;
    struct stub *first = add(HANGING_UP, FORWARD_OWN);
    add(GOOD, FORWARD_OTHER);
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 1);
    assert_int_equal(first->connected, 2); /* once more for what was asked on it */
}

static void a_question_without_socket_takes_that_of_its_silent_try(void **state)
{
    static struct question q;
    struct rlimit all, none;

    (void)state;
    struct stub *silent = add(SILENT, FORWARD_OWN);
    add(GOOD, FORWARD_OTHER);
    rule.hedge_ms = 50;
    ask(&q);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    int lowest_free = dup(silent->fd);
    assert_true(lowest_free >= 0);
    close(lowest_free);
    none = all;
    none.rlim_cur = (rlim_t)lowest_free;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    wait_for(&q);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
    assert_int_equal(q.from, 1);
    assert_int_equal(silent->asked, 1);
}

static void a_question_without_socket_takes_one_that_is_only_listened_to(void **state)
{
    static struct question q[2];
    struct rlimit all, none;

    (void)state;
    struct stub *silent = add(SILENT, FORWARD_OWN);
    add(GOOD, FORWARD_OTHER);
    rule.hedge_ms = 20;
    ask(&q[0]);
    wait_for(&q[0]);
    assert_int_equal(q[0].from, 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    int lowest_free = dup(silent->fd);
    assert_true(lowest_free >= 0);
    close(lowest_free);
    none = all;
    none.rlim_cur = (rlim_t)lowest_free;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    ask_about(&q[1], "\1a\2xy", WIRE_A, false);
    wait_for(&q[1]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
    assert_int_equal(q[1].from, 1);
}

static void equal_questions_are_asked_once(void **state)
{
    static struct question q[5];

    (void)state;
    struct stub *only = add(GOOD, FORWARD_OWN);
    add(SILENT, FORWARD_OTHER);
    ask_about(&q[0], "\3wWw\7example\3com", WIRE_A, false);
    ask_about(&q[1], "\3www\7eXample\3com", WIRE_A, false); /* the same name */
    ask_about(&q[2], "\3www\7example\3com", WIRE_A, true);
    ask_about(&q[3], "\3www\7example\3net", WIRE_A, false);
    ask_about(&q[4], "\3www\7example\3com", WIRE_AAAA, false);
    for (unsigned i = 0; i < 5; i++) {
        if (q[i].done == 0) {
            wait_for(&q[i]);
        }
        assert_int_equal(q[i].done, 1);
        assert_true(i == 4 || q[i].from == 0);
    }
    assert_int_equal(only->asked, 4);
    assert_int_equal(COUNTER(coalesced), 1);
    assert_int_equal(COUNTER(questions), 5);
}

static void nobody_answers_by_the_deadline(void **state)
{
    static struct question q;

    (void)state;
    struct stub *first = add(SILENT, FORWARD_OWN);
    struct stub *second = add(SILENT, FORWARD_OTHER);
    rule.hedge_ms = 100;
    ask(&q);
    wait_for(&q);
    assert_false(q.answered);
    assert_true(q.took_ms >= FORWARD_DEADLINE_MS);
    assert_int_equal(q.ede_code, 22);
    assert_non_null(strstr(q.ede_text, "seoul 127.0.0.1:"));
    assert_non_null(strstr(q.ede_text, ": no answer; tokyo 127.0.0.1:"));
    assert_in_range(first->asked, 2, 5); /* and they were asked again meanwhile */
    assert_in_range(second->asked, 2, 5);
    assert_int_equal(first->ports, 1); /* always from the same port: one chance for a forger */
    assert_int_equal(second->ports, 1);
    assert_int_equal(COUNTER(failed), 1);
}

static void when_all_fail_the_reasons_are_told_at_once(void **state)
{
    static struct question q;

    (void)state;
    struct stub *first = add(RCODE, FORWARD_OWN);
    first->rcode = WIRE_REFUSED;
    stub_die(add(GOOD, FORWARD_OTHER));
    ask(&q);
    wait_for(&q);
    assert_false(q.answered);
    assert_int_equal(q.ede_code, 23);
    assert_non_null(strstr(q.ede_text, ": REFUSED; tokyo "));
    assert_non_null(strstr(q.ede_text, ": connection refused"));
    assert_int_equal(COUNTER(hedges), 0);
}

static void a_rule_without_upstreams_fails_later(void **state)
{
    static struct question q;

    (void)state;
    ask(&q);
    wait_for(&q);
    assert_false(q.answered);
    assert_string_equal(q.ede_text, "no upstream to ask");
}

static unsigned told;

static void on_told(void *user, const struct forward_reply *reply)
{
    char *text = user;

    told++;
    if (reply->message == NULL) {
        (void)snprintf(text, 64, "%s", reply->ede_text);
    }
}

static bool is_told(void *user)
{
    return told >= *(unsigned *)user;
}

static void too_many_questions_are_turned_away(void **state)
{
    static char text[64];
    unsigned wanted = 1;
    struct forward_question q = {
        .name = (const uint8_t *)"\1a\1b",
        .name_length = 5,
        .type = WIRE_A,
        .class = WIRE_IN,
    };

    (void)state;
    add(SILENT, FORWARD_OWN);
    told = 0;
    for (unsigned i = 0; i < 10001; i++) {
        forwarder_ask(forwarder, &rule, &q, on_told, text);
    }
    assert_int_equal(told, 0);
    run_until(is_told, &wanted);
    assert_int_equal(told, 1);
    assert_int_equal(COUNTER(shed), 1);
    assert_string_equal(text, "too many questions in flight");
    forwarder_ask(forwarder, &rule, &q, on_told, text);
    close_all();
    assert_int_equal(told, 10002);
}

static void closing_fails_what_is_in_flight(void **state)
{
    static struct question q;

    (void)state;
    add(SILENT, FORWARD_OWN);
    ask(&q);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    close_all();
    assert_int_equal(q.done, 1);
    assert_false(q.answered);
    assert_string_equal(q.ede_text, "the server is stopping");
}

static void closing_is_possible_at_any_moment(void **state)
{
    static struct question q[2];
    uv_timer_t tick;

    (void)state;
    uv_timer_init(&loop, &tick);
    for (unsigned turns = 0; turns < 12; turns++) {
        if (forwarder == NULL) {
            forwarder = forwarder_new(&loop);
            assert_non_null(forwarder);
            stub_count = 0;
        }
        add(turns % 2 == 0 ? TRUNCATED : SILENT, FORWARD_OWN);
        stub_die(add(GOOD, FORWARD_OTHER));
        add(NOWHERE, FORWARD_OTHER);
        rule.hedge_ms = 1;
        ask(&q[0]);
        ask_about(&q[1], "\1a\2bc", WIRE_A, true);
        uv_timer_start(&tick, on_tick, 1, 1); /* so that no turn waits for ever */
        for (unsigned i = 0; i < turns; i++) {
            (void)uv_run(&loop, UV_RUN_ONCE);
        }
        uv_timer_stop(&tick);
        close_all();
        assert_int_equal(q[0].done, 1);
        assert_int_equal(q[1].done, 1);
    }
    uv_close((uv_handle_t *)&tick, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
}

struct again {
    struct question question;
    unsigned left;
};

static void on_again(void *user, const struct forward_reply *reply)
{
    struct again *again = user;
    struct forward_question q = {
        .name = (const uint8_t *)"\1a\1b",
        .name_length = 5,
        .type = WIRE_A,
        .class = WIRE_IN,
    };

    if (again->left-- > 0) {
        forwarder_ask(forwarder, &rule, &q, on_again, again);
    } else {
        on_done(&again->question, reply);
    }
}

static void who_is_told_may_ask_again(void **state)
{
    static struct again again = { .left = 5 };
    struct forward_question q = {
        .name = (const uint8_t *)"\1a\1b",
        .name_length = 5,
        .type = WIRE_A,
        .class = WIRE_IN,
    };

    (void)state;
    struct stub *only = add(GOOD, FORWARD_OWN);
    add(SILENT, FORWARD_OTHER);
    forwarder_ask(forwarder, &rule, &q, on_again, &again);
    wait_for(&again.question);
    assert_int_equal(again.question.from, 0);
    assert_int_equal(only->asked, 6);
}

static atomic_bool stop_reading;

static void *read_status(void *user)
{
    bool *ok = user;

    *ok = true;
    while (!atomic_load(&stop_reading)) {
        *ok = *ok && !is_described("nonsense");
    }
    return NULL;
}

static void status_is_read_from_another_thread(void **state)
{
    pthread_t thread;
    static struct question q;
    bool ok;

    (void)state;
    atomic_store(&stop_reading, false);
    stub_die(add(GOOD, FORWARD_OWN));
    add(GOOD, FORWARD_OTHER);
    assert_int_equal(pthread_create(&thread, NULL, read_status, &ok), 0);
    for (unsigned i = 0; i < 20; i++) {
        ask(&q);
        wait_for(&q);
    }
    atomic_store(&stop_reading, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(ok);
}

struct noted {
    unsigned count;
    bool is_question; /* the one asked */
};

static void on_noted(void *user, const struct forward_question *question, const uint8_t *dname,
                     struct forward_reply *reply)
{
    struct noted *noted = user;

    noted->count++;
    noted->is_question = question->type == WIRE_A && reply->message != NULL &&
                         memcmp(dname, "\3www\7example\3com", 17) == 0;
}

static bool is_noted(void *user)
{
    return ((struct noted *)user)->count > 0;
}

static void each_answer_is_noted_once(void **state)
{
    static struct question q;
    struct noted noted = { .count = 0 };
    struct forward_question nobody = {
        .name = (const uint8_t *)"\3wWw\7example\3com",
        .name_length = 17,
        .type = WIRE_A,
        .class = WIRE_IN,
    };

    (void)state;
    add(GOOD, FORWARD_OWN);
    add(SILENT, FORWARD_OTHER);
    forwarder_on_answer(forwarder, on_noted, &noted);
    ask(&q);
    forwarder_ask(forwarder, &rule, &nobody, NULL, NULL); /* waits for the same one */
    wait_for(&q);
    assert_int_equal(noted.count, 1);
    assert_true(noted.is_question);
    noted.count = 0;
    forwarder_ask(forwarder, &rule, &nobody, NULL, NULL);
    run_until(is_noted, &noted);
    assert_int_equal(noted.count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_that_is_none_goes_on_at_once),
        TEST(impostors_are_ignored),
        TEST(a_truncated_answer_is_fetched_over_tcp),
        TEST(a_connection_that_is_closed_goes_on),
        TEST(a_question_without_socket_takes_that_of_its_silent_try),
        TEST(a_question_without_socket_takes_one_that_is_only_listened_to),
        TEST(equal_questions_are_asked_once),
        TEST(nobody_answers_by_the_deadline),
        TEST(when_all_fail_the_reasons_are_told_at_once),
        TEST(a_rule_without_upstreams_fails_later),
        TEST(too_many_questions_are_turned_away),
        TEST(closing_fails_what_is_in_flight),
        TEST(closing_is_possible_at_any_moment),
        TEST(who_is_told_may_ask_again),
        TEST(status_is_read_from_another_thread),
        TEST(each_answer_is_noted_once),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* as the program does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
