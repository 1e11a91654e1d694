#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/config_world.h"

/* A service in two regions; what it says of steering follows in line 6. */
#define TWO                                                                                        \
    SERVICE "    minimum_healthy: 1\n"                                                             \
            "    endpoints: {b: [{address: 192.0.2.1, capacity: 5}],"                              \
            " a: [{address: 192.0.2.2, weight: 0, capacity: 7}]}\n"

static void expect_chain(const char *text, const enum model_filter_kind *kinds, size_t count)
{
    struct model *model = load_good(text);
    const struct model_service *service = &model->services[0];

    assert_int_equal(service->filter_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(service->filters[i].kind, kinds[i]);
    }
    model_free(model);
}

static void a_policy_is_short_for_a_chain(void **state)
{
    static const enum model_filter_kind order[] = { MODEL_FILTER_REGION_ORDER };
    static const enum model_filter_kind nearest[] = { MODEL_FILTER_NEAREST };
    static const enum model_filter_kind latency[] = { MODEL_FILTER_LATENCY };
    static const enum model_filter_kind weighted[] = { MODEL_FILTER_ALL, MODEL_FILTER_WEIGHT,
                                                       MODEL_FILTER_LIMIT };

    (void)state;
    expect_chain(TWO, order, 1);
    expect_chain(TWO "    policy: failover\n", order, 1);
    expect_chain(TWO "    policy: nearest\n", nearest, 1);
    expect_chain(TWO "    policy: latency\n", latency, 1);
    expect_chain(TWO "    policy: weighted\n", weighted, 3);
    expect_chain(TWO "    policy: all\n", weighted, 1);
    expect_chain(TWO "    steer: nearest\n", nearest, 1);
    expect_chain(TWO "    steer: [all, weight, {limit: 1}]\n", weighted, 3);
}

static void a_chain_that_orders_no_regions_begins_with_their_order(void **state)
{
    static const enum model_filter_kind kinds[] = { MODEL_FILTER_REGION_ORDER, MODEL_FILTER_STICKY,
                                                    MODEL_FILTER_LIMIT };

    (void)state;
    expect_chain(TWO "    steer: [sticky, {limit: 2}]\n", kinds, 3);
    expect_chain(TWO "    steer: [region_order, sticky, {limit: 2}]\n", kinds, 3);
}

static void filters_have_settings_and_defaults(void **state)
{
    struct model *model = load_good(TWO "    steer:\n"
                                        "      - latency: {band: 25ms}\n"
                                        "      - capacity: {load: {a: 600, b: 300}}\n"
                                        "      - {trickle: 0.5%}\n"
                                        "      - weight\n"
                                        "      - {sticky: {ipv4: 16}}\n"
                                        "      - {limit: 2}\n");
    const struct model_filter *filters = model->services[0].filters;

    (void)state;
    assert_int_equal(model->services[0].filter_count, 6);
    assert_int_equal(filters[0].band_us, 25000);
    assert_int_equal(filters[1].load[0], 300); /* by pool: b is the first */
    assert_int_equal(filters[1].load[1], 600);
    assert_int_equal(filters[2].share_65536, 328);
    assert_int_equal(filters[4].sticky_v4_bits, 16);
    assert_int_equal(filters[4].sticky_v6_bits, 56);
    assert_int_equal(filters[5].limit, 2);
    assert_int_equal(filters[3].place.line, 10);
    model_free(model);

    model = load_good(TWO "    steer: [latency, capacity, sticky]\n");
    filters = model->services[0].filters;
    assert_int_equal(filters[0].band_us, 10000);
    assert_null(filters[1].load);
    assert_int_equal(filters[2].sticky_v4_bits, 24);
    model_free(model);

    model = load_good(TWO "    policy: weighted\n");
    assert_int_equal(model->services[0].filters[2].limit, 1);
    assert_int_equal(model->services[0].filters[0].place.line, 6);
    model_free(model);

    model = load_good(TWO "    steer: [{capacity: {load: {a: 9}}}]\n");
    assert_int_equal(model->services[0].filters[1].load[0], 0);
    assert_int_equal(model->services[0].filters[1].load[1], 9);
    model_free(model);
}

static void a_chain_that_makes_no_sense_is_refused(void **state)
{
    static const struct bad list[] = {
        { TWO "    steer: [nearest]\n    policy: all\n", 6, 5, "policy says already", "keep one" },
        { TWO "    steer: []\n", 6, 5, "there are no filters", "steer: [" },
        { TWO "    steer: [nearst]\n", 6, 13, "unknown filter 'nearst'",
          "did you mean 'nearest'?" },
        { TWO "    steer: [qqqqqqqqq]\n", 6, 13, "unknown filter 'qqqqqqqqq'", "one of region" },
        { TWO "    steer: [nearest, latency]\n", 6, 22,
          "nearest and latency both say which regions answer", "keep one of" },
        { TWO "    steer: [all, all]\n", 6, 18, "all is given twice", NULL },
        { TWO "    steer: [{limit: 1}, {limit: 2}]\n", 6, 25, "limit is given twice", NULL },
        { TWO "    steer: [sticky, shuffle]\n", 6, 21, "shuffle and sticky contradict", "keep" },
        { TWO "    steer: [weight, shuffle]\n", 6, 21, "shuffle and weight contradict", "keep" },
        { TWO "    steer: [all, {trickle: 1%}]\n", 6, 18, "with all there is no next region",
          "leave trickle out" },
        { TWO "    steer: [{limit: 1}, nearest]\n", 6, 25, "nearest comes before limit",
          "in this order: nearest, limit" },
        { TWO "    steer: [weight, capacity]\n", 6, 21, "capacity comes before weight",
          "in this order: capacity, weight" },
        { TWO "    steer: [limit]\n", 6, 13, "limit needs a value", "{limit: 2}" },
        { TWO "    steer: [trickle]\n", 6, 13, "trickle needs a value", "{trickle: 1%}" },
        { TWO "    steer: [{limit: 0}]\n", 6, 21, "it must be 1 to 64", NULL },
        { TWO "    steer: [{limit: 65}]\n", 6, 21, "it must be 1 to 64", NULL },
        { TWO "    steer: [{nearest: yes}]\n", 6, 14, "has no settings", "write the word alone" },
        { TWO "    steer: [{weight: 2, limit: 1}]\n", 6, 13, "a filter is a map with one key",
          "one element of the list for each" },
        { TWO "    steer: [{limitt: 2}]\n", 6, 14, "unknown key 'limitt'",
          "did you mean 'limit'?" },
        { TWO "    steer: [[nearest]]\n", 6, 13, "must be a single value", NULL },
        { TWO "    steer: [{latency: 10ms}]\n", 6, 23, "must be a map", "its key: band" },
        { TWO "    steer: [{latency: {band: 10}}]\n", 6, 30, "has no unit", NULL },
        { TWO "    steer: [{sticky: {ipv4: 0}}]\n", 6, 29, "it must be 1 to 32", NULL },
        { TWO "    steer: [{sticky: {ipv6: 129}}]\n", 6, 29, "it must be 1 to 128", NULL },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

static void a_trickle_is_a_percentage_with_decimals(void **state)
{
    static const struct bad list[] = {
        { TWO "    steer: [{trickle: 1}]\n", 6, 23, "'1' is not a percentage", "1% or 0.5%" },
        { TWO "    steer: [{trickle: .5%}]\n", 6, 23, "is not a percentage", NULL },
        { TWO "    steer: [{trickle: 1.%}]\n", 6, 23, "is not a percentage", NULL },
        { TWO "    steer: [{trickle: 1.0.0%}]\n", 6, 23, "is not a percentage", NULL },
        { TWO "    steer: [{trickle: 0.00001%}]\n", 6, 23, "is not a percentage", NULL },
        { TWO "    steer: [{trickle: 99999999999%}]\n", 6, 23, "is not a percentage", NULL },
        { TWO "    steer: [{trickle: 0%}]\n", 6, 23, "it must be 0.01% to 50%", NULL },
        { TWO "    steer: [{trickle: 51%}]\n", 6, 23, "it must be 0.01% to 50%", NULL },
    };
    static const struct {
        const char *yaml;
        uint32_t share;
    } good[] = {
        { TWO "    steer: [{trickle: 50%}]\n", 32768 },
        { TWO "    steer: [{trickle: 1%}]\n", 655 },
        { TWO "    steer: [{trickle: 0.01%}]\n", 7 },
        { TWO "    steer: [{trickle: 12.3456%}]\n", 8091 },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct model *model = load_good(good[i].yaml);
        assert_int_equal(model->services[0].filters[1].share_65536, good[i].share);
        model_free(model);
    }
}

static void a_load_is_that_of_regions_with_endpoints(void **state)
{
    static const struct bad list[] = {
        { TWO "    steer: [{capacity: {load: {c: 600}}}]\n", 6, 32, "unknown region 'c'", NULL },
        { SERVICE GOOD "    steer: [{capacity: {load: {b: 600, a: 1}}}]\n", 6, 32,
          "the service has no endpoints in b", "nearest to them" },
        { TWO "    steer: [{capacity: {load: {a: 0}}}]\n", 6, 25, "nobody brings any load",
          "leave it out" },
        { TWO "    steer: [{capacity: {load: {}}}]\n", 6, 25, "nobody brings any load", NULL },
        { TWO "    steer: [{capacity: {load: {a: 10%}}}]\n", 6, 35, "is not a whole number", NULL },
        { TWO "    steer: [{capacity: {load: 600}}]\n", 6, 31, "must be a map from regions", NULL },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

static void filters_ask_for_what_endpoints_must_say(void **state)
{
    static const struct bad list[] = {
        { SERVICE GOOD "    steer: [capacity]\n", 3, 3, "of a 1 does not say", "capacity: 500" },
        { SERVICE "    minimum_healthy: 1\n    steer: [weight]\n"
                  "    endpoints: {a: {address: 192.0.2.1, weight: 0}, b: [{hostname: x.net,"
                  " weight: 0}]}\n",
          3, 3, "every endpoint has weight 0", "1 or more" },
        { SERVICE "    minimum_healthy: 1\n    policy: weighted\n"
                  "    endpoints: {a: {address: 192.0.2.1, weight: 0}}\n",
          3, 3, "every endpoint has weight 0", NULL },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
    model_free(load_good(SERVICE "    minimum_healthy: 1\n"
                                 "    endpoints: {a: {address: 192.0.2.1, weight: 0}}\n"));
    model_free(load_good(TWO "    steer: [all, weight]\n"));
}

static void endpoints_have_weight_and_capacity(void **state)
{
    static const struct bad list[] = {
        { SERVICE "    minimum_healthy: 1\n    endpoints: {a: {address: 192.0.2.1, weight: -1}}\n",
          5, 49, "'-1' is not a whole number", NULL },
        { SERVICE
          "    minimum_healthy: 1\n    endpoints: {a: {address: 192.0.2.1, weight: 1000001}}\n",
          5, 49, "it must be 0 to 1000000", NULL },
        { SERVICE "    minimum_healthy: 1\n    endpoints: {a: {address: 192.0.2.1, capacity: 0}}\n",
          5, 51, "it must be 1 to 1000000000", NULL },
    };
    struct model *model = load_good(TWO);
    const struct model_service *service = &model->services[0];

    (void)state;
    expect_bad(list, COUNT_OF(list));
    assert_int_equal(service->pools[0].endpoints[0].weight, 1);
    assert_int_equal(service->pools[0].endpoints[0].capacity, 5);
    assert_int_equal(service->pools[1].endpoints[0].weight, 0);
    model_free(model);
    model = load_good(SERVICE GOOD);
    assert_int_equal(model->services[0].pools[0].endpoints[0].weight, 1);
    assert_int_equal(model->services[0].pools[0].endpoints[0].capacity, 0);
    model_free(model);
}

static void a_service_says_how_it_returns_and_what_srv_says(void **state)
{
    static const struct bad list[] = {
        { TWO "    failback: never\n", 6, 15, "unknown value 'never'", "auto or manual" },
        { TWO "    failback: manual\n    policy: nearest\n", 6, 15, "one region", "failover" },
        { TWO "    ramp: 5\n", 6, 11, "has no unit", NULL },
        { TWO "    srv: {}\n", 6, 5, "port is required", "srv: {port: 443}" },
        { TWO "    srv: 0\n", 6, 10, "it must be 1 to 65535", NULL },
        { TWO "    srv: {port: 70000}\n", 6, 17, "it must be 1 to 65535", NULL },
    };
    struct model *model = load_good(TWO "    failback: manual\n    ramp: 2m\n    srv: 443\n");

    (void)state;
    assert_int_equal(model->services[0].failback, MODEL_FAILBACK_MANUAL);
    assert_int_equal(model->services[0].ramp_ms, 120000);
    assert_int_equal(model->services[0].srv_port, 443);
    model_free(model);
    model = load_good(TWO "    srv: {port: 8443}\n");
    assert_int_equal(model->services[0].srv_port, 8443);
    assert_int_equal(model->services[0].failback, MODEL_FAILBACK_AUTO);
    assert_int_equal(model->services[0].ramp_ms, 0);
    model_free(model);
    model = load_good(TWO);
    assert_int_equal(model->services[0].srv_port, 0);
    model_free(model);
    expect_bad(list, COUNT_OF(list));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_policy_is_short_for_a_chain),
        cmocka_unit_test(a_chain_that_orders_no_regions_begins_with_their_order),
        cmocka_unit_test(filters_have_settings_and_defaults),
        cmocka_unit_test(a_chain_that_makes_no_sense_is_refused),
        cmocka_unit_test(a_trickle_is_a_percentage_with_decimals),
        cmocka_unit_test(a_load_is_that_of_regions_with_endpoints),
        cmocka_unit_test(filters_ask_for_what_endpoints_must_say),
        cmocka_unit_test(endpoints_have_weight_and_capacity),
        cmocka_unit_test(a_service_says_how_it_returns_and_what_srv_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
