#include "resolver/forward/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID        0x4711
#define REPLY_MAX 1024

static const uint8_t name[] = "\3wWw\7example\3com";
static const uint8_t all_bits[64] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
static const uint8_t client[HABITS_CLIENT_COOKIE] = "cookie!";

static struct exchange exchange;
static struct habits habits;
static uint8_t message[REPLY_MAX];
static size_t message_length;

static void write_query(bool edns, bool mixed, bool cookies)
{
    struct forward_question question = {
        .name = name,
        .name_length = sizeof(name),
        .type = WIRE_A,
        .class = WIRE_IN,
        .dnssec_ok = true,
    };
    struct exchange_manner manner = {
        .id = ID,
        .edns = edns,
        .letters = mixed ? all_bits : NULL,
        .cookies = cookies ? &habits : NULL,
    };

    memset(&exchange, 0xee, sizeof(exchange));
    exchange_init(&exchange, &question);
    exchange_write(&exchange, &manner);
}

/* The reply so far: header and question. */
static void begin_reply(unsigned flags)
{
    memcpy(message, exchange.query, WIRE_HEADER_BYTES + exchange.question_length);
    message_length = WIRE_HEADER_BYTES + (size_t)exchange.question_length;
    wire_put16(message + 2, (uint16_t)(WIRE_QR | flags));
    memset(message + 6, 0, 6);
}

static void put_opt(unsigned rcode_high, const void *options, size_t size)
{
    uint8_t *opt = message + message_length;

    wire_put_opt(opt, false, (uint8_t)rcode_high);
    wire_put16(opt + 9, (uint16_t)size);
    memcpy(opt + WIRE_OPT_BYTES, options, size);
    message_length += WIRE_OPT_BYTES + size;
    wire_put16(message + 10, (uint16_t)(wire_get16(message + 10) + 1));
}

static void put_cookie(unsigned rcode_high, const uint8_t *cookie, size_t size)
{
    uint8_t option[64] = { 0, 10, 0, (uint8_t)size };

    memcpy(option + 4, cookie, 8);
    put_opt(rcode_high, option, 4 + size);
}

static bool read_reply(struct exchange_reply *reply)
{
    /* a copy of exactly the right size, so that a sanitizer sees every step outside */
    uint8_t *copy = malloc(message_length > 0 ? message_length : 1);

    assert_non_null(copy);
    memcpy(copy, message, message_length);
    bool ok = exchange_read(&exchange, ID, copy, message_length, reply);
    if (ok && reply->server_cookie != NULL) {
        reply->server_cookie = message + (reply->server_cookie - copy);
    }
    free(copy);
    return ok;
}

static enum exchange_verdict judge(void)
{
    struct exchange_reply reply;

    assert_true(read_reply(&reply));
    return exchange_judge(&exchange, &reply, &habits);
}

static int set_up(void **state)
{
    (void)state;
    memset(&habits, 0, sizeof(habits));
    habits_draw_cookie(&habits, client, 0);
    return 0;
}

/* ---- the words ---- */

static void the_query_is_one_that_we_would_take(void **state)
{
    struct wire_query query;

    (void)state;
    habits_cookie_came(&habits, client, all_bits, HABITS_SERVER_COOKIE);
    for (unsigned i = 0; i < 8; i++) {
        write_query(i & 1, i & 2, i & 4);
        assert_int_equal(wire_query_parse(exchange.query, exchange.length, &query), WIRE_QUERY_OK);
        assert_int_equal(query.id, ID);
        assert_int_equal(query.flags, WIRE_RD | WIRE_AD);
        assert_int_equal(query.edns, i & 1);
        assert_int_equal(query.dnssec_ok, i & 1);
        assert_int_equal(query.type, WIRE_A);
        assert_memory_equal(query.dname, "\3www\7example\3com", sizeof(name));
        assert_int_equal(exchange.cookie_at != 0, (i & 5) == 5);
        assert_int_equal(exchange.mixed, (i & 2) != 0);
    }
}

static void letters_are_turned_and_nothing_else(void **state)
{
    (void)state;
    write_query(true, true, true);
    assert_memory_equal(exchange.query + WIRE_QUESTION, "\3WwW\7EXAMPLE\3COM", sizeof(name));
    assert_memory_equal(exchange.asked, name, sizeof(name));
}

static void the_longest_query_fits(void **state)
{
    static uint8_t longest[NAME_MAX_BYTES];
    struct exchange_manner manner = { .id = ID, .edns = true, .cookies = &habits };

    (void)state;
    for (unsigned i = 0; i + 2 < sizeof(longest); i += 2) {
        longest[i] = 1;
        longest[i + 1] = 'a';
    }
    struct forward_question question = { .name = longest, .name_length = sizeof(longest) };
    habits_cookie_came(&habits, client, all_bits, HABITS_SERVER_COOKIE);
    exchange_init(&exchange, &question);
    exchange_write(&exchange, &manner);
    assert_int_equal(exchange.length, EXCHANGE_QUERY_MAX);
}

/* ---- replies ---- */

static void strangers_are_told_apart(void **state)
{
    struct exchange_reply reply;

    (void)state;
    write_query(true, true, false);
    begin_reply(0);
    assert_true(read_reply(&reply));
    assert_false(reply.other_letters);
    assert_int_equal(reply.answers_at, message_length);
    message[0] ^= 1;
    assert_false(read_reply(&reply)); /* the id */
    begin_reply(0);
    message[2] &= 0x7f;
    assert_false(read_reply(&reply)); /* a query */
    begin_reply(0);
    message[WIRE_QUESTION + 1] = 'x';
    assert_false(read_reply(&reply));
    begin_reply(0);
    message[message_length - 3] ^= 1;
    assert_false(read_reply(&reply)); /* the type */
    begin_reply(0);
    message[5] = 2;
    assert_false(read_reply(&reply));
    begin_reply(0);
    message[5] = 0;
    assert_false(read_reply(&reply)); /* only an error may lack the question */
    begin_reply(0);
    for (size_t cut = message_length; cut > 0; cut--) {
        message_length = cut - 1;
        assert_false(read_reply(&reply));
    }
}

static void other_letters_are_a_doubt_only_when_ours_were_mixed(void **state)
{
    (void)state;
    write_query(true, true, false);
    begin_reply(0);
    name_fold(message + WIRE_QUESTION, sizeof(name), message + WIRE_QUESTION);
    assert_int_equal(judge(), EXCHANGE_DOUBT_CASE);
    write_query(true, false, false);
    begin_reply(0);
    name_fold(message + WIRE_QUESTION, sizeof(name), message + WIRE_QUESTION);
    assert_int_equal(judge(), EXCHANGE_TAKE);
}

static void cookies_are_read(void **state)
{
    static const struct {
        size_t size;
        enum exchange_cookie is;
    } cases[] = {
        { 8, EXCHANGE_OUR_COOKIE },   { 9, EXCHANGE_WRONG_COOKIE }, { 15, EXCHANGE_WRONG_COOKIE },
        { 16, EXCHANGE_OUR_COOKIE },  { 40, EXCHANGE_OUR_COOKIE },  { 41, EXCHANGE_WRONG_COOKIE },
        { 7, EXCHANGE_WRONG_COOKIE }, { 0, EXCHANGE_WRONG_COOKIE },
    };
    struct exchange_reply reply;

    (void)state;
    write_query(true, false, true);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin_reply(0);
        put_cookie(0, client, cases[i].size);
        assert_true(read_reply(&reply));
        assert_int_equal(reply.cookie, cases[i].is);
        if (cases[i].is == EXCHANGE_OUR_COOKIE) {
            assert_int_equal(reply.server_cookie_length, cases[i].size - 8);
            assert_int_equal(judge(), EXCHANGE_TAKE);
        } else {
            assert_int_equal(judge(), EXCHANGE_DOUBT_COOKIE);
        }
    }
    write_query(true, false, false);
    begin_reply(0);
    put_cookie(0, all_bits, 16);
    assert_int_equal(judge(), EXCHANGE_TAKE); /* none was sent */
}

static void a_cookie_is_missed_only_of_one_that_sends_them(void **state)
{
    (void)state;
    write_query(true, false, true);
    begin_reply(0);
    put_opt(0, "", 0);
    assert_int_equal(judge(), EXCHANGE_TAKE);
    habits_cookie_came(&habits, client, all_bits, 8);
    assert_int_equal(judge(), EXCHANGE_DOUBT_COOKIE);
    write_query(true, false, false);
    begin_reply(0);
    assert_int_equal(judge(), EXCHANGE_TAKE);
}

static void refusals_are_told_apart(void **state)
{
    (void)state;
    write_query(true, false, true);
    begin_reply(WIRE_FORMERR);
    assert_int_equal(judge(), EXCHANGE_EDNS_REFUSED);
    begin_reply(WIRE_NOTIMP);
    assert_int_equal(judge(), EXCHANGE_EDNS_REFUSED);
    begin_reply(WIRE_SERVFAIL);
    assert_int_equal(judge(), EXCHANGE_TAKE);
    begin_reply(0);
    put_opt(1, "", 0);
    assert_int_equal(judge(), EXCHANGE_EDNS_REFUSED); /* BADVERS */
    begin_reply(WIRE_FORMERR);
    put_opt(0, "", 0);
    assert_int_equal(judge(), EXCHANGE_COOKIE_REFUSED);
    begin_reply(WIRE_FORMERR);
    put_cookie(0, client, 16);
    assert_int_equal(judge(), EXCHANGE_TAKE); /* it knows cookies: the question is at fault */
    begin_reply(23 & 15);
    put_cookie(23 >> 4, client, 16);
    assert_int_equal(judge(), EXCHANGE_BAD_COOKIE);
    habits_cookie_came(&habits, client, all_bits, 8);
    begin_reply(WIRE_FORMERR);
    assert_int_equal(judge(), EXCHANGE_DOUBT_COOKIE); /* anybody could say that */
    write_query(false, false, true);
    begin_reply(WIRE_FORMERR);
    assert_int_equal(judge(), EXCHANGE_TAKE);
}

static void options_end_where_the_record_does(void **state)
{
    static const uint8_t options[] = { 0, 3, 0, 1, 'x', 0, 10, 0, 8, 'c', 'o' };
    struct exchange_reply reply;

    (void)state;
    write_query(true, false, true);
    begin_reply(0);
    put_opt(0, options, sizeof(options));
    assert_true(read_reply(&reply));
    assert_true(reply.has_opt);
    assert_int_equal(reply.cookie, EXCHANGE_NO_COOKIE);
    for (size_t cut = message_length; cut > WIRE_QUESTION + sizeof(name) + 4; cut--) {
        message_length = cut - 1;
        assert_true(read_reply(&reply));
        assert_false(reply.has_opt);
    }
}

#define TEST(test) cmocka_unit_test_setup(test, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_query_is_one_that_we_would_take),
        TEST(letters_are_turned_and_nothing_else),
        TEST(the_longest_query_fits),
        TEST(strangers_are_told_apart),
        TEST(other_letters_are_a_doubt_only_when_ours_were_mixed),
        TEST(cookies_are_read),
        TEST(a_cookie_is_missed_only_of_one_that_sends_them),
        TEST(refusals_are_told_apart),
        TEST(options_end_where_the_record_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
