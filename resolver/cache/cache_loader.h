#pragma once
/*
 * cache_loader - reads the cache back from disk, a piece each turn of the loop
 *
 * On the service loop, the cache's only writer, which goes on serving
 * meanwhile. A file that is damaged or not ours is set aside as
 * CACHE_LOADER_ASIDE and told of; what was read before the damage stays.
 */
#include <stddef.h>
#include <uv.h>

#include "resolver/cache/cache.h"

#define CACHE_LOADER_ASIDE "cache.damaged"

struct cache_loader;

/*
 * Load `directory`/CACHE_FILE_NAME on `loop`. `done` is called from the loop
 * once, never from within this call, with the number of entries that are in
 * the cache now; the loader has gone then. What was stored meanwhile is not
 * replaced. A missing file is none with no entries, one that cannot be read is
 * too, and is told of. -errno when it cannot even be begun.
 */
int cache_loader_start(uv_loop_t *loop, struct cache *cache, const char *directory,
                       void (*done)(void *user, size_t count), void *user,
                       struct cache_loader **out);

/*
 * End it early; `done` is not called any more. It is freed in a close
 * callback, so the loop must run once more. NULL is fine.
 */
void cache_loader_cancel(struct cache_loader *loader);
