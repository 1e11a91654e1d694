/* What the server answers, and how it starts and ends. */
#include "server_world.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <sys/resource.h>

#include "resolver/fairness.h"
#include "resolver/service.h"

#define RINGS 300

/* ---- answers ---- */

static bool has_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;

    close(fd);
    return has;
}

static void what_is_ours_and_what_is_not_is_answered(void **state)
{
    struct upstream upstream;
    struct control c;
    struct reply r;
    (void)state;

    upstream_start(&upstream);
    begin(&c);
    serve(&c, config("127.0.0.1:1", 2, upstream.port, 9));
    uint16_t port = port_of(&c, "127.0.0.1");
    for (unsigned stream = 0; stream < 2; stream++) {
        ask_once(stream, NULL, "127.0.0.1", port, "api.example.com", &r);
        assert_int_equal(address_of(&r), 9);
        assert_int_equal(r.flags, WIRE_QR | WIRE_AA | WIRE_RD | WIRE_RA);
        ask_once(stream, NULL, "127.0.0.1", port, "www.example.org", &r);
        assert_int_equal(address_of(&r), 7);
        assert_int_equal(r.flags, WIRE_QR | WIRE_RD | WIRE_RA);
    }
    end(&c);
    upstream_stop(&upstream);
}

static void a_wildcard_answers_from_the_address_that_was_asked(void **state)
{
    static const char *const hosts[] = { "127.0.0.1", "127.0.0.2", "127.1.2.3", "[::1]" };
    struct upstream upstream;
    struct control c;
    struct reply r;
    bool v6 = has_ipv6();
    (void)state;

    upstream_start(&upstream);
    begin(&c);
    serve(&c, config(v6 ? "\"0.0.0.0:1\", \"[::]:1\"" : "\"0.0.0.0:1\"", 2, upstream.port, 9));
    for (unsigned i = 0; i < (v6 ? 4 : 3); i++) {
        bool is_v6 = i == 3;
        uint16_t port = port_of(&c, is_v6 ? "[::]" : "0.0.0.0");
        for (unsigned stream = 0; stream < 2; stream++) {
            const char *source = is_v6 ? NULL : "127.0.0.77";
            ask_once(stream, source, hosts[i], port, "api.example.com", &r);
            assert_int_equal(address_of(&r), 9);
            ask_once(stream, source, hosts[i], port, "www.example.org", &r);
            assert_int_equal(address_of(&r), 7); /* loopback on both ends: may recurse */
        }
    }
    end(&c);
    upstream_stop(&upstream);
}

/* An IPv4 address of this machine that is not loopback. */
static bool find_own_address(char out[INET_ADDRSTRLEN])
{
    struct ifaddrs *list;
    bool found = false;

    if (getifaddrs(&list) != 0) {
        return false;
    }
    for (const struct ifaddrs *i = list; i != NULL && !found; i = i->ifa_next) {
        if (i->ifa_addr != NULL && i->ifa_addr->sa_family == AF_INET &&
            (i->ifa_flags & (IFF_LOOPBACK | IFF_UP)) == IFF_UP) {
            const struct sockaddr_in *sa = (const void *)i->ifa_addr;
            found = inet_ntop(AF_INET, &sa->sin_addr, out, INET_ADDRSTRLEN) != NULL;
        }
    }
    freeifaddrs(list);
    return found;
}

static void a_wildcard_recurses_for_loopback_alone(void **state)
{
    char own[INET_ADDRSTRLEN];
    struct upstream upstream;
    struct control c;
    struct reply r;
    (void)state;

    if (!find_own_address(own)) {
        skip();
    }
    upstream_start(&upstream);
    begin(&c);
    serve(&c, config("\"0.0.0.0:1\"", 1, upstream.port, 9));
    uint16_t port = port_of(&c, "0.0.0.0");
    for (unsigned stream = 0; stream < 2; stream++) {
        /* it never leaves the machine, but neither end is loopback */
        ask_once(stream, NULL, own, port, "api.example.com", &r);
        assert_int_equal(address_of(&r), 9);
        assert_int_equal(r.flags & WIRE_RA, 0);
        ask_once(stream, NULL, own, port, "www.example.org", &r);
        assert_int_equal(r.rcode, WIRE_REFUSED);
    }
    assert_int_equal(atomic_load(&upstream.asked), 0);
    end(&c);
    upstream_stop(&upstream);
}

static void an_alias_that_leads_to_others_is_followed_for_those_who_may(void **state)
{
    struct upstream upstream;
    struct scratch s;
    struct control c;
    struct reply r;
    char yaml[4096];
    (void)state;

    upstream_start(&upstream);
    scratch_init(&s);
    (void)scratch_write(&s, "zone",
                        "$TTL 60\n@ SOA ns1 h 1 1h 15m 1w 60\n"
                        "one CNAME two\ntwo CNAME cdn.example.org.\n");
    (void)snprintf(yaml, sizeof(yaml), "%szones: {example.net: {file: %s}}\n",
                   config("127.0.0.1:1", 1, upstream.port, 9), s.path);
    begin(&c);
    serve(&c, yaml);
    uint16_t port = port_of(&c, "127.0.0.1");
    for (unsigned stream = 0; stream < 2; stream++) {
        int fd = open_client(stream ? SOCK_STREAM : SOCK_DGRAM, NULL, "127.0.0.1", port);
        ask(fd, stream, "one.example.net", &r);
        assert_int_equal(r.answers, 3);
        assert_int_equal(address_of(&r), 7);
        assert_int_equal(r.flags, WIRE_QR | WIRE_AA | WIRE_RD | WIRE_RA);
        /* not there for this type: the aliases, and no more */
        send_query(fd, stream, WIRE_RD, "one.example.net", WIRE_AAAA);
        receive(fd, stream, &r);
        assert_int_equal(r.rcode, WIRE_NOERROR);
        assert_int_equal(r.answers, 2);
        /* recursion not wanted: ours alone */
        unsigned asked = atomic_load(&upstream.asked);
        send_query(fd, stream, 0, "one.example.net", WIRE_A);
        receive(fd, stream, &r);
        assert_int_equal(r.answers, 2);
        assert_int_equal(address_of(&r), -1);
        send_query(fd, stream, WIRE_RD, "one.example.net", WIRE_CNAME);
        receive(fd, stream, &r);
        assert_int_equal(r.answers, 1);
        assert_int_equal(atomic_load(&upstream.asked), asked);
        close(fd);
    }
    end(&c);
    scratch_fini(&s);
    upstream_stop(&upstream);
}

/* ---- the start that fails, and the end ---- */

static void a_start_without_threads_leaves_nothing_behind(void **state)
{
    struct control c;
    struct error err;
    unsigned before = descriptors();
    (void)state;

    /* the reclaimer, the service loop, and four answerers */
    for (int left = 0; left < 6; left++) {
        begin(&c);
        struct snapshot *first =
            build(&c, config("\"127.0.0.1:1\", \"127.0.0.2:1\"", 2, NOBODY, 9));
        threads_left = left;
        int rc = publish(&c, first, &err);
        threads_left = -1;
        assert_int_equal(rc, -EAGAIN);
        assert_non_null(strstr(err.message, "cannot start"));
        end(&c);
        assert_int_equal(descriptors(), before);
    }
}

#define LOOP_LEAKS_MOST 6

static void a_start_without_descriptors_leaves_nothing_behind(void **state)
{
    struct rlimit limit, tight;
    struct control c;
    struct error err;
    unsigned before = descriptors();
    unsigned failed = 0, left = 0;
    int rc = -1;
    (void)state;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int lowest = dup(0);
    close(lowest);
    for (unsigned room = 0; rc < 0 && room < 64; room += 2) {
        begin(&c);
        struct snapshot *first = build(&c, config("127.0.0.1:1", 2, NOBODY, 9));
        tight = limit;
        tight.rlim_cur = (rlim_t)lowest + room;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
        rc = publish(&c, first, &err);
        end(&c);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        left += descriptors() - before;
        before = descriptors();
        failed += rc < 0;
    }
    assert_int_equal(rc, 0);
    /*
     * libuv 1.44 forgets a descriptor of a loop that it cannot make whole, at each try
     * that gets so far; all of ours are closed.
     */
    assert_true(left <= LOOP_LEAKS_MOST);
    assert_true(failed > 3); /* its three sockets, and the loop's */
}

static void the_end_answers_what_is_on_its_way(void **state)
{
    struct upstream upstream;
    struct control c;
    struct reply r;
    (void)state;

    upstream_start(&upstream);
    atomic_store(&upstream.silent, true);
    begin(&c);
    serve(&c, config("127.0.0.1:1", 1, upstream.port, 9));
    uint16_t port = port_of(&c, "127.0.0.1");
    int udp = open_client(SOCK_DGRAM, NULL, "127.0.0.1", port);
    int tcp = open_client(SOCK_STREAM, NULL, "127.0.0.1", port);
    send_query(udp, false, WIRE_RD, "a.example.org", WIRE_A);
    send_query(tcp, true, WIRE_RD, "b.example.org", WIRE_A);
    uint64_t until = clock_now_ms() + PATIENCE_MS;
    while (atomic_load(&upstream.asked) < 2 && clock_now_ms() < until) {
        (void)usleep(1000);
    }
    uint64_t start = clock_now_ms();
    end(&c);
    receive(udp, false, &r);
    assert_int_equal(r.rcode, WIRE_SERVFAIL);
    receive(tcp, true, &r);
    assert_int_equal(r.rcode, WIRE_SERVFAIL);
    assert_true(clock_now_ms() - start < PATIENCE_MS);
    close(udp);
    close(tcp);
    upstream_stop(&upstream);
}

static void never_started_is_never_to_be_stopped(void **state)
{
    struct control c;
    struct error err;
    (void)state;

    begin(&c);
    struct snapshot *first = build(&c, config("127.0.0.1:1", 1, NOBODY, 9));
    assert_int_equal(server_new(first->model, &c.server, &err), 0);
    assert_null(server_stop(c.server));
    server_free(c.server);
    server_free(NULL);
    discard(&c, first);
    health_free(c.health);
}

static void the_service_loop_takes_from_any_number_of_rings(void **state)
{
    static struct handover_ring rings[RINGS];
    static struct fairness fairness;
    const struct model_cache settings = { .size_bytes = 1 << 20 };
    struct publication publication;
    struct service *service;
    struct error err;
    (void)state;

    publication_init(&publication);
    assert_int_equal(publication_start(&publication), 0);
    fairness_init(&fairness);
    const struct service_setup setup = {
        .publication = &publication,
        .cache = cache_new(&settings, publication_reclaimer(&publication)),
        .fairness = &fairness,
    };
    assert_non_null(setup.cache);
    assert_int_equal(service_start(&setup, &service, &err), 0);
    for (unsigned i = 0; i < RINGS; i++) {
        assert_true(handover_init(&rings[i]));
        assert_int_equal(service_add_ring(service, &rings[i]), 0);
    }
    for (unsigned i = 0; i < RINGS; i++) {
        service_remove_ring(service, &rings[i * 7 % RINGS]);
    }
    service_stop(service);
    for (unsigned i = 0; i < RINGS; i++) {
        handover_fini(&rings[i]);
    }
    assert_null(publication_stop(&publication));
    cache_free(setup.cache);
    publication_fini(&publication);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_ours_and_what_is_not_is_answered),
        cmocka_unit_test(a_wildcard_answers_from_the_address_that_was_asked),
        cmocka_unit_test(a_wildcard_recurses_for_loopback_alone),
        cmocka_unit_test(an_alias_that_leads_to_others_is_followed_for_those_who_may),
        cmocka_unit_test(a_start_without_threads_leaves_nothing_behind),
        cmocka_unit_test(a_start_without_descriptors_leaves_nothing_behind),
        cmocka_unit_test(the_end_answers_what_is_on_its_way),
        cmocka_unit_test(never_started_is_never_to_be_stopped),
        cmocka_unit_test(the_service_loop_takes_from_any_number_of_rings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
