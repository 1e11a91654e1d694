#include "zones/name.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t example_com[] = "\7example\3com";

static void text_becomes_wire_form_and_text_again(void **state)
{
    static const struct {
        const char *text;
        const char *wire;
        size_t length; /* without the root, which the string's end is */
        const char *formatted;
    } cases[] = {
        { ".", "", 0, "." },
        { "com", "\3com", 4, "com" },
        { "com.", "\3com", 4, "com" },
        { "Example.COM", "\7example\3com", 12, "example.com" },
        { "a\\.b.c", "\3a.b\1c", 6, "a\\.b.c" },
        { "a\\066c", "\3abc", 4, "abc" },
        { "\\000.x", "\1\0\1x", 4, "\\000.x" },
        { "\\255\\032", "\2\377 ", 3, "\\255\\032" },
        { "a\\\\b", "\3a\\b", 4, "a\\\\b" },
        { "\\@.\\;", "\1@\1;", 4, "\\@.\\;" },
        { "_sip._tcp.x-y", "\4_sip\4_tcp\3x-y", 14, "_sip._tcp.x-y" },
        { "*.x", "\1*\1x", 4, "*.x" },
        { "xn--bcher-kva", "\15xn--bcher-kva", 14, "xn--bcher-kva" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t wire[NAME_MAX_BYTES];
        char text[NAME_TEXT_MAX];
        struct error err;
        assert_int_equal(name_parse(cases[i].text, wire, &err), cases[i].length + 1);
        assert_memory_equal(wire, cases[i].wire, cases[i].length + 1);
        assert_int_equal(name_length(wire), cases[i].length + 1);
        assert_int_equal(name_format(wire, text, sizeof(text)), strlen(cases[i].formatted));
        assert_string_equal(text, cases[i].formatted);
    }
}

static void broken_text_is_refused_and_explained(void **state)
{
    static const char *const cases[] = {
        "", "..", ".a", "a..b", "a.b..", "\\", "a\\", "\\1", "\\12", "\\12x", "\\256", "\\999",
    };
    uint8_t wire[NAME_MAX_BYTES];

    (void)state;
    memset(wire, 0xaa, sizeof(wire));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = { 0 };
        assert_int_equal(name_parse(cases[i], wire, &err), -EINVAL);
        assert_int_equal(err.code, -EINVAL);
        assert_true(err.message[0] != '\0');
        assert_int_equal(wire[0], 0xaa); /* untouched */
    }
}

/* `count` letters, then `tail`. */
static void letters(char *out, size_t count, const char *tail)
{
    memset(out, 'a', count);
    strcpy(out + count, tail);
}

static void a_label_of_63_bytes_is_taken_and_64_refused(void **state)
{
    uint8_t wire[NAME_MAX_BYTES];
    char text[128];
    struct error err;

    (void)state;
    letters(text, 63, ".x");
    assert_int_equal(name_parse(text, wire, &err), 63 + 1 + 2 + 1);
    letters(text, 64, ".x");
    assert_int_equal(name_parse(text, wire, &err), -EINVAL);
    letters(text, 64, "");
    assert_int_equal(name_parse(text, wire, &err), -EINVAL);
}

static void a_name_of_255_bytes_is_taken_and_256_refused(void **state)
{
    uint8_t wire[NAME_MAX_BYTES];
    char text[512];
    char back[NAME_TEXT_MAX];
    struct error err;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        letters(text + 64 * i, 63, ".");
    }
    letters(text + 192, 61, "");
    assert_int_equal(name_parse(text, wire, &err), 255);
    assert_int_equal(name_length(wire), 255);
    assert_int_equal(name_format(wire, back, sizeof(back)), 253);
    assert_string_equal(back, text);
    letters(text + 192, 62, "");
    assert_int_equal(name_parse(text, wire, &err), -EINVAL);
    letters(text + 192, 61, ".a");
    assert_int_equal(name_parse(text, wire, &err), -EINVAL);

    for (size_t i = 0; i < 127; i++) {
        letters(text + 2 * i, 1, ".");
    }
    assert_int_equal(name_parse(text, wire, &err), 255);
    assert_int_equal(name_labels(wire), NAME_MAX_LABELS);
    strcat(text, "a");
    assert_int_equal(name_parse(text, wire, &err), -EINVAL);
}

static void the_longest_text_of_a_name_fits(void **state)
{
    uint8_t wire[NAME_MAX_BYTES];
    char text[NAME_TEXT_MAX];
    char cut[8];
    size_t at = 0;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        size_t length = i < 3 ? 63 : 61;
        wire[at++] = (uint8_t)length;
        memset(wire + at, 0xff, length);
        at += length;
    }
    wire[at++] = 0;
    assert_int_equal(at, 255);
    assert_int_equal(name_format(wire, text, sizeof(text)), 250 * 4 + 3);
    assert_int_equal(name_format(wire, cut, sizeof(cut)), 7);
    assert_string_equal(cut, "\\255\\25");
}

static void relative_text_is_below_its_origin(void **state)
{
    static const struct {
        const char *text;
        const char *formatted;
    } cases[] = {
        { "www", "www.example.com" },
        { "a.b", "a.b.example.com" },
        { "www.", "www" },
        { "@", "example.com" },
        { ".", "." },
        { "\\@", "\\@.example.com" },
        { "a\\.", "a\\..example.com" },
        { "A.Example.com", "a.example.com.example.com" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t wire[NAME_MAX_BYTES];
        char text[NAME_TEXT_MAX];
        struct error err;
        int length = name_parse_within(cases[i].text, example_com, wire, &err);
        assert_int_equal(length, name_length(wire));
        (void)name_format(wire, text, sizeof(text));
        assert_string_equal(text, cases[i].formatted);
    }
}

static void relative_text_too_long_with_its_origin_is_refused(void **state)
{
    uint8_t wire[NAME_MAX_BYTES];
    char text[512];
    struct error err;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        letters(text + 64 * i, 63, ".");
    }
    letters(text + 192, 49, ""); /* 192 + 50 + 13 */
    assert_int_equal(name_parse_within(text, example_com, wire, &err), 255);
    letters(text + 192, 50, "");
    assert_int_equal(name_parse_within(text, example_com, wire, &err), -EINVAL);
    letters(text + 192, 50, ".");
    assert_int_equal(name_parse_within(text, example_com, wire, &err), 192 + 51 + 1);
    assert_int_equal(name_parse_within("", example_com, wire, &err), -EINVAL);
    assert_int_equal(name_parse_within("a..b", example_com, wire, &err), -EINVAL);
}

static void within_means_equal_or_below_at_a_label(void **state)
{
    (void)state;
    assert_true(name_is_within(example_com, example_com));
    assert_true(name_is_within((const uint8_t *)"\3www\7example\3com", example_com));
    assert_true(name_is_within(example_com, (const uint8_t *)"\3com"));
    assert_true(name_is_within(example_com, (const uint8_t *)""));
    assert_false(name_is_within((const uint8_t *)"\3com", example_com));
    assert_false(name_is_within((const uint8_t *)"\10xexample\3com", example_com));
    /* its bytes end with the tree's, but not at a label */
    assert_false(name_is_within((const uint8_t *)"\15x\7example\3com", example_com));
}

static void parents_end_at_the_root(void **state)
{
    const uint8_t *name = example_com;

    (void)state;
    assert_int_equal(name_labels(name), 2);
    name = name_parent(name);
    assert_true(name_equal(name, (const uint8_t *)"\3com"));
    name = name_parent(name);
    assert_int_equal(*name, 0);
    assert_ptr_equal(name_parent(name), name);
    assert_false(name_equal(example_com, (const uint8_t *)"\7example\3con"));
    assert_false(name_equal(example_com, (const uint8_t *)""));
}

static void folding_changes_ascii_letters_and_nothing_else(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        for (size_t length = 1; length <= 40; length++) {
            uint8_t in[40], out[41];
            memset(in, (int)c, sizeof(in));
            memset(out, 0x5a, sizeof(out));
            name_fold(in, length, out);
            uint8_t expected = c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : (uint8_t)c;
            for (size_t i = 0; i < length; i++) {
                assert_int_equal(out[i], expected);
            }
            assert_int_equal(out[length], 0x5a);
        }
    }
}

static void folding_works_in_place(void **state)
{
    uint8_t name[] = "\7EXAMPLE\3COM";

    (void)state;
    name_fold(name, sizeof(name), name);
    assert_true(name_equal(name, example_com));
}

static void random_names_survive_text_and_back(void **state)
{
    (void)state;
    srand(7);
    for (int round = 0; round < 20000; round++) {
        uint8_t wire[NAME_MAX_BYTES], again[NAME_MAX_BYTES];
        char text[NAME_TEXT_MAX];
        struct error err;
        size_t at = 0;
        for (;;) {
            size_t length = (size_t)rand() % 64;
            if (length == 0 || at + length + 2 > NAME_MAX_BYTES) {
                break;
            }
            wire[at++] = (uint8_t)length;
            for (size_t i = 0; i < length; i++) {
                wire[at++] = (uint8_t)rand();
            }
        }
        wire[at++] = 0;
        name_fold(wire, at, wire);
        (void)name_format(wire, text, sizeof(text));
        assert_int_equal(name_parse(text, again, &err), at);
        assert_memory_equal(wire, again, at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_becomes_wire_form_and_text_again),
        cmocka_unit_test(broken_text_is_refused_and_explained),
        cmocka_unit_test(a_label_of_63_bytes_is_taken_and_64_refused),
        cmocka_unit_test(a_name_of_255_bytes_is_taken_and_256_refused),
        cmocka_unit_test(the_longest_text_of_a_name_fits),
        cmocka_unit_test(relative_text_is_below_its_origin),
        cmocka_unit_test(relative_text_too_long_with_its_origin_is_refused),
        cmocka_unit_test(within_means_equal_or_below_at_a_label),
        cmocka_unit_test(parents_end_at_the_root),
        cmocka_unit_test(folding_changes_ascii_letters_and_nothing_else),
        cmocka_unit_test(folding_works_in_place),
        cmocka_unit_test(random_names_survive_text_and_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
