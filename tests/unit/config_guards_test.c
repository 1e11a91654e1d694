#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/config_world.h"

static void guards_stand_by_default(void **state)
{
    static const char *const texts[] = { REGIONS, REGIONS "guards: {}\n",
                                         REGIONS "guards: {minimum_regions: 1}\n" };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct model *model = load_good(texts[i]);
        const struct model_guards *guards = &model->guards;
        assert_int_equal(guards->minimum_regions, 1);
        assert_int_equal(guards->cascade_window_ms, 60000);
        assert_int_equal(guards->removal_percent, 30);
        assert_int_equal(guards->removal_window_ms, 600000);
        assert_string_equal(guards->accept, "");
        assert_int_equal(guards->witness_count, 0);
        assert_int_equal(guards->witness_minimum, 1);
        model_free(model);
    }
}

static void guards_can_be_set(void **state)
{
    struct model *model = load_good(REGIONS "listen: [0.0.0.0:5301]\n"
                                            "guards:\n"
                                            "  minimum_regions: 2\n"
                                            "  removal_limit: {fraction: 5%, window: 1h}\n"
                                            "  cascade_window: 5m\n"
                                            "  accept: 8c3e-11\n"
                                            "  isolation:\n"
                                            "    witnesses: [192.0.2.53, \"[2001:db8::53]:5353\","
                                            " 127.0.0.1]\n"
                                            "    minimum_reachable: 2\n");
    const struct model_guards *guards = &model->guards;

    (void)state;
    assert_int_equal(guards->minimum_regions, 2);
    assert_int_equal(guards->cascade_window_ms, 300000);
    assert_int_equal(guards->removal_percent, 5);
    assert_int_equal(guards->removal_window_ms, 3600000);
    assert_string_equal(guards->accept, "8c3e-11");
    assert_int_equal(guards->witness_count, 3);
    assert_int_equal(guards->witnesses[0].port, 53);
    assert_int_equal(guards->witnesses[1].port, 5353);
    assert_int_equal(guards->witness_minimum, 2);
    model_free(model);
}

static void guards_can_be_switched_off(void **state)
{
    struct model *model = load_good("guards: {removal_limit: off, cascade_window: off}\n");

    (void)state;
    assert_int_equal(model->guards.removal_percent, 100);
    assert_int_equal(model->guards.removal_window_ms, 600000);
    assert_int_equal(model->guards.cascade_window_ms, 0);
    model_free(model);
    model = load_good("guards: {cascade_window: 0s, accept: \"\"}\n");
    assert_int_equal(model->guards.cascade_window_ms, 0);
    assert_string_equal(model->guards.accept, "");
    model_free(model);
}

static void guards_that_cannot_be_meant_are_refused(void **state)
{
    static const struct bad list[] = {
        { "guards: {removal_limit: 30%}\n", 1, 25, "must be off or a map", "fraction: 30%" },
        { "guards: {removal_limit: on}\n", 1, 25, "must be off or a map", NULL },
        { "guards: {removal_limit: [off]}\n", 1, 25, "must be off or a map", NULL },
        { "guards: {removal_limit: {fraction: 0%}}\n", 1, 36, "1% to 100%", NULL },
        { "guards: {removal_limit: {fraction: 101%}}\n", 1, 36, "1% to 100%", NULL },
        { "guards: {removal_limit: {fraction: 30}}\n", 1, 36, "has no unit", NULL },
        { "guards: {removal_limit: {window: 1ms}}\n", 1, 34, "1s to 7d", NULL },
        { "guards: {cascade_window: 2h}\n", 1, 26, "0s to 1h", NULL },
        { "guards: {cascade_windw: 2h}\n", 1, 10, "unknown key", "'cascade_window'" },
        { "guards: {isolation: {}}\n", 1, 10, "witnesses is required", "e.g. isolation" },
        { "guards: {isolation: {witnesses: []}}\n", 1, 22, "there are none", NULL },
        { "guards: {isolation: 192.0.2.53}\n", 1, 21, "must be a map", NULL },
        { "guards: {isolation: {witnesses: 0.0.0.0}}\n", 1, 33, "stands for every address", NULL },
        { "guards: {isolation: {witnesses: 127.0.0.1}}\n", 1, 33,
          "is this server itself: 127.0.0.1:53 by default", "stand elsewhere" },
        { "listen: [0.0.0.0:5301]\nguards: {isolation: {witnesses: [127.0.0.7:5301]}}\n", 2, 34,
          "is this server itself: 0.0.0.0:5301 at t.yaml:1:10", NULL },
        { "guards: {isolation: {witnesses: [192.0.2.53, 192.0.2.53:53]}}\n", 1, 46,
          "192.0.2.53:53 is given twice", NULL },
        { "guards: {isolation: {witnesses: [192.0.2.53], minimum_reachable: 2}}\n", 1, 66,
          "there is only 1 witness", "at most 1" },
        { "guards: {isolation: {witnesses: [192.0.2.53], minimum_reachable: 0}}\n", 1, 66,
          "1 to 16", NULL },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guards_stand_by_default),
        cmocka_unit_test(guards_can_be_set),
        cmocka_unit_test(guards_can_be_switched_off),
        cmocka_unit_test(guards_that_cannot_be_meant_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
