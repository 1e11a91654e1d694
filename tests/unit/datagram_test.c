#include "resolver/forward/datagram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <cmocka.h>

#define GUARD_MS 60000 /* a run that takes longer hangs */
#define SOCKETS  100   /* more than are looked at in one go */

struct socket_test {
    struct datagram datagram;
    unsigned arrived;
    unsigned failed;
    int code;
    uint8_t last[16];
    size_t length;
    bool closes; /* when something arrives */
};

static uv_loop_t loop;
static struct datagram_set *set;
static uint8_t buffer[1024];
static struct socket_test sockets[SOCKETS];
static int peer;
static struct addr peer_address;
static struct socket_test *closed_too; /* with the one that closes */

static void on_arrived(struct datagram *datagram, uint8_t *message, size_t length)
{
    struct socket_test *test = (struct socket_test *)datagram; /* its first member */

    test->arrived++;
    test->length = length;
    memcpy(test->last, message, length < sizeof(test->last) ? length : sizeof(test->last));
    if (test->closes) {
        datagram_close(datagram);
        if (closed_too != NULL) {
            datagram_close(&closed_too->datagram);
        }
    }
}

static void on_failed(struct datagram *datagram, int code)
{
    struct socket_test *test = (struct socket_test *)datagram;

    test->failed++;
    test->code = code;
    datagram_close(datagram);
}

static int set_up(void **state)
{
    static const struct datagram_events events = { .arrived = on_arrived, .failed = on_failed };
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof(address);

    (void)state;
    memset(sockets, 0, sizeof(sockets));
    closed_too = NULL;
    assert_int_equal(uv_loop_init(&loop), 0);
    set = datagram_set_new(&loop, buffer, sizeof(buffer), &events);
    assert_non_null(set);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    peer = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(peer >= 0);
    assert_int_equal(bind(peer, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(peer, (struct sockaddr *)&address, &size), 0);
    assert_true(addr_from_sockaddr((struct sockaddr *)&address, &peer_address));
    return 0;
}

static void on_closed(void *user)
{
    *(bool *)user = true;
}

static int tear_down(void **state)
{
    bool closed = false;

    (void)state;
    datagram_set_close(set, on_closed, &closed);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_true(closed);
    assert_int_equal(uv_loop_close(&loop), 0);
    close(peer);
    return 0;
}

static void on_guard(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("nothing happens any more");
}

static unsigned told(void)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < SOCKETS; i++) {
        sum += sockets[i].arrived + sockets[i].failed;
    }
    return sum;
}

static void run_until_told(unsigned count)
{
    uv_timer_t guard;

    uv_timer_init(&loop, &guard);
    uv_timer_start(&guard, on_guard, GUARD_MS, 0);
    while (told() < count) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&guard, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

static void open_socket(struct socket_test *test)
{
    assert_int_equal(datagram_open(&test->datagram, set, &peer_address, NULL), 0);
}

/* Send `text` through the socket and back; returns where it came from. */
static struct sockaddr_in send_and_return(struct socket_test *test, const char *text)
{
    struct sockaddr_in from;
    socklen_t size = sizeof(from);
    char bytes[16];

    assert_int_equal(datagram_send(&test->datagram, (const uint8_t *)text, strlen(text)), 0);
    ssize_t got = recvfrom(peer, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &size);
    assert_int_equal(got, strlen(text));
    assert_int_equal(sendto(peer, bytes, (size_t)got, 0, (struct sockaddr *)&from, size), got);
    return from;
}

static void each_hears_its_own(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SOCKETS; i++) {
        char text[] = { (char)('!' + i % 90), (char)('!' + i / 90), '\0' };
        open_socket(&sockets[i]);
        (void)send_and_return(&sockets[i], text);
    }
    run_until_told(SOCKETS);
    for (unsigned i = 0; i < SOCKETS; i++) {
        assert_int_equal(sockets[i].arrived, 1);
        assert_int_equal(sockets[i].length, 2);
        assert_int_equal(sockets[i].last[0], '!' + i % 90);
        assert_int_equal(sockets[i].last[1], '!' + i / 90);
        datagram_close(&sockets[i].datagram);
        datagram_close(&sockets[i].datagram);
    }
}

static void nobody_else_is_heard(void **state)
{
    (void)state;
    open_socket(&sockets[0]);
    struct sockaddr_in at = send_and_return(&sockets[0], "right");
    int other = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(other >= 0);
    (void)sendto(other, "wrong", 5, 0, (struct sockaddr *)&at, sizeof(at));
    close(other);
    assert_int_equal(sendto(peer, "again", 5, 0, (struct sockaddr *)&at, sizeof(at)), 5);
    run_until_told(2);
    assert_int_equal(sockets[0].arrived, 2);
    assert_memory_equal(sockets[0].last, "again", 5);
    datagram_close(&sockets[0].datagram);
}

static void a_flood_is_read_to_its_end(void **state)
{
    (void)state;
    open_socket(&sockets[0]);
    struct sockaddr_in at = send_and_return(&sockets[0], "x");
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(sendto(peer, "x", 1, 0, (struct sockaddr *)&at, sizeof(at)), 1);
    }
    run_until_told(51);
    datagram_close(&sockets[0].datagram);
}

static void what_closes_hears_no_more(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        open_socket(&sockets[i]);
        sockets[i].closes = true;
        struct sockaddr_in at = send_and_return(&sockets[i], "x");
        assert_int_equal(sendto(peer, "x", 1, 0, (struct sockaddr *)&at, sizeof(at)), 1);
    }
    closed_too = &sockets[1];
    sockets[1].closes = false;
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    run_until_told(1);
    assert_int_equal(sockets[0].arrived, 1);
    assert_true(sockets[1].arrived == 0 || sockets[1].arrived == 2); /* who was first? */
}

static void a_refusal_is_told(void **state)
{
    (void)state;
    open_socket(&sockets[0]);
    peer_address.bytes[3] = 99; /* the port is open on 127.0.0.1 only */
    open_socket(&sockets[1]);
    assert_int_equal(datagram_send(&sockets[1].datagram, (const uint8_t *)"x", 1), 0);
    run_until_told(1);
    assert_int_equal(sockets[1].failed, 1);
    assert_int_equal(sockets[1].code, UV_ECONNREFUSED);
    assert_int_equal(sockets[0].failed, 0);
    datagram_close(&sockets[0].datagram);
}

static void the_source_is_used(void **state)
{
    struct addr source = { .bytes = { 127, 0, 0, 77 } };

    (void)state;
    assert_int_equal(datagram_open(&sockets[0].datagram, set, &peer_address, &source), 0);
    struct sockaddr_in from = send_and_return(&sockets[0], "x");
    assert_int_equal(ntohl(from.sin_addr.s_addr), 0x7f00004d);
    source = (struct addr){ .bytes = { 192, 0, 2, 1 } };
    datagram_close(&sockets[0].datagram);
    assert_int_equal(datagram_open(&sockets[0].datagram, set, &peer_address, &source),
                     UV_EADDRNOTAVAIL);
    assert_int_equal(sockets[0].datagram.fd, -1);
    datagram_close(&sockets[0].datagram);
}

static void it_does_not_keep_the_loop(void **state)
{
    (void)state;
    open_socket(&sockets[0]);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    datagram_close(&sockets[0].datagram);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_hears_its_own),         TEST(nobody_else_is_heard),
        TEST(a_flood_is_read_to_its_end), TEST(what_closes_hears_no_more),
        TEST(a_refusal_is_told),          TEST(the_source_is_used),
        TEST(it_does_not_keep_the_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
