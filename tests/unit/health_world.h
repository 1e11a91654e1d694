#pragma once
/*
 * health_world - a model by hand and the health table of it
 *
 * Regions with a canary each, and services on them. Results are given to the
 * probes directly; time is a number. cmocka is included before.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "policy/health.h"

#define START_MS 5000000u
#define REGIONS  3
#define EVENTS   256

static const struct model_timing timing = {
    .interval_ms = 1000,
    .timeout_ms = 500,
    .confirm_interval_ms = 50,
    .fall = 3,
    .silent_fall = 10,
    .rise = 2,
    .hold_down_ms = 10000,
    .hold_down_max_ms = 300000,
    .jitter_percent = 10,
};

struct told {
    enum health_event_kind kind;
    char name[160], target[160], from[32], to[32], reason[240];
    uint32_t failed, needed, sum, threshold;
};

struct world {
    struct health *health;
    struct health_binding *binding;
    struct told told[EVENTS];
    size_t told_count;
    uint64_t now_ms;
    struct model model;
    struct model_region regions[REGIONS];
    struct model_check canaries[REGIONS][4];
    struct model_service services[8];
    struct model_pool pools[8][REGIONS];
    struct model_endpoint endpoints[8][REGIONS][8];
    struct model_check web;
};

static const char *const names[REGIONS] = { "seoul", "tokyo", "singapore" };

static inline struct addr address(const char *text, uint16_t port)
{
    struct addr out;
    struct error err;

    assert_int_equal(addr_parse(text, port, &out, &err), 0);
    return out;
}

static inline void on_event(void *user, const struct health_event *event)
{
    struct world *w = user;

    assert_true(w->told_count < EVENTS);
    struct told *told = &w->told[w->told_count++];
    told->kind = event->kind;
    (void)snprintf(told->name, sizeof(told->name), "%s", event->name);
    (void)snprintf(told->target, sizeof(told->target), "%s", event->target);
    (void)snprintf(told->from, sizeof(told->from), "%s", event->from);
    (void)snprintf(told->to, sizeof(told->to), "%s", event->to);
    (void)snprintf(told->reason, sizeof(told->reason), "%s", event->reason);
    told->failed = event->failed;
    told->needed = event->needed;
    told->sum = event->sum;
    told->threshold = event->threshold;
}

/* ---- the model ---- */

static inline void add_canary(struct world *w, unsigned region, const char *server)
{
    struct model_region *r = &w->regions[region];

    w->canaries[region][r->check_count] = (struct model_check){
        .kind = MODEL_CHECK_DNS,
        .timing = timing,
        .has_server = true,
        .server = address(server, 53),
        .port = 53,
        .query_name = "canary.corp.example",
        .query_type = 1,
    };
    r->checks = w->canaries[region];
    r->check_count++;
}

/* Regions with one canary each, minimum_healthy 1, and no services. */
static inline void set_up_model(struct world *w)
{
    static const char *const servers[REGIONS] = { "10.1.0.2", "10.2.0.2", "10.3.0.2" };

    memset(w, 0, sizeof(*w));
    w->now_ms = START_MS;
    w->model.regions = w->regions;
    w->model.region_count = REGIONS;
    w->model.services = w->services;
    w->model.guards.minimum_regions = 1;
    for (unsigned i = 0; i < REGIONS; i++) {
        w->regions[i].name = names[i];
        w->regions[i].minimum_healthy.value = 1;
        add_canary(w, i, servers[i]);
    }
    w->web = (struct model_check){
        .kind = MODEL_CHECK_HTTP,
        .timing = timing,
        .port = 8080,
        .path = "/healthz",
        .host = "api.svc.example.com",
    };
}

/* A service checked by `web`, without endpoints yet. Returns its number. */
static inline unsigned add_service(struct world *w, uint32_t minimum)
{
    unsigned number = (unsigned)w->model.service_count++;

    w->services[number].pools = w->pools[number];
    w->services[number].minimum_healthy.value = minimum;
    w->services[number].checks = &w->web;
    w->services[number].check_count = 1;
    return number;
}

static inline void add_endpoint(struct world *w, unsigned service, unsigned region,
                                const char *text)
{
    struct model_service *s = &w->services[service];
    size_t p = 0;

    while (p < s->pool_count && w->pools[service][p].region != region) {
        p++;
    }
    struct model_pool *pool = &w->pools[service][p];
    if (p == s->pool_count) {
        s->pool_count++;
        pool->region = region;
        pool->endpoints = w->endpoints[service][p];
    }
    w->endpoints[service][p][pool->endpoint_count++].address = address(text, 0);
}

/* One service with two endpoints in each region. */
static inline void add_usual_service(struct world *w)
{
    unsigned service = add_service(w, 1);

    add_endpoint(w, service, 0, "203.0.113.10");
    add_endpoint(w, service, 0, "203.0.113.11");
    add_endpoint(w, service, 1, "198.51.100.10");
    add_endpoint(w, service, 1, "198.51.100.11");
    add_endpoint(w, service, 2, "192.0.2.10");
    add_endpoint(w, service, 2, "192.0.2.11");
}

static inline struct health_binding *bind_model(struct world *w)
{
    struct health_binding *binding = health_bind(w->health, &w->model, w->now_ms);

    assert_non_null(binding);
    return binding;
}

static inline void begin(struct world *w)
{
    w->health = health_new(on_event, w);
    assert_non_null(w->health);
    w->binding = bind_model(w);
    health_commit(w->health, w->binding, w->now_ms);
}

static inline void end(struct world *w)
{
    health_unbind(w->health, w->binding);
    health_free(w->health);
}

/* ---- probes ---- */

/* The probe against this address and port. */
static inline struct health_probe *probe_of(const struct world *w, const char *target)
{
    for (size_t i = 0; i < health_probe_count(w->health); i++) {
        struct health_probe *probe = health_probe(w->health, i);
        char text[ADDR_TEXT_MAX];
        addr_format_port(&probe->target, text, sizeof(text));
        if (probe->used && strcmp(text, target) == 0) {
            return probe;
        }
    }
    return NULL;
}

static inline size_t probes_in_use(const struct world *w)
{
    size_t count = 0;

    for (size_t i = 0; i < health_probe_count(w->health); i++) {
        count += health_probe(w->health, i)->used;
    }
    return count;
}

static inline void give(struct world *w, const char *target, enum detect_outcome outcome,
                        const char *reason)
{
    struct health_probe *probe = probe_of(w, target);

    assert_non_null(probe);
    uint32_t number = health_probe_sent(w->health, probe, w->now_ms);
    w->now_ms += 2;
    health_probe_result(w->health, probe, number, outcome, false, reason, w->now_ms);
}

static inline void give_times(struct world *w, const char *target, enum detect_outcome outcome,
                              unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        give(w, target, outcome, outcome == DETECT_PASS ? "answered" : "connection refused");
    }
}

/* Probes unanswered until it is DOWN by silence alone. */
static inline void silence(struct world *w, const char *target)
{
    struct health_probe *probe = probe_of(w, target);
    uint32_t numbers[12];

    assert_non_null(probe);
    for (unsigned i = 0; i < 12; i++) {
        numbers[i] = health_probe_sent(w->health, probe, w->now_ms);
        w->now_ms += 50;
    }
    w->now_ms += timing.timeout_ms;
    for (unsigned i = 0; i < 12; i++) {
        health_probe_result(w->health, probe, numbers[i], DETECT_SILENT, false, "no answer",
                            w->now_ms);
    }
    assert_int_equal(probe->detect.state, DETECT_DOWN);
}

/* NXDOMAIN for the canary. */
static inline void give_vanished(struct world *w, const char *target)
{
    struct health_probe *probe = probe_of(w, target);
    uint32_t number = health_probe_sent(w->health, probe, w->now_ms);

    w->now_ms += 2;
    health_probe_result(w->health, probe, number, DETECT_NEUTRAL, true,
                        "NXDOMAIN for canary.corp.example", w->now_ms);
}

static inline void pass_all(struct world *w)
{
    for (size_t i = 0; i < health_probe_count(w->health); i++) {
        struct health_probe *probe = health_probe(w->health, i);
        if (probe->used) {
            uint32_t number = health_probe_sent(w->health, probe, w->now_ms);
            health_probe_result(w->health, probe, number, DETECT_PASS, false, "answered",
                                w->now_ms + 1);
        }
    }
    w->now_ms += 2;
}

/* Passes until it is UP again, over its hold_down. */
static inline void bring_back(struct world *w, const char *target)
{
    give_times(w, target, DETECT_PASS, timing.rise);
    for (unsigned i = 0; i < 400 && probe_of(w, target)->detect.state == DETECT_DOWN; i++) {
        w->now_ms += 900;
        give_times(w, target, DETECT_PASS, 1);
        health_probe_tick(w->health, probe_of(w, target), w->now_ms);
    }
    assert_int_equal(probe_of(w, target)->detect.state, DETECT_UP);
}

static inline uint32_t region_flags(const struct world *w, unsigned region)
{
    return atomic_load(&health_binding_region(w->binding, region)->word) &
           ((1u << HEALTH_EPOCH_SHIFT) - 1) & ~(uint32_t)HEALTH_REGION_SUSPECT;
}

static inline uint32_t region_epoch(const struct world *w, unsigned region)
{
    return atomic_load(&health_binding_region(w->binding, region)->word) >> HEALTH_EPOCH_SHIFT;
}

static inline const struct health_group *group(const struct world *w, unsigned service,
                                               unsigned pool)
{
    return health_binding_group(w->binding, service, pool);
}

static inline uint64_t up(const struct world *w, unsigned service, unsigned pool, unsigned family)
{
    return atomic_load(&group(w, service, pool)->up[family]);
}

static inline uint64_t held(const struct world *w, unsigned service, unsigned pool, unsigned family)
{
    return atomic_load(&group(w, service, pool)->held[family]);
}

static inline uint64_t proven(const struct world *w, unsigned service, unsigned pool,
                              unsigned family)
{
    const struct health_group *g = group(w, service, pool);
    uint32_t region = w->pools[service][pool].region;

    assert_int_equal(atomic_load(&g->flags) >> HEALTH_EPOCH_SHIFT, region_epoch(w, region));
    return atomic_load(&g->proven[family]);
}

static inline bool is_short(const struct world *w, unsigned service, unsigned pool)
{
    return (atomic_load(&group(w, service, pool)->flags) & HEALTH_GROUP_SUSPECT) != 0;
}

/* The newest event about `name`, or NULL. */
static inline const struct told *told_of(const struct world *w, const char *name)
{
    for (size_t i = w->told_count; i-- > 0;) {
        if (strstr(w->told[i].name, name) != NULL) {
            return &w->told[i];
        }
    }
    return NULL;
}

#define SEOUL_DNS     "10.1.0.2:53"
#define TOKYO_DNS     "10.2.0.2:53"
#define SINGAPORE_DNS "10.3.0.2:53"

static inline uint32_t roll(uint64_t *dice, uint32_t n)
{
    *dice = *dice * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*dice >> 33) % n);
}
