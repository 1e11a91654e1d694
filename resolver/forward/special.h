#pragma once
/*
 * special - names that are nobody's business outside the company
 *
 * Single labels, and the special-use names of RFC 6761, 6303, 6762, 7686 and
 * 8375, and what ICANN reserved for private use. Pure functions, any thread.
 */
#include <stdbool.h>
#include <stdint.h>

/*
 * Must a question for `dname` and `type` never be put to a public resolver?
 * What only the root knows of a single label (NS, SOA, DS, DNSKEY) may be
 * asked: validating clients need it.
 */
bool special_is_private(const uint8_t *dname, uint16_t type);
