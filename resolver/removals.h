#pragma once
/*
 * removals - how much healthy capacity configurations have taken away lately
 *
 * A ledger by service over guards.removal_limit's window, and the review of a
 * new configuration against what runs, which it takes into account. Failures
 * that checks proved are no removals. Control thread, but for removals_compare.
 */
#include "policy/review.h"
#include "resolver/snapshot.h"

struct removals;
struct removals_inquiry;

/* NULL when memory is out. */
struct removals *removals_new(void);
void removals_free(struct removals *removals);

/* What `fresh` would change against the snapshot in force. The caller's to free. */
struct review *removals_review(struct removals *removals, const struct snapshot *snapshot,
                               const struct model *fresh, uint64_t now_ms);

/*
 * The same in steps, for very many services: begin, look at some services of
 * the snapshot in force until none is left (false), then compare, on any
 * thread; the snapshot stays meanwhile. NULL when memory is out.
 */
struct removals_inquiry *removals_begin(struct removals *removals, const struct snapshot *snapshot,
                                        uint64_t now_ms);
bool removals_look(struct removals_inquiry *inquiry);
struct review *removals_compare(const struct removals_inquiry *inquiry, const struct model *fresh);
void removals_end(struct removals_inquiry *inquiry);

/* The change was made; what left counts against the next ones. */
void removals_note(struct removals *removals, const struct review *review, uint64_t now_ms);

/* Healthy endpoints that configurations took away within the window. */
uint64_t removals_lost(const struct removals *removals, uint64_t window_ms, uint64_t now_ms);
