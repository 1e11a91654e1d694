#include "policy/health.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "policy/health_table.h"

/*
 * What a probe says changes the words of every group and region that lean on
 * it; this file holds that walk and the rules of gates. Slots, keys and
 * bindings are health_table's.
 */

#define CANARY_MEMORY_MS 3600000u /* a canary that passed within the last hour is believed */

static uint32_t region_word(const struct region_slot *region)
{
    return atomic_load_explicit(&region->words.word, memory_order_relaxed);
}

/* Up, and up or held, among the region's own probes. */
static void count_region(const struct region_slot *region, uint32_t *out_up, uint32_t *out_held)
{
    uint32_t up = 0, held = 0;

    for (size_t i = 0; i < region->probe_count; i++) {
        const struct detect *d = &region->probes[i]->detect;
        up += d->state != DETECT_DOWN;
        held += d->state == DETECT_DOWN && d->held;
    }
    *out_up = up;
    *out_held = held;
}

static bool is_region_short_ttl(const struct region_slot *region, uint64_t now_ms)
{
    for (size_t i = 0; i < region->probe_count; i++) {
        if (detect_is_short_ttl(&region->probes[i]->detect, now_ms)) {
            return true;
        }
    }
    return false;
}

/* What the region's own checks alone would make of it. */
static uint32_t measured_flags(const struct region_slot *region)
{
    uint32_t up, held;
    uint32_t minimum = model_minimum_count(region->minimum, (uint32_t)region->probe_count);

    count_region(region, &up, &held);
    if (up >= minimum || region->probe_count == 0) { /* without checks nothing gates it */
        return 0;
    }
    return up + held >= minimum ? HEALTH_REGION_HELD : HEALTH_REGION_GATED;
}

static const char *word_name(uint32_t word)
{
    if ((word & HEALTH_REGION_FORCED_DOWN) != 0) {
        return "forced down";
    }
    if ((word & HEALTH_REGION_DRAINED) != 0) {
        return "drained";
    }
    if ((word & HEALTH_REGION_GATED) != 0) {
        return "gated";
    }
    return (word & HEALTH_REGION_HELD) != 0 ? "held" : "in";
}

/* How a region stands, by name; "lifted" when only minimum_regions keeps it in. */
static const char *region_name(const struct region_slot *region)
{
    uint32_t word = region_word(region);

    return region->lifted && (word & HEALTH_REGION_AWAY) == 0 ? "lifted" : word_name(word);
}

/* The probe that speaks most clearly against the region, or NULL. */
static const struct health_probe *worst_probe(const struct region_slot *region)
{
    const struct health_probe *worst = NULL;

    for (size_t i = 0; i < region->probe_count; i++) {
        const struct detect *d = &region->probes[i]->detect;
        if (d->state == DETECT_DOWN && (worst == NULL || !d->held)) {
            worst = region->probes[i];
        }
    }
    return worst;
}

static void describe_region(const struct region_slot *region, char *out, size_t cap)
{
    uint32_t up, held;
    const struct health_probe *worst = worst_probe(region);
    size_t used;

    count_region(region, &up, &held);
    (void)snprintf(out, cap, "%u of %zu checks pass, minimum_healthy %u%s", up, region->probe_count,
                   model_minimum_count(region->minimum, (uint32_t)region->probe_count),
                   region->lifted ? ", not gated because of minimum_regions" : "");
    used = strlen(out);
    if (worst != NULL && worst->detect.held) {
        (void)snprintf(out + used, cap - used, "; %s is in hold_down", worst->label);
    } else if (worst != NULL) {
        (void)snprintf(out + used, cap - used, "; %s failed: %s", worst->label, worst->reason);
    }
}

/* Tell of regions that stand differently than was told last. */
static void tell_regions(struct health *health, uint64_t now_ms)
{
    for (struct region_slot *r = health->regions; r != NULL; r = r->hh.next) {
        struct health_event event = {
            .kind = HEALTH_EVENT_REGION,
            .name = r->name,
            .from = r->told,
            .to = region_name(r),
            .reason = r->reason,
        };
        if (strcmp(event.from, event.to) == 0) {
            continue;
        }
        r->told = event.to;
        r->since_ms = now_ms;
        describe_region(r, r->reason, sizeof(r->reason));
        health->listener(health->user, &event);
    }
}

/* Store a region's word when it changed, with a new epoch for a new gate. */
static void store_region(struct region_slot *region, uint32_t flags, uint64_t now_ms)
{
    uint32_t before = region_word(region);
    uint32_t epoch = before >> HEALTH_EPOCH_SHIFT;
    bool gated = (flags & HEALTH_REGION_GATED) != 0;

    if (gated && (before & HEALTH_REGION_GATED) == 0) {
        epoch = (epoch + 1) & 0xffff;
        region->gated_ms = now_ms;
    }
    uint32_t after = flags | epoch << HEALTH_EPOCH_SHIFT;
    if (after != before) {
        atomic_store_explicit(&region->words.word, after, memory_order_release);
    }
}

/*
 * Gates fall together: when they would leave fewer than minimum_regions in,
 * all of them lift, for a signal that is true everywhere chooses nothing. A
 * region in hold_down counts as in here: it answers, if on a lower rung.
 */
static bool is_lifting(const struct health *health)
{
    uint32_t in = 0, total = 0;

    for (const struct region_slot *r = health->regions; r != NULL; r = r->hh.next) {
        if (r->active) {
            total++;
            in += (measured_flags(r) & HEALTH_REGION_GATED) == 0 && r->override == 0;
        }
    }
    return in < (health->minimum_regions < total ? health->minimum_regions : total);
}

static void store_regions(struct health *health, uint64_t now_ms)
{
    bool lift = is_lifting(health);

    for (struct region_slot *r = health->regions; r != NULL; r = r->hh.next) {
        uint32_t flags = measured_flags(r);
        r->lifted = lift && flags != 0;
        flags = r->lifted ? 0 : flags;
        flags |= r->override;
        flags |= r->prove ? HEALTH_REGION_PROVE : 0;
        flags |= is_region_short_ttl(r, now_ms) ? HEALTH_REGION_SUSPECT : 0;
        store_region(r, flags, now_ms);
    }
}

/* An endpoint's standing from its probes: all must pass. */
struct standing {
    bool up;
    bool held;
    bool proven; /* as health_group says */
    bool short_ttl;
};

/*
 * Does this probe prove its endpoint while the region is gated? By a pass sent
 * since; where the region proves itself, by passing as ever, so that the gate
 * alone moves nothing.
 */
static bool is_proof(const struct region_slot *region, const struct detect *d)
{
    if (d->last_pass_ms == 0) {
        return false;
    }
    return region->prove ? d->state == DETECT_UP || d->state == DETECT_SUSPECT
                         : d->last_pass_sent_ms >= region->gated_ms;
}

static struct standing endpoint_standing(const struct group_endpoint *endpoint,
                                         const struct region_slot *region, uint64_t now_ms)
{
    struct standing s = { .up = true, .held = true, .proven = endpoint->probe_count > 0 };

    for (size_t i = 0; i < endpoint->probe_count; i++) {
        const struct detect *d = &endpoint->probes[i]->detect;
        s.up = s.up && d->state != DETECT_DOWN;
        s.held = s.held && (d->state != DETECT_DOWN || d->held);
        s.proven = s.proven && is_proof(region, d);
        s.short_ttl = s.short_ttl || detect_is_short_ttl(d, now_ms);
    }
    s.held = s.held && !s.up;
    return s;
}

static void store_word(_Atomic uint64_t *word, uint64_t value)
{
    if (atomic_load_explicit(word, memory_order_relaxed) != value) {
        atomic_store_explicit(word, value, memory_order_release);
    }
}

/* Recompute a group's words from its endpoints' probes. */
static void store_group(struct group_slot *group, uint64_t now_ms)
{
    uint64_t up[ADDR_FAMILIES] = { 0 }, held[ADDR_FAMILIES] = { 0 };
    uint64_t proven[ADDR_FAMILIES] = { 0 };
    uint32_t epoch = region_word(group->region) >> HEALTH_EPOCH_SHIFT;
    uint32_t flags = epoch << HEALTH_EPOCH_SHIFT;

    for (size_t i = 0; i < group->endpoint_count; i++) {
        const struct group_endpoint *e = &group->endpoints[i];
        struct standing s = endpoint_standing(e, group->region, now_ms);
        uint64_t bit = UINT64_C(1) << e->bit;
        unsigned family = e->address.family;
        up[family] |= s.up ? bit : 0;
        held[family] |= s.held ? bit : 0;
        proven[family] |= s.proven && (s.up || s.held) ? bit : 0;
        flags |= s.short_ttl ? HEALTH_GROUP_SUSPECT : 0;
    }
    uint32_t before = atomic_load_explicit(&group->words.flags, memory_order_relaxed);
    bool new_epoch = before >> HEALTH_EPOCH_SHIFT != epoch;
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        /* `up` first: who comes out of hold_down must never be seen in neither */
        store_word(&group->words.up[f], up[f]);
        store_word(&group->words.held[f], held[f]);
        if (new_epoch) {
            /* nothing of an older gate may be read under the new epoch */
            store_word(&group->words.proven[f], 0);
        }
    }
    if (before != flags) {
        atomic_store_explicit(&group->words.flags, flags, memory_order_release);
    }
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        store_word(&group->words.proven[f], proven[f]);
    }
}

/* Bring every word that leans on `probe` up to date. */
static void spread(struct health *health, struct probe_slot *probe, uint64_t now_ms)
{
    probe->short_ttl = detect_is_short_ttl(&probe->probe.detect, now_ms);
    for (size_t i = 0; i < probe->group_count; i++) {
        store_group(probe->groups[i], now_ms);
    }
    if (probe->region_count > 0) {
        store_regions(health, now_ms);
    }
}

void health_refresh(struct health *health, uint64_t now_ms)
{
    store_regions(health, now_ms);
    for (struct group_slot *g = health->groups; g != NULL; g = g->hh.next) {
        store_group(g, now_ms);
    }
    tell_regions(health, now_ms);
}

/* What decided, counted: failures in a row, or those that were silent too. */
static void count_evidence(const struct detect *d, const struct detect *before, uint64_t now_ms,
                           struct health_event *event)
{
    bool strong =
        d->strong_run >= d->timing.fall || (d->strong_run > 0 && d->state == DETECT_SUSPECT);

    event->failed = d->strong_run + (strong ? 0 : detect_silent_count(d, now_ms));
    event->needed = before->state == DETECT_UNKNOWN ? 1
                    : strong                        ? d->timing.fall
                                                    : d->timing.silent_fall;
}

static void tell_probe(struct health *health, const struct health_probe *probe,
                       const struct detect *before, uint64_t now_ms)
{
    const struct detect *d = &probe->detect;
    struct health_event event = {
        .kind = HEALTH_EVENT_PROBE,
        .name = probe->label,
        .from = detect_state_name(before),
        .to = detect_state_name(d),
        .reason = probe->reason,
        .since_last_pass_ms = d->last_pass_ms == 0 ? 0 : now_ms - d->last_pass_ms,
        .since_first_failure_ms = d->first_failure_ms == 0 ? 0 : now_ms - d->first_failure_ms,
    };

    count_evidence(d, before, now_ms, &event);
    health->listener(health->user, &event);
}

/* Publish what changed in a probe and tell about it. */
static void publish_probe(struct health *health, struct health_probe *probe,
                          const struct detect *before, uint64_t now_ms)
{
    struct probe_slot *slot = (struct probe_slot *)probe;

    if (probe->detect.state != DETECT_DOWN) {
        slot->down_by_canary = false;
    }
    spread(health, slot, now_ms);
    if (strcmp(detect_state_name(before), detect_state_name(&probe->detect)) != 0) {
        tell_probe(health, probe, before, now_ms);
    }
    tell_regions(health, now_ms);
}

uint32_t health_probe_sent(struct health *health, struct health_probe *probe, uint64_t now_ms)
{
    (void)health;
    probe->sent_count++;
    return detect_sent(&probe->detect, now_ms);
}

/* Do both probes ask for the same name, so that one bears witness for the other? */
static bool is_same_canary(const struct health_probe *a, const struct health_probe *b)
{
    return a->check.kind == MODEL_CHECK_DNS && b->check.kind == MODEL_CHECK_DNS &&
           a->check.query_type == b->check.query_type &&
           strcasecmp(a->check.query_name, b->check.query_name) == 0;
}

/* Does anything of `region` lean on this probe, the region itself or its endpoints? */
static bool is_of_region(const struct probe_slot *probe, const struct region_slot *region)
{
    for (size_t i = 0; i < probe->region_count; i++) {
        if (probe->regions[i] == region) {
            return true;
        }
    }
    for (size_t i = 0; i < probe->group_count; i++) {
        if (probe->groups[i]->region == region) {
            return true;
        }
    }
    return false;
}

/* Does `other` speak for a region that `mine` does not? */
static bool is_elsewhere(const struct probe_slot *other, const struct probe_slot *mine)
{
    for (size_t i = 0; i < other->region_count; i++) {
        if (!is_of_region(mine, other->regions[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < other->group_count; i++) {
        if (!is_of_region(mine, other->groups[i]->region)) {
            return true;
        }
    }
    return false;
}

/*
 * Does another region's probe of the same name pass, and has it with a probe
 * sent since this one first saw the name gone? Only then the name still exists.
 */
static bool has_witness(const struct health *health, const struct health_probe *probe)
{
    for (size_t i = 0; i < health->probe_count; i++) {
        const struct health_probe *other = &health->probes[i]->probe;
        const struct detect *d = &other->detect;
        if (other->used && other != probe && !other->misconfigured && d->state != DETECT_DOWN &&
            d->last_pass_ms != 0 && d->last_pass_sent_ms >= probe->misconfigured_since_ms &&
            is_same_canary(probe, other) &&
            is_elsewhere(health->probes[i], (const struct probe_slot *)probe)) {
            return true;
        }
    }
    return false;
}

static void tell_alert(struct health *health, const struct health_probe *probe)
{
    struct health_event event = {
        .kind = HEALTH_EVENT_ALERT,
        .name = probe->label,
        .from = probe->misconfigured ? "configured" : "misconfigured",
        .to = probe->misconfigured ? "misconfigured" : "configured",
        .reason = probe->reason,
    };

    health->listener(health->user, &event);
}

/*
 * A canary that is not there: strong evidence only when it passed within the
 * hour before it vanished and another region still has it; otherwise it proves
 * nothing. The hour does not run on, for age alone changes no verdict.
 */
static enum detect_outcome weigh_misconfigured(struct health *health, struct health_probe *probe,
                                               uint64_t now_ms)
{
    struct detect *d = &probe->detect;

    if (!probe->misconfigured) {
        probe->misconfigured = true;
        probe->misconfigured_since_ms = now_ms;
        tell_alert(health, probe);
    }
    bool passed =
        d->last_pass_ms != 0 && probe->misconfigured_since_ms - d->last_pass_ms < CANARY_MEMORY_MS;
    if (passed && has_witness(health, probe)) {
        return DETECT_STRONG;
    }
    return DETECT_NEUTRAL;
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

/* Before a result is weighed: what people are shown of it. */
static void note_result(struct health *health, struct health_probe *probe,
                        enum detect_outcome outcome, bool misconfigured, const char *reason,
                        uint64_t now_ms)
{
    /* while it is down the failure is what matters, until it has risen */
    bool is_down = probe->detect.state == DETECT_DOWN && !probe->detect.held;
    bool is_failure = outcome == DETECT_STRONG || outcome == DETECT_SILENT || misconfigured;

    if (outcome == DETECT_VOID) {
        return; /* nothing came of it */
    }
    probe->last_result_ms = now_ms;
    probe->failed_count += is_failure && !misconfigured;
    if (is_failure || !is_down) {
        (void)snprintf(probe->reason, sizeof(probe->reason), "%s", reason);
    }
    if (outcome == DETECT_PASS && probe->misconfigured) {
        probe->misconfigured = false;
        tell_alert(health, probe);
    }
}

/* A pass since a gate proves the endpoint, though its state is as it was. */
static void prove_groups(const struct probe_slot *slot, uint64_t now_ms)
{
    for (size_t i = 0; i < slot->group_count; i++) {
        if ((region_word(slot->groups[i]->region) & HEALTH_REGION_GATED) != 0) {
            store_group(slot->groups[i], now_ms);
        }
    }
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
    note_result(health, probe, outcome, misconfigured, reason, now_ms);
    if (misconfigured) {
        outcome = weigh_misconfigured(health, probe, now_ms);
    }
    bool changed = detect_result(&probe->detect, number, outcome, now_ms);
    bool is_down = probe->detect.state == DETECT_DOWN && !probe->detect.held;
    if (changed) {
        if (is_down) {
            slot->down_by_canary = misconfigured;
        } else if (outcome != DETECT_VOID) {
            (void)snprintf(probe->reason, sizeof(probe->reason), "%s", reason);
        }
        publish_probe(health, probe, &before, now_ms);
    } else if (outcome == DETECT_PASS) {
        prove_groups(slot, now_ms);
    }
    if (misconfigured && outcome == DETECT_NEUTRAL) {
        absolve_canary(health, probe, now_ms);
    }
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
    if (probe->detect.state == DETECT_SUSPECT ||
        (probe->detect.state == DETECT_DOWN && !probe->detect.held)) {
        slot->down_by_canary = false;
        if (before.strong_run == 0) {
            (void)snprintf(probe->reason, sizeof(probe->reason), "no answer within %ums",
                           before.timing.timeout_ms);
        }
    }
    publish_probe(health, probe, &before, now_ms);
}

bool health_override(struct health *health, const char *region, uint32_t flag, bool on,
                     uint64_t now_ms)
{
    struct region_slot *slot = NULL;

    HASH_FIND_STR(health->regions, region, slot);
    if (slot == NULL) {
        return false;
    }
    slot->override = on ? slot->override | flag : slot->override & ~flag;
    store_regions(health, now_ms);
    tell_regions(health, now_ms);
    return true;
}

void health_view_region(const struct health *health, const struct health_binding *binding,
                        size_t region, struct health_region_view *out)
{
    const struct region_slot *slot = binding->regions[region];

    (void)health;
    memset(out, 0, sizeof(*out));
    out->name = slot->name;
    out->state = word_name(region_word(slot));
    out->lifted = slot->lifted;
    count_region(slot, &out->up, &out->held);
    out->total = (uint32_t)slot->probe_count;
    out->minimum = model_minimum_count(slot->minimum, out->total);
    out->since_ms = slot->since_ms;
    describe_region(slot, out->reason, sizeof(out->reason));
    out->probes = (const struct health_probe *const *)slot->probes;
    out->probe_count = slot->probe_count;
}

void health_view_endpoint(const struct health_binding *binding, size_t service, size_t pool,
                          size_t endpoint, struct health_endpoint_view *out)
{
    static const char *const names[] = { "up", "unknown", "suspect", "held", "down" };
    const struct group_endpoint *e = &binding->services[service].groups[pool]->endpoints[endpoint];
    size_t worst = 0;

    memset(out, 0, sizeof(*out));
    out->address = e->address;
    out->probes = (const struct health_probe *const *)e->probes;
    out->probe_count = e->probe_count;
    for (size_t i = 0; i < e->probe_count; i++) {
        const struct detect *d = &e->probes[i]->detect;
        size_t rank = d->state == DETECT_DOWN      ? (d->held ? 3u : 4u)
                      : d->state == DETECT_SUSPECT ? 2u
                      : d->state == DETECT_UNKNOWN ? 1u
                                                   : 0u;
        worst = rank > worst ? rank : worst;
        out->since_ms = d->since_ms > out->since_ms ? d->since_ms : out->since_ms;
    }
    out->state = e->probe_count == 0 ? "unchecked" : names[worst];
}
