/*
 * Any bytes as an ICMP packet: what is read of it lies within it. The first
 * byte tells the family and whether an IPv4 header comes first.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "policy/checks/icmp_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_within(const uint8_t *part, size_t part_size, const uint8_t *bytes, size_t size)
{
    return part >= bytes && part_size <= size && (size_t)(part - bytes) <= size - part_size;
}

static void check(const struct icmp_packet *packet, bool is_v6, const uint8_t *bytes, size_t size)
{
    if (packet->meaning == ICMP_PACKET_FOREIGN) {
        return;
    }
    REQUIRE(packet->cookie_size <= ICMP_PACKET_COOKIE);
    REQUIRE(is_within(packet->cookie, packet->cookie_size, bytes, size));
    if (packet->meaning == ICMP_PACKET_ERROR) {
        REQUIRE(is_within(packet->target, is_v6 ? 16 : 4, bytes, size));
        REQUIRE(icmp_packet_error_words(is_v6, packet->type, packet->code) != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct icmp_packet packet;

    if (size < 1) {
        return 0;
    }
    bool is_v6 = (data[0] & 1) != 0;
    bool has_ip = !is_v6 && (data[0] & 2) != 0;
    /* a copy as long as it is, so that reading behind it is seen */
    uint8_t *bytes = malloc(size);
    REQUIRE(bytes != NULL);
    memcpy(bytes, data, size);
    icmp_packet_read(is_v6, has_ip, bytes + 1, size - 1, &packet);
    check(&packet, is_v6, bytes + 1, size - 1);
    icmp_packet_read_quoted(bytes + 1, size - 1, data[0], 1, &packet);
    REQUIRE(packet.meaning == ICMP_PACKET_FOREIGN ||
            is_within(packet.cookie, packet.cookie_size, bytes + 1, size - 1));
    free(bytes);
    return 0;
}
