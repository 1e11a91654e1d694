#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config_world.h"
#include "policy/timing.h"

static struct timing_worst worst_of(const char *text)
{
    struct model *model = load_good(text);
    struct timing_worst worst = timing_worst_find(model, &model->services[0]);

    worst.check = NULL; /* they go with the model */
    worst.region = NULL;
    worst.service = NULL;
    model_free(model);
    return worst;
}

static void a_program_may_run_for_all_of_its_timeout(void **state)
{
    struct timing_worst worst =
        worst_of(SERVICE GOOD "    check: {exec: {command: /bin/true}, fall: 1}\n");

    (void)state;
    assert_int_equal(worst.strong_ms, 11000 + 5000);
    worst = worst_of(SERVICE GOOD "    check: {exec: {command: /bin/true}}\n");
    assert_int_equal(worst.strong_ms, 11000 + 2 * 5000 + 500);
}

static void a_report_is_good_until_its_time_is_over(void **state)
{
    struct timing_worst worst = worst_of(SERVICE GOOD "    check: {push: {ttl: 20s}}\n");

    (void)state;
    assert_int_equal(worst.strong_ms, 1200);
    assert_int_equal(worst.silent_ms, 20000 + 1600);
    assert_true(worst.silent);
}

static void a_file_is_never_silent(void **state)
{
    struct timing_worst worst = worst_of(SERVICE GOOD "    check: {file: {path: /run/x}}\n");

    (void)state;
    assert_int_equal(worst.silent_ms, 0);
    assert_int_equal(worst.ms, 1200);
    assert_false(worst.silent);
}

static void evidence_takes_longer_on_a_lossy_target(void **state)
{
    struct timing_worst counted = worst_of(SERVICE GOOD "    check: {tcp: {port: 1}, fall: 3}\n");
    struct timing_worst weighed = worst_of(SERVICE GOOD "    check: {tcp: {port: 1}}\n");
    struct timing_worst surer =
        worst_of(SERVICE GOOD "    check: {tcp: {port: 1}, false_alarm: 1/3650d}\n");

    (void)state;
    assert_int_equal(weighed.strong_ms, counted.strong_ms);
    assert_int_equal(weighed.silent_ms, counted.silent_ms);
    assert_int_equal(counted.lossy_ms, counted.ms);
    assert_true(weighed.lossy_ms > weighed.ms);
    assert_true(surer.lossy_ms > weighed.lossy_ms);
    assert_int_equal(surer.ms, weighed.ms);
}

/* max_failover bounds what a target takes that loses next to nothing. */
static void a_limit_is_not_about_lossy_targets(void **state)
{
    static const char limited[] =
        SERVICE GOOD "    check: {tcp: {port: 1}}\n    max_failover: 1600ms\n";
    static const struct bad list[] = {
        { SERVICE GOOD "    max_failover: 1199ms\n    check: {file: {path: /run/x}}\n", 6, 19,
          "so long the file check in line 7 needs to be sure of failures", "fall: 1 or 2" },
        { SERVICE GOOD "    max_failover: 1199ms\n    check: {file: {path: /run/x}, fall: 3}\n", 6,
          19, "needs to be sure of failures", "fall and confirm_interval" },
    };
    struct timing_worst worst = worst_of(limited);

    (void)state;
    assert_int_equal(worst.ms, 1600);
    assert_int_equal(worst.lossy_ms, 2300);
    expect_bad(list, COUNT_OF(list));
}

static void what_a_condition_refers_to_counts(void **state)
{
    static const char slow[] =
        "regions:\n"
        "  a: {minimum_healthy: 0}\n"
        "  b: {minimum_healthy: 1, checks: {tcp: {server: \"10.0.0.1:1\"}, interval: 7s}}\n"
        "services:\n"
        "  s.example: {minimum_healthy: 1, endpoints: {a: [192.0.2.1]}, check: {service: "
        "t.example}}\n"
        "  t.example: {minimum_healthy: 1, endpoints: {a: [192.0.2.1]}, check: {all: [{region: "
        "b}, {not: {tcp: {port: 1}, interval: 5s}}]}}\n";
    struct timing_worst worst = worst_of(slow);
    struct model *model = load_good(slow);
    struct text table = { 0 };

    (void)state;
    assert_int_equal(worst.strong_ms, 7700 + 2 * 350);
    config_print_timing(model, &table);
    assert_non_null(strstr(text_string(&table), "the tcp check in line 3 of region b"));
    text_fini(&table);
    model_free(model);
}

static void a_limit_knows_what_conditions_refer_to(void **state)
{
    static const struct bad list[] = {
        { SERVICE GOOD "    max_failover: 2s\n    check: {any: [{service: t.example}]}\n"
                       "  t.example:\n" GOOD "    check: {tcp: {port: 1}, interval: 3s}\n",
          6, 19, "so long the tcp check in line 11 of service t.example", NULL },
        { SERVICE GOOD "    max_failover: 2s\n    check: {region: a}\n", 6, 19,
          "nothing is checked", NULL },
        { SERVICE GOOD "    max_failover: 2s\n    check: {push: {ttl: 10s}}\n", 6, 19,
          "so long the push check in line 7 needs to be sure of silence", NULL },
        { SERVICE GOOD "    max_failover: 1s\n    check: {not: {tcp: {port: 1}}}\n", 6, 19,
          "so long the tcp check in line 7", NULL },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

static void each_service_is_looked_at_once(void **state)
{
    struct text text = { 0 };

    (void)state;
    text_put(&text, REGIONS "services:\n");
    for (unsigned i = 0; i < 60; i++) {
        text_printf(&text,
                    "  n%u.example: {minimum_healthy: 1, endpoints: {a: [192.0.2.1]}, "
                    "check: [{service: n%u.example}, {service: n%u.example}]}\n",
                    i, i + 1, i + 2);
    }
    text_put(&text, "  n60.example: {minimum_healthy: 1, endpoints: {a: [192.0.2.1]}}\n"
                    "  n61.example: {minimum_healthy: 1, endpoints: {a: [192.0.2.1]}, check: "
                    "{tcp: {port: 1}}}\n");
    assert_int_equal(worst_of(text_string(&text)).ms, 1600);
    text_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_may_run_for_all_of_its_timeout),
        cmocka_unit_test(a_report_is_good_until_its_time_is_over),
        cmocka_unit_test(a_file_is_never_silent),
        cmocka_unit_test(evidence_takes_longer_on_a_lossy_target),
        cmocka_unit_test(a_limit_is_not_about_lossy_targets),
        cmocka_unit_test(what_a_condition_refers_to_counts),
        cmocka_unit_test(a_limit_knows_what_conditions_refer_to),
        cmocka_unit_test(each_service_is_looked_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
