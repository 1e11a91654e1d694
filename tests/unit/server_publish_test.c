/* Generations that follow one another, and listeners that come and go with them. */
#include "server_world.h"

/* ---- generations ---- */

struct hammer {
    uint16_t port;
    bool stream;
    _Atomic bool *stop;
    pthread_t thread;
    unsigned asked;
    unsigned wrong;
};

/* Ask without pause; the answer is one of the two generations', never anything else. */
static void *hammer_on(void *user)
{
    struct hammer *h = user;
    struct reply r;
    int fd = open_client(h->stream ? SOCK_STREAM : SOCK_DGRAM, NULL, "127.0.0.1", h->port);

    while (!atomic_load(h->stop)) {
        bool foreign = h->asked % 8 == 7;
        ask(fd, h->stream, foreign ? "www.example.org" : "api.example.com", &r);
        int address = address_of(&r);
        bool right = foreign ? address == 7 : address == 11 || address == 12;
        h->wrong += r.rcode != WIRE_NOERROR || !right;
        h->asked++;
    }
    close(fd);
    return NULL;
}

static void wait_until_retired(struct control *c, unsigned count)
{
    const struct timespec moment = { .tv_nsec = 1000000 };
    uint64_t until = clock_now_ms() + PATIENCE_MS;

    while (c->retired < count && clock_now_ms() < until) {
        take_retired(c);
        (void)nanosleep(&moment, NULL);
    }
    assert_int_equal(c->retired, count);
}

static void hundreds_of_generations_pass_unnoticed(void **state)
{
    enum {
        GENERATIONS = 300,
        HAMMERS = 4
    };
    struct hammer hammers[HAMMERS] = { 0 };
    struct upstream upstream;
    struct server_counters sum;
    _Atomic bool stop = false;
    struct control c;
    unsigned asked = 0;
    (void)state;

    upstream_start(&upstream);
    begin(&c);
    serve(&c, config("127.0.0.1:1", 2, upstream.port, 11));
    for (unsigned i = 0; i < HAMMERS; i++) {
        hammers[i].port = port_of(&c, "127.0.0.1");
        hammers[i].stream = i == 0;
        hammers[i].stop = &stop;
        assert_int_equal(__real_pthread_create(&hammers[i].thread, NULL, hammer_on, &hammers[i]),
                         0);
    }
    for (unsigned i = 0; i < GENERATIONS; i++) {
        serve(&c, config("127.0.0.1:1", 2, upstream.port, 11 + i % 2));
        take_retired(&c);
    }
    /* all come back while the server lives on */
    wait_until_retired(&c, GENERATIONS);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < HAMMERS; i++) {
        pthread_join(hammers[i].thread, NULL);
        assert_int_equal(hammers[i].wrong, 0);
        asked += hammers[i].asked;
    }
    assert_true(asked > 0);
    server_sum(c.server, &sum);
    assert_int_equal(server_received(&sum), asked);
    assert_int_equal(sum.by_rcode[WIRE_NOERROR], asked);
    end(&c);
    upstream_stop(&upstream);
}

static void note_wake(void *user)
{
    atomic_fetch_add((_Atomic unsigned *)user, 1);
}

static void who_frees_generations_is_woken_until_that_is_ended(void **state)
{
    const struct timespec moment = { .tv_nsec = 1000000 };
    uint64_t until = clock_now_ms() + PATIENCE_MS;
    _Atomic unsigned wakes = 0;
    struct control c;
    (void)state;

    begin(&c);
    serve(&c, config("127.0.0.1:1", 1, NOBODY, 9));
    server_on_retired(c.server, note_wake, &wakes);
    serve(&c, config("127.0.0.1:1", 1, NOBODY, 10));
    while (atomic_load(&wakes) == 0 && clock_now_ms() < until) {
        (void)nanosleep(&moment, NULL);
    }
    assert_int_equal(atomic_load(&wakes), 1);
    wait_until_retired(&c, 1);
    server_on_retired(c.server, NULL, NULL);
    serve(&c, config("127.0.0.1:1", 1, NOBODY, 11));
    end(&c);
    assert_int_equal(atomic_load(&wakes), 1);
}

/* ---- listeners that come and go ---- */

static void a_listener_goes_while_its_questions_are_on_their_way(void **state)
{
    struct upstream upstream;
    struct control c;
    struct reply r;
    char two[64];
    (void)state;

    upstream_start(&upstream);
    begin(&c);
    serve(&c, config("\"127.0.0.1:1\"", 1, upstream.port, 9));
    uint16_t port = port_of(&c, "127.0.0.1");
    for (unsigned i = 0; i < 20; i++) {
        const char *gone = i % 2 == 0 ? "127.0.0.2" : "127.0.0.3";
        char names[2][32]; /* new ones each time: equal questions in flight are asked once */
        (void)snprintf(names[0], sizeof(names[0]), "a%u.example.org", i);
        (void)snprintf(names[1], sizeof(names[1]), "b%u.example.org", i);
        (void)snprintf(two, sizeof(two), "\"127.0.0.1:1\", \"%s:1\"", gone);
        serve(&c, config(two, 1, upstream.port, 9));
        uint16_t other = port_of(&c, gone);
        int udp = open_client(SOCK_DGRAM, NULL, gone, other);
        int tcp = open_client(SOCK_STREAM, NULL, gone, other);
        atomic_store(&upstream.silent, true);
        unsigned asked = atomic_load(&upstream.asked);
        send_query(udp, false, WIRE_RD, names[0], WIRE_A);
        send_query(tcp, true, WIRE_RD, names[1], WIRE_A);
        uint64_t until = clock_now_ms() + PATIENCE_MS;
        while (atomic_load(&upstream.asked) < asked + 2 && clock_now_ms() < until) {
            (void)usleep(1000);
        }
        serve(&c, config("\"127.0.0.1:1\"", 1, upstream.port, 9));
        atomic_store(&upstream.silent, false);
        assert_int_equal(port_of(&c, gone), 0);
        assert_int_equal(port_of(&c, "127.0.0.1"), port); /* the kept one never moved */
        ask_once(false, NULL, "127.0.0.1", port, "api.example.com", &r);
        assert_int_equal(address_of(&r), 9);
        if (i == 0) { /* a connection goes on: it is answered */
            receive(tcp, true, &r);
            assert_true(r.length > 0);
        }
        close(udp);
        close(tcp);
    }
    end(&c);
    upstream_stop(&upstream);
}

static void a_listener_that_cannot_be_had_changes_nothing(void **state)
{
    struct control c, other;
    struct reply r;
    struct error err;
    char listen[64];
    (void)state;

    begin(&other);
    serve(&other, config("127.0.0.2:1", 1, NOBODY, 8));
    begin(&c);
    serve(&c, config("\"127.0.0.1:1\"", 2, NOBODY, 9));
    uint16_t port = port_of(&c, "127.0.0.1");
    unsigned before = descriptors();
    /* one that is free and one that is taken; ours is to go */
    (void)snprintf(listen, sizeof(listen), "\"127.0.0.3:1\", \"127.0.0.2:%u\"",
                   port_of(&other, "127.0.0.2"));
    assert_int_equal(publish(&c, build(&c, config(listen, 2, NOBODY, 10)), &err), -EADDRINUSE);
    assert_string_equal(err.path, "t.yaml");
    assert_int_equal(err.line, 2);
    assert_int_equal(descriptors(), before);
    assert_int_equal(port_of(&c, "127.0.0.3"), 0);
    ask_once(false, NULL, "127.0.0.1", port, "api.example.com", &r);
    assert_int_equal(address_of(&r), 9);
    ask_once(true, NULL, "127.0.0.1", port, "api.example.com", &r);
    assert_int_equal(address_of(&r), 9);
    end(&c);
    end(&other);
}

static void from_one_address_to_all_only_a_restart_leads(void **state)
{
    struct control c;
    struct error err;
    char listen[64];
    uint16_t port;
    (void)state;

    /* a port that was free a moment ago, to be named */
    begin(&c);
    serve(&c, config("127.0.0.1:1", 1, NOBODY, 9));
    port = port_of(&c, "127.0.0.1");
    (void)snprintf(listen, sizeof(listen), "\"0.0.0.0:%u\"", port);
    assert_int_equal(publish(&c, build(&c, config(listen, 1, NOBODY, 9)), &err), -EADDRINUSE);
    assert_non_null(strstr(err.hint, "this server has it by 127.0.0.1:"));
    end(&c);
}

static void a_thread_that_cannot_be_had_changes_nothing(void **state)
{
    struct control c;
    struct reply r;
    struct error err;
    (void)state;

    begin(&c);
    serve(&c, config("\"127.0.0.1:1\"", 2, NOBODY, 9));
    uint16_t port = port_of(&c, "127.0.0.1");
    for (int left = 0; left < 4; left++) {
        struct snapshot *fresh =
            build(&c, config("\"127.0.0.2:1\", \"127.0.0.3:1\"", 2, NOBODY, 10));
        threads_left = left;
        int rc = publish(&c, fresh, &err);
        threads_left = -1;
        assert_int_equal(rc, -EAGAIN);
        assert_int_equal(port_of(&c, "127.0.0.2"), 0);
        ask_once(false, NULL, "127.0.0.1", port, "api.example.com", &r);
        assert_int_equal(address_of(&r), 9);
        ask_once(true, NULL, "127.0.0.1", port, "api.example.com", &r);
        assert_int_equal(address_of(&r), 9);
    }
    end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hundreds_of_generations_pass_unnoticed),
        cmocka_unit_test(who_frees_generations_is_woken_until_that_is_ended),
        cmocka_unit_test(a_listener_goes_while_its_questions_are_on_their_way),
        cmocka_unit_test(a_listener_that_cannot_be_had_changes_nothing),
        cmocka_unit_test(from_one_address_to_all_only_a_restart_leads),
        cmocka_unit_test(a_thread_that_cannot_be_had_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
