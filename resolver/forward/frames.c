#include "resolver/forward/frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "zones/wire.h"

/* One byte of the length; with the second begins the message. */
static int take_prefix(struct frames *frames, uint8_t byte)
{
    frames->prefix[frames->prefix_got++] = byte;
    if (frames->prefix_got < sizeof(frames->prefix)) {
        return 0;
    }
    size_t length = wire_get16(frames->prefix);
    frames->prefix_got = 0;
    if (length < WIRE_HEADER_BYTES) {
        return -EPROTO;
    }
    frames->message = malloc(length);
    if (frames->message == NULL) {
        return -ENOMEM;
    }
    frames->expected = length;
    frames->got = 0;
    return 0;
}

/* A whole frame at the start of the bytes: how long, 0 when there is none. */
static size_t whole_frame(const struct frames *frames, const uint8_t *bytes, size_t size)
{
    if (frames->message != NULL || frames->prefix_got > 0 || size < sizeof(frames->prefix)) {
        return 0;
    }
    size_t length = wire_get16(bytes);
    size_t frame = sizeof(frames->prefix) + length;
    return length >= WIRE_HEADER_BYTES && size >= frame ? frame : 0;
}

/* A piece of the message. Its message is passed on when that was the last. */
static size_t take_piece(struct frames *frames, const uint8_t *bytes, size_t size)
{
    size_t missing = frames->expected - frames->got;
    size_t piece = size < missing ? size : missing;

    memcpy(frames->message + frames->got, bytes, piece);
    frames->got += piece;
    return piece;
}

int frames_feed(struct frames *frames, const uint8_t *bytes, size_t size,
                bool (*take)(void *user, const uint8_t *message, size_t length), void *user)
{
    bool more = true;

    while (size > 0 && more) {
        size_t used = whole_frame(frames, bytes, size);
        if (used > 0) {
            more = take(user, bytes + sizeof(frames->prefix), used - sizeof(frames->prefix));
        } else if (frames->message == NULL) {
            int code = take_prefix(frames, *bytes);
            if (code < 0) {
                return code;
            }
            used = 1;
        } else {
            used = take_piece(frames, bytes, size);
            if (frames->got == frames->expected) {
                more = take(user, frames->message, frames->expected);
                frames_fini(frames);
            }
        }
        bytes += used;
        size -= used;
    }
    return 0;
}

void frames_fini(struct frames *frames)
{
    free(frames->message);
    memset(frames, 0, sizeof(*frames));
}
