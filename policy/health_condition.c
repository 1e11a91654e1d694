#include "policy/health_condition.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/text.h"
#include "policy/health_hand.h"
#include "policy/health_isolation.h"
#include "policy/health_suppose.h"

#define PROPERTIES 7

struct health_condition {
    enum model_condition_kind kind;
    uint32_t index;             /* CHECK */
    uint32_t needed;            /* AT_LEAST */
    char *name;                 /* SERVICE: its name */
    struct region_slot *region; /* REGION */
    struct group_slot **groups; /* SERVICE: its pools, kept */
    size_t group_count;
    struct health_condition *parts;
    size_t part_count;
};

/* ---- one probe ---- */

enum probe_standing health_condition_probe(const struct health *health,
                                           const struct probe_slot *probe)
{
    const struct detect *d = &probe->probe.detect;

    if (d->state == DETECT_UNKNOWN) {
        return probe->restored;
    }
    if (d->state != DETECT_DOWN) {
        return PROBE_UP;
    }
    if (d->held) {
        return PROBE_HELD;
    }
    return health_isolation_excuses(health, probe) ? probe->stood : PROBE_DOWN;
}

/*
 * Does this probe prove its endpoint while the region is gated? By a pass sent
 * since; where the region proves itself, by passing as ever, so that the gate
 * alone moves nothing.
 */
static bool is_proof(const struct region_slot *region, const struct detect *d,
                     enum probe_standing standing)
{
    bool has_passed = d->last_pass_ms != 0;

    if (region->prove) { /* up without a result: the file says so */
        return standing == PROBE_UP && (has_passed || d->state == DETECT_UNKNOWN);
    }
    return has_passed && d->last_pass_sent_ms >= region->gated_ms;
}

/* It lived, and nothing but silence speaks against it. */
static bool is_spared(const struct probe_slot *probe)
{
    const struct detect *d = &probe->probe.detect;

    return d->silently && d->last_pass_ms != 0;
}

unsigned health_condition_check(const struct health *health, const struct probe_slot *probe,
                                const struct region_slot *region, uint64_t now_ms)
{
    const struct detect *d = &probe->probe.detect;
    enum probe_standing standing = health_condition_probe(health, probe);
    bool is_restored = d->state == DETECT_UNKNOWN && standing != PROBE_UNKNOWN;
    unsigned out = is_proof(region, d, standing) ? STANDING_PROVEN : 0;

    switch (standing) {
    case PROBE_UP:
        out |= STANDING_SURE;
        /* fall through */
    case PROBE_UNKNOWN:
        out |= STANDING_UP | STANDING_RISEN | STANDING_SPARED;
        out |= d->degraded ? 0 : STANDING_WELL;
        out |= is_restored || !detect_is_short_ttl(d, now_ms) ? STANDING_CALM : 0;
        break;
    case PROBE_HELD:
        out |= STANDING_RISEN;
        out |= is_spared(probe) ? STANDING_SPARED : 0;
        break;
    case PROBE_DOWN:
        out |= is_spared(probe) ? STANDING_SPARED : 0;
        break;
    }
    return out;
}

/* ---- the tree ---- */

static uint32_t region_away(const struct region_slot *region)
{
    uint32_t word = atomic_load_explicit(&region->words.word, memory_order_relaxed);

    return word & HEALTH_REGION_AWAY;
}

static unsigned region_standing(const struct region_slot *region)
{
    uint32_t away = region_away(region);

    if (away == 0) {
        return STANDING_ALL;
    }
    return away == HEALTH_REGION_HELD ? STANDING_RISEN | STANDING_PROVEN : 0;
}

static unsigned count_barred(const struct health_group *words)
{
    unsigned count = 0;

    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        uint64_t barred = atomic_load_explicit(&words->barred[f], memory_order_relaxed);
        count += (unsigned)__builtin_popcountll(barred);
    }
    return count;
}

/* What is said of the pool, laid over its region's word: force, then drain, as answers have it. */
static uint32_t with_hand(uint32_t region_word, uint32_t said)
{
    if ((region_word & HEALTH_REGION_FORCED_UP) != 0) {
        said &= ~(uint32_t)HEALTH_REGION_DRAINED;
    }
    return region_word | (said & (HEALTH_REGION_DRAINED | HEALTH_REGION_FORCED_DOWN));
}

bool health_condition_stands(uint32_t region_word, uint32_t said, size_t endpoint_count,
                             const struct health_group *words)
{
    if ((said & HEALTH_REGION_FORCED_UP) != 0) {
        return (region_word & HEALTH_REGION_FORCED_DOWN) == 0 &&
               endpoint_count > count_barred(words);
    }
    region_word = with_hand(region_word, said);
    uint32_t away = region_word & HEALTH_REGION_AWAY & ~(uint32_t)HEALTH_REGION_HELD;
    bool proves = (region_word & HEALTH_REGION_PROVE) != 0;
    unsigned count = 0;

    if (away != 0 && (away != HEALTH_REGION_GATED || !proves)) {
        return false;
    }
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        uint64_t bits = atomic_load_explicit(&words->up[f], memory_order_relaxed);
        bits &=
            away == 0 ? UINT64_MAX : atomic_load_explicit(&words->proven[f], memory_order_relaxed);
        bits |= away == 0 ? atomic_load_explicit(&words->held[f], memory_order_relaxed) : 0;
        count += (unsigned)__builtin_popcountll(bits);
    }
    return count >= words->minimum;
}

static unsigned service_standing(const struct health *health,
                                 const struct health_condition *condition)
{
    for (size_t i = 0; i < condition->group_count; i++) {
        const struct group_slot *group = condition->groups[i];
        uint32_t word = atomic_load_explicit(&group->region->words.word, memory_order_relaxed);
        uint32_t said = health_hand_pool(health, group->region->name, condition->name);
        if (health_condition_stands(word, said, group->endpoint_count, &group->words)) {
            return STANDING_ALL;
        }
    }
    return 0;
}

/* Holds when the part does not: surely down is up, and what may be down may be up. */
static unsigned opposite(unsigned part)
{
    unsigned out = 0;

    if ((part & STANDING_SURE) == 0) {
        out |= STANDING_UP | STANDING_RISEN | STANDING_WELL | STANDING_SPARED;
    }
    if ((part & STANDING_UP) == 0) {
        out |= STANDING_SURE | STANDING_CALM | STANDING_PROVEN;
    }
    return out;
}

/* What is being judged. */
struct subject {
    const struct health *health;
    const struct group_slot *group;
    const struct group_endpoint *endpoint;
    uint64_t now_ms;
    const struct health_supposition *supposed; /* NULL: things are as they are */
};

static unsigned judge(const struct subject *s, const struct health_condition *condition);

static unsigned at_least(const struct subject *s, const struct health_condition *condition)
{
    uint32_t counts[PROPERTIES] = { 0 };
    unsigned out = 0;

    for (size_t i = 0; i < condition->part_count; i++) {
        unsigned part = judge(s, &condition->parts[i]);
        for (unsigned p = 0; p < PROPERTIES; p++) {
            counts[p] += (part >> p) & 1;
        }
    }
    for (unsigned p = 0; p < PROPERTIES; p++) {
        out |= counts[p] >= condition->needed ? 1u << p : 0;
    }
    return out;
}

static unsigned judge_region(const struct subject *s, const struct health_condition *condition)
{
    enum health_supposed how = s->supposed == NULL
                                   ? HEALTH_SUPPOSED_AS_IT_IS
                                   : s->supposed->region(s->supposed->user, condition->index);

    if (how == HEALTH_SUPPOSED_AS_IT_IS) {
        return region_standing(condition->region);
    }
    return how == HEALTH_SUPPOSED_IN ? STANDING_ALL : 0;
}

static unsigned judge_service(const struct subject *s, const struct health_condition *condition)
{
    if (s->supposed == NULL) {
        return service_standing(s->health, condition);
    }
    return s->supposed->service(s->supposed->user, condition->index) ? STANDING_ALL : 0;
}

static unsigned judge(const struct subject *s, const struct health_condition *condition)
{
    switch (condition->kind) {
    case MODEL_CONDITION_CHECK:
        return health_condition_check(
            s->health, (const struct probe_slot *)s->endpoint->probes[condition->index],
            s->group->region, s->now_ms);
    case MODEL_CONDITION_REGION:
        return judge_region(s, condition);
    case MODEL_CONDITION_SERVICE:
        return judge_service(s, condition);
    case MODEL_CONDITION_NOT:
        return opposite(judge(s, &condition->parts[0]));
    case MODEL_CONDITION_AT_LEAST:
        return at_least(s, condition);
    }
    return 0;
}

/* All must pass; an endpoint without checks is up and proves nothing. */
static unsigned all_checks(const struct subject *s)
{
    unsigned out = s->endpoint->probe_count > 0 ? STANDING_ALL : STANDING_ALL & ~STANDING_PROVEN;

    for (size_t i = 0; i < s->endpoint->probe_count; i++) {
        out &= health_condition_check(s->health, (const struct probe_slot *)s->endpoint->probes[i],
                                      s->group->region, s->now_ms);
    }
    return out;
}

unsigned health_condition_suppose(const struct health *health, const struct group_slot *group,
                                  const struct group_endpoint *endpoint,
                                  const struct health_supposition *supposed, uint64_t now_ms)
{
    const struct subject s = { health, group, endpoint, now_ms, supposed };

    if (endpoint->force != HEALTH_FORCE_NONE) {
        return endpoint->force == HEALTH_FORCE_UP ? STANDING_ALL : 0;
    }
    return group->condition == NULL ? all_checks(&s) : judge(&s, group->condition);
}

unsigned health_condition_endpoint(const struct health *health, const struct group_slot *group,
                                   const struct group_endpoint *endpoint, uint64_t now_ms)
{
    return health_condition_suppose(health, group, endpoint, NULL, now_ms);
}

static uint64_t newer(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t health_condition_since(const struct health_condition *condition,
                                const struct group_endpoint *endpoint)
{
    uint64_t since_ms = 0;

    if (condition->kind == MODEL_CONDITION_CHECK) {
        since_ms = endpoint->probes[condition->index]->detect.since_ms;
    } else if (condition->region != NULL) {
        since_ms = condition->region->since_ms;
    }
    for (size_t i = 0; i < condition->group_count; i++) {
        const struct group_slot *group = condition->groups[i];
        since_ms = newer(since_ms, newer(group->left_ms, group->region->since_ms));
    }
    for (size_t i = 0; i < condition->part_count; i++) {
        since_ms = newer(since_ms, health_condition_since(&condition->parts[i], endpoint));
    }
    return since_ms;
}

bool health_condition_asks_others(const struct health_condition *condition)
{
    if (condition->kind == MODEL_CONDITION_REGION || condition->kind == MODEL_CONDITION_SERVICE) {
        return true;
    }
    for (size_t i = 0; i < condition->part_count; i++) {
        if (health_condition_asks_others(&condition->parts[i])) {
            return true;
        }
    }
    return false;
}

/* ---- making ---- */

static void fill(struct health_condition *out, struct health_binding *binding,
                 const struct model *model, const struct model_condition *from)
{
    out->kind = from->kind;
    out->index = from->index;
    out->needed = from->needed;
    if (from->kind == MODEL_CONDITION_REGION) {
        out->region = binding->regions[from->index];
    } else if (from->kind == MODEL_CONDITION_SERVICE) {
        const struct service_binding *service = &binding->services[from->index];
        out->name = health_table_copy(model->services[from->index].name);
        out->group_count = service->group_count;
        out->groups = health_table_get(service->group_count, sizeof(struct group_slot *));
        for (size_t i = 0; i < service->group_count; i++) {
            out->groups[i] = service->groups[i];
            health_binding_keep(out->groups[i]);
        }
    }
    REQUIRE(from->kind != MODEL_CONDITION_NOT || from->part_count == 1);
    out->part_count = from->part_count;
    out->parts = health_table_get(from->part_count, sizeof(*out->parts));
    for (size_t i = 0; i < from->part_count; i++) {
        fill(&out->parts[i], binding, model, &from->parts[i]);
    }
}

struct health_condition *health_condition_new(struct health_binding *binding,
                                              const struct model *model,
                                              const struct model_condition *from)
{
    struct health_condition *condition = health_table_get(1, sizeof(*condition));

    fill(condition, binding, model, from);
    return condition;
}

static void clear(struct health *health, struct health_condition *condition)
{
    for (size_t i = 0; i < condition->group_count; i++) {
        health_binding_drop(health, condition->groups[i]);
    }
    for (size_t i = 0; i < condition->part_count; i++) {
        clear(health, &condition->parts[i]);
    }
    free(condition->groups);
    free(condition->parts);
    free(condition->name);
}

void health_condition_free(struct health *health, struct health_condition *condition)
{
    if (condition != NULL) {
        clear(health, condition);
        free(condition);
    }
}

uint32_t health_condition_wants(const struct health_binding *binding,
                                const struct model_condition *from)
{
    if (from->kind == MODEL_CONDITION_SERVICE && binding->services[from->index].groups == NULL) {
        return from->index;
    }
    for (size_t i = 0; i < from->part_count; i++) {
        uint32_t wanted = health_condition_wants(binding, &from->parts[i]);
        if (wanted != MODEL_NONE) {
            return wanted;
        }
    }
    return MODEL_NONE;
}

void health_condition_key(const struct health_condition *condition, struct text *key)
{
    text_printf(key, "(%d,%u,%u", (int)condition->kind, condition->index, condition->needed);
    if (condition->region != NULL) {
        text_printf(key, ",%s", condition->region->name);
    }
    for (size_t i = 0; i < condition->group_count; i++) {
        text_printf(key, ",%llu", (unsigned long long)condition->groups[i]->id);
    }
    for (size_t i = 0; i < condition->part_count; i++) {
        health_condition_key(&condition->parts[i], key);
    }
    text_put_char(key, ')');
}

static void link_region(struct region_slot *region, struct group_slot *group)
{
    health_table_link((void ***)(void *)&region->dependents, &region->dependent_count, group);
}

static void unlink_region(struct region_slot *region, struct group_slot *group)
{
    health_table_unlink((void **)region->dependents, &region->dependent_count, group);
}

void health_condition_link(const struct health_condition *condition, struct group_slot *group)
{
    if (condition->region != NULL) {
        link_region(condition->region, group);
    }
    for (size_t i = 0; i < condition->group_count; i++) {
        struct group_slot *on = condition->groups[i];
        health_table_link((void ***)(void *)&on->dependents, &on->dependent_count, group);
        link_region(on->region, group);
    }
    for (size_t i = 0; i < condition->part_count; i++) {
        health_condition_link(&condition->parts[i], group);
    }
}

void health_condition_unlink(const struct health_condition *condition, struct group_slot *group)
{
    if (condition->region != NULL) {
        unlink_region(condition->region, group);
    }
    for (size_t i = 0; i < condition->group_count; i++) {
        struct group_slot *on = condition->groups[i];
        health_table_unlink((void **)on->dependents, &on->dependent_count, group);
        unlink_region(on->region, group);
    }
    for (size_t i = 0; i < condition->part_count; i++) {
        health_condition_unlink(&condition->parts[i], group);
    }
}

/* ---- for people ---- */

static void explain_leaf(const struct subject *s, const struct health_condition *condition,
                         bool wanted, struct text *out)
{
    const char *is = wanted ? "is not" : "is";

    if (out->length > 0) {
        text_put(out, "; ");
    }
    if (condition->kind == MODEL_CONDITION_CHECK) {
        text_printf(out, "%s %s", s->endpoint->probes[condition->index]->label,
                    wanted ? "does not pass" : "passes");
    } else if (condition->kind == MODEL_CONDITION_REGION) {
        text_printf(out, "region %s %s in", condition->region->name, is);
    } else {
        text_printf(out, "service %s %s healthy", condition->name, is);
    }
}

/* The leaves because of which this does not come out as `wanted`. */
static void explain(const struct subject *s, const struct health_condition *condition, bool wanted,
                    struct text *out)
{
    if (((judge(s, condition) & STANDING_UP) != 0) == wanted) {
        return;
    }
    if (condition->kind == MODEL_CONDITION_NOT) {
        explain(s, &condition->parts[0], !wanted, out);
    } else if (condition->kind != MODEL_CONDITION_AT_LEAST) {
        explain_leaf(s, condition, wanted, out);
        return;
    }
    for (size_t i = 0; i < condition->part_count && condition->kind == MODEL_CONDITION_AT_LEAST;
         i++) {
        explain(s, &condition->parts[i], wanted, out);
    }
}

void health_condition_explain(const struct health *health, const struct group_slot *group,
                              const struct group_endpoint *endpoint, uint64_t now_ms, char *out,
                              size_t cap)
{
    const struct subject s = { health, group, endpoint, now_ms, NULL };
    struct text text = { 0 };

    if (group->condition != NULL) {
        explain(&s, group->condition, true, &text);
    }
    (void)snprintf(out, cap, "%s", text_string(&text));
    text_fini(&text);
}
