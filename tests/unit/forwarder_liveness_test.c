/* Who is suspect, down and back, by answers and by probes. */
#include "forwarder_world.h"

static void a_dead_socket_goes_on_at_once_and_is_suspect(void **state)
{
    static struct question q;

    (void)state;
    stub_die(add(GOOD, FORWARD_OWN));
    add(GOOD, FORWARD_OTHER);
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 1);
    assert_int_equal(COUNTER(hedges), 0);
    assert_true(is_described("\"state\":\"down\""));
    assert_true(is_described("\"reason\":\"connection refused\""));
    assert_int_equal(COUNTER(sent), 2);
    ask(&q);
    wait_for(&q);
    /* the dead one is not asked first again; a probe on a very slow machine at most */
    assert_in_range(COUNTER(sent), 3, 4);
}

static void a_suspect_is_back_after_a_few_good_answers(void **state)
{
    static struct question q;

    (void)state;
    struct stub *first = add(GOOD, FORWARD_OWN);
    add(GOOD, FORWARD_OTHER);
    uint16_t port = first->address.port;
    stub_die(first);
    ask(&q);
    wait_for(&q);
    assert_true(is_described("\"state\":\"down\""));
    assert_true(stub_bind(first, port));
    uint64_t back_ms = uv_now(&loop);
    run_until(is_up, NULL);
    assert_true(uv_now(&loop) - back_ms < GUARD_MS / 2);
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 0);
}

static void a_silent_upstream_becomes_suspect_and_answers_do_not_wait(void **state)
{
    static struct question q;

    (void)state;
    struct stub *silent = add(SILENT, FORWARD_OWN);
    add(GOOD, FORWARD_OTHER);
    rule.hedge_ms = 20;
    ask(&q);
    run_until(is_suspect, &q);
    assert_true(is_described("\"reason\":\"no answer to "));
    if (q.done == 0) {
        wait_for(&q);
    }
    rule.hedge_ms = NO_HEDGE;
    unsigned asked = silent->asked;
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 1);
    assert_in_range(silent->asked, asked, asked + 1); /* a probe, at most */
}

static void one_broken_domain_makes_nobody_suspect(void **state)
{
    static const char *const names[] = { "\1a\2xy", "\1b\2xy", "\1c\2xy" };
    static struct question q;

    (void)state;
    struct stub *first = add(RCODE, FORWARD_OWN);
    struct stub *second = add(RCODE, FORWARD_OTHER);
    first->rcode = WIRE_SERVFAIL;
    second->rcode = WIRE_SERVFAIL;
    for (unsigned i = 0; i < 3; i++) {
        ask_about(&q, names[i], WIRE_A, false);
        wait_for(&q);
        assert_false(q.answered);
    }
    assert_false(is_described("suspect")); /* nobody could answer these */
    second->behaviour = GOOD;
    for (unsigned i = 0; i < 5; i++) {
        ask_about(&q, names[0], WIRE_A, false);
        wait_for(&q);
    }
    assert_false(is_described("suspect")); /* always the same one */
    for (unsigned i = 0; i < 3; i++) {
        ask_about(&q, names[i], WIRE_A, false);
        wait_for(&q);
        assert_int_equal(q.from, 1);
    }
    assert_true(is_described("\"reason\":\"SERVFAIL to 3 questions that others answered\""));
}

/* Ask ever new names until somebody is suspect. */
static bool is_suspect_of_some(void *user)
{
    static char name[] = "\1a\2xy";
    struct question *q = user;

    if (q->asked_ms == 0 || q->done > 0) {
        name[1] = (char)(name[1] == 'z' ? 'a' : name[1] + 1);
        ask_about(q, name, WIRE_A, false);
    }
    return is_described("suspect");
}

static void connections_without_answers_make_suspect(void **state)
{
    static struct question q;

    (void)state;
    struct stub *first = add(HANGING, FORWARD_OWN);
    add(GOOD, FORWARD_OTHER);
    rule.hedge_ms = 20;
    ask(&q);
    run_until(is_suspect_of_some, &q);
    assert_true(is_described("\"reason\":\"no answer over TCP to 3 questions that others"));
    assert_true(first->connected >= 1); /* streams are shared */
}

/* ---- probing ---- */

static bool is_all_up(void *user)
{
    (void)user;
    return !is_described("\"state\":\"down\"") && !is_described("\"state\":\"suspect\"") &&
           !is_described("\"state\":\"unknown\"");
}

static void the_dead_are_known_before_the_first_question(void **state)
{
    static struct question q;

    (void)state;
    stub_die(add(GOOD, FORWARD_OWN));
    add(SILENT, FORWARD_OWN);
    adopt();
    assert_false(forwarder_is_down(forwarder, &rule));
    run_until(is_down, NULL);
    assert_true(is_described("\"reason\":\"connection refused\""));
    assert_true(is_described("\"reason\":\"no answer to 3 questions in a row\""));
    assert_int_equal(COUNTER(questions), 0);
    add(GOOD, FORWARD_OTHER);
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 2);
    assert_int_equal(q.origin, FORWARD_OTHER);
    assert_true(q.positive);
    assert_false(q.lesser);
    assert_false(forwarder_is_down(forwarder, &rule));
}

static void probes_alone_bring_it_back(void **state)
{
    static struct question q;

    (void)state;
    struct stub *first = add(GOOD, FORWARD_OWN);
    uint16_t port = first->address.port;
    stub_die(first);
    adopt();
    run_until(is_down, NULL);
    assert_true(stub_bind(first, port));
    run_until(is_all_up, NULL);
    assert_false(forwarder_is_down(forwarder, &rule));
    assert_true(COUNTER(probes) >= 4);
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 0);
}

static bool is_slow(void *user)
{
    (void)user;
    return is_described("\"reason\":\"slow: ");
}

static void a_slow_one_is_left_for_a_quick_one_and_used_again(void **state)
{
    static struct question q[UPSTREAM_SLOW_COUNT + 1];
    static char names[UPSTREAM_SLOW_COUNT][4];

    (void)state;
    struct stub *own = add(GOOD, FORWARD_OWN);
    struct stub *other = add(GOOD, FORWARD_OTHER);
    adopt();
    run_until(is_all_up, NULL);
    own->delay_ms = 250;
    for (unsigned i = 0; i < UPSTREAM_SLOW_COUNT; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "\1%c", 'a' + (int)i);
        ask_about(&q[i], names[i], WIRE_A, false);
    }
    run_until(is_slow, NULL);
    ask(&q[UPSTREAM_SLOW_COUNT]);
    wait_for(&q[UPSTREAM_SLOW_COUNT]);
    assert_int_equal(q[UPSTREAM_SLOW_COUNT].from, 1);
    other->delay_ms = 250; /* now it is the network, and the order as written counts again */
    ask(&q[UPSTREAM_SLOW_COUNT]);
    run_until(is_all_up, NULL);
    wait_for(&q[UPSTREAM_SLOW_COUNT]);
    own->delay_ms = 0;
    other->delay_ms = 0;
    ask(&q[UPSTREAM_SLOW_COUNT]);
    wait_for(&q[UPSTREAM_SLOW_COUNT]);
    assert_int_equal(q[UPSTREAM_SLOW_COUNT].from, 0);
}

static void public_is_not_probed_while_others_live(void **state)
{
    (void)state;
    struct stub *own = add(GOOD, FORWARD_OWN);
    struct stub *public = add(GOOD, FORWARD_PUBLIC);
    adopt();
    while (is_described("\"region\":\"seoul\",\"class\":\"own\",\"state\":\"unknown\"")) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    assert_int_equal(own->asked, 2);      /* the domain's SOA, and the name that shows loops */
    assert_in_range(public->asked, 0, 1); /* that name alone */
    assert_true(is_described("\"region\":\"public\",\"class\":\"public\",\"state\":\"unknown\""));
}

static bool is_told_of_loops(void *user)
{
    return ((struct stub *)user)->loop_name[0] != 0;
}

static bool is_probed(void *user)
{
    return ((struct stub *)user)->is_probed;
}

static void a_private_domain_is_not_told_to_public_by_probes(void **state)
{
    static const char *const names[] = { "\1a\2xy", "\1b\2xy", "\1c\2xy", "\1d\2xy" };
    static struct question q;

    (void)state;
    struct stub *public = add(SILENT, FORWARD_PUBLIC);
    rule.dname = (const uint8_t *)"\5cloud\10internal";
    adopt();
    for (unsigned i = 0; !public->is_probed && i < 4; i++) { /* then it is suspect, and alone */
        ask_about(&q, names[i], WIRE_A, false);
        wait_for(&q);
    }
    run_until(is_probed, public);
    assert_int_equal(public->probe_name[0], 0);
}

static void one_that_was_away_is_asked_for_a_loop_when_it_is_back(void **state)
{
    (void)state;
    struct stub *first = add(SILENT, FORWARD_OWN);
    adopt();
    run_until(is_down, NULL);
    memset(first->loop_name, 0, sizeof(first->loop_name));
    first->behaviour = GOOD;
    run_until(is_told_of_loops, first);
    assert_true(forwarder_is_loop(forwarder, first->loop_name));
}

static void when_all_are_down_that_is_told_soon(void **state)
{
    static struct question q;

    (void)state;
    add(SILENT, FORWARD_OWN);
    add(SILENT, FORWARD_OTHER);
    rule.hedge_ms = 20;
    adopt();
    run_until(is_down, NULL);
    ask(&q);
    wait_for(&q);
    assert_false(q.answered);
    assert_int_equal(q.ede_code, 22);
    assert_true(q.took_ms >= CHOICE_DOWN_MS);
    assert_true(atomic_load(&forwarder_counters(forwarder)->sent) > 0);
}

static void who_leads_back_to_us_is_not_asked(void **state)
{
    static struct question q;
    uint8_t name[64], other[64];

    (void)state;
    struct stub *first = add(GOOD, FORWARD_OWN);
    add(GOOD, FORWARD_OTHER);
    adopt();
    run_until(is_told_of_loops, first);
    memcpy(name, first->loop_name, sizeof(name));
    memcpy(other, name, sizeof(other));
    other[20] = other[20] == 'a' ? 'b' : 'a';
    assert_false(forwarder_is_loop(forwarder, other));
    assert_false(forwarder_is_loop(forwarder, (const uint8_t *)"\3www\4test"));
    assert_true(forwarder_is_loop(forwarder, name));
    assert_true(is_described("\"state\":\"loop\""));
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 1);
    adopt();
    assert_false(is_described("\"state\":\"loop\""));
    assert_false(forwarder_is_loop(forwarder, name));
    ask(&q);
    wait_for(&q);
    assert_int_equal(q.from, 0);
}

static void probing_may_end_at_any_moment(void **state)
{
    uv_timer_t tick;

    (void)state;
    uv_timer_init(&loop, &tick);
    for (unsigned turns = 0; turns < 8; turns++) {
        if (forwarder == NULL) {
            forwarder = forwarder_new(&loop);
            assert_non_null(forwarder);
            stub_count = 0;
        }
        add(SILENT, FORWARD_OWN);
        stub_die(add(GOOD, FORWARD_OTHER));
        add(GOOD, FORWARD_PUBLIC);
        adopt();
        uv_timer_start(&tick, on_tick, 1, 1);
        for (unsigned i = 0; i < turns; i++) {
            (void)uv_run(&loop, UV_RUN_ONCE);
            if (i % 3 == 2) {
                adopt();
            }
        }
        uv_timer_stop(&tick);
        close_all();
    }
    uv_close((uv_handle_t *)&tick, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
}

/* What all the other claims rest on, on a machine that does not always run us. */
static void no_time_passes_while_nobody_waits(void **state)
{
    const struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };
    uv_timer_t timer;

    (void)state;
    uv_update_time(&loop);
    uint64_t before_ms = uv_now(&loop);
    (void)nanosleep(&pause, NULL);
    uv_update_time(&loop);
    assert_in_range(uv_now(&loop), before_ms, before_ms + 2);
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_tick, 20, 0);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(uv_now(&loop) >= before_ms + 20);
    uv_close((uv_handle_t *)&timer, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_dead_socket_goes_on_at_once_and_is_suspect),
        TEST(a_suspect_is_back_after_a_few_good_answers),
        TEST(a_silent_upstream_becomes_suspect_and_answers_do_not_wait),
        TEST(one_broken_domain_makes_nobody_suspect),
        TEST(connections_without_answers_make_suspect),
        TEST(the_dead_are_known_before_the_first_question),
        TEST(probes_alone_bring_it_back),
        TEST(a_slow_one_is_left_for_a_quick_one_and_used_again),
        TEST(public_is_not_probed_while_others_live),
        TEST(a_private_domain_is_not_told_to_public_by_probes),
        TEST(one_that_was_away_is_asked_for_a_loop_when_it_is_back),
        TEST(when_all_are_down_that_is_told_soon),
        TEST(who_leads_back_to_us_is_not_asked),
        TEST(probing_may_end_at_any_moment),
        TEST(no_time_passes_while_nobody_waits),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* as the program does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
