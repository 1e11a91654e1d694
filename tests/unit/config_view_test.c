#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/config_world.h"
#include "zones/name.h"

/* A service with two views; the section `views` may follow. */
#define VIEWED                                                                                     \
    "regions: {a: {minimum_healthy: 0}, b: {minimum_healthy: 0}, c: {minimum_healthy: 0}}\n"       \
    "services:\n"                                                                                  \
    "  one.example: {minimum_healthy: 1, endpoints: {a: [192.0.2.1]}}\n"                           \
    "  s.example:\n"                                                                               \
    "    minimum_healthy: 1\n"                                                                     \
    "    check: {tcp: {port: 80}}\n"                                                               \
    "    steer: [{capacity: {load: {a: 10, b: 20}}}]\n"                                            \
    "    endpoints: {b: [{address: 192.0.2.1, capacity: 1}],"                                      \
    " a: [{address: 192.0.2.2, capacity: 2}]}\n"                                                   \
    "    views:\n"                                                                                 \
    "      inside: {endpoints: {c: {address: 10.0.0.3, capacity: 5},"                              \
    " a: {address: 10.0.0.1, capacity: 3}, b: {address: 10.0.0.2, capacity: 4}}}\n"                \
    "      here: {order: [a, b], endpoints: {b: {address: 127.0.0.2, capacity: 1},"                \
    " a: {address: 127.0.0.1, capacity: 1}}}\n"                                                    \
    "  two.example: {minimum_healthy: 1, endpoints: {b: [192.0.2.9]}}\n"
#define VIEWS                                                                                      \
    "views: {here: {clients: loopback}, inside: {clients: [10.0.0.0/8, 192.168.0.0/16]}}\n"

static void a_view_is_a_service_behind_its_base(void **state)
{
    struct model *model = load_good(VIEWED VIEWS);
    const struct model_service *base = &model->services[1];
    const struct model_service *inside = &model->services[2];
    const struct model_service *here = &model->services[3];

    (void)state;
    assert_int_equal(model->service_count, 5);
    assert_int_equal(base->view, MODEL_NONE);
    assert_int_equal(base->view_count, 2);
    assert_int_equal(inside->view, 1);
    assert_int_equal(inside->view_count, 0);
    assert_int_equal(here->view, 0);
    assert_int_equal(inside->place.line, 10);
    assert_int_equal(here->place.line, 11);
    assert_string_equal(inside->name, "s.example");
    assert_true(name_equal(inside->dname, base->dname));
    assert_ptr_equal(inside->checks, base->checks);
    assert_int_equal(inside->check_count, 1);
    assert_string_equal(model->services[4].name, "two.example");
    assert_int_equal(model->services[4].view, MODEL_NONE);
    assert_int_equal(model->services[0].view_count, 0);
    model_free(model);
}

static void regions_of_a_view_go_by_the_order_of_the_service(void **state)
{
    struct model *model = load_good(VIEWED VIEWS);
    const struct model_service *inside = &model->services[2];
    const struct model_service *here = &model->services[3];

    (void)state;
    assert_int_equal(inside->pool_count, 3);
    assert_int_equal(inside->pools[0].region, 1);
    assert_int_equal(inside->pools[1].region, 0);
    assert_int_equal(inside->pools[2].region, 2);
    assert_int_equal(inside->pools[0].endpoints[0].capacity, 4);
    /* unless it has one of its own */
    assert_int_equal(here->pools[0].region, 0);
    assert_int_equal(here->pools[1].region, 1);
    model_free(model);
}

static void what_is_said_by_region_goes_with_it(void **state)
{
    struct model *model = load_good(VIEWED VIEWS);
    const struct model_filter *inside = model->services[2].filters;
    const struct model_filter *here = model->services[3].filters;

    (void)state;
    assert_int_equal(model->services[2].filter_count, 2);
    assert_int_equal(inside[1].kind, MODEL_FILTER_CAPACITY);
    assert_int_equal(inside[1].load[0], 20);
    assert_int_equal(inside[1].load[1], 10);
    assert_int_equal(inside[1].load[2], 0);
    assert_int_equal(here[1].load[0], 10);
    assert_int_equal(here[1].load[1], 20);
    model_free(model);
}

static void a_view_is_for_prefixes_loopback_and_listeners(void **state)
{
    struct model *model = load_good(
        "listen: [127.0.0.1:53, 0.0.0.0:5300]\n"
        "views:\n  inside: {clients: [10.0.0.0/8, loopback], listen: [127.0.0.1, 127.0.0.9:5300]}\n"
        "regions: {a: {minimum_healthy: 0}}\n"
        "services: {s: {minimum_healthy: 1, endpoints: {a: 192.0.2.1},"
        " views: {inside: {endpoints: {a: 10.0.0.1}}}}}\n");
    const struct model_view *view = &model->views[0];

    (void)state;
    assert_int_equal(model->view_count, 1);
    assert_string_equal(view->name, "inside");
    assert_int_equal(view->place.line, 3);
    assert_true(view->loopback);
    assert_int_equal(view->prefix_count, 1);
    assert_int_equal(view->prefixes[0].bits, 8);
    assert_int_equal(view->listener_count, 2);
    assert_int_equal(view->listeners[0].port, 53);
    assert_int_equal(view->listeners[1].port, 5300);
    model_free(model);
}

#define BASE                                                                                       \
    "regions: {a: {minimum_healthy: 0}}\n"                                                         \
    "services:\n  s:\n    minimum_healthy: 1\n    endpoints: {a: 192.0.2.1}\n"
#define INSIDE "    views: {inside: {endpoints: {a: 10.0.0.1}}}\n"

static void views_that_cannot_be_meant_are_refused(void **state)
{
    static const struct bad list[] = {
        { BASE INSIDE "views: {insid: {clients: loopback}, inside: {clients: 10.0.0.0/8}}\n", 7, 9,
          "no service has endpoints for this view", "take it out" },
        { BASE INSIDE, 6, 13, "unknown view 'inside'", "in the section views" },
        { BASE "    views: {insde: {endpoints: {a: 10.0.0.1}}, inside: {endpoints: {a: 10.0.0.1}}}"
               "\nviews: {inside: {clients: loopback}}\n",
          6, 13, "unknown view 'insde'", "did you mean 'inside'?" },
        { BASE INSIDE "views: {inside: {}}\n", 7, 9, "nobody is in it", "clients: [" },
        { BASE INSIDE "views: {inside: {clients: []}}\n", 7, 9, "nobody is in it", NULL },
        { BASE INSIDE "views: {inside: {clients: [any]}}\n", 7, 27, "not for any client",
          "who are in no view" },
        { BASE INSIDE "views: {inside: {clients: [10.0.0.0/33]}}\n", 7, 28, "0 to 32", NULL },
        { BASE INSIDE "views: {inside: {clients: [inside]}}\n", 7, 28, "not an IP prefix",
          "write any, loopback" },
        { BASE INSIDE "views: {inside: {listen: [127.0.0.1:54]}}\n", 7, 27,
          "127.0.0.1:54 is not listened at", "in the section listen" },
        { BASE INSIDE "views: {inside: {client: loopback}}\n", 7, 18, "unknown key 'client'",
          "did you mean 'clients'?" },
        { BASE "    views: {i: {endpoints: {a: 10.0.0.1}}, j: {endpoints: {a: 10.0.0.1}}}\n"
               "views: {i: {clients: 10.0.0.0/8}, j: {clients: [10.1.0.0/16, 10.0.0.0/8]}}\n",
          7, 48, "10.0.0.0/8 is in the view i already", NULL },
        { BASE "    views: {\"a b\": {endpoints: {a: 10.0.0.1}}}\n"
               "views: {\"a b\": {clients: loopback}}\n",
          7, 9, "not a good name of a view", "letters" },
        { BASE "    views: {inside: {}}\nviews: {inside: {clients: loopback}}\n", 6, 13,
          "endpoints is required", "e.g. internal" },
        { BASE "    views: {inside: {endpoints: {b: 10.0.0.1}}}\n"
               "views: {inside: {clients: loopback}}\n",
          6, 34, "unknown region 'b'", NULL },
        { BASE "    views: {inside: {endpoints: {a: []}}}\nviews: {inside: {clients: loopback}}\n",
          6, 34, "has no endpoints", NULL },
        { BASE "    views: {inside: {endpoints: {a: 10.0.0.1}, ttl: 5s}}\n"
               "views: {inside: {clients: loopback}}\n",
          6, 48, "unknown key 'ttl'", NULL },
        { BASE "    views: {inside: {endpoints: {a: {hostname: s}}}}\n"
               "views: {inside: {clients: loopback}}\n",
          6, 48, "s is the name of the service s", "would ask itself" },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

static void endpoints_of_a_view_meet_what_the_service_asks_for(void **state)
{
    static const struct bad list[] = {
        { "regions: {a: {minimum_healthy: 0}}\nviews: {i: {clients: loopback}}\n"
          "services:\n  s:\n    minimum_healthy: 2\n    endpoints: {a: [192.0.2.1, 192.0.2.2]}\n"
          "    views: {i: {endpoints: {a: 10.0.0.1}}}\n",
          5, 22, "2 must be healthy, but a has 1 endpoint in the view i", NULL },
        { "regions: {a: {minimum_healthy: 0}}\nviews: {i: {clients: loopback}}\n"
          "services:\n  s:\n    minimum_healthy: 1\n    steer: capacity\n"
          "    endpoints: {a: {address: 192.0.2.1, capacity: 1}}\n"
          "    views: {i: {endpoints: {a: 10.0.0.1}}}\n",
          8, 13, "views.i: the filter capacity needs to know", NULL },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

static void doubles_are_found_across_views(void **state)
{
    static const struct bad list[] = {
        { BASE INSIDE "  t: {minimum_healthy: 1, endpoints: {a: 192.0.2.1}}\n"
                      "  S.: {minimum_healthy: 1, endpoints: {a: 192.0.2.1}}\n"
                      "views: {inside: {clients: loopback}}\n",
          8, 3, "is given twice, first at t.yaml:3:3", "whatever their case" },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_view_is_a_service_behind_its_base),
        cmocka_unit_test(regions_of_a_view_go_by_the_order_of_the_service),
        cmocka_unit_test(what_is_said_by_region_goes_with_it),
        cmocka_unit_test(a_view_is_for_prefixes_loopback_and_listeners),
        cmocka_unit_test(views_that_cannot_be_meant_are_refused),
        cmocka_unit_test(endpoints_of_a_view_meet_what_the_service_asks_for),
        cmocka_unit_test(doubles_are_found_across_views),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
