#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "resolver/relay.h"
#include "zones/wire.h"

#define MIXED      "\3WwW\7eXample\3org"
#define NAME_BYTES sizeof(MIXED)
#define END        (WIRE_QUESTION + NAME_BYTES + 4)

static uint8_t out[WIRE_MESSAGE_MAX];

/* A client's question as it is kept; `payload` 0: without EDNS. */
static struct handover_question question(uint16_t flags, uint16_t payload, bool dnssec_ok,
                                         bool stream)
{
    uint8_t message[512];
    struct wire_query query;
    struct handover_question kept;

    size_t length = wire_query_build(message, 0xabcd, flags, (const uint8_t *)MIXED, WIRE_A,
                                     WIRE_IN, payload, dnssec_ok);
    assert_int_equal(wire_query_parse(message, length, &query), WIRE_QUERY_OK);
    memset(&kept, 0xee, sizeof(kept));
    relay_keep(&kept, &query, message, stream);
    return kept;
}

/* What the forwarder says: the folded question and `count` addresses. */
static struct forward_reply reply(uint16_t flags, unsigned count)
{
    static uint8_t message[WIRE_MESSAGE_MAX];
    size_t at = END;

    (void)wire_query_build(message, 0, flags, (const uint8_t *)"\3www\7example\3org", WIRE_A,
                           WIRE_IN, 0, false);
    wire_put16(message + 6, (uint16_t)count);
    for (unsigned i = 0; i < count; i++, at += 16) {
        static const uint8_t record[] = { 0xc0, 12, 0, WIRE_A, 0, WIRE_IN, 0, 0, 0, 60, 0, 4 };
        memcpy(message + at, record, sizeof(record));
        wire_put32(message + at + 12, 0xc0000200u + i);
    }
    return (struct forward_reply){ .message = message, .length = at, .ede_text = "" };
}

static void a_question_is_kept_as_the_client_wrote_it(void **state)
{
    uint8_t dname[NAME_MAX_BYTES];
    struct handover_question q = question(WIRE_RD | WIRE_CD, 4096, true, true);
    (void)state;

    assert_int_equal(q.id, 0xabcd);
    assert_int_equal(q.flags, WIRE_RD | WIRE_CD);
    assert_int_equal(q.type, WIRE_A);
    assert_int_equal(q.class, WIRE_IN);
    assert_int_equal(q.payload, 4096);
    assert_true(q.edns && q.dnssec_ok && q.stream);
    assert_memory_equal(q.name, MIXED, NAME_BYTES);
    assert_int_equal(relay_dname(&q, dname), NAME_BYTES);
    assert_memory_equal(dname, "\3www\7example\3org", NAME_BYTES);
}

static void an_answer_carries_the_clients_id_flags_and_letters(void **state)
{
    struct handover_question q = question(WIRE_RD | WIRE_CD, 0, false, false);
    struct forward_reply r = reply(WIRE_QR, 2);
    struct wire_record record;
    struct wire_reader reader;
    unsigned rcode;
    (void)state;

    size_t length = relay_put(&q, &r, out, sizeof(out), &rcode);
    assert_int_equal(rcode, WIRE_NOERROR);
    assert_int_equal(wire_get16(out), 0xabcd);
    assert_int_equal(wire_get16(out + 2), WIRE_QR | WIRE_RD | WIRE_RA | WIRE_CD);
    assert_int_equal(wire_get16(out + 4), 1);
    assert_int_equal(wire_get16(out + 6), 2);
    assert_int_equal(wire_get32(out + 8), 0);
    assert_memory_equal(out + WIRE_QUESTION, MIXED, NAME_BYTES);
    wire_reader_init(&reader, out, length);
    reader.at = END;
    assert_true(wire_read_record(&reader, &record));
    assert_memory_equal(record.owner, "\3www\7example\3org", NAME_BYTES);
    assert_true(wire_read_record(&reader, &record));
    assert_int_equal(out[record.rdata_at + 3], 1);
    assert_int_equal(reader.at, length);
}

static void ad_is_for_those_who_asked_for_it(void **state)
{
    static const struct {
        uint16_t flags;
        bool dnssec_ok;
        bool told;
    } cases[] = { { 0, false, false }, { WIRE_AD, false, true }, { 0, true, true } };
    unsigned rcode;
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct handover_question q = question(cases[i].flags, 1232, cases[i].dnssec_ok, false);
        struct forward_reply r = reply(WIRE_QR | WIRE_AD, 1);
        (void)relay_put(&q, &r, out, sizeof(out), &rcode);
        assert_int_equal((wire_get16(out + 2) & WIRE_AD) != 0, cases[i].told);
    }
}

static void an_answer_that_does_not_fit_is_tc_with_its_opt(void **state)
{
    static const struct {
        uint16_t payload; /* 0: no EDNS */
        unsigned count;
        bool fits;
    } cases[] = {
        { 0, (512 - END) / 16, true },
        { 0, (512 - END) / 16 + 1, false },
        { 512, (512 - END - 11) / 16, true },
        { 512, (512 - END - 11) / 16 + 1, false },
        { 100, (512 - END - 11) / 16, true }, /* below 512 means 512: RFC 6891, 6.2.3 */
        { 1232, (1232 - END - 11) / 16, true },
        { 1232, (1232 - END - 11) / 16 + 1, false },
        { 65535, (1232 - END - 11) / 16 + 1, false }, /* never more than we like to send */
    };
    unsigned rcode;
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct handover_question q = question(WIRE_RD, cases[i].payload, false, false);
        struct forward_reply r = reply(WIRE_QR, cases[i].count);
        size_t opt = cases[i].payload != 0 ? WIRE_OPT_BYTES : 0;
        size_t length = relay_put(&q, &r, out, sizeof(out), &rcode);
        assert_int_equal((wire_get16(out + 2) & WIRE_TC) == 0, cases[i].fits);
        assert_int_equal(wire_get16(out + 6), cases[i].fits ? cases[i].count : 0);
        assert_int_equal(wire_get16(out + 10), opt != 0);
        assert_int_equal(length, END + (cases[i].fits ? cases[i].count * 16 : 0) + opt);
        if (opt != 0) {
            assert_int_equal(wire_get16(out + length - 10), WIRE_OPT);
        }
    }
}

static void a_stream_gets_all_of_it(void **state)
{
    struct handover_question q = question(WIRE_RD, 512, true, true);
    struct forward_reply r = reply(WIRE_QR, 4000);
    unsigned rcode;
    (void)state;

    size_t length = relay_put(&q, &r, out, sizeof(out), &rcode);
    assert_int_equal(length, END + 4000 * 16 + WIRE_OPT_BYTES);
    assert_int_equal(wire_get16(out + 2) & WIRE_TC, 0);
    assert_int_equal(wire_get16(out + 6), 4000);
    assert_int_equal(out[length - 4] & 0x80, 0x80); /* DO comes back */
}

static void a_negative_answer_keeps_its_rcode(void **state)
{
    struct handover_question q = question(WIRE_RD, 0, false, false);
    struct forward_reply r = reply(WIRE_QR | WIRE_NXDOMAIN, 0);
    unsigned rcode;
    (void)state;

    (void)relay_put(&q, &r, out, sizeof(out), &rcode);
    assert_int_equal(rcode, WIRE_NXDOMAIN);
    assert_int_equal(wire_get16(out + 2), WIRE_QR | WIRE_RD | WIRE_RA | WIRE_NXDOMAIN);
}

static void nobodys_answer_is_servfail_that_says_why(void **state)
{
    static const char long_text[] = "0123456789012345678901234567890123456789"
                                    "0123456789012345678901234567890123456789"
                                    "0123456789012345678901234567890123456789";
    struct handover_question q = question(WIRE_RD, 1232, false, false);
    struct forward_reply r = { .ede_code = 23, .ede_text = long_text };
    unsigned rcode;
    (void)state;

    size_t length = relay_put(&q, &r, out, sizeof(out), &rcode);
    assert_int_equal(rcode, WIRE_SERVFAIL);
    assert_int_equal(wire_get16(out + 2), WIRE_QR | WIRE_RD | WIRE_RA | WIRE_SERVFAIL);
    assert_int_equal(wire_get16(out + 10), 1);
    /* one option: RFC 8914, section 2 */
    const uint8_t *opt = out + END;
    assert_int_equal(wire_get16(opt + 9), length - END - 11);
    assert_int_equal(wire_get16(opt + 11), 15);
    assert_int_equal(wire_get16(opt + 13), length - END - 15);
    assert_int_equal(wire_get16(opt + 15), 23);
    assert_memory_equal(opt + 17, long_text, length - END - 17);
    assert_true(length <= WIRE_UDP_PLAIN);
    assert_true(wire_response_sound(out, length));
    /* without EDNS there is no place for it */
    q = question(WIRE_RD, 0, false, false);
    assert_int_equal(relay_put(&q, &r, out, sizeof(out), &rcode), END);
    assert_int_equal(wire_get16(out + 10), 0);
}

static void a_failure_is_a_whole_message(void **state)
{
    struct handover_question q = question(0, 1232, true, false);
    (void)state;

    size_t length = relay_put_failure(&q, WIRE_REFUSED, NULL, out, sizeof(out));
    assert_int_equal(length, END + WIRE_OPT_BYTES);
    assert_int_equal(wire_get16(out + 2), WIRE_QR | WIRE_RA | WIRE_REFUSED);
    assert_true(wire_response_sound(out, length));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_is_kept_as_the_client_wrote_it),
        cmocka_unit_test(an_answer_carries_the_clients_id_flags_and_letters),
        cmocka_unit_test(ad_is_for_those_who_asked_for_it),
        cmocka_unit_test(an_answer_that_does_not_fit_is_tc_with_its_opt),
        cmocka_unit_test(a_stream_gets_all_of_it),
        cmocka_unit_test(a_negative_answer_keeps_its_rcode),
        cmocka_unit_test(nobodys_answer_is_servfail_that_says_why),
        cmocka_unit_test(a_failure_is_a_whole_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
