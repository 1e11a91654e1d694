#pragma once
/*
 * hooks - tells programs and webhooks what happened, without ever waiting
 *
 * Each hook of the configuration has at most one run under way; a program gets
 * the events as JSON on its standard input, a webhook by POST from a process of
 * its own (see webhook). Hooks that a reload keeps go on where they were. See
 * hook for what is told when. Control thread.
 */
#include <uv.h>

#include "policy/journal.h"
#include "policy/model.h"

struct hooks;

#define HOOKS_LAST_CHANCE_MS 1000u /* at the end */

/* For the journal: a hook failed, lost events, or works again. */
typedef void hooks_tell(void *user, const struct journal_entry *entry);

/* NULL when memory is out. */
struct hooks *hooks_new(uv_loop_t *loop, hooks_tell *tell, void *user);

/* The hooks of `model` are told from now on; nothing of the model is kept. */
void hooks_adopt(struct hooks *hooks, const struct model *model);

/* It happened; `category` is one of model_notify_on. Cheap, however often. */
void hooks_say(struct hooks *hooks, unsigned category, const struct journal_entry *entry);

/* For people: a hook whose last try was in vain. */
struct hooks_failure {
    const char *label; /* the program, or the URL's host */
    const char *why;
    uint64_t since_ms; /* monotonic */
    uint64_t untold;   /* events that wait, and those given up since it last worked */
};
typedef void hooks_visit(void *user, const struct hooks_failure *failure);

/* Those that fail now, in the order of the configuration. */
void hooks_walk_failing(const struct hooks *hooks, hooks_visit *visit, void *user);

/*
 * What is still untold gets one try more within HOOKS_LAST_CHANCE_MS, else it
 * is written off in the log. `tell` is not called any more; gone when the loop
 * has run out. NULL is fine.
 */
void hooks_close(struct hooks *hooks);
