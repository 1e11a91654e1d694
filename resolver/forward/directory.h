#pragma once
/*
 * directory - every upstream that was ever asked, for the life of the forwarder
 *
 * Found by address and region, so that what is known of an upstream outlives
 * the configuration that named it. Used from one service loop; only
 * `directory_describe` may be called from any thread. A lock guards additions
 * and changes of state against it. Changes of state are logged here.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "resolver/forward/upstream.h"

struct directory;
struct json_writer;

/* An empty directory, or NULL when memory is out. */
struct directory *directory_new(void);
void directory_free(struct directory *directory);

/*
 * The upstream of this address and region, made when it is new; it stays the
 * directory's and its address never changes. NULL when memory is out or more
 * than DIRECTORY_MOST are known.
 */
#define DIRECTORY_MOST 4096
struct upstream *directory_find(struct directory *directory,
                                const struct forward_upstream *described, uint64_t now_ms);

/* A good answer came after `took_ms`. */
void directory_good(struct directory *directory, struct upstream *upstream, uint64_t took_ms,
                    uint64_t now_ms);

/* See upstream_silent, upstream_refused, upstream_bad; `what` came of it, in a few words. */
void directory_silent(struct directory *directory, struct upstream *upstream, uint64_t sent_ms,
                      uint64_t now_ms);
void directory_refused(struct directory *directory, struct upstream *upstream, const char *what,
                       uint64_t now_ms);
void directory_bad(struct directory *directory, struct upstream *upstream, uint64_t question,
                   const char *what, uint64_t now_ms);

/*
 * Upstreams as elements of an open JSON list: address, region, class, state
 * ("up" or "suspect"), since_ms (age of the state at `now_ms`), reason,
 * usual_ms (null before the first answer), sent, failed. Any thread.
 */
void directory_describe(struct directory *directory, struct json_writer *json, uint64_t now_ms);
