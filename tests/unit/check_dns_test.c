/* dns checks against small resolvers on loopback. */
#include "check_world.h"
#include "zones/wire.h"

#define CANARY "canary.corp.example"

/* How a datagram server answers. */
enum lie {
    TELL_TRUTH, /* 10.1.2.3 */
    SAY_SERVFAIL,
    SAY_NXDOMAIN,
    SAY_WRONG_FIRST, /* another id, another question, then the truth */
    SAY_OTHER_ADDRESS,
    SAY_MALFORMED,
    SAY_TRUNCATED,
    SAY_NOTHING,
};

struct dns_fixture {
    struct fixture f; /* first: the two are one object */
    uv_udp_t resolver;
    enum lie lie;
    uint8_t datagram[512];
    uint8_t queried[300]; /* the last question's name */
};

static struct dns_fixture *dns_of(struct fixture *f)
{
    return (struct dns_fixture *)f;
}

static int set_up_dns(void **state)
{
    (void)set_up(state, MODEL_CHECK_DNS, sizeof(struct dns_fixture));
    struct dns_fixture *d = *state;
    d->f.check.query_name = CANARY;
    d->f.check.query_type = WIRE_A;
    (void)uv_udp_init(&d->f.loop, &d->resolver);
    d->resolver.data = d;
    return 0;
}

/* ---- the datagram server ---- */

static void on_udp_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct fixture *f = handle->data;

    (void)suggested;
    *out = uv_buf_init((char *)dns_of(f)->datagram, sizeof(dns_of(f)->datagram));
}

static void say(struct fixture *f, const uint8_t *bytes, size_t size, const struct sockaddr *to)
{
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)size);

    assert_int_equal(uv_udp_try_send(&dns_of(f)->resolver, &buf, 1, to), (int)size);
}

static void say_wrong(struct fixture *f, const uint8_t *reply, size_t size,
                      const struct sockaddr *to)
{
    uint8_t wrong[512];

    memcpy(wrong, reply, size);
    wrong[0] ^= 0x55;
    say(f, wrong, size, to);
    memcpy(wrong, reply, size);
    wrong[WIRE_QUESTION + 1] ^= 1;
    say(f, wrong, size, to);
    say(f, wrong, 3, to);
    say(f, wrong, 0, to);
}

static void answer_datagram(struct fixture *f, size_t size, const struct sockaddr *to)
{
    struct dns_fixture *d = dns_of(f);
    enum lie lie = d->lie;
    uint8_t reply[512];
    unsigned flags = WIRE_QR | WIRE_RD | WIRE_RA;

    assert_in_range(size, WIRE_HEADER_BYTES + 5, 300);
    assert_int_equal(wire_get16(d->datagram + 2), WIRE_RD);
    assert_int_equal(wire_get16(d->datagram + 10), 0); /* no EDNS */
    memcpy(reply, d->datagram, size);
    memcpy(d->queried, d->datagram + WIRE_QUESTION, size - WIRE_HEADER_BYTES);
    flags |= lie == SAY_SERVFAIL ? WIRE_SERVFAIL : 0u;
    flags |= lie == SAY_NXDOMAIN ? WIRE_NXDOMAIN : 0u;
    flags |= lie == SAY_TRUNCATED ? WIRE_TC : 0u;
    wire_put16(reply + 2, (uint16_t)flags);
    if (lie == TELL_TRUTH || lie == SAY_WRONG_FIRST || lie == SAY_OTHER_ADDRESS ||
        lie == SAY_MALFORMED) {
        wire_put16(reply + 6, 1);
        size += put_address(reply + size, lie == SAY_OTHER_ADDRESS ? "\xc0\0\2\11" : "\12\1\2\3");
    }
    if (lie == SAY_WRONG_FIRST) {
        say_wrong(f, reply, size, to);
    }
    if (lie != SAY_NOTHING) {
        say(f, reply, size - (lie == SAY_MALFORMED), to);
    }
}

static void on_udp_read(uv_udp_t *udp, ssize_t size, const uv_buf_t *buf,
                        const struct sockaddr *from, unsigned flags)
{
    (void)buf;
    (void)flags;
    if (size > 0 && from != NULL) {
        answer_datagram(udp->data, (size_t)size, from);
    }
}

static void serve_datagrams(struct fixture *f, enum lie lie)
{
    struct sockaddr_storage own;
    int size = sizeof(own);

    dns_of(f)->lie = lie;
    if (uv_is_active((uv_handle_t *)&dns_of(f)->resolver)) {
        return;
    }
    (void)addr_to_sockaddr(&f->probe.target, &own);
    assert_int_equal(uv_udp_bind(&dns_of(f)->resolver, (struct sockaddr *)&own, 0), 0);
    (void)uv_udp_getsockname(&dns_of(f)->resolver, (struct sockaddr *)&own, &size);
    f->probe.target.port = port_of(&own);
    assert_int_equal(uv_udp_recv_start(&dns_of(f)->resolver, on_udp_alloc, on_udp_read), 0);
}

/* ---- */

static void dns_passes_with_data(void **state)
{
    struct fixture *f = *state;

    serve_datagrams(f, TELL_TRUTH);
    assert_probe(f, DETECT_PASS, "NOERROR");
    assert_memory_equal(dns_of(f)->queried, "\6canary\4corp\7example\0\0\1\0\1", 25);
}

static void dns_tells_what_was_wrong(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct addr expected;

    assert_int_equal(addr_parse("10.1.2.3", 0, &expected, &err), 0);
    serve_datagrams(f, SAY_SERVFAIL);
    assert_probe(f, DETECT_STRONG, "SERVFAIL");
    serve_datagrams(f, SAY_NXDOMAIN);
    assert_probe(f, DETECT_STRONG, "NXDOMAIN for " CANARY);
    assert_true(f->misconfigured);
    serve_datagrams(f, SAY_MALFORMED);
    assert_probe(f, DETECT_STRONG, "malformed answer");
    assert_false(f->misconfigured);
    f->check.expect_addresses = &expected;
    f->check.expect_address_count = 1;
    serve_datagrams(f, SAY_OTHER_ADDRESS);
    assert_probe(f, DETECT_STRONG, "wrong answer: 192.0.2.9, expected 10.1.2.3");
    serve_datagrams(f, TELL_TRUTH);
    assert_probe(f, DETECT_PASS, "NOERROR");
}

static void dns_waits_for_its_own_answer(void **state)
{
    struct fixture *f = *state;

    serve_datagrams(f, SAY_WRONG_FIRST);
    assert_probe(f, DETECT_PASS, "NOERROR");
}

static void dns_tells_a_refusal(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in nobody = { .sin_family = AF_INET,
                                  .sin_port = htons(9),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

    /* The port is taken, so that nobody else gets it, and closed to all but one peer. */
    serve_datagrams(f, SAY_NOTHING);
    (void)uv_udp_recv_stop(&dns_of(f)->resolver);
    assert_int_equal(uv_udp_connect(&dns_of(f)->resolver, (struct sockaddr *)&nobody), 0);
    assert_probe(f, DETECT_STRONG, "connection refused");
}

static void a_silent_resolver_lacks_an_answer(void **state)
{
    struct fixture *f = *state;

    serve_datagrams(f, SAY_NOTHING);
    assert_lacks(f, "no answer");
}

static void dns_asks_for_a_random_name_each_time(void **state)
{
    struct fixture *f = *state;
    uint8_t first[64];

    f->check.query_name = "x{random}.corp.example";
    serve_datagrams(f, TELL_TRUTH);
    assert_probe(f, DETECT_PASS, "NOERROR");
    assert_int_equal(dns_of(f)->queried[0], 17);
    assert_memory_equal(dns_of(f)->queried + 18, "\4corp\7example", 14);
    for (size_t i = 2; i < 18; i++) {
        assert_true((dns_of(f)->queried[i] >= 'a' && dns_of(f)->queried[i] <= 'z') ||
                    (dns_of(f)->queried[i] >= '2' && dns_of(f)->queried[i] <= '7'));
    }
    memcpy(first, dns_of(f)->queried, sizeof(first));
    assert_probe(f, DETECT_PASS, "NOERROR");
    assert_memory_not_equal(first, dns_of(f)->queried, 18);
}

static void a_truncated_answer_is_fetched_over_tcp(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct addr expected;

    serve_stream(f, HANG_UP, false, "");
    serve_datagrams(f, SAY_TRUNCATED);
    assert_probe(f, DETECT_PASS, "NOERROR");
    assert_int_equal(f->request_size, 0);
    assert_int_equal(addr_parse("10.1.2.3", 0, &expected, &err), 0);
    f->check.expect_addresses = &expected;
    f->check.expect_address_count = 1;
    assert_probe(f, DETECT_STRONG, "tcp: closed without an answer");
    assert_int_equal(wire_get16((uint8_t *)f->request), f->request_size - 2);
}

static void expect_address(struct fixture *f, struct addr *expected)
{
    struct error err;

    assert_int_equal(addr_parse("10.1.2.3", 0, expected, &err), 0);
    f->check.expect_addresses = expected;
    f->check.expect_address_count = 1;
}

static void an_answer_over_tcp_may_come_in_pieces(void **state)
{
    struct fixture *f = *state;
    struct addr expected;

    serve_stream(f, SEND_BY_BYTES, false, "");
    f->prepare = prepare_address;
    serve_datagrams(f, SAY_TRUNCATED);
    expect_address(f, &expected);
    assert_probe(f, DETECT_PASS, "NOERROR");
}

static void dns_over_tcp_never_asks_over_udp(void **state)
{
    struct fixture *f = *state;
    struct addr expected;

    f->check.over_tcp = true;
    serve_stream(f, SEND_AT_ONCE, false, "");
    f->prepare = prepare_address;
    serve_datagrams(f, SAY_SERVFAIL);
    expect_address(f, &expected);
    assert_probe(f, DETECT_PASS, "NOERROR");
    assert_int_equal(dns_of(f)->queried[0], 0);
}

static void dns_over_tcp_tells_what_was_wrong(void **state)
{
    struct fixture *f = *state;

    f->check.over_tcp = true;
    bind_stream(f);
    assert_probe(f, DETECT_STRONG, "tcp: connection refused");
    f->probe.target.port = 0;
    uv_close((uv_handle_t *)&f->listener, NULL);
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    (void)uv_tcp_init(&f->loop, &f->listener);
    serve_stream(f, HANG_UP, false, "");
    assert_probe(f, DETECT_STRONG, "tcp: closed without an answer");
    serve_stream(f, RESET, false, "");
    assert_probe(f, DETECT_STRONG, "tcp: connection reset");
    serve_stream(f, SEND_BY_BYTES, true, "\1");
    assert_probe(f, DETECT_STRONG, "tcp: closed within the answer");
    serve_stream(f, SEND_BY_BYTES, true, "\1\1too short");
    assert_probe(f, DETECT_STRONG, "tcp: closed within the answer");
    serve_stream(f, SEND_AT_ONCE, false, "\1\1HTTP/1.1 400 Bad Request\r\n");
    f->reply[0] = '\0';
    f->reply[1] = 20;
    assert_probe(f, DETECT_STRONG, "tcp: answer to another question");
    f->reply[1] = 0;
    assert_probe(f, DETECT_STRONG, "tcp: answer to another question");
}

static void a_silent_server_lacks_an_answer_over_tcp(void **state)
{
    struct fixture *f = *state;

    f->check.over_tcp = true;
    serve_stream(f, STAY_SILENT, false, "");
    assert_lacks(f, "tcp: no answer");
}

static void data_may_have_to_match_a_pattern(void **state)
{
    struct fixture *f = *state;

    f->check.expect_pattern = "^10\\.1\\.";
    serve_datagrams(f, TELL_TRUTH);
    assert_probe(f, DETECT_PASS, "NOERROR");
    serve_datagrams(f, SAY_OTHER_ADDRESS);
    assert_probe(f, DETECT_STRONG, "wrong answer: 192.0.2.9, expected a match of '^10\\.1\\.'");
    serve_datagrams(f, SAY_NXDOMAIN);
    assert_probe(f, DETECT_STRONG, "NXDOMAIN, expected a match of '^10\\.1\\.'");
    assert_false(f->misconfigured);
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, set_up_dns, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(dns_passes_with_data),
        CLAIM(dns_tells_what_was_wrong),
        CLAIM(dns_waits_for_its_own_answer),
        CLAIM(dns_tells_a_refusal),
        CLAIM(a_silent_resolver_lacks_an_answer),
        CLAIM(dns_asks_for_a_random_name_each_time),
        CLAIM(a_truncated_answer_is_fetched_over_tcp),
        CLAIM(an_answer_over_tcp_may_come_in_pieces),
        CLAIM(dns_over_tcp_never_asks_over_udp),
        CLAIM(dns_over_tcp_tells_what_was_wrong),
        CLAIM(a_silent_server_lacks_an_answer_over_tcp),
        CLAIM(data_may_have_to_match_a_pattern),
        CLAIM(a_target_that_cannot_be_reached_fails),
        CLAIM(no_descriptor_left_is_our_own_trouble),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
