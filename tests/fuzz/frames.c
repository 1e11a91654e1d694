/*
 * Any bytes as the stream of an upstream, cut into pieces as the first two
 * bytes say: what is told is the same as when it comes in one piece, and is
 * what the lengths in front say. After the third byte's number of messages no
 * more are wanted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "resolver/forward/frames.h"
#include "zones/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD 3

/* The stream as a whole, and how far what was told has got. */
struct stream {
    const uint8_t *bytes;
    size_t size;
    size_t at;
    unsigned wanted;
};

static bool take(void *user, const uint8_t *message, size_t length)
{
    struct stream *stream = user;

    REQUIRE(stream->wanted > 0);
    REQUIRE(stream->size - stream->at >= 2 + length && length >= WIRE_HEADER_BYTES);
    REQUIRE(wire_get16(stream->bytes + stream->at) == length);
    REQUIRE(memcmp(stream->bytes + stream->at + 2, message, length) == 0);
    stream->at += 2 + length;
    return --stream->wanted > 0;
}

/* In memory of its own, so that reading behind it is seen. */
static int feed(struct frames *frames, struct stream *stream, size_t at, size_t size)
{
    uint8_t *copy = malloc(size);

    REQUIRE(copy != NULL);
    memcpy(copy, stream->bytes + at, size);
    int code = frames_feed(frames, copy, size, take, stream);
    free(copy);
    return code;
}

/* What should be left when all has been told. */
static void check_rest(const struct stream *stream, int code)
{
    size_t left = stream->size - stream->at;
    size_t length = left >= 2 ? wire_get16(stream->bytes + stream->at) : 0;

    if (stream->wanted == 0) {
        return;
    }
    REQUIRE((code == -EPROTO) == (left >= 2 && length < WIRE_HEADER_BYTES));
    REQUIRE(code < 0 || left < 2 + (left < 2 ? 0 : length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frames frames = { 0 };
    int code = 0;

    if (size < HEAD) {
        return 0;
    }
    size_t piece = wire_get16(data) + 1u;
    struct stream stream = { data + HEAD, size - HEAD, 0, data[2] + 1u };
    for (size_t at = 0; at < stream.size && code == 0 && stream.wanted > 0; at += piece) {
        size_t left = stream.size - at;
        code = feed(&frames, &stream, at, left < piece ? left : piece);
    }
    check_rest(&stream, code);
    frames_fini(&frames);
    return 0;
}
