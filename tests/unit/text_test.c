#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void text_grows_with_what_is_put(void **state)
{
    struct text text = { 0 };

    (void)state;
    assert_string_equal(text_string(&text), "");
    for (int i = 0; i < 1000; i++) {
        text_put(&text, "ab");
        text_put_char(&text, 'c');
        text_put_bytes(&text, "de", 2);
        text_printf(&text, "%d", i % 10);
    }
    assert_int_equal(text.length, 6000);
    assert_int_equal(strlen(text_string(&text)), 6000);
    assert_memory_equal(text_string(&text), "abcde0abcde1", 12);
    text_put_bytes(&text, NULL, 0);
    assert_int_equal(text.length, 6000);
    assert_false(text_failed(&text));
    text_fini(&text);
    assert_int_equal(text.length, 0);
    assert_string_equal(text_string(&text), "");
}

static void a_size_that_cannot_be_is_remembered_as_failure(void **state)
{
    struct text text = { 0 };

    (void)state;
    text_put(&text, "kept");
    text_put_bytes(&text, "x", SIZE_MAX - 2);
    assert_true(text_failed(&text));
    text_put(&text, "more");
    text_printf(&text, "%d", 1);
    assert_string_equal(text_string(&text), "kept");
    text_fini(&text);
    assert_false(text_failed(&text));
}

static void durations_are_for_people(void **state)
{
    static const struct {
        unsigned long long ms;
        const char *text;
    } cases[] = {
        { 0, "0ms" },         { 850, "850ms" },      { 999, "999ms" },      { 1000, "1s" },
        { 12999, "12s" },     { 59999, "59s" },      { 60000, "1m 0s" },    { 185000, "3m 5s" },
        { 3600000, "1h 0m" }, { 7800000, "2h 10m" }, { 86400000, "1d 0h" }, { 356400000, "4d 3h" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text text = { 0 };
        text_put_duration(&text, cases[i].ms);
        assert_string_equal(text_string(&text), cases[i].text);
        text_fini(&text);
    }
}

static void the_nearest_word_is_what_was_meant(void **state)
{
    static const char *const words[] = { "weight", "listen", "interval", "regions", "rise" };
    static const struct {
        const char *word;
        const char *nearest;
    } cases[] = {
        { "wieght", "weight" },  { "weigth", "weight" },  { "weight", "weight" },
        { "lisen", "listen" },   { "listenn", "listen" }, { "intervall", "interval" },
        { "region", "regions" }, { "rsie", "rise" },      { "xyzzyxyzzy", NULL },
        { "port", NULL },
    };
    char long_word[200];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *nearest = text_nearest(cases[i].word, words, 5);
        if (cases[i].nearest == NULL) {
            assert_null(nearest);
        } else {
            assert_string_equal(nearest, cases[i].nearest);
        }
    }
    memset(long_word, 'a', sizeof(long_word) - 1);
    long_word[sizeof(long_word) - 1] = '\0';
    assert_null(text_nearest(long_word, words, 5));
    const char *const longs[] = { long_word, "short" };
    assert_string_equal(text_nearest("shrt", longs, 2), "short");
    assert_null(text_nearest("anything", NULL, 0));
    assert_null(text_nearest("", words, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_grows_with_what_is_put),
        cmocka_unit_test(a_size_that_cannot_be_is_remembered_as_failure),
        cmocka_unit_test(durations_are_for_people),
        cmocka_unit_test(the_nearest_word_is_what_was_meant),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
