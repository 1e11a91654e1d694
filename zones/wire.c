#include "zones/wire.h"

#include <string.h>

#define POINTER_HOPS_MAX       16
#define ADDITIONAL_RECORDS_MAX 4
#define QUESTION_TAIL          4 /* type and class */

/*
 * Length of the uncompressed name at `at`, 0 when it is broken or compressed;
 * `*out_labels` is the number of its labels without the root.
 */
static inline size_t plain_name_length(const uint8_t *message, size_t length, size_t at,
                                       unsigned *out_labels)
{
    size_t start = at;
    unsigned labels = 0;

    while (at < length) {
        uint8_t label = message[at];
        if (label == 0) {
            *out_labels = labels;
            return at - start + 1 <= NAME_MAX_BYTES ? at - start + 1 : 0;
        }
        if (label > NAME_MAX_LABEL) {
            return 0;
        }
        at += label + 1u;
        labels++;
    }
    return 0;
}

/* The one OPT record of a query, at its type field. RFC 6891, section 6.1.2. */
static inline enum wire_verdict read_opt(const uint8_t *at, struct wire_query *query)
{
    if (query->edns) {
        return WIRE_QUERY_FORMERR; /* section 6.1.1: more than one */
    }
    query->edns = true;
    query->opt_bytes = WIRE_OPT_BYTES;
    query->payload = wire_get16(at + 2);
    query->dnssec_ok = (at[6] & 0x80) != 0;
    return at[5] == 0 ? WIRE_QUERY_OK : WIRE_QUERY_BADVERS;
}

/*
 * A Client Subnet option's data. RFC 7871, section 6: as many bytes as the
 * prefix needs, zero behind it, scope 0; the family is one that is known, or
 * none with nothing of an address.
 */
static bool read_subnet(const uint8_t *data, size_t size, struct wire_query *query)
{
    static const uint8_t most[] = { 0, 32, 128 };

    if (query->has_subnet || size < 4) {
        return false;
    }
    unsigned family = wire_get16(data);
    uint8_t bits = data[2];
    if (family > 2 || bits > most[family] || data[3] != 0 || size != 4u + (bits + 7u) / 8) {
        return false;
    }
    if (bits % 8 != 0 && (data[size - 1] & 0xff >> bits % 8) != 0) {
        return false;
    }
    query->has_subnet = true;
    query->has_options = true;
    query->subnet_family = (uint8_t)family;
    query->subnet_bits = bits;
    memset(query->subnet, 0, sizeof(query->subnet));
    memcpy(query->subnet, data + 4, size - 4);
    return true;
}

/* Are the options of an OPT record well formed? RFC 6891, section 6.1.2. */
static bool read_options(const uint8_t *options, size_t length, struct wire_query *query)
{
    while (length >= 4) {
        size_t size = 4u + wire_get16(options + 2);
        if (size > length) {
            return false;
        }
        if (wire_get16(options) == WIRE_SUBNET && !read_subnet(options + 4, size - 4, query)) {
            return false;
        }
        if (wire_get16(options) == WIRE_ERROR) { /* whatever it holds */
            query->wants_reason = true;
            query->has_options = true;
        }
        options += size;
        length -= size;
    }
    return length == 0;
}

/* Just one OPT record without options, as most clients send it. */
static bool is_plain_opt(const uint8_t *message, size_t length, size_t at)
{
    return length - at == WIRE_OPT_BYTES && message[at] == 0 &&
           wire_get16(message + at + 1) == WIRE_OPT && wire_get16(message + at + 9) == 0;
}

static enum wire_verdict read_additional(const uint8_t *message, size_t length, unsigned count,
                                         struct wire_query *query)
{
    size_t at = query->question_end;
    enum wire_verdict verdict = WIRE_QUERY_OK;

    if (count == 1 && is_plain_opt(message, length, at)) {
        return read_opt(message + at + 1, query);
    }
    if (count > ADDITIONAL_RECORDS_MAX) {
        return WIRE_QUERY_FORMERR;
    }
    for (; count > 0; count--) {
        unsigned labels;
        size_t name = plain_name_length(message, length, at, &labels);
        if (name == 0 || length - at - name < 10) {
            return WIRE_QUERY_FORMERR;
        }
        const uint8_t *fields = message + at + name;
        size_t rdata = wire_get16(fields + 8);
        if (length - at - name - 10 < rdata) {
            return WIRE_QUERY_FORMERR;
        }
        if (wire_get16(fields) == WIRE_OPT) {
            enum wire_verdict opt = name == 1 ? read_opt(fields, query) : WIRE_QUERY_FORMERR;
            if (opt == WIRE_QUERY_FORMERR || !read_options(fields + 10, rdata, query)) {
                return WIRE_QUERY_FORMERR;
            }
            if (query->has_subnet) {
                query->opt_bytes =
                    (uint8_t)(WIRE_OPT_BYTES + wire_subnet_bytes(query->subnet_bits));
            }
            verdict = opt;
        }
        at += name + 10 + rdata;
    }
    return verdict;
}

enum wire_verdict wire_query_parse(const uint8_t *message, size_t length, struct wire_query *query)
{
    if (length < WIRE_HEADER_BYTES || (message[2] & 0x80) != 0) {
        return WIRE_QUERY_DROP;
    }
    query->id = wire_get16(message);
    query->flags = wire_get16(message + 2);
    query->question_end = WIRE_QUESTION;
    query->payload = WIRE_UDP_PLAIN;
    query->edns = false;
    query->dnssec_ok = false;
    query->has_options = false;
    query->wants_reason = false;
    query->has_subnet = false;
    query->opt_bytes = 0;
    if ((query->flags & WIRE_OPCODE) != 0) {
        return WIRE_QUERY_NOTIMP;
    }
    /* one question, no answers, no authority */
    if (wire_get16(message + 4) != 1 || wire_get32(message + 6) != 0) {
        return WIRE_QUERY_FORMERR;
    }
    unsigned labels = 0;
    size_t name = plain_name_length(message, length, WIRE_QUESTION, &labels);
    if (name == 0 || length - WIRE_QUESTION - name < QUESTION_TAIL) {
        return WIRE_QUERY_FORMERR;
    }
    query->name_length = (uint8_t)name;
    query->labels = (uint8_t)labels;
    name_fold(message + WIRE_QUESTION, name, query->dname);
    query->type = wire_get16(message + WIRE_QUESTION + name);
    query->class = wire_get16(message + WIRE_QUESTION + name + 2);
    query->question_end = (uint16_t)(WIRE_QUESTION + name + QUESTION_TAIL);
    unsigned additional = wire_get16(message + 10);
    return additional == 0 ? WIRE_QUERY_OK : read_additional(message, length, additional, query);
}

size_t wire_query_build(uint8_t *out, uint16_t id, uint16_t flags, const uint8_t *name,
                        uint16_t type, uint16_t class, uint16_t payload, bool dnssec_ok)
{
    size_t length = name_length(name);
    size_t at = WIRE_QUESTION + length;

    wire_put16(out, id);
    wire_put16(out + 2, flags);
    wire_put16(out + 4, 1);
    wire_put16(out + 6, 0);
    wire_put16(out + 8, 0);
    wire_put16(out + 10, payload != 0);
    memcpy(out + WIRE_QUESTION, name, length);
    wire_put16(out + at, type);
    wire_put16(out + at + 2, class);
    at += QUESTION_TAIL;
    if (payload != 0) {
        wire_put_opt(out + at, dnssec_ok, 0);
        wire_put16(out + at + 3, payload);
        at += WIRE_OPT_BYTES;
    }
    return at;
}

void wire_reader_init(struct wire_reader *reader, const uint8_t *message, size_t length)
{
    *reader = (struct wire_reader){ .message = message, .length = length };
}

/* Step over `size` bytes; returns where they start, NULL when they are not there. */
static const uint8_t *take(struct wire_reader *reader, size_t size)
{
    if (reader->failed || reader->length - reader->at < size) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *start = reader->message + reader->at;
    reader->at += size;
    return start;
}

uint16_t wire_read16(struct wire_reader *reader)
{
    const uint8_t *p = take(reader, 2);

    return p == NULL ? 0 : wire_get16(p);
}

uint32_t wire_read32(struct wire_reader *reader)
{
    const uint8_t *p = take(reader, 4);

    return p == NULL ? 0 : wire_get32(p);
}

/*
 * The name at `at`, pointers followed. A pointer must lead before the piece it
 * ends and each further one before that, so the walk is bounded by the message
 * as well as by the hops. `*out_next` is the offset behind the name in place.
 */
static size_t expand_name(const struct wire_reader *reader, size_t at, uint8_t *out,
                          size_t *out_next)
{
    size_t lowest = at;
    size_t used = 0;
    unsigned hops = 0;

    *out_next = 0;
    while (at < reader->length) {
        uint8_t label = reader->message[at];
        if ((label & 0xc0) == 0xc0) {
            if (reader->length - at < 2 || ++hops > POINTER_HOPS_MAX) {
                return 0;
            }
            size_t target = (size_t)(label & 0x3f) << 8 | reader->message[at + 1];
            if (target >= lowest || target < WIRE_HEADER_BYTES) {
                return 0;
            }
            *out_next = *out_next == 0 ? at + 2 : *out_next;
            lowest = target;
            at = target;
            continue;
        }
        if (label > NAME_MAX_LABEL || reader->length - at < label + 1u ||
            used + label + 1u > NAME_MAX_BYTES) {
            return 0;
        }
        name_fold(reader->message + at, label + 1u, out + used);
        used += label + 1u;
        at += label + 1u;
        if (label == 0) {
            *out_next = *out_next == 0 ? at : *out_next;
            return used;
        }
    }
    return 0;
}

size_t wire_read_name(struct wire_reader *reader, uint8_t out[NAME_MAX_BYTES])
{
    size_t next;

    if (reader->failed) {
        return 0;
    }
    size_t length = expand_name(reader, reader->at, out, &next);
    if (length == 0) {
        reader->failed = true;
        return 0;
    }
    reader->at = next;
    return length;
}

bool wire_read_record(struct wire_reader *reader, struct wire_record *out)
{
    (void)wire_read_name(reader, out->owner);
    out->type = wire_read16(reader);
    out->class = wire_read16(reader);
    out->ttl_s = wire_read32(reader);
    out->rdata_length = wire_read16(reader);
    out->rdata_at = reader->at;
    return take(reader, out->rdata_length) != NULL;
}

static bool may_lack_question(uint16_t flags)
{
    unsigned rcode = flags & WIRE_RCODE;

    return rcode == WIRE_FORMERR || rcode == WIRE_NOTIMP || rcode == WIRE_SERVFAIL ||
           rcode == WIRE_REFUSED;
}

bool wire_response_matches(const uint8_t *message, size_t length, uint16_t id,
                           const uint8_t *question, size_t question_length, bool question_may_lack,
                           size_t *out_end)
{
    if (length < WIRE_HEADER_BYTES || wire_get16(message) != id) {
        return false;
    }
    uint16_t flags = wire_get16(message + 2);
    if ((flags & WIRE_QR) == 0 || (flags & WIRE_OPCODE) != 0) {
        return false;
    }
    unsigned questions = wire_get16(message + 4);
    if (questions == 0 && question_may_lack && may_lack_question(flags)) {
        *out_end = WIRE_HEADER_BYTES;
        return true;
    }
    if (questions != 1 || length - WIRE_HEADER_BYTES < question_length ||
        memcmp(message + WIRE_QUESTION, question, question_length) != 0) {
        return false;
    }
    *out_end = WIRE_QUESTION + question_length;
    return true;
}

bool wire_response_sound(const uint8_t *message, size_t length)
{
    struct wire_reader reader;
    uint8_t dname[NAME_MAX_BYTES];
    struct wire_record record;

    wire_reader_init(&reader, message, length);
    (void)take(&reader, 4);
    unsigned questions = wire_read16(&reader);
    unsigned records = 0;
    for (unsigned section = 0; section < 3; section++) {
        records += wire_read16(&reader);
    }
    for (; questions > 0 && !reader.failed; questions--) {
        (void)wire_read_name(&reader, dname);
        (void)wire_read32(&reader);
    }
    for (; records > 0 && !reader.failed; records--) {
        (void)wire_read_record(&reader, &record);
    }
    return !reader.failed;
}
