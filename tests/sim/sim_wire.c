#include "sim_wire.h"

#include "sim_fault.h"

#include <string.h>
#include <strings.h>

#define HEADER_SIZE      12
#define FLAG_QR          0x8000u
#define FLAG_OPCODE      0x7800u
#define FLAG_TC          0x0200u
#define FLAG_RD          0x0100u
#define FLAG_RA          0x0080u
#define FLAG_AD          0x0020u
#define FLAG_CD          0x0010u
#define POINTER_TO_QNAME 0xc00cu /* the question's name stands right behind the header */
#define OPT_DO           0x8000u /* RFC 6891, section 6.1.4 */
#define CLASS_IN         1
#define OPTION_ECS       8  /* RFC 7871 */
#define OPTION_COOKIE    10 /* RFC 7873 */

struct reader {
    const uint8_t *bytes;
    size_t size;
    size_t at;
    bool bad;
};

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static uint16_t get16(struct reader *reader)
{
    if (reader->bad || reader->size - reader->at < 2) {
        reader->bad = true;
        return 0;
    }
    const uint8_t *p = reader->bytes + reader->at;
    reader->at += 2;
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void skip(struct reader *reader, size_t size)
{
    if (reader->bad || reader->size - reader->at < size) {
        reader->bad = true;
        return;
    }
    reader->at += size;
}

/* A question's name: nothing stands before it, so a pointer has no place in it. */
static void get_qname(struct reader *reader, struct sim_dname *dname)
{
    size_t start = reader->at;
    uint8_t length = 1;
    while (!reader->bad && length != 0) {
        length = reader->at < reader->size ? reader->bytes[reader->at] : 0xff;
        if (length > 63) {
            reader->bad = true;
            return;
        }
        skip(reader, 1u + length);
        if (reader->at - start > SIM_DNAME_MAX) {
            reader->bad = true;
        }
    }
    if (reader->bad) {
        return;
    }
    dname->size = reader->at - start;
    for (size_t i = 0; i < dname->size; i++) {
        dname->bytes[i] = lower(reader->bytes[start + i]);
    }
}

/* Step over a name that may end in a pointer; where it points does not matter here. */
static void skip_name(struct reader *reader)
{
    while (!reader->bad) {
        uint8_t length = reader->at < reader->size ? reader->bytes[reader->at] : 0x80;
        if ((length & 0xc0) == 0xc0) {
            skip(reader, 2);
            return;
        }
        if (length > 63) {
            reader->bad = true;
            return;
        }
        skip(reader, 1u + length);
        if (length == 0) {
            return;
        }
    }
}

static void get_question(struct reader *reader, struct sim_query *query)
{
    size_t start = reader->at;
    struct sim_dname qname = { 0 };
    get_qname(reader, &qname);
    uint16_t type = get16(reader);
    uint16_t class = get16(reader);
    if (reader->bad) {
        return;
    }
    query->qname = qname;
    query->type = type;
    query->class = class;
    query->question_size = reader->at - start;
    memcpy(query->question, reader->bytes + start, query->question_size);
    query->mixed_case = memcmp(query->question, qname.bytes, qname.size) != 0;
}

/* The options that matter here; the others are passed over. */
static bool get_options(struct reader *reader, size_t end, struct sim_query *query)
{
    while (!reader->bad && reader->at < end) {
        uint16_t code = get16(reader);
        size_t size = get16(reader);
        const uint8_t *bytes = reader->bytes + reader->at;
        skip(reader, size);
        if (reader->bad || reader->at > end) {
            return false;
        }
        if (code == OPTION_COOKIE && size <= sizeof query->cookie) {
            query->cookie_size = size;
            memcpy(query->cookie, bytes, size);
        }
        query->ecs = query->ecs || code == OPTION_ECS;
    }
    return !reader->bad;
}

/* Returns false when a second OPT turns up. RFC 6891, section 6.1.1 */
static bool get_opt(struct sim_query *query, uint16_t size, uint16_t high, uint16_t low)
{
    if (query->edns) {
        return false;
    }
    query->edns = true;
    query->udp_size = size < 512 ? 512 : size;
    query->edns_version = (uint8_t)(high & 0xff);
    query->dnssec_ok = (low & OPT_DO) != 0;
    return true;
}

static bool get_record(struct reader *reader, bool may_be_opt, struct sim_query *query)
{
    skip_name(reader);
    uint16_t type = get16(reader);
    uint16_t class = get16(reader);
    uint16_t ttl_high = get16(reader);
    uint16_t ttl_low = get16(reader);
    size_t size = get16(reader);
    size_t start = reader->at;
    skip(reader, size);
    if (reader->bad) {
        return false;
    }
    if (type != SIM_TYPE_OPT) {
        return true;
    }
    reader->at = start;
    return may_be_opt && get_opt(query, class, ttl_high, ttl_low) &&
           get_options(reader, start + size, query);
}

/* The records behind the question; their number is bounded by the bytes there are. */
static bool get_records(struct reader *reader, unsigned others, unsigned additional,
                        struct sim_query *query)
{
    for (unsigned i = 0; i < others + additional; i++) {
        if (!get_record(reader, i >= others, query)) {
            return false;
        }
    }
    return true;
}

int sim_wire_parse(const uint8_t *bytes, size_t size, struct sim_query *query)
{
    *query = (struct sim_query){ .udp_size = 512 };
    struct reader reader = { .bytes = bytes, .size = size };
    uint16_t counts[4];
    query->id = get16(&reader);
    query->flags = get16(&reader);
    for (size_t i = 0; i < 4; i++) {
        counts[i] = get16(&reader);
    }
    if (reader.bad || (query->flags & FLAG_QR) != 0) {
        return -1;
    }
    if ((query->flags & FLAG_OPCODE) != 0) {
        return SIM_RCODE_NOTIMP;
    }
    if (counts[0] != 1) {
        return SIM_RCODE_FORMERR;
    }
    get_question(&reader, query);
    unsigned others = (unsigned)counts[1] + counts[2];
    if (reader.bad || !get_records(&reader, others, counts[3], query) || reader.at != reader.size) {
        return SIM_RCODE_FORMERR;
    }
    if (query->edns_version > 0) {
        return SIM_RCODE_BADVERS;
    }
    return query->class == CLASS_IN ? SIM_RCODE_NOERROR : SIM_RCODE_REFUSED;
}

void sim_wire_put(struct sim_packet *packet, const void *bytes, size_t size)
{
    if (packet->overflow || sizeof packet->bytes - packet->size < size) {
        packet->overflow = true;
        return;
    }
    if (size > 0) {
        memcpy(packet->bytes + packet->size, bytes, size);
    }
    packet->size += size;
}

void sim_wire_put16(struct sim_packet *packet, uint16_t number)
{
    uint8_t bytes[2] = { (uint8_t)(number >> 8), (uint8_t)(number & 0xff) };
    sim_wire_put(packet, bytes, sizeof bytes);
}

void sim_wire_put32(struct sim_packet *packet, uint32_t number)
{
    sim_wire_put16(packet, (uint16_t)(number >> 16));
    sim_wire_put16(packet, (uint16_t)(number & 0xffff));
}

void sim_wire_put_dname(struct sim_packet *packet, const struct sim_dname *dname)
{
    sim_wire_put(packet, dname->bytes, dname->size);
}

static void set16(struct sim_packet *packet, size_t at, uint16_t number)
{
    packet->bytes[at] = (uint8_t)(number >> 8);
    packet->bytes[at + 1] = (uint8_t)(number & 0xff);
}

void sim_wire_start(struct sim_packet *packet, const struct sim_query *query)
{
    packet->size = 0;
    packet->overflow = false;
    packet->rcode = SIM_RCODE_NOERROR;
    memset(packet->counts, 0, sizeof packet->counts);
    uint16_t kept = query->flags & (FLAG_OPCODE | FLAG_RD | FLAG_CD);
    sim_wire_put16(packet, query->id);
    sim_wire_put16(packet, (uint16_t)(kept | FLAG_QR | FLAG_RA));
    sim_wire_put16(packet, query->question_size > 0 ? 1 : 0);
    sim_wire_put16(packet, 0);
    sim_wire_put32(packet, 0);
    sim_wire_put(packet, query->question, query->question_size);
}

/* True when `owner` is the name in the message's question, whatever its case. */
static bool is_question(const struct sim_packet *packet, const struct sim_dname *owner)
{
    if (packet->size < HEADER_SIZE + owner->size || packet->bytes[5] != 1) {
        return false;
    }
    for (size_t i = 0; i < owner->size; i++) {
        if (lower(packet->bytes[HEADER_SIZE + i]) != owner->bytes[i]) {
            return false;
        }
    }
    return true;
}

size_t sim_wire_begin(struct sim_packet *packet, enum sim_section section,
                      const struct sim_dname *owner, uint16_t type, uint32_t ttl_s)
{
    if (owner->size > 1 && is_question(packet, owner)) {
        sim_wire_put16(packet, POINTER_TO_QNAME);
    } else {
        sim_wire_put_dname(packet, owner);
    }
    sim_wire_put16(packet, type);
    sim_wire_put16(packet, CLASS_IN);
    sim_wire_put32(packet, ttl_s);
    sim_wire_put16(packet, 0);
    packet->counts[section]++;
    return packet->size;
}

void sim_wire_end(struct sim_packet *packet, size_t mark)
{
    if (!packet->overflow) {
        set16(packet, mark - 2, (uint16_t)(packet->size - mark));
    }
}

void sim_wire_finish(struct sim_packet *packet, const struct sim_query *query,
                     const struct sim_opt *opt, size_t limit, bool truncate)
{
    if (truncate || packet->overflow || packet->size + opt->size > limit) {
        packet->size = HEADER_SIZE + query->question_size;
        packet->overflow = false;
        memset(packet->counts, 0, sizeof packet->counts);
        packet->bytes[2] |= FLAG_TC >> 8;
    }
    sim_wire_put(packet, opt->bytes, opt->size);
    packet->counts[SIM_ADDITIONAL] = (uint16_t)(packet->counts[SIM_ADDITIONAL] + opt->count);
    for (size_t i = 0; i < 3; i++) {
        set16(packet, 6 + 2 * i, packet->counts[i]);
    }
    packet->bytes[3] = (uint8_t)((packet->bytes[3] & 0xf0) | (packet->rcode & 0x0f));
}

bool sim_wire_parse_type(const char *text, uint16_t *out_type)
{
    static const struct {
        const char *name;
        uint16_t type;
    } types[] = {
        { "A", SIM_TYPE_A },         { "AAAA", SIM_TYPE_AAAA }, { "CNAME", SIM_TYPE_CNAME },
        { "NS", SIM_TYPE_NS },       { "TXT", SIM_TYPE_TXT },   { "MX", SIM_TYPE_MX },
        { "SOA", SIM_TYPE_SOA },     { "PTR", SIM_TYPE_PTR },   { "SRV", SIM_TYPE_SRV },
        { "DNAME", SIM_TYPE_DNAME }, { "ANY", SIM_TYPE_ANY },
    };
    uint32_t number;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcasecmp(text, types[i].name) == 0) {
            *out_type = types[i].type;
            return true;
        }
    }
    if (strncasecmp(text, "TYPE", 4) != 0 || !sim_fault_parse_number(text + 4, 65535, &number)) {
        return false;
    }
    *out_type = (uint16_t)number;
    return number > 0;
}

bool sim_wire_has_ad(const struct sim_query *query)
{
    return (query->flags & FLAG_AD) != 0;
}

bool sim_wire_has_cd(const struct sim_query *query)
{
    return (query->flags & FLAG_CD) != 0;
}

bool sim_wire_has_rd(const struct sim_query *query)
{
    return (query->flags & FLAG_RD) != 0;
}

bool sim_wire_parse_dname(const char *text, struct sim_dname *out_dname)
{
    struct sim_dname dname = { 0 };
    if (strcmp(text, ".") == 0) {
        text++;
    } else if (*text == '\0') {
        return false;
    }
    while (*text != '\0') {
        size_t length = strcspn(text, ".");
        /* one byte for the length, one for the root */
        if (length == 0 || length > 63 || dname.size + length + 2 > SIM_DNAME_MAX) {
            return false;
        }
        dname.bytes[dname.size++] = (uint8_t)length;
        for (size_t i = 0; i < length; i++) {
            dname.bytes[dname.size++] = lower((uint8_t)text[i]);
        }
        text += length;
        text += *text == '.' ? 1 : 0;
    }
    dname.bytes[dname.size++] = 0;
    *out_dname = dname;
    return true;
}

void sim_wire_format_dname(const struct sim_dname *dname, char *text)
{
    size_t out = 0;
    for (size_t at = 0; at < dname->size && dname->bytes[at] != 0; at += 1u + dname->bytes[at]) {
        for (size_t i = 1; i <= dname->bytes[at]; i++) {
            uint8_t c = dname->bytes[at + i];
            text[out++] = c > ' ' && c < 0x7f ? (char)c : '?';
        }
        text[out++] = '.';
    }
    if (out == 0) {
        text[out++] = '.';
    }
    text[out] = '\0';
}

bool sim_wire_same(const struct sim_dname *left, const struct sim_dname *right)
{
    return left->size == right->size && memcmp(left->bytes, right->bytes, left->size) == 0;
}

bool sim_wire_first_label_is(const struct sim_dname *dname, const char *label)
{
    size_t length = strlen(label);
    return dname->size > length && dname->bytes[0] == length &&
           memcmp(dname->bytes + 1, label, length) == 0;
}

unsigned sim_wire_labels(const struct sim_dname *dname)
{
    unsigned labels = 0;
    for (size_t at = 0; at < dname->size && dname->bytes[at] != 0; at += 1u + dname->bytes[at]) {
        labels++;
    }
    return labels;
}

struct sim_dname sim_wire_suffix(const struct sim_dname *dname, unsigned labels)
{
    struct sim_dname suffix = { 0 };
    size_t at = 0;
    for (unsigned left = sim_wire_labels(dname); left > labels; left--) {
        at += 1u + dname->bytes[at];
    }
    suffix.size = dname->size - at;
    memcpy(suffix.bytes, dname->bytes + at, suffix.size);
    return suffix;
}

uint32_t sim_wire_hash(const uint8_t *bytes, size_t size)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ bytes[i]) * 16777619u;
    }
    return hash;
}
