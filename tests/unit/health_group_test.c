#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/health_world.h"

#define FIRST  "203.0.113.10:8080"
#define SECOND "203.0.113.11:8080"

static uint32_t word(const _Atomic uint32_t *w)
{
    return atomic_load(w);
}

static uint64_t degraded(const struct world *w, unsigned service, unsigned pool)
{
    return atomic_load(&group(w, service, pool)->degraded[ADDR_V4]);
}

/* ---- degraded ---- */

static void a_warning_marks_an_endpoint_that_stays_up(void **state)
{
    struct health_endpoint_view view;
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    begin(&w);
    pass_all(&w);
    give_times(&w, FIRST, DETECT_WARNING, 1);
    assert_true(up(&w, 0, 0, ADDR_V4) == 3);
    assert_true(degraded(&w, 0, 0) == 1);
    health_view_endpoint(w.binding, 0, 0, 0, &view);
    assert_string_equal(view.state, "degraded");
    give_times(&w, FIRST, DETECT_STRONG, 3);
    assert_true(up(&w, 0, 0, ADDR_V4) == 2);
    assert_true(degraded(&w, 0, 0) == 0); /* down is down */
    bring_back(&w, FIRST);
    assert_true(degraded(&w, 0, 0) == 0);
    end(&w);
}

/* ---- latency ---- */

static void pass_in(struct world *w, const char *target, uint32_t ms)
{
    struct health_probe *probe = probe_of(w, target);
    uint32_t number = health_probe_sent(w->health, probe, w->now_ms);

    w->now_ms += ms;
    health_probe_result(w->health, probe, number, DETECT_PASS, false, "answered", w->now_ms);
}

static void latency_moves_in_steps_and_follows(void **state)
{
    struct world w;
    uint32_t changes = 0;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    begin(&w);
    for (unsigned i = 0; i < 100; i++) {
        pass_in(&w, FIRST, 20);
        pass_in(&w, SECOND, 40);
        w.now_ms += 1000;
    }
    uint32_t before = word(&group(&w, 0, 0)->latency_us);
    assert_in_range(before, 26000, 34500);
    for (unsigned i = 0; i < 200; i++) { /* jitter alone */
        uint32_t was = word(&group(&w, 0, 0)->latency_us);
        pass_in(&w, FIRST, 19 + i % 3);
        pass_in(&w, SECOND, 39 + i % 3);
        w.now_ms += 1000;
        changes += word(&group(&w, 0, 0)->latency_us) != was;
    }
    assert_in_range(changes, 0, 1);
    for (unsigned i = 0; i < 100; i++) {
        pass_in(&w, FIRST, 200);
        pass_in(&w, SECOND, 200);
        w.now_ms += 1000;
    }
    assert_in_range(word(&group(&w, 0, 0)->latency_us), 170000, 205000);
    assert_int_equal(word(&group(&w, 0, 1)->latency_us), 0); /* nobody passed there */
    end(&w);
}

static void latency_is_that_of_endpoints_that_are_up(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    begin(&w);
    for (unsigned i = 0; i < 100; i++) {
        pass_in(&w, FIRST, 10);
        pass_in(&w, SECOND, 100);
        w.now_ms += 1000;
    }
    give_times(&w, SECOND, DETECT_STRONG, 3);
    assert_in_range(word(&group(&w, 0, 0)->latency_us), 8000, 12000);
    give_times(&w, FIRST, DETECT_STRONG, 3);
    assert_int_equal(word(&group(&w, 0, 0)->latency_us), 0);
    end(&w);
}

/* ---- capacity ---- */

static void capacity_is_the_sum_of_what_is_up(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    w.endpoints[0][0][0].capacity = 500;
    w.endpoints[0][0][1].capacity = 300;
    begin(&w);
    pass_all(&w);
    assert_int_equal(word(&group(&w, 0, 0)->capacity), 800);
    assert_int_equal(word(&group(&w, 0, 1)->capacity), 0); /* not given */
    give_times(&w, FIRST, DETECT_STRONG, 3);
    assert_int_equal(word(&group(&w, 0, 0)->capacity), 300);
    bring_back(&w, FIRST);
    assert_int_equal(word(&group(&w, 0, 0)->capacity), 800);
    end(&w);
}

/* ---- whole ---- */

static bool is_whole(const struct world *w, unsigned service, unsigned pool)
{
    return (word(&group(w, service, pool)->flags) & HEALTH_GROUP_WHOLE) != 0;
}

static void a_group_is_whole_while_it_meets_its_minimum_and_all_are_well(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    w.services[0].minimum_healthy.value = 2;
    begin(&w);
    pass_all(&w);
    assert_true(is_whole(&w, 0, 0));
    give_times(&w, FIRST, DETECT_WARNING, 1);
    assert_false(is_whole(&w, 0, 0));
    give_times(&w, FIRST, DETECT_STRONG, 3);
    assert_true(degraded(&w, 0, 0) == 0);
    assert_false(is_whole(&w, 0, 0)); /* one is up, of two that must be */
    bring_back(&w, FIRST);
    assert_true(is_whole(&w, 0, 0));
    end(&w);
}

/* ---- ramp ---- */

static bool is_ramping(const struct world *w, unsigned service, unsigned pool)
{
    return (word(&group(w, service, pool)->flags) & HEALTH_GROUP_RAMPING) != 0;
}

static void set_up_ramp(struct world *w, uint32_t ramp_ms)
{
    set_up_model(w);
    add_usual_service(w);
    w->services[0].minimum_healthy.value = 2;
    w->services[0].ramp_ms = ramp_ms;
    begin(w);
    pass_all(w);
}

/* Tick whenever the table asks for it, until `until_ms`; the word never falls. */
static void run_ramp(struct world *w, uint64_t until_ms)
{
    uint32_t last = word(&group(w, 0, 0)->ramp);
    unsigned ticks = 0;

    while (health_wake_ms(w->health, w->now_ms) <= until_ms) {
        w->now_ms = health_wake_ms(w->health, w->now_ms);
        health_tick(w->health, w->now_ms);
        assert_true(word(&group(w, 0, 0)->ramp) >= last);
        last = word(&group(w, 0, 0)->ramp);
        assert_true(++ticks < 10000);
    }
    w->now_ms = until_ms;
    health_tick(w->health, w->now_ms);
}

static void a_pool_that_comes_back_takes_its_share_little_by_little(void **state)
{
    struct world w;
    (void)state;

    set_up_ramp(&w, 60000);
    assert_false(is_ramping(&w, 0, 0)); /* a start is no return */
    assert_true(health_wake_ms(w.health, w.now_ms) == UINT64_MAX);
    give_times(&w, FIRST, DETECT_STRONG, 3);
    bring_back(&w, FIRST);
    assert_true(is_ramping(&w, 0, 0));
    assert_int_equal(word(&group(&w, 0, 0)->ramp), 4096);
    assert_false(is_ramping(&w, 0, 1));
    uint64_t from = w.now_ms;
    run_ramp(&w, from + 30000);
    assert_in_range(word(&group(&w, 0, 0)->ramp), 33000, 35500);
    run_ramp(&w, from + 61000);
    assert_false(is_ramping(&w, 0, 0));
    assert_int_equal(word(&group(&w, 0, 0)->ramp), 65536);
    assert_true(health_wake_ms(w.health, w.now_ms) == UINT64_MAX);
    end(&w);
}

static void a_pool_that_falls_again_begins_again(void **state)
{
    struct world w;
    (void)state;

    set_up_ramp(&w, 60000);
    give_times(&w, FIRST, DETECT_STRONG, 3);
    bring_back(&w, FIRST);
    run_ramp(&w, w.now_ms + 30000);
    give_times(&w, SECOND, DETECT_STRONG, 3);
    assert_false(is_ramping(&w, 0, 0));
    bring_back(&w, SECOND);
    assert_true(is_ramping(&w, 0, 0));
    assert_int_equal(word(&group(&w, 0, 0)->ramp), 4096);
    end(&w);
}

static void the_pools_of_a_region_ramp_when_it_comes_back(void **state)
{
    struct world w;
    (void)state;

    set_up_ramp(&w, 10000);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    assert_false(is_ramping(&w, 0, 0));
    give_times(&w, SEOUL_DNS, DETECT_PASS, 2);
    assert_false(is_ramping(&w, 0, 0)); /* held is not in */
    bring_back(&w, SEOUL_DNS);
    assert_true(is_ramping(&w, 0, 0));
    run_ramp(&w, w.now_ms + 11000);
    assert_false(is_ramping(&w, 0, 0));

    /* a drain that ends, too; what an operator forces does not creep */
    assert_true(health_override(w.health, "seoul", HEALTH_REGION_DRAINED, true, w.now_ms));
    assert_true(health_override(w.health, "seoul", HEALTH_REGION_DRAINED, false, w.now_ms));
    assert_true(is_ramping(&w, 0, 0));
    run_ramp(&w, w.now_ms + 11000);
    assert_true(health_override(w.health, "seoul", HEALTH_REGION_DRAINED, true, w.now_ms));
    assert_true(health_override(w.health, "seoul", HEALTH_REGION_FORCED_UP, true, w.now_ms));
    assert_false(is_ramping(&w, 0, 0));
    end(&w);
}

static void services_that_ramp_otherwise_have_words_of_their_own(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    add_usual_service(&w);
    w.services[1].ramp_ms = 1000;
    begin(&w);
    assert_ptr_not_equal(group(&w, 0, 0), group(&w, 1, 0));
    end(&w);
}

/* Two days in which a target dies and comes back all the time: hold_down grows with it. */
static void days_of_flapping_change_little(void **state)
{
    struct world w;
    uint64_t end_ms;
    unsigned changes = 0;
    (void)state;

    set_up_ramp(&w, 60000);
    struct health_probe *probe = probe_of(&w, FIRST);
    end_ms = w.now_ms + 2ull * 24 * 3600 * 1000;
    for (unsigned second = 0; w.now_ms < end_ms; second++) {
        uint64_t before = up(&w, 0, 0, ADDR_V4);
        bool alive = second % 40 < 30;
        w.told_count = 0;
        uint32_t number = health_probe_sent(w.health, probe, w.now_ms);
        health_probe_result(w.health, probe, number, alive ? DETECT_PASS : DETECT_STRONG, false,
                            alive ? "answered" : "connection refused", w.now_ms + 2);
        w.now_ms += 1000;
        health_probe_tick(w.health, probe, w.now_ms);
        health_tick(w.health, w.now_ms);
        uint64_t after = up(&w, 0, 0, ADDR_V4);
        changes += after != before;
        uint32_t ramp = word(&group(&w, 0, 0)->ramp);
        assert_true(!is_ramping(&w, 0, 0) || (ramp >= 4096 && ramp < 65536));
        assert_true((after & 2) != 0); /* the other one is never touched */
    }
    assert_in_range(changes, 1, 200); /* of 4320 deaths */
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_warning_marks_an_endpoint_that_stays_up),
        cmocka_unit_test(latency_moves_in_steps_and_follows),
        cmocka_unit_test(latency_is_that_of_endpoints_that_are_up),
        cmocka_unit_test(capacity_is_the_sum_of_what_is_up),
        cmocka_unit_test(a_group_is_whole_while_it_meets_its_minimum_and_all_are_well),
        cmocka_unit_test(a_pool_that_comes_back_takes_its_share_little_by_little),
        cmocka_unit_test(a_pool_that_falls_again_begins_again),
        cmocka_unit_test(the_pools_of_a_region_ramp_when_it_comes_back),
        cmocka_unit_test(services_that_ramp_otherwise_have_words_of_their_own),
        cmocka_unit_test(days_of_flapping_change_little),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
