#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/config_value.h"

static void durations_have_a_unit(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {
        { "500ms", 500 },  { "0s", 0 },
        { "30s", 30000 },  { "5m", 300000 },
        { "2h", 7200000 }, { "3d", 259200000 },
        { "007s", 7000 },  { "213503982334d", 18446744073657600000ULL },
    };
    static const char *const bad[] = {
        "",    "5",  "0",    "s",     "1.5s",          "-1s",
        "5 s", "5S", "5sec", "1m30s", "213503982335d", "99999999999999999999s"
    };
    struct error err;
    uint64_t ms;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(config_value_ms(good[i].text, &ms, &err), 0);
        assert_true(ms == good[i].ms);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(config_value_ms(bad[i], &ms, &err), -22);
        assert_true(err.message[0] != '\0' && err.hint[0] != '\0');
    }
    (void)config_value_ms("5", &ms, &err);
    assert_string_equal(err.message, "'5' has no unit");
    (void)config_value_ms("5w", &ms, &err);
    assert_string_equal(err.message, "'5w' is not a duration: unknown unit 'w'");
}

static void sizes_rates_and_percentages_have_a_unit(void **state)
{
    struct error err;
    uint64_t value;

    (void)state;
    assert_int_equal(config_value_size("64MiB", &value, &err), 0);
    assert_true(value == 64u * 1024 * 1024);
    assert_int_equal(config_value_size("3B", &value, &err), 0);
    assert_true(value == 3);
    assert_true(config_value_size("64MB", &value, &err) < 0);
    assert_true(config_value_size("64", &value, &err) < 0);
    assert_int_equal(config_value_rate("900/s", &value, &err), 0);
    assert_true(value == 54000);
    assert_int_equal(config_value_rate("60/m", &value, &err), 0);
    assert_true(value == 60);
    assert_true(config_value_rate("900", &value, &err) < 0);
    assert_int_equal(config_value_percent("30%", &value, &err), 0);
    assert_true(value == 30);
    assert_true(config_value_percent("30", &value, &err) < 0);
}

static void a_switch_is_on_or_off(void **state)
{
    static const char *const bad[] = { "", "1", "yes", "y", "tru", "offf" };
    struct error err;
    bool on = false;

    (void)state;
    assert_true(config_value_bool("true", &on, &err) == 0 && on);
    assert_true(config_value_bool("off", &on, &err) == 0 && !on);
    assert_true(config_value_bool("On", &on, &err) == 0 && on);
    assert_true(config_value_bool("FALSE", &on, &err) == 0 && !on);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(config_value_bool(bad[i], &on, &err), -22);
        assert_true(err.message[0] != '\0' && err.hint[0] != '\0');
    }
}

static void counts_have_none(void **state)
{
    struct error err;
    uint64_t value;

    (void)state;
    assert_int_equal(config_value_count("18446744073709551615", &value, &err), 0);
    assert_true(value == UINT64_MAX);
    assert_true(config_value_count("18446744073709551616", &value, &err) < 0);
    assert_true(config_value_count("", &value, &err) < 0);
    assert_true(config_value_count("1s", &value, &err) < 0);
    assert_true(config_value_count("+1", &value, &err) < 0);
    assert_true(config_value_count("0x10", &value, &err) < 0);
}

static void a_minimum_is_a_count_or_a_percentage(void **state)
{
    struct model_minimum minimum;
    struct error err;

    (void)state;
    assert_int_equal(config_value_minimum("2", &minimum, &err), 0);
    assert_true(minimum.value == 2 && !minimum.percent);
    assert_int_equal(config_value_minimum("50%", &minimum, &err), 0);
    assert_true(minimum.value == 50 && minimum.percent);
    assert_true(config_value_minimum("101%", &minimum, &err) < 0);
    assert_true(config_value_minimum("4294967296", &minimum, &err) < 0);
    assert_true(config_value_minimum("%", &minimum, &err) < 0);
    assert_true(config_value_minimum("half", &minimum, &err) < 0);
}

static void a_duration_is_written_as_it_is_read(void **state)
{
    static const uint64_t list[] = { 0,     1,     999,     1000,     1500,
                                     60000, 61000, 3600000, 86400000, 90000000 };
    struct error err;
    uint64_t ms;

    (void)state;
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        struct text text = { 0 };
        config_value_put_ms(list[i], &text);
        assert_int_equal(config_value_ms(text_string(&text), &ms, &err), 0);
        assert_true(ms == list[i]);
        text_fini(&text);
    }
}

static void sizes_and_rates_are_written_as_they_are_read(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } sizes[] = {
        { 0, "0B" },
        { 1, "1B" },
        { 1024, "1KiB" },
        { 1536, "1536B" },
        { 64u << 20, "64MiB" },
        { 1ull << 36, "64GiB" },
    };
    struct error err;
    uint64_t value;

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct text text = { 0 };
        config_value_put_size(sizes[i].bytes, &text);
        assert_string_equal(text_string(&text), sizes[i].text);
        assert_int_equal(config_value_size(text_string(&text), &value, &err), 0);
        assert_true(value == sizes[i].bytes);
        text_fini(&text);
    }
    for (uint64_t rate = 0; rate < 200; rate++) {
        struct text text = { 0 };
        config_value_put_rate(rate, &text);
        assert_int_equal(config_value_rate(text_string(&text), &value, &err), 0);
        assert_true(value == rate);
        text_fini(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_have_a_unit),
        cmocka_unit_test(sizes_rates_and_percentages_have_a_unit),
        cmocka_unit_test(a_switch_is_on_or_off),
        cmocka_unit_test(counts_have_none),
        cmocka_unit_test(a_minimum_is_a_count_or_a_percentage),
        cmocka_unit_test(a_duration_is_written_as_it_is_read),
        cmocka_unit_test(sizes_and_rates_are_written_as_they_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
