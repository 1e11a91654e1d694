/*
 * Echoes in a network namespace of the test's own, where its loopback may be
 * told to be silent and forged packets reach nobody else. Skipped where that
 * is not allowed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "policy/checks/icmp_socket.h"
#include "tests/unit/probe_world.h"

#define IGNORE_ALL    "/proc/sys/net/ipv4/icmp_echo_ignore_all"
#define IGNORE_ALL_V6 "/proc/sys/net/ipv6/icmp/echo_ignore_all"
#define PING_GROUPS   "/proc/sys/net/ipv4/ping_group_range"

static bool has_namespace;

static bool put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0) {
        (void)close(fd);
    }
    return done;
}

static bool bring_up_loopback(void)
{
    struct ifreq request = { .ifr_name = "lo" };
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    request.ifr_flags = IFF_UP | IFF_RUNNING;
    bool done = ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    (void)close(fd);
    return done;
}

static int enter_namespace(void **state)
{
    char map[64];

    (void)state;
    unsigned user = getuid();
    unsigned group = getgid();
    has_namespace = unshare(CLONE_NEWNET) == 0;
    if (!has_namespace && unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) {
        (void)snprintf(map, sizeof(map), "0 %u 1", user);
        has_namespace = put("/proc/self/uid_map", map);
        (void)snprintf(map, sizeof(map), "0 %u 1", group);
        (void)(put("/proc/self/setgroups", "deny") && put("/proc/self/gid_map", map));
    }
    has_namespace = has_namespace && bring_up_loopback() && put(IGNORE_ALL, "0");
    return 0;
}

/* Have, or for now not have, the right to open raw sockets. */
static void set_raw_right(bool on)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];

    assert_int_equal(syscall(SYS_capget, &header, data), 0);
    if (on) {
        data[0].effective |= 1u << CAP_NET_RAW;
    } else {
        data[0].effective &= ~(1u << CAP_NET_RAW);
    }
    assert_int_equal(syscall(SYS_capset, &header, data), 0);
}

static void begin(struct probe_world *w, const char *target)
{
    if (!has_namespace) {
        skip();
    }
    icmp_socket_close();
    probe_world_init(w, MODEL_CHECK_ICMP, target);
}

static void end(struct probe_world *w)
{
    probe_world_fini(w);
    icmp_socket_close();
}

/* With ping sockets: false where the kernel has none. */
static bool begin_ping(struct probe_world *w, const char *target)
{
    struct error err;

    begin(w, target);
    set_raw_right(false);
    bool ready = put(PING_GROUPS, "0 0") && icmp_socket_ready(w->probe.target.family, &err) == 0;
    set_raw_right(true);
    return ready;
}

/* ---- forging ---- */

static uint16_t sum_of(const uint8_t *bytes, size_t size)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < size; i += 2) {
        sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

/* The next echo request on loopback, with its header. */
static size_t sniff(int fd, uint8_t *out, size_t cap)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };

    for (;;) {
        assert_int_equal(poll(&ready, 1, PROBE_PATIENCE_MS), 1);
        ssize_t size = recv(fd, out, cap, 0);
        if (size > 20 && out[20] == ICMP_PACKET_V4_REQUEST) {
            return (size_t)size;
        }
    }
}

static void send_to_ourselves(int fd, uint8_t *icmp, size_t size)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };

    icmp[2] = 0;
    icmp[3] = 0;
    uint16_t sum = sum_of(icmp, size);
    icmp[2] = (uint8_t)(sum >> 8);
    icmp[3] = (uint8_t)sum;
    assert_int_equal(sendto(fd, icmp, size, 0, (struct sockaddr *)&to, sizeof(to)), size);
}

/* Quote the request as a router would that cannot deliver it; `damage` a byte of it. */
static void send_error(int fd, const uint8_t *request, size_t size, size_t damage)
{
    uint8_t error[256] = { ICMP_PACKET_V4_UNREACHABLE, 1 };

    memcpy(error + 8, request, size);
    error[8 + damage] ^= damage == 0 ? 0 : 0xff;
    send_to_ourselves(fd, error, 8 + size);
}

static void send_reply(int fd, const uint8_t *request, size_t size, size_t damage)
{
    uint8_t reply[256];

    memcpy(reply, request + 20, size - 20);
    reply[0] = ICMP_PACKET_V4_REPLY;
    reply[damage] ^= damage == 0 ? 0 : 0xff;
    send_to_ourselves(fd, reply, size - 20);
}

/* ---- claims ---- */

static void loopback_answers_on_raw_sockets(void **state)
{
    struct probe_world w;

    (void)state;
    begin(&w, "127.0.0.2");
    icmp_socket_open();
    assert_probe(&w, DETECT_PASS, "echoed");
    assert_probe(&w, DETECT_PASS, "echoed"); /* through a new handle on the same socket */
    end(&w);
}

static void loopback_answers_over_ipv6(void **state)
{
    struct probe_world w;

    (void)state;
    begin(&w, "::1");
    if (access(IGNORE_ALL_V6, F_OK) != 0) {
        end(&w);
        skip();
    }
    icmp_socket_open();
    w.probe.target.port = 8080; /* an endpoint may have one */
    assert_probe(&w, DETECT_PASS, "echoed");
    end(&w);
}

static void loopback_answers_on_ping_sockets(void **state)
{
    static const char *const targets[] = { "127.0.0.2", "::1" };
    struct probe_world w;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        if (begin_ping(&w, targets[i])) {
            assert_probe(&w, DETECT_PASS, "echoed");
        }
        end(&w);
    }
}

static void without_any_right_nothing_is_said_about_the_target(void **state)
{
    struct probe_world w;
    struct error err;

    (void)state;
    begin(&w, "127.0.0.1"); /* a new namespace lets nobody have ping sockets */
    set_raw_right(false);
    assert_true(icmp_socket_ready(ADDR_V4, &err) < 0);
    assert_non_null(strstr(err.hint, "CAP_NET_RAW"));
    assert_probe(&w, DETECT_VOID, "no right to send ICMP: neither a raw nor a ping socket");
    set_raw_right(true);
    assert_probe(&w, DETECT_PASS, "echoed"); /* it is looked for again */
    end(&w);
}

static void silence_lasts_until_it_is_cancelled(void **state)
{
    struct probe_world w;

    (void)state;
    begin(&w, "127.0.0.1");
    assert_true(put(IGNORE_ALL, "1"));
    probe_start(&w);
    (void)uv_run(&w.loop, UV_RUN_NOWAIT);
    assert_int_equal(w.done_count, 0);
    probe_cancel(&w);
    assert_true(put(IGNORE_ALL, "0"));
    end(&w);
}

#define SHORT_QUOTE (20 + 8) /* RFC 792: the header and 64 bits, no more */

/* What is not about this very request is passed over, what is decides. */
static void forge(struct probe_world *w, bool at_last_an_error)
{
    int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    uint8_t request[256];

    assert_true(fd >= 0);
    assert_true(put(IGNORE_ALL, "1"));
    probe_start(w);
    size_t size = sniff(fd, request, sizeof(request));
    send_reply(fd, request, size, 7);             /* another sequence number */
    send_reply(fd, request, size, 8 + 5);         /* another cookie */
    send_error(fd, request, size, 20 + 7);        /* about another request */
    send_error(fd, request, size, 17);            /* that went elsewhere */
    send_error(fd, request, SHORT_QUOTE, 20 + 2); /* of another checksum, so of another cookie */
    (void)uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_int_equal(w->done_count, 0);
    if (at_last_an_error) {
        send_error(fd, request, SHORT_QUOTE, 0);
    } else {
        send_reply(fd, request, size, 0);
    }
    probe_wait_gone(w);
    assert_int_equal(w->done_count, 1);
    assert_string_equal(w->reason, at_last_an_error ? "host unreachable" : "echoed");
    assert_int_equal(w->outcome, at_last_an_error ? DETECT_STRONG : DETECT_PASS);
    (void)close(fd);
    assert_true(put(IGNORE_ALL, "0"));
}

static void only_packets_about_our_request_count(void **state)
{
    struct probe_world w;

    (void)state;
    begin(&w, "127.0.0.1");
    forge(&w, true);
    forge(&w, false);
    end(&w);
}

static void a_ping_socket_hears_of_errors_too(void **state)
{
    struct probe_world w;

    (void)state;
    if (begin_ping(&w, "127.0.0.1")) {
        forge(&w, true);
        forge(&w, false); /* the socket has got over it */
    }
    end(&w);
}

static void many_in_flight_are_told_apart(void **state)
{
    enum {
        MANY = 600
    }; /* more than there are chains */
    static struct probe_world worlds[MANY];
    struct probe_world w;

    (void)state;
    begin(&w, "127.0.0.1");
    for (unsigned i = 0; i < MANY; i++) {
        int error = 0;
        worlds[i].probe = w.probe;
        worlds[i].probe.target.bytes[3] = (uint8_t)(1 + i % 200);
        worlds[i].attempt =
            check_icmp_kind.start(&w.loop, &worlds[i].probe, probe_on_done, &worlds[i], &error);
        assert_non_null(worlds[i].attempt);
        worlds[i].attempt->gone = probe_on_gone;
        (void)uv_run(&w.loop, UV_RUN_NOWAIT); /* lest the replies do not fit the socket */
    }
    for (unsigned i = 0; i < MANY; i++) {
        while (worlds[i].gone_count == 0 && !w.impatient) {
            (void)uv_run(&w.loop, UV_RUN_ONCE);
        }
        assert_int_equal(worlds[i].done_count, 1);
        assert_int_equal(worlds[i].outcome, DETECT_PASS);
    }
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_any_right_nothing_is_said_about_the_target),
        cmocka_unit_test(loopback_answers_on_raw_sockets),
        cmocka_unit_test(loopback_answers_over_ipv6),
        cmocka_unit_test(loopback_answers_on_ping_sockets),
        cmocka_unit_test(silence_lasts_until_it_is_cancelled),
        cmocka_unit_test(only_packets_about_our_request_count),
        cmocka_unit_test(a_ping_socket_hears_of_errors_too),
        cmocka_unit_test(many_in_flight_are_told_apart),
    };

    return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
