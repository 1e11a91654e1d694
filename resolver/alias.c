#include "resolver/alias.h"

#include <string.h>

#include "resolver/forward/builder.h"
#include "zones/rdata.h"
#include "zones/wire.h"

/* The rdata at the reader's place, its names written anew: they may be compressed. */
static void copy_rdata(struct builder *b, struct wire_reader *reader,
                       const struct wire_record *record)
{
    const struct rdata_layout *layout = rdata_layout(record->type);
    size_t end = record->rdata_at + record->rdata_length;
    uint8_t name[NAME_MAX_BYTES];

    reader->at = record->rdata_at;
    if (layout != NULL && record->rdata_length >= layout->before) {
        builder_put_bytes(b, reader->message + reader->at, layout->before);
        reader->at += layout->before;
        for (unsigned i = 0; i < layout->names && wire_read_name(reader, name) != 0; i++) {
            builder_put_name(b, name, layout->compress);
        }
    }
    if (reader->failed || reader->at > end) {
        b->full = true; /* the forwarder made the message: it does not happen */
        return;
    }
    builder_put_bytes(b, reader->message + reader->at, end - reader->at);
    reader->at = end;
}

static void copy_section(struct builder *b, struct wire_reader *reader,
                         enum builder_section section)
{
    unsigned count = wire_get16(reader->message + 6 + 2 * (size_t)section);
    struct wire_record record;

    for (; count > 0 && wire_read_record(reader, &record); count--) {
        size_t mark =
            builder_begin_record(b, section, record.owner, record.type, record.class, record.ttl_s);
        copy_rdata(b, reader, &record);
        builder_end_record(b, mark);
    }
}

size_t alias_join(const struct handover_question *question, const struct answer *chain,
                  const struct forward_reply *reply, uint8_t *out, size_t cap)
{
    uint8_t asked[WIRE_QUESTION_BYTES];
    uint8_t target[NAME_MAX_BYTES];
    struct wire_reader reader;
    struct builder b;

    memcpy(asked, question->name, question->name_length);
    wire_put16(asked + question->name_length, question->type);
    wire_put16(asked + question->name_length + 2, question->class);
    builder_init(&b, out, cap, asked, question->name_length + 4u);
    /* compiled to stand behind exactly this question */
    builder_put_bytes(&b, chain->wire, chain->core_length);
    b.records[BUILDER_ANSWER] = chain->answers;

    wire_reader_init(&reader, reply->message, reply->length);
    reader.at = WIRE_QUESTION;
    (void)wire_read_name(&reader, target);
    (void)wire_read32(&reader);
    for (unsigned i = 0; i < BUILDER_SECTIONS; i++) {
        copy_section(&b, &reader, (enum builder_section)i);
    }
    unsigned rcode = wire_get16(reply->message + 2) & WIRE_RCODE;
    return reader.failed ? 0 : builder_finish(&b, (uint16_t)(WIRE_QR | WIRE_AA | rcode));
}
