#pragma once
/*
 * hashed - the address that a name has in these benches
 *
 * bench-upstream answers with it, bench-load compares it with what came out of
 * the forwarder in between: an answer that belongs to another name shows.
 */
#include <stddef.h>
#include <stdint.h>

/*
 * The IPv4 address, in host order, of a name in wire form: one of 198.18.0.0/15
 * (RFC 2544), by FNV-1a of the name without regard to letter case. `size_bytes`
 * counts the root's byte. The lengths of labels are below 64, so that folding
 * letters leaves them alone.
 */
static inline uint32_t hashed_address(const uint8_t *name, size_t size_bytes)
{
    uint32_t hash = 2166136261U;

    for (size_t i = 0; i < size_bytes; i++) {
        uint8_t byte = name[i];

        byte = byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
        hash = (hash ^ byte) * 16777619U;
    }
    return UINT32_C(198) << 24 | UINT32_C(18) << 16 | (hash & 0x1ffffU);
}
