#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <ifaddrs.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/unit/config_world.h"

/* A rule whose one upstream, of line 1, has these keys too. */
#define UPSTREAM(keys) "forward: {.: {upstreams: [{address: 10.0.0.1, " keys "}]}}\n"

/* SHA-256 of nothing. */
#define PIN_HEX    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define PIN_BASE64 "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

static void upstreams_may_be_asked_over_tls(void **state)
{
    static const struct bad list[] = {
        { UPSTREAM("tls: on"), 1, 52, "a name is required", "cloudflare-dns.com" },
        { UPSTREAM("tls: \"*.example\""), 1, 52, "'*.example' is not a name", NULL },
        { UPSTREAM("tls: {}"), 1, 47, "a name or pins are required", NULL },
        { UPSTREAM("tls: {pins: []}"), 1, 47, "a name or pins are required", NULL },
        { UPSTREAM("tls: {name: a..b}"), 1, 59, "'a..b' is not a name", NULL },
        { UPSTREAM("tls: {pins: " PIN_HEX "0}"), 1, 59, "is not a pin", "base64" },
        { UPSTREAM("tls: {pins: [\"" PIN_BASE64 "\", x]}"), 1, 108, "'x' is not a pin", NULL },
        { UPSTREAM("tls: {name: a, ca_file: /nonexistent/ca.pem}"), 1, 71,
          "/nonexistent/ca.pem cannot be read: No such file", NULL },
        { UPSTREAM("tls: {name: a, hostname: b}"), 1, 62, "unknown key 'hostname'", NULL },
        { UPSTREAM("tls: {ca_file: /dev/null, pins: " PIN_HEX "}"), 1, 53,
          "ca_file: is of no use without a name", "pins alone decide" },
        { UPSTREAM("tls: [a]"), 1, 52, "must be a name or a map", NULL },
    };
    struct model *model =
        load_good("forward: {.: {upstreams: [{address: 1.1.1.1, tls: cloudflare-dns.com},"
                  " {address: 1.1.1.1:8853, tls: {name: 1.1.1.1, ca_file: /dev/null,"
                  " pins: [\"sha256/" PIN_BASE64 "\", " PIN_HEX "]}},"
                  " {address: 1.1.1.2, tls: {pins: \"" PIN_BASE64 "\"}},"
                  " {address: 1.1.1.2, tls: off}]}}\n");
    const struct model_upstream *upstreams = model->forwards[0].upstreams;

    (void)state;
    expect_bad(list, COUNT_OF(list));
    assert_int_equal(upstreams[0].address.port, 853);
    assert_string_equal(upstreams[0].tls->name, "cloudflare-dns.com");
    assert_int_equal(upstreams[0].tls->pin_count, 0);
    assert_null(upstreams[0].tls->ca_file);
    assert_int_equal(upstreams[1].address.port, 8853);
    assert_string_equal(upstreams[1].tls->name, "1.1.1.1");
    assert_string_equal(upstreams[1].tls->ca_file, "/dev/null");
    assert_int_equal(upstreams[1].tls->pin_count, 2);
    assert_memory_equal(upstreams[1].tls->pins[0], upstreams[1].tls->pins[1], 32);
    assert_int_equal(upstreams[1].tls->pins[0][0], 0xe3);
    assert_int_equal(upstreams[1].tls->pins[0][31], 0x55);
    assert_null(upstreams[2].tls->name);
    assert_int_equal(upstreams[2].address.port, 853);
    assert_null(upstreams[3].tls);
    assert_int_equal(upstreams[3].address.port, 53);
    model_free(model);
}

static void upstreams_have_limits_and_sources(void **state)
{
    static const struct bad list[] = {
        { UPSTREAM("max_queries: 900"), 1, 60, "'900' has no unit", "900/s" },
        { UPSTREAM("max_queries: 0/s"), 1, 60, "it must be 1/m to 1000000/s", NULL },
        { UPSTREAM("tcp: maybe"), 1, 52, "'maybe' is neither on nor off", NULL },
    };
    struct model *model = load_good("forward: {.: {upstreams: [10.0.0.1, {address: 10.0.0.2,"
                                    " tcp: on, max_queries: 900/s, source: 10.0.0.9}],"
                                    " rebinding: refuse}}\n");
    const struct model_upstream *upstreams = model->forwards[0].upstreams;

    (void)state;
    expect_bad(list, COUNT_OF(list));
    assert_false(upstreams[0].tcp || upstreams[0].has_source);
    assert_int_equal(upstreams[0].max_queries_per_minute, 0);
    assert_true(upstreams[1].tcp && upstreams[1].has_source);
    assert_int_equal(upstreams[1].max_queries_per_minute, 54000);
    assert_int_equal(upstreams[1].source.bytes[3], 9);
    assert_int_equal(upstreams[1].source.port, 0);
    assert_true(model->forwards[0].refuse_private);
    assert_int_equal(model->forwards[0].hedge, MODEL_HEDGE_AUTO);
    model_free(model);
}

/* An address of this machine that is not loopback, if it has one. */
static bool find_own_address(struct addr *out)
{
    struct ifaddrs *list = NULL;
    bool found = false;

    assert_int_equal(getifaddrs(&list), 0);
    for (const struct ifaddrs *one = list; one != NULL && !found; one = one->ifa_next) {
        found = one->ifa_addr != NULL && one->ifa_addr->sa_family == AF_INET &&
                addr_from_sockaddr(one->ifa_addr, out) && !addr_is_loopback(out);
    }
    freeifaddrs(list);
    return found;
}

static void who_listens_everywhere_is_found_at_each_address_of_the_machine(void **state)
{
    char text[256];
    char own[ADDR_TEXT_MAX];
    struct addr addr;

    (void)state;
    if (!find_own_address(&addr)) {
        skip();
    }
    addr_format(&addr, own, sizeof(own));
    (void)snprintf(text, sizeof(text), "forward: {.: {upstreams: \"%s\"}}\nlisten: 0.0.0.0\n", own);
    const struct bad bad = { text, 1, 26, "is where this server listens: 0.0.0.0:53 at t.yaml:2:9",
                             NULL };
    expect_bad(&bad, 1);
    (void)snprintf(text, sizeof(text), "forward: {.: {upstreams: \"%s:54\"}}\nlisten: 0.0.0.0\n",
                   own);
    model_free(load_good(text));
    (void)snprintf(text, sizeof(text), "forward: {.: {upstreams: \"%s\"}}\nlisten: \"::\"\n", own);
    model_free(load_good(text));
}

static void forwarding_is_read_whole(void **state)
{
    struct model *model = load_good(
        REGIONS "listen: 127.0.0.1:5300\n"
                "access: {query: [10.0.0.0/8], recursion: [any, 192.0.2.1]}\n"
                "forward:\n  .: {upstreams: [{region: b, address: 10.0.0.1}, 10.0.0.2:5353,"
                " {region: public, address: 1.1.1.1}], hedge: off}\n"
                "  Internal.Example.: {upstreams: 10.0.0.9, hedge: 50ms}\n"
                "zones: {a.example: , b.example: {nameservers: [ns1.example, ns2.example]},"
                " c.example: {file: c.zone}}\n");

    (void)state;
    assert_int_equal(model->forward_count, 2);
    assert_string_equal(model->forwards[0].name, ".");
    assert_int_equal(model->forwards[0].dname[0], 0);
    assert_int_equal(model->forwards[0].upstream_count, 3);
    assert_int_equal(model->forwards[0].upstreams[0].region, 1);
    assert_int_equal(model->forwards[0].upstreams[0].address.port, 53);
    assert_int_equal(model->forwards[0].upstreams[1].region, MODEL_NONE);
    assert_int_equal(model->forwards[0].upstreams[1].address.port, 5353);
    assert_int_equal(model->forwards[0].upstreams[2].region, MODEL_PUBLIC);
    assert_int_equal(model->forwards[0].hedge, MODEL_HEDGE_OFF);
    assert_string_equal(model->forwards[1].name, "internal.example");
    assert_int_equal(model->forwards[1].hedge, MODEL_HEDGE_FIXED);
    assert_int_equal(model->forwards[1].hedge_ms, 50);
    assert_false(model->query.any || model->query.loopback);
    assert_int_equal(model->query.prefix_count, 1);
    assert_true(model->recursion.any);
    assert_int_equal(model->recursion.prefixes[0].bits, 32);
    assert_int_equal(model->zone_count, 3);
    assert_null(model->zones[0].file);
    assert_int_equal(model->zones[1].nameserver_count, 2);
    assert_string_equal(model->zones[2].file, "c.zone");
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(upstreams_may_be_asked_over_tls),
        cmocka_unit_test(upstreams_have_limits_and_sources),
        cmocka_unit_test(who_listens_everywhere_is_found_at_each_address_of_the_machine),
        cmocka_unit_test(forwarding_is_read_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
