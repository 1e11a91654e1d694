#include "resolver/forward/rebinding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "resolver/forward/builder.h"
#include "zones/wire.h"

#define NAME "\1W\7example\3com"

struct made {
    struct builder builder;
    uint8_t bytes[2048];
    size_t length;
};

static void begin(struct made *made)
{
    static const uint8_t question[] = NAME "\0\0\1\0\1";

    builder_init(&made->builder, made->bytes, sizeof(made->bytes), question, sizeof(question) - 1);
}

static void put(struct made *made, const char *owner, uint16_t type, const void *rdata, size_t size)
{
    size_t mark = builder_begin_record(&made->builder, BUILDER_ANSWER, (const uint8_t *)owner, type,
                                       WIRE_IN, 60);

    if (type == WIRE_CNAME) {
        builder_put_name(&made->builder, rdata, true);
    } else {
        builder_put_bytes(&made->builder, rdata, size);
    }
    builder_end_record(&made->builder, mark);
}

static void put_address(struct made *made, const char *owner, const char *text)
{
    struct addr address;

    assert_int_equal(addr_parse(text, 0, &address, NULL), 0);
    size_t size = addr_size_bytes(&address);
    put(made, owner, size == 4 ? WIRE_A : WIRE_AAAA, address.bytes, size);
}

static void finish(struct made *made)
{
    made->length = builder_finish(&made->builder, WIRE_QR | WIRE_RD | WIRE_RA | WIRE_AD);
    assert_true(made->length > 0);
}

static unsigned answers(const struct made *made)
{
    return wire_get16(made->bytes + 6);
}

static void addresses_of_our_own_networks_are_told(void **state)
{
    static const char *const privates[] = {
        "127.0.0.1",
        "10.0.0.1",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.127.255.255",
        "0.0.0.0",
        "0.1.2.3",
        "::1",
        "::",
        "fc00::1",
        "fdff::1",
        "fe80::1",
        "febf::1",
        "::ffff:10.1.2.3",
        "::ffff:127.0.0.1",
        "::ffff:192.168.0.1",
    };
    static const char *const strangers[] = {
        "8.8.8.8",     "172.15.0.1",  "172.32.0.1",  "100.63.0.1",      "100.128.0.1",
        "192.167.1.1", "192.169.1.1", "169.253.1.1", "11.0.0.1",        "126.0.0.1",
        "128.0.0.1",   "1.0.0.1",     "2001:db8::1", "fbff::1",         "fe00::1",
        "fec0::1",     "::2",         "1::1",        "::fffe:10.1.2.3",
    };
    struct addr address;

    (void)state;
    for (size_t i = 0; i < sizeof(privates) / sizeof(privates[0]); i++) {
        assert_int_equal(addr_parse(privates[i], 0, &address, NULL), 0);
        if (!rebinding_is_private(address.bytes, addr_size_bytes(&address))) {
            fail_msg("%s", privates[i]);
        }
    }
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        assert_int_equal(addr_parse(strangers[i], 0, &address, NULL), 0);
        if (rebinding_is_private(address.bytes, addr_size_bytes(&address))) {
            fail_msg("%s", strangers[i]);
        }
    }
    assert_true(
        rebinding_is_private((const uint8_t *)"\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\1", 16));
    assert_false(rebinding_is_private((const uint8_t *)"\x0a\0", 2)); /* no address at all */
}

static void a_clean_answer_is_left_alone(void **state)
{
    static struct made made, before;

    (void)state;
    begin(&made);
    put(&made, NAME, WIRE_CNAME, "\1x\7example\3net", 0);
    put_address(&made, "\1x\7example\3net", "203.0.113.1");
    finish(&made);
    before = made;
    assert_int_equal(rebinding_filter(made.bytes, &made.length), REBINDING_CLEAN);
    assert_int_equal(made.length, before.length);
    assert_memory_equal(made.bytes, before.bytes, made.length);
}

static void private_ones_go_and_others_stay(void **state)
{
    static struct made made, wanted;

    (void)state;
    begin(&made);
    put(&made, NAME, WIRE_CNAME, "\1x\7example\3net", 0);
    put_address(&made, "\1x\7example\3net", "10.0.0.1");
    put_address(&made, "\1x\7example\3net", "203.0.113.1");
    put(&made, "\1x\7example\3net", 46, "\0\1signature", 11);
    finish(&made);
    assert_int_equal(rebinding_filter(made.bytes, &made.length), REBINDING_LESS);
    begin(&wanted);
    put(&wanted, NAME, WIRE_CNAME, "\1x\7example\3net", 0);
    put_address(&wanted, "\1x\7example\3net", "203.0.113.1");
    finish(&wanted);
    wanted.bytes[3] &= (uint8_t)~WIRE_AD;
    assert_true(wire_response_sound(made.bytes, made.length));
    assert_int_equal(made.length, wanted.length);
    assert_memory_equal(made.bytes, wanted.bytes, made.length);
}

static void nothing_left_is_nodata(void **state)
{
    static struct made made;

    (void)state;
    begin(&made);
    put(&made, NAME, WIRE_CNAME, "\1x\7example\3net", 0);
    put_address(&made, "\1x\7example\3net", "10.0.0.1");
    put_address(&made, "\1x\7example\3net", "::1");
    finish(&made);
    assert_int_equal(rebinding_filter(made.bytes, &made.length), REBINDING_EMPTY);
    assert_true(wire_response_sound(made.bytes, made.length));
    assert_int_equal(answers(&made), 0);
    assert_int_equal(made.length, WIRE_QUESTION + sizeof(NAME) + 4);
    assert_int_equal(wire_get16(made.bytes + 2), WIRE_QR | WIRE_RD | WIRE_RA);
    assert_memory_equal(made.bytes + WIRE_QUESTION, NAME, sizeof(NAME));
}

static void many_records_keep_their_order(void **state)
{
    static struct made made;
    char text[32];

    (void)state;
    begin(&made);
    for (unsigned i = 0; i < 60; i++) {
        (void)snprintf(text, sizeof(text), "%u.0.113.%u", i % 3 == 0 ? 10 : 203, i);
        put_address(&made, NAME, text);
    }
    finish(&made);
    assert_int_equal(rebinding_filter(made.bytes, &made.length), REBINDING_LESS);
    assert_int_equal(answers(&made), 40);
    assert_int_equal(made.bytes[made.length - 1], 59);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_our_own_networks_are_told),
        cmocka_unit_test(a_clean_answer_is_left_alone),
        cmocka_unit_test(private_ones_go_and_others_stay),
        cmocka_unit_test(nothing_left_is_nodata),
        cmocka_unit_test(many_records_keep_their_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
