#include "resolver/forward/rebinding.h"

#include <stdlib.h>
#include <string.h>

#include "resolver/forward/builder.h"
#include "zones/name.h"
#include "zones/wire.h"

#define IPV4_BYTES  4
#define IPV6_BYTES  16
#define MAPPED_BITS 96

struct network {
    uint8_t bytes[IPV6_BYTES];
    unsigned bits;
};

static bool lies_in(const uint8_t *address, const struct network *network)
{
    unsigned whole = network->bits / 8;
    unsigned rest = network->bits % 8;
    uint8_t mask = (uint8_t)(0xff00u >> rest);

    return memcmp(address, network->bytes, whole) == 0 &&
           (rest == 0 || ((address[whole] ^ network->bytes[whole]) & mask) == 0);
}

/* RFC 1122, 1918, 3927, 6598 */
static bool is_private4(const uint8_t *address)
{
    static const struct network networks[] = {
        { { 0 }, 8 },         { { 10 }, 8 },       { { 100, 64 }, 10 },  { { 127 }, 8 },
        { { 169, 254 }, 16 }, { { 172, 16 }, 12 }, { { 192, 168 }, 16 },
    };

    for (size_t i = 0; i < sizeof(networks) / sizeof(networks[0]); i++) {
        if (lies_in(address, &networks[i])) {
            return true;
        }
    }
    return false;
}

/* RFC 4193, 4291 */
static bool is_private6(const uint8_t *address)
{
    static const struct network networks[] = {
        { { 0 }, 128 },
        { { [15] = 1 }, 128 },
        { { 0xfc }, 7 },
        { { 0xfe, 0x80 }, 10 },
    };
    static const struct network mapped = { { [10] = 0xff, [11] = 0xff }, MAPPED_BITS };

    if (lies_in(address, &mapped)) {
        return is_private4(address + MAPPED_BITS / 8);
    }
    for (size_t i = 0; i < sizeof(networks) / sizeof(networks[0]); i++) {
        if (lies_in(address, &networks[i])) {
            return true;
        }
    }
    return false;
}

bool rebinding_is_private(const uint8_t *address, size_t size)
{
    return size == IPV4_BYTES ? is_private4(address) : size == IPV6_BYTES && is_private6(address);
}

/* ---- messages ---- */

static bool is_private_record(const uint8_t *message, const struct wire_record *record)
{
    return (record->type == WIRE_A || record->type == WIRE_AAAA) &&
           rebinding_is_private(message + record->rdata_at, record->rdata_length);
}

/* Step behind the question. Returns where it ends. */
static size_t skip_question(struct wire_reader *reader)
{
    uint8_t name[NAME_MAX_BYTES];

    reader->at = WIRE_QUESTION;
    (void)wire_read_name(reader, name);
    (void)wire_read32(reader);
    return reader->at;
}

static bool has_private(const uint8_t *message, size_t length)
{
    struct wire_reader reader;
    struct wire_record record;

    wire_reader_init(&reader, message, length);
    (void)skip_question(&reader);
    for (unsigned left = wire_get16(message + 6); left > 0; left--) {
        if (!wire_read_record(&reader, &record)) {
            return false;
        }
        if (is_private_record(message, &record)) {
            return true;
        }
    }
    return false;
}

/*
 * Beside addresses an answer to a question for addresses has the aliases that
 * led there. Everything else, which only ANY brings, is left out.
 */
static bool put_record(struct builder *builder, const uint8_t *message, size_t length,
                       const struct wire_record *record)
{
    bool is_alias = record->type == WIRE_CNAME || record->type == WIRE_DNAME;
    bool is_address = record->type == WIRE_A || record->type == WIRE_AAAA;
    uint8_t target[NAME_MAX_BYTES];

    if (!is_alias && (!is_address || is_private_record(message, record))) {
        return false;
    }
    size_t mark = builder_begin_record(builder, BUILDER_ANSWER, record->owner, record->type,
                                       record->class, record->ttl_s);
    if (is_address) {
        builder_put_bytes(builder, message + record->rdata_at, record->rdata_length);
    } else {
        struct wire_reader reader;
        wire_reader_init(&reader, message, length);
        reader.at = record->rdata_at;
        (void)wire_read_name(&reader, target);
        builder_put_name(builder, target, record->type == WIRE_CNAME);
    }
    builder_end_record(builder, mark);
    return is_address;
}

/* Build what is left of it into `out`. Returns its length, `*out_kept` the addresses in it. */
static size_t rebuild(const uint8_t *message, size_t length, uint8_t *out, unsigned *out_kept)
{
    struct builder builder;
    struct wire_reader reader;
    struct wire_record record;

    *out_kept = 0;
    wire_reader_init(&reader, message, length);
    size_t end = skip_question(&reader);
    builder_init(&builder, out, length, message + WIRE_QUESTION, end - WIRE_QUESTION);
    for (unsigned left = wire_get16(message + 6); left > 0; left--) {
        if (!wire_read_record(&reader, &record)) {
            break;
        }
        *out_kept += put_record(&builder, message, length, &record);
    }
    return builder_finish(&builder, (uint16_t)(wire_get16(message + 2) & ~WIRE_AD));
}

/* Only the question is left. */
static void empty(uint8_t *message, size_t *length)
{
    struct wire_reader reader;

    wire_reader_init(&reader, message, *length);
    *length = skip_question(&reader);
    wire_put16(message + 2, (uint16_t)(wire_get16(message + 2) & ~WIRE_AD));
    memset(message + 6, 0, WIRE_HEADER_BYTES - 6);
}

enum rebinding_verdict rebinding_filter(uint8_t *message, size_t *length)
{
    unsigned kept = 0;

    if (!has_private(message, *length)) {
        return REBINDING_CLEAN;
    }
    uint8_t *out = malloc(*length);
    size_t filled = out == NULL ? 0 : rebuild(message, *length, out, &kept);
    if (filled == 0 || kept == 0) {
        empty(message, length); /* aliases alone would make clients look further */
        kept = 0;
    } else {
        memcpy(message, out, filled);
        *length = filled;
    }
    free(out);
    return kept == 0 ? REBINDING_EMPTY : REBINDING_LESS;
}
