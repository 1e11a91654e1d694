#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config_world.h"

#define CHECKS                                                                                     \
    "checks:\n  web: {http: {port: 80}}\n  db: {tcp: {port: 5432}}\n  mq: {tcp: {port: 5672}}\n"
#define WITH(check) CHECKS SERVICE GOOD "    check: " check "\n"

static const struct model_condition *condition_of(const struct model *model)
{
    assert_non_null(model->services[0].condition);
    return model->services[0].condition;
}

static void a_list_of_checks_needs_no_condition(void **state)
{
    static const char *const list[] = {
        WITH("web"),          WITH("{all: [web]}"),
        WITH("{all: web}"),   WITH("{at_least: 1, of: web}"),
        WITH("{any: [web]}"), WITH("[{tcp: {port: 1}}]"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(list); i++) {
        struct model *model = load_good(list[i]);
        assert_null(model->services[0].condition);
        assert_int_equal(model->services[0].check_count, 1);
        model_free(model);
    }
    struct model *model = load_good(WITH("{all: [web, db, web]}"));
    assert_null(model->services[0].condition);
    assert_int_equal(model->services[0].check_count, 2);
    assert_string_equal(model->services[0].checks[1].name, "db");
    model_free(model);
}

static void a_condition_counts_the_checks_of_its_service(void **state)
{
    struct model *model = load_good(WITH("{any: [db, {all: [web, {not: db}]}, {tcp: {port: 9}}]}"));
    const struct model_service *service = &model->services[0];
    const struct model_condition *any = condition_of(model);

    (void)state;
    assert_int_equal(service->check_count, 3);
    assert_string_equal(service->checks[0].name, "db");
    assert_string_equal(service->checks[1].name, "web");
    assert_string_equal(service->checks[1].host, "s.example");
    assert_int_equal(service->checks[2].port, 9);
    assert_int_equal(any->kind, MODEL_CONDITION_AT_LEAST);
    assert_int_equal(any->needed, 1);
    assert_int_equal(any->part_count, 3);
    assert_int_equal(any->parts[0].kind, MODEL_CONDITION_CHECK);
    assert_int_equal(any->parts[0].index, 0);
    const struct model_condition *all = &any->parts[1];
    assert_int_equal(all->needed, 2);
    assert_int_equal(all->parts[0].index, 1);
    assert_int_equal(all->parts[1].kind, MODEL_CONDITION_NOT);
    assert_int_equal(all->parts[1].part_count, 1);
    assert_int_equal(all->parts[1].parts[0].index, 0);
    assert_int_equal(any->parts[2].index, 2);
    assert_int_equal(any->parts[2].place.line, 10);
    model_free(model);
}

static void all_entries_of_a_list_must_hold(void **state)
{
    struct model *model = load_good(WITH("[web, {at_least: 2, of: [web, db, mq]}]"));
    const struct model_condition *all = condition_of(model);

    (void)state;
    assert_int_equal(all->kind, MODEL_CONDITION_AT_LEAST);
    assert_int_equal(all->needed, 2);
    assert_int_equal(all->parts[1].needed, 2);
    assert_int_equal(all->parts[1].part_count, 3);
    assert_int_equal(model->services[0].check_count, 3);
    model_free(model);
}

static void a_named_condition_is_used_by_its_name(void **state)
{
    struct model *model = load_good(
        "checks:\n  deep: {any: [wide, db]}\n  wide: {all: [web, {region: b}]}\n"
        "  web: {http: {port: 80}}\n  db: {tcp: {port: 1}}\n  flat: {all: [web, db]}\n" REGIONS
        "services:\n  s.example:\n" GOOD "    check: deep\n  t.example:\n" GOOD
        "    check: flat\n  u.example:\n" GOOD "    check: [deep, flat]\n");
    const struct model_condition *deep = condition_of(model);

    (void)state;
    assert_int_equal(deep->needed, 1);
    assert_int_equal(deep->parts[0].parts[1].kind, MODEL_CONDITION_REGION);
    assert_int_equal(deep->parts[0].parts[1].index, 1);
    assert_string_equal(model->services[0].checks[0].host, "s.example");
    assert_null(model->services[1].condition);
    assert_int_equal(model->services[1].check_count, 2);
    assert_string_equal(model->services[1].checks[0].host, "t.example");
    assert_int_equal(model->services[2].check_count, 2);
    assert_int_equal(model->services[2].condition->part_count, 2);
    model_free(model);
}

static void services_may_be_referred_to_before_they_are_written(void **state)
{
    struct model *model =
        load_good(REGIONS "services:\n  a.example:\n" GOOD "    check: {service: C.example.}\n"
                          "  b.example:\n" GOOD "    check: {not: {service: a.example}}\n"
                          "  c.example:\n" GOOD);

    (void)state;
    assert_int_equal(condition_of(model)->kind, MODEL_CONDITION_SERVICE);
    assert_int_equal(condition_of(model)->index, 2);
    assert_int_equal(model->services[0].check_count, 0);
    assert_int_equal(model->services[1].condition->parts[0].index, 0);
    model_free(model);
}

static void a_mistake_in_a_condition_is_explained(void **state)
{
    static const struct bad list[] = {
        { WITH("{all: []}"), 10, 13, "check.all: has no parts", "list checks" },
        { WITH("{any: }"), 10, 13, "has no parts", NULL },
        { WITH("{not: }"), 10, 13, "a value is missing", NULL },
        { WITH("{not: [web]}"), 10, 18, "must be a check or a condition", NULL },
        { WITH("{all: [[web], db]}"), 10, 19, "must be a check or a condition", "{all: [...]}" },
        { WITH("{all: [wbe]}"), 10, 19, "unknown check 'wbe'", "did you mean 'web'?" },
        { WITH("{region: c}"), 10, 21, "unknown region 'c'", NULL },
        { WITH("{service: t.example}"), 10, 22, "check.service: unknown service 't.example'",
          "did you mean 's.example'?" },
        { WITH("{service: \"a..b\"}"), 10, 22, "empty label", NULL },
        { WITH("{at_least: 2, of: [web]}"), 10, 23, "'2' is out of range: it must be 1 to 1",
          NULL },
        { WITH("{at_least: 0, of: [web]}"), 10, 23, "out of range", NULL },
        { WITH("{at_least: two, of: [web]}"), 10, 23, "'two' is not a whole number", NULL },
        { WITH("{at_least: 1}"), 10, 5, "of is required", "e.g." },
        { WITH("{of: [web]}"), 10, 13, "goes with at_least", "at_least: 2" },
        { WITH("{all: [web], of: [web]}"), 10, 25, "goes with at_least", NULL },
        { WITH("{all: [web], any: [db]}"), 10, 5, "a condition is only one of all, any",
          "nest them" },
        { WITH("{all: [web], interval: 1s}"), 10, 25, "a condition is no check",
          "belongs to the checks" },
        { WITH("{all: [web], tcp: {port: 1}}"), 10, 25, "a condition is no check", NULL },
        { WITH("{all: [web], alll: [web]}"), 10, 25, "unknown key 'alll'", "did you mean 'all'?" },
        { "checks: {a: {all: [b]}, b: {not: a}}\n", 1, 34, "the condition 'a' is part of itself",
          NULL },
        { "checks: {a: {any: [a]}}\n", 1, 20, "the condition 'a' is part of itself", NULL },
        { "checks: {a: {region: b}}\n", 1, 14, "there are no regions", NULL },
        { "checks: {a: {service: b}}\n", 1, 23, "checks.a.service: unknown service 'b'",
          "section services" },
        { "checks: {c: {tcp: {port: 1, server: 10.0.0.1}}, d: {all: c}}\n"
          "regions: {a: {minimum_healthy: 1, checks: d}}\n",
          2, 43, "a region takes no condition", "minimum_healthy" },
        { "checks: {c: {tcp: {port: 1, server: 10.0.0.1}}}\n"
          "regions: {a: {minimum_healthy: 1, checks: [{any: [c]}]}}\n",
          2, 44, "a region takes no condition", "minimum_healthy" },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

static void services_that_need_themselves_are_refused(void **state)
{
    static const struct bad list[] = {
        { WITH("{service: s.example}"), 10, 22, "needs itself: s.example -> s.example",
          "must not need it in turn" },
        { REGIONS "services:\n  a.example:\n" GOOD "    check: {service: b.example}\n"
                  "  b.example:\n" GOOD "    check: {any: [{service: c.example}]}\n"
                  "  c.example:\n" GOOD "    check: {not: {service: a.example}}\n",
          14, 28, "needs itself: a.example -> b.example -> c.example -> a.example", NULL },
        { "checks: {up: {service: a.example}}\n" REGIONS "services:\n  a.example:\n" GOOD
          "    check: {service: b.example}\n  b.example:\n" GOOD "    check: up\n",
          1, 24, "needs itself: a.example -> b.example -> a.example", NULL },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
    /* a diamond is no circle */
    model_free(load_good(REGIONS "services:\n  a.example:\n" GOOD
                                 "    check: [{service: b.example}, {service: c.example}]\n"
                                 "  b.example:\n" GOOD "    check: {service: d.example}\n"
                                 "  c.example:\n" GOOD "    check: {service: d.example}\n"
                                 "  d.example:\n" GOOD));
}

/* A condition in a condition, `depth` of them, the innermost a check. */
static char *nest(unsigned depth)
{
    struct text text = { 0 };

    text_put(&text, REGIONS "checks:\n  web: {tcp: {port: 80}}\n");
    for (unsigned i = 0; i < depth; i++) {
        text_printf(&text, "  n%u: {any: [", i);
        if (i == 0) {
            text_put(&text, "web, web]}\n");
        } else {
            text_printf(&text, "n%u, web]}\n", i - 1);
        }
    }
    text_printf(&text, "services:\n  s.example:\n" GOOD "    check: n%u\n", depth - 1);
    return text.bytes;
}

static void nesting_has_an_end(void **state)
{
    struct config_report report;
    struct model *model;
    char *deepest = nest(16);
    char *deeper = nest(17);

    (void)state;
    model = load_good(deepest);
    struct model *again = load_good(model->source); /* now written in place */
    assert_string_equal(again->source, model->source);
    model_free(again);
    model_free(model);
    assert_true(config_load_text(deeper, "t.yaml", &model, &report) < 0);
    assert_int_equal(report.count, 1);
    assert_non_null(strstr(report.errors[0].message, "nested more than 16 deep"));
    config_report_fini(&report);
    free(deepest);
    free(deeper);
}

static void a_condition_does_not_explode(void **state)
{
    struct config_report report;
    struct model *model;
    struct text text = { 0 };

    (void)state;
    text_put(&text, "checks:\n  n0: {tcp: {port: 80}}\n");
    for (unsigned i = 1; i < 12; i++) {
        text_printf(&text, "  n%u: {all: [n%u, n%u, n%u, n%u]}\n", i, i - 1, i - 1, i - 1, i - 1);
    }
    assert_true(config_load_text(text_string(&text), "t.yaml", &model, &report) < 0);
    assert_int_equal(report.count, 1);
    assert_non_null(strstr(report.errors[0].message, "more than 1000 parts"));
    config_report_fini(&report);
    text_fini(&text);
}

static void what_is_printed_reads_back_the_same(void **state)
{
    struct model *first = load_good(
        CHECKS REGIONS
        "services:\n  s.example:\n" GOOD
        "    check: [web, {at_least: 2, of: [{not: {not: db}}, {all: [mq, {region: b}]},\n"
        "      {exec: {command: [/bin/true, a]}, interval: 5s}]},\n"
        "      {not: {tls: {}}}, {any: [{service: T.example}, {region: a}]}]\n"
        "  t.example:\n" GOOD);
    struct model *second = load_good(first->source);

    (void)state;
    assert_string_equal(first->source, second->source);
    assert_int_equal(second->services[0].check_count, 5);
    const struct model_condition *all = condition_of(second);
    assert_int_equal(all->needed, 4);
    assert_int_equal(all->parts[1].needed, 2);
    assert_int_equal(all->parts[1].part_count, 3);
    assert_int_equal(all->parts[3].parts[0].index, 1);
    model_free(first);
    model_free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_of_checks_needs_no_condition),
        cmocka_unit_test(a_condition_counts_the_checks_of_its_service),
        cmocka_unit_test(all_entries_of_a_list_must_hold),
        cmocka_unit_test(a_named_condition_is_used_by_its_name),
        cmocka_unit_test(services_may_be_referred_to_before_they_are_written),
        cmocka_unit_test(a_mistake_in_a_condition_is_explained),
        cmocka_unit_test(services_that_need_themselves_are_refused),
        cmocka_unit_test(nesting_has_an_end),
        cmocka_unit_test(a_condition_does_not_explode),
        cmocka_unit_test(what_is_printed_reads_back_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
