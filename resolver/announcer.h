#pragma once
/*
 * announcer - what happened goes into the journal and to whoever is to be told
 *
 * The one place that knows who hears of transitions, overrides, reloads and
 * guards. Control thread.
 */
#include <uv.h>

#include "policy/health.h"
#include "policy/journal.h"
#include "policy/model.h"
#include "resolver/hooks.h"

struct announcer;
struct override;

/* NULL when memory is out. */
struct announcer *announcer_new(uv_loop_t *loop);

/* What `model` says of journal and hooks is in force from now on. */
void announcer_adopt(struct announcer *announcer, const struct model *model);

/* It happened; `category` (one of model_notify_on, 0: none) says whose hooks want it. */
void announcer_say(struct announcer *announcer, unsigned category,
                   const struct journal_entry *entry);

/* The same for what modules say in their own words. */
void announcer_say_health(struct announcer *announcer, const struct health_event *event);
void announcer_say_override(struct announcer *announcer, const struct override *override,
                            const char *what);

/* Why the journal is not kept, negative errno; 0: it is. */
int announcer_trouble(const struct announcer *announcer);

/* Hooks that fail now, see hooks_walk_failing. NULL has none. */
void announcer_walk_failing(const struct announcer *announcer, hooks_visit *visit, void *user);

/* Write what is pending, tell hooks what they wait for; gone when the loop has run out. */
void announcer_close(struct announcer *announcer);
