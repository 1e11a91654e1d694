#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "resolver/record_text.h"
#include "zones/wire.h"

static void types_are_read_by_name_and_by_number(void **state)
{
    static const struct {
        const char *text;
        int type; /* -1: no type */
    } cases[] = {
        { "A", 1 },       { "aaaa", 28 }, { "MX", 15 },        { "TYPE65280", 65280 },
        { "type1", 1 },   { "TYPE", -1 }, { "TYPE65536", -1 }, { "TYPE1x", -1 },
        { "NOTYPE", -1 }, { "", -1 },     { "Ax", -1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = { 0 };
        uint16_t type = 0;
        int rc = record_text_type(cases[i].text, &type, &err);
        if (cases[i].type < 0 ? rc != -EINVAL : rc != 0 || type != cases[i].type) {
            fail_msg("'%s': %d, type %u", cases[i].text, rc, type);
        }
    }
}

/* www.example. CNAME a.example., a.example. A 192.0.2.1, an OPT behind them. */
static const uint8_t message[] = {
    0,    1,   0x84, 0,   0,   1,   0,   2,   0,   0,   0,   1, /* header */
    3,    'w', 'w',  'w', 7,   'e', 'x', 'a', 'm', 'p', 'l', 'e', 0,   0,   1,    0,
    1,                                                                                /* question */
    0xc0, 12,  0,    5,   0,   1,   0,   0,   0,   30,  0,   4,   1,   'a', 0xc0, 16, /* CNAME */
    0xc0, 41,  0,    1,   0,   1,   0,   0,   0,   60,  0,   4,   192, 0,   2,    1,  /* A */
    0,    0,   41,   4,   208, 0,   0,   0,   0,   0,   0,                            /* OPT */
};

struct seen {
    unsigned count;
    char lines[4][128];
};

static void see(void *user, unsigned section, uint16_t type, const char *line)
{
    struct seen *seen = user;

    (void)type;
    assert_int_equal(section, 0);
    assert_true(seen->count < 4);
    (void)strncpy(seen->lines[seen->count++], line, 127);
}

static void records_are_shown_as_in_a_master_file(void **state)
{
    struct seen seen = { 0 };

    (void)state;
    assert_true(record_text_walk(message, sizeof(message), see, &seen));
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.lines[0], "www.example. 30 IN CNAME a.example.");
    assert_string_equal(seen.lines[1], "a.example. 60 IN A 192.0.2.1");
}

static void a_message_cut_anywhere_is_broken_and_harmless(void **state)
{
    (void)state;
    for (size_t length = 0; length < sizeof(message); length++) {
        struct seen seen = { 0 };
        assert_false(record_text_walk(message, length, see, &seen));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_read_by_name_and_by_number),
        cmocka_unit_test(records_are_shown_as_in_a_master_file),
        cmocka_unit_test(a_message_cut_anywhere_is_broken_and_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
