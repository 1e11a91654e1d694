/*
 * A region dies under load: 10,000 nodes ask, each in its turn, and what they
 * are sent to gets slow, and then silent, when it is more than it can carry.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/sim_world.h"
#include "zones/wire.h"

#define NODES   10000u
#define VIEWS   4u /* servers of these nodes: each with checks of its own */
#define REGIONS 3u
#define STEP_MS 1000u
#define DIES_S  20u
#define LASTS_S 150u

enum { SEOUL, TOKYO, SINGAPORE };

/* Nodes in each region: each brings a unit of load a second. */
static const uint32_t nodes_in[REGIONS] = { 4000, 3500, 2500 };

static const char head[] =
    "node: {region: seoul}\n"
    "regions:\n"
    "  seoul: {minimum_healthy: 0}\n"
    "  tokyo: {minimum_healthy: 0}\n"
    "  singapore: {minimum_healthy: 0}\n"
    "clients:\n"
    "  - {prefix: 10.0.0.0/16, regions: [seoul, tokyo, singapore]}\n"
    "  - {prefix: 10.1.0.0/16, regions: [tokyo, seoul, singapore]}\n"
    "  - {prefix: 10.2.0.0/16, regions: [singapore, tokyo, seoul]}\n";

static const char service_text[] =
    "services:\n"
    "  api.example.com:\n"
    "    minimum_healthy: 1\n"
    "    check: {tcp: {port: 80}, interval: 1s, timeout: 500ms, confirm_interval: 50ms,\n"
    "            fall: 3, silent_fall: 10, rise: 2, hold_down: 10s}\n"
    "    endpoints:\n";

struct surge {
    struct sim sims[VIEWS];
    uint32_t can_carry[REGIONS];
    uint32_t sent[REGIONS]; /* in the second before */
    uint32_t storm_percent; /* of the usual load while the storm lasts */
    uint32_t storm_ends_s;
    bool seoul_is_dead;
    uint32_t left[REGIONS]; /* seconds in which some server had left it */
};

static unsigned region_of(const struct health_probe *probe)
{
    return probe->target.bytes[2]; /* 192.0.REGION.n */
}

/* The dead are silent; the overloaded are slow, and silent as far as they are asked too much. */
static enum detect_outcome fate(struct sim *sim, const struct health_probe *probe,
                                uint32_t *out_after_ms)
{
    const struct surge *s = sim->user;
    unsigned region = region_of(probe);
    uint64_t sent = s->sent[region], most = s->can_carry[region];

    if (region == SEOUL && s->seoul_is_dead) {
        return DETECT_SILENT;
    }
    *out_after_ms = sent * 10 > most * 9 ? 300 : 20;
    if (sent <= most) {
        return DETECT_PASS;
    }
    /* a queue that grows: one third too much, and nothing comes back in time */
    return sim_random(sim) % 1000 < (sent - most) * 3000 / most ? DETECT_SILENT : DETECT_PASS;
}

static void set_up_surge(struct surge *s, const char *policy, const char *guards,
                         const uint32_t can_carry[REGIONS], bool with_capacity)
{
    char yaml[4096];
    int at = snprintf(yaml, sizeof(yaml), "%s%s%s", head, guards, service_text);

    memset(s, 0, sizeof(*s));
    for (unsigned r = 0; r < REGIONS; r++) {
        static const char *const names[] = { "seoul", "tokyo", "singapore" };
        char capacity[48] = "";
        s->can_carry[r] = can_carry[r];
        s->sent[r] = nodes_in[r];
        if (with_capacity) {
            (void)snprintf(capacity, sizeof(capacity), ", capacity: %u", can_carry[r] / 2);
        }
        at += snprintf(yaml + at, sizeof(yaml) - (size_t)at,
                       "      %s: [{address: 192.0.%u.1%s}, {address: 192.0.%u.2%s}]\n", names[r],
                       r, capacity, r, capacity);
    }
    (void)snprintf(yaml + at, sizeof(yaml) - (size_t)at, "    steer: %s\n", policy);
    s->storm_percent = 100;
    for (unsigned v = 0; v < VIEWS; v++) {
        sim_begin(&s->sims[v], sim_load(yaml), v + 1, fate, s);
    }
}

static void tear_down_surge(struct surge *s)
{
    for (unsigned v = 0; v < VIEWS; v++) {
        sim_end(&s->sims[v]);
    }
}

/* The pool of the address that comes first in the answer to a node. */
static unsigned taken(const struct steer_service *service, struct steer_client *client)
{
    struct steer_choice choice;
    unsigned pools[REGIONS], count = 0;

    steer_choose(service, ADDR_V4, client, &choice);
    assert_int_equal(choice.result, STEER_ADDRESSES);
    if (choice.pick_count > 0) {
        return steer_pick_pool(choice.picks[0]);
    }
    if (!choice.several) {
        return choice.pool;
    }
    for (unsigned i = 0; i < service->pool_count; i++) {
        if (choice.bits_of[i] != 0) {
            pools[count++] = i;
        }
    }
    assert_true(count > 0);
    return pools[client->turn % count]; /* as answers are rotated */
}

/* Every node asks once. */
static void ask_all(struct surge *s, uint32_t sent[REGIONS])
{
    uint32_t node = 0;

    memset(sent, 0, REGIONS * sizeof(*sent));
    for (unsigned r = 0; r < REGIONS; r++) {
        for (unsigned i = 0; i < nodes_in[r]; i++, node++) {
            struct sim *sim = &s->sims[node % VIEWS];
            const struct steer_service *of = &sim->snapshot->services[0];
            struct steer_client client = { .known_bits = 32, .turn = sim_random(sim) };
            wire_put32(client.address.bytes, 10u << 24 | r << 16 | (i + 1));
            sent[of->pools[taken(of, &client)].region_index]++;
        }
    }
    assert_int_equal(node, NODES);
}

static void note_left(struct surge *s)
{
    for (unsigned r = 0; r < REGIONS; r++) {
        for (unsigned v = 0; v < VIEWS; v++) {
            const struct steer_service *of = &s->sims[v].snapshot->services[0];
            /* a pool that is shared still takes its part; one whose endpoints are down does not */
            if (atomic_load(&of->pools[r].group->up[ADDR_V4]) == 0) {
                s->left[r]++;
                break;
            }
        }
    }
}

/* One second: everybody asks, what is sent is borne, checks see how. */
static void step(struct surge *s, uint32_t second)
{
    uint32_t asked[REGIONS];
    bool storm = s->seoul_is_dead && second < s->storm_ends_s;

    s->seoul_is_dead = second >= DIES_S;
    ask_all(s, asked);
    for (unsigned r = 0; r < REGIONS; r++) {
        s->sent[r] = asked[r] * (storm ? s->storm_percent : 100) / 100;
    }
    for (unsigned v = 0; v < VIEWS; v++) {
        sim_run(&s->sims[v], SIM_START_MS + (uint64_t)(second + 1) * STEP_MS);
    }
    note_left(s);
}

/* Has no server any endpoint of Seoul? */
static bool seoul_is_left(const struct surge *s)
{
    for (unsigned v = 0; v < VIEWS; v++) {
        const struct steer_service *of = &s->sims[v].snapshot->services[0];
        if (atomic_load(&of->pools[SEOUL].group->up[ADDR_V4]) != 0) {
            return false;
        }
    }
    return true;
}

static void nobody_is_sent_more_than_it_carries_while_another_has_room(void **state)
{
    static const uint32_t carry[REGIONS] = { 6000, 5000, 7000 };
    struct surge *s = malloc(sizeof(*s));
    bool moved = false;

    (void)state;
    assert_non_null(s);
    set_up_surge(s, "[nearest, {capacity: {load: {seoul: 4000, tokyo: 3500, singapore: 2500}}}]",
                 "guards: {cascade_window: 60s}\n", carry, true);
    s->storm_percent = 105; /* who found Seoul dead asks again */
    s->storm_ends_s = DIES_S + 40;
    for (uint32_t second = 0; second < LASTS_S; second++) {
        bool settled = seoul_is_left(s);
        step(s, second);
        for (unsigned r = TOKYO; r < REGIONS; r++) {
            assert_true(s->sent[r] <= carry[r]);
        }
        if (settled) {
            assert_int_equal(s->sent[SEOUL], 0);
            moved = true;
        }
    }
    assert_true(moved);
    assert_int_equal(s->left[TOKYO], 0);
    assert_int_equal(s->left[SINGAPORE], 0);
    /* in proportion to what was free: 1500 and 4500 */
    assert_in_range(s->sent[TOKYO], 4350, 4650);
    assert_in_range(s->sent[SINGAPORE], 5350, 5650);
    tear_down_surge(s);
    free(s);
}

/* Too much for all together: each bears the same share of what it carries. */
static void what_is_too_much_for_all_is_borne_by_all(void **state)
{
    static const uint32_t carry[REGIONS] = { 6000, 4000, 5000 };
    struct surge *s = malloc(sizeof(*s));

    (void)state;
    assert_non_null(s);
    set_up_surge(s, "[nearest, {capacity: {load: {seoul: 4000, tokyo: 3500, singapore: 2500}}}]",
                 "guards: {cascade_window: 60s}\n", carry, true);
    for (uint32_t second = 0; second < DIES_S + 50; second++) {
        step(s, second);
    }
    assert_true(seoul_is_left(s));
    assert_int_equal(s->left[TOKYO], 0); /* silent, but that may be of the surge */
    assert_int_equal(s->left[SINGAPORE], 0);
    assert_in_range(s->sent[TOKYO], 4100, 4800); /* 10000 * 4 / 9 */
    assert_in_range(s->sent[SINGAPORE], 5200, 5900);
    tear_down_surge(s);
    free(s);
}

/* Tokyo would carry Seoul's clients, but not while they all ask again at once. */
static void surge_without_capacity(struct surge *s, const char *guards)
{
    static const uint32_t carry[REGIONS] = { 6000, 8000, 7000 };

    set_up_surge(s, "[nearest]", guards, carry, false);
    s->storm_percent = 160;
    s->storm_ends_s = DIES_S + 45;
    for (uint32_t second = 0; second < LASTS_S; second++) {
        step(s, second);
    }
}

static void without_capacity_the_window_keeps_the_survivors(void **state)
{
    struct surge *s = malloc(sizeof(*s));

    (void)state;
    assert_non_null(s);
    surge_without_capacity(s, "guards: {cascade_window: 60s}\n");
    assert_true(seoul_is_left(s));
    assert_int_equal(s->left[TOKYO], 0);
    assert_int_equal(s->left[SINGAPORE], 0);
    assert_int_equal(s->sent[SEOUL], 0);
    assert_int_equal(s->sent[TOKYO], 7500);
    tear_down_surge(s);
    free(s);
}

/* What the window is for: the same surge without it. */
static void without_the_window_the_surge_takes_a_survivor(void **state)
{
    struct surge *s = malloc(sizeof(*s));

    (void)state;
    assert_non_null(s);
    surge_without_capacity(s, "guards: {cascade_window: off}\n");
    assert_true(s->left[TOKYO] > 0);
    tear_down_surge(s);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_sent_more_than_it_carries_while_another_has_room),
        cmocka_unit_test(what_is_too_much_for_all_is_borne_by_all),
        cmocka_unit_test(without_capacity_the_window_keeps_the_survivors),
        cmocka_unit_test(without_the_window_the_surge_takes_a_survivor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
