#include "resolver/forward/builder.h"

#include <string.h>

#include "zones/name.h"
#include "zones/wire.h"

#define POINTER     0xc000u
#define POINTER_END 0x4000u /* a pointer has 14 bits */

static bool reserve(struct builder *builder, size_t size)
{
    if (builder->full || builder->capacity - builder->at < size) {
        builder->full = true;
        return false;
    }
    return true;
}

void builder_put_bytes(struct builder *builder, const void *bytes, size_t size)
{
    if (reserve(builder, size) && size > 0) {
        memcpy(builder->out + builder->at, bytes, size);
        builder->at += size;
    }
}

static void put16(struct builder *builder, uint16_t value)
{
    uint8_t bytes[2];

    wire_put16(bytes, value);
    builder_put_bytes(builder, bytes, sizeof(bytes));
}

static uint8_t fold(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

static bool labels_equal(const uint8_t *a, const uint8_t *b)
{
    if (a[0] != b[0]) {
        return false;
    }
    for (unsigned i = 1; i <= a[0]; i++) {
        if (fold(a[i]) != fold(b[i])) {
            return false;
        }
    }
    return true;
}

/* Is the name we wrote at `at` this one? Pointers in it are ours: they end. */
static bool is_written(const struct builder *builder, size_t at, const uint8_t *name)
{
    const uint8_t *out = builder->out;

    for (;;) {
        while ((out[at] & 0xc0) == 0xc0) {
            at = wire_get16(out + at) & ~POINTER;
        }
        if (!labels_equal(out + at, name)) {
            return false;
        }
        if (name[0] == 0) {
            return true;
        }
        at += out[at] + 1u;
        name += name[0] + 1u;
    }
}

static const struct builder_name *find_name(const struct builder *builder, const uint8_t *name)
{
    for (unsigned i = 0; i < builder->name_count; i++) {
        const struct builder_name *written = &builder->names[i];
        if (written->hops < BUILDER_HOPS && is_written(builder, written->at, name)) {
            return written;
        }
    }
    return NULL;
}

/* The name that begins here may be pointed at from now on. */
static void remember(struct builder *builder, size_t at, unsigned hops)
{
    if (builder->name_count < BUILDER_NAMES && at < POINTER_END && !builder->full) {
        struct builder_name name = { .at = (uint16_t)at, .hops = (uint16_t)hops };
        builder->names[builder->name_count++] = name;
    }
}

/*
 * Labels are remembered only when the whole name is written: until then a name
 * would be compared with bytes that are not there yet.
 */
void builder_put_name(struct builder *builder, const uint8_t *name, bool compress)
{
    size_t start = builder->at;
    const uint8_t *rest = name;
    const struct builder_name *found = NULL;
    unsigned hops = 0;

    while (rest[0] != 0) {
        found = compress ? find_name(builder, rest) : NULL;
        if (found != NULL) {
            break;
        }
        rest += rest[0] + 1u;
    }
    size_t literal = (size_t)(rest - name);
    builder_put_bytes(builder, name, literal);
    if (found != NULL) {
        put16(builder, (uint16_t)(POINTER | found->at));
        hops = found->hops + 1u;
    } else {
        builder_put_bytes(builder, "", 1);
    }
    for (size_t i = 0; i < literal; i += name[i] + 1u) {
        remember(builder, start + i, hops);
    }
}

void builder_init(struct builder *builder, uint8_t *out, size_t capacity, const uint8_t *question,
                  size_t question_length)
{
    size_t name = name_length(question);

    *builder = (struct builder){ .out = out, .capacity = capacity };
    if (!reserve(builder, WIRE_HEADER_BYTES)) {
        return;
    }
    builder->at = WIRE_HEADER_BYTES;
    builder_put_name(builder, question, false);
    builder_put_bytes(builder, question + name, question_length - name);
}

size_t builder_begin_record(struct builder *builder, enum builder_section section,
                            const uint8_t *owner, uint16_t type, uint16_t class, uint32_t ttl_s)
{
    uint8_t fields[10];

    wire_put16(fields, type);
    wire_put16(fields + 2, class);
    wire_put32(fields + 4, ttl_s);
    wire_put16(fields + 8, 0); /* the length is known at the end */
    builder_put_name(builder, owner, true);
    builder_put_bytes(builder, fields, sizeof(fields));
    if (builder->records[section] == UINT16_MAX) {
        builder->full = true;
    }
    builder->records[section]++;
    return builder->at;
}

void builder_end_record(struct builder *builder, size_t mark)
{
    if (builder->full || builder->at - mark > UINT16_MAX) {
        builder->full = true;
        return;
    }
    wire_put16(builder->out + mark - 2, (uint16_t)(builder->at - mark));
}

size_t builder_finish(struct builder *builder, uint16_t flags)
{
    uint8_t *out = builder->out;

    if (builder->full) {
        return 0;
    }
    wire_put16(out, 0);
    wire_put16(out + 2, flags);
    wire_put16(out + 4, 1);
    for (unsigned section = 0; section < BUILDER_SECTIONS; section++) {
        wire_put16(out + 6 + 2 * (size_t)section, builder->records[section]);
    }
    return builder->at;
}
