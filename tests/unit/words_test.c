#include "zones/words.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void types_are_read_by_name_and_by_number(void **state)
{
    static const struct {
        const char *text;
        int type; /* -1: not understood */
    } cases[] = {
        { "A", 1 },       { "aaaa", 28 },   { "CAA", 257 },  { "TYPE65280", 65280 },
        { "type1", 1 },   { "TYPE", -1 },   { "TYPE0", -1 }, { "TYPE65536", -1 },
        { "TYPE1x", -1 }, { "NOTYPE", -1 }, { "", -1 },      { "TYPE-1", -1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = { 0 };
        uint16_t type = 0;
        int rc = words_type(cases[i].text, &type, &err);
        if (cases[i].type < 0 ? rc != -EINVAL : rc != 0 || type != cases[i].type) {
            fail_msg("'%s': %d, type %u", cases[i].text, rc, type);
        }
    }
}

static void what_is_unknown_is_explained(void **state)
{
    struct error err = { 0 };
    uint16_t type;
    uint8_t rcode;

    (void)state;
    assert_int_equal(words_type("AAA", &type, &err), -EINVAL);
    assert_string_equal(err.message, "unknown type 'AAA'");
    assert_string_equal(err.hint, "did you mean 'AAAA'?");
    assert_int_equal(words_rcode("NXDOMAN", &rcode, &err), -EINVAL);
    assert_string_equal(err.hint, "did you mean 'NXDOMAIN'?");
}

static void types_have_names(void **state)
{
    char scratch[WORDS_MAX];

    (void)state;
    assert_string_equal(words_type_name(28, scratch), "AAAA");
    assert_string_equal(words_type_name(65535, scratch), "TYPE65535");
}

static void rcodes_have_names(void **state)
{
    char scratch[WORDS_MAX];
    uint8_t rcode;
    struct error err;

    (void)state;
    assert_string_equal(words_rcode_name(0, scratch), "NOERROR");
    assert_string_equal(words_rcode_name(5, scratch), "REFUSED");
    assert_string_equal(words_rcode_name(16, scratch), "BADVERS");
    assert_string_equal(words_rcode_name(14, scratch), "RCODE14");
    assert_null(words_rcode_find(14));
    assert_int_equal(words_rcode("refused", &rcode, &err), 0);
    assert_int_equal(rcode, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_read_by_name_and_by_number),
        cmocka_unit_test(what_is_unknown_is_explained),
        cmocka_unit_test(types_have_names),
        cmocka_unit_test(rcodes_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
