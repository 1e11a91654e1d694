/*
 * Any bytes as the reply to a query of ours: it is read within its bounds, what
 * is taken has the id and the question, and nothing without our cookie or in
 * other letters than ours gets by where that matters. The first byte tells what
 * the query was like.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "resolver/forward/exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ID 0x4711

static const uint8_t name[] = "\3wWw\7example\3com";

static void write_query(struct exchange *exchange, const struct habits *habits, unsigned how)
{
    static const uint8_t letters[] = { 0xa5, 0x3c, 0x96 };
    struct forward_question question = {
        .name = name,
        .name_length = sizeof(name),
        .type = WIRE_A,
        .class = WIRE_IN,
    };
    struct exchange_manner manner = {
        .id = ID,
        .edns = (how & 1) != 0,
        .letters = (how & 2) != 0 ? letters : NULL,
        .cookies = (how & 4) != 0 ? habits : NULL,
    };

    exchange_init(exchange, &question);
    exchange_write(exchange, &manner);
}

static void check_reply(const struct exchange *exchange, const struct habits *habits,
                        const uint8_t *message, size_t length, const struct exchange_reply *reply)
{
    size_t question = exchange->question_length;

    REQUIRE(wire_get16(message) == ID && (message[2] & 0x80) != 0);
    REQUIRE(reply->answers_at <= length);
    REQUIRE(reply->answers_at == WIRE_HEADER_BYTES + (reply->has_question ? question : 0));
    if (reply->cookie == EXCHANGE_OUR_COOKIE) {
        REQUIRE(reply->server_cookie >= message &&
                reply->server_cookie + reply->server_cookie_length <= message + length);
        REQUIRE(reply->server_cookie_length <= HABITS_SERVER_COOKIE);
    }
    if (exchange_judge(exchange, reply, habits) != EXCHANGE_TAKE) {
        return;
    }
    if (exchange->mixed && reply->has_question) {
        REQUIRE(memcmp(message + WIRE_QUESTION, exchange->query + WIRE_QUESTION, question) == 0);
    }
    if (exchange->cookie_at != 0 && habits->sends_cookies) {
        REQUIRE(reply->cookie == EXCHANGE_OUR_COOKIE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t client[HABITS_CLIENT_COOKIE] = "cookie!";
    struct habits habits = { 0 };
    struct exchange exchange = { 0 };
    struct exchange_reply reply;

    if (size < 1 || size > 1 + WIRE_MESSAGE_MAX) {
        return 0;
    }
    habits_draw_cookie(&habits, client, 0);
    habits.sends_cookies = (data[0] & 8) != 0;
    write_query(&exchange, &habits, data[0]);
    size_t length = size - 1;
    uint8_t *message = malloc(length > 0 ? length : 1); /* so that reading behind it is seen */
    REQUIRE(message != NULL);
    memcpy(message, data + 1, length);
    if (exchange_read(&exchange, ID, message, length, &reply)) {
        check_reply(&exchange, &habits, message, length, &reply);
    }
    free(message);
    return 0;
}
