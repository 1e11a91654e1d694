#pragma once
/*
 * geo - which regions are near to a client, by a MaxMind database
 *
 * The file is read in a process of its own (policy/geo_reader), and only what
 * the configuration distinguishes is kept: ranges of addresses with the same
 * list of regions. Built into an arena by one thread at a time, then immutable;
 * any thread may find. Nothing of the file stays open.
 */
#include <stdint.h>

#include "base/addr.h"
#include "base/error.h"

struct arena;
struct geo;
struct model_geo;

/*
 * Read the database of `model`, which takes up to 10 seconds with a file that
 * does not let itself be read. `old` (may be NULL) is what was made of it
 * before: of a file that has not changed it is copied. -errno, explained with
 * the file, when it cannot be read or is damaged.
 */
int geo_read(const struct model_geo *model, const struct geo *old, struct arena *arena,
             const struct geo **out, struct error *err);

/*
 * The program ends: what is being read is given up at once, and nothing is
 * read any more. Any thread.
 */
void geo_stop(void);

/*
 * What was made of it before, whatever has become of the file since: NULL when
 * there is nothing, or the configuration distinguishes other things.
 */
const struct geo *geo_keep(const struct model_geo *model, const struct geo *old,
                           struct arena *arena);

/*
 * What the configuration says of the client's country, else of its continent:
 * 0 when it is silent about both or nothing is known of the client, else 1 +
 * the index of the entry of `model` with its regions (the first of those with
 * the same list). `*out_scope` is the length of the prefix around the client
 * that is the same as a whole, at most the bits known.
 */
uint32_t geo_find(const struct geo *geo, const struct addr *client, uint8_t known_bits,
                  uint8_t *out_scope);
