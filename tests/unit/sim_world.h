#pragma once
/*
 * sim_world - a configuration in simulated time: what is believed, and answered
 *
 * A snapshot from YAML and the real health table; who probes and what is
 * probed are here, and time is a number. What a probe meets is told by the
 * test. cmocka is included before.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/config.h"
#include "policy/health.h"
#include "policy/steer.h"
#include "resolver/snapshot.h"

#define SIM_START_MS UINT64_C(10000000)
#define SIM_REPLIES  2048
#define SIM_FIRST_MS 1000 /* until the first results are in */

struct sim;

/* What a probe sent now meets: the outcome, and after how many ms it is known. */
typedef enum detect_outcome sim_fate(struct sim *sim, const struct health_probe *probe,
                                     uint32_t *out_after_ms);

struct sim_reply {
    struct health_probe *probe;
    uint32_t number;
    uint64_t at_ms;
    enum detect_outcome outcome;
};

struct sim {
    struct health *health;
    struct snapshot *snapshot;
    sim_fate *fate;
    void *user;
    uint64_t now_ms;
    uint64_t dice;
    struct sim_reply replies[SIM_REPLIES];
    size_t reply_count;
};

static inline uint32_t sim_random(struct sim *sim)
{
    sim->dice = sim->dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(sim->dice >> 32);
}

static inline void sim_ignore(void *user, const struct health_event *event)
{
    (void)user;
    (void)event;
}

static inline struct model *sim_load(const char *yaml)
{
    struct config_report report = { 0 };
    struct model *model = NULL;

    if (config_load_text(yaml, "sim.yaml", &model, &report) < 0) {
        struct text text = { 0 };
        config_report_print(&report, &text);
        (void)fputs(text_string(&text), stderr);
        text_fini(&text);
        fail();
    }
    config_report_fini(&report);
    return model;
}

/* ---- who probes ---- */

static inline void sim_send(struct sim *sim, struct health_probe *probe)
{
    uint32_t after_ms = 20;
    enum detect_outcome outcome = sim->fate(sim, probe, &after_ms);

    assert_true(sim->reply_count < SIM_REPLIES);
    struct sim_reply *reply = &sim->replies[sim->reply_count++];
    reply->probe = probe;
    reply->number = health_probe_sent(sim->health, probe, sim->now_ms);
    reply->outcome = outcome;
    reply->at_ms = sim->now_ms +
                   (outcome == DETECT_SILENT ? probe->check->timing.timeout_ms : after_ms);
}

static inline void sim_deliver(struct sim *sim)
{
    static const char *const reasons[] = { "answered", "answered, not well", "wrong answer",
                                           "no answer", "neutral", "void" };

    for (size_t i = 0; i < sim->reply_count;) {
        struct sim_reply reply = sim->replies[i];
        if (reply.at_ms > sim->now_ms) {
            i++;
            continue;
        }
        sim->replies[i] = sim->replies[--sim->reply_count];
        if (reply.probe->used) {
            health_probe_result(sim->health, reply.probe, reply.number, reply.outcome, false,
                                reasons[reply.outcome], sim->now_ms);
        }
    }
}

static inline uint64_t sim_next_ms(const struct sim *sim)
{
    uint64_t next = health_wake_ms(sim->health, sim->now_ms);

    for (size_t i = 0; i < health_probe_count(sim->health); i++) {
        const struct health_probe *probe = health_probe(sim->health, i);
        uint64_t wake = probe->used ? detect_wake_ms(&probe->detect, sim->now_ms) : UINT64_MAX;
        next = wake < next ? wake : next;
    }
    for (size_t i = 0; i < sim->reply_count; i++) {
        next = sim->replies[i].at_ms < next ? sim->replies[i].at_ms : next;
    }
    return next > sim->now_ms ? next : sim->now_ms;
}

static inline void sim_turn(struct sim *sim)
{
    sim_deliver(sim);
    for (size_t i = 0; i < health_probe_count(sim->health); i++) {
        struct health_probe *probe = health_probe(sim->health, i);
        if (!probe->used) {
            continue;
        }
        health_probe_tick(sim->health, probe, sim->now_ms);
        while (detect_is_due(&probe->detect, sim->now_ms)) {
            sim_send(sim, probe);
        }
    }
    health_tick(sim->health, sim->now_ms);
    for (size_t i = 0; sim->snapshot != NULL && i < sim->snapshot->service_count; i++) {
        steer_remember(&sim->snapshot->services[i]);
    }
}

/* Let time pass until then. */
static inline void sim_run(struct sim *sim, uint64_t until_ms)
{
    for (uint64_t next = sim_next_ms(sim); next <= until_ms; next = sim_next_ms(sim)) {
        sim->now_ms = next;
        sim_turn(sim);
    }
    sim->now_ms = until_ms;
}

/* ---- life ---- */

/* New probes vary their pace by the test's dice: the same seed is the same story. */
static inline void sim_seed(struct sim *sim)
{
    for (size_t i = 0; i < health_probe_count(sim->health); i++) {
        struct health_probe *probe = health_probe(sim->health, i);
        if (probe->used && probe->detect.next_number == 0) {
            probe->detect.random = sim_random(sim) | 1u;
        }
    }
}

/* Put a model in force in place of the one before, as a reload does: when its checks have run. */
static inline void sim_adopt(struct sim *sim, struct model *model)
{
    static const struct hash_key key = { 0x0123456789abcdef, 0xfedcba9876543210 };
    struct health_binding *binding = health_bind(sim->health, model, sim->now_ms);
    struct snapshot *old = sim->snapshot, *fresh = NULL;
    struct error err;

    assert_non_null(binding);
    sim_seed(sim);
    sim_run(sim, sim->now_ms + SIM_FIRST_MS);
    if (snapshot_build(model, binding, old, &key, old == NULL ? 1 : old->generation + 1, &fresh,
                       &err) < 0) {
        fail_msg("%s", err.message);
    }
    health_commit(sim->health, binding, sim->now_ms);
    sim->snapshot = fresh;
    if (old != NULL) {
        health_unbind(sim->health, snapshot_free(old));
    }
}

static inline void sim_begin(struct sim *sim, struct model *model, uint64_t seed, sim_fate *fate,
                             void *user)
{
    memset(sim, 0, sizeof(*sim));
    sim->now_ms = SIM_START_MS;
    sim->dice = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    sim->fate = fate;
    sim->user = user;
    sim->health = health_new(sim_ignore, NULL);
    assert_non_null(sim->health);
    sim_adopt(sim, model);
}

static inline void sim_end(struct sim *sim)
{
    health_unbind(sim->health, snapshot_free(sim->snapshot));
    health_free(sim->health);
}

/* ---- what is answered ---- */

/* The pools of the answer to nobody in particular, a bit each; 0: it is empty. */
static inline uint64_t sim_answer(const struct sim *sim, size_t service)
{
    const struct steer_service *s = &sim->snapshot->services[service];
    struct steer_choice choice;
    uint64_t pools = 0;

    steer_choose(s, ADDR_V4, NULL, &choice);
    if (choice.result != STEER_ADDRESSES) {
        return 0;
    }
    if (!choice.several) {
        return choice.bits != 0 ? UINT64_C(1) << choice.pool : 0;
    }
    for (uint32_t i = 0; i < s->pool_count; i++) {
        pools |= (uint64_t)(choice.bits_of[i] != 0) << i;
    }
    return pools;
}
