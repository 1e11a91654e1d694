#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "resolver/listener.h"
#include "tests/unit/descriptors.h"

static struct model_listener at(const char *address)
{
    struct model_listener model = { .place = { "conf.yaml", 7, 5 } };
    struct error err;

    assert_int_equal(addr_parse(address, 0, &model.address, &err), 0);
    return model;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage sa;
    socklen_t length = sizeof(sa);
    struct addr address;

    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &length), 0);
    assert_true(addr_from_sockaddr((struct sockaddr *)&sa, &address));
    return address.port;
}

static int option_of(int fd, int level, int option)
{
    int value = -1;
    socklen_t length = sizeof(value);

    assert_int_equal(getsockopt(fd, level, option, &value, &length), 0);
    return value;
}

static bool has_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;

    close(fd);
    return has;
}

static void any_port_is_one_port_for_all_sockets(void **state)
{
    struct model_listener model = at("127.0.0.1:0");
    struct listener l;
    struct error err;
    (void)state;

    assert_int_equal(listener_open(&model, 3, &l, &err), 0);
    assert_int_equal(l.udp_count, 3);
    assert_true(l.address.port != 0);
    assert_int_equal(l.asked.port, 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(port_of(l.udp[i]), l.address.port);
        assert_int_equal(option_of(l.udp[i], SOL_SOCKET, SO_REUSEPORT), 1);
    }
    assert_int_equal(port_of(l.tcp), l.address.port);
    assert_int_equal(option_of(l.tcp, SOL_SOCKET, SO_ACCEPTCONN), 1);
    assert_true(l.is_loopback);
    assert_false(l.is_wildcard);
    listener_close(&l);
    assert_int_equal(l.udp_count, 0);
    assert_int_equal(l.tcp, -1);
}

static void one_socket_lets_nobody_join(void **state)
{
    struct model_listener model = at("127.0.0.1:0");
    struct listener l;
    struct error err;
    (void)state;

    assert_int_equal(listener_open(&model, 1, &l, &err), 0);
    assert_int_equal(option_of(l.udp[0], SOL_SOCKET, SO_REUSEPORT), 0);
    listener_close(&l);
}

static void a_wildcard_asks_where_packets_were_sent_to(void **state)
{
    struct listener l;
    struct error err;
    (void)state;

    struct model_listener model = at("0.0.0.0:0");
    assert_int_equal(listener_open(&model, 1, &l, &err), 0);
    assert_true(l.is_wildcard);
    assert_false(l.is_loopback);
    assert_int_equal(option_of(l.udp[0], IPPROTO_IP, IP_PKTINFO), 1);
    listener_close(&l);
    if (!has_ipv6()) {
        return;
    }
    model = at("[::]:0");
    assert_int_equal(listener_open(&model, 1, &l, &err), 0);
    assert_true(l.is_wildcard);
    assert_int_equal(option_of(l.udp[0], IPPROTO_IPV6, IPV6_RECVPKTINFO), 1);
    assert_int_equal(option_of(l.udp[0], IPPROTO_IPV6, IPV6_V6ONLY), 1);
    listener_close(&l);
}

static void a_port_that_is_taken_is_told_with_its_place(void **state)
{
    struct listener first, second;
    struct error err;
    (void)state;

    struct model_listener model = at("127.0.0.1:0");
    assert_int_equal(listener_open(&model, 1, &first, &err), 0);
    unsigned before = descriptors();
    model.address.port = first.address.port;
    for (size_t threads = 1; threads <= 2; threads++) {
        assert_int_equal(listener_open(&model, threads, &second, &err), -EADDRINUSE);
        assert_string_equal(err.path, "conf.yaml");
        assert_int_equal(err.line, 7);
        assert_int_equal(err.col, 5);
        assert_non_null(strstr(err.message, "cannot listen on 127.0.0.1:"));
        assert_non_null(strstr(err.hint, "ss -lunpt"));
        assert_int_equal(descriptors(), before);
    }
    listener_close(&first);
}

static void a_port_taken_over_tcp_alone_is_taken(void **state)
{
    struct listener l;
    struct error err;
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)state;

    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(fd, 1), 0);
    unsigned before = descriptors();
    struct model_listener model = at("127.0.0.1:0");
    model.address.port = port_of(fd);
    assert_int_equal(listener_open(&model, 2, &l, &err), -EADDRINUSE);
    assert_int_equal(descriptors(), before);
    close(fd);
}

static void a_foreign_address_is_told(void **state)
{
    struct model_listener model = at("192.0.2.77:0");
    struct listener l;
    struct error err;
    (void)state;

    assert_int_equal(listener_open(&model, 1, &l, &err), -EADDRNOTAVAIL);
    assert_non_null(strstr(err.hint, "no interface"));
}

static void out_of_descriptors_leaves_none_open(void **state)
{
    struct model_listener model = at("127.0.0.1:0");
    struct rlimit limit, tight;
    struct listener l;
    struct error err;
    (void)state;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int lowest = dup(0);
    assert_true(lowest >= 0);
    close(lowest);
    for (unsigned room = 0; room < 5; room++) { /* four UDP sockets and one TCP */
        tight = limit;
        tight.rlim_cur = (rlim_t)lowest + room;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
        int rc = listener_open(&model, 4, &l, &err);
        int free_again = dup(0);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(rc, -EMFILE);
        assert_non_null(strstr(err.hint, "ulimit -n"));
        assert_int_equal(free_again, room == 0 ? -1 : lowest);
        close(free_again);
    }
    assert_int_equal(listener_open(&model, 4, &l, &err), 0);
    listener_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_port_is_one_port_for_all_sockets),
        cmocka_unit_test(one_socket_lets_nobody_join),
        cmocka_unit_test(a_wildcard_asks_where_packets_were_sent_to),
        cmocka_unit_test(a_port_that_is_taken_is_told_with_its_place),
        cmocka_unit_test(a_port_taken_over_tcp_alone_is_taken),
        cmocka_unit_test(a_foreign_address_is_told),
        cmocka_unit_test(out_of_descriptors_leaves_none_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
