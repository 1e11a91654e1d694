#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "resolver/local.h"
#include "zones/name.h"
#include "zones/wire.h"

/* Ask for `text`; 0 when it is to be asked for elsewhere. */
static size_t ask(const char *text, uint16_t type, const char *rule, uint8_t *out)
{
    uint8_t dname[NAME_MAX_BYTES];
    uint8_t tree[NAME_MAX_BYTES];
    struct error err;
    int length = name_parse(text, dname, &err);

    assert_true(length > 0);
    assert_true(name_parse(rule, tree, &err) > 0);
    const struct forward_question question = {
        .name = dname,
        .name_length = (uint8_t)length,
        .type = type,
        .class = WIRE_IN,
    };
    return local_answer(&question, dname, tree, out);
}

static unsigned rcode_of(const uint8_t *message)
{
    return wire_get16(message + 2) & WIRE_RCODE;
}

static unsigned answers_of(const uint8_t *message)
{
    return wire_get16(message + 6);
}

static void localhost_is_this_host(void **state)
{
    uint8_t out[LOCAL_MESSAGE_MAX];
    (void)state;

    size_t length = ask("localhost", WIRE_A, ".", out);
    assert_true(length > 4 && wire_response_sound(out, length));
    assert_int_equal(answers_of(out), 1);
    assert_memory_equal(out + length - 4, "\177\0\0\1", 4);
    length = ask("a.b.localhost", WIRE_AAAA, ".", out);
    assert_true(length > 16 && wire_response_sound(out, length));
    assert_int_equal(out[length - 1], 1);
    assert_true(ask("localhost", WIRE_MX, ".", out) > 0);
    assert_int_equal(rcode_of(out), WIRE_NOERROR);
    assert_int_equal(answers_of(out), 0);
}

static void the_address_of_this_host_has_its_name(void **state)
{
    uint8_t out[LOCAL_MESSAGE_MAX];
    (void)state;

    assert_true(ask("1.0.0.127.in-addr.arpa", WIRE_PTR, ".", out) > 0);
    assert_int_equal(answers_of(out), 1);
    assert_true(ask("2.0.0.127.in-addr.arpa", WIRE_PTR, ".", out) > 0);
    assert_int_equal(rcode_of(out), WIRE_NXDOMAIN);
    assert_true(ask("0.127.in-addr.arpa", WIRE_PTR, ".", out) > 0);
    assert_int_equal(rcode_of(out), WIRE_NOERROR); /* there is a name below it */
    assert_int_equal(answers_of(out), 0);
    assert_true(ask("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
                    WIRE_PTR, ".", out) > 0);
    assert_int_equal(answers_of(out), 1);
}

static void names_that_exist_nowhere_do_not_exist(void **state)
{
    static const char *const names[] = {
        "x.invalid",
        "printer.local",
        "abc.onion",
        "a.test",
        "thing.alt",
        "use-application-dns.net",
        "1.2.0.192.in-addr.arpa",
        "7.254.169.in-addr.arpa",
        "4.0.0.0.8.e.f.ip6.arpa",
        "1.8.b.d.0.1.0.0.2.ip6.arpa",
        "intranet",
    };
    uint8_t out[LOCAL_MESSAGE_MAX];
    (void)state;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t length = ask(names[i], WIRE_A, ".", out);
        assert_true(length > 0 && wire_response_sound(out, length));
        assert_int_equal(rcode_of(out), WIRE_NXDOMAIN);
        assert_int_equal(wire_get16(out + 8), 1); /* the SOA */
    }
}

static void other_names_are_asked_for(void **state)
{
    static const char *const names[] = { "www.example.com", "local.example.com", "test.example",
                                         "4.3.2.10.in-addr.arpa", "x.home.arpa" };
    uint8_t out[LOCAL_MESSAGE_MAX];
    (void)state;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(ask(names[i], WIRE_A, ".", out), 0);
    }
    assert_int_equal(ask("com", WIRE_NS, ".", out), 0); /* validating clients need it */
    assert_int_equal(ask("com", 43, ".", out), 0);
}

static void a_rule_of_its_own_goes_first(void **state)
{
    uint8_t out[LOCAL_MESSAGE_MAX];
    (void)state;

    assert_int_equal(ask("db.test", WIRE_A, "test", out), 0);
    assert_int_equal(ask("db.corp.test", WIRE_A, "corp.test", out), 0);
    assert_int_equal(ask("intranet", WIRE_A, "intranet", out), 0);
    assert_true(ask("db.test", WIRE_A, ".", out) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(localhost_is_this_host),
        cmocka_unit_test(the_address_of_this_host_has_its_name),
        cmocka_unit_test(names_that_exist_nowhere_do_not_exist),
        cmocka_unit_test(other_names_are_asked_for),
        cmocka_unit_test(a_rule_of_its_own_goes_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
