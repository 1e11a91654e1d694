#pragma once
/*
 * wire - DNS messages on the wire: read and built without allocation
 *
 * Everything here may be fed bytes from strangers: every read is bounded,
 * compression pointers only go back and each further one further back, and a
 * failure is remembered in the reader so that a parser reads straight down and
 * asks once. RFC 1035 section 4, RFC 6891 for EDNS. Pure functions, any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zones/name.h"

#define WIRE_HEADER_BYTES   12
#define WIRE_QUESTION       12 /* offset of the question's name */
#define WIRE_MESSAGE_MAX    65535
#define WIRE_UDP_PLAIN      512  /* RFC 1035, section 4.2.1 */
#define WIRE_UDP_MOST       1232 /* what we send at most and advertise; fits IPv6's minimum MTU */
#define WIRE_OPT_BYTES      11   /* an OPT record without options */
#define WIRE_QUESTION_BYTES (NAME_MAX_BYTES + 4)

/* Header flags, RFC 1035 section 4.1.1 and RFC 4035 section 3. */
#define WIRE_QR           0x8000u
#define WIRE_AA           0x0400u
#define WIRE_TC           0x0200u
#define WIRE_RD           0x0100u
#define WIRE_RA           0x0080u
#define WIRE_AD           0x0020u
#define WIRE_CD           0x0010u
#define WIRE_RCODE        0x000fu
#define WIRE_OPCODE       0x7800u
#define WIRE_OPCODE_SHIFT 11

enum wire_rcode {
    WIRE_NOERROR = 0,
    WIRE_FORMERR = 1,
    WIRE_SERVFAIL = 2,
    WIRE_NXDOMAIN = 3,
    WIRE_NOTIMP = 4,
    WIRE_REFUSED = 5,
    WIRE_BADVERS = 16, /* RFC 6891: upper bits in the OPT record */
};

enum wire_type {
    WIRE_A = 1,
    WIRE_NS = 2,
    WIRE_CNAME = 5,
    WIRE_SOA = 6,
    WIRE_PTR = 12,
    WIRE_HINFO = 13,
    WIRE_MX = 15,
    WIRE_TXT = 16,
    WIRE_AAAA = 28,
    WIRE_SRV = 33,
    WIRE_DNAME = 39,
    WIRE_OPT = 41,
    WIRE_IXFR = 251,
    WIRE_AXFR = 252,
    WIRE_ANY = 255,
};

enum wire_class {
    WIRE_IN = 1,
    WIRE_CLASS_ANY = 255,
};

static inline uint16_t wire_get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t wire_get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void wire_put16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static inline void wire_put32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 24);
    p[1] = (uint8_t)(value >> 16);
    p[2] = (uint8_t)(value >> 8);
    p[3] = (uint8_t)value;
}

/* ---- queries from clients ---- */

/* A parsed query. Only what `wire_query_parse` says it set is valid. */
struct wire_query {
    uint16_t id;
    uint16_t flags; /* as received */
    uint16_t type;
    uint16_t class;
    uint16_t question_end; /* offset behind the question */
    uint16_t payload;      /* the client's EDNS UDP size; 512 without EDNS */
    uint8_t name_length;   /* of the question's name, in bytes */
    uint8_t labels;        /* of it, without the root */
    bool edns;
    bool dnssec_ok;        /* the DO bit, RFC 3225 */
    bool has_options;      /* one of these two */
    bool wants_reason;     /* an Extended DNS Error option, RFC 8914: explain the answer in one */
    bool has_subnet;       /* a Client Subnet option, RFC 7871; then what follows is set */
    uint8_t opt_bytes;     /* of the OPT that the answer carries; 0 without EDNS */
    uint8_t subnet_family; /* as in the option: 1 is IPv4, 2 is IPv6, 0 neither */
    uint8_t subnet_bits;
    uint8_t subnet[16];                /* zero behind `subnet_bits` */
    uint8_t dname[NAME_MAX_BYTES + 9]; /* folded; room for whole words */
};

enum wire_verdict {
    WIRE_QUERY_OK,
    WIRE_QUERY_DROP,    /* no header, or itself a response: never answered */
    WIRE_QUERY_FORMERR, /* id, flags set; question only when question_end > 12 */
    WIRE_QUERY_NOTIMP,  /* another opcode; id, flags set, question_end 12 */
    WIRE_QUERY_BADVERS, /* an EDNS version we do not speak; all set */
};

/* RFC 7871, section 6: the option's code, and its bytes for so many bits of an address. */
#define WIRE_SUBNET 8u
#define WIRE_ERROR  15u /* RFC 8914, section 2 */

static inline uint8_t wire_subnet_bytes(uint8_t bits)
{
    return (uint8_t)(8 + (bits + 7) / 8);
}

/*
 * Parse one query. Its question's name may not be compressed. Additional
 * records but OPT are skipped (at most four records in all).
 */
enum wire_verdict wire_query_parse(const uint8_t *message, size_t length, struct wire_query *query);

/* Write an OPT record of ours behind the message: `rcode_high` is the upper 8 bits. */
static inline void wire_put_opt(uint8_t *out, bool dnssec_ok, uint8_t rcode_high)
{
    out[0] = 0; /* the root */
    wire_put16(out + 1, WIRE_OPT);
    wire_put16(out + 3, WIRE_UDP_MOST);
    out[5] = rcode_high;
    out[6] = 0; /* version */
    wire_put16(out + 7, dnssec_ok ? 0x8000 : 0);
    wire_put16(out + 9, 0);
}

/* ---- queries of our own ---- */

/*
 * Build a query into `out`, which holds at least WIRE_HEADER_BYTES +
 * WIRE_QUESTION_BYTES + WIRE_OPT_BYTES bytes. `name` is wire form and its
 * letter case is kept. `payload` 0: without EDNS. Returns the length.
 */
size_t wire_query_build(uint8_t *out, uint16_t id, uint16_t flags, const uint8_t *name,
                        uint16_t type, uint16_t class, uint16_t payload, bool dnssec_ok);

/* ---- reading responses ---- */

struct wire_reader {
    const uint8_t *message;
    size_t length;
    size_t at;
    bool failed; /* sticky */
};

struct wire_record {
    uint8_t owner[NAME_MAX_BYTES]; /* dname */
    uint16_t type;
    uint16_t class;
    uint32_t ttl_s;
    size_t rdata_at; /* offset in the message */
    uint16_t rdata_length;
};

void wire_reader_init(struct wire_reader *reader, const uint8_t *message, size_t length);
uint16_t wire_read16(struct wire_reader *reader);
uint32_t wire_read32(struct wire_reader *reader);

/* Read a name, following compression, as a dname. Returns its length, 0 on failure. */
size_t wire_read_name(struct wire_reader *reader, uint8_t out[NAME_MAX_BYTES]);

/* Read one resource record and step behind its rdata. False on failure. */
bool wire_read_record(struct wire_reader *reader, struct wire_record *out);

/*
 * Is this the response to exactly this question: QR set, opcode QUERY, id,
 * one question, its name byte for byte as we sent it (letter case too), type
 * and class? A response without a question matches only when its rcode is
 * FORMERR, NOTIMP, SERVFAIL or REFUSED and `question_may_lack` is set. On
 * success `*out_end` is the offset behind the question.
 */
bool wire_response_matches(const uint8_t *message, size_t length, uint16_t id,
                           const uint8_t *question, size_t question_length, bool question_may_lack,
                           size_t *out_end);

/*
 * Walk all records of a response behind its question: true when every one
 * parses and the counts are met exactly or the message ends behind them.
 */
bool wire_response_sound(const uint8_t *message, size_t length);
