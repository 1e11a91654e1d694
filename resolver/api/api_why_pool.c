#include "resolver/api/api_why_inside.h"

#include <stdio.h>
#include <string.h>

#include "policy/overrides.h"
#include "resolver/api/api_service.h"
#include "resolver/hand.h"

/* ---- what is not well ---- */

void api_why_put_release(const char *target, struct text *out)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_./:@%+,";

    if (target[strspn(target, plain)] == '\0') {
        text_printf(out, "`leeward release %s`", target);
        return;
    }
    text_put(out, "`leeward release '");
    for (const char *at = target; *at != '\0'; at++) {
        if (*at == '\'') {
            text_put(out, "'\\''");
        } else {
            text_put_char(out, *at);
        }
    }
    text_put(out, "'`");
}

static void put_age(const struct why *why, uint64_t since_ms, struct text *out)
{
    text_put_duration(out, api_health_age_ms(&why->view, since_ms));
}

/* ", by seoul http 203.0.113.10:8080/healthz: status 500 (9 failures in a row, 3 are enough)" */
static void put_check(const struct why *why, const struct health_probe *probe, struct text *out)
{
    struct text evidence = { 0 };

    text_printf(out, "%s: %s", probe->label, probe->reason);
    api_health_describe_evidence(probe, why->view.now_ms, &evidence);
    if (evidence.length > 0) {
        text_printf(out, " (%s)", text_string(&evidence));
    }
    text_fini(&evidence);
}

static void note_override(const char *target, const struct override *override, struct text *out)
{
    if (override != NULL) {
        text_printf(out, "%s is ", target);
        api_health_describe_override(override, out);
        text_put_char(out, '\n');
    }
}

/* The region itself, where it is anything but simply in. */
static void note_region(const struct why *why, const struct steer_pool *pool, struct text *out)
{
    const struct snapshot *snapshot = why->view.snapshot;
    struct health_region_view shown;

    health_view_region(why->view.health, snapshot->binding, pool->region_index, &shown);
    note_override(shown.name, hand_of_region(control_hand(why->view.control), shown.name), out);
    if (strcmp(shown.state, "in") == 0 && !shown.lifted) {
        return;
    }
    text_printf(out, "region %s is %s for ", shown.name, shown.state);
    put_age(why, shown.since_ms, out);
    text_printf(out, "; %u of %u of its checks pass, minimum_healthy %u%s\n", shown.up, shown.total,
                shown.minimum, shown.lifted ? ", not gated because of minimum_regions" : "");
    for (size_t i = 0; i < shown.probe_count; i++) {
        if (api_health_is_telling(shown.probes[i])) {
            text_put(out, "by ");
            put_check(why, shown.probes[i], out);
            text_put_char(out, '\n');
        }
    }
}

/* What lies over the pool: hand, failback, ramp, cascade window, minimum. */
static void note_pool(const struct why *why, const struct steer_service *service, uint32_t pool,
                      struct text *out)
{
    const struct steer_pool *p = &service->pools[pool];
    uint32_t flags = atomic_load_explicit(&p->group->flags, memory_order_relaxed);
    unsigned up = 0;

    if (steer_has_hand(service, pool, STEER_HAND_DRAINED) ||
        steer_has_hand(service, pool, STEER_HAND_FORCED_DOWN) ||
        steer_has_hand(service, pool, STEER_HAND_FORCED_UP)) {
        note_override("it",
                      hand_of_pool(control_hand(why->view.control), p->region_name, service->name),
                      out);
    }
    if (steer_has_hand(service, pool, STEER_HAND_PARKED)) {
        char target[OVERRIDE_TARGET_MAX];
        (void)snprintf(target, sizeof(target), "%s/%s", p->region_name, service->name);
        text_put(out, "it is second choice and waits to be released (failback: manual): ");
        api_why_put_release(target, out);
        text_put_char(out, '\n');
    }
    if ((flags & HEALTH_GROUP_RAMPING) != 0) {
        uint32_t ramp = atomic_load_explicit(&p->group->ramp, memory_order_relaxed);
        text_printf(out, "it has just come back and takes %u%% of its answers by now (ramp)\n",
                    (unsigned)((uint64_t)ramp * 100 >> 16));
    }
    if ((flags & HEALTH_GROUP_SHARED) != 0) {
        text_put(out, "its endpoints fell silent just after another region left: it shares its "
                      "answers with the next one (cascade_window)\n");
    }
    for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
        up += (unsigned)__builtin_popcountll(
            atomic_load_explicit(&p->group->up[f], memory_order_relaxed));
    }
    if (up < p->group->minimum) {
        text_printf(out, "%u of its endpoints are up, minimum_healthy %u\n", up, p->group->minimum);
    }
}

static void note_endpoint(const struct why *why, const struct steer_service *service, uint32_t pool,
                          size_t endpoint, struct text *out)
{
    struct health_endpoint_view shown;
    char address[ADDR_TEXT_MAX];
    const char *between = ", by ";

    health_view_endpoint(why->view.snapshot->binding, service->index, pool, endpoint, &shown);
    if (strcmp(shown.state, "up") == 0 || strcmp(shown.state, "unchecked") == 0) {
        return;
    }
    api_health_format(&shown.address, address, sizeof(address));
    if (strncmp(shown.state, "forced", 6) == 0) {
        note_override(address, api_health_override_of(&why->view, &shown.address), out);
        return;
    }
    text_printf(out, "%s is %s for ", address, shown.state);
    put_age(why, shown.since_ms, out);
    if (shown.failing[0] != '\0') {
        text_printf(out, ", fails %s", shown.failing);
    }
    for (size_t i = 0; i < shown.probe_count; i++) {
        if (api_health_is_telling(shown.probes[i])) {
            text_put(out, between);
            put_check(why, shown.probes[i], out);
            between = "; ";
        }
    }
    text_put_char(out, '\n');
}

/* ---- the list ---- */

static void put_pool(const struct why *why, const struct why_choice *choice, uint32_t pool)
{
    const struct steer_service *service = choice->service;
    struct json_writer *json = why->view.json;
    struct text notes = { 0 };
    bool used = (choice->pools >> pool & 1) != 0;
    size_t count = health_group_size(why->view.snapshot->binding, service->index, pool);

    note_region(why, &service->pools[pool], &notes);
    note_pool(why, service, pool, &notes);
    for (size_t i = 0; i < count; i++) {
        note_endpoint(why, service, pool, i, &notes);
    }
    json_writer_object_begin(json, NULL);
    api_service_put_pool_members(&why->view, service, pool, true);
    json_writer_bool(json, "used", used);
    api_why_put_lines(json, "notes", &notes);
    json_writer_object_end(json);
    text_fini(&notes);
}

void api_why_put_pools(const struct why *why, const struct why_choice *choice)
{
    json_writer_list_begin(why->view.json, "pools");
    for (uint32_t pool = 0; pool < choice->service->pool_count; pool++) {
        put_pool(why, choice, pool);
    }
    json_writer_list_end(why->view.json);
}
