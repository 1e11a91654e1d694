/*
 * Any bytes as an HTTP response: it stays within its bounds and says the same
 * however the bytes are split. The first byte tells whether a body is wanted,
 * whether it was a HEAD request, and how large the second reading's steps are.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "policy/checks/http_response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char bodies[2][HTTP_RESPONSE_BODY_MAX];

static void read_in_steps(const char *bytes, size_t size, size_t step, bool head, char *body,
                          struct http_response *out)
{
    http_response_init(out, body, HTTP_RESPONSE_BODY_MAX);
    out->head = head;
    for (size_t at = 0; at < size; at += step) {
        /* a copy as long as it is, so that reading behind it is seen */
        size_t part = size - at < step ? size - at : step;
        char *copy = malloc(part);
        REQUIRE(copy != NULL);
        memcpy(copy, bytes + at, part);
        (void)http_response_feed(out, copy, part);
        free(copy);
    }
    (void)http_response_end(out);
}

static void check_bounds(const struct http_response *response, const char *body)
{
    REQUIRE(response->state != HTTP_RESPONSE_MORE);
    REQUIRE((response->error != NULL) == (response->state == HTTP_RESPONSE_BAD));
    REQUIRE(response->status == 0 || (response->status >= 101 && response->status <= 999));
    REQUIRE(response->state == HTTP_RESPONSE_BAD || response->status != 0);
    REQUIRE(response->body_size <= HTTP_RESPONSE_BODY_MAX);
    REQUIRE((body != NULL && !response->head) || response->body_size == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_response whole;
    struct http_response split;

    if (size < 1) {
        return 0;
    }
    bool wants_body = (data[0] & 1) != 0;
    bool head = (data[0] & 0x80) != 0;
    size_t step = (data[0] & 0x7f) / 2 + 1u;
    const char *bytes = (const char *)data + 1;
    read_in_steps(bytes, size - 1, size, head, wants_body ? bodies[0] : NULL, &whole);
    read_in_steps(bytes, size - 1, step, head, wants_body ? bodies[1] : NULL, &split);
    check_bounds(&whole, whole.body);
    REQUIRE(whole.state == split.state);
    REQUIRE(whole.status == split.status);
    REQUIRE(whole.body_size == split.body_size);
    REQUIRE(memcmp(bodies[0], bodies[1], whole.body_size) == 0);
    return 0;
}
