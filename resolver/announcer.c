#include "resolver/announcer.h"

#include <stdlib.h>
#include <string.h>

#include "policy/overrides.h"
#include "resolver/hooks.h"

struct announcer {
    struct journal *journal;
    struct hooks *hooks;
};

/* What hooks have to say of themselves is for the journal alone. */
static void on_hook(void *user, const struct journal_entry *entry)
{
    struct announcer *announcer = user;

    journal_note(announcer->journal, entry);
}

struct announcer *announcer_new(uv_loop_t *loop)
{
    struct announcer *announcer = calloc(1, sizeof(*announcer));

    if (announcer == NULL) {
        return NULL;
    }
    announcer->journal = journal_new(loop);
    announcer->hooks = announcer->journal == NULL ? NULL : hooks_new(loop, on_hook, announcer);
    if (announcer->hooks == NULL) {
        journal_close(announcer->journal);
        free(announcer);
        return NULL;
    }
    return announcer;
}

void announcer_adopt(struct announcer *announcer, const struct model *model)
{
    if (model->state_directory != NULL) {
        journal_open(announcer->journal, model->state_directory, model->journal_bytes,
                     model->journal_files);
    }
    hooks_adopt(announcer->hooks, model);
}

void announcer_say(struct announcer *announcer, unsigned category,
                   const struct journal_entry *entry)
{
    journal_note(announcer->journal, entry);
    hooks_say(announcer->hooks, category, entry);
}

void announcer_say_health(struct announcer *announcer, const struct health_event *event)
{
    static const struct {
        const char *kind;
        unsigned category;
    } words[] = {
        [HEALTH_EVENT_PROBE] = { "check", MODEL_NOTIFY_ENDPOINT },
        [HEALTH_EVENT_REGION] = { "region", MODEL_NOTIFY_REGION },
        [HEALTH_EVENT_ALERT] = { "alert", MODEL_NOTIFY_ENDPOINT },
        [HEALTH_EVENT_GUARD] = { "guard", MODEL_NOTIFY_GUARD },
    };
    const struct journal_entry entry = {
        .kind = words[event->kind].kind,
        .target = event->name,
        .from = event->from,
        .to = event->to,
        .reason = event->reason,
    };
    bool is_doubt = event->kind == HEALTH_EVENT_PROBE &&
                    (strcmp(event->to, "suspect") == 0 || strcmp(event->from, "suspect") == 0) &&
                    strcmp(event->to, "down") != 0;

    if (!is_doubt) { /* a lost packet is no news */
        announcer_say(announcer, words[event->kind].category, &entry);
    }
}

void announcer_say_override(struct announcer *announcer, const struct override *override,
                            const char *what)
{
    const struct journal_entry entry = {
        .kind = "override",
        .target = override->target,
        .from = what,
        .to = override_kind_name(override->kind),
        .reason = override->reason,
        .author = override->author,
    };

    announcer_say(announcer, MODEL_NOTIFY_OVERRIDE, &entry);
}

int announcer_trouble(const struct announcer *announcer)
{
    return journal_trouble(announcer->journal);
}

void announcer_walk_failing(const struct announcer *announcer, hooks_visit *visit, void *user)
{
    if (announcer != NULL) {
        hooks_walk_failing(announcer->hooks, visit, user);
    }
}

void announcer_close(struct announcer *announcer)
{
    if (announcer != NULL) {
        hooks_close(announcer->hooks); /* they go on for a moment, without the journal */
        journal_close(announcer->journal);
        free(announcer);
    }
}
