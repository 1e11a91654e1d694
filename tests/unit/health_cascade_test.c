#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/health_world.h"

#define WINDOW_MS 60000u

static const char *const web[REGIONS][2] = {
    { "203.0.113.10:8080", "203.0.113.11:8080" },
    { "198.51.100.10:8080", "198.51.100.11:8080" },
    { "192.0.2.10:8080", "192.0.2.11:8080" },
};

static void set_up_window(struct world *w, uint32_t window_ms)
{
    set_up_model(w);
    w->model.guards.cascade_window_ms = window_ms;
    add_usual_service(w);
    begin(w);
    pass_all(w);
}

static bool is_shared(const struct world *w, unsigned service, unsigned pool)
{
    return (atomic_load(&group(w, service, pool)->flags) & HEALTH_GROUP_SHARED) != 0;
}

static void fail_pool(struct world *w, unsigned region)
{
    give_times(w, web[region][0], DETECT_STRONG, 3);
    give_times(w, web[region][1], DETECT_STRONG, 3);
}

static void silence_pool(struct world *w, unsigned region)
{
    silence(w, web[region][0]);
    silence(w, web[region][1]);
}

static void run_to(struct world *w, uint64_t until_ms)
{
    while (health_wake_ms(w->health, w->now_ms) <= until_ms) {
        w->now_ms = health_wake_ms(w->health, w->now_ms);
        health_tick(w->health, w->now_ms);
    }
    w->now_ms = until_ms;
}

/* ---- regions ---- */

static void a_second_region_is_not_gated_by_silence_within_the_window(void **state)
{
    struct health_region_view view;
    struct world w;
    (void)state;

    set_up_window(&w, WINDOW_MS);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    uint64_t left_ms = w.now_ms;
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED);
    silence(&w, TOKYO_DNS);
    assert_int_equal(region_flags(&w, 1), HEALTH_REGION_SHARED);
    health_view_region(w.health, w.binding, 1, &view);
    assert_string_equal(view.state, "shared");
    const struct told *guard = &w.told[w.told_count - 1];
    assert_int_equal(guard->kind, HEALTH_EVENT_GUARD);
    assert_string_equal(guard->name, "cascade_window");
    assert_string_equal(guard->target, "tokyo");
    assert_string_equal(guard->to, "shared");
    assert_true(health_wake_ms(w.health, w.now_ms) <= left_ms + WINDOW_MS);

    run_to(&w, left_ms + WINDOW_MS - 1);
    assert_int_equal(region_flags(&w, 1), HEALTH_REGION_SHARED);
    run_to(&w, left_ms + WINDOW_MS);
    assert_int_equal(region_flags(&w, 1), HEALTH_REGION_GATED);
    assert_string_equal(w.told[w.told_count - 1].target, "tokyo");
    assert_string_equal(w.told[w.told_count - 1].to, "gated");
    /* that was a departure, too */
    silence(&w, SINGAPORE_DNS);
    assert_int_equal(region_flags(&w, 2), 0); /* minimum_regions lifts the gates before */
    end(&w);
}

static void strong_evidence_gates_it_at_once(void **state)
{
    struct world w;
    (void)state;

    set_up_window(&w, WINDOW_MS);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    give_times(&w, TOKYO_DNS, DETECT_STRONG, 3);
    assert_int_equal(region_flags(&w, 1), HEALTH_REGION_GATED);
    bring_back(&w, TOKYO_DNS);
    w.now_ms += 600000;
    bring_back(&w, SEOUL_DNS);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    silence(&w, TOKYO_DNS);
    assert_int_equal(region_flags(&w, 1), HEALTH_REGION_SHARED);
    give_times(&w, TOKYO_DNS, DETECT_STRONG, 3);
    assert_int_equal(region_flags(&w, 1), HEALTH_REGION_GATED);
    end(&w);
}

static void it_is_in_again_when_it_answers(void **state)
{
    struct world w;
    (void)state;

    set_up_window(&w, WINDOW_MS);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    silence(&w, TOKYO_DNS);
    give_times(&w, TOKYO_DNS, DETECT_PASS, 2); /* in hold_down, yet still not left */
    assert_int_equal(region_flags(&w, 1), HEALTH_REGION_SHARED);
    bring_back(&w, TOKYO_DNS);
    assert_int_equal(region_flags(&w, 1), 0);
    assert_string_equal(told_of(&w, "tokyo")->to, "in");
    end(&w);
}

static void silence_alone_gates_outside_the_window_and_without_siblings(void **state)
{
    struct world w;
    (void)state;

    set_up_window(&w, WINDOW_MS);
    silence(&w, SEOUL_DNS);
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED); /* the first one */
    w.now_ms += WINDOW_MS + 1;
    silence(&w, TOKYO_DNS);
    assert_int_equal(region_flags(&w, 1), HEALTH_REGION_GATED);
    end(&w);

    set_up_window(&w, 0); /* off */
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    silence(&w, TOKYO_DNS);
    assert_int_equal(region_flags(&w, 1), HEALTH_REGION_GATED);
    end(&w);

    set_up_model(&w);
    w.model.guards.cascade_window_ms = WINDOW_MS;
    for (unsigned i = 0; i < REGIONS; i++) { /* no service has two of them */
        add_endpoint(&w, add_service(&w, 1), i, "203.0.113.10");
    }
    begin(&w);
    pass_all(&w);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    silence(&w, TOKYO_DNS);
    assert_int_equal(region_flags(&w, 1), HEALTH_REGION_GATED);
    end(&w);
}

static void a_region_whose_pools_fell_was_left_as_one_that_was_gated(void **state)
{
    struct world w;
    (void)state;

    set_up_window(&w, WINDOW_MS);
    fail_pool(&w, 0);
    assert_int_equal(region_flags(&w, 0), 0);
    silence(&w, TOKYO_DNS);
    assert_int_equal(region_flags(&w, 1), HEALTH_REGION_SHARED);
    end(&w);
}

/* ---- pools ---- */

static void a_pool_keeps_its_bits_after_its_sibling_fell(void **state)
{
    struct health_endpoint_view view;
    struct world w;
    (void)state;

    set_up_window(&w, WINDOW_MS);
    fail_pool(&w, 0);
    uint64_t left_ms = w.now_ms;
    assert_true(up(&w, 0, 0, ADDR_V4) == 0);
    silence(&w, web[1][0]);
    assert_true(up(&w, 0, 1, ADDR_V4) == 2); /* one of two leaves no pool */
    assert_false(is_shared(&w, 0, 1));
    silence(&w, web[1][1]);
    assert_true(up(&w, 0, 1, ADDR_V4) == 2);
    assert_true(is_shared(&w, 0, 1));
    assert_true(is_short(&w, 0, 1));
    health_view_endpoint(w.binding, 0, 1, 1, &view);
    assert_string_equal(view.state, "shared");
    health_view_endpoint(w.binding, 0, 1, 0, &view);
    assert_string_equal(view.state, "down");
    assert_string_equal(w.told[w.told_count - 1].target, "tokyo 198.51.100.10 and 1 more");
    run_to(&w, left_ms + WINDOW_MS);
    assert_true(up(&w, 0, 1, ADDR_V4) == 0);
    assert_false(is_shared(&w, 0, 1));
    assert_string_equal(w.told[w.told_count - 1].to, "down");
    assert_true(health_wake_ms(w.health, w.now_ms) == UINT64_MAX);
    end(&w);
}

static void a_pool_falls_on_strong_evidence_and_recovers_without_having_left(void **state)
{
    struct world w;
    (void)state;

    set_up_window(&w, WINDOW_MS);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    silence_pool(&w, 1);
    assert_true(is_shared(&w, 0, 1));
    give_times(&w, web[1][1], DETECT_STRONG, 3);
    assert_true(up(&w, 0, 1, ADDR_V4) == 0);
    assert_false(is_shared(&w, 0, 1));
    silence_pool(&w, 2);
    assert_true(is_shared(&w, 0, 2));
    bring_back(&w, web[2][1]);
    assert_true(up(&w, 0, 2, ADDR_V4) == 2);
    assert_false(is_shared(&w, 0, 2));
    end(&w);
}

static void pools_of_services_that_share_nothing_are_no_siblings(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    w.model.guards.cascade_window_ms = WINDOW_MS;
    add_usual_service(&w);
    unsigned s = add_service(&w, 1);
    add_endpoint(&w, s, 1, "198.51.100.50");
    add_endpoint(&w, s, 2, "192.0.2.50");
    begin(&w);
    pass_all(&w);
    fail_pool(&w, 0);
    silence(&w, "198.51.100.50:8080");
    assert_true(up(&w, s, 0, ADDR_V4) == 0);
    silence_pool(&w, 1);
    assert_true(is_shared(&w, 0, 1));
    end(&w);
}

static void what_never_passed_is_not_spared(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    w.model.guards.cascade_window_ms = WINDOW_MS;
    add_usual_service(&w);
    begin(&w);
    give_times(&w, web[0][0], DETECT_PASS, 1);
    give_times(&w, web[0][1], DETECT_PASS, 1);
    fail_pool(&w, 0);
    for (unsigned i = 0; i < 2; i++) {
        struct health_probe *probe = probe_of(&w, web[1][i]);
        uint32_t number = health_probe_sent(w.health, probe, w.now_ms);
        w.now_ms += 500;
        health_probe_result(w.health, probe, number, DETECT_SILENT, false, "no answer", w.now_ms);
    }
    assert_true(up(&w, 0, 1, ADDR_V4) == 0);
    end(&w);
}

/* ---- properties ---- */

/* Give the same results to both worlds. */
static void step(struct world worlds[2], uint64_t *dice)
{
    size_t count = health_probe_count(worlds[0].health);
    uint32_t slot = roll(dice, (uint32_t)count);
    uint32_t what = roll(dice, 8);
    uint32_t wait_ms = roll(dice, 20) == 0 ? roll(dice, 90000) : 60;

    for (unsigned i = 0; i < 2; i++) {
        struct world *w = &worlds[i];
        struct health_probe *probe = health_probe(w->health, slot);
        w->told_count = 0;
        if (what < 2 && probe->detect.state != DETECT_DOWN) {
            uint32_t numbers[12];
            for (unsigned n = 0; n < 12; n++) {
                numbers[n] = health_probe_sent(w->health, probe, w->now_ms);
            }
            for (unsigned n = 0; n < 12; n++) {
                health_probe_result(w->health, probe, numbers[n], DETECT_SILENT, false, "no answer",
                                    w->now_ms + 500);
            }
        } else {
            uint32_t number = health_probe_sent(w->health, probe, w->now_ms);
            health_probe_result(w->health, probe, number, what < 4 ? DETECT_STRONG : DETECT_PASS,
                                false, "x", w->now_ms + 2);
        }
        w->now_ms += 500 + wait_ms;
        for (size_t p = 0; p < count; p++) {
            health_probe_tick(w->health, health_probe(w->health, p), w->now_ms);
        }
        health_tick(w->health, w->now_ms);
    }
}

static bool stands(const struct world *w, unsigned service, unsigned pool)
{
    uint32_t away = region_flags(w, w->pools[service][pool].region) & HEALTH_REGION_AWAY;
    unsigned bits = (unsigned)__builtin_popcountll(up(w, service, pool, ADDR_V4));

    return away == 0 && bits >= group(w, service, pool)->minimum;
}

/* The same results with and without the window: with it, no pool is ever worse off. */
static void the_window_never_takes_anything_away(void **state)
{
    unsigned shared = 0;
    (void)state;

    for (uint32_t seed = 0; seed < 60; seed++) {
        struct world worlds[2];
        uint64_t dice = seed;
        for (unsigned i = 0; i < 2; i++) {
            struct world *w = &worlds[i];
            set_up_model(w);
            w->model.guards.cascade_window_ms = i == 0 ? 0 : WINDOW_MS;
            w->model.guards.minimum_regions = 1 + seed % 2;
            add_usual_service(w);
            unsigned s = add_service(w, 1 + seed % 3 % 2);
            add_endpoint(w, s, 2, "192.0.2.50");
            add_endpoint(w, s, 0, "203.0.113.10");
            add_endpoint(w, s, 0, "203.0.113.50");
            begin(w);
            for (uint32_t slot = 0; slot < health_probe_count(w->health); slot++) {
                health_probe(w->health, slot)->detect.random = slot + 1; /* the same jitter */
            }
            pass_all(w);
        }
        for (unsigned n = 0; n < 400; n++) {
            step(worlds, &dice);
            for (unsigned s = 0; s < 2; s++) {
                for (unsigned p = 0; p < worlds[0].services[s].pool_count; p++) {
                    uint64_t without = up(&worlds[0], s, p, ADDR_V4);
                    assert_true((without & ~up(&worlds[1], s, p, ADDR_V4)) == 0);
                    assert_true(!stands(&worlds[0], s, p) || stands(&worlds[1], s, p));
                    shared += is_shared(&worlds[1], s, p);
                }
            }
        }
        end(&worlds[0]);
        end(&worlds[1]);
    }
    assert_true(shared > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_region_is_not_gated_by_silence_within_the_window),
        cmocka_unit_test(strong_evidence_gates_it_at_once),
        cmocka_unit_test(it_is_in_again_when_it_answers),
        cmocka_unit_test(silence_alone_gates_outside_the_window_and_without_siblings),
        cmocka_unit_test(a_region_whose_pools_fell_was_left_as_one_that_was_gated),
        cmocka_unit_test(a_pool_keeps_its_bits_after_its_sibling_fell),
        cmocka_unit_test(a_pool_falls_on_strong_evidence_and_recovers_without_having_left),
        cmocka_unit_test(pools_of_services_that_share_nothing_are_no_siblings),
        cmocka_unit_test(what_never_passed_is_not_spared),
        cmocka_unit_test(the_window_never_takes_anything_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
