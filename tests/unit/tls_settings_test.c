#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/tls_settings.h"

static const uint8_t pins[2][TLS_PIN_BYTES] = { { 1, 2, 3 }, { 4, 5, 6 } };

static const struct tls_settings full = {
    .name = "dns.example.com",
    .ca_file = "/etc/ca.pem",
    .pins = pins,
    .pin_count = 2,
    .protocol = "dot",
    .unverified = true,
};

static void a_copy_is_equal_and_its_own(void **state)
{
    struct tls_settings *copy = tls_settings_copy(&full);

    (void)state;
    assert_non_null(copy);
    assert_true(tls_settings_equal(copy, &full));
    assert_ptr_not_equal(copy->name, full.name);
    assert_ptr_not_equal(copy->ca_file, full.ca_file);
    assert_ptr_not_equal(copy->pins, full.pins);
    assert_ptr_not_equal(copy->protocol, full.protocol);
    free(copy);
}

static void nothing_given_stays_so_in_the_copy(void **state)
{
    static const struct tls_settings empty;
    struct tls_settings *copy = tls_settings_copy(&empty);

    (void)state;
    assert_non_null(copy);
    assert_null(copy->name);
    assert_null(copy->ca_file);
    assert_null(copy->pins);
    assert_null(copy->protocol);
    assert_false(copy->unverified);
    assert_true(tls_settings_equal(copy, &empty));
    free(copy);
}

static void every_part_makes_a_difference(void **state)
{
    struct tls_settings others[8];

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        others[i] = full;
    }
    others[0].name = "dns.example.net";
    others[1].name = NULL;
    others[2].ca_file = "/etc/ca2.pem";
    others[3].pin_count = 1;
    others[4].pins = (const uint8_t(*)[TLS_PIN_BYTES])pins[1];
    others[4].pin_count = 1;
    others[5].protocol = NULL;
    others[6].protocol = "http/1.1";
    others[7].unverified = false;
    for (size_t i = 0; i < 8; i++) {
        assert_false(tls_settings_equal(&full, &others[i]));
    }
    assert_false(tls_settings_equal(&others[3], &others[4]));
    assert_false(tls_settings_equal(&full, NULL));
    assert_false(tls_settings_equal(NULL, &full));
    assert_true(tls_settings_equal(NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_equal_and_its_own),
        cmocka_unit_test(nothing_given_stays_so_in_the_copy),
        cmocka_unit_test(every_part_makes_a_difference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
