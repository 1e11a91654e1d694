#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/health_world.h"

#define WITNESS "192.0.2.53:53"
#define OTHER   "198.51.100.53:53"

static struct addr witnesses[2];

static void set_up_window(struct world *w, uint32_t minimum, uint32_t cascade_window_ms)
{
    set_up_model(w);
    add_usual_service(w);
    witnesses[0] = address("192.0.2.53", 53);
    witnesses[1] = address("198.51.100.53", 53);
    w->model.guards.witnesses = witnesses;
    w->model.guards.witness_count = 2;
    w->model.guards.witness_minimum = minimum;
    w->model.guards.cascade_window_ms = cascade_window_ms;
    begin(w);
}

static void set_up_witnesses(struct world *w, uint32_t minimum)
{
    set_up_window(w, minimum, 0);
}

static bool is_isolated(const struct world *w)
{
    uint64_t since_ms;
    char reason[200];

    return health_is_isolated(w->health, &since_ms, reason, sizeof(reason));
}

/*
 * Time goes by, a probe of everything every 50 ms; `answers` says who is heard,
 * the others are silent. Ends when `for_ms` are over.
 */
typedef bool reaches(const struct health_probe *probe);

static bool nobody(const struct health_probe *probe)
{
    (void)probe;
    return false;
}

static bool everybody(const struct health_probe *probe)
{
    (void)probe;
    return true;
}

static bool witnesses_only(const struct health_probe *probe)
{
    return strncmp(probe->label, "witness", 7) == 0;
}

static bool tokyo_web_only(const struct health_probe *probe)
{
    return strncmp(probe->label, "tokyo http", 10) == 0;
}

struct flight {
    struct health_probe *probe;
    uint32_t number;
    uint64_t until_ms;
    bool passes;
};

static void run_checks(struct world *w, reaches *reached, uint64_t for_ms)
{
    enum {
        FLIGHTS = 1024
    };
    static struct flight flights[FLIGHTS];
    size_t count = 0;

    for (uint64_t end_ms = w->now_ms + for_ms; w->now_ms < end_ms; w->now_ms += 10) {
        w->told_count = 0;
        for (size_t i = 0; i < count;) {
            struct flight f = flights[i];
            if (w->now_ms < f.until_ms) {
                i++;
                continue;
            }
            flights[i] = flights[--count];
            health_probe_result(w->health, f.probe, f.number,
                                f.passes ? DETECT_PASS : DETECT_SILENT, false,
                                f.passes ? "answered" : "no answer", w->now_ms);
        }
        for (size_t i = 0; i < health_probe_count(w->health); i++) {
            struct health_probe *probe = health_probe(w->health, i);
            health_probe_tick(w->health, probe, w->now_ms);
            while (detect_is_due(&probe->detect, w->now_ms) && count < FLIGHTS) {
                bool passes = reached(probe);
                flights[count++] = (struct flight){
                    .probe = probe,
                    .number = health_probe_sent(w->health, probe, w->now_ms),
                    .until_ms = w->now_ms + (passes ? 10 : timing.timeout_ms),
                    .passes = passes,
                };
            }
        }
        if (health_wake_ms(w->health, w->now_ms) <= w->now_ms) {
            health_tick(w->health, w->now_ms);
        }
    }
    /* what is in flight is never heard of again */
    for (size_t i = 0; i < count; i++) {
        health_probe_result(w->health, flights[i].probe, flights[i].number, DETECT_VOID, false,
                            "cancelled", w->now_ms);
    }
}

struct words {
    uint32_t regions[REGIONS];
    uint64_t up[REGIONS], held[REGIONS];
};

static struct words words_of(const struct world *w)
{
    struct words words;

    memset(&words, 0, sizeof(words));
    for (unsigned i = 0; i < REGIONS; i++) {
        words.regions[i] = region_flags(w, i);
        words.up[i] = up(w, 0, i, ADDR_V4);
        words.held[i] = held(w, 0, i, ADDR_V4);
    }
    return words;
}

static void a_node_that_is_cut_off_goes_back_to_what_was_and_stays_there(void **state)
{
    uint64_t since_ms = 0;
    char reason[200];
    struct world w;
    (void)state;

    set_up_witnesses(&w, 1);
    run_checks(&w, everybody, 3000);
    /* this is true, and has nothing to do with what follows */
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    give_times(&w, "198.51.100.10:8080", DETECT_STRONG, 3);
    give_times(&w, SINGAPORE_DNS, DETECT_PASS, 1); /* for this was heard since */
    struct words before = words_of(&w);
    assert_int_equal(before.regions[0], HEALTH_REGION_GATED);
    assert_true(before.up[1] == 2);

    run_checks(&w, nobody, 5000);
    assert_true(health_is_isolated(w.health, &since_ms, reason, sizeof(reason)));
    assert_non_null(strstr(reason, "cut off"));
    assert_true(since_ms < w.now_ms);
    struct words frozen = words_of(&w);
    assert_memory_equal(&before, &frozen, sizeof(before));
    for (unsigned minute = 0; minute < 5; minute++) {
        run_checks(&w, nobody, 20000);
        frozen = words_of(&w);
        assert_memory_equal(&before, &frozen, sizeof(before));
    }
    end(&w);
}

static void overrides_act_while_it_is_cut_off(void **state)
{
    struct addr first = address("203.0.113.10", 0);
    struct world w;
    (void)state;

    set_up_witnesses(&w, 1);
    run_checks(&w, everybody, 3000);
    run_checks(&w, nobody, 5000);
    assert_true(is_isolated(&w));
    assert_true(health_override(w.health, "seoul", HEALTH_REGION_DRAINED, true, w.now_ms));
    assert_int_equal(region_flags(&w, 0), HEALTH_REGION_DRAINED);
    health_force_endpoint(w.health, &first, HEALTH_FORCE_DOWN, w.now_ms);
    assert_true(up(&w, 0, 0, ADDR_V4) == 2);
    end(&w);
}

static void the_first_success_ends_it_and_what_is_dead_is_found_again(void **state)
{
    struct world w;
    (void)state;

    set_up_witnesses(&w, 1);
    run_checks(&w, everybody, 3000);
    run_checks(&w, nobody, 30000);
    assert_true(is_isolated(&w));
    w.told_count = 0;
    give(&w, "198.51.100.10:8080", DETECT_PASS, "answered");
    assert_false(is_isolated(&w));
    const struct told *guard = &w.told[w.told_count - 1];
    assert_int_equal(guard->kind, HEALTH_EVENT_GUARD);
    assert_string_equal(guard->name, "isolation");
    assert_string_equal(guard->to, "connected");
    for (unsigned i = 0; i < REGIONS; i++) { /* nobody waits for hold_down */
        assert_true(up(&w, 0, i, ADDR_V4) == 3);
        assert_int_equal(region_flags(&w, i), 0);
    }
    run_checks(&w, tokyo_web_only, 5000);
    assert_false(is_isolated(&w)); /* something succeeds */
    assert_true(up(&w, 0, 0, ADDR_V4) == 0);
    assert_true(up(&w, 0, 1, ADDR_V4) == 3);
    end(&w);
}

static bool all_but_seoul(const struct health_probe *probe)
{
    return strncmp(probe->label, "seoul", 5) != 0;
}

static void what_left_while_it_was_cut_off_opens_no_cascade_window(void **state)
{
    struct world w;
    (void)state;

    set_up_window(&w, 1, 3600000);
    run_checks(&w, everybody, 3000);
    run_checks(&w, nobody, 10000);
    assert_true(is_isolated(&w));
    run_checks(&w, everybody, 3000);
    assert_false(is_isolated(&w));
    run_checks(&w, all_but_seoul, 10000);
    assert_true(up(&w, 0, 0, ADDR_V4) == 0); /* silence is enough, nothing has left before */
    assert_true((region_flags(&w, 0) & HEALTH_REGION_GATED) != 0);
    end(&w);
}

#define LATER_MS 150 /* than the witness the targets are reached again */

static const struct world *thawing;
static uint64_t thawed_ms; /* 0: not yet */

/* The network comes back when it has been missed; who has not left by then does not leave. */
static bool nobody_until_isolated(const struct health_probe *probe)
{
    if (thawed_ms != 0 && !is_isolated(thawing)) {
        for (unsigned i = 0; i < REGIONS; i++) {
            assert_int_equal(region_flags(thawing, i), 0);
            assert_true(up(thawing, 0, i, ADDR_V4) == 3);
        }
    }
    if (thawed_ms == 0 && is_isolated(thawing)) {
        thawed_ms = thawing->now_ms;
    }
    return thawed_ms != 0 && (witnesses_only(probe) || thawing->now_ms >= thawed_ms + LATER_MS);
}

static void what_was_lost_while_it_was_cut_off_counts_no_more_when_it_is_not(void **state)
{
    (void)state;

    for (uint32_t fall = 10; fall <= 60; fall += 2) { /* so that some are about to leave */
        struct world w;
        set_up_model(&w);
        for (unsigned i = 0; i < REGIONS; i++) {
            w.canaries[i][0].timing.silent_fall = fall;
        }
        w.web.timing.silent_fall = fall;
        add_usual_service(&w);
        witnesses[0] = address("192.0.2.53", 53);
        w.model.guards.witnesses = witnesses;
        w.model.guards.witness_count = 1;
        w.model.guards.witness_minimum = 1;
        begin(&w);
        run_checks(&w, everybody, 3000);
        thawing = &w;
        thawed_ms = 0;
        run_checks(&w, nobody_until_isolated, 6000);
        assert_true(thawed_ms != 0);
        assert_false(is_isolated(&w));
        end(&w);
    }
}

static void a_witness_that_answers_says_that_the_world_is_down(void **state)
{
    struct world w;
    (void)state;

    set_up_witnesses(&w, 1);
    run_checks(&w, everybody, 3000);
    run_checks(&w, witnesses_only, 10000);
    assert_false(is_isolated(&w));
    assert_true(up(&w, 0, 0, ADDR_V4) == 0);
    end(&w);
}

static void a_target_that_answers_says_that_witnesses_are_down(void **state)
{
    struct world w;
    (void)state;

    set_up_witnesses(&w, 2);
    run_checks(&w, everybody, 3000);
    run_checks(&w, tokyo_web_only, 10000);
    assert_false(is_isolated(&w));
    end(&w);
}

static bool programs_only(const struct health_probe *probe)
{
    return probe->check->kind == MODEL_CHECK_EXEC;
}

static void set_up_program(struct world *w, bool alone)
{
    static const char *const arguments[] = { "/bin/true", NULL };
    static const struct model_check program = {
        .kind = MODEL_CHECK_EXEC, .timing = timing, .arguments = arguments, .argument_count = 1
    };

    set_up_model(w);
    add_usual_service(w);
    if (alone) {
        w->web = program;
        for (unsigned i = 0; i < REGIONS; i++) {
            w->regions[i].check_count = 0;
            w->regions[i].minimum_healthy.value = 0;
        }
    }
    unsigned s = add_service(w, 1);
    add_endpoint(w, s, 0, "203.0.113.90");
    w->services[s].checks = &program;
    w->services[s].check_count = 1;
    witnesses[0] = address("192.0.2.53", 53);
    w->model.guards.witnesses = witnesses;
    w->model.guards.witness_count = 1;
    w->model.guards.witness_minimum = 1;
    begin(w);
}

/* It may be content with a file of this node's. */
static void a_program_that_passes_does_not_say_that_the_network_works(void **state)
{
    struct world w;
    (void)state;

    set_up_program(&w, false);
    run_checks(&w, everybody, 3000);
    run_checks(&w, programs_only, 10000);
    assert_true(is_isolated(&w));
    assert_true(up(&w, 0, 0, ADDR_V4) == 3);
    run_checks(&w, tokyo_web_only, 3000);
    assert_false(is_isolated(&w));
    end(&w);
}

/* And may have asked the network: what goes down with everything else counts as it stood. */
static void where_all_checks_are_programs_the_witnesses_tell(void **state)
{
    struct world w;
    (void)state;

    set_up_program(&w, true);
    run_checks(&w, everybody, 3000);
    run_checks(&w, nobody, 10000);
    assert_true(is_isolated(&w));
    assert_true(up(&w, 0, 0, ADDR_V4) == 3);
    run_checks(&w, programs_only, 3000);
    assert_true(is_isolated(&w));
    run_checks(&w, witnesses_only, 3000);
    assert_false(is_isolated(&w));
    end(&w);
}

static bool all_but_witnesses(const struct health_probe *probe)
{
    return !witnesses_only(probe);
}

static void a_witness_never_reached_does_not_count(void **state)
{
    struct world w;
    (void)state;

    set_up_witnesses(&w, 1);
    run_checks(&w, all_but_witnesses, 5000);
    run_checks(&w, nobody, 10000);
    assert_false(is_isolated(&w));
    assert_true(up(&w, 0, 0, ADDR_V4) == 0);
    end(&w);
}

static void whatever_comes_back_from_a_witness_is_an_answer(void **state)
{
    static const struct {
        enum detect_outcome outcome;
        const char *reason;
        enum detect_state state;
    } cases[] = {
        { DETECT_STRONG, "SERVFAIL", DETECT_UP },
        { DETECT_STRONG, "connection refused", DETECT_UP },
        { DETECT_NEUTRAL, "NXDOMAIN for .", DETECT_UP },
        { DETECT_STRONG, "network unreachable", DETECT_DOWN },
        { DETECT_SILENT, "no answer within 500ms", DETECT_DOWN },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world w;
        set_up_witnesses(&w, 1);
        give(&w, WITNESS, cases[i].outcome, cases[i].reason);
        assert_int_equal(probe_of(&w, WITNESS)->detect.state, cases[i].state);
        assert_int_equal(probe_of(&w, OTHER)->detect.state, DETECT_UNKNOWN);
        end(&w);
    }
}

static void a_witness_that_is_also_a_canary_is_probed_as_both(void **state)
{
    struct world w;
    (void)state;

    set_up_witnesses(&w, 1);
    struct health_binding *old = w.binding;
    add_canary(&w, 0, "192.0.2.53");
    w.canaries[0][1].query_name = ".";
    w.canaries[0][1].query_type = 2;
    w.canaries[0][1].timing = probe_of(&w, WITNESS)->detect.timing;
    size_t count = probes_in_use(&w);
    w.binding = bind_model(&w);
    assert_int_equal(probes_in_use(&w), count + 1);
    health_commit(w.health, w.binding, w.now_ms);
    health_unbind(w.health, old);
    end(&w);
}

/* Random outages; whenever the node is cut off, what it answers is what it answered before. */
static void freezing_and_thawing_at_random_lose_nothing(void **state)
{
    static reaches *const networks[] = { nobody, everybody, witnesses_only, tokyo_web_only };
    (void)state;

    for (uint32_t seed = 0; seed < 8; seed++) {
        uint64_t dice = seed;
        struct world w;
        set_up_witnesses(&w, 1 + seed % 2);
        run_checks(&w, everybody, 3000);
        for (unsigned n = 0; n < 12; n++) {
            reaches *network = networks[roll(&dice, 4)];
            bool was_isolated = is_isolated(&w);
            struct words before = words_of(&w);
            run_checks(&w, network, 500 + roll(&dice, 15000));
            struct words after = words_of(&w);
            if (was_isolated && is_isolated(&w)) {
                assert_memory_equal(&before, &after, sizeof(before));
            }
            assert_true(!is_isolated(&w) || network == nobody);
            if (is_isolated(&w)) { /* something was up before, so something is */
                assert_true((after.up[0] | after.up[1] | after.up[2] | after.held[0] |
                             after.held[1] | after.held[2]) != 0 ||
                            (before.up[0] | before.up[1] | before.up[2]) == 0);
            }
        }
        run_checks(&w, everybody, 400000);
        assert_false(is_isolated(&w));
        for (unsigned i = 0; i < REGIONS; i++) {
            assert_true(up(&w, 0, i, ADDR_V4) == 3);
            assert_int_equal(region_flags(&w, i), 0);
        }
        end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_that_is_cut_off_goes_back_to_what_was_and_stays_there),
        cmocka_unit_test(overrides_act_while_it_is_cut_off),
        cmocka_unit_test(the_first_success_ends_it_and_what_is_dead_is_found_again),
        cmocka_unit_test(what_left_while_it_was_cut_off_opens_no_cascade_window),
        cmocka_unit_test(what_was_lost_while_it_was_cut_off_counts_no_more_when_it_is_not),
        cmocka_unit_test(a_witness_that_answers_says_that_the_world_is_down),
        cmocka_unit_test(a_target_that_answers_says_that_witnesses_are_down),
        cmocka_unit_test(a_program_that_passes_does_not_say_that_the_network_works),
        cmocka_unit_test(where_all_checks_are_programs_the_witnesses_tell),
        cmocka_unit_test(a_witness_never_reached_does_not_count),
        cmocka_unit_test(whatever_comes_back_from_a_witness_is_an_answer),
        cmocka_unit_test(a_witness_that_is_also_a_canary_is_probed_as_both),
        cmocka_unit_test(freezing_and_thawing_at_random_lose_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
