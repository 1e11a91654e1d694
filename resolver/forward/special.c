#include "resolver/forward/special.h"

#include <stddef.h>

#include "zones/name.h"
#include "zones/wire.h"

enum {
    TYPE_DS = 43,     /* RFC 4034 */
    TYPE_DNSKEY = 48, /* RFC 4034 */
};

/* Trees in wire form; a string's own terminator is the root label. */
static const char *const trees[] = {
    "\4test",               /* RFC 6761, section 6.2 */
    "\11localhost",         /* 6.3 */
    "\7invalid",            /* 6.4 */
    "\5local",              /* RFC 6762 */
    "\5onion",              /* RFC 7686 */
    "\10internal",          /* ICANN, resolution 2024.07.29.06 */
    "\4home\4arpa",         /* RFC 8375 */
    "\0010\7in-addr\4arpa", /* RFC 6303, section 4.2 and RFC 1918 from here on */
    "\00210\7in-addr\4arpa",
    "\003127\7in-addr\4arpa",
    "\003254\003169\7in-addr\4arpa",
    "\003168\003192\7in-addr\4arpa",
    "\1d\1f\3ip6\4arpa", /* RFC 6303, section 4.4: unique local addresses */
    "\1c\1f\3ip6\4arpa",
    "\0018\1e\1f\3ip6\4arpa", /* 4.5: link-local */
    "\0019\1e\1f\3ip6\4arpa",
    "\1a\1e\1f\3ip6\4arpa",
    "\1b\1e\1f\3ip6\4arpa",
};

/* A number of two or three digits in `label`, or 0. */
static unsigned number(const uint8_t *label)
{
    unsigned value = 0;

    if (label[0] < 2 || label[0] > 3) {
        return 0;
    }
    for (unsigned i = 1; i <= label[0]; i++) {
        if (label[i] < '0' || label[i] > '9') {
            return 0;
        }
        value = value * 10 + label[i] - '0';
    }
    return value;
}

/* 16.172.in-addr.arpa to 31.172.in-addr.arpa and 64.100 to 127.100 (RFC 7793). */
static bool is_private_block(const uint8_t *dname)
{
    static const uint8_t net_172[] = "\003172\7in-addr\4arpa";
    static const uint8_t net_100[] = "\003100\7in-addr\4arpa";
    bool is_172 = name_is_within(dname, net_172);

    if (!is_172 && !name_is_within(dname, net_100)) {
        return false;
    }
    const uint8_t *label = dname;
    for (unsigned above = name_labels(dname); above > 4; above--) {
        label = name_parent(label);
    }
    if (name_labels(label) != 4) {
        return false;
    }
    unsigned second = number(label);
    return is_172 ? second >= 16 && second <= 31 : second >= 64 && second <= 127;
}

bool special_is_private(const uint8_t *dname, uint16_t type)
{
    if (name_labels(dname) == 1) {
        return type != WIRE_NS && type != WIRE_SOA && type != TYPE_DS && type != TYPE_DNSKEY;
    }
    for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++) {
        if (name_is_within(dname, (const uint8_t *)trees[i])) {
            return true;
        }
    }
    return is_private_block(dname);
}
