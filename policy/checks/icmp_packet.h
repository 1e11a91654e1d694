#pragma once
/*
 * icmp_packet - echo requests, and what comes back of them
 *
 * RFC 792 for IPv4, RFC 4443 for IPv6. Pure functions over bytes; what is read
 * may be anybody's.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ICMP_PACKET_COOKIE 16 /* random bytes by which a reply proves to be ours */
#define ICMP_PACKET_BYTES  (8 + ICMP_PACKET_COOKIE)

/* RFC 792; RFC 4443, sections 3 and 4 */
enum {
    ICMP_PACKET_V4_REPLY = 0,
    ICMP_PACKET_V4_UNREACHABLE = 3,
    ICMP_PACKET_V4_REQUEST = 8,
    ICMP_PACKET_V4_EXCEEDED = 11,
    ICMP_PACKET_V6_UNREACHABLE = 1,
    ICMP_PACKET_V6_EXCEEDED = 3,
    ICMP_PACKET_V6_REQUEST = 128,
    ICMP_PACKET_V6_REPLY = 129,
};

enum icmp_packet_meaning {
    ICMP_PACKET_FOREIGN, /* about no echo */
    ICMP_PACKET_REPLY,
    ICMP_PACKET_ERROR, /* somebody on the way says that the request did not arrive */
};

struct icmp_packet {
    enum icmp_packet_meaning meaning;
    uint8_t type;
    uint8_t code;
    uint16_t id; /* of the echo, as is what follows */
    uint16_t sequence;
    uint16_t checksum;     /* ERROR: of the request, as it is quoted */
    const uint8_t *cookie; /* in the bytes read */
    size_t cookie_size;    /* an error may quote less than all of it */
    const uint8_t *target; /* ERROR: the request's destination, 4 or 16 bytes; else NULL */
};

/* Write an echo request with its IPv4 checksum; that of IPv6 is the kernel's. */
void icmp_packet_build(bool is_v6, uint16_t id, uint16_t sequence,
                       const uint8_t cookie[ICMP_PACKET_COOKIE], uint8_t out[ICMP_PACKET_BYTES]);

/*
 * Read what came on a socket. `has_ip` tells whether it begins with the IPv4
 * header, as it does on raw sockets.
 */
void icmp_packet_read(bool is_v6, bool has_ip, const uint8_t *bytes, size_t size,
                      struct icmp_packet *out);

/*
 * Read a request of ours that an error queue gives back (ip(7), IP_RECVERR); its target stands
 * elsewhere.
 */
void icmp_packet_read_quoted(const uint8_t *bytes, size_t size, uint8_t type, uint8_t code,
                             struct icmp_packet *out);

/*
 * Is it about the request with this sequence number and cookie, as far as its
 * bytes tell? (Who it is from, or where the request went, stands elsewhere.)
 *
 * A reply brings back the whole cookie. An error over IPv4 may quote no more
 * than the first 8 bytes of the request (RFC 792; RFC 1122, section 3.2.2),
 * which end before the cookie; but they hold the checksum, which was made over
 * it, and must be quoted unchanged. So a short quote is believed when that is
 * right: 16 bits more to be guessed by who has not seen the request, besides id
 * and sequence number. Over IPv6 as much is quoted as fits into 1280 bytes (RFC
 * 4443, section 2.4), which is all of ours: a shorter quote is nobody's.
 */
bool icmp_packet_is_about(bool is_v6, const struct icmp_packet *packet, uint16_t sequence,
                          const uint8_t cookie[ICMP_PACKET_COOKIE]);

/* An error in words: "host unreachable". NULL when the request was not lost by it. */
const char *icmp_packet_error_words(bool is_v6, uint8_t type, uint8_t code);
