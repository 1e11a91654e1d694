#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/config_world.h"
#include "zones/name.h"

/* A service whose one region, in line 5, has these endpoints. */
#define POOLS(list) SERVICE "    minimum_healthy: 1\n    endpoints: {a: " list "}\n"

static void endpoints_may_be_names(void **state)
{
    static const struct bad list[] = {
        { POOLS("[{hostname: x.example, address: 192.0.2.1}]"), 5, 21,
          "is either an address or a hostname", NULL },
        { POOLS("[{address: 192.0.2.1, answer: cname}]"), 5, 42,
          "is for an endpoint with a hostname", NULL },
        { POOLS("[{address: 192.0.2.1, keep_addresses: on}]"), 5, 42,
          "is for an endpoint with a hostname", NULL },
        { POOLS("[{address: 192.0.2.1, port: 80}]"), 5, 42, "is for an endpoint with a hostname",
          "behind the address" },
        { POOLS("[{answer: cname}]"), 5, 21, "address is required, or hostname", NULL },
        { POOLS("[{hostname: a..b}]"), 5, 32, "empty label", NULL },
        { POOLS("[{hostname: .}]"), 5, 32, "is not the name of a host", NULL },
        { POOLS("[{hostname: \"*.example\"}]"), 5, 32, "is not the name of a host", NULL },
        { POOLS("[{hostname: x.example, answer: alias}]"), 5, 51, "unknown value 'alias'",
          "address or cname" },
        { POOLS("[{hostname: x.example}, {hostname: X.Example.}]"), 5, 44,
          "x.example is given twice, first in line 5", NULL },
        { POOLS("[{hostname: x.example, answer: cname}, 192.0.2.1]"), 5, 21,
          "answered as cname it must be the region's only endpoint, of 2", "answer: address" },
        { POOLS("[{hostname: S.example}]"), 5, 32, "S.example is the name of the service s.example",
          "would ask itself" },
        { POOLS("{hostname: x.s.example}"), 5, 31, "a name in the service s.example", NULL },
        { POOLS("{hostname: x.net, answer: cname}") "zones: {s.example: }\n", 5, 46,
          "the zone s.example itself cannot be a cname", "answer: address" },
        { "regions: {a: {minimum_healthy: 0}}\nservices:\n"
          "  s: {minimum_healthy: 1, endpoints: {a: {hostname: t}}}\n"
          "  t: {minimum_healthy: 1, endpoints: {a: 192.0.2.1}}\n",
          3, 53, "t is the name of the service t", NULL },
    };
    struct model *model =
        load_good(REGIONS "services:\n  s.example:\n    minimum_healthy: 2\n    endpoints:\n"
                          "      a: [192.0.2.1, {hostname: Api.ELB.example., port: 8080,"
                          " keep_addresses: off}, {hostname: b.example}]\n"
                          "      b: {hostname: elb.example, answer: cname}\n");
    const struct model_endpoint *a = model->services[0].pools[0].endpoints;
    const struct model_endpoint *b = model->services[0].pools[1].endpoints;
    char name[NAME_TEXT_MAX];

    (void)state;
    expect_bad(list, COUNT_OF(list));
    assert_null(a[0].hostname);
    name_format(a[1].hostname, name, sizeof(name));
    assert_string_equal(name, "api.elb.example");
    assert_false(a[1].as_cname || a[1].keep_addresses);
    assert_int_equal(a[1].address.port, 8080);
    assert_true(a[2].keep_addresses);
    assert_int_equal(a[2].address.port, 0);
    assert_true(b[0].as_cname && b[0].keep_addresses);
    model_free(model);
}

static void too_many_endpoints_of_a_family_are_refused(void **state)
{
    struct text text = { 0 };
    struct config_report report;
    struct model *model = NULL;

    (void)state;
    text_put(&text, SERVICE "    minimum_healthy: 1\n    endpoints:\n      a:\n");
    for (unsigned i = 0; i < 64; i++) {
        text_printf(&text, "        - 192.0.2.%u\n        - 2001:db8::%x\n", i + 1, i + 1);
    }
    model_free(load_good(text_string(&text)));
    text_put(&text, "        - 192.0.2.99\n");
    assert_true(config_load_text(text_string(&text), "t.yaml", &model, &report) < 0);
    const struct bad bad = { "", 135, 11, "more than 64 addresses of a family", NULL };
    if (report.count != 1 || !has_error(&report, &bad)) {
        fail_with("65 of a family", &report);
    }
    config_report_fini(&report);
    text_fini(&text);
}

static void too_many_pools_are_refused(void **state)
{
    struct text text = { 0 };
    struct config_report report;
    struct model *model = NULL;

    (void)state;
    text_put(&text, "regions:\n");
    for (unsigned i = 0; i < 65; i++) {
        text_printf(&text, "  r%u: {minimum_healthy: 0}\n", i);
    }
    text_put(&text, "services:\n  s.example:\n    minimum_healthy: 1\n    endpoints:\n");
    for (unsigned i = 0; i < 65; i++) {
        text_printf(&text, "      r%u: 192.0.2.1\n", i);
    }
    assert_true(config_load_text(text_string(&text), "t.yaml", &model, &report) < 0);
    const struct bad bad = { "", 70, 5, "more than 64 regions", NULL };
    if (report.count != 1 || !has_error(&report, &bad)) {
        fail_with("65 pools", &report);
    }
    config_report_fini(&report);
    text_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_may_be_names),
        cmocka_unit_test(too_many_endpoints_of_a_family_are_refused),
        cmocka_unit_test(too_many_pools_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
