#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/health_world.h"

static void reload(struct world *w)
{
    struct health_binding *old = w->binding;

    w->binding = bind_model(w);
    health_commit(w->health, w->binding, w->now_ms);
    health_unbind(w->health, old);
}

static void a_region_forced_up_is_in_whatever_its_checks_say(void **state)
{
    struct health_region_view view;
    struct world w;
    (void)state;

    set_up_model(&w);
    begin(&w);
    pass_all(&w);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    assert_true(health_override(w.health, "seoul", HEALTH_REGION_FORCED_UP, true, w.now_ms));
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_FORCED_UP);
    health_view_region(w.health, w.binding, 0, &view);
    assert_string_equal(view.state, "forced up");
    assert_string_equal(told_of(&w, "seoul")->to, "forced up");
    /* it counts as in: the others' gates need not lift */
    give_times(&w, TOKYO_DNS, DETECT_STRONG, 3);
    give_times(&w, SINGAPORE_DNS, DETECT_STRONG, 3);
    assert_int_equal(region_flags(&w, 1), HEALTH_REGION_GATED);
    assert_int_equal(region_flags(&w, 2), HEALTH_REGION_GATED);
    assert_true(health_override(w.health, "seoul", HEALTH_REGION_FORCED_UP, false, w.now_ms));
    assert_int_equal(region_flags(&w, 0), 0); /* lifted, with all others */
    end(&w);
}

static void a_force_outranks_a_drain_and_the_last_force_counts(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    begin(&w);
    pass_all(&w);
    (void)health_override(w.health, "seoul", HEALTH_REGION_DRAINED, true, w.now_ms);
    (void)health_override(w.health, "seoul", HEALTH_REGION_FORCED_UP, true, w.now_ms);
    assert_int_equal(region_flags(&w, 0) & HEALTH_REGION_AWAY, 0);
    (void)health_override(w.health, "seoul", HEALTH_REGION_FORCED_DOWN, true, w.now_ms);
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_DRAINED | HEALTH_REGION_FORCED_DOWN);
    (void)health_override(w.health, "seoul", HEALTH_REGION_FORCED_DOWN, false, w.now_ms);
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_DRAINED);
    end(&w);
}

static void words_hold_for_what_a_reload_brings(void **state)
{
    struct addr gone = address("203.0.113.10", 0);
    struct world w;
    (void)state;

    set_up_model(&w);
    begin(&w);
    pass_all(&w);
    health_force_endpoint(w.health, &gone, HEALTH_FORCE_DOWN, w.now_ms);
    (void)health_override(w.health, "tokyo", HEALTH_REGION_DRAINED, true, w.now_ms);
    w.model.region_count = 1; /* Tokyo leaves */
    reload(&w);
    assert_false(health_override(w.health, "singapore", HEALTH_REGION_DRAINED, true, w.now_ms));
    w.model.region_count = REGIONS;
    add_usual_service(&w);
    reload(&w);
    assert_int_equal(region_flags(&w, 1), HEALTH_REGION_DRAINED);
    assert_int_equal(region_flags(&w, 2), HEALTH_REGION_DRAINED);
    assert_true(up(&w, 0, 0, ADDR_V4) == 2);
    health_force_endpoint(w.health, &gone, HEALTH_FORCE_NONE, w.now_ms);
    assert_true(up(&w, 0, 0, ADDR_V4) == 3);
    end(&w);
}

static void an_endpoint_forced_stands_as_the_operator_says(void **state)
{
    struct health_endpoint_view view;
    struct addr first = address("203.0.113.10", 443); /* whatever its port */
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    begin(&w);
    pass_all(&w);
    give_times(&w, "203.0.113.10:8080", DETECT_STRONG, 3);
    assert_true(up(&w, 0, 0, ADDR_V4) == 2);
    health_force_endpoint(w.health, &first, HEALTH_FORCE_UP, w.now_ms);
    assert_true(up(&w, 0, 0, ADDR_V4) == 3);
    health_view_endpoint(w.binding, 0, 0, 0, &view);
    assert_string_equal(view.state, "forced up");
    health_force_endpoint(w.health, &first, HEALTH_FORCE_DOWN, w.now_ms);
    bring_back(&w, "203.0.113.10:8080");
    assert_true(up(&w, 0, 0, ADDR_V4) == 2);
    assert_true(held(&w, 0, 0, ADDR_V4) == 0);
    health_view_endpoint(w.binding, 0, 0, 0, &view);
    assert_string_equal(view.state, "forced down");
    health_force_endpoint(w.health, &first, HEALTH_FORCE_NONE, w.now_ms);
    assert_true(up(&w, 0, 0, ADDR_V4) == 3);
    end(&w);
}

/* What the cascade window keeps may be taken by hand, and leave the table meanwhile. */
static void the_hand_may_take_what_the_window_keeps(void **state)
{
    struct addr last = address("198.51.100.10", 0);
    struct world w;
    (void)state;

    set_up_model(&w);
    w.model.guards.cascade_window_ms = 60000;
    unsigned s = add_service(&w, 1);
    add_endpoint(&w, s, 0, "203.0.113.10");
    add_endpoint(&w, s, 1, "198.51.100.10");
    begin(&w);
    pass_all(&w);
    give_times(&w, "203.0.113.10:8080", DETECT_STRONG, 3);
    for (unsigned i = 0; i < 3; i++) {
        silence(&w, "198.51.100.10:8080");
        assert_true(up(&w, s, 1, ADDR_V4) == 1); /* kept */
        health_force_endpoint(w.health, &last, HEALTH_FORCE_DOWN, w.now_ms);
        assert_true(up(&w, s, 1, ADDR_V4) == 0);
        assert_string_equal(w.told[w.told_count - 1].to, "down");
        health_force_endpoint(w.health, &last, HEALTH_FORCE_UP, w.now_ms);
        health_force_endpoint(w.health, &last, HEALTH_FORCE_NONE, w.now_ms);
        assert_true(up(&w, s, 1, ADDR_V4) == 1); /* it was up, and is kept again */
        bring_back(&w, "198.51.100.10:8080");
    }
    silence(&w, "198.51.100.10:8080");
    w.model.service_count = 0;
    reload(&w);
    health_tick(w.health, w.now_ms + 100000);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_region_forced_up_is_in_whatever_its_checks_say),
        cmocka_unit_test(a_force_outranks_a_drain_and_the_last_force_counts),
        cmocka_unit_test(words_hold_for_what_a_reload_brings),
        cmocka_unit_test(an_endpoint_forced_stands_as_the_operator_says),
        cmocka_unit_test(the_hand_may_take_what_the_window_keeps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
