/*
 * Any bytes as an upstream's answer: what scrub makes of it is a sound message
 * within its bounds that keeps the question, and making it once more changes
 * nothing. The first byte tells whether DNSSEC records are wanted and how much
 * room there is.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "resolver/forward/scrub.h"
#include "zones/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t once[WIRE_MESSAGE_MAX];
static uint8_t twice[WIRE_MESSAGE_MAX];

/* Length of the question that the message begins with, 0 when there is none. */
static size_t find_question(const uint8_t *message, size_t size)
{
    size_t at = WIRE_QUESTION;

    while (at < size && message[at] != 0) {
        if (message[at] > NAME_MAX_LABEL) {
            return 0;
        }
        at += message[at] + 1u;
    }
    if (at + 5 > size || at + 1 - WIRE_QUESTION > NAME_MAX_BYTES) {
        return 0;
    }
    return at + 5 - WIRE_QUESTION;
}

static void check_answer(const struct scrub_question *question, uint16_t given, size_t length,
                         size_t room)
{
    uint16_t flags = wire_get16(once + 2);

    REQUIRE(length >= WIRE_HEADER_BYTES + question->length && length <= room);
    REQUIRE(wire_response_sound(once, length));
    REQUIRE(flags == (WIRE_QR | WIRE_RD | WIRE_RA | (given & (WIRE_AD | WIRE_RCODE))));
    REQUIRE(wire_get16(once) == 0);
    REQUIRE(wire_get16(once + 4) == 1);
    REQUIRE(wire_get16(once + 10) == 0);
    REQUIRE(memcmp(once + WIRE_QUESTION, question->bytes, question->length) == 0);
}

static void check_again(const struct scrub_question *question, enum scrub_verdict verdict,
                        size_t length)
{
    const char *fault;
    size_t again;

    REQUIRE(scrub_answer(once, length, WIRE_QUESTION + question->length, question, twice,
                         sizeof(twice), &again, &fault) == verdict);
    REQUIRE(again == length);
    REQUIRE(memcmp(once, twice, length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 + WIRE_HEADER_BYTES || size > 1 + WIRE_MESSAGE_MAX) {
        return 0;
    }
    size_t length = size - 1;
    size_t room = data[0] < 128 ? sizeof(once) : (size_t)(data[0] & 0x7e) * 8;
    uint8_t *message = malloc(length); /* as long as it is, so that reading behind it is seen */
    REQUIRE(message != NULL);
    memcpy(message, data + 1, length);
    struct scrub_question question = {
        .bytes = message + WIRE_QUESTION,
        .length = find_question(message, length),
        .dnssec_ok = (data[0] & 1) != 0,
    };
    if (question.length > 0 && wire_get16(message + 4) == 1) {
        const char *fault = NULL;
        size_t out_length = 0;
        enum scrub_verdict verdict = scrub_answer(message, length, WIRE_QUESTION + question.length,
                                                  &question, once, room, &out_length, &fault);
        REQUIRE((verdict == SCRUB_FAILED) == (fault != NULL && out_length == 0));
        if (verdict != SCRUB_FAILED) {
            check_answer(&question, wire_get16(message + 2), out_length, room);
            check_again(&question, verdict, out_length);
        }
    }
    free(message);
    return 0;
}
