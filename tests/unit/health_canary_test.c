#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/health_world.h"

/* ---- canaries that are not there ---- */

static void a_canary_deleted_in_one_region_gates_it_while_another_has_it(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    begin(&w);
    pass_all(&w);
    give_vanished(&w, SEOUL_DNS);
    assert_int_equal(told_of(&w, SEOUL_DNS)->kind, HEALTH_EVENT_ALERT);
    assert_string_equal(told_of(&w, SEOUL_DNS)->to, "misconfigured");
    give_vanished(&w, SEOUL_DNS);
    give_vanished(&w, SEOUL_DNS);
    give_vanished(&w, SEOUL_DNS);
    assert_int_equal(region_flags(&w, 0), 0); /* nobody has passed since */
    give_times(&w, TOKYO_DNS, DETECT_PASS, 1);
    for (unsigned i = 0; i < 3; i++) {
        give_vanished(&w, SEOUL_DNS);
    }
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED);
    /* it stays so, however long: age alone changes nothing */
    for (unsigned i = 0; i < 5000; i++) {
        w.now_ms += 1000;
        give_times(&w, TOKYO_DNS, DETECT_PASS, 1);
        give_vanished(&w, SEOUL_DNS);
    }
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED);
    bring_back(&w, SEOUL_DNS);
    assert_int_equal(region_flags(&w, 0), 0);
    end(&w);
}

static void a_canary_that_never_passed_only_alerts(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    begin(&w);
    give_times(&w, TOKYO_DNS, DETECT_PASS, 1);
    for (unsigned i = 0; i < 10; i++) {
        give_vanished(&w, SEOUL_DNS);
        give_times(&w, TOKYO_DNS, DETECT_PASS, 1);
    }
    assert_int_equal(region_flags(&w, 0), 0);
    assert_true(probe_of(&w, SEOUL_DNS)->misconfigured);
    give_times(&w, SEOUL_DNS, DETECT_PASS, 1);
    assert_string_equal(w.told[w.told_count - 2].to, "configured");
    end(&w);
}

static void a_canary_that_passed_long_ago_only_alerts(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    begin(&w);
    pass_all(&w);
    w.now_ms += 3600001;
    for (unsigned i = 0; i < 10; i++) {
        give_vanished(&w, SEOUL_DNS);
        give_times(&w, TOKYO_DNS, DETECT_PASS, 1);
    }
    assert_int_equal(region_flags(&w, 0), 0);
    end(&w);
}

static void a_witness_must_still_pass_the_same_name_in_another_region(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    add_canary(&w, 0, "10.1.1.2"); /* the same region */
    w.canaries[1][0].query_name = "other.corp.example";
    begin(&w);
    pass_all(&w);
    for (unsigned i = 0; i < 10; i++) {
        give_times(&w, "10.1.1.2:53", DETECT_PASS, 1);
        give_times(&w, TOKYO_DNS, DETECT_PASS, 1);
        give_vanished(&w, SEOUL_DNS);
    }
    assert_int_equal(probe_of(&w, SEOUL_DNS)->detect.state, DETECT_UP);
    give_times(&w, SINGAPORE_DNS, DETECT_PASS, 1);
    for (unsigned i = 0; i < 3; i++) {
        give_vanished(&w, SEOUL_DNS);
    }
    assert_int_equal(probe_of(&w, SEOUL_DNS)->detect.state, DETECT_DOWN);
    /* the last witness dies: nobody can say any more that the name exists */
    give_times(&w, SINGAPORE_DNS, DETECT_STRONG, 3);
    give_vanished(&w, SEOUL_DNS);
    assert_int_equal(probe_of(&w, SEOUL_DNS)->detect.state, DETECT_UP);
    end(&w);
}

static void endpoints_checked_by_dns_are_witnesses_too(void **state)
{
    struct model_check dns;
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    dns = w.canaries[0][0];
    dns.has_server = false;
    dns.query_name = "zone.corp.example";
    w.services[0].checks = &dns;
    begin(&w);
    pass_all(&w);
    for (unsigned i = 0; i < 4; i++) {
        give_times(&w, "198.51.100.10:53", DETECT_PASS, 1);
        give_vanished(&w, "203.0.113.10:53");
    }
    give_times(&w, "198.51.100.10:53", DETECT_PASS, 1);
    assert_true(up(&w, 0, 0, ADDR_V4) == 2);
    end(&w);
}

static void a_verdict_of_silence_is_not_lifted_by_a_canary(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    begin(&w);
    pass_all(&w);
    give_vanished(&w, SEOUL_DNS);
    give_times(&w, TOKYO_DNS, DETECT_PASS, 1);
    for (unsigned i = 0; i < 3; i++) {
        give_vanished(&w, SEOUL_DNS);
    }
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED);
    bring_back(&w, SEOUL_DNS);
    /* now it dies of silence; later the name is gone everywhere */
    struct health_probe *probe = probe_of(&w, SEOUL_DNS);
    for (unsigned i = 0; i < 30; i++) {
        if (detect_is_due(&probe->detect, w.now_ms)) {
            (void)health_probe_sent(w.health, probe, w.now_ms);
        }
        health_probe_tick(w.health, probe, w.now_ms);
        w.now_ms = detect_wake_ms(&probe->detect, w.now_ms);
    }
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED);
    assert_string_equal(probe->reason, "no answer within 500ms");
    give_vanished(&w, SEOUL_DNS);
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_GATED);
    end(&w);
}

/*
 * A name deleted at its source vanishes from each region's resolver at another
 * moment, as caches run out. In between a region may be gated, for that looks
 * like a fault of it; when it is gone everywhere nothing may be left of that.
 */
static void a_canary_deleted_everywhere_gates_nobody_in_any_order(void **state)
{
    static const char *const servers[] = { SEOUL_DNS, TOKYO_DNS, SINGAPORE_DNS };
    unsigned gated = 0;
    (void)state;

    for (uint32_t seed = 0; seed < 3000; seed++) {
        uint64_t dice = seed, gone_ms[REGIONS];
        struct world w;
        set_up_model(&w);
        begin(&w);
        pass_all(&w);
        for (unsigned i = 0; i < REGIONS; i++) {
            gone_ms[i] = w.now_ms + roll(&dice, seed % 2 == 0 ? 60 : 3000);
        }
        for (unsigned n = 0; n < 200; n++) {
            unsigned region = roll(&dice, REGIONS);
            w.told_count = 0;
            w.now_ms += roll(&dice, 40);
            if (w.now_ms >= gone_ms[region]) {
                give_vanished(&w, servers[region]);
            } else {
                give_times(&w, servers[region], DETECT_PASS, 1);
            }
            unsigned out = 0;
            for (unsigned i = 0; i < REGIONS; i++) {
                out += region_flags(&w, i) != 0;
            }
            assert_true(out < REGIONS);
            gated += out > 0;
        }
        for (unsigned i = 0; i < REGIONS; i++) {
            w.now_ms += 3000; /* all have vanished; each is asked once more */
            give_vanished(&w, servers[i]);
        }
        for (unsigned i = 0; i < REGIONS; i++) {
            assert_int_equal(region_flags(&w, i), 0);
            assert_int_equal(probe_of(&w, servers[i])->detect.state, DETECT_UP);
        }
        end(&w);
    }
    assert_true(gated > 0); /* the property was put to the test */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_canary_deleted_in_one_region_gates_it_while_another_has_it),
        cmocka_unit_test(a_canary_that_never_passed_only_alerts),
        cmocka_unit_test(a_canary_that_passed_long_ago_only_alerts),
        cmocka_unit_test(a_witness_must_still_pass_the_same_name_in_another_region),
        cmocka_unit_test(endpoints_checked_by_dns_are_witnesses_too),
        cmocka_unit_test(a_verdict_of_silence_is_not_lifted_by_a_canary),
        cmocka_unit_test(a_canary_deleted_everywhere_gates_nobody_in_any_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
