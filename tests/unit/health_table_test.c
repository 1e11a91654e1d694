#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/health_world.h"

/* ---- sharing ---- */

static void the_same_probe_is_run_once_whoever_asks(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    unsigned s = add_service(&w, 2); /* another minimum, so another group */
    add_endpoint(&w, s, 0, "203.0.113.10");
    add_endpoint(&w, s, 0, "203.0.113.11");
    begin(&w);
    pass_all(&w);
    assert_int_equal(probes_in_use(&w), 3 + 6);
    assert_ptr_not_equal(group(&w, 0, 0), group(&w, s, 0));
    give_times(&w, "203.0.113.10:8080", DETECT_STRONG, 3);
    assert_true(up(&w, 0, 0, ADDR_V4) == 2 && up(&w, s, 0, ADDR_V4) == 2);
    end(&w);
}

static void equal_groups_share_one_word(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    add_usual_service(&w);
    unsigned other = add_service(&w, 1); /* the same addresses in another order */
    add_endpoint(&w, other, 0, "203.0.113.11");
    add_endpoint(&w, other, 0, "203.0.113.10");
    unsigned elsewhere = add_service(&w, 1); /* or said to be in another region */
    add_endpoint(&w, elsewhere, 1, "203.0.113.10");
    add_endpoint(&w, elsewhere, 1, "203.0.113.11");
    begin(&w);
    assert_ptr_equal(group(&w, 0, 0), group(&w, 1, 0));
    assert_ptr_equal(group(&w, 0, 2), group(&w, 1, 2));
    assert_ptr_not_equal(group(&w, 0, 0), group(&w, 0, 1));
    assert_ptr_not_equal(group(&w, 0, 0), group(&w, other, 0));
    assert_ptr_not_equal(group(&w, 0, 0), group(&w, elsewhere, 0));
    pass_all(&w);
    give_times(&w, "203.0.113.11:8080", DETECT_STRONG, 3);
    assert_true(up(&w, 0, 0, ADDR_V4) == 1);
    assert_true(up(&w, other, 0, ADDR_V4) == 2);
    end(&w);
}

static void probes_that_differ_in_anything_are_not_the_same(void **state)
{
    static const struct model_range statuses[] = { { 200, 299 } };
    static const struct {
        const char *path, *host, *body;
    } texts[] = {
        { "/healthz", "api.svc.example.com", "ok" }, { "/healthz", "api.svc.example.com", NULL },
        { "/healthz|api", "svc.example.com", NULL }, /* joined they would read the same */
        { "/healthz", "api|svc.example.com", NULL }, { "/healthz", NULL, NULL },
        { "/healthz", NULL, "api.svc.example.com" }, { "/", "healthz", NULL },
    };
    struct model_check checks[12];
    struct world w;
    size_t count = 0;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        checks[count] = w.web;
        checks[count].path = texts[i].path;
        checks[count].host = texts[i].host;
        checks[count++].body = texts[i].body;
    }
    checks[count] = w.web;
    checks[count++].timing.fall = 4;
    checks[count] = w.web;
    checks[count++].port = 8081;
    checks[count] = w.web;
    checks[count].statuses = statuses;
    checks[count++].status_count = 1;
    w.services[0].checks = checks;
    w.services[0].check_count = count;
    begin(&w);
    assert_int_equal(probes_in_use(&w), 3 + 6 * count);
    end(&w);
}

/* ---- reloads ---- */

static void a_reload_keeps_slots_and_what_they_know(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    begin(&w);
    pass_all(&w);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    give_times(&w, "198.51.100.10:8080", DETECT_STRONG, 3);
    const struct health_group *tokyo = group(&w, 0, 1);
    const struct health_probe *probe = probe_of(&w, "198.51.100.10:8080");
    uint32_t epoch = region_epoch(&w, 0);

    struct health_binding *old = w.binding;
    w.services[0].minimum_healthy.value = 1;
    add_endpoint(&w, 0, 2, "192.0.2.12");
    w.binding = bind_model(&w);
    assert_int_equal(health_pending(w.binding), 1); /* only the new endpoint */
    assert_ptr_equal(group(&w, 0, 1), tokyo);
    assert_ptr_equal(probe_of(&w, "198.51.100.10:8080"), probe);
    health_commit(w.health, w.binding, w.now_ms);
    health_unbind(w.health, old);

    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED);
    assert_int_equal(region_epoch(&w, 0), epoch);
    assert_true(up(&w, 0, 1, ADDR_V4) == 2);
    assert_true(up(&w, 0, 2, ADDR_V4) == 7);
    assert_int_equal(probe->detect.state, DETECT_DOWN);
    end(&w);
}

static void a_refused_reload_changes_nothing(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    begin(&w);
    pass_all(&w);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    size_t events = w.told_count;

    w.regions[0].minimum_healthy.value = 0;
    w.regions[1].check_count = 0;
    w.model.guards.minimum_regions = 3;
    add_endpoint(&w, 0, 0, "203.0.113.12");
    struct health_binding *refused = bind_model(&w);
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED); /* not in force yet */
    assert_int_equal(probes_in_use(&w), 3 + 7);
    give(&w, "203.0.113.12:8080", DETECT_STRONG, "connection refused");
    health_unbind(w.health, refused);

    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED);
    assert_int_equal(probes_in_use(&w), 3 + 6);
    assert_int_equal(w.told_count, events + 1);
    give_times(&w, TOKYO_DNS, DETECT_STRONG, 3);
    assert_int_equal(region_flags(&w, 1), HEALTH_REGION_GATED);
    end(&w);
}

static void a_reload_that_takes_effect_changes_gates_at_once(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    begin(&w);
    pass_all(&w);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    struct health_binding *old = w.binding;
    w.regions[0].minimum_healthy.value = 0;
    w.binding = bind_model(&w);
    health_commit(w.health, w.binding, w.now_ms);
    assert_int_equal(region_flags(&w, 0), 0);
    assert_string_equal(told_of(&w, "seoul")->to, "in");
    health_unbind(w.health, old);
    end(&w);
}

static void what_leaves_the_table_leaves_its_slot_when_its_runner_has_gone(void **state)
{
    struct world w;
    int runner;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    begin(&w);
    struct health_probe *probe = probe_of(&w, "203.0.113.10:8080");
    uint32_t number = health_probe_sent(w.health, probe, w.now_ms);
    size_t slots = health_probe_count(w.health);
    probe->runner = &runner;

    struct health_binding *old = w.binding;
    w.model.service_count = 0;
    w.binding = bind_model(&w);
    health_commit(w.health, w.binding, w.now_ms);
    health_unbind(w.health, old);
    assert_false(probe->used);
    /* its last result comes too late to matter */
    health_probe_result(w.health, probe, number, DETECT_STRONG, false, "too late", w.now_ms);
    health_probe_tick(w.health, probe, w.now_ms);

    old = w.binding;
    w.model.service_count = 1;
    w.binding = bind_model(&w);
    health_commit(w.health, w.binding, w.now_ms);
    health_unbind(w.health, old);
    assert_false(probe->used); /* the others took the slots that were free */
    assert_int_equal(health_probe_count(w.health), slots + 1);

    probe->runner = NULL;
    w.services[0].check_count = 0;
    add_canary(&w, 0, "10.1.1.2");
    old = w.binding;
    w.binding = bind_model(&w);
    health_commit(w.health, w.binding, w.now_ms);
    health_unbind(w.health, old);
    assert_int_equal(health_probe_count(w.health), slots + 1);
    assert_true(probe->used);
    end(&w);
}

/* What the services of a random reload may be conditional on. */
static const struct model_condition asks[] = {
    { .kind = MODEL_CONDITION_CHECK, .index = 0 },
    { .kind = MODEL_CONDITION_REGION, .index = 1 },
    { .kind = MODEL_CONDITION_SERVICE, .index = 1 },
};
static const struct model_condition any_of_them = {
    .kind = MODEL_CONDITION_AT_LEAST,
    .needed = 1,
    .parts = asks + 1,
    .part_count = 2,
};

/* Another condition, ramp and window; service 1 never asks about a service. */
static void shuffle_policies(struct world *w, uint64_t *dice)
{
    for (unsigned s = 0; s < 2; s++) {
        bool has_check = w->services[s].check_count > 0;
        bool may_ask = s == 0 && w->model.service_count > 1;
        w->services[s].ramp_ms = 1000 * roll(dice, 2);
        w->services[s].condition = roll(dice, 2) == 0 ? NULL
                                   : may_ask          ? &any_of_them
                                   : has_check        ? &asks[0]
                                                      : &asks[1];
    }
    w->model.guards.cascade_window_ms = 60000 * roll(dice, 2);
}

/* Reloads at random, with results in between: the words follow, and nothing leaks. */
static void reloads_at_random_end_in_an_empty_table(void **state)
{
    (void)state;

    for (uint32_t seed = 0; seed < 200; seed++) {
        struct world w;
        struct health_binding *kept[4] = { NULL };
        uint64_t dice = seed;
        set_up_model(&w);
        add_usual_service(&w);
        add_usual_service(&w);
        begin(&w);
        for (unsigned n = 0; n < 40; n++) {
            w.told_count = 0;
            w.regions[roll(&dice, REGIONS)].check_count = roll(&dice, 2);
            w.services[roll(&dice, 2)].minimum_healthy.value = 1 + roll(&dice, 2);
            w.services[roll(&dice, 2)].check_count = roll(&dice, 2);
            w.model.service_count = 1 + roll(&dice, 2);
            w.model.region_count = REGIONS;
            shuffle_policies(&w, &dice);
            struct health_binding *fresh = bind_model(&w);
            if (roll(&dice, 3) == 0) {
                health_unbind(w.health, fresh); /* refused */
            } else {
                health_commit(w.health, fresh, w.now_ms);
                health_unbind(w.health, kept[n % 4]); /* old ones linger with their readers */
                kept[n % 4] = w.binding;
                w.binding = fresh;
            }
            struct health_probe *probe =
                health_probe(w.health, roll(&dice, (uint32_t)health_probe_count(w.health)));
            if (probe->used && probe->detect.open_count < DETECT_OPEN_MAX) {
                uint32_t number = health_probe_sent(w.health, probe, w.now_ms);
                health_probe_result(w.health, probe, number,
                                    roll(&dice, 2) == 0 ? DETECT_PASS : DETECT_STRONG, false, "x",
                                    w.now_ms + 1);
            }
            w.now_ms += 50;
            health_tick(w.health, w.now_ms);
        }
        for (unsigned i = 0; i < 4; i++) {
            health_unbind(w.health, kept[i]);
        }
        health_unbind(w.health, w.binding);
        assert_int_equal(probes_in_use(&w), 0);
        health_free(w.health); /* insists that no group or region is left */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_probe_is_run_once_whoever_asks),
        cmocka_unit_test(equal_groups_share_one_word),
        cmocka_unit_test(probes_that_differ_in_anything_are_not_the_same),
        cmocka_unit_test(a_reload_keeps_slots_and_what_they_know),
        cmocka_unit_test(a_refused_reload_changes_nothing),
        cmocka_unit_test(a_reload_that_takes_effect_changes_gates_at_once),
        cmocka_unit_test(what_leaves_the_table_leaves_its_slot_when_its_runner_has_gone),
        cmocka_unit_test(reloads_at_random_end_in_an_empty_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
