#include "zones/rdata.h"

#include "zones/name.h"
#include "zones/wire.h"

/* RFC 1035 section 3.3, RFC 3596, RFC 2782, RFC 6672. */
// clang-format off
static const struct rdata_layout layouts[] = {
    /* type      before names after compress */
    { WIRE_A,     4,  0,  0, false },
    { WIRE_AAAA,  16, 0,  0, false },
    { WIRE_CNAME, 0,  1,  0, true },
    { WIRE_NS,    0,  1,  0, true },
    { WIRE_PTR,   0,  1,  0, true },
    { WIRE_MX,    2,  1,  0, true },
    { WIRE_SOA,   0,  2, 20, true },
    { WIRE_SRV,   6,  1,  0, false },
    { WIRE_DNAME, 0,  1,  0, false },
};
// clang-format on

const struct rdata_layout *rdata_layout(uint16_t type)
{
    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
        if (layouts[i].type == type) {
            return &layouts[i];
        }
    }
    return NULL;
}

/* Length of the name in `length` bytes, 0 when it is broken. */
static size_t sound_name(const uint8_t *name, size_t length)
{
    for (size_t at = 0; at < length && at < NAME_MAX_BYTES; at += name[at] + 1u) {
        if (name[at] == 0) {
            return at + 1;
        }
        if (name[at] > NAME_MAX_LABEL) {
            return 0;
        }
    }
    return 0;
}

/* One or more strings, each behind its length byte. RFC 1035, section 3.3.14. */
static bool strings_sound(const uint8_t *rdata, size_t length)
{
    size_t at = 0;

    while (at < length) {
        at += rdata[at] + 1u;
    }
    return length > 0 && at == length;
}

bool rdata_sound(uint16_t type, const uint8_t *rdata, size_t length)
{
    const struct rdata_layout *layout = rdata_layout(type);

    if (type == WIRE_TXT) {
        return strings_sound(rdata, length);
    }
    if (layout == NULL) {
        return true;
    }
    if (length < layout->before) {
        return false;
    }
    size_t at = layout->before;
    for (unsigned i = 0; i < layout->names; i++) {
        size_t name = sound_name(rdata + at, length - at);
        if (name == 0) {
            return false;
        }
        at += name;
    }
    return length - at == layout->after;
}

void rdata_fold(uint16_t type, uint8_t *rdata)
{
    const struct rdata_layout *layout = rdata_layout(type);

    if (layout == NULL) {
        return;
    }
    uint8_t *name = rdata + layout->before;
    for (unsigned i = 0; i < layout->names; i++) {
        size_t length = name_length(name);
        name_fold(name, length, name);
        name += length;
    }
}

const uint8_t *rdata_target(uint16_t type, const uint8_t *rdata)
{
    const struct rdata_layout *layout = rdata_layout(type);

    return layout == NULL ? rdata : rdata + layout->before;
}
