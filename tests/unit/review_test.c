#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/config.h"
#include "policy/review.h"

#define REGIONS "regions: {a: {minimum_healthy: 0}, b: {minimum_healthy: 0}}\n"
#define SERVICE REGIONS "services:\n  s:\n    minimum_healthy: 1\n"
#define FOUR    "    endpoints: {a: [192.0.2.1, 192.0.2.2], b: [192.0.2.3, 192.0.2.4]}\n"

/* Of two texts, with every endpoint up but those that `down` says. */
struct compared {
    struct model *old;
    struct model *fresh;
    struct review *review;
};

static struct model *load(const char *text)
{
    struct config_report report = { 0 };
    struct model *model = NULL;

    assert_int_equal(config_load_text(text, "test.yaml", &model, &report), 0);
    config_report_fini(&report);
    return model;
}

static struct compared compare_up(const char *before, const char *after, review_is_up *is_up)
{
    struct compared c = { .old = load(before), .fresh = load(after) };
    const struct review_old old = { .model = c.old, .is_up = is_up };

    c.review = review_new(&old, c.fresh);
    assert_non_null(c.review);
    return c;
}

static struct compared compare(const char *before, const char *after)
{
    return compare_up(before, after, NULL);
}

static void end(struct compared *c)
{
    review_free(c->review);
    model_free(c->old);
    model_free(c->fresh);
}

/* One change and no other, in these words. */
static void is_only(const struct compared *c, const char *kind, const char *name, const char *text)
{
    assert_int_equal(c->review->change_count, 1);
    assert_string_equal(review_kind_name(c->review->changes[0].kind), kind);
    assert_string_equal(c->review->changes[0].name, name);
    assert_string_equal(c->review->changes[0].text, text);
}

static void the_same_is_no_change(void **state)
{
    struct compared c = compare(SERVICE FOUR, SERVICE FOUR);

    (void)state;
    assert_int_equal(c.review->change_count, 0);
    assert_false(review_is_refused(c.review));
    end(&c);
}

static void what_is_asked_of_a_region_is_told(void **state)
{
    static const char before[] =
        "regions: {a: {minimum_healthy: 1, checks: {tcp: {server: \"192.0.2.1:1\"}}}}\n";
    struct compared c = compare(
        before, "regions: {a: {minimum_healthy: 0, checks: {tcp: {server: \"192.0.2.1:1\"}}}}\n");

    (void)state;
    is_only(&c, "region", "a", "minimum_healthy 1 -> minimum_healthy 0");
    end(&c);
    c = compare(before,
                "regions: {a: {minimum_healthy: 1, checks: {tcp: {server: \"192.0.2.1:2\"}}}}\n");
    is_only(&c, "region", "a",
            "tcp: {server: 192.0.2.1:1, port: 1} -> tcp: {server: 192.0.2.1:2, port: 2}");
    end(&c);
}

static void what_a_check_asks_for_is_told(void **state)
{
    struct compared c = compare(SERVICE FOUR "    check: {tcp: {port: 1}, fall: 3}\n",
                                SERVICE FOUR "    check: {tcp: {port: 1}, fall: 4}\n");

    (void)state;
    is_only(&c, "rules", "s", "fall: 3 -> fall: 4");
    end(&c);
    c = compare("checks: {web: {tcp: {port: 1}}}\n" SERVICE FOUR "    check: web\n",
                "checks: {web: {tcp: {port: 2}}}\n" SERVICE FOUR "    check: web\n");
    is_only(&c, "check", "web", "tcp: {port: 1} -> tcp: {port: 2}");
    end(&c);
}

static void settings_of_filters_are_told(void **state)
{
    struct compared c = compare(SERVICE FOUR "    steer: [all, {limit: 2}]\n",
                                SERVICE FOUR "    steer: [all, {limit: 1}]\n");

    (void)state;
    is_only(&c, "rules", "s", "steer: [all, {limit: 2}] -> steer: [all, {limit: 1}]");
    end(&c);
}

static void places_of_clients_are_told(void **state)
{
    struct compared c = compare("clients: [{prefix: 192.0.2.0/24, region: a}]\n" SERVICE FOUR,
                                "clients: [{prefix: 192.0.2.0/24, region: b}]\n" SERVICE FOUR);

    (void)state;
    assert_int_equal(c.review->change_count, 1);
    assert_string_equal(c.review->changes[0].name, "clients");
    assert_non_null(strstr(c.review->changes[0].text, "regions: [a]"));
    assert_non_null(strstr(c.review->changes[0].text, "regions: [b]"));
    end(&c);
}

static void guards_tell_only_what_changes(void **state)
{
    struct compared c = compare(SERVICE FOUR, "guards: {cascade_window: off}\n" SERVICE FOUR);

    (void)state;
    is_only(&c, "guards", "guards", "cascade_window 1m -> cascade_window 0s");
    end(&c);
}

static void endpoints_that_leave_count(void **state)
{
    static const char after[] = SERVICE "    endpoints: {a: [192.0.2.1, 192.0.2.2]}\n";
    struct compared c = compare(SERVICE FOUR, after);

    (void)state;
    assert_true(review_is_refused(c.review));
    assert_int_equal(c.review->excesses[0].lost, 2);
    assert_int_equal(c.review->excesses[0].allowed, 1);
    assert_int_equal(review_lost(c.review, "s"), 2);
    end(&c);
}

static bool only_a_is_up(const void *user, size_t service, size_t pool, size_t endpoint)
{
    (void)user;
    (void)service;
    (void)endpoint;
    return pool == 0;
}

static void what_is_down_is_free_to_go(void **state)
{
    struct compared c = compare_up(
        SERVICE FOUR, SERVICE "    endpoints: {a: [192.0.2.1, 192.0.2.2]}\n", only_a_is_up);

    (void)state;
    assert_false(review_is_refused(c.review));
    end(&c);
}

static void weight_0_takes_away_too(void **state)
{
    struct compared c =
        compare(SERVICE FOUR, SERVICE "    endpoints:\n      a: [192.0.2.1, 192.0.2.2]\n      b:\n"
                                      "        - {address: 192.0.2.3, weight: 0}\n"
                                      "        - {address: 192.0.2.4, weight: 0}\n");

    (void)state;
    is_only(&c, "endpoints", "s",
            "endpoints in b: 192.0.2.3 weight 1 -> 0, 192.0.2.4 weight 1 -> 0");
    assert_true(review_is_refused(c.review));
    end(&c);
}

static bool the_first_of_each_is_up(const void *user, size_t service, size_t pool, size_t endpoint)
{
    (void)user;
    (void)service;
    (void)pool;
    return endpoint == 0;
}

/* The setting that is missing or wrong, not the endpoints, takes the region out. */
static void a_minimum_that_would_not_be_met_takes_away_too(void **state)
{
    struct compared c =
        compare_up(SERVICE FOUR, REGIONS "services:\n  s:\n    minimum_healthy: 2\n" FOUR,
                   the_first_of_each_is_up);

    (void)state;
    assert_true(review_is_refused(c.review));
    assert_int_equal(c.review->excesses[0].lost, 2);
    end(&c);
    c = compare(SERVICE FOUR, REGIONS "services:\n  s:\n    minimum_healthy: 2\n" FOUR);
    assert_false(review_is_refused(c.review)); /* it is met */
    end(&c);
}

static uint32_t one_passes(const void *user, size_t region)
{
    (void)user;
    (void)region;
    return 1;
}

/* The region is left as a whole, whatever its endpoints are. */
static void a_minimum_of_a_region_that_would_not_be_met_takes_away_too(void **state)
{
    static const char format[] =
        "regions:\n"
        "  a: {minimum_healthy: %u, checks: [{tcp: {server: \"192.0.2.8:1\"}},"
        " {tcp: {server: \"192.0.2.9:1\"}}]}\n"
        "  b: {minimum_healthy: 0}\n"
        "services:\n  s:\n    minimum_healthy: 1\n" FOUR;
    char before[512], after[512];
    struct review_old old = { .passing = one_passes };
    (void)state;

    (void)snprintf(before, sizeof(before), format, 1u);
    (void)snprintf(after, sizeof(after), format, 2u);
    struct compared c = { .old = load(before), .fresh = load(after) };
    old.model = c.old;
    c.review = review_new(&old, c.fresh);
    assert_true(review_is_refused(c.review));
    assert_int_equal(c.review->excesses[0].lost, 2);
    assert_int_equal(review_lost(c.review, "s"), 2);
    old.passing = NULL;
    struct review *met = review_new(&old, c.fresh);
    assert_false(review_is_refused(met));
    assert_string_equal(met->id, c.review->id); /* the same on every node, whatever it sees */
    review_free(met);
    old.model = c.fresh; /* not met before either: there is nothing to lose */
    old.passing = one_passes;
    met = review_new(&old, c.fresh);
    assert_false(review_is_refused(met));
    review_free(met);
    end(&c);
}

static void an_older_generation_is_refused_whatever_it_changes(void **state)
{
    struct compared c = compare("generation: 7\n" SERVICE FOUR, "generation: 6\n" SERVICE FOUR);
    struct text words = { 0 };

    (void)state;
    assert_true(review_is_older(c.review));
    assert_true(review_is_refused(c.review));
    review_put_refusal(c.review, &words);
    assert_string_equal(text_string(&words),
                        "generation 6 of the file is older than 7, which runs");
    text_fini(&words);
    end(&c);
}

static void consent_is_to_exactly_this_difference(void **state)
{
    static const char less[] = SERVICE "    endpoints: {a: [192.0.2.1, 192.0.2.2]}\n";
    char with[400];
    struct compared c = compare(SERVICE FOUR, less);
    char id[REVIEW_ID_BYTES];

    (void)state;
    memcpy(id, c.review->id, sizeof(id));
    end(&c);
    (void)snprintf(with, sizeof(with), "guards: {accept: %s}\n%s", id, less);
    c = compare(SERVICE FOUR, with);
    assert_true(c.review->accepted);
    assert_false(review_is_refused(c.review));
    end(&c);
    /* a check taken away besides is another difference */
    (void)snprintf(with, sizeof(with), "guards: {accept: %s}\n%s", id, less);
    c = compare(SERVICE FOUR "    check: {tcp: {port: 1}}\n", with);
    assert_true(review_is_refused(c.review));
    end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_is_no_change),
        cmocka_unit_test(what_is_asked_of_a_region_is_told),
        cmocka_unit_test(what_a_check_asks_for_is_told),
        cmocka_unit_test(settings_of_filters_are_told),
        cmocka_unit_test(places_of_clients_are_told),
        cmocka_unit_test(guards_tell_only_what_changes),
        cmocka_unit_test(endpoints_that_leave_count),
        cmocka_unit_test(what_is_down_is_free_to_go),
        cmocka_unit_test(weight_0_takes_away_too),
        cmocka_unit_test(a_minimum_that_would_not_be_met_takes_away_too),
        cmocka_unit_test(a_minimum_of_a_region_that_would_not_be_met_takes_away_too),
        cmocka_unit_test(an_older_generation_is_refused_whatever_it_changes),
        cmocka_unit_test(consent_is_to_exactly_this_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
