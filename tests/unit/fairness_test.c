#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "resolver/fairness.h"

static struct fairness fairness;

static uint32_t slot4(const char *text)
{
    struct sockaddr_in client = { .sin_family = AF_INET, .sin_port = 1 };

    assert_int_equal(inet_pton(AF_INET, text, &client.sin_addr), 1);
    return fairness_slot(&fairness, (const struct sockaddr *)&client);
}

static uint32_t slot6(const char *text)
{
    struct sockaddr_in6 client = { .sin6_family = AF_INET6 };

    assert_int_equal(inet_pton(AF_INET6, text, &client.sin6_addr), 1);
    return fairness_slot(&fairness, (const struct sockaddr *)&client);
}

static void a_client_has_so_many_in_flight_and_no_more(void **state)
{
    (void)state;
    fairness_init(&fairness);
    uint32_t slot = slot4("192.0.2.1");
    for (unsigned i = 0; i < 3; i++) {
        assert_true(fairness_enter(&fairness, slot, 3));
    }
    assert_false(fairness_enter(&fairness, slot, 3));
    fairness_leave(&fairness, slot);
    assert_true(fairness_enter(&fairness, slot, 3));
    fairness_leave(&fairness, FAIRNESS_NONE);
}

static void others_are_counted_apart(void **state)
{
    unsigned shared = 0;
    char text[32];
    (void)state;

    fairness_init(&fairness);
    uint32_t first = slot4("192.0.2.1");
    for (unsigned i = 2; i < 102; i++) {
        (void)snprintf(text, sizeof(text), "192.0.2.%u", i);
        shared += slot4(text) == first;
    }
    assert_in_range(shared, 0, 5); /* one in 4096 each, by chance */
}

static void a_network_of_64_bits_is_one_client(void **state)
{
    (void)state;
    fairness_init(&fairness);
    assert_int_equal(slot6("2001:db8:1:2::1"), slot6("2001:db8:1:2:ffff::9"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_has_so_many_in_flight_and_no_more),
        cmocka_unit_test(others_are_counted_apart),
        cmocka_unit_test(a_network_of_64_bits_is_one_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
