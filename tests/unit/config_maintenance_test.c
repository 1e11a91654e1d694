#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/config_world.h"

/* Line 2 is the service s.example in region a, line 3 the section, line 4 its first entry. */
#define HEAD                                                                                       \
    REGIONS "services: {s.example: {minimum_healthy: 1, endpoints: {a: [192.0.2.1]}}}\n"           \
            "maintenance:\n"
#define ONCE(target, from, to)                                                                     \
    HEAD "  - {target: " target ", reason: why, from: " from ", to: " to "}\n"
#define WEEKLY(every, at, length)                                                                  \
    HEAD "  - {target: a, reason: why, every: " every ", at: " at ", for: " length "}\n"
#define FROM "2026-11-22T02:00:00Z"
#define TO   "2026-11-22T04:30:15Z"

static void a_window_comes_once(void **state)
{
    struct model *model = load_good(ONCE("a", FROM, TO));
    const struct model_maintenance *window = &model->maintenances[0];

    (void)state;
    assert_int_equal(model->maintenance_count, 1);
    assert_string_equal(window->target, "a");
    assert_string_equal(window->reason, "why");
    assert_false(window->weekly);
    assert_int_equal(window->from_s, 1795312800);
    assert_int_equal(window->to_s, 1795312800 + 9015);
    assert_int_equal(window->place.line, 4);
    model_free(model);
}

static void a_window_comes_on_days_of_the_week(void **state)
{
    static const struct {
        const char *text;
        uint8_t days;
        uint32_t start_s;
        uint32_t duration_s;
    } list[] = {
        { WEEKLY("sunday", "\"02:00\"", "2h"), 1, 7200, 7200 },
        { WEEKLY("[mon, tue]", "23:59", "1m"), 6, 86340, 60 },
        { WEEKLY("day", "00:00", "23h"), 127, 0, 82800 },
        { WEEKLY("[sat, sun]", "12:30", "30h"), 65, 45000, 108000 },
        { WEEKLY("wednesday", "00:00", "6d"), 8, 0, 518400 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(list); i++) {
        struct model *model = load_good(list[i].text);
        const struct model_maintenance *window = &model->maintenances[0];
        assert_true(window->weekly);
        assert_int_equal(window->weekdays, list[i].days);
        assert_int_equal(window->start_s, list[i].start_s);
        assert_int_equal(window->duration_s, list[i].duration_s);
        model_free(model);
    }
}

static void targets_are_regions_and_services_in_them(void **state)
{
    static const struct bad list[] = {
        { ONCE("c", FROM, TO), 4, 14, "nothing is called 'c'", NULL },
        { ONCE("b/s.example", FROM, TO), 4, 14, "nothing is called 'b/s.example'",
          "did you mean 'a/s.example'?" },
        { ONCE("a/s.exmple", FROM, TO), 4, 14, "nothing is called", "'a/s.example'" },
        { ONCE("\"x*\"", FROM, TO), 4, 14, "nothing is called 'x*'", NULL },
        { ONCE("192.0.2.1", FROM, TO), 4, 14, "nothing is called", "REGION or REGION/SERVICE" },
    };
    static const char *const good[] = { ONCE("\"*\"", FROM, TO), ONCE("a/s.example", FROM, TO),
                                        ONCE("\"*/*.example\"", FROM, TO),
                                        ONCE("\"[ab]\"", FROM, TO) };

    (void)state;
    expect_bad(list, COUNT_OF(list));
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        model_free(load_good(good[i]));
    }
}

static void windows_that_cannot_be_meant_are_refused(void **state)
{
    static const struct bad list[] = {
        { ONCE("a", TO, FROM), 4, 62, "is not after from", NULL },
        { ONCE("a", FROM, FROM), 4, 62, "is not after from", NULL },
        { ONCE("a", "2026-11-22", TO), 4, 36, "'2026-11-22' is not a time", "RFC 3339" },
        { ONCE("a", "2026-11-22T02:00:00+09:00", TO), 4, 36, "is not a time", "in UTC" },
        { ONCE("a", "2026-02-30T02:00:00Z", TO), 4, 36, "is not a time", NULL },
        { ONCE("a", "2026-11-22T24:00:00Z", TO), 4, 36, "is not a time", NULL },
        { ONCE("a", "2026-11-22t02:00:00Z", TO), 4, 36, "is not a time", NULL },
        { ONCE("a", "2026--1-22T02:00:00Z", TO), 4, 36, "is not a time", NULL },
        { HEAD "  - {reason: why, from: " FROM ", to: " TO "}\n", 4, 5, "target is required",
          "e.g. target" },
        { HEAD "  - {target: a, from: " FROM ", to: " TO "}\n", 4, 5, "reason is required",
          "e.g. reason" },
        { HEAD "  - {target: a, reason: x, from: " FROM "}\n", 4, 5, "to is required", NULL },
        { HEAD "  - {target: a, reason: x, from: " FROM ", to: " TO ", for: 2h}\n", 4, 82,
          "for: does not go with from and to", NULL },
        { HEAD "  - {target: a, reason: x, every: day, for: 2h}\n", 4, 5,
          "at is required with every", NULL },
        { HEAD "  - {target: a, reason: x, every: day, at: \"02:00\", for: 2h, to: " TO "}\n", 4,
          62, "to: does not go with every", NULL },
        { WEEKLY("sundy", "02:00", "2h"), 4, 37, "'sundy' is not a day", "did you mean 'sunday'?" },
        { WEEKLY("[mon, monday]", "02:00", "2h"), 4, 43, "monday is named twice", NULL },
        { WEEKLY("[day, mon]", "02:00", "2h"), 4, 43, "mon is named twice", NULL },
        { WEEKLY("[]", "02:00", "2h"), 4, 30, "there are no days", NULL },
        { WEEKLY("day", "2:00", "2h"), 4, 46, "'2:00' is not a time of the day", "\"02:00\"" },
        { WEEKLY("day", "24:00", "2h"), 4, 46, "is not a time of the day", NULL },
        { WEEKLY("day", "02:60", "2h"), 4, 46, "is not a time of the day", NULL },
        { WEEKLY("day", "02:00", "24h"), 4, 58, "it would never end", "leeward drain" },
        { WEEKLY("sunday", "02:00", "7d"), 4, 61, "it would never end", NULL },
        { WEEKLY("[mon, thu]", "02:00", "4d"), 4, 65, "it would never end", NULL },
        { WEEKLY("day", "02:00", "30s"), 4, 58, "1m to 7d", NULL },
        { HEAD "  - seoul\n", 4, 5, "must be a map of keys and values", NULL },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_comes_once),
        cmocka_unit_test(a_window_comes_on_days_of_the_week),
        cmocka_unit_test(targets_are_regions_and_services_in_them),
        cmocka_unit_test(windows_that_cannot_be_meant_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
