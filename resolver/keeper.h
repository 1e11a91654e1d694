#pragma once
/*
 * keeper - the health table kept on disk while it changes, and taken back at a start
 *
 * state_directory/health holds probes, regions and what services last answered
 * when they stood well (architecture, section 10). It is rendered in the
 * control thread and written by a thread of the loop's pool, a moment after
 * something changed. A start that follows two that ended abnormally within a
 * minute does without what was kept: it is set aside, for it may be the cause.
 * Control thread.
 */
#include <uv.h>

#include "policy/health.h"
#include "resolver/snapshot.h"

struct keeper;

/* NULL when memory is out. */
struct keeper *keeper_new(uv_loop_t *loop, struct health *health);

/*
 * Take back what is kept in `state_directory`, before the first binding is
 * made. True when it was set aside because of starts that ended abnormally.
 */
bool keeper_restore(struct keeper *keeper, const char *state_directory);

/* A snapshot is in force. With the first one services recall what they answered. */
void keeper_adopt(struct keeper *keeper, const struct snapshot *snapshot);

/* The table has changed: it is written soon. */
void keeper_note(struct keeper *keeper);

/* Write the last state, as a clean end; gone when the loop has run out. */
void keeper_close(struct keeper *keeper);
