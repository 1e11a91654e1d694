#include "base/json_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void commas_stand_between_values_only(void **state)
{
    struct text text = { 0 };
    struct json_writer json;

    (void)state;
    json_writer_init(&json, &text);
    json_writer_object_begin(&json, NULL);
    json_writer_string(&json, "name", "seoul");
    json_writer_list_begin(&json, "empty");
    json_writer_list_end(&json);
    json_writer_list_begin(&json, "list");
    json_writer_uint(&json, NULL, 0);
    json_writer_uint(&json, NULL, UINT64_MAX);
    json_writer_int(&json, NULL, INT64_MIN);
    json_writer_object_begin(&json, NULL);
    json_writer_object_end(&json);
    json_writer_null(&json, NULL);
    json_writer_list_end(&json);
    json_writer_object_begin(&json, "inner");
    json_writer_bool(&json, "up", true);
    json_writer_bool(&json, "down", false);
    json_writer_object_end(&json);
    json_writer_null(&json, "nothing");
    json_writer_object_end(&json);
    assert_string_equal(text_string(&text),
                        "{\"name\":\"seoul\",\"empty\":[],\"list\":[0,18446744073709551615,"
                        "-9223372036854775808,{},null],\"inner\":{\"up\":true,\"down\":false},"
                        "\"nothing\":null}");
    text_fini(&text);
}

static void strings_are_escaped(void **state)
{
    static const struct {
        const char *value;
        const char *quoted;
    } cases[] = {
        { "", "\"\"" },
        { "a\"b\\c", "\"a\\\"b\\\\c\"" },
        { "line\nend", "\"line\\nend\"" },
        { "\x01\t\r\x7f", "\"\\u0001\\u0009\\u000d\\u007f\"" },
        { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"" },
        { "</script>", "\"</script>\"" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text text = { 0 };
        json_writer_put_quoted(&text, cases[i].value);
        assert_string_equal(text_string(&text), cases[i].quoted);
        text_fini(&text);
    }
}

#define REPLACED "\xef\xbf\xbd"

static void what_is_not_utf_8_is_replaced(void **state)
{
    static const struct {
        const char *value;
        const char *quoted;
    } cases[] = {
        { "\x80", "\"" REPLACED "\"" },
        { "\xc3", "\"" REPLACED "\"" },
        { "\xc3(", "\"" REPLACED "(\"" },
        { "\xc0\xaf", "\"" REPLACED REPLACED "\"" },              /* overlong */
        { "\xe0\x80\xaf", "\"" REPLACED REPLACED REPLACED "\"" }, /* overlong */
        { "\xed\xa0\x80", "\"" REPLACED REPLACED REPLACED "\"" }, /* surrogate */
        { "\xf4\x90\x80\x80", "\"" REPLACED REPLACED REPLACED REPLACED "\"" },
        { "\xf0\x9f\x98", "\"" REPLACED REPLACED REPLACED "\"" }, /* cut */
        { "\xff\xfe", "\"" REPLACED REPLACED "\"" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text text = { 0 };
        json_writer_put_quoted(&text, cases[i].value);
        assert_string_equal(text_string(&text), cases[i].quoted);
        text_fini(&text);
    }
}

static void random_bytes_never_break_the_quotes(void **state)
{
    (void)state;
    srand(3);
    for (int round = 0; round < 50000; round++) {
        char value[24];
        struct text text = { 0 };
        for (size_t i = 0; i + 1 < sizeof(value); i++) {
            value[i] = (char)(1 + rand() % 255);
        }
        value[sizeof(value) - 1] = '\0';
        json_writer_put_quoted(&text, value);
        const unsigned char *s = (const unsigned char *)text_string(&text);
        assert_int_equal(s[0], '"');
        assert_int_equal(s[text.length - 1], '"');
        for (size_t i = 1; i + 1 < text.length; i++) {
            assert_true(s[i] >= 0x20 && s[i] != '"');
            if (s[i] == '\\') {
                i++;
                assert_non_null(strchr("\"\\nu", s[i]));
            }
        }
        text_fini(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_stand_between_values_only),
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(what_is_not_utf_8_is_replaced),
        cmocka_unit_test(random_bytes_never_break_the_quotes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
