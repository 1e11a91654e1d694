#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "policy/checks/check_push.h"
#include "tests/unit/probe_world.h"

#define LONG_MS 3600000u

static void report(const char *target, enum push_state state, uint32_t ttl_ms, const char *message,
                   uint64_t at_ms)
{
    assert_int_equal(push_board_report(check_push_board(), target, state, ttl_ms, message, at_ms),
                     0);
}

static void a_report_is_the_verdict(void **state)
{
    uint64_t now = clock_now_ms();
    struct probe_world w;

    (void)state;
    probe_world_init(&w, MODEL_CHECK_PUSH, "203.0.113.10");
    w.probe.used = true;
    w.check.name = "queue";
    w.check.push_ttl_ms = LONG_MS;
    assert_probe(&w, DETECT_NEUTRAL, "not reported yet");
    report("queue", PUSH_UP, LONG_MS, "", now);
    assert_probe(&w, DETECT_PASS, "reported up");
    report("queue", PUSH_DEGRADED, LONG_MS, "9,000 waiting", now);
    assert_probe(&w, DETECT_WARNING, "reported degraded: 9,000 waiting");
    report("queue/203.0.113.10", PUSH_DOWN, LONG_MS, "disk full", now);
    assert_probe(&w, DETECT_STRONG, "reported down: disk full");
    probe_world_fini(&w);
}

static void silence_of_whoever_reports_is_evidence(void **state)
{
    struct probe_world w;

    (void)state;
    probe_world_init(&w, MODEL_CHECK_PUSH, NULL);
    w.probe.used = true;
    w.check.name = "batch";
    w.check.push_ttl_ms = LONG_MS;
    /* before now by more than the test takes to be scheduled */
    report("batch", PUSH_UP, 1, "", clock_now_ms() - 4 * 3600 * 1000ull);
    assert_probe(&w, DETECT_STRONG, "no report for 4h 0m");
    probe_world_fini(&w);
}

static void one_that_was_never_reported_fails_when_its_time_is_over(void **state)
{
    struct probe_world w;

    (void)state;
    probe_world_init(&w, MODEL_CHECK_PUSH, NULL);
    w.probe.used = true;
    w.check.host = "api.example.com"; /* written in the service, without a name */
    w.check.push_ttl_ms = LONG_MS;
    assert_probe(&w, DETECT_NEUTRAL, "not reported yet");
    w.check.push_ttl_ms = 0;
    probe_start(&w);
    probe_wait_gone(&w);
    assert_int_equal(w.outcome, DETECT_STRONG);
    assert_memory_equal(w.reason, "no report for ", 14);
    probe_world_fini(&w);
}

static void a_report_is_about_probes_by_name_and_address(void **state)
{
    struct probe_world w;

    (void)state;
    probe_world_init(&w, MODEL_CHECK_PUSH, "[2001:db8::1]:80");
    w.probe.used = true;
    w.check.name = "queue";
    assert_true(check_push_is_about(&w.probe, "queue"));
    assert_true(check_push_is_about(&w.probe, "queue/2001:db8::1"));
    assert_false(check_push_is_about(&w.probe, "queue/2001:db8::2"));
    assert_false(check_push_is_about(&w.probe, "queues"));
    assert_false(check_push_is_about(&w.probe, "queue/"));
    w.check.kind = MODEL_CHECK_TCP;
    assert_false(check_push_is_about(&w.probe, "queue"));
    probe_world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_is_the_verdict),
        cmocka_unit_test(silence_of_whoever_reports_is_evidence),
        cmocka_unit_test(one_that_was_never_reported_fails_when_its_time_is_over),
        cmocka_unit_test(a_report_is_about_probes_by_name_and_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
