#pragma once
/*
 * removals - how much healthy capacity configurations have taken away lately
 *
 * A ledger by service over guards.removal_limit's window, and the review of a
 * new configuration against what runs, which it takes into account. Failures
 * that checks proved are no removals. Control thread.
 */
#include "policy/review.h"
#include "resolver/snapshot.h"

struct removals;

/* NULL when memory is out. */
struct removals *removals_new(void);
void removals_free(struct removals *removals);

/* What `fresh` would change against the snapshot in force. The caller's to free. */
struct review *removals_review(struct removals *removals, const struct snapshot *snapshot,
                               const struct model *fresh, uint64_t now_ms);

/* The change was made; what left counts against the next ones. */
void removals_note(struct removals *removals, const struct review *review, uint64_t now_ms);

/* Healthy endpoints that configurations took away within the window. */
uint64_t removals_lost(const struct removals *removals, uint64_t window_ms, uint64_t now_ms);
