#include "resolver/forward/special.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "zones/name.h"
#include "zones/wire.h"

static bool is_private(const char *name, uint16_t type)
{
    uint8_t dname[NAME_MAX_BYTES];
    struct error err;

    assert_true(name_parse(name, dname, &err) > 0);
    return special_is_private(dname, type);
}

static void private_names_are_told_from_public_ones(void **state)
{
    static const char *const own[] = {
        "host",
        "localhost",
        "a.localhost",
        "x.test",
        "x.invalid",
        "printer.local",
        "a.b.onion",
        "db.internal",
        "router.home.arpa",
        "1.2.3.10.in-addr.arpa",
        "10.in-addr.arpa",
        "1.0.0.127.in-addr.arpa",
        "1.1.254.169.in-addr.arpa",
        "1.1.168.192.in-addr.arpa",
        "16.172.in-addr.arpa",
        "1.1.31.172.in-addr.arpa",
        "1.1.64.100.in-addr.arpa",
        "127.100.in-addr.arpa",
        "a.d.f.ip6.arpa",
        "1.8.e.f.ip6.arpa",
        "1.b.e.f.ip6.arpa",
    };
    static const char *const others[] = {
        ".",
        "example.com",
        "local.example.com",
        "home.example",
        "x.latest",
        "xlocal.net",
        "1.1.1.1.in-addr.arpa",
        "110.in-addr.arpa",
        "172.in-addr.arpa",
        "15.172.in-addr.arpa",
        "1.32.172.in-addr.arpa",
        "1.1.1.172.in-addr.arpa",
        "x.172.in-addr.arpa",
        "169.192.in-addr.arpa",
        "63.100.in-addr.arpa",
        "128.100.in-addr.arpa",
        "arpa.x",
        "e.f.ip6.arpa",
        "1.c.e.f.ip6.arpa",
        "8.b.d.0.1.0.0.2.ip6.arpa",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (!is_private(own[i], WIRE_A)) {
            fail_msg("%s may leave", own[i]);
        }
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (is_private(others[i], WIRE_A)) {
            fail_msg("%s may not leave", others[i]);
        }
    }
}

static void what_the_root_knows_of_a_label_may_be_asked(void **state)
{
    static const uint16_t types[] = { WIRE_NS, WIRE_SOA, 43, 48 };

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        assert_false(is_private("com", types[i]));
    }
    assert_true(is_private("com", WIRE_AAAA));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(private_names_are_told_from_public_ones),
        cmocka_unit_test(what_the_root_knows_of_a_label_may_be_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
