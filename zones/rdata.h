#pragma once
/*
 * rdata - how the rdata of the types we look into is laid out
 *
 * Every other type is opaque bytes (RFC 3597). Pure functions, any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fixed bytes, then names, then fixed bytes. */
struct rdata_layout {
    uint16_t type;
    uint8_t before; /* bytes in front of the names */
    uint8_t names;
    uint8_t after;
    bool compress; /* its names may be compressed (RFC 3597, section 4) */
};

/* The layout of `type`, NULL for an opaque one. */
const struct rdata_layout *rdata_layout(uint16_t type);

/*
 * Is this well-formed uncompressed rdata of `type`? Names must end inside and
 * fill it exactly; opaque types always are.
 */
bool rdata_sound(uint16_t type, const uint8_t *rdata, size_t length);

/* Fold the names inside sound rdata to lower case. */
void rdata_fold(uint16_t type, uint8_t *rdata);

/* The first name inside sound rdata: the target of NS, CNAME, PTR, MX, SRV. */
const uint8_t *rdata_target(uint16_t type, const uint8_t *rdata);
