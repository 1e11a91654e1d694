#include "base/addr.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct addr parse(const char *text)
{
    struct addr addr;
    struct error err = { 0 };

    if (addr_parse(text, 53, &addr, &err) != 0) {
        fail_msg("%s: %s", text, err.message);
    }
    return addr;
}

static void addresses_are_read_and_written(void **state)
{
    static const struct {
        const char *text;
        const char *host;
        const char *with_port;
    } cases[] = {
        { "10.1.0.2", "10.1.0.2", "10.1.0.2:53" },
        { "10.1.0.2:5353", "10.1.0.2", "10.1.0.2:5353" },
        { "0.0.0.0:0", "0.0.0.0", "0.0.0.0:0" },
        { "2001:DB8::1", "2001:db8::1", "[2001:db8::1]:53" },
        { "[2001:db8::1]", "2001:db8::1", "[2001:db8::1]:53" },
        { "[2001:db8::1]:65535", "2001:db8::1", "[2001:db8::1]:65535" },
        { "::", "::", "[::]:53" },
        { "::ffff:10.0.0.1", "::ffff:10.0.0.1", "[::ffff:10.0.0.1]:53" },
        { "fe80::1%lo", "fe80::1%lo", "[fe80::1%lo]:53" },
        { "[fe80::1%lo]:5", "fe80::1%lo", "[fe80::1%lo]:5" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct addr addr = parse(cases[i].text);
        char text[ADDR_TEXT_MAX];
        addr_format(&addr, text, sizeof(text));
        assert_string_equal(text, cases[i].host);
        addr_format_port(&addr, text, sizeof(text));
        assert_string_equal(text, cases[i].with_port);
        struct addr again = parse(text);
        assert_true(addr_equal(&addr, &again));
    }
}

static void what_is_no_address_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "localhost",
        "10.1.0",
        "10.1.0.256",
        "10.1.0.2:",
        "10.1.0.2:x",
        "10.1.0.2:-1",
        "10.1.0.2:+1",
        "10.1.0.2:65536",
        "10.1.0.2: 53",
        "10.1.0.2:99999999999999999999",
        "[10.1.0.2",
        "[2001:db8::1",
        "[2001:db8::1]x",
        "[2001:db8::1]:",
        "[]:53",
        "2001:db8::1::2",
        "fe80::1%nosuchinterface0",
        "10.1.0.2%lo",
        "10.1.0.2/8",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct addr addr = { .port = 7 };
        struct error err = { 0 };
        if (addr_parse(cases[i], 53, &addr, &err) != -EINVAL) {
            fail_msg("taken: '%s'", cases[i]);
        }
        assert_true(err.message[0] != '\0');
        assert_int_equal(addr.port, 7);
    }
}

static void hosts_and_ports_are_compared(void **state)
{
    struct addr a = parse("10.0.0.1:1");
    struct addr b = parse("10.0.0.1:2");
    struct addr c = parse("[::ffff:10.0.0.1]:1");

    (void)state;
    assert_true(addr_same_host(&a, &b));
    assert_false(addr_equal(&a, &b));
    assert_false(addr_same_host(&a, &c));
    assert_int_equal(addr_size_bytes(&a), 4);
    assert_int_equal(addr_size_bytes(&c), 16);
}

static void loopback_and_any_are_known(void **state)
{
    static const struct {
        const char *text;
        bool loopback;
        bool any;
    } cases[] = {
        { "127.0.0.1", true, false },
        { "127.255.3.4", true, false },
        { "::1", true, false },
        { "::ffff:127.0.0.9", true, false },
        { "128.0.0.1", false, false },
        { "::2", false, false },
        { "0.0.0.0", false, true },
        { "::", false, true },
        { "::ffff:0.0.0.0", false, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct addr addr = parse(cases[i].text);
        assert_int_equal(addr_is_loopback(&addr), cases[i].loopback);
        assert_int_equal(addr_is_any(&addr), cases[i].any);
    }
}

static void the_systems_form_and_back_is_the_same(void **state)
{
    static const char *const cases[] = { "10.1.2.3:53", "[2001:db8::5]:5353", "[fe80::1%lo]:1" };
    struct sockaddr other = { .sa_family = AF_UNIX };
    struct addr back;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct addr addr = parse(cases[i]);
        struct sockaddr_storage storage;
        socklen_t size = addr_to_sockaddr(&addr, &storage);
        assert_int_equal(size, addr.family == ADDR_V4 ? sizeof(struct sockaddr_in)
                                                      : sizeof(struct sockaddr_in6));
        assert_true(addr_from_sockaddr((const struct sockaddr *)&storage, &back));
        assert_true(addr_equal(&addr, &back));
    }
    assert_false(addr_from_sockaddr(&other, &back));
}

static void prefixes_hold_what_begins_with_them(void **state)
{
    static const struct {
        const char *prefix;
        const char *addr;
        bool inside;
    } cases[] = {
        { "10.0.0.0/8", "10.255.0.1", true },
        { "10.0.0.0/8", "11.0.0.0", false },
        { "10.0.0.0/9", "10.127.0.1", true },
        { "10.0.0.0/9", "10.128.0.1", false },
        { "10.1.2.3", "10.1.2.3", true },
        { "10.1.2.3", "10.1.2.2", false },
        { "10.1.2.3/31", "10.1.2.2", true },
        { "0.0.0.0/0", "203.0.113.7", true },
        { "0.0.0.0/0", "2001:db8::1", false },
        { "0.0.0.0/0", "::ffff:10.0.0.1", true },
        { "10.0.0.0/8", "::ffff:10.0.0.1", true },
        { "::/0", "2001:db8::1", true },
        { "::/0", "10.0.0.1", false },
        { "2001:db8::/32", "2001:db8:ffff::1", true },
        { "2001:db8::/32", "2001:db9::1", false },
        { "2001:db8::/33", "2001:db8:8000::1", false },
        { "2001:db8::1", "2001:db8::1", true },
        { "2001:db8::1/128", "2001:db8::2", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct addr_prefix prefix;
        struct error err;
        struct addr addr = parse(cases[i].addr);
        assert_int_equal(addr_prefix_parse(cases[i].prefix, &prefix, &err), 0);
        if (addr_prefix_contains(&prefix, &addr) != cases[i].inside) {
            fail_msg("%s in %s", cases[i].addr, cases[i].prefix);
        }
    }
}

static void what_is_no_prefix_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "any",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "10.0.0.0/8/8",
        "::/129",
        "10.0/8",
        "10.0.0.0/8 ",
        "10.0.0.0:53/8",
        "2001:0db8:0000:0000:0000:0000:0000:0001/12888888888888888888888888888888888888888888",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct addr_prefix prefix;
        struct error err = { 0 };
        if (addr_prefix_parse(cases[i], &prefix, &err) != -EINVAL) {
            fail_msg("taken: '%s'", cases[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_written),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(hosts_and_ports_are_compared),
        cmocka_unit_test(loopback_and_any_are_known),
        cmocka_unit_test(the_systems_form_and_back_is_the_same),
        cmocka_unit_test(prefixes_hold_what_begins_with_them),
        cmocka_unit_test(what_is_no_prefix_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
