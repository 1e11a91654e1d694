#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "world.h"

/* What a service answers when it depends on who asks: views, places, subnets; and SRV. */
static const char config[] =
    "node: {name: t, region: seoul}\n"
    "regions: {seoul: {minimum_healthy: 0}, tokyo: {minimum_healthy: 0}}\n"
    "listen: [127.0.0.1:5300, 127.0.0.1:5355]\n"
    "views:\n"
    "  inside: {clients: [10.0.0.0/8]}\n"
    "  door: {listen: [127.0.0.1:5355]}\n"
    "clients:\n"
    "  - {prefix: 198.51.0.0/16, region: tokyo}\n"
    "  - {prefix: \"2001:db8:5::/48\", region: tokyo}\n"
    "services:\n"
    "  api.svc.example.com:\n"
    "    order: [seoul, tokyo]\n"
    "    minimum_healthy: 1\n"
    "    srv: 8080\n"
    "    endpoints: {seoul: [192.0.2.1, \"2001:db8::1\"], tokyo: [198.51.100.1]}\n"
    "    views:\n"
    "      inside: {endpoints: {seoul: [10.0.0.1]}}\n"
    "      door: {endpoints: {seoul: [10.0.0.2]}}\n"
    "  near.svc.example.com:\n"
    "    policy: nearest\n"
    "    order: [seoul, tokyo]\n"
    "    minimum_healthy: 1\n"
    "    endpoints: {seoul: [192.0.2.1], tokyo: [198.51.100.1]}\n"
    "zones: {svc.example.com: {nameservers: [ns1.example.com]}}\n";

static struct world world;

static int begin(void **state)
{
    (void)state;
    assert_true(world_init(&world, config));
    return 0;
}

static int end(void **state)
{
    (void)state;
    world_fini(&world);
    return 0;
}

static void come_from(const char *text)
{
    assert_int_equal(inet_pton(AF_INET, text, &world.source.sin_addr), 1);
}

/* The first address of the answer to `name`. */
static void expect_address(const char *name, const char *wanted)
{
    struct wire_record record;
    char shown[INET6_ADDRSTRLEN];

    assert_int_equal(world_ask(&world, name, WIRE_A, 1232), QUERY_SEND);
    assert_int_equal(world_rcode(&world), WIRE_NOERROR);
    assert_true(world_record(&world, 0, &record));
    assert_int_equal(record.type, WIRE_A);
    assert_non_null(
        inet_ntop(AF_INET, world.message + record.rdata_at, shown, sizeof(shown)));
    assert_string_equal(shown, wanted);
}

static void the_first_view_that_fits_says_which_endpoints(void **state)
{
    static const struct addr door = { .bytes = { 127, 0, 0, 1 }, .port = 5355 };
    (void)state;

    come_from("203.0.113.9");
    expect_address("api.svc.example.com", "192.0.2.1");
    come_from("10.9.9.9");
    expect_address("api.svc.example.com", "10.0.0.1");
    expect_address("near.svc.example.com", "192.0.2.1"); /* has none for views */
    world.listener = &door;
    expect_address("api.svc.example.com", "10.0.0.1"); /* the first one counts */
    come_from("203.0.113.9");
    expect_address("api.svc.example.com", "10.0.0.2");
    world.listener = NULL;
}

static void the_clients_place_orders_the_regions(void **state)
{
    (void)state;

    come_from("203.0.113.9");
    expect_address("near.svc.example.com", "192.0.2.1"); /* this node's own */
    come_from("198.51.3.4");
    expect_address("near.svc.example.com", "198.51.100.1");
}

/* ---- RFC 7871 ---- */

static const uint8_t korea[] = { 0, 8, 0, 7, 0, 1, 24, 0, 203, 0, 113 };
static const uint8_t japan[] = { 0, 8, 0, 7, 0, 1, 24, 0, 198, 51, 3 };

/* Ask with the option's bytes in OPT. */
static enum query_verdict ask_with(const char *name, const uint8_t *option, size_t size)
{
    uint8_t dname[NAME_MAX_BYTES];
    struct error err;

    assert_true(name_parse(name, dname, &err) > 0);
    world.length = wire_query_build(world.message, 7, WIRE_RD, dname, WIRE_A, WIRE_IN, 1232, false);
    wire_put16(world.message + world.length - 2, (uint16_t)size);
    memcpy(world.message + world.length, option, size);
    world.length += size;
    return world_answer(&world);
}

/* The answer's OPT ends with the option as asked and this scope. */
static void expect_scope(const uint8_t *option, size_t size, unsigned scope)
{
    const uint8_t *back = world.message + world.length - size;

    assert_int_equal(wire_get16(back - 2), size); /* all there is in OPT */
    assert_memory_equal(back, option, 7);
    assert_int_equal(back[7], scope);
    assert_memory_equal(back + 8, option + 8, size - 8);
    assert_true(wire_response_sound(world.message, world.length));
}

static void expect_subnet(const char *name, const uint8_t *option, size_t size, const char *wanted,
                          unsigned scope)
{
    struct wire_record record;
    char shown[INET6_ADDRSTRLEN];

    assert_int_equal(ask_with(name, option, size), QUERY_SEND);
    assert_int_equal(world_rcode(&world), WIRE_NOERROR);
    assert_true(world_record(&world, 0, &record));
    assert_non_null(
        inet_ntop(AF_INET, world.message + record.rdata_at, shown, sizeof(shown)));
    assert_string_equal(shown, wanted);
    expect_scope(option, size, scope);
}

static void a_subnet_is_answered_for_with_the_scope_of_the_map(void **state)
{
    static const uint8_t nobody[] = { 0, 8, 0, 4, 0, 1, 0, 0 };
    static const uint8_t six[] = { 0, 8, 0, 10, 0, 2, 48, 0, 0x20, 1, 0xd, 0xb8, 0, 5 };
    (void)state;

    come_from("192.0.2.77");
    expect_subnet("near.svc.example.com", japan, sizeof(japan), "198.51.100.1", 16);
    expect_subnet("near.svc.example.com", korea, sizeof(korea), "192.0.2.1", 5);
    expect_subnet("near.svc.example.com", six, sizeof(six), "198.51.100.1", 48);
    expect_subnet("api.svc.example.com", japan, sizeof(japan), "192.0.2.1", 0);
    come_from("198.51.3.4"); /* who does not want it used is not asked for */
    assert_int_equal(ask_with("near.svc.example.com", nobody, sizeof(nobody)), QUERY_SEND);
    expect_scope(nobody, sizeof(nobody), 0);
}

static void a_broken_subnet_is_a_format_error(void **state)
{
    static const struct {
        uint8_t bytes[16];
        size_t size;
    } broken[] = {
        { { 0, 8, 0, 3, 0, 1, 24 }, 7 },                            /* too short */
        { { 0, 8, 0, 6, 0, 1, 24, 0, 1, 2 }, 10 },                  /* too few bytes */
        { { 0, 8, 0, 8, 0, 1, 24, 0, 1, 2, 3, 4 }, 12 },            /* too many */
        { { 0, 8, 0, 7, 0, 1, 23, 0, 1, 2, 3 }, 11 },               /* a bit behind the prefix */
        { { 0, 8, 0, 9, 0, 1, 33, 0, 1, 2, 3, 4, 0x80 }, 13 },      /* more than there are */
        { { 0, 8, 0, 7, 0, 3, 24, 0, 1, 2, 3 }, 11 },               /* no such family */
        { { 0, 8, 0, 7, 0, 1, 24, 1, 1, 2, 3 }, 11 },               /* a scope in a query */
        { { 0, 8, 0, 4, 0, 1, 0, 0, 0, 8, 0, 4, 0, 1, 0, 0 }, 16 }, /* twice */
    };
    (void)state;

    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        assert_int_equal(ask_with("near.svc.example.com", broken[i].bytes, broken[i].size),
                         QUERY_SEND);
        assert_int_equal(world_rcode(&world), WIRE_FORMERR);
    }
}

static void who_sends_no_subnet_gets_none(void **state)
{
    (void)state;

    assert_int_equal(world_ask(&world, "near.svc.example.com", WIRE_A, 1232), QUERY_SEND);
    assert_int_equal(wire_get16(world.message + world.length - 2), 0);
}

/* ---- SRV ---- */

static void srv_names_a_host_for_each_endpoint(void **state)
{
    static const char *const targets[] = { "ip-192-0-2-1.api.svc.example.com",
                                           "ip-2001-db8--1.api.svc.example.com" };
    (void)state;

    come_from("203.0.113.9");
    assert_int_equal(world_ask(&world, "api.svc.example.com", WIRE_SRV, 1232), QUERY_SEND);
    assert_int_equal(world_rcode(&world), WIRE_NOERROR);
    assert_int_equal(world_count(&world, 0), 2);
    assert_int_equal(world_count(&world, 2), 3); /* two addresses and OPT */
    for (unsigned i = 0; i < 2; i++) {
        struct wire_record record, address;
        char name[NAME_TEXT_MAX];
        assert_true(world_record(&world, i, &record));
        assert_int_equal(record.type, WIRE_SRV);
        const uint8_t *rdata = world.message + record.rdata_at;
        assert_int_equal(wire_get16(rdata), 0);
        assert_int_equal(wire_get16(rdata + 2), 1);
        assert_int_equal(wire_get16(rdata + 4), 8080);
        (void)name_format(rdata + 6, name, sizeof(name));
        assert_memory_equal(name, targets[i], strlen(targets[i]));
        assert_true(world_record(&world, 2 + i, &address));
        assert_int_equal(address.type, i == 0 ? WIRE_A : WIRE_AAAA);
        assert_memory_equal(address.owner, rdata + 6, name_length(rdata + 6));
    }
    expect_address("ip-192-0-2-1.api.svc.example.com", "192.0.2.1");
    expect_address("ip-198-51-100-1.api.svc.example.com", "198.51.100.1");
    come_from("10.1.1.1"); /* of the view */
    assert_int_equal(world_ask(&world, "api.svc.example.com", WIRE_SRV, 1232), QUERY_SEND);
    assert_int_equal(world_count(&world, 0), 1);
    /* who did not ask for it has none */
    assert_int_equal(world_ask(&world, "near.svc.example.com", WIRE_SRV, 1232), QUERY_SEND);
    assert_int_equal(world_count(&world, 0), 0);
}

static void srv_without_edns_fits_a_small_message(void **state)
{
    (void)state;

    come_from("203.0.113.9");
    assert_int_equal(world_ask(&world, "api.svc.example.com", WIRE_SRV, 0), QUERY_SEND);
    assert_true(world.length <= WIRE_UDP_PLAIN);
    assert_int_equal(world_count(&world, 0), 2);
    assert_true(wire_response_sound(world.message, world.length));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_view_that_fits_says_which_endpoints),
        cmocka_unit_test(the_clients_place_orders_the_regions),
        cmocka_unit_test(a_subnet_is_answered_for_with_the_scope_of_the_map),
        cmocka_unit_test(a_broken_subnet_is_a_format_error),
        cmocka_unit_test(who_sends_no_subnet_gets_none),
        cmocka_unit_test(srv_names_a_host_for_each_endpoint),
        cmocka_unit_test(srv_without_edns_fits_a_small_message),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
