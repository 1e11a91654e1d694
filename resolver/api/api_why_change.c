#include "resolver/api/api_why_inside.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "policy/overrides.h"
#include "resolver/api/api_status.h"
#include "resolver/hand.h"
#include "resolver/simulation.h"

/*
 * What would make it another answer. Where answers would go is found by the
 * very code that answers, on a copy of the service (see simulation.h).
 */

#define CHAIN_MOST 3 /* failures one after the other */
#define NO_ETA     UINT64_MAX

/* ---- other worlds ---- */

static void target_region(struct override *target, const char *region, enum override_kind kind)
{
    memset(target, 0, sizeof(*target));
    target->kind = kind;
    (void)snprintf(target->target, sizeof(target->target), "%s", region);
}

static void choose(const struct why *why, const struct why_choice *choice,
                   const struct override *targets, size_t count, struct steer_choice *out)
{
    const struct simulation simulation = { .targets = targets, .target_count = count };
    struct steer_client asker;

    (void)simulation_answer(why->view.snapshot, choice->service, &simulation, choice->main,
                            api_why_asker(why, &asker), out);
}

/* "tokyo answers (rung 1)" */
static void describe_choice(const struct steer_service *service, const struct steer_choice *choice,
                            struct text *out)
{
    uint64_t pools = api_why_pools_of(service, choice);
    const char *between = "";

    switch (choice->result) {
    case STEER_FALLBACK:
        text_put(out, "the fallback addresses answer (rung 6)");
        return;
    case STEER_NODATA:
        text_put(out, "there is nothing to answer with: NODATA");
        return;
    case STEER_SERVFAIL:
        text_put(out, "nothing is left: SERVFAIL");
        return;
    case STEER_ADDRESSES:
        break;
    }
    if (choice->rung == 6) {
        text_put(out, "nothing is up then; on_all_down answers with ");
    }
    for (uint64_t rest = pools; rest != 0; rest &= rest - 1) {
        text_printf(out, "%s%s", between, service->pools[__builtin_ctzll(rest)].region_name);
        between = ", ";
    }
    if (choice->rung == 6) {
        text_put(out, " (rung 6)");
    } else {
        text_printf(out, " answer%s (rung %u)", (pools & (pools - 1)) == 0 ? "s" : "",
                    choice->rung);
    }
}

/* ---- failures ---- */

static void put_failure(const struct why *why, const struct why_choice *choice,
                        const char *condition, const struct steer_choice *then)
{
    struct json_writer *json = why->view.json;
    struct text words = { 0 };

    text_printf(&words, "if %s: ", condition);
    describe_choice(choice->service, then, &words);
    json_writer_object_begin(json, NULL);
    json_writer_string(json, "if", condition);
    json_writer_string(json, "text", text_string(&words));
    json_writer_object_begin(json, "choice");
    api_status_put_choice(choice->service, choice->main, then, json);
    json_writer_object_end(json);
    json_writer_object_end(json);
    text_fini(&words);
}

/* The regions that answer now fail: first one, then what would answer instead, and so on. */
static void put_chain(const struct why *why, const struct why_choice *choice, uint32_t first,
                      size_t most)
{
    const struct steer_service *service = choice->service;
    struct override targets[CHAIN_MOST];
    struct text condition = { 0 };
    uint32_t pool = first;

    for (size_t count = 0; count < most; count++) {
        struct steer_choice then;
        const char *region = service->pools[pool].region_name;
        target_region(&targets[count], region, OVERRIDE_FORCE_DOWN);
        choose(why, choice, targets, count + 1, &then);
        text_printf(&condition, "%s%s", count == 0 ? "" : ", then ", region);
        struct text words = { 0 };
        text_printf(&words, "%s fail%s", text_string(&condition), count == 0 ? "s" : "");
        put_failure(why, choice, text_string(&words), &then);
        text_fini(&words);
        uint64_t pools = api_why_pools_of(service, &then);
        if (pools == 0 || (pools & (pools - 1)) != 0 || then.rung == 6) {
            break;
        }
        pool = (uint32_t)__builtin_ctzll(pools);
    }
    text_fini(&condition);
}

static void put_failures(const struct why *why, const struct why_choice *choice)
{
    bool is_one = (choice->pools & (choice->pools - 1)) == 0;

    if (choice->of[choice->main].rung == 6) {
        return; /* what answers now is not up, as far as is known */
    }
    for (uint64_t rest = choice->pools; rest != 0; rest &= rest - 1) {
        put_chain(why, choice, (uint32_t)__builtin_ctzll(rest), is_one ? CHAIN_MOST : 1);
    }
}

/* ---- what is in the way of a region that would answer ---- */

/* When something is over, as far as it is a matter of time alone. */
struct obstacle {
    struct text words;
    uint64_t eta_ms; /* NO_ETA: nobody knows */
};

static void add(struct obstacle *o, uint64_t eta_ms, const char *between)
{
    text_put(&o->words, o->words.length > 0 ? between : "");
    if (eta_ms == NO_ETA || o->eta_ms == NO_ETA) {
        o->eta_ms = NO_ETA;
    } else {
        o->eta_ms = eta_ms > o->eta_ms ? eta_ms : o->eta_ms;
    }
}

static void add_release(struct obstacle *o, const char *who, const char *target)
{
    text_printf(&o->words, "%s is released (", who);
    api_why_put_release(target, &o->words);
    text_put_char(&o->words, ')');
}

static void add_override(struct obstacle *o, const struct override *override)
{
    if (override == NULL) {
        return;
    }
    int64_t left_ms = override->until_s * 1000 - (int64_t)clock_wall_ms();
    if (override->until_s == 0) {
        add(o, NO_ETA, " and ");
        add_release(o, "it", override->target);
        return;
    }
    add(o, left_ms > 0 ? (uint64_t)left_ms : 0, " and ");
    text_printf(&o->words, "%s ends at ",
                override->scheduled ? "the maintenance" : "what was said by hand");
    api_health_put_time(override->until_s, &o->words);
    add_release(o, " or", override->target);
}

/* How far probes are from passing: the worst of them. */
struct recovery {
    bool any_down;
    bool any_held;
    uint64_t left_ms;      /* of hold_down */
    uint32_t hold_down_ms; /* that will follow */
};

static void look_at(const struct why *why, const struct health_probe *const *probes, size_t count,
                    struct recovery *out)
{
    for (size_t i = 0; i < count; i++) {
        const struct detect *d = &probes[i]->detect;
        if (d->state != DETECT_DOWN) {
            continue;
        }
        if (!d->held) {
            out->any_down = true;
            out->hold_down_ms =
                d->hold_now_ms > out->hold_down_ms ? d->hold_now_ms : out->hold_down_ms;
        } else {
            uint64_t now = why->view.now_ms;
            uint64_t left = d->hold_until_ms > now ? d->hold_until_ms - now : 0;
            out->any_held = true;
            out->left_ms = left > out->left_ms ? left : out->left_ms;
        }
    }
}

static void add_recovery(struct obstacle *o, const struct recovery *recovery, const char *what)
{
    if (recovery->any_down) {
        add(o, NO_ETA, " and ");
        text_printf(&o->words, "%s pass again and hold_down (", what);
        text_put_duration(&o->words, recovery->hold_down_ms);
        text_put(&o->words, ") is over");
    } else if (recovery->any_held) {
        add(o, recovery->left_ms, " and ");
        text_printf(&o->words, "hold_down of %s ends in ", what);
        text_put_duration(&o->words, recovery->left_ms);
    }
}

static void find_region(const struct why *why, size_t region, struct obstacle *o)
{
    struct recovery recovery = { 0 };
    struct health_region_view shown;

    health_view_region(why->view.health, why->view.snapshot->binding, region, &shown);
    if (strcmp(shown.state, "gated") != 0 && strcmp(shown.state, "held") != 0) {
        return;
    }
    look_at(why, shown.probes, shown.probe_count, &recovery);
    add_recovery(o, &recovery, "the region's checks");
    if (!recovery.any_down && !recovery.any_held) {
        add(o, NO_ETA, " and ");
        text_printf(&o->words, "%u of the region's %u checks pass", shown.minimum, shown.total);
    }
}

/* How its endpoints stand; what fails of a condition may be the state of somebody else. */
static void find_endpoints(const struct why *why, const struct steer_service *service,
                           uint32_t pool, struct obstacle *o)
{
    const struct health_binding *binding = why->view.snapshot->binding;
    size_t count = health_group_size(binding, service->index, pool);
    struct recovery recovery = { 0 };
    size_t away = 0;
    bool has_condition = false;

    for (size_t i = 0; i < count; i++) {
        struct health_endpoint_view endpoint;
        health_view_endpoint(binding, service->index, pool, i, &endpoint);
        if (strcmp(endpoint.state, "forced down") == 0) {
            add_override(o, api_health_override_of(&why->view, &endpoint.address));
        }
        if (strcmp(endpoint.state, "down") != 0 && strcmp(endpoint.state, "held") != 0) {
            continue;
        }
        away++;
        look_at(why, endpoint.probes, endpoint.probe_count, &recovery);
        if (endpoint.failing[0] != '\0' && !has_condition) {
            has_condition = true; /* the others' is the same, and mostly for the same cause */
            add(o, NO_ETA, " and ");
            text_printf(&o->words, "its condition holds again (now: %s)", endpoint.failing);
        }
    }
    add_recovery(o, &recovery, "its endpoints");
    if (away > 0 && o->words.length == 0) {
        add(o, NO_ETA, " and ");
        text_printf(&o->words, "more of its endpoints are up (%zu of %zu are not)", away, count);
    }
}

static void find_obstacles(const struct why *why, const struct steer_service *service,
                           uint32_t pool, struct obstacle *o)
{
    const struct steer_pool *p = &service->pools[pool];
    const struct hand *hand = control_hand(why->view.control);

    add_override(o, hand_of_region(hand, p->region_name));
    add_override(o, hand_of_pool(hand, p->region_name, service->name));
    if (steer_has_hand(service, pool, STEER_HAND_PARKED)) {
        char target[OVERRIDE_TARGET_MAX];
        (void)snprintf(target, sizeof(target), "%s/%s", p->region_name, service->name);
        add(o, NO_ETA, " and ");
        add_release(o, "it", target);
    }
    find_region(why, p->region_index, o);
    find_endpoints(why, service, pool, o);
}

static void put_return(const struct why *why, const struct why_choice *choice, uint32_t pool,
                       const struct steer_choice *then)
{
    const char *region = choice->service->pools[pool].region_name;
    struct json_writer *json = why->view.json;
    struct obstacle o = { .eta_ms = 0 };
    struct text words = { 0 };

    find_obstacles(why, choice->service, pool, &o);
    if (o.words.length == 0) {
        return; /* nothing is in its way: it has come back already and ramps, or others are drawn */
    }
    describe_choice(choice->service, then, &words);
    text_printf(&words, " when %s", text_string(&o.words));
    json_writer_object_begin(json, NULL);
    json_writer_string(json, "when", region);
    json_writer_string(json, "text", text_string(&words));
    if (o.eta_ms != NO_ETA) {
        json_writer_uint(json, "in_ms", o.eta_ms);
    } else {
        json_writer_null(json, "in_ms");
    }
    json_writer_object_begin(json, "choice");
    api_status_put_choice(choice->service, choice->main, then, json);
    json_writer_object_end(json);
    json_writer_object_end(json);
    text_fini(&o.words);
    text_fini(&words);
}

/* Regions that would answer, were they well. */
static void put_returns(const struct why *why, const struct why_choice *choice)
{
    const struct steer_service *service = choice->service;

    for (uint32_t pool = 0; pool < service->pool_count; pool++) {
        struct override target;
        struct steer_choice then;
        if ((choice->pools >> pool & 1) != 0 && choice->of[choice->main].rung == 1) {
            continue;
        }
        target_region(&target, service->pools[pool].region_name, OVERRIDE_FORCE_UP);
        choose(why, choice, &target, 1, &then);
        if ((api_why_pools_of(service, &then) >> pool & 1) != 0) {
            put_return(why, choice, pool, &then);
        }
    }
}

/* ---- time ---- */

static void put_sentence(struct json_writer *json, const char *when, uint64_t in_ms,
                         const struct text *words)
{
    json_writer_object_begin(json, NULL);
    json_writer_string(json, "when", when);
    json_writer_string(json, "text", text_string(words));
    json_writer_uint(json, "in_ms", in_ms);
    json_writer_object_end(json);
}

/* Regions that take their share little by little. */
static void put_ramps(const struct why *why, const struct why_choice *choice)
{
    const struct steer_service *service = choice->service;
    uint64_t ramp_ms = why->view.snapshot->model->services[service->index].ramp_ms;

    for (uint32_t i = 0; i < service->pool_count; i++) {
        const struct health_group *group = service->pools[i].group;
        uint32_t flags = atomic_load_explicit(&group->flags, memory_order_relaxed);
        uint64_t ramp = atomic_load_explicit(&group->ramp, memory_order_relaxed);
        if ((flags & HEALTH_GROUP_RAMPING) == 0 || ramp > 65536) {
            continue;
        }
        struct text words = { 0 };
        uint64_t left_ms = ramp_ms * (65536 - ramp) / 65536;
        text_printf(&words, "%s ramps: it takes %u%% of its answers by now, all of them in ",
                    service->pools[i].region_name, (unsigned)(ramp * 100 / 65536));
        text_put_duration(&words, left_ms);
        put_sentence(why->view.json, service->pools[i].region_name, left_ms, &words);
        text_fini(&words);
    }
}

void api_why_put_changes(const struct why *why, const struct why_choice *choice)
{
    json_writer_list_begin(why->view.json, "would_change");
    put_returns(why, choice);
    put_ramps(why, choice);
    put_failures(why, choice);
    json_writer_list_end(why->view.json);
}
