#include "policy/health_isolation.h"

#include <stdio.h>
#include <string.h>

#include "policy/health_cascade.h"
#include "policy/health_condition.h"
#include "policy/health_note.h"
#include "policy/health_region.h"

#define INTERVALS 2 /* without any success */

static bool is_local(const struct probe_slot *probe)
{
    enum model_check_kind kind = probe->probe.check->kind;

    return kind == MODEL_CHECK_PUSH || kind == MODEL_CHECK_FILE;
}

/*
 * Does its success show that this node's network works? Of a program nobody
 * knows where it looked; when it goes DOWN that may be the network all the same.
 */
static bool is_of_network(const struct probe_slot *probe)
{
    return !is_local(probe) && probe->probe.check->kind != MODEL_CHECK_EXEC;
}

/* It went DOWN when nothing had succeeded any more. */
static bool is_of_episode(const struct health *health, const struct probe_slot *probe)
{
    return !is_local(probe) && probe->went_ms > health->heard_ms;
}

bool health_isolation_excuses(const struct health *health, const struct probe_slot *probe)
{
    return health->isolated && is_of_episode(health, probe);
}

enum detect_outcome health_isolation_weigh(enum detect_outcome outcome, const char *reason)
{
    switch (outcome) {
    case DETECT_PASS:
    case DETECT_WARNING:
    case DETECT_NEUTRAL:
        return DETECT_PASS;
    case DETECT_STRONG:
        /* a refusal has come from there; that there is no way, from anywhere or from here */
        return strstr(reason, "unreachable") == NULL ? DETECT_PASS : DETECT_STRONG;
    case DETECT_SILENT:
    case DETECT_VOID:
        break;
    }
    return outcome;
}

static void tell(struct health *health, const char *from, const char *to)
{
    const struct health_event event = {
        .kind = HEALTH_EVENT_GUARD,
        .name = "isolation",
        .target = "this node",
        .from = from,
        .to = to,
        .reason = health->isolated_reason,
    };

    if (health->listener != NULL) {
        health->listener(health->user, &event);
    }
}

/* ---- seeing it ---- */

/* How many witnesses answer, and how many ever did. */
static void count_witnesses(const struct health *health, uint32_t *out_reachable,
                            uint32_t *out_ever)
{
    const struct health_binding *binding = health->committed;

    *out_reachable = 0;
    *out_ever = 0;
    for (size_t i = 0; binding != NULL && i < binding->witness_count; i++) {
        const struct detect *d = &binding->witnesses[i]->detect;
        bool ever = d->last_pass_ms != 0;
        *out_ever += ever;
        *out_reachable += ever && (d->state != DETECT_DOWN || d->held);
    }
}

static bool lacks_witnesses(const struct health *health, uint32_t *out_reachable)
{
    uint32_t ever;

    count_witnesses(health, out_reachable, &ever);
    if (ever == 0) {
        return false;
    }
    uint32_t minimum = health->committed->witness_minimum;
    return *out_reachable < (minimum < ever ? minimum : ever);
}

/* Since when no success has shown a network; 0: none has yet. Programs alone: the witnesses'. */
static uint64_t silent_since_ms(const struct health *health)
{
    return health->target_ms != 0 ? health->target_ms : health->heard_ms;
}

/* The shortest interval of targets that were up before this began; 0: there are none. */
static uint32_t shortest_interval_ms(const struct health *health)
{
    uint32_t shortest = 0;

    for (size_t i = 0; i < health->probe_count; i++) {
        const struct probe_slot *slot = health->probes[i];
        const struct health_probe *probe = &slot->probe;
        if (!probe->used || slot->is_witness || is_local(slot)) {
            continue;
        }
        bool was_up = probe->detect.state != DETECT_DOWN ||
                      (is_of_episode(health, slot) && slot->stood != PROBE_DOWN);
        uint32_t interval = probe->detect.timing.interval_ms;
        if (was_up && probe->detect.last_pass_ms != 0 && (shortest == 0 || interval < shortest)) {
            shortest = interval;
        }
    }
    return shortest;
}

static void begin(struct health *health, uint32_t reachable, uint64_t now_ms)
{
    health->isolated = true;
    health->isolated_ms = now_ms;
    (void)snprintf(health->isolated_reason, sizeof(health->isolated_reason),
                   "%u of %zu witnesses answer and no check of the network has succeeded for "
                   "%llums: this node is cut off, answers stay as they were",
                   reachable, health->committed->witness_count,
                   (unsigned long long)(now_ms - silent_since_ms(health)));
    health_cascade_forget(health, health->heard_ms);
    health_refresh(health, now_ms);
    tell(health, "connected", "isolated");
}

void health_isolation_tick(struct health *health, uint64_t now_ms)
{
    uint64_t since_ms = silent_since_ms(health);
    uint32_t reachable;

    health->isolate_ms = 0;
    if (health->isolated || since_ms == 0 || !lacks_witnesses(health, &reachable)) {
        return;
    }
    uint64_t interval = shortest_interval_ms(health);
    if (interval == 0) {
        return;
    }
    uint64_t due_ms = since_ms + INTERVALS * interval;
    if (now_ms >= due_ms) {
        begin(health, reachable, now_ms);
    } else {
        health->isolate_ms = due_ms;
    }
}

/* ---- its end ---- */

static void absolve(struct health *health, struct probe_slot *slot, uint64_t now_ms)
{
    char target[ADDR_TEXT_MAX];
    const struct health_event event = {
        .kind = HEALTH_EVENT_PROBE,
        .name = slot->probe.label,
        .target = target,
        .from = "down",
        .to = "up",
        .reason = "it went down while this node was cut off",
        .probe = &slot->probe,
    };

    addr_format_port(&slot->probe.target, target, sizeof(target));
    detect_absolve(&slot->probe.detect, now_ms);
    slot->down_by_canary = false;
    health_probe_set_reason(&slot->probe, event.reason);
    health_note_probe(slot, &event);
    if (health->listener != NULL) {
        health->listener(health->user, &event);
    }
}

/*
 * What failed in the episode and is not DOWN yet begins anew: what was sent
 * then comes to nothing as it did, and must not be the last that was missing.
 */
static void forgive(const struct health *health, struct probe_slot *slot, uint64_t now_ms)
{
    struct detect *d = &slot->probe.detect;

    if ((d->state == DETECT_UP || d->state == DETECT_SUSPECT) && !is_local(slot) &&
        (d->first_failure_ms == 0 || d->first_failure_ms > health->heard_ms)) {
        detect_absolve(d, now_ms);
    }
}

/* What went DOWN in the episode proves nothing; what is dead goes DOWN again. */
static void end(struct health *health, const char *heard, uint64_t now_ms)
{
    for (size_t i = 0; i < health->probe_count; i++) {
        struct probe_slot *slot = health->probes[i];
        const struct detect *d = &slot->probe.detect;
        bool is_up_again = slot->stood != PROBE_HELD && slot->stood != PROBE_DOWN;
        if (!slot->probe.used) {
            continue;
        }
        if (d->state == DETECT_DOWN && !d->held && is_up_again && is_of_episode(health, slot)) {
            absolve(health, slot, now_ms);
        } else {
            forgive(health, slot, now_ms);
        }
    }
    health->isolated = false;
    health->heard_ms = now_ms;
    health_refresh(health, now_ms);
    (void)snprintf(health->isolated_reason, sizeof(health->isolated_reason),
                   "%s after %llus: checks decide again", heard,
                   (unsigned long long)(now_ms - health->isolated_ms) / 1000);
    tell(health, "isolated", "connected");
}

void health_isolation_note(struct health *health, const struct probe_slot *probe,
                           enum detect_outcome outcome, uint64_t now_ms)
{
    bool is_success = outcome == DETECT_PASS || outcome == DETECT_WARNING;

    if (is_local(probe) || (is_success && !is_of_network(probe))) {
        return;
    }
    if (is_success) {
        health->target_ms = probe->is_witness ? health->target_ms : now_ms;
        if (health->isolated) {
            char heard[120];
            (void)snprintf(heard, sizeof(heard), "%s answers", probe->probe.label);
            end(health, heard, now_ms);
        }
        health->heard_ms = now_ms;
        health->isolate_ms = probe->is_witness ? health->isolate_ms : 0;
    } else if (probe->is_witness || (health->isolate_ms != 0 && now_ms >= health->isolate_ms)) {
        health_isolation_tick(health, now_ms);
    }
}

bool health_is_isolated(const struct health *health, uint64_t *out_since_ms, char *out_reason,
                        size_t cap)
{
    if (health->isolated) {
        *out_since_ms = health->isolated_ms;
        (void)snprintf(out_reason, cap, "%s", health->isolated_reason);
    }
    return health->isolated;
}
