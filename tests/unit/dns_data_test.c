#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/checks/check_pattern.h"
#include "policy/checks/dns_data.h"
#include "zones/wire.h"

#define QNAME    "\6canary\4corp\7example"
#define ANSWERS  (WIRE_HEADER_BYTES + sizeof(QNAME) + 4)
#define CORP_PTR "\xc0\x13" /* to corp.example in the question */

static uint8_t message[2048];
static size_t length;
static struct dns_data data;

static int set_up(void **state)
{
    (void)state;
    length = wire_query_build(message, 1, 0, (const uint8_t *)QNAME, WIRE_A, WIRE_IN, 0, false);
    assert_int_equal(length, ANSWERS);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    check_pattern_clear();
    return 0;
}

static void put_record(uint16_t type, const void *rdata, size_t size)
{
    uint8_t *at = message + length;

    wire_put16(at, 0xc000 | WIRE_QUESTION);
    wire_put16(at + 2, type);
    wire_put16(at + 4, WIRE_IN);
    wire_put32(at + 6, 60);
    wire_put16(at + 10, (uint16_t)size);
    memcpy(at + 12, rdata, size);
    length += 12 + size;
    wire_put16(message + 6, (uint16_t)(wire_get16(message + 6) + 1));
}

/* What is found, in a copy as long as it is, so that reading behind it is seen. */
static int match(const char *pattern)
{
    uint8_t *copy = malloc(length);

    assert_non_null(copy);
    memcpy(copy, message, length);
    dns_data_match(copy, length, ANSWERS, pattern, &data);
    free(copy);
    return data.found;
}

static void assert_text(uint16_t type, const void *rdata, size_t size, const char *text)
{
    (void)set_up(NULL);
    put_record(type, rdata, size);
    assert_int_equal(match("^no such text$"), 0);
    assert_string_equal(data.first, text);
}

static void data_is_as_in_a_zone_file(void **state)
{
    (void)state;
    assert_text(WIRE_A, "\12\1\2\3", 4, "10.1.2.3");
    assert_text(WIRE_AAAA, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16, "2001:db8::1");
    assert_text(WIRE_CNAME, "\3www" CORP_PTR, 6, "www.corp.example.");
    assert_text(WIRE_MX, "\0\12\4mail" CORP_PTR, 9, "10 mail.corp.example.");
    assert_text(WIRE_TXT, "\4v=1 \3-ax", 9, "\"v=1 \" \"-ax\"");
    assert_text(WIRE_SRV, "\0\1\0\2\0\x50\3www\0", 11, "1 2 80 www.");
    assert_text(65280, "\1\2\3", 3, "\\# 3 010203");
}

static void any_record_may_match(void **state)
{
    (void)state;
    put_record(WIRE_CNAME, "\1x" CORP_PTR, 4);
    put_record(WIRE_A, "\12\1\2\3", 4);
    put_record(WIRE_A, "\12\1\2\4", 4);
    assert_int_equal(match("^10\\.1\\.2\\.4$"), 1);
    assert_int_equal(match("^x\\.corp"), 1);
    assert_int_equal(match("^10\\.1\\.2\\.5$"), 0);
    assert_string_equal(data.first, "x.corp.example.");
}

static void an_answer_without_records_matches_nothing(void **state)
{
    (void)state;
    assert_int_equal(match(""), 0);
    assert_string_equal(data.first, "");
}

static void damaged_records_match_nothing(void **state)
{
    (void)state;
    put_record(WIRE_MX, "\0", 1);
    put_record(WIRE_MX, "\0\12", 2);
    put_record(WIRE_CNAME, "\77x", 2);
    put_record(WIRE_CNAME, "\xc0\xff", 2); /* forward */
    put_record(WIRE_SOA, CORP_PTR CORP_PTR "\0\0\0", 7);
    put_record(WIRE_A, "\12\1\2", 3);
    put_record(WIRE_TXT, "\11short", 6);
    assert_int_equal(match("."), 0);
    assert_string_equal(data.first, "");
    put_record(WIRE_A, "\12\1\2\3", 4);
    assert_int_equal(match("."), 1);
    length -= 2; /* the last one is cut short */
    assert_int_equal(match("."), 0);
}

static void long_data_is_shown_in_part(void **state)
{
    char text[201];

    (void)state;
    memset(text, 'a', sizeof(text));
    text[0] = (char)200;
    put_record(WIRE_TXT, text, sizeof(text));
    assert_int_equal(match("a{200}"), 1);
    assert_string_equal(data.first, "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...");
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(data_is_as_in_a_zone_file),
        CLAIM(any_record_may_match),
        CLAIM(an_answer_without_records_matches_nothing),
        CLAIM(damaged_records_match_nothing),
        CLAIM(long_data_is_shown_in_part),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
