#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/config_world.h"
#include "tests/unit/scratch.h"

static void prefixes_have_regions_the_nearest_first(void **state)
{
    struct model *model = load_good(REGIONS "clients:\n"
                                            "  - {prefix: 10.1.0.0/16, region: b}\n"
                                            "  - {prefix: \"2001:db8::/32\", regions: [b, a]}\n"
                                            "  - {prefix: 10.1.0.0/24, regions: a}\n");

    (void)state;
    assert_int_equal(model->clients_count, 3);
    assert_int_equal(model->geo_count, 0);
    assert_int_equal(model->clients[0].prefix.bits, 16);
    assert_int_equal(model->clients[0].region_count, 1);
    assert_int_equal(model->clients[0].regions[0], 1);
    assert_int_equal(model->clients[1].prefix.base.family, ADDR_V6);
    assert_int_equal(model->clients[1].region_count, 2);
    assert_int_equal(model->clients[1].regions[1], 0);
    assert_int_equal(model->clients[2].place.line, 5);
    model_free(model);
}

static void countries_and_continents_have_regions(void **state)
{
    struct scratch scratch;
    char text[512];

    (void)state;
    scratch_init(&scratch);
    (void)snprintf(text, sizeof(text),
                   REGIONS "clients:\n"
                           "  - geo: %s\n"
                           "    countries: {KR: [a, b], no: b}\n"
                           "    continents: {AS: b}\n"
                           "  - {prefix: 10.0.0.0/8, region: a}\n",
                   scratch_write(&scratch, "x.mmdb", "not looked into"));
    struct model *model = load_good(text);
    const struct model_geo *geo = &model->geos[0];
    assert_int_equal(model->geo_count, 1);
    assert_int_equal(model->clients_count, 1);
    assert_string_equal(geo->file, scratch.path);
    assert_int_equal(geo->country_count, 3);
    assert_string_equal(geo->countries[0].code, "KR");
    assert_int_equal(geo->countries[0].region_count, 2);
    assert_string_equal(geo->countries[1].code, "NO");
    assert_false(geo->countries[1].is_continent);
    assert_string_equal(geo->countries[2].code, "AS");
    assert_true(geo->countries[2].is_continent);
    model_free(model);
    scratch_fini(&scratch);
}

/* /dev/null is a file that can be read; what is in a database is not looked at here. */
#define GEO(rest) REGIONS "clients:\n  - {geo: /dev/null, " rest "}\n"

static void clients_that_cannot_be_meant_are_refused(void **state)
{
    static const struct bad list[] = {
        { REGIONS "clients: [{region: a}]\n", 2, 11, "prefix is required, or geo", "e.g. {prefix" },
        { REGIONS "clients: [{prefix: 10.0.0.0/8, geo: /dev/null}]\n", 2, 11,
          "is either a prefix or a geo database", NULL },
        { REGIONS "clients: [{prefix: 10.0.0.0/8}]\n", 2, 11, "region is required", NULL },
        { REGIONS "clients: [{prefix: 10.0.0.0/8, region: a, regions: [b]}]\n", 2, 11,
          "is given region and regions", NULL },
        { REGIONS "clients: [{prefix: 10.0.0.0/8, regions: []}]\n", 2, 32, "there are no regions",
          NULL },
        { REGIONS "clients: [{prefix: 10.0.0.0/8, regions: [a, a]}]\n", 2, 45,
          "region 'a' is named twice", NULL },
        { REGIONS "clients: [{prefix: 10.0.0.0/8, region: c}]\n", 2, 40, "unknown region 'c'",
          NULL },
        { REGIONS "clients: [{prefix: ten, region: a}]\n", 2, 20, "is not an IP prefix", NULL },
        { REGIONS "clients: [{prefix: 10.0.0.0/8, region: a, countries: {KR: a}}]\n", 2, 43,
          "goes with geo", NULL },
        { REGIONS "clients:\n  - {prefix: 10.1.0.0/16, region: a}\n"
                  "  - {prefix: 10.1.2.3/16, region: b}\n",
          4, 14, "10.1.2.3/16 is given twice, first in line 3", "regions: [" },
        { REGIONS "clients: [10.0.0.0/8]\n", 2, 11, "must be a map of keys and values", NULL },
        { REGIONS "clients: nowhere\n", 2, 10, "must be a list of maps", NULL },
        { "clients: [{prefix: 10.0.0.0/8, region: a}]\n", 1, 1, "there are no regions", NULL },
        { REGIONS "clients: [{geo: /nonexistent/x.mmdb, countries: {KR: a}}]\n", 2, 17,
          "/nonexistent/x.mmdb cannot be read", "MaxMind" },
        { GEO("region: a, countries: {KR: a}"), 3, 22, "goes with prefix", NULL },
        { GEO("countries: {}"), 3, 5, "countries is required", "e.g. countries" },
        { GEO("countries: {KOR: a}"), 3, 34, "is not the code of a country", "two letters" },
        { GEO("continents: {XX: a}"), 3, 35, "is not a continent", "AF, AN" },
        { GEO("countries: {KR: a, kr: b}"), 3, 41, "is given twice", NULL },
        { GEO("countries: {KR: c}"), 3, 38, "unknown region 'c'", NULL },
        { GEO("countries: {KR: []}"), 3, 34, "there are no regions", NULL },
        { GEO("countries: [KR]"), 3, 33, "must be a map from countries", NULL },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefixes_have_regions_the_nearest_first),
        cmocka_unit_test(countries_and_continents_have_regions),
        cmocka_unit_test(clients_that_cannot_be_meant_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
