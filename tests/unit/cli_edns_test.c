#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "resolver/cli/cli_edns.h"

/* Header, the question ". A IN", OPT with rcode bits and `options`; returns the length. */
static size_t build(uint8_t *out, const uint8_t *options, size_t length)
{
    static const uint8_t head[] = {
        0, 1, 0x80, 0, 0,    1, 0, 0, 0, 0, 0, 1, /* one question, one additional record */
        0, 0, 1,    0, 1,                         /* . A IN */
        0, 0, 41,   4, 0xd0, 1, 0, 0, 0,          /* OPT, 1232, rcode bits 1 */
    };

    memcpy(out, head, sizeof(head));
    out[sizeof(head)] = 0;
    out[sizeof(head) + 1] = (uint8_t)length;
    memcpy(out + sizeof(head) + 2, options, length);
    return sizeof(head) + 2 + length;
}

static void an_extended_error_is_read(void **state)
{
    static const uint8_t options[] = {
        0, 10, 0, 2, 9, 9,                      /* another option */
        0, 15, 0, 6, 0, 22, 'd', 'e', 'a', 'd', /* No Reachable Authority */
        0, 15, 0, 2, 0, 0,                      /* one without a text */
    };
    uint8_t message[128];
    struct cli_edns edns;

    (void)state;
    cli_edns_read(message, build(message, options, sizeof(options)), &edns);
    assert_true(edns.present);
    assert_int_equal(edns.rcode_high, 1);
    assert_int_equal(edns.error_count, 2);
    assert_int_equal(edns.errors[0].code, 22);
    assert_int_equal(edns.errors[0].text_length, 4);
    assert_memory_equal(edns.errors[0].text, "dead", 4);
    assert_string_equal(cli_edns_error_name(22), "No Reachable Authority");
    assert_int_equal(edns.errors[1].text_length, 0);
}

static void broken_options_are_left_out(void **state)
{
    static const uint8_t too_long[] = { 0, 15, 0, 9, 0, 22, 'x' };
    static const uint8_t too_short[] = { 0, 15, 0, 1, 0, 0, 15 };
    uint8_t message[128];
    struct cli_edns edns;

    (void)state;
    cli_edns_read(message, build(message, too_long, sizeof(too_long)), &edns);
    assert_true(edns.present && edns.error_count == 0);
    cli_edns_read(message, build(message, too_short, sizeof(too_short)), &edns);
    assert_true(edns.present && edns.error_count == 0);
}

static void a_cut_message_has_no_edns(void **state)
{
    static const uint8_t options[] = { 0, 15, 0, 2, 0, 22 };
    uint8_t message[128];
    struct cli_edns edns;
    size_t length = build(message, options, sizeof(options));

    (void)state;
    for (size_t cut = 12; cut < length; cut++) {
        cli_edns_read(message, cut, &edns);
        assert_int_equal(edns.error_count, 0);
    }
    assert_string_equal(cli_edns_error_name(4711), "unassigned");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_extended_error_is_read),
        cmocka_unit_test(broken_options_are_left_out),
        cmocka_unit_test(a_cut_message_has_no_edns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
