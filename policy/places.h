#pragma once
/*
 * places - where clients stand: from an address to the regions nearest to it
 *
 * Built with a snapshot into its arena, then immutable; any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/error.h"

struct arena;
struct model;
struct places;

/* The map that `clients` of the model make. Lives in `arena`; never NULL. */
const struct places *places_build(const struct model *model, struct arena *arena);

/*
 * The same with the geographic databases of `clients`, which takes as long as
 * it takes to read them; `old` (may be NULL) is the map before. One that
 * cannot be used is left out and the first of them told: -errno, explained
 * with its place in the configuration, and `*out` is built all the same.
 * `keep`: whatever has become of the files, those of `old` are used.
 */
int places_read(const struct model *model, const struct places *old, bool keep,
                struct arena *arena, const struct places **out, struct error *err);

/* How many places there are: 0 to count - 1. */
uint32_t places_count(const struct places *places);

/*
 * The place of a client of whose address `known_bits` are known: that of the
 * longest prefix it is in, else of the first database that knows of it; 0 is
 * this node's own, for all others. `*out_scope` is the length of the
 * prefix around it that is of this place as a whole (RFC 7871, section 7.2.1),
 * at most the bits known.
 */
uint32_t places_find(const struct places *places, const struct addr *client, uint8_t known_bits,
                     uint8_t *out_scope);

/* Its regions, the nearest first: indices into the model's. Of place 0 the node's, if any. */
const uint32_t *places_regions(const struct places *places, uint32_t place, size_t *out_count);
