#pragma once
/*
 * cache_saver - writes the cache to disk while the server runs, and at its end
 *
 * A thread of its own, registered with RCU and online for a few entries at a
 * time: neither answerers nor the service loop wait for it, and nothing is
 * held back from being freed while the disk is slow. The file is replaced
 * atomically. Started and stopped by one thread.
 */
#include "resolver/cache/cache.h"

struct cache_saver;

/*
 * Save `cache` to `directory`/CACHE_FILE_NAME a moment after it has first
 * changed, and then from time to time when it has: every ten seconds, a large
 * cache less often. To be started when loading is over: before that the file
 * would be replaced by a part of it. The cache must outlive the saver. -errno
 * when the thread cannot be made.
 */
int cache_saver_start(const struct cache *cache, const char *directory, struct cache_saver **out);

/*
 * End the thread after one last save, if anything has changed since the last;
 * waits for it. Not from a thread that is online for RCU. NULL is fine.
 */
void cache_saver_stop(struct cache_saver *saver);
