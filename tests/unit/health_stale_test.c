#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/health_world.h"

#define REASON "cannot load the trusted authorities"

/* One probe after the other of which nothing comes, for so long. */
static void give_nothing(struct world *w, const char *target, uint64_t for_ms)
{
    for (uint64_t end = w->now_ms + for_ms; w->now_ms < end; w->now_ms += timing.interval_ms) {
        give(w, target, DETECT_VOID, REASON);
    }
}

static void what_has_never_been_probed_tells_why_at_once(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    begin(&w);
    give(&w, SEOUL_DNS, DETECT_VOID, REASON);
    assert_string_equal(probe_of(&w, SEOUL_DNS)->trouble, REASON);
    assert_int_equal(probe_of(&w, SEOUL_DNS)->detect.state, DETECT_UNKNOWN);
    assert_int_equal(w.told_count, 0);
    end(&w);
}

static void one_probe_that_comes_to_nothing_is_no_news(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    begin(&w);
    pass_all(&w);
    size_t before = w.told_count;
    give(&w, SEOUL_DNS, DETECT_VOID, REASON);
    assert_null(probe_of(&w, SEOUL_DNS)->trouble);
    assert_int_equal(w.told_count, before);
    end(&w);
}

static void a_probe_of_which_nothing_comes_any_more_is_stale_and_stays_up(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    begin(&w);
    pass_all(&w);
    give_nothing(&w, SEOUL_DNS, 5000);
    assert_true(probe_of(&w, SEOUL_DNS)->stale);
    assert_string_equal(probe_of(&w, SEOUL_DNS)->trouble, REASON);
    assert_int_equal(probe_of(&w, SEOUL_DNS)->detect.state, DETECT_UP);
    assert_int_equal(region_flags(&w, 0), 0);
    assert_int_equal(told_of(&w, SEOUL_DNS)->kind, HEALTH_EVENT_ALERT);
    assert_string_equal(told_of(&w, SEOUL_DNS)->to, "stale");
    assert_string_equal(told_of(&w, SEOUL_DNS)->reason, REASON);
    size_t before = w.told_count;
    give_nothing(&w, SEOUL_DNS, 60000);
    assert_int_equal(w.told_count, before); /* it is told of once */
    end(&w);
}

static void a_result_ends_being_stale(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    begin(&w);
    pass_all(&w);
    give_nothing(&w, SEOUL_DNS, 5000);
    give_times(&w, SEOUL_DNS, DETECT_PASS, 1);
    assert_false(probe_of(&w, SEOUL_DNS)->stale);
    assert_null(probe_of(&w, SEOUL_DNS)->trouble);
    assert_string_equal(told_of(&w, SEOUL_DNS)->from, "stale");
    assert_string_equal(told_of(&w, SEOUL_DNS)->to, "probed");
    end(&w);
}

static void what_is_down_stays_down_and_tells_that_it_is_old(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    begin(&w);
    pass_all(&w);
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    give_nothing(&w, SEOUL_DNS, 60000);
    assert_int_equal(probe_of(&w, SEOUL_DNS)->detect.state, DETECT_DOWN);
    assert_string_equal(probe_of(&w, SEOUL_DNS)->reason, "connection refused");
    assert_string_equal(probe_of(&w, SEOUL_DNS)->trouble, REASON);
    end(&w);
}

static void what_could_not_be_sent_is_worth_the_same(void **state)
{
    struct world w;
    (void)state;

    set_up_model(&w);
    begin(&w);
    pass_all(&w);
    struct health_probe *probe = probe_of(&w, SEOUL_DNS);
    w.now_ms += 5000;
    health_probe_trouble(w.health, probe, "too many open files", w.now_ms);
    assert_true(probe->stale);
    assert_string_equal(probe->trouble, "too many open files");
    end(&w);
}

static void an_endpoint_of_a_stale_probe_is_shown_as_that(void **state)
{
    struct health_endpoint_view shown;
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    begin(&w);
    pass_all(&w);
    health_view_endpoint(w.binding, 0, 0, 0, &shown);
    assert_string_equal(shown.state, "up");
    health_probe_trouble(w.health, health_probe(w.health, shown.probes[0]->slot), "no memory",
                         w.now_ms + 5000);
    health_view_endpoint(w.binding, 0, 0, 0, &shown);
    assert_string_equal(shown.state, "stale");
    end(&w);
}

/* The last that came of it was a failure: that is neither repeated nor taken back. */
static void nor_does_a_stale_probe_stay_suspect(void **state)
{
    struct health_endpoint_view shown;
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    begin(&w);
    pass_all(&w);
    health_view_endpoint(w.binding, 0, 0, 0, &shown);
    struct health_probe *probe = health_probe(w.health, shown.probes[0]->slot);
    uint32_t number = health_probe_sent(w.health, probe, w.now_ms);
    health_probe_result(w.health, probe, number, DETECT_STRONG, false, "refused", w.now_ms);
    health_view_endpoint(w.binding, 0, 0, 0, &shown);
    assert_string_equal(shown.state, "suspect");
    health_probe_trouble(w.health, probe, "no memory", w.now_ms + 5000);
    health_view_endpoint(w.binding, 0, 0, 0, &shown);
    assert_string_equal(shown.state, "stale");
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_never_been_probed_tells_why_at_once),
        cmocka_unit_test(one_probe_that_comes_to_nothing_is_no_news),
        cmocka_unit_test(a_probe_of_which_nothing_comes_any_more_is_stale_and_stays_up),
        cmocka_unit_test(a_result_ends_being_stale),
        cmocka_unit_test(what_is_down_stays_down_and_tells_that_it_is_old),
        cmocka_unit_test(what_could_not_be_sent_is_worth_the_same),
        cmocka_unit_test(an_endpoint_of_a_stale_probe_is_shown_as_that),
        cmocka_unit_test(nor_does_a_stale_probe_stay_suspect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
