/*
 * query - any bytes in, a sound answer out
 *
 * The first byte chooses the transport and the client, the rest is the
 * message. Asserted: the size is within the client's limit, id and opcode are
 * echoed, QR is set, the answer parses, the question comes back as it was.
 */
#include <assert.h>
#include <stdint.h>

#include "../unit/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char yaml[] =
    "node: {name: t, region: seoul}\n"
    "regions: {seoul: {minimum_healthy: 0}, tokyo: {minimum_healthy: 0}}\n"
    "services:\n"
    "  api.svc.example.com: {order: [seoul, tokyo], minimum_healthy: 1,\n"
    "    endpoints: {seoul: [192.0.2.1, \"2001:db8::1\"], tokyo: [198.51.100.1]}}\n"
    "  a.b: {order: [seoul], minimum_healthy: 1, endpoints: {seoul: [192.0.2.7]}}\n"
    "zones: {svc.example.com: {nameservers: [ns1.example.com]}}\n"
    "forward: {\".\": {upstreams: [127.0.0.1:1]}}\n";

static size_t limit_of(const struct world *w)
{
    size_t limit = WIRE_UDP_PLAIN;

    if (w->stream) {
        return WIRE_MESSAGE_MAX;
    }
    if (w->thread.query.edns && w->thread.query.payload > limit) {
        limit = w->thread.query.payload;
    }
    return limit < WIRE_UDP_MOST ? limit : WIRE_UDP_MOST;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world *w;
    uint8_t before[QUERY_UDP_BUFFER];

    if (w == NULL) {
        w = malloc(sizeof(*w));
        if (w == NULL || !world_init(w, yaml)) {
            abort();
        }
    }
    if (size < 1 || size - 1 > sizeof(before)) {
        return 0;
    }
    w->stream = (data[0] & 1) != 0;
    w->local_is_loopback = (data[0] & 2) != 0;
    w->length = size - 1;
    memcpy(w->message, data + 1, w->length);
    memcpy(before, data + 1, w->length);
    if (world_answer(w) != QUERY_SEND) {
        return 0;
    }
    assert(w->length >= WIRE_HEADER_BYTES && w->length <= limit_of(w));
    assert(wire_get16(w->message) == wire_get16(before));
    assert((world_flags(w) & WIRE_QR) != 0);
    assert(((world_flags(w) ^ wire_get16(before + 2)) & WIRE_OPCODE) == 0);
    assert(wire_response_sound(w->message, w->length));
    if (wire_get16(w->message + 4) == 1) {
        size_t question = w->thread.query.question_end;
        assert(memcmp(w->message + 12, before + 12, question - 12) == 0);
    }
    return 0;
}
