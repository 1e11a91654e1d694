#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/checks/dns_reply.h"
#include "zones/wire.h"

#define NAME  "canary.corp.example"
#define DNAME "\6canary\4corp\7example"
#define ID    0x1234

/* A reply under construction. */
struct reply {
    uint8_t bytes[512];
    size_t length;
};

static uint8_t query[300];
static size_t query_length;
static struct model_check check;
static struct addr expected[2];
static struct dns_reply_verdict verdict;

static int set_up(void **state)
{
    struct error err;

    (void)state;
    memset(&check, 0, sizeof(check));
    check.kind = MODEL_CHECK_DNS;
    check.query_name = NAME;
    check.query_type = WIRE_A;
    query_length =
        wire_query_build(query, ID, WIRE_RD, (const uint8_t *)DNAME, WIRE_A, WIRE_IN, 0, false);
    assert_int_equal(addr_parse("10.1.2.3", 0, &expected[0], &err), 0);
    assert_int_equal(addr_parse("10.1.2.4", 0, &expected[1], &err), 0);
    return 0;
}

static struct reply reply_of(uint16_t flags)
{
    struct reply reply;

    memcpy(reply.bytes, query, query_length);
    reply.length = query_length;
    wire_put16(reply.bytes + 2, (uint16_t)(WIRE_QR | WIRE_RD | WIRE_RA | flags));
    return reply;
}

static void put_record(struct reply *reply, uint16_t type, const void *rdata, size_t size)
{
    uint8_t *at = reply->bytes + reply->length;

    wire_put16(at, 0xc000 | WIRE_QUESTION);
    wire_put16(at + 2, type);
    wire_put16(at + 4, WIRE_IN);
    wire_put32(at + 6, 60);
    wire_put16(at + 10, (uint16_t)size);
    memcpy(at + 12, rdata, size);
    reply->length += 12 + size;
    wire_put16(reply->bytes + 6, (uint16_t)(wire_get16(reply->bytes + 6) + 1));
}

static enum dns_reply judge(const struct reply *reply, bool over_udp)
{
    /* a copy as long as it is, so that reading behind it is seen */
    uint8_t *copy = malloc(reply->length);

    memset(&verdict, 0, sizeof(verdict));
    memcpy(copy, reply->bytes, reply->length);
    enum dns_reply result =
        dns_reply_judge(&check, query, query_length, copy, reply->length, over_udp, &verdict);
    free(copy);
    return result;
}

static void assert_verdict(const struct reply *reply, enum detect_outcome outcome,
                           const char *reason)
{
    assert_int_equal(judge(reply, true), DNS_REPLY_DECIDED);
    assert_string_equal(verdict.reason, reason);
    assert_int_equal(verdict.outcome, outcome);
}

static void data_of_the_type_passes(void **state)
{
    struct reply reply = reply_of(0);

    (void)state;
    put_record(&reply, WIRE_CNAME, "\1x", 3);
    put_record(&reply, WIRE_A, "\12\1\2\3", 4);
    assert_verdict(&reply, DETECT_PASS, "NOERROR");
    assert_false(verdict.misconfigured);
}

static void nodata_is_misconfigured(void **state)
{
    struct reply reply = reply_of(0);

    (void)state;
    put_record(&reply, WIRE_CNAME, "\1x", 3);
    assert_verdict(&reply, DETECT_STRONG, "no A record for " NAME);
    assert_true(verdict.misconfigured);
}

static void nxdomain_is_misconfigured(void **state)
{
    struct reply reply = reply_of(WIRE_NXDOMAIN);

    (void)state;
    assert_verdict(&reply, DETECT_STRONG, "NXDOMAIN for " NAME);
    assert_true(verdict.misconfigured);
}

static void nxdomain_where_addresses_are_expected_is_a_failure(void **state)
{
    struct reply reply = reply_of(WIRE_NXDOMAIN);

    (void)state;
    check.expect_addresses = expected;
    check.expect_address_count = 2;
    assert_verdict(&reply, DETECT_STRONG, "NXDOMAIN, expected 10.1.2.3");
    assert_false(verdict.misconfigured);
}

static void error_codes_fail_by_name(void **state)
{
    struct reply reply = reply_of(WIRE_SERVFAIL);

    (void)state;
    assert_verdict(&reply, DETECT_STRONG, "SERVFAIL");
    reply = reply_of(WIRE_REFUSED);
    assert_verdict(&reply, DETECT_STRONG, "REFUSED");
    reply = reply_of(9);
    assert_verdict(&reply, DETECT_STRONG, "NOTAUTH");
    assert_false(verdict.misconfigured);
}

static void an_error_may_come_without_its_question(void **state)
{
    struct reply reply = reply_of(WIRE_REFUSED);

    (void)state;
    reply.length = WIRE_HEADER_BYTES;
    wire_put16(reply.bytes + 4, 0);
    assert_verdict(&reply, DETECT_STRONG, "REFUSED");
}

static void the_expected_rcode_passes_and_others_fail(void **state)
{
    struct reply reply = reply_of(WIRE_NXDOMAIN);

    (void)state;
    check.expect_rcode_given = true;
    check.expect_rcode = WIRE_NXDOMAIN;
    assert_verdict(&reply, DETECT_PASS, "NXDOMAIN");
    check.expect_rcode = WIRE_NOERROR;
    assert_verdict(&reply, DETECT_STRONG, "NXDOMAIN, expected NOERROR");
    assert_false(verdict.misconfigured);
    reply = reply_of(0);
    assert_verdict(&reply, DETECT_PASS, "NOERROR"); /* whoever expects an rcode gets that */
}

static void every_expected_address_must_be_there(void **state)
{
    struct reply reply = reply_of(0);

    (void)state;
    check.expect_addresses = expected;
    check.expect_address_count = 2;
    assert_verdict(&reply, DETECT_STRONG, "wrong answer: no address, expected 10.1.2.3");
    assert_false(verdict.misconfigured);
    put_record(&reply, WIRE_A, "\xc0\0\2\11", 4);
    assert_verdict(&reply, DETECT_STRONG, "wrong answer: 192.0.2.9, expected 10.1.2.3");
    put_record(&reply, WIRE_A, "\12\1\2\3", 4);
    assert_verdict(&reply, DETECT_STRONG, "wrong answer: 192.0.2.9, expected 10.1.2.4");
    put_record(&reply, WIRE_A, "\12\1\2\4", 4);
    assert_verdict(&reply, DETECT_PASS, "NOERROR");
}

static void a_truncated_answer_passes_where_no_address_is_expected(void **state)
{
    struct reply reply = reply_of(WIRE_TC);

    (void)state;
    assert_verdict(&reply, DETECT_PASS, "NOERROR");
    reply = reply_of(WIRE_TC | WIRE_SERVFAIL);
    assert_verdict(&reply, DETECT_STRONG, "SERVFAIL");
}

static void a_truncated_answer_without_the_address_is_asked_for_again(void **state)
{
    struct reply reply = reply_of(WIRE_TC);

    (void)state;
    check.expect_addresses = expected;
    check.expect_address_count = 1;
    assert_int_equal(judge(&reply, true), DNS_REPLY_TRUNCATED);
    assert_int_equal(judge(&reply, false), DNS_REPLY_DECIDED);
    assert_int_equal(verdict.outcome, DETECT_STRONG);
    put_record(&reply, WIRE_A, "\12\1\2\3", 4);
    assert_verdict(&reply, DETECT_PASS, "NOERROR");
}

static void a_malformed_answer_fails_wherever_it_is_cut(void **state)
{
    struct reply reply = reply_of(0);

    (void)state;
    put_record(&reply, WIRE_A, "\12\1\2\3", 4);
    for (size_t length = reply.length - 1; length >= query_length; length--) {
        reply.length = length;
        assert_verdict(&reply, DETECT_STRONG, "malformed answer");
    }
}

static void what_is_not_our_answer_is_foreign(void **state)
{
    struct reply reply = reply_of(0);

    (void)state;
    reply.bytes[0] ^= 1; /* another id */
    assert_int_equal(judge(&reply, true), DNS_REPLY_FOREIGN);
    reply = reply_of(0);
    reply.bytes[WIRE_QUESTION + 1] = 'x'; /* another name */
    assert_int_equal(judge(&reply, true), DNS_REPLY_FOREIGN);
    reply = reply_of(0);
    reply.bytes[2] &= 0x7f; /* a query */
    assert_int_equal(judge(&reply, true), DNS_REPLY_FOREIGN);
    reply.length = 5;
    assert_int_equal(judge(&reply, true), DNS_REPLY_FOREIGN);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

static void data_must_match_the_pattern(void **state)
{
    struct reply reply = reply_of(0);

    (void)state;
    check.expect_pattern = "^10\\.1\\.2\\.[34]$";
    assert_verdict(&reply, DETECT_STRONG,
                   "wrong answer: no data, expected a match of '^10\\.1\\.2\\.[34]$'");
    put_record(&reply, WIRE_A, "\12\1\2\5", 4);
    assert_verdict(&reply, DETECT_STRONG,
                   "wrong answer: 10.1.2.5, expected a match of '^10\\.1\\.2\\.[34]$'");
    assert_false(verdict.misconfigured);
    put_record(&reply, WIRE_A, "\12\1\2\4", 4);
    assert_verdict(&reply, DETECT_PASS, "NOERROR");
}

static void a_pattern_that_may_stand_behind_the_cut_is_asked_for_again(void **state)
{
    struct reply reply = reply_of(WIRE_TC);

    (void)state;
    check.expect_pattern = "4$";
    put_record(&reply, WIRE_A, "\12\1\2\5", 4);
    assert_int_equal(judge(&reply, true), DNS_REPLY_TRUNCATED);
    assert_int_equal(judge(&reply, false), DNS_REPLY_DECIDED);
    assert_int_equal(verdict.outcome, DETECT_STRONG);
    put_record(&reply, WIRE_A, "\12\1\2\4", 4);
    assert_verdict(&reply, DETECT_PASS, "NOERROR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(data_of_the_type_passes),
        TEST(nodata_is_misconfigured),
        TEST(nxdomain_is_misconfigured),
        TEST(nxdomain_where_addresses_are_expected_is_a_failure),
        TEST(error_codes_fail_by_name),
        TEST(an_error_may_come_without_its_question),
        TEST(the_expected_rcode_passes_and_others_fail),
        TEST(every_expected_address_must_be_there),
        TEST(a_truncated_answer_passes_where_no_address_is_expected),
        TEST(a_truncated_answer_without_the_address_is_asked_for_again),
        TEST(a_malformed_answer_fails_wherever_it_is_cut),
        TEST(what_is_not_our_answer_is_foreign),
        TEST(data_must_match_the_pattern),
        TEST(a_pattern_that_may_stand_behind_the_cut_is_asked_for_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
