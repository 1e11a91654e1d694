#pragma once
/*
 * sim_wire - DNS messages, read and written
 *
 * The simulator's own, small and written apart from the server under test,
 * so that one misreading of the standard cannot sit on both sides. Pure
 * functions on bytes.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_DNAME_MAX  255 /* RFC 1035, section 2.3.4 */
#define SIM_EDNS_SIZE  1232
#define SIM_PACKET_MAX 65535

enum sim_type {
    SIM_TYPE_A = 1,
    SIM_TYPE_NS = 2,
    SIM_TYPE_CNAME = 5,
    SIM_TYPE_SOA = 6,
    SIM_TYPE_PTR = 12,
    SIM_TYPE_MX = 15,
    SIM_TYPE_TXT = 16,
    SIM_TYPE_AAAA = 28,
    SIM_TYPE_SRV = 33,
    SIM_TYPE_DNAME = 39,
    SIM_TYPE_OPT = 41,
    SIM_TYPE_ANY = 255,
};

enum sim_rcode {
    SIM_RCODE_NOERROR = 0,
    SIM_RCODE_FORMERR = 1,
    SIM_RCODE_SERVFAIL = 2,
    SIM_RCODE_NXDOMAIN = 3,
    SIM_RCODE_NOTIMP = 4,
    SIM_RCODE_REFUSED = 5,
    SIM_RCODE_BADVERS = 16,   /* RFC 6891, section 9 */
    SIM_RCODE_BADCOOKIE = 23, /* RFC 7873, section 8 */
};

enum sim_section {
    SIM_ANSWER,
    SIM_AUTHORITY,
    SIM_ADDITIONAL
};

/* A name in wire form, lower case, not compressed. */
struct sim_dname {
    size_t size; /* with the root's zero; 0: none */
    uint8_t bytes[SIM_DNAME_MAX];
};

struct sim_query {
    uint16_t id;
    uint16_t flags;
    struct sim_dname qname;
    uint8_t question[SIM_DNAME_MAX + 4]; /* as it came, case kept */
    size_t question_size;                /* 0: it could not be read */
    uint16_t type;
    uint16_t class;
    bool mixed_case; /* the name has a capital letter */
    bool edns;
    bool dnssec_ok;
    bool ecs;           /* carries a client subnet, RFC 7871 */
    size_t cookie_size; /* 0: none */
    uint8_t cookie[64]; /* the client's eight bytes and what follows them */
    uint8_t edns_version;
    uint16_t udp_size; /* what the client takes over UDP, 512 without EDNS */
};

/* The OPT records of a reply, ready to be put at its end. */
struct sim_opt {
    size_t size;
    uint16_t count; /* how many records the bytes are */
    uint8_t bytes[512];
};

/* A message under construction. After an overflow nothing more is written. */
struct sim_packet {
    size_t size;
    bool overflow;
    uint16_t rcode; /* extended, put in place by sim_wire_finish */
    uint16_t counts[3];
    uint8_t bytes[SIM_PACKET_MAX];
};

/*
 * Read a query. Returns -1 when it deserves no reply at all (too short, or
 * itself a reply), else the rcode it earns: NOERROR when it can be
 * answered. `query` always holds what could be read up to there.
 */
int sim_wire_parse(const uint8_t *bytes, size_t size, struct sim_query *query);

/* Begin a reply to `query`: header and question, RA set, no records. */
void sim_wire_start(struct sim_packet *packet, const struct sim_query *query);

/* Append raw bytes, a big-endian number, a name. */
void sim_wire_put(struct sim_packet *packet, const void *bytes, size_t size);
void sim_wire_put16(struct sim_packet *packet, uint16_t number);
void sim_wire_put32(struct sim_packet *packet, uint32_t number);
void sim_wire_put_dname(struct sim_packet *packet, const struct sim_dname *dname);

/*
 * Begin a record in `section`; sections come in order. Returns the mark to
 * give to sim_wire_end once the data has been put.
 */
size_t sim_wire_begin(struct sim_packet *packet, enum sim_section section,
                      const struct sim_dname *owner, uint16_t type, uint32_t ttl_s);
void sim_wire_end(struct sim_packet *packet, size_t mark);

/*
 * Put the OPT records, the counts and the rcode in place. A message longer
 * than `limit` loses all records and gets TC, as does any when `truncate`.
 */
void sim_wire_finish(struct sim_packet *packet, const struct sim_query *query,
                     const struct sim_opt *opt, size_t limit, bool truncate);

/* Parse "A", "txt", "TYPE65"; false when it is no type. */
bool sim_wire_parse_type(const char *text, uint16_t *out_type);

/* True for the query's flags AD, CD, RD. */
bool sim_wire_has_ad(const struct sim_query *query);
bool sim_wire_has_cd(const struct sim_query *query);
bool sim_wire_has_rd(const struct sim_query *query);

/* Parse presentation form without escapes; false when it is no name. */
bool sim_wire_parse_dname(const char *text, struct sim_dname *out_dname);

/* Write presentation form, odd bytes as '?'; `text` holds 256 bytes. */
void sim_wire_format_dname(const struct sim_dname *dname, char *text);

/* True when both are the same name. */
bool sim_wire_same(const struct sim_dname *left, const struct sim_dname *right);

/* True when the first label is `label`, given in lower case. */
bool sim_wire_first_label_is(const struct sim_dname *dname, const char *label);

/* The last `labels` labels of a name, or all of it when it has fewer. */
struct sim_dname sim_wire_suffix(const struct sim_dname *dname, unsigned labels);

/* Number of labels, the root not counted. */
unsigned sim_wire_labels(const struct sim_dname *dname);

/* FNV-1a over bytes; the same on every machine. */
uint32_t sim_wire_hash(const uint8_t *bytes, size_t size);
