#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "resolver/forward/plan.h"
#include "resolver/forward/upstream.h"

#define COUNT 4

/* Two in seoul, one in tokyo, one public; each known by its place. */
static struct upstream upstreams[COUNT];
static struct forward_upstream described[COUNT];
static char labels[COUNT][32];
static char regions[COUNT][16];
static struct forward_rule rule;
static struct choice choice;

static int set_up(void **state)
{
    static const char *const names[COUNT] = { "seoul", "seoul", "tokyo", "public" };
    static const enum forward_class classes[COUNT] = { FORWARD_OWN, FORWARD_OWN, FORWARD_OTHER,
                                                       FORWARD_PUBLIC };

    (void)state;
    memset(upstreams, 0, sizeof(upstreams));
    for (unsigned i = 0; i < COUNT; i++) {
        (void)snprintf(labels[i], sizeof(labels[i]), "%s 10.0.0.%u:53", names[i], i);
        (void)snprintf(regions[i], sizeof(regions[i]), "%s", names[i]);
        upstreams[i].label = labels[i];
        upstreams[i].region = regions[i];
        described[i] = (struct forward_upstream){ .class = classes[i], .region_name = names[i] };
    }
    rule = (struct forward_rule){ .upstreams = described, .upstream_count = COUNT };
    return 0;
}

static struct upstream *find(void *user, const struct forward_upstream *one)
{
    (void)user;
    return &upstreams[one - described];
}

/* The labels of those that would be asked, in their order, by the last digit. */
static void expect(const struct plan_terms *terms, const char *wanted, bool denied)
{
    struct plan_terms whole = *terms;
    char got[COUNT + 1] = "";

    whole.now_ms = 1000;
    whole.find = find;
    assert_int_equal(plan_make(&choice, &rule, &whole), denied);
    for (uint32_t i = 0; i < choice.count; i++) {
        const char *label = choice.candidates[i].upstream->label;
        got[i] = label[strlen(label) - 4];
    }
    assert_string_equal(got, wanted);
}

static void an_ordinary_plan_has_all(void **state)
{
    const struct plan_terms terms = { 0 };

    (void)state;
    expect(&terms, "0123", false);
}

static void a_second_opinion_is_not_asked_of_the_first_region(void **state)
{
    const struct plan_terms terms = { .second_opinion = true };
    const struct plan_terms unknown = { .second_opinion = true, .apart_from = "the cache" };

    (void)state;
    expect(&terms, "23", false);
    expect(&unknown, "23", false);
}

static void a_second_opinion_is_not_asked_of_who_gave_the_first(void **state)
{
    const struct plan_terms terms = { .second_opinion = true, .apart_from = labels[2] };

    (void)state;
    expect(&terms, "013", false);
}

static void who_is_down_is_not_taken_for_the_first(void **state)
{
    const struct plan_terms terms = { .second_opinion = true };

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        upstreams[i].suspect = true;
        upstreams[i].cause = UPSTREAM_REFUSED;
    }
    expect(&terms, "301", false); /* tokyo would be asked first */
}

static void with_one_region_there_is_no_second_opinion(void **state)
{
    const struct plan_terms terms = { .second_opinion = true };
    const struct plan_terms inside = { .second_opinion = true, .stays = true };

    (void)state;
    rule.upstream_count = 2;
    expect(&terms, "", false);
    expect(&inside, "", false); /* and that is no answer about the name either */
}

static void a_name_that_stays_does_not_go_to_public_for_it(void **state)
{
    const struct plan_terms terms = { .second_opinion = true, .stays = true };

    (void)state;
    expect(&terms, "2", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_ordinary_plan_has_all, set_up),
        cmocka_unit_test_setup(a_second_opinion_is_not_asked_of_the_first_region, set_up),
        cmocka_unit_test_setup(a_second_opinion_is_not_asked_of_who_gave_the_first, set_up),
        cmocka_unit_test_setup(who_is_down_is_not_taken_for_the_first, set_up),
        cmocka_unit_test_setup(with_one_region_there_is_no_second_opinion, set_up),
        cmocka_unit_test_setup(a_name_that_stays_does_not_go_to_public_for_it, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
