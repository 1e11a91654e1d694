#pragma once
/*
 * cache_entry - makes an entry of an answer: its kind, its TTLs, its bytes
 *
 * Pure functions but for the allocation, any thread. The message is what an
 * upstream said, scrubbed; it is checked all the same.
 */
#include <stdint.h>

#include "resolver/cache/cache.h"

#define CACHE_ENTRY_PUBLIC_TTL_S 30u /* the most for what `public` says */

/*
 * An entry for this answer, not yet charged, or NULL: not to be kept (no TTL,
 * a negative answer without SOA, another rcode than NOERROR and NXDOMAIN), not
 * sound, no answer to the key, or memory is out. Of the settings the TTL
 * limits are used; the floor is for answers of TTL 0 too.
 */
struct cache_entry *cache_entry_new(const struct cache_key *key, uint64_t hash,
                                    const struct cache_answer *answer,
                                    const struct model_cache *settings);

/* An entry that says that nobody could answer, or NULL when memory is out. */
struct cache_entry *cache_entry_new_failure(const struct cache_key *key, uint64_t hash,
                                            uint16_t ede_code, uint32_t ttl_s, int64_t now_ms);
