#pragma once
/*
 * api_cache - what the cache holds, shown and flushed
 *
 * A pattern is a name, "*.NAME" (the name and all below it) or "all". The work
 * is done by the service loop, the cache's only writer; the control thread
 * waits for it.
 */
#include <stdint.h>

#include "resolver/api/api_reply.h"

struct control;
struct cache_entry;
struct json_writer;

#define API_CACHE_SHOWN 1000 /* entries in one reply; how many there are is told */

/* {"entries": [...], "matching": N, "shown": N}; 400 for what is no pattern. */
void api_cache_put(struct control *control, const char *pattern, struct api_reply *reply);

/* Forget them: {"flushed": N}. */
void api_cache_flush(struct control *control, const char *pattern, struct api_reply *reply);

/* One entry as a JSON object: what it says, of whom, how fresh. Online for RCU. */
void api_cache_put_entry(const struct cache_entry *entry, int64_t now_ms, struct json_writer *json);
