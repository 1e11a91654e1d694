/*
 * Any bytes as an upstream's response: our reader against ldns. Where ours
 * accepts a name ldns reads the same; where ours accepts a message without
 * compression ldns does, once no type has it look into rdata. (The other way
 * round does not hold: ldns takes what is left of a record's rdata for the
 * next record.)
 */
#include <string.h>

#include <ldns/ldns.h>

#include "zones/wire.h"

#define TYPE_OPAQUE 65280 /* RFC 6895: private use */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Read a name with both; true when ours could. */
static bool check_name(struct wire_reader *reader, uint8_t out[NAME_MAX_BYTES])
{
    size_t position = reader->at;
    size_t length = wire_read_name(reader, out);
    ldns_rdf *theirs = NULL;

    if (length == 0) {
        REQUIRE(reader->failed);
        return false;
    }
    REQUIRE(length <= NAME_MAX_BYTES && length == name_length(out));
    REQUIRE(reader->at > position && reader->at <= reader->length);
    REQUIRE(ldns_wire2dname(&theirs, reader->message, reader->length, &position) == LDNS_STATUS_OK);
    REQUIRE(position == reader->at);
    REQUIRE(ldns_rdf_size(theirs) == length);
    ldns_dname2canonical(theirs);
    REQUIRE(memcmp(ldns_rdf_data(theirs), out, length) == 0);
    ldns_rdf_deep_free(theirs);
    return true;
}

/*
 * The walk of wire_response_sound once more, in single steps. In `opaque`, a
 * copy, every record gets a type without a format.
 */
static bool walk(const uint8_t *data, size_t size, uint8_t *opaque)
{
    struct wire_reader reader;
    struct wire_record record;
    uint8_t name[NAME_MAX_BYTES];

    if (size < WIRE_HEADER_BYTES) {
        return false;
    }
    wire_reader_init(&reader, data, size);
    reader.at = WIRE_HEADER_BYTES;
    for (unsigned i = wire_get16(data + 4); i > 0; i--) {
        if (!check_name(&reader, name)) {
            return false;
        }
        (void)wire_read32(&reader);
    }
    unsigned records =
        (unsigned)wire_get16(data + 6) + wire_get16(data + 8) + wire_get16(data + 10);
    for (; records > 0 && !reader.failed; records--) {
        struct wire_reader before = reader;
        if (!check_name(&before, name)) {
            return false;
        }
        if (wire_read_record(&reader, &record)) {
            REQUIRE(name_equal(record.owner, name));
            REQUIRE(record.rdata_at == before.at + 10);
            REQUIRE(record.rdata_at + record.rdata_length == reader.at && reader.at <= size);
            wire_put16(opaque + record.rdata_at - 10, TYPE_OPAQUE);
        }
    }
    return !reader.failed;
}

static bool has_pointers(const uint8_t *data, size_t size)
{
    for (size_t i = WIRE_HEADER_BYTES; i < size; i++) {
        if (data[i] >= 0xc0) {
            return true;
        }
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t opaque[WIRE_MESSAGE_MAX];

    if (size > WIRE_MESSAGE_MAX) {
        return 0;
    }
    memcpy(opaque, data, size);
    bool sound = wire_response_sound(data, size);
    REQUIRE(sound == walk(data, size, opaque));
    if (size >= WIRE_HEADER_BYTES) {
        size_t end;
        if (wire_response_matches(data, size, wire_get16(data), data + WIRE_QUESTION,
                                  size - WIRE_HEADER_BYTES, true, &end)) {
            REQUIRE(end <= size && (data[2] & 0x80) != 0);
        }
    }
    if (sound && !has_pointers(data, size)) {
        ldns_pkt *packet = NULL;
        REQUIRE(ldns_wire2pkt(&packet, opaque, size) == LDNS_STATUS_OK);
        ldns_pkt_free(packet);
    }
    return 0;
}
