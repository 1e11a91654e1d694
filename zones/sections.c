#include "zones/sections.h"

#include <string.h>

#include "zones/rdata.h"
#include "zones/rrset.h"

#define QUESTION_TAIL 4      /* type and class */
#define POINTER_REACH 0x4000 /* a pointer has 14 bits */

/* Remember the name at `offset` and all its suffixes, the root left out. */
static void remember(struct sections *sections, const uint8_t *dname, size_t count, size_t offset)
{
    size_t length = name_length(dname);

    for (size_t done = 0; done < count;) {
        if (sections->name_count == SECTIONS_NAMES_MAX || offset >= POINTER_REACH) {
            return;
        }
        sections->names[sections->name_count++] = (struct sections_name){
            .dname = dname,
            .length = (uint16_t)length,
            .offset = (uint16_t)offset,
        };
        size_t step = *dname + 1u;
        dname += step;
        length -= step;
        offset += step;
        done += step;
    }
}

void sections_begin(struct sections *sections, const uint8_t *dname)
{
    size_t length = name_length(dname);

    sections->length = 0;
    sections->base = WIRE_QUESTION + length + QUESTION_TAIL;
    sections->room = WIRE_MESSAGE_MAX - sections->base - WIRE_OPT_BYTES;
    sections->target = 0;
    sections->full = false;
    sections->name_count = 0;
    remember(sections, dname, length - 1, WIRE_QUESTION);
}

struct sections_mark sections_mark(const struct sections *sections)
{
    return (struct sections_mark){ sections->length, sections->name_count };
}

void sections_undo(struct sections *sections, struct sections_mark mark)
{
    sections->length = mark.length;
    sections->name_count = mark.name_count;
    sections->full = false;
}

static void put_bytes(struct sections *sections, const void *bytes, size_t size)
{
    if (sections->full || sections->room - sections->length < size) {
        sections->full = true;
        return;
    }
    memcpy(sections->wire + sections->length, bytes, size);
    sections->length += size;
}

static void put16(struct sections *sections, uint16_t value)
{
    uint8_t bytes[2];

    wire_put16(bytes, value);
    put_bytes(sections, bytes, sizeof(bytes));
}

static const struct sections_name *find(const struct sections *sections, const uint8_t *dname,
                                        size_t length)
{
    for (size_t i = 0; i < sections->name_count; i++) {
        const struct sections_name *name = &sections->names[i];
        if (name->length == length && memcmp(name->dname, dname, length) == 0) {
            return name;
        }
    }
    return NULL;
}

/*
 * Write a name, its longest known suffix as a pointer where `compress`.
 * Returns the offset to point to for this name.
 */
static size_t put_name(struct sections *sections, const uint8_t *dname, bool compress)
{
    size_t offset = sections->base + sections->length;
    size_t length = name_length(dname);
    const struct sections_name *known = NULL;
    size_t own = 0; /* bytes written out, before a pointer or the root */

    while (dname[own] != 0) {
        known = compress ? find(sections, dname + own, length - own) : NULL;
        if (known != NULL) {
            break;
        }
        own += dname[own] + 1u;
    }
    put_bytes(sections, dname, known == NULL ? own + 1 : own);
    if (known != NULL) {
        put16(sections, (uint16_t)(0xc000 | known->offset));
    }
    if (!sections->full) {
        remember(sections, dname, own, offset);
    }
    return own == 0 && known != NULL ? known->offset : offset;
}

static void put_rdata(struct sections *sections, uint16_t type, const struct rrset_record *record)
{
    const struct rdata_layout *layout = rdata_layout(type);
    const uint8_t *at = record->rdata;
    size_t left = record->length;

    if (layout != NULL && layout->names > 0) {
        put_bytes(sections, at, layout->before);
        at += layout->before;
        left -= layout->before;
        for (unsigned i = 0; i < layout->names; i++) {
            size_t length = name_length(at);
            sections->target = put_name(sections, at, layout->compress);
            at += length;
            left -= length;
        }
    }
    put_bytes(sections, at, left);
}

static void put_record(struct sections *sections, const uint8_t *owner, uint16_t type,
                       uint32_t ttl_s, const struct rrset_record *record)
{
    uint8_t ttl[4];

    wire_put32(ttl, ttl_s);
    (void)put_name(sections, owner, true);
    put16(sections, type);
    put16(sections, WIRE_IN);
    put_bytes(sections, ttl, sizeof(ttl));
    size_t length_at = sections->length;
    put16(sections, 0);
    put_rdata(sections, type, record);
    if (!sections->full) {
        wire_put16(sections->wire + length_at, (uint16_t)(sections->length - length_at - 2));
    }
}

bool sections_put(struct sections *sections, const uint8_t *owner, const struct rrset *set,
                  uint32_t ttl_s)
{
    for (const struct rrset_record *r = set->records; r != NULL && !sections->full; r = r->next) {
        put_record(sections, owner, set->type, ttl_s, r);
    }
    return !sections->full;
}
