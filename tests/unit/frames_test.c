#include "resolver/forward/frames.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "zones/wire.h"

#define SHORT 12u /* the least a message may have */
#define LONG  300u

struct taken {
    unsigned count;
    unsigned enough; /* no more is read then; 0: never */
    size_t lengths[8];
    uint8_t firsts[8];
};

static bool take(void *user, const uint8_t *message, size_t length)
{
    struct taken *taken = user;

    assert_true(taken->count < 8);
    for (size_t i = 1; i < length; i++) {
        assert_int_equal(message[i], message[0]);
    }
    taken->lengths[taken->count] = length;
    taken->firsts[taken->count++] = message[0];
    return taken->count != taken->enough;
}

/* A message of `length` bytes `fill`, its length in front. Returns the size of both. */
static size_t put(uint8_t *out, uint8_t fill, size_t length)
{
    wire_put16(out, (uint16_t)length);
    memset(out + 2, fill, length);
    return length + 2;
}

/* From memory of just that size, so that reading behind it is seen. */
static int feed(struct frames *frames, const uint8_t *bytes, size_t size, struct taken *taken)
{
    uint8_t *copy = malloc(size);

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    int code = frames_feed(frames, copy, size, take, taken);
    free(copy);
    return code;
}

static void messages_that_come_together_are_told_in_their_order(void **state)
{
    struct frames frames = { 0 };
    struct taken taken = { 0 };
    uint8_t bytes[1024];
    size_t size = put(bytes, 1, SHORT);

    (void)state;
    size += put(bytes + size, 2, LONG);
    size += put(bytes + size, 3, SHORT);
    assert_int_equal(feed(&frames, bytes, size, &taken), 0);
    assert_int_equal(taken.count, 3);
    assert_int_equal(taken.firsts[1], 2);
    assert_int_equal(taken.lengths[1], LONG);
    assert_int_equal(taken.firsts[2], 3);
    assert_null(frames.message);
    frames_fini(&frames);
}

static void it_does_not_matter_where_the_stream_is_cut(void **state)
{
    uint8_t bytes[1024];
    size_t size = put(bytes, 1, SHORT);

    (void)state;
    size += put(bytes + size, 2, LONG);
    size += put(bytes + size, 3, SHORT);
    for (size_t piece = 1; piece < size; piece++) {
        struct frames frames = { 0 };
        struct taken taken = { 0 };
        for (size_t at = 0; at < size; at += piece) {
            size_t part = size - at < piece ? size - at : piece;
            assert_int_equal(feed(&frames, bytes + at, part, &taken), 0);
        }
        assert_int_equal(taken.count, 3);
        assert_int_equal(taken.lengths[0], SHORT);
        assert_int_equal(taken.lengths[1], LONG);
        assert_int_equal(taken.firsts[2], 3);
        assert_null(frames.message);
        frames_fini(&frames);
    }
}

static void a_length_too_short_for_a_message_ends_the_stream(void **state)
{
    struct frames frames = { 0 };
    struct taken taken = { 0 };
    uint8_t bytes[64];
    size_t size = put(bytes, 1, SHORT);

    (void)state;
    size += put(bytes + size, 2, SHORT - 1);
    assert_int_equal(feed(&frames, bytes, size, &taken), -EPROTO);
    assert_int_equal(taken.count, 1);
    frames_fini(&frames);
}

static void the_largest_message_has_room(void **state)
{
    struct frames frames = { 0 };
    struct taken taken = { 0 };
    static uint8_t bytes[2 + 65535];
    size_t size = put(bytes, 7, 65535);

    (void)state;
    assert_int_equal(feed(&frames, bytes, size - 1, &taken), 0);
    assert_int_equal(taken.count, 0);
    assert_int_equal(feed(&frames, bytes + size - 1, 1, &taken), 0);
    assert_int_equal(taken.count, 1);
    assert_int_equal(taken.lengths[0], 65535);
    frames_fini(&frames);
}

static void who_has_enough_is_told_no_more(void **state)
{
    struct frames frames = { 0 };
    struct taken taken = { .enough = 1 };
    uint8_t bytes[64];
    size_t size = put(bytes, 1, SHORT);

    (void)state;
    size += put(bytes + size, 2, SHORT);
    assert_int_equal(feed(&frames, bytes, size, &taken), 0);
    assert_int_equal(taken.count, 1);
    frames_fini(&frames);
}

static void what_came_in_pieces_is_freed(void **state)
{
    struct frames frames = { 0 };
    struct taken taken = { 0 };
    uint8_t bytes[1024];

    (void)state;
    (void)put(bytes, 1, LONG);
    assert_int_equal(feed(&frames, bytes, 100, &taken), 0);
    assert_non_null(frames.message);
    frames_fini(&frames);
    assert_null(frames.message);
    assert_int_equal(taken.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_that_come_together_are_told_in_their_order),
        cmocka_unit_test(it_does_not_matter_where_the_stream_is_cut),
        cmocka_unit_test(a_length_too_short_for_a_message_ends_the_stream),
        cmocka_unit_test(the_largest_message_has_room),
        cmocka_unit_test(who_has_enough_is_told_no_more),
        cmocka_unit_test(what_came_in_pieces_is_freed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
