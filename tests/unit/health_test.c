#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/health_world.h"

/* ---- endpoints ---- */

static void everything_counts_as_up_until_it_is_known(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    begin(&w);
    assert_int_equal(health_pending(w.binding), 9);
    for (unsigned i = 0; i < REGIONS; i++) {
        assert_int_equal(region_flags(&w, i), 0);
        assert_true(up(&w, 0, i, ADDR_V4) == 3);
        assert_true(is_short(&w, 0, i)); /* but not for long */
    }
    pass_all(&w);
    assert_int_equal(health_pending(w.binding), 0);
    assert_false(is_short(&w, 0, 0));
    end(&w);
}

static void an_endpoint_that_fails_loses_its_bit_and_waits_before_it_has_it_back(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    begin(&w);
    pass_all(&w);
    give_times(&w, "203.0.113.11:8080", DETECT_STRONG, 2);
    assert_true(up(&w, 0, 0, ADDR_V4) == 3);
    assert_true(is_short(&w, 0, 0));
    assert_false(is_short(&w, 0, 1));
    give_times(&w, "203.0.113.11:8080", DETECT_STRONG, 1);
    assert_true(up(&w, 0, 0, ADDR_V4) == 1);
    assert_true(up(&w, 0, 1, ADDR_V4) == 3);
    assert_false(is_short(&w, 0, 0));

    give_times(&w, "203.0.113.11:8080", DETECT_PASS, 2);
    assert_true(up(&w, 0, 0, ADDR_V4) == 1);
    assert_true(held(&w, 0, 0, ADDR_V4) == 2);
    bring_back(&w, "203.0.113.11:8080");
    assert_true(up(&w, 0, 0, ADDR_V4) == 3);
    assert_true(held(&w, 0, 0, ADDR_V4) == 0);
    end(&w);
}

static void families_have_their_own_bits_and_one_minimum(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    unsigned s = add_service(&w, 2);
    add_endpoint(&w, s, 0, "203.0.113.10");
    add_endpoint(&w, s, 0, "2001:db8:1::10");
    add_endpoint(&w, s, 0, "203.0.113.11");
    add_endpoint(&w, s, 0, "2001:db8:1::11");
    begin(&w);
    pass_all(&w);
    assert_int_equal(group(&w, s, 0)->minimum, 2);
    assert_true(up(&w, s, 0, ADDR_V4) == 3 && up(&w, s, 0, ADDR_V6) == 3);
    give_times(&w, "[2001:db8:1::10]:8080", DETECT_STRONG, 3);
    give_times(&w, "203.0.113.11:8080", DETECT_STRONG, 3);
    assert_true(up(&w, s, 0, ADDR_V4) == 1 && up(&w, s, 0, ADDR_V6) == 2);
    end(&w);
}

static void a_services_minimum_may_be_a_share_rounded_up(void **state)
{
    static const struct {
        uint32_t percent, endpoints, minimum;
    } cases[] = {
        { 50, 1, 1 }, { 50, 2, 1 }, { 50, 3, 2 },  { 34, 3, 2 }, { 33, 3, 1 },
        { 1, 5, 1 },  { 0, 5, 1 },  { 100, 4, 4 }, { 67, 3, 3 },
    };
    (void)state;

    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        struct world w;
        set_up_model(&w);
        unsigned s = add_service(&w, cases[c].percent);
        w.services[s].minimum_healthy.percent = true;
        for (unsigned i = 0; i < cases[c].endpoints; i++) {
            char text[32];
            (void)snprintf(text, sizeof(text), "203.0.113.%u", 10 + i);
            add_endpoint(&w, s, 0, text);
        }
        begin(&w);
        assert_int_equal(group(&w, s, 0)->minimum, cases[c].minimum);
        end(&w);
    }
}

static void all_checks_of_an_endpoint_must_pass(void **state)
{
    struct model_check both[2];
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    both[0] = w.web;
    both[1] = (struct model_check){ .kind = MODEL_CHECK_TCP, .timing = timing, .port = 443 };
    w.services[0].checks = both;
    w.services[0].check_count = 2;
    begin(&w);
    pass_all(&w);
    assert_int_equal(probes_in_use(&w), 3 + 12);
    give_times(&w, "203.0.113.10:443", DETECT_STRONG, 3);
    assert_true(up(&w, 0, 0, ADDR_V4) == 2);
    give_times(&w, "203.0.113.10:8080", DETECT_STRONG, 3);
    give_times(&w, "203.0.113.10:443", DETECT_PASS, 2);
    assert_true(held(&w, 0, 0, ADDR_V4) == 0); /* the other is still down */
    give_times(&w, "203.0.113.10:8080", DETECT_PASS, 2);
    assert_true(held(&w, 0, 0, ADDR_V4) == 1);
    end(&w);
}

static void an_endpoint_without_checks_is_up_and_proves_nothing(void **state)
{
    struct health_endpoint_view view;
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    w.services[0].check_count = 0;
    begin(&w);
    pass_all(&w);
    assert_true(up(&w, 0, 0, ADDR_V4) == 3);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED);
    assert_true(atomic_load(&group(&w, 0, 0)->proven[ADDR_V4]) == 0);
    health_view_endpoint(w.binding, 0, 0, 1, &view);
    assert_string_equal(view.state, "unchecked");
    end(&w);
}

/* ---- regions ---- */

static void a_regions_failure_is_one_store(void **state)
{
    struct world w;
    struct health_group before[REGIONS];
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    begin(&w);
    pass_all(&w);
    for (unsigned i = 0; i < REGIONS; i++) {
        memcpy(&before[i], group(&w, 0, i), sizeof(before[i]));
    }
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED);
    assert_int_equal(region_flags(&w, 1), 0);
    assert_int_equal(region_flags(&w, 2), 0);
    for (unsigned i = 0; i < REGIONS; i++) {
        assert_memory_equal(&before[i], group(&w, 0, i), sizeof(before[i]));
    }
    end(&w);
}

static void a_region_is_gated_below_its_minimum(void **state)
{
    static const struct {
        struct model_minimum minimum;
        unsigned checks, down;
        bool gated;
    } cases[] = {
        { { 50, true }, 2, 1, false }, { { 50, true }, 2, 2, true },  { { 50, true }, 3, 1, false },
        { { 50, true }, 3, 2, true }, /* 1.5 is 2 */
        { { 51, true }, 2, 1, true },  { { 1, false }, 3, 2, false }, { { 1, false }, 3, 3, true },
        { { 3, false }, 3, 1, true },  { { 0, false }, 2, 2, false }, { { 100, true }, 4, 1, true },
    };
    static const char *const servers[] = { SEOUL_DNS, "10.1.1.2:53", "10.1.2.2:53", "10.1.3.2:53" };
    (void)state;

    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        struct world w;
        set_up_model(&w);
        w.regions[0].minimum_healthy = cases[c].minimum;
        for (unsigned i = 1; i < cases[c].checks; i++) {
            add_canary(&w, 0, servers[i]);
        }
        begin(&w);
        pass_all(&w);
        for (unsigned i = 0; i < cases[c].down; i++) {
            give_times(&w, servers[i], DETECT_STRONG, 3);
        }
        assert_int_equal(region_flags(&w, 0), cases[c].gated ? HEALTH_REGION_GATED : 0);
        end(&w);
    }
}

static void a_region_without_checks_is_never_gated(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    w.regions[2].check_count = 0;
    w.regions[2].minimum_healthy.value = 1;
    begin(&w);
    assert_int_equal(region_flags(&w, 2), 0);
    end(&w);
}

static void a_region_comes_back_by_way_of_hold_down(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    begin(&w);
    pass_all(&w);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    give_times(&w, SEOUL_DNS, DETECT_PASS, 1);
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED);
    give_times(&w, SEOUL_DNS, DETECT_PASS, 1);
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_HELD);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 1);
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED);
    bring_back(&w, SEOUL_DNS);
    assert_int_equal(region_flags(&w, 0), 0);
    end(&w);
}

static void suspicion_of_a_regions_check_shortens_its_answers(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    begin(&w);
    pass_all(&w);
    const struct health_region *region = health_binding_region(w.binding, 0);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 1);
    assert_true((atomic_load(&region->word) & HEALTH_REGION_SUSPECT) != 0);
    /* for a minute at most, though the suspicion lasts */
    for (unsigned i = 0; i < 61; i++) {
        w.now_ms += 1000;
        health_probe_tick(w.health, probe_of(&w, SEOUL_DNS), w.now_ms);
    }
    assert_int_equal(probe_of(&w, SEOUL_DNS)->detect.state, DETECT_SUSPECT);
    assert_true((atomic_load(&region->word) & HEALTH_REGION_SUSPECT) == 0);
    end(&w);
}

static void proof_is_what_passed_since_the_gate(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    begin(&w);
    pass_all(&w);
    struct health_probe *late = probe_of(&w, "203.0.113.11:8080");
    uint32_t number = health_probe_sent(w.health, late, w.now_ms);
    w.now_ms += 1;
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    uint32_t epoch = region_epoch(&w, 0);
    assert_true(atomic_load(&group(&w, 0, 0)->flags) >> HEALTH_EPOCH_SHIFT != epoch);

    give_times(&w, "203.0.113.10:8080", DETECT_PASS, 1);
    assert_true(proven(&w, 0, 0, ADDR_V4) == 1);
    /* what was sent before the gate proves nothing */
    health_probe_result(w.health, late, number, DETECT_PASS, false, "answered", w.now_ms);
    assert_true(proven(&w, 0, 0, ADDR_V4) == 1);
    give_times(&w, "203.0.113.11:8080", DETECT_PASS, 1);
    assert_true(proven(&w, 0, 0, ADDR_V4) == 3);
    give_times(&w, "203.0.113.10:8080", DETECT_STRONG, 3);
    assert_true(proven(&w, 0, 0, ADDR_V4) == 2);

    /* a new gate asks for new proof */
    bring_back(&w, SEOUL_DNS);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    assert_int_equal(region_epoch(&w, 0), epoch + 1);
    give_times(&w, "203.0.113.11:8080", DETECT_PASS, 1);
    assert_true(proven(&w, 0, 0, ADDR_V4) == 2);
    end(&w);
}

static void a_region_that_proves_itself_has_its_proof_before_the_gate(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    w.regions[0].on_dns_failure = MODEL_DNS_FAILURE_PROVE;
    begin(&w);
    const struct health_group *g = group(&w, 0, 0);
    assert_true(atomic_load(&g->proven[ADDR_V4]) == 0); /* unknown is not passing */
    pass_all(&w);
    assert_true(atomic_load(&g->proven[ADDR_V4]) == 3);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED | HEALTH_REGION_PROVE);
    assert_true(atomic_load(&g->proven[ADDR_V4]) == 3);
    give_times(&w, "203.0.113.10:8080", DETECT_STRONG, 2);
    assert_true(atomic_load(&g->proven[ADDR_V4]) == 3); /* suspected is healthy */
    give_times(&w, "203.0.113.10:8080", DETECT_STRONG, 1);
    assert_true(atomic_load(&g->proven[ADDR_V4]) == 2);
    end(&w);
}

/* ---- minimum_regions ---- */

static void gates_that_fall_everywhere_lift(void **state)
{
    struct health_region_view view;
    struct world w;
    (void)state;

    set_up_model(&w);
    begin(&w);
    pass_all(&w);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    give_times(&w, TOKYO_DNS, DETECT_STRONG, 3);
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED);
    assert_int_equal(region_flags(&w, 1), HEALTH_REGION_GATED);
    give_times(&w, SINGAPORE_DNS, DETECT_STRONG, 3);
    for (unsigned i = 0; i < REGIONS; i++) {
        assert_int_equal(region_flags(&w, i), 0);
        health_view_region(w.health, w.binding, i, &view);
        assert_true(view.lifted);
        assert_string_equal(view.state, "in");
    }
    assert_string_equal(told_of(&w, "seoul")->to, "lifted");
    assert_non_null(strstr(told_of(&w, "seoul")->reason, "minimum_regions"));

    /* when one is risen, the signal chooses again, though that one is in hold_down */
    give_times(&w, TOKYO_DNS, DETECT_PASS, 2);
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED);
    assert_int_equal(region_flags(&w, 1), HEALTH_REGION_HELD);
    assert_int_equal(region_flags(&w, 2), HEALTH_REGION_GATED);
    end(&w);
}

static void what_passes_while_its_gate_is_lifted_is_proof_when_it_falls(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    begin(&w);
    pass_all(&w);
    give_times(&w, TOKYO_DNS, DETECT_STRONG, 3);
    give_times(&w, SINGAPORE_DNS, DETECT_STRONG, 3);
    w.now_ms += 1;
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    assert_int_equal(region_flags(&w, 0), 0); /* lifted, with the others */
    give_times(&w, "203.0.113.10:8080", DETECT_PASS, 1);
    give_times(&w, TOKYO_DNS, DETECT_PASS, 2);
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED);
    /* at once, not after each endpoint's next pass */
    assert_int_equal(atomic_load(&group(&w, 0, 0)->flags) >> HEALTH_EPOCH_SHIFT,
                     region_epoch(&w, 0));
    assert_true(proven(&w, 0, 0, ADDR_V4) == 1);
    end(&w);
}

static void a_gate_beside_a_region_in_hold_down_does_not_lift(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    w.model.region_count = 2;
    begin(&w);
    pass_all(&w);
    give_times(&w, TOKYO_DNS, DETECT_STRONG, 3);
    give_times(&w, TOKYO_DNS, DETECT_PASS, 2);
    assert_int_equal(region_flags(&w, 1), HEALTH_REGION_HELD);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED);
    assert_int_equal(region_flags(&w, 1), HEALTH_REGION_HELD);
    end(&w);
}

static void minimum_regions_may_be_more_than_one(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    w.model.guards.minimum_regions = 2;
    begin(&w);
    pass_all(&w);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED);
    give_times(&w, TOKYO_DNS, DETECT_STRONG, 3);
    assert_int_equal(region_flags(&w, 0), 0);
    assert_int_equal(region_flags(&w, 1), 0);
    end(&w);
}

static void regions_an_operator_took_out_do_not_count_as_in(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    begin(&w);
    pass_all(&w);
    assert_true(health_override(w.health, "tokyo", HEALTH_REGION_DRAINED, true, w.now_ms));
    assert_true(health_override(w.health, "singapore", HEALTH_REGION_FORCED_DOWN, true, w.now_ms));
    assert_false(health_override(w.health, "sydney", HEALTH_REGION_DRAINED, true, w.now_ms));
    assert_int_equal(region_flags(&w, 1), HEALTH_REGION_DRAINED);
    assert_int_equal(region_flags(&w, 2), HEALTH_REGION_FORCED_DOWN);
    assert_string_equal(told_of(&w, "singapore")->to, "forced down");
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    assert_int_equal(region_flags(&w, 0), 0);
    assert_true(health_override(w.health, "tokyo", HEALTH_REGION_DRAINED, false, w.now_ms));
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED);
    assert_int_equal(region_flags(&w, 1), 0);
    end(&w);
}

/* ---- what people are told ---- */

static void events_name_cause_and_count(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    begin(&w);
    pass_all(&w);
    w.told_count = 0;
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 2);
    give(&w, SEOUL_DNS, DETECT_STRONG, "SERVFAIL");
    assert_int_equal(w.told_count, 3);
    assert_string_equal(w.told[0].from, "up");
    assert_string_equal(w.told[0].to, "suspect");
    assert_int_equal(w.told[0].failed, 1);
    assert_int_equal(w.told[0].needed, 3);
    assert_string_equal(w.told[1].name, "seoul dns 10.1.0.2:53 canary.corp.example");
    assert_string_equal(w.told[1].to, "down");
    assert_string_equal(w.told[1].reason, "SERVFAIL");
    assert_int_equal(w.told[1].failed, 3);
    assert_int_equal(w.told[1].needed, 3);
    assert_int_equal(w.told[2].kind, HEALTH_EVENT_REGION);
    assert_string_equal(w.told[2].to, "gated");
    assert_string_equal(w.told[2].reason,
                        "0 of 1 checks pass, minimum_healthy 1; seoul dns 10.1.0.2:53 "
                        "canary.corp.example failed: SERVFAIL");

    /* while it rises the failure stays what is shown */
    give(&w, SEOUL_DNS, DETECT_PASS, "NOERROR in 2ms");
    assert_string_equal(probe_of(&w, SEOUL_DNS)->reason, "SERVFAIL");
    give(&w, SEOUL_DNS, DETECT_PASS, "NOERROR in 3ms");
    assert_string_equal(probe_of(&w, SEOUL_DNS)->reason, "NOERROR in 3ms");
    assert_string_equal(told_of(&w, "seoul")->to, "held");
    end(&w);
}

static void the_first_verdict_says_that_one_result_decided(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    begin(&w);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 1);
    assert_string_equal(w.told[0].from, "unknown");
    assert_string_equal(w.told[0].to, "down");
    assert_int_equal(w.told[0].failed, 1);
    assert_int_equal(w.told[0].needed, 1);
    end(&w);
}

static void a_weighed_verdict_tells_its_evidence(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    w.canaries[0][0].timing.fall_auto = true;
    w.canaries[0][0].timing.false_alarm_ms = 30ull * 86400000;
    begin(&w);
    pass_all(&w);
    w.told_count = 0;
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    assert_string_equal(w.told[0].to, "suspect");
    assert_int_equal(w.told[0].sum, 0);
    assert_string_equal(w.told[1].to, "down");
    assert_int_equal(w.told[1].failed, 3);
    assert_int_equal(w.told[1].sum, 155); /* ln(2 * 30 d / 1 s) */
    assert_int_equal(w.told[1].threshold, 155);

    /* in hold_down one failure is enough, and nothing is weighed */
    give_times(&w, SEOUL_DNS, DETECT_PASS, 2);
    assert_true(probe_of(&w, SEOUL_DNS)->detect.held);
    w.told_count = 0;
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 1);
    assert_string_equal(w.told[0].from, "held");
    assert_string_equal(w.told[0].to, "down");
    assert_int_equal(w.told[0].failed, 1);
    assert_int_equal(w.told[0].needed, 1);
    assert_int_equal(w.told[0].sum, 0);
    end(&w);
}

static void views_show_regions_and_endpoints(void **state)
{
    struct health_region_view region;
    struct health_endpoint_view endpoint;
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    begin(&w);
    health_view_endpoint(w.binding, 0, 0, 0, &endpoint);
    assert_string_equal(endpoint.state, "unknown");
    pass_all(&w);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    give_times(&w, "203.0.113.11:8080", DETECT_STRONG, 3);
    health_view_region(w.health, w.binding, 0, &region);
    assert_string_equal(region.name, "seoul");
    assert_string_equal(region.state, "gated");
    assert_int_equal(region.up, 0);
    assert_int_equal(region.total, 1);
    assert_int_equal(region.minimum, 1);
    assert_int_equal(region.probe_count, 1);
    assert_int_equal(health_group_size(w.binding, 0, 0), 2);
    health_view_endpoint(w.binding, 0, 0, 1, &endpoint);
    assert_string_equal(endpoint.state, "down");
    health_view_endpoint(w.binding, 0, 0, 0, &endpoint);
    assert_string_equal(endpoint.state, "up");
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_counts_as_up_until_it_is_known),
        cmocka_unit_test(an_endpoint_that_fails_loses_its_bit_and_waits_before_it_has_it_back),
        cmocka_unit_test(families_have_their_own_bits_and_one_minimum),
        cmocka_unit_test(a_services_minimum_may_be_a_share_rounded_up),
        cmocka_unit_test(all_checks_of_an_endpoint_must_pass),
        cmocka_unit_test(an_endpoint_without_checks_is_up_and_proves_nothing),
        cmocka_unit_test(a_regions_failure_is_one_store),
        cmocka_unit_test(a_region_is_gated_below_its_minimum),
        cmocka_unit_test(a_region_without_checks_is_never_gated),
        cmocka_unit_test(a_region_comes_back_by_way_of_hold_down),
        cmocka_unit_test(suspicion_of_a_regions_check_shortens_its_answers),
        cmocka_unit_test(proof_is_what_passed_since_the_gate),
        cmocka_unit_test(a_region_that_proves_itself_has_its_proof_before_the_gate),
        cmocka_unit_test(gates_that_fall_everywhere_lift),
        cmocka_unit_test(what_passes_while_its_gate_is_lifted_is_proof_when_it_falls),
        cmocka_unit_test(a_gate_beside_a_region_in_hold_down_does_not_lift),
        cmocka_unit_test(minimum_regions_may_be_more_than_one),
        cmocka_unit_test(regions_an_operator_took_out_do_not_count_as_in),
        cmocka_unit_test(events_name_cause_and_count),
        cmocka_unit_test(the_first_verdict_says_that_one_result_decided),
        cmocka_unit_test(a_weighed_verdict_tells_its_evidence),
        cmocka_unit_test(views_show_regions_and_endpoints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
