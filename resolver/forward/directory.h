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
#define DIRECTORY_MOST 16384
struct upstream *directory_find(struct directory *directory,
                                const struct forward_upstream *described, uint64_t now_ms);

/*
 * The same without making it, NULL when it is not known. Any thread, between
 * directory_lock and directory_unlock; then what says so of itself in
 * upstream.h may be read.
 */
struct upstream *directory_peek(struct directory *directory,
                                const struct forward_upstream *described);
void directory_lock(struct directory *directory);
void directory_unlock(struct directory *directory);

/*
 * Other rules come into force: from now on only those are described that
 * directory_name is told of, and those that led back to us may be asked again.
 */
void directory_rename(struct directory *directory);
void directory_name(struct directory *directory, struct upstream *upstream);

/* Have `changed` told of each change of a state, from within the calls below. */
void directory_on_change(struct directory *directory, void (*changed)(void *user), void *user);

/* See upstream_good, upstream_probe_answered. */
void directory_good(struct directory *directory, struct upstream *upstream, uint64_t took_us,
                    uint64_t now_ms);
void directory_probe_answered(struct directory *directory, struct upstream *upstream, bool good,
                              uint64_t took_us, uint64_t now_ms);

/* See upstream_silent, upstream_refused, upstream_bad; `what` came of it, in a few words. */
void directory_silent(struct directory *directory, struct upstream *upstream, uint64_t sent_ms,
                      uint32_t weight, uint64_t now_ms);
void directory_refused(struct directory *directory, struct upstream *upstream, const char *what,
                       uint64_t now_ms);
void directory_bad(struct directory *directory, struct upstream *upstream, uint64_t question,
                   const char *what, uint64_t now_ms);

/* See upstream_late. */
void directory_late(struct directory *directory, struct upstream *upstream, uint64_t took_us,
                    uint32_t weight, uint64_t now_ms);

/* A probe shall show, now, how this upstream is. */
void directory_doubt(struct directory *directory, struct upstream *upstream);

/* A question with this loop_id came to us: mark whom it was put to. False: no such id is known. */
bool directory_loop(struct directory *directory, uint64_t loop_id, uint64_t now_ms);

/*
 * Upstreams as elements of an open JSON list: address, region, class,
 * transport ("udp", "tcp", "tls"), tls_name (or null), state (see
 * upstream_state), since_ms_ago (of the state), reason, usual_ms and rtt_ms
 * (the same; null before the first answer), p95_ms, loss_percent, hedge_ms,
 * sent, failed, hedges, probes, budget (max_queries a minute, or null),
 * over_budget, next_probe_ms (from now; null: none is planned). Any thread.
 */
void directory_describe(struct directory *directory, struct json_writer *json, uint64_t now_ms);

/* One of them, as an object; `hedge_ms` is what it comes to under a rule. The lock is held. */
void directory_describe_one(const struct upstream *upstream, uint32_t hedge_ms,
                            struct json_writer *json, uint64_t now_ms);
