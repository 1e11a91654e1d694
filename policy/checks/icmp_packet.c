#include "policy/checks/icmp_packet.h"

#include <string.h>

#define HEADER      8 /* of ICMP: type, code, checksum, id, sequence */
#define V4_HEADER   20
#define V4_TARGET   16 /* where the destination stands */
#define V4_PROTOCOL 9
#define V6_HEADER   40
#define V6_TARGET   24
#define V6_NEXT     6

#define PROTOCOL_ICMP   1
#define PROTOCOL_ICMPV6 58

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* RFC 1071, of an even number of bytes. */
static uint16_t checksum(const uint8_t *bytes, size_t size)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < size; i += 2) {
        sum += get16(bytes + i);
    }
    sum = (sum >> 16) + (sum & 0xffff);
    sum += sum >> 16;
    return (uint16_t)~sum;
}

void icmp_packet_build(bool is_v6, uint16_t id, uint16_t sequence,
                       const uint8_t cookie[ICMP_PACKET_COOKIE], uint8_t out[ICMP_PACKET_BYTES])
{
    memset(out, 0, HEADER);
    out[0] = is_v6 ? ICMP_PACKET_V6_REQUEST : ICMP_PACKET_V4_REQUEST;
    put16(out + 4, id);
    put16(out + 6, sequence);
    memcpy(out + HEADER, cookie, ICMP_PACKET_COOKIE);
    if (!is_v6) {
        put16(out + 2, checksum(out, ICMP_PACKET_BYTES));
    }
}

/* The echo's own fields. */
static void take_echo(const uint8_t *bytes, size_t size, enum icmp_packet_meaning meaning,
                      struct icmp_packet *out)
{
    out->id = get16(bytes + 4);
    out->sequence = get16(bytes + 6);
    out->checksum = get16(bytes + 2);
    out->cookie = bytes + HEADER;
    out->cookie_size = size - HEADER < ICMP_PACKET_COOKIE ? size - HEADER : ICMP_PACKET_COOKIE;
    out->meaning = meaning;
}

/* The size of the IPv4 header, or 0 when it is not whole or not before ICMP. */
static size_t v4_header(const uint8_t *bytes, size_t size)
{
    if (size < V4_HEADER || bytes[0] >> 4 != 4 || bytes[V4_PROTOCOL] != PROTOCOL_ICMP) {
        return 0;
    }
    size_t length = (size_t)(bytes[0] & 0xf) * 4;
    return length >= V4_HEADER && length <= size ? length : 0;
}

static size_t v6_header(const uint8_t *bytes, size_t size)
{
    return size >= V6_HEADER && bytes[0] >> 4 == 6 && bytes[V6_NEXT] == PROTOCOL_ICMPV6 ? V6_HEADER
                                                                                        : 0;
}

/* What an error quotes: the header of the packet that was lost, and its beginning. */
static void take_quoted(bool is_v6, const uint8_t *bytes, size_t size, struct icmp_packet *out)
{
    size_t header = is_v6 ? v6_header(bytes, size) : v4_header(bytes, size);
    uint8_t request = is_v6 ? ICMP_PACKET_V6_REQUEST : ICMP_PACKET_V4_REQUEST;

    if (header == 0 || size - header < HEADER || bytes[header] != request) {
        return;
    }
    out->target = bytes + (is_v6 ? V6_TARGET : V4_TARGET);
    take_echo(bytes + header, size - header, ICMP_PACKET_ERROR, out);
}

void icmp_packet_read(bool is_v6, bool has_ip, const uint8_t *bytes, size_t size,
                      struct icmp_packet *out)
{
    memset(out, 0, sizeof(*out));
    if (has_ip) {
        size_t header = v4_header(bytes, size);
        if (header == 0) {
            return;
        }
        bytes += header;
        size -= header;
    }
    if (size < HEADER) {
        return;
    }
    out->type = bytes[0];
    out->code = bytes[1];
    if (out->type == (is_v6 ? ICMP_PACKET_V6_REPLY : ICMP_PACKET_V4_REPLY)) {
        take_echo(bytes, size, ICMP_PACKET_REPLY, out);
    } else if (icmp_packet_error_words(is_v6, out->type, out->code) != NULL) {
        take_quoted(is_v6, bytes + HEADER, size - HEADER, out);
    }
}

void icmp_packet_read_quoted(const uint8_t *bytes, size_t size, uint8_t type, uint8_t code,
                             struct icmp_packet *out)
{
    memset(out, 0, sizeof(*out));
    out->type = type;
    out->code = code;
    if (size >= HEADER) {
        take_echo(bytes, size, ICMP_PACKET_ERROR, out);
    }
}

bool icmp_packet_is_about(bool is_v6, const struct icmp_packet *packet, uint16_t sequence,
                          const uint8_t cookie[ICMP_PACKET_COOKIE])
{
    uint8_t request[ICMP_PACKET_BYTES];

    if (packet->sequence != sequence || memcmp(packet->cookie, cookie, packet->cookie_size) != 0) {
        return false;
    }
    if (packet->cookie_size == ICMP_PACKET_COOKIE) {
        return true;
    }
    if (is_v6 || packet->meaning != ICMP_PACKET_ERROR) {
        return false;
    }
    icmp_packet_build(false, packet->id, sequence, cookie, request);
    return packet->checksum == get16(request + 2);
}

static const char *v4_words(uint8_t type, uint8_t code)
{
    if (type == ICMP_PACKET_V4_EXCEEDED) {
        return "time exceeded on the way";
    }
    if (type != ICMP_PACKET_V4_UNREACHABLE) {
        return NULL;
    }
    switch (code) {
    case 0:
    case 6:
    case 11:
        return "network unreachable";
    case 4: /* too large without fragments; ours fit everywhere */
        return NULL;
    case 9:
    case 10:
    case 13: /* RFC 1812, section 5.2.7.1 */
        return "administratively prohibited";
    default:
        return "host unreachable";
    }
}

static const char *v6_words(uint8_t type, uint8_t code)
{
    if (type == ICMP_PACKET_V6_EXCEEDED) {
        return "time exceeded on the way";
    }
    if (type != ICMP_PACKET_V6_UNREACHABLE) {
        return NULL;
    }
    switch (code) {
    case 0:
    case 6:
        return "network unreachable";
    case 1:
    case 5:
        return "administratively prohibited";
    default:
        return "host unreachable";
    }
}

const char *icmp_packet_error_words(bool is_v6, uint8_t type, uint8_t code)
{
    return is_v6 ? v6_words(type, code) : v4_words(type, code);
}
