#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "resolver/alias.h"
#include "resolver/forward/builder.h"
#include "zones/wire.h"

#define OURS    "\1a\7example\3com"
#define THEIRS  "\3cdn\7example\3net"
#define FARTHER "\4edge\7example\3net"

/* a.example.com CNAME cdn.example.net, behind the question a.example.com */
static const uint8_t alias[] = {
    0xc0, 12, 0,   WIRE_CNAME, 0,   WIRE_IN, 0,   0,   0,   60, 0,   17,  3,   'c', 'd',
    'n',  7,  'e', 'x',        'a', 'm',     'p', 'l', 'e', 3,  'n', 'e', 't', 0,
};
static const struct answer chain = {
    .answers = 1,
    .length = sizeof(alias),
    .core_length = sizeof(alias),
    .wire = alias,
    .outside = (const uint8_t *)THEIRS,
};

static struct handover_question question(uint16_t type)
{
    struct handover_question q = { .type = type, .class = WIRE_IN, .name_length = sizeof(OURS) };

    memcpy(q.name, "\1A\7eXample\3com", sizeof(OURS));
    return q;
}

static void begin_reply(struct builder *b, uint8_t *message, size_t cap, uint16_t type)
{
    uint8_t asked[] = THEIRS "\0\0\0\1";

    asked[sizeof(THEIRS) + 1] = (uint8_t)type;
    asked[sizeof(THEIRS) + 3] = WIRE_IN;
    builder_init(b, message, cap, asked, sizeof(THEIRS) + 4);
}

static void put(struct builder *b, enum builder_section section, const char *owner, uint16_t type,
                const void *rdata, size_t size)
{
    size_t mark = builder_begin_record(b, section, (const uint8_t *)owner, type, WIRE_IN, 30);

    if (type == WIRE_CNAME) {
        builder_put_name(b, rdata, true);
    } else if (type == WIRE_SOA) {
        builder_put_name(b, rdata, true);
        builder_put_name(b, rdata, true);
        builder_put_bytes(b, "serial..refresh..and", 20);
    } else {
        builder_put_bytes(b, rdata, size);
    }
    builder_end_record(b, mark);
}

static void expect(struct wire_reader *reader, const char *owner, uint16_t type,
                   struct wire_record *out)
{
    assert_true(wire_read_record(reader, out));
    assert_string_equal((const char *)out->owner, owner);
    assert_int_equal(out->type, type);
}

static void expect_target(const struct wire_reader *reader, const struct wire_record *record,
                          const char *target)
{
    struct wire_reader inner = *reader;
    uint8_t name[NAME_MAX_BYTES];

    inner.at = record->rdata_at;
    assert_true(wire_read_name(&inner, name) != 0);
    assert_string_equal((const char *)name, target);
}

static void addresses_of_others_stand_behind_our_alias(void **state)
{
    uint8_t message[512], out[512];
    struct handover_question q = question(WIRE_A);
    struct builder b;
    struct wire_reader reader;
    struct wire_record record;
    (void)state;

    begin_reply(&b, message, sizeof(message), WIRE_A);
    put(&b, BUILDER_ANSWER, THEIRS, WIRE_CNAME, FARTHER, 0);
    put(&b, BUILDER_ANSWER, FARTHER, WIRE_A, "\300\0\2\1", 4);
    put(&b, BUILDER_ANSWER, FARTHER, WIRE_A, "\300\0\2\2", 4);
    struct forward_reply reply = { .message = message };
    reply.length = builder_finish(&b, WIRE_QR | WIRE_AD);

    size_t length = alias_join(&q, &chain, &reply, out, sizeof(out));
    assert_true(length > 0 && wire_response_sound(out, length));
    assert_int_equal(wire_get16(out + 2), WIRE_QR | WIRE_AA); /* AD: our part is not signed */
    assert_int_equal(wire_get16(out + 6), 4);
    assert_memory_equal(out + WIRE_QUESTION, "\1A\7eXample\3com", sizeof(OURS));
    wire_reader_init(&reader, out, length);
    reader.at = WIRE_QUESTION + sizeof(OURS) + 4;
    expect(&reader, OURS, WIRE_CNAME, &record);
    expect_target(&reader, &record, THEIRS);
    expect(&reader, THEIRS, WIRE_CNAME, &record);
    expect_target(&reader, &record, FARTHER);
    expect(&reader, FARTHER, WIRE_A, &record);
    expect(&reader, FARTHER, WIRE_A, &record);
    assert_memory_equal(out + record.rdata_at, "\300\0\2\2", 4);
    assert_int_equal(record.ttl_s, 30);
    assert_int_equal(reader.at, length);
}

static void what_is_not_there_is_told_with_their_soa(void **state)
{
    uint8_t message[512], out[512];
    struct handover_question q = question(WIRE_AAAA);
    struct builder b;
    struct wire_reader reader;
    struct wire_record record;
    (void)state;

    begin_reply(&b, message, sizeof(message), WIRE_AAAA);
    put(&b, BUILDER_AUTHORITY, "\7example\3net", WIRE_SOA, "\7example\3net", 0);
    struct forward_reply reply = { .message = message };
    reply.length = builder_finish(&b, WIRE_QR | WIRE_NXDOMAIN);

    size_t length = alias_join(&q, &chain, &reply, out, sizeof(out));
    assert_true(length > 0 && wire_response_sound(out, length));
    assert_int_equal(wire_get16(out + 2), WIRE_QR | WIRE_AA | WIRE_NXDOMAIN);
    assert_int_equal(wire_get16(out + 6), 1);
    assert_int_equal(wire_get16(out + 8), 1);
    wire_reader_init(&reader, out, length);
    reader.at = WIRE_QUESTION + sizeof(OURS) + 4;
    expect(&reader, OURS, WIRE_CNAME, &record);
    expect(&reader, "\7example\3net", WIRE_SOA, &record);
    expect_target(&reader, &record, "\7example\3net");
    assert_memory_equal(out + record.rdata_at + record.rdata_length - 20, "serial..refresh..and",
                        20);
}

static void what_does_not_fit_is_not_cut(void **state)
{
    uint8_t message[512], out[512];
    struct handover_question q = question(WIRE_A);
    struct builder b;
    (void)state;

    begin_reply(&b, message, sizeof(message), WIRE_A);
    put(&b, BUILDER_ANSWER, THEIRS, WIRE_A, "\300\0\2\1", 4);
    struct forward_reply reply = { .message = message };
    reply.length = builder_finish(&b, WIRE_QR);
    size_t whole = alias_join(&q, &chain, &reply, out, sizeof(out));
    assert_true(whole > 0);
    for (size_t cap = WIRE_HEADER_BYTES; cap < whole; cap++) {
        assert_int_equal(alias_join(&q, &chain, &reply, out, cap), 0);
    }
    assert_int_equal(alias_join(&q, &chain, &reply, out, whole), whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_others_stand_behind_our_alias),
        cmocka_unit_test(what_is_not_there_is_told_with_their_soa),
        cmocka_unit_test(what_does_not_fit_is_not_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
