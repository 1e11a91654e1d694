#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/health_note.h"
#include "tests/unit/health_world.h"

#define SEOUL_DNS "10.1.0.2:53"
#define TOKYO_DNS "10.2.0.2:53"
#define FIRST     "203.0.113.10:8080"

static void begin_all(struct world *w)
{
    set_up_model(w);
    add_usual_service(w);
    begin(w);
    pass_all(w);
}

static void fail_first(struct world *w, unsigned times, enum detect_outcome outcome,
                       const char *reason)
{
    struct health_probe *probe = probe_of(w, FIRST);

    for (unsigned i = 0; i < times; i++) {
        uint32_t number = health_probe_sent(w->health, probe, w->now_ms);
        health_probe_result(w->health, probe, number, outcome, false, reason, w->now_ms);
    }
}

static bool note_first(const struct world *w, struct health_note *out)
{
    return health_note_endpoint(w->binding, 0, 0, ADDR_V4, 0, out);
}

static void what_is_well_has_no_note(void **state)
{
    struct health_note note;
    struct world w;
    (void)state;

    begin_all(&w);
    assert_false(note_first(&w, &note));
    assert_false(health_note_region(w.binding, 0, &note));
    fail_first(&w, 2, DETECT_STRONG, "connection refused"); /* suspected */
    assert_false(note_first(&w, &note));
    assert_false(health_note_endpoint(w.binding, 0, 0, ADDR_V6, 5, &note)); /* there is none */
    end(&w);
}

static void a_verdict_is_noted_with_check_and_evidence(void **state)
{
    struct health_note note;
    struct world w;
    (void)state;

    begin_all(&w);
    w.now_ms += 70;
    fail_first(&w, 3, DETECT_STRONG, "connection refused");
    assert_true(note_first(&w, &note));
    assert_int_equal(note.since_ms, w.now_ms);
    assert_int_equal(note.until_ms, 0);
    assert_int_equal(note.hold_ms, timing.hold_down_ms);
    assert_non_null(strstr(note.text, FIRST));
    assert_non_null(strstr(note.text, ": connection refused, 3 of 3 in a row"));
    assert_false(health_note_endpoint(w.binding, 0, 0, ADDR_V4, 1, &note));

    fail_first(&w, 2, DETECT_PASS, "status 200");
    assert_true(note_first(&w, &note));
    assert_int_equal(note.until_ms, w.now_ms + timing.hold_down_ms);
    assert_non_null(strstr(note.text, " passes again"));
    fail_first(&w, 1, DETECT_STRONG, "status 500"); /* hold_down is over at once, and badly */
    assert_true(note_first(&w, &note));
    assert_int_equal(note.until_ms, 0);
    assert_non_null(strstr(note.text, ": status 500"));
    assert_null(strstr(note.text, "in a row")); /* it decided alone */
    end(&w);
}

static void weighed_evidence_is_told_as_such(void **state)
{
    struct health_note note;
    struct world w;
    (void)state;

    set_up_model(&w);
    w.web.timing.fall_auto = true;
    w.web.timing.false_alarm_ms = 30u * 24 * 3600 * 1000ull;
    add_usual_service(&w);
    begin(&w);
    pass_all(&w);
    fail_first(&w, 3, DETECT_STRONG, "connection refused");
    assert_true(note_first(&w, &note));
    assert_non_null(strstr(note.text, "connection refused, 3 in a row, evidence "));
    end(&w);
}

static void what_recovers_loses_its_note(void **state)
{
    struct health_note note;
    struct world w;
    (void)state;

    begin_all(&w);
    fail_first(&w, 3, DETECT_STRONG, "connection refused");
    bring_back(&w, FIRST);
    assert_false(note_first(&w, &note));
    end(&w);
}

static void a_region_is_noted_with_the_worst_of_its_checks(void **state)
{
    struct health_note note;
    struct world w;
    (void)state;

    begin_all(&w);
    w.now_ms += 5;
    give_times(&w, SEOUL_DNS, DETECT_STRONG, 3);
    assert_true(health_note_region(w.binding, 0, &note));
    assert_int_equal(note.since_ms, w.now_ms);
    assert_int_equal(note.hold_ms, timing.hold_down_ms);
    assert_non_null(strstr(note.text, "0 of 1 checks pass, minimum_healthy 1; "));
    assert_non_null(strstr(note.text, "10.1.0.2:53"));
    assert_non_null(strstr(note.text, ", 3 of 3 in a row"));
    give_times(&w, SEOUL_DNS, DETECT_PASS, 2);
    assert_true(health_note_region(w.binding, 0, &note));
    assert_int_equal(note.until_ms, w.now_ms + timing.hold_down_ms);
    bring_back(&w, SEOUL_DNS);
    assert_false(health_note_region(w.binding, 0, &note));

    assert_true(health_override(w.health, "tokyo", HEALTH_REGION_DRAINED, true, w.now_ms));
    assert_true(health_note_region(w.binding, 1, &note));
    assert_int_equal(note.since_ms, w.now_ms);
    assert_string_equal(note.text, "");
    assert_true(health_override(w.health, "tokyo", HEALTH_REGION_DRAINED, false, w.now_ms));
    assert_false(health_note_region(w.binding, 1, &note));
    end(&w);
}

static void what_is_too_long_ends_in_dots_and_in_whole_letters(void **state)
{
    struct health_note note;
    char reason[240];
    struct world w;
    (void)state;

    begin_all(&w);
    for (size_t shift = 0; shift < 3; shift++) {
        memset(reason, 'x', shift);
        for (size_t i = shift; i + 3 < sizeof(reason); i += 3) {
            memcpy(reason + i, "\xe2\x82\xac", 4); /* the euro sign */
        }
        fail_first(&w, 3, DETECT_STRONG, reason);
        assert_true(note_first(&w, &note));
        size_t length = strlen(note.text);
        assert_true(length < HEALTH_NOTE_TEXT && length + 4 >= HEALTH_NOTE_TEXT - 3);
        assert_string_equal(note.text + length - 6, "\xe2\x82\xac...");
        bring_back(&w, FIRST);
    }
    end(&w);
}

/* ---- while it is written ---- */

struct reader {
    const struct world *world;
    atomic_bool is_over;
    unsigned torn; /* notes that are half one and half the other */
    unsigned read;
};

static void *read_notes(void *user)
{
    struct reader *reader = user;
    struct health_note note;

    while (!atomic_load(&reader->is_over)) {
        if (!note_first(reader->world, &note)) {
            continue;
        }
        bool is_held = strstr(note.text, "passes again") != NULL;
        bool is_down = strstr(note.text, "connection refused") != NULL;
        reader->read++;
        reader->torn += is_held == is_down || is_held != (note.until_ms != 0);
    }
    return NULL;
}

static void no_reader_sees_half_a_note(void **state)
{
    struct reader reader = { .torn = 0 };
    pthread_t thread;
    struct world w;
    (void)state;

    begin_all(&w);
    w.told_count = 0;
    reader.world = &w;
    assert_int_equal(pthread_create(&thread, NULL, read_notes, &reader), 0);
    for (unsigned i = 0; i < 5000; i++) {
        fail_first(&w, 3, DETECT_STRONG, "connection refused");
        fail_first(&w, 2, DETECT_PASS, "status 200");
        w.told_count = 0;
    }
    atomic_store(&reader.is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reader.torn, 0);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_well_has_no_note),
        cmocka_unit_test(a_verdict_is_noted_with_check_and_evidence),
        cmocka_unit_test(weighed_evidence_is_told_as_such),
        cmocka_unit_test(what_recovers_loses_its_note),
        cmocka_unit_test(a_region_is_noted_with_the_worst_of_its_checks),
        cmocka_unit_test(what_is_too_long_ends_in_dots_and_in_whole_letters),
        cmocka_unit_test(no_reader_sees_half_a_note),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
