#pragma once
/*
 * frames - DNS messages out of a stream of bytes (RFC 1035, section 4.2.2)
 *
 * Each has its length in front. What came whole is passed on where it lies;
 * only a message that came in pieces is put together, in memory of just its
 * length. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frames {
    uint8_t prefix[2];
    uint8_t prefix_got;
    uint8_t *message; /* in pieces; NULL: its length is not known yet */
    size_t expected;
    size_t got;
};

/*
 * The next bytes of the stream. `take` is called with every message they
 * complete, which it may read until it returns; false ends the reading. 0, or
 * -EPROTO when a length is too short for a message, or -ENOMEM: then the rest
 * of the stream has no meaning.
 */
int frames_feed(struct frames *frames, const uint8_t *bytes, size_t size,
                bool (*take)(void *user, const uint8_t *message, size_t length), void *user);

/* Free a message in pieces. A zeroed struct is fine. */
void frames_fini(struct frames *frames);
