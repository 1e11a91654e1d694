#include "policy/health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/health_canary.h"
#include "policy/health_cascade.h"
#include "policy/health_condition.h"
#include "policy/health_group.h"
#include "policy/health_isolation.h"
#include "policy/health_note.h"
#include "policy/health_region.h"
#include "policy/health_table.h"

/*
 * What a probe says changes the words of every group and region that lean on
 * it; this file holds that walk.
 */

#define LATENCY_STEP_US 500u /* smaller moves are not told on */
#define STALE_INTERVALS 3u   /* without a result, and people are told */

static void tell(struct health *health, const struct health_event *event)
{
    if (health->listener != NULL) {
        health->listener(health->user, event);
    }
}

/* Bring every word that leans on `probe` up to date. */
static void spread(struct health *health, struct probe_slot *probe, uint64_t now_ms)
{
    probe->short_ttl = detect_is_short_ttl(&probe->probe.detect, now_ms);
    probe->told_us = probe->probe.detect.usual_us;
    for (size_t i = 0; i < probe->group_count; i++) {
        health_group_queue(health, probe->groups[i]);
    }
    health_group_settle(health, now_ms);
    if (probe->region_count > 0) {
        health_region_store_all(health, now_ms);
        health_group_settle(health, now_ms); /* those that ask about regions */
    }
}

void health_refresh(struct health *health, uint64_t now_ms)
{
    health->quiet = true;
    health_region_store_all(health, now_ms);
    health_group_store_all(health, now_ms);
    health->quiet = false;
    health_region_tell_all(health, now_ms);
    health_cascade_tell_all(health);
}

static bool is_out(const struct detect *d)
{
    return d->state == DETECT_DOWN && !d->held;
}

/*
 * What decided: failures in a row, or those that were silent too. The first
 * result alone decides, and a failure in hold_down; where evidence is weighed,
 * its sum does, and the row may be short.
 */
static void count_evidence(const struct detect *d, const struct detect *before, uint64_t now_ms,
                           struct health_event *event)
{
    bool told = d->strong_run > 0 && (d->state != DETECT_DOWN || before->held || !d->silently);
    bool alone = before->state == DETECT_UNKNOWN || (before->held && told);

    event->failed = d->strong_run + (told ? 0 : detect_silent_count(d, now_ms));
    event->needed = alone ? 1 : told ? detect_strong_needed(d) : detect_silent_needed(d);
    if (is_out(d) && !alone && d->verdict_sum > 0) {
        event->sum = d->verdict_sum;
        event->threshold = detect_evidence(d, now_ms).needed;
    }
}

static void tell_probe(struct health *health, const struct health_probe *probe,
                       const struct detect *before, uint64_t now_ms)
{
    const struct detect *d = &probe->detect;
    char target[ADDR_TEXT_MAX];
    struct health_event event = {
        .kind = HEALTH_EVENT_PROBE,
        .name = probe->label,
        .target = target,
        .probe = probe,
        .from = detect_state_name(before),
        .to = detect_state_name(d),
        .reason = probe->reason,
        .since_last_pass_ms = d->last_pass_ms == 0 ? 0 : now_ms - d->last_pass_ms,
        .since_first_failure_ms = d->first_failure_ms == 0 ? 0 : now_ms - d->first_failure_ms,
    };

    addr_format_port(&probe->target, target, sizeof(target));
    count_evidence(d, before, now_ms, &event);
    tell(health, &event);
}

/* For those who answer, too; before a region that leans on it is told of. */
static void note_verdict(struct probe_slot *slot, const struct detect *before, uint64_t now_ms)
{
    struct health_event evidence = { .kind = HEALTH_EVENT_PROBE };

    if (is_out(&slot->probe.detect)) {
        count_evidence(&slot->probe.detect, before, now_ms, &evidence);
    }
    health_note_probe(slot, &evidence);
}

/* How the probe stood before it went DOWN, for as long as it is. */
static void note_fall(struct probe_slot *slot, const struct detect *before, uint64_t now_ms)
{
    if (!is_out(&slot->probe.detect) || is_out(before)) {
        return;
    }
    slot->went_ms = now_ms;
    slot->stood = before->state == DETECT_UNKNOWN ? slot->restored
                  : before->state == DETECT_DOWN  ? PROBE_HELD
                                                  : PROBE_UP;
}

/* Publish what changed in a probe and tell about it. */
static void publish_probe(struct health *health, struct health_probe *probe,
                          const struct detect *before, uint64_t now_ms)
{
    struct probe_slot *slot = (struct probe_slot *)probe;

    if (probe->detect.state != DETECT_DOWN) {
        slot->down_by_canary = false;
    }
    note_fall(slot, before, now_ms);
    spread(health, slot, now_ms);
    note_verdict(slot, before, now_ms);
    if (strcmp(detect_state_name(before), detect_state_name(&probe->detect)) != 0) {
        tell_probe(health, probe, before, now_ms);
    }
    health_region_tell_all(health, now_ms);
    health_cascade_tell_all(health);
}

uint32_t health_probe_sent(struct health *health, struct health_probe *probe, uint64_t now_ms)
{
    (void)health;
    probe->sent_count++;
    return detect_sent(&probe->detect, now_ms);
}

static void tell_alert(struct health *health, const struct health_probe *probe, const char *from,
                       const char *to, const char *reason)
{
    char target[ADDR_TEXT_MAX];
    const struct health_event event = {
        .kind = HEALTH_EVENT_ALERT,
        .name = probe->label,
        .target = target,
        .probe = probe,
        .from = from,
        .to = to,
        .reason = reason,
    };

    addr_format_port(&probe->target, target, sizeof(target));
    tell(health, &event);
}

/* A canary that is not there proves something, or nothing. */
static enum detect_outcome weigh_misconfigured(struct health *health, struct health_probe *probe,
                                               uint64_t now_ms)
{
    if (!probe->misconfigured) {
        probe->misconfigured = true;
        probe->misconfigured_since_ms = now_ms;
        tell_alert(health, probe, "configured", "misconfigured", probe->reason);
    }
    return health_canary_proves(health, probe) ? DETECT_STRONG : DETECT_NEUTRAL;
}

/*
 * A name that has vanished everywhere takes back the verdicts it made while it
 * was still to be seen somewhere.
 */
static void absolve_canary(struct health *health, struct health_probe *probe, uint64_t now_ms)
{
    struct probe_slot *slot = (struct probe_slot *)probe;

    if (!slot->down_by_canary) {
        return;
    }
    struct detect before = probe->detect;
    detect_absolve(&probe->detect, now_ms);
    publish_probe(health, probe, &before, now_ms);
}

/* ---- probes of which nothing comes ---- */

static bool is_overdue(const struct health_probe *probe, uint64_t now_ms)
{
    const struct detect *d = &probe->detect;
    uint64_t since = probe->last_result_ms != 0   ? probe->last_result_ms
                     : d->state == DETECT_UNKNOWN ? d->since_ms
                                                  : 0; /* kept from an earlier run */

    return now_ms - since > STALE_INTERVALS * d->timing.interval_ms + d->timing.timeout_ms;
}

static void set_trouble(struct health_probe *probe, const char *reason)
{
    if (probe->trouble == NULL || strcmp(probe->trouble, reason) != 0) {
        free((void *)(uintptr_t)probe->trouble);
        probe->trouble = health_table_copy(reason);
    }
}

/*
 * What was believed goes on, for a fault of this node says nothing of the
 * target; but it grows old, and who reads it must know.
 */
void health_probe_trouble(struct health *health, struct health_probe *probe, const char *reason,
                          uint64_t now_ms)
{
    bool overdue = is_overdue(probe, now_ms);

    if (!overdue && probe->detect.state != DETECT_UNKNOWN) {
        return; /* once is no news */
    }
    set_trouble(probe, reason);
    if (overdue && !probe->stale) {
        probe->stale = true;
        tell_alert(health, probe, "probed", "stale", reason);
    }
}

static void end_trouble(struct health *health, struct health_probe *probe, const char *reason)
{
    free((void *)(uintptr_t)probe->trouble);
    probe->trouble = NULL;
    if (probe->stale) {
        probe->stale = false;
        tell_alert(health, probe, "stale", "probed", reason);
    }
}

/* ---- results ---- */

static bool is_pass(enum detect_outcome outcome)
{
    return outcome == DETECT_PASS || outcome == DETECT_WARNING;
}

/* Before a result is weighed: what people are shown of it. */
static void note_result(struct health *health, struct health_probe *probe,
                        enum detect_outcome outcome, bool misconfigured, const char *reason,
                        uint64_t now_ms)
{
    /* while it is down the failure is what matters, until it has risen */
    bool is_down = probe->detect.state == DETECT_DOWN && !probe->detect.held;
    bool is_failure = outcome == DETECT_STRONG || outcome == DETECT_SILENT || misconfigured;

    if (outcome == DETECT_VOID) {
        health_probe_trouble(health, probe, reason, now_ms);
        return; /* nothing came of it */
    }
    probe->last_result_ms = now_ms;
    probe->failed_count += is_failure && !misconfigured;
    if (is_failure || !is_down) {
        health_probe_set_reason(probe, reason);
    }
    end_trouble(health, probe, reason);
    if (is_pass(outcome) && probe->misconfigured) {
        probe->misconfigured = false;
        tell_alert(health, probe, "misconfigured", "configured", probe->reason);
    }
}

/* Has the latency moved so far that its groups should hear of it? */
static bool has_moved(const struct probe_slot *slot)
{
    uint32_t us = slot->probe.detect.usual_us;
    uint32_t moved = us > slot->told_us ? us - slot->told_us : slot->told_us - us;

    return moved > LATENCY_STEP_US && moved > slot->told_us / 16;
}

/*
 * A pass that changes no state: since a gate it proves the endpoint, and its
 * latency is taken in.
 */
static void note_pass(struct health *health, struct probe_slot *slot, uint64_t now_ms)
{
    if (has_moved(slot)) {
        spread(health, slot, now_ms);
        health_cascade_tell_all(health);
        return;
    }
    for (size_t i = 0; i < slot->group_count; i++) {
        /* while the gate is lifted, too: it may fall at any time, and then this counts */
        if (slot->groups[i]->region->gating) {
            health_group_queue(health, slot->groups[i]);
        }
    }
    health_group_settle(health, now_ms);
}

/* Store and tell what a result has made of the probe. */
static void take_change(struct health *health, struct health_probe *probe,
                        const struct detect *before, enum detect_outcome outcome,
                        bool misconfigured, const char *reason, uint64_t now_ms)
{
    struct probe_slot *slot = (struct probe_slot *)probe;

    if (is_out(&probe->detect)) {
        slot->down_by_canary =
            is_out(before) ? slot->down_by_canary && misconfigured : misconfigured;
    } else if (outcome != DETECT_VOID) {
        health_probe_set_reason(probe, reason);
    }
    publish_probe(health, probe, before, now_ms);
}

void health_probe_result(struct health *health, struct health_probe *probe, uint32_t number,
                         enum detect_outcome outcome, bool misconfigured, const char *reason,
                         uint64_t now_ms)
{
    struct probe_slot *slot = (struct probe_slot *)probe;
    struct detect before = probe->detect;

    if (!probe->used) {
        return; /* it left the table while the probe was in flight */
    }
    if (slot->is_witness) {
        outcome = health_isolation_weigh(outcome, reason);
        misconfigured = false;
    }
    note_result(health, probe, outcome, misconfigured, reason, now_ms);
    if (misconfigured) {
        outcome = weigh_misconfigured(health, probe, now_ms);
    }
    if (detect_result(&probe->detect, number, outcome, now_ms)) {
        take_change(health, probe, &before, outcome, misconfigured, reason, now_ms);
    } else if (is_pass(outcome)) {
        note_pass(health, slot, now_ms);
    }
    if (misconfigured && outcome == DETECT_NEUTRAL) {
        absolve_canary(health, probe, now_ms);
    }
    health_isolation_note(health, slot, outcome, now_ms);
}

void health_probe_tick(struct health *health, struct health_probe *probe, uint64_t now_ms)
{
    struct probe_slot *slot = (struct probe_slot *)probe;
    struct detect before = probe->detect;

    if (!probe->used) {
        return;
    }
    if (!detect_tick(&probe->detect, now_ms)) {
        if (slot->short_ttl != detect_is_short_ttl(&probe->detect, now_ms)) {
            spread(health, slot, now_ms);
        }
        return;
    }
    if (probe->detect.state == DETECT_SUSPECT || is_out(&probe->detect)) {
        slot->down_by_canary = false;
        if (before.strong_run == 0) {
            char reason[40];
            (void)snprintf(reason, sizeof(reason), "no answer within %ums",
                           before.timing.timeout_ms);
            health_probe_set_reason(probe, reason);
        }
    }
    publish_probe(health, probe, &before, now_ms);
    if (is_out(&probe->detect)) {
        health_isolation_note(health, slot, DETECT_SILENT, now_ms);
    }
}

/* ---- time ---- */

static bool is_share_over(const struct health *health, uint64_t now_ms)
{
    for (size_t i = 0; i < health->sharing.count; i++) {
        if (now_ms >= health->sharing.groups[i]->share_until_ms) {
            return true;
        }
    }
    for (const struct region_slot *r = health->regions; r != NULL; r = r->hh.next) {
        if (r->sharing && now_ms >= r->share_until_ms) {
            return true;
        }
    }
    return false;
}

/* What the cascade window spared falls when the window is over. */
static void end_shares(struct health *health, uint64_t now_ms)
{
    if (!is_share_over(health, now_ms)) {
        return;
    }
    for (size_t i = 0; i < health->sharing.count; i++) {
        health_group_queue(health, health->sharing.groups[i]);
    }
    health_group_settle(health, now_ms);
    health_region_store_all(health, now_ms);
    health_group_settle(health, now_ms);
    health_region_tell_all(health, now_ms);
    health_cascade_tell_all(health);
}

void health_tick(struct health *health, uint64_t now_ms)
{
    end_shares(health, now_ms);
    if (health->isolate_ms != 0 && now_ms >= health->isolate_ms) {
        health_isolation_tick(health, now_ms);
    }
    if (health->ramp_next_ms != 0 && now_ms >= health->ramp_next_ms) {
        health_group_ramp_tick(health, now_ms);
    }
}

static uint64_t earlier(uint64_t wake_ms, uint64_t at_ms)
{
    return at_ms != 0 && at_ms < wake_ms ? at_ms : wake_ms;
}

uint64_t health_wake_ms(const struct health *health, uint64_t now_ms)
{
    uint64_t wake_ms = earlier(UINT64_MAX, health->isolate_ms);

    wake_ms = earlier(wake_ms, health->ramp_next_ms);
    for (size_t i = 0; i < health->sharing.count; i++) {
        wake_ms = earlier(wake_ms, health->sharing.groups[i]->share_until_ms);
    }
    for (const struct region_slot *r = health->regions; r != NULL; r = r->hh.next) {
        wake_ms = earlier(wake_ms, r->sharing ? r->share_until_ms : 0);
    }
    return wake_ms < now_ms ? now_ms : wake_ms;
}
