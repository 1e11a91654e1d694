#pragma once
/*
 * builder - writes a response: records one by one, their names compressed
 *
 * Names are compressed against the question and what was written before (RFC
 * 1035, section 4.1.4), as many as the builder remembers. When the room is
 * used up it remembers that and goes on as a no-op. Pure, any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUILDER_NAMES 32
#define BUILDER_HOPS  8 /* pointers one after the other; readers allow about twice that */

enum builder_section {
    BUILDER_ANSWER,
    BUILDER_AUTHORITY,
    BUILDER_ADDITIONAL,
    BUILDER_SECTIONS,
};

/* Where a name begins that may be pointed at. */
struct builder_name {
    uint16_t at;
    uint16_t hops; /* pointers followed from there */
};

struct builder {
    uint8_t *out;
    size_t capacity;
    size_t at;
    bool full;
    uint16_t records[BUILDER_SECTIONS];
    struct builder_name names[BUILDER_NAMES];
    unsigned name_count;
};

/*
 * Begin a response in `out` with the question of `question_length` bytes:
 * uncompressed name, type, class. The header is written by builder_finish.
 */
void builder_init(struct builder *builder, uint8_t *out, size_t capacity, const uint8_t *question,
                  size_t question_length);

/* Write an uncompressed name, keeping its letter case. */
void builder_put_name(struct builder *builder, const uint8_t *name, bool compress);

void builder_put_bytes(struct builder *builder, const void *bytes, size_t size);

/*
 * Begin a record of `section`; returns a mark for builder_end_record, to be
 * called when the rdata is written. Sections are written in order.
 */
size_t builder_begin_record(struct builder *builder, enum builder_section section,
                            const uint8_t *owner, uint16_t type, uint16_t class, uint32_t ttl_s);
void builder_end_record(struct builder *builder, size_t mark);

/* Write the header with id 0. Returns the length, 0 when the room was used up. */
size_t builder_finish(struct builder *builder, uint16_t flags);
