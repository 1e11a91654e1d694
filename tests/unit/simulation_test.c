/*
 * What would be answered, against what is answered when it comes to pass: the
 * same configuration in simulated time, where what is supposed really fails.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/overrides.h"
#include "resolver/hand_guard.h"
#include "resolver/simulation.h"
#include "tests/unit/sim_world.h"

/* What is asked for in this program. */
static size_t taken_bytes;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_malloc(size_t size)
{
    taken_bytes += size;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    taken_bytes += count * size;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    taken_bytes += size;
    return __real_realloc(memory, size);
}

/* Endpoints are 192.0.REGION.n and have a check each; resolvers are 10.REGION.0.2. */
#define REGIONS                                                                                    \
    "node: {region: seoul}\n"                                                                      \
    "regions:\n"                                                                                   \
    "  seoul: {minimum_healthy: 1, checks: [{dns: {server: 10.0.0.2, name: c.example}}]}\n"        \
    "  tokyo: {minimum_healthy: 1, checks: [{dns: {server: 10.1.0.2, name: c.example}}]}\n"        \
    "  singapore: {minimum_healthy: 1, checks: [{dns: {server: 10.2.0.2, name: c.example}}]}\n"    \
    "checks:\n"                                                                                    \
    "  alive: {tcp: {port: 80}}\n"                                                                 \
    "services:\n"

enum {
    SEOUL,
    TOKYO,
    SINGAPORE
};

/* What fails in truth: regions, and single endpoints by their last two bytes. */
struct truth {
    bool dead[3];
    unsigned endpoint;
};

static enum detect_outcome fate(struct sim *sim, const struct health_probe *probe,
                                uint32_t *out_after_ms)
{
    const struct truth *truth = sim->user;
    const uint8_t *address = probe->target.bytes;
    unsigned region = address[0] == 10 ? address[1] : address[2];
    unsigned endpoint = (unsigned)address[2] << 8 | address[3];

    *out_after_ms = 5;
    if (truth->dead[region] || (address[0] == 192 && endpoint == truth->endpoint)) {
        return DETECT_STRONG;
    }
    return DETECT_PASS;
}

static void begin(struct sim *sim, struct truth *truth, const char *yaml)
{
    memset(truth, 0, sizeof(*truth));
    sim_begin(sim, sim_load(yaml), 1, fate, truth);
}

static void target(struct override *out, enum override_kind kind, const char *text)
{
    memset(out, 0, sizeof(*out));
    out->kind = kind;
    (void)snprintf(out->target, sizeof(out->target), "%s", text);
}

static void suppose(const struct sim *sim, size_t service, const struct override *targets,
                    size_t count, struct simulated_service *out)
{
    const struct simulation simulation = { .targets = targets, .target_count = count };

    simulation_choose(sim->snapshot, &sim->snapshot->services[service],
                      count == 0 ? NULL : &simulation, out);
}

static void suppose_one(const struct sim *sim, size_t service, enum override_kind kind,
                        const char *text, struct simulated_service *out)
{
    struct override one;

    target(&one, kind, text);
    suppose(sim, service, &one, 1, out);
}

static void assert_foretold(const struct sim *sim, const struct simulated_service *foretold,
                            size_t service)
{
    struct simulated_service now;
    const struct steer_choice *a = &foretold->choices[ADDR_V4], *b = &now.choices[ADDR_V4];

    suppose(sim, service, NULL, 0, &now);
    assert_int_equal(foretold->is_well, now.is_well);
    assert_int_equal(a->result, b->result);
    assert_int_equal(a->rung, b->rung);
    if (a->rung < 6) { /* what was good last depends on who fell first */
        assert_int_equal(a->several, b->several);
        assert_true(a->several || (a->pool == b->pool && a->bits == b->bits));
    }
}

static void what_is_foretold_of_every_service_comes_to_pass(void **state)
{
    static const char yaml[] = REGIONS
        "  plain.example: {minimum_healthy: 1, check: alive, endpoints: {seoul: [192.0.0.1],"
        " tokyo: [192.0.1.1], singapore: [192.0.2.1]}}\n"
        "  lonely.example: {minimum_healthy: 1, check: {tcp: {port: 81}},"
        " endpoints: {seoul: [192.0.0.2]}}\n"
        "  by-region.example: {minimum_healthy: 1, check: {all: [alive, {region: tokyo}]},"
        " endpoints: {seoul: [192.0.0.3], singapore: [192.0.2.3]}}\n"
        "  by-service.example: {minimum_healthy: 1,"
        " check: {all: [alive, {service: lonely.example}]},"
        " endpoints: {seoul: [192.0.0.4], tokyo: [192.0.1.4]}}\n"
        "  by-chain.example: {minimum_healthy: 1,"
        " check: {any: [{service: by-service.example}, {service: by-region.example}]},"
        " endpoints: {seoul: [192.0.0.5], tokyo: [192.0.1.5]}}\n"
        "  standby.example: {minimum_healthy: 1,"
        " check: {all: [alive, {not: {service: lonely.example}}]},"
        " on_all_down: servfail, endpoints: {tokyo: [192.0.1.6]}}\n";
    static const char *const names[] = { "seoul", "tokyo", "singapore" };
    (void)state;

    for (unsigned down = 1; down < 8; down++) {
        struct sim *sim = malloc(sizeof(*sim));
        struct truth truth;
        struct simulated_service foretold[6];
        struct override targets[3];
        size_t count = 0;
        assert_non_null(sim);
        begin(sim, &truth, yaml);
        for (unsigned r = 0; r < 3; r++) {
            truth.dead[r] = (down >> r & 1) != 0;
            if (truth.dead[r]) {
                target(&targets[count++], OVERRIDE_FORCE_DOWN, names[r]);
            }
        }
        for (size_t s = 0; s < 6; s++) {
            suppose(sim, s, targets, count, &foretold[s]);
        }
        sim_run(sim, sim->now_ms + 10000);
        for (size_t s = 0; s < 6; s++) {
            assert_foretold(sim, &foretold[s], s);
        }
        sim_end(sim);
        free(sim);
    }
}

static void who_leans_on_a_region_that_would_be_up_is_up(void **state)
{
    static const char yaml[] =
        REGIONS "  by-region.example: {minimum_healthy: 1, check: {all: [alive, {region: tokyo}]},"
                " on_all_down: servfail, endpoints: {seoul: [192.0.0.3]}}\n";
    struct sim *sim = malloc(sizeof(*sim));
    struct truth truth;
    struct simulated_service out;
    (void)state;

    assert_non_null(sim);
    begin(sim, &truth, yaml);
    truth.dead[TOKYO] = true;
    sim_run(sim, sim->now_ms + 10000);
    suppose(sim, 0, NULL, 0, &out);
    assert_false(out.is_well);
    suppose_one(sim, 0, OVERRIDE_FORCE_UP, "tokyo", &out);
    assert_true(out.is_well);
    suppose_one(sim, 0, OVERRIDE_FORCE_UP, "tokyo/other", &out); /* not the region */
    assert_false(out.is_well);
    sim_end(sim);
    free(sim);
}

static void capacity_goes_with_the_endpoints_that_have_it(void **state)
{
    static const char yaml[] = REGIONS
        "  cap.example:\n"
        "    minimum_healthy: 1\n"
        "    check: alive\n"
        "    steer: [nearest, {capacity: {load: {seoul: 100}}}]\n"
        "    endpoints:\n"
        "      seoul: [{address: 192.0.0.1, capacity: 50}, {address: 192.0.0.2, capacity: 50}]\n"
        "      tokyo: [{address: 192.0.1.1, capacity: 100}]\n"
        "      singapore: [{address: 192.0.2.1, capacity: 100}]\n";
    struct sim *sim = malloc(sizeof(*sim));
    struct truth truth;
    struct simulated_service out, now;
    (void)state;

    assert_non_null(sim);
    begin(sim, &truth, yaml);
    suppose(sim, 0, NULL, 0, &out);
    assert_true(out.shares[SEOUL] > 0.99);
    suppose_one(sim, 0, OVERRIDE_FORCE_DOWN, "192.0.0.1", &out); /* half of it spills */
    truth.endpoint = 0 << 8 | 1;
    sim_run(sim, sim->now_ms + 10000);
    suppose(sim, 0, NULL, 0, &now);
    for (unsigned p = 0; p < 3; p++) {
        assert_true(out.shares[p] > now.shares[p] - 0.01 && out.shares[p] < now.shares[p] + 0.01);
        assert_true(out.shares[p] > 0.2);
    }
    truth.dead[TOKYO] = true;
    sim_run(sim, sim->now_ms + 10000);
    suppose(sim, 0, NULL, 0, &now);
    assert_true(now.shares[TOKYO] == 0);
    suppose_one(sim, 0, OVERRIDE_FORCE_UP, "tokyo", &out); /* with all that it carries */
    assert_true(out.shares[TOKYO] > 0.2);
    sim_end(sim);
    free(sim);
}

static void where_clients_stick_they_are_not_all_one(void **state)
{
    static const char yaml[] =
        REGIONS "  sticky.example: {minimum_healthy: 1, check: alive,"
                " steer: [all, {sticky: {ipv4: 24}}, {limit: 1}],"
                " endpoints: {seoul: [192.0.0.1], tokyo: [192.0.1.1], singapore: [192.0.2.1]}}\n";
    struct sim *sim = malloc(sizeof(*sim));
    struct truth truth;
    struct simulated_service out;
    (void)state;

    assert_non_null(sim);
    begin(sim, &truth, yaml);
    suppose(sim, 0, NULL, 0, &out);
    for (unsigned p = 0; p < 3; p++) {
        assert_true(out.shares[p] > 0.15 && out.shares[p] < 0.55);
    }
    suppose_one(sim, 0, OVERRIDE_FORCE_DOWN, "seoul", &out);
    assert_true(out.shares[SEOUL] == 0 && out.shares[TOKYO] > 0.3);
    sim_end(sim);
    free(sim);
}

/* However many lean on one another, the stack is not what ends it. */
static void a_long_chain_of_services_is_followed_as_far_as_it_matters(void **state)
{
    enum {
        LENGTH = 3000
    };
    struct text yaml = { 0 };
    struct sim *sim = malloc(sizeof(*sim));
    struct truth truth;
    struct simulated_service out;
    (void)state;

    assert_non_null(sim);
    text_put(&yaml, REGIONS);
    for (unsigned i = 0; i < LENGTH; i++) {
        text_printf(&yaml, "  s%u.example: {minimum_healthy: 1, on_all_down: servfail, check: ", i);
        if (i + 1 < LENGTH) {
            text_printf(&yaml, "{all: [{service: s%u.example}]}", i + 1);
        } else {
            text_put(&yaml, "alive");
        }
        text_printf(&yaml, ", endpoints: {%s: [192.0.%u.1]}}\n", i + 1 < LENGTH ? "tokyo" : "seoul",
                    i + 1 < LENGTH ? 1 : 0);
    }
    begin(sim, &truth, text_string(&yaml));
    text_fini(&yaml);
    suppose_one(sim, 0, OVERRIDE_FORCE_DOWN, "seoul", &out);
    assert_true(out.is_well); /* too far off to be seen */
    suppose_one(sim, LENGTH - 200, OVERRIDE_FORCE_DOWN, "seoul", &out);
    assert_false(out.is_well);
    sim_end(sim);
    free(sim);
}

static const char leaning_yaml[] =
    REGIONS "  pay.example: {minimum_healthy: 1, check: alive, endpoints: {seoul: [192.0.0.1]}}\n"
            "  shop.example: {minimum_healthy: 1, on_all_down: servfail,"
            " check: {all: [alive, {service: pay.example}]}, endpoints: {tokyo: [192.0.1.2]}}\n"
            "  news.example: {minimum_healthy: 1, check: alive,"
            " endpoints: {seoul: [192.0.0.3], tokyo: [192.0.1.3]}}\n";

enum {
    PAY,
    SHOP,
    NEWS
};

/* What the operator has said of a service's pool is part of how things are. */
static void what_leans_on_a_service_in_hand_is_foretold(void **state)
{
    struct sim *sim = malloc(sizeof(*sim));
    struct truth truth;
    struct simulated_service out;
    (void)state;

    assert_non_null(sim);
    begin(sim, &truth, leaning_yaml);
    const struct steer_service *pay = &sim->snapshot->services[PAY];
    suppose_one(sim, SHOP, OVERRIDE_FORCE_DOWN, "singapore", &out);
    assert_true(out.is_well);
    for (enum steer_hand hand = STEER_HAND_DRAINED; hand <= STEER_HAND_FORCED_DOWN; hand++) {
        steer_set_hand(pay, 0, hand, true);
        suppose_one(sim, SHOP, OVERRIDE_FORCE_DOWN, "singapore", &out);
        assert_false(out.is_well);
        suppose_one(sim, SHOP, OVERRIDE_FORCE_UP, "seoul/pay.example", &out);
        assert_true(out.is_well);
        steer_set_hand(pay, 0, hand, false);
    }
    steer_set_hand(pay, 0, STEER_HAND_FORCED_UP, true);
    suppose_one(sim, SHOP, OVERRIDE_FORCE_DOWN, "192.0.0.1", &out);
    assert_true(out.is_well);
    sim_end(sim);
    free(sim);
}

static int drain(const struct sim *sim, const char *text, struct error *err)
{
    struct override one;

    target(&one, OVERRIDE_DRAIN, text);
    return hand_guard_check(sim->snapshot, &one, false, err);
}

static void a_drain_that_takes_away_what_another_service_leans_on_needs_force(void **state)
{
    struct sim *sim = malloc(sizeof(*sim));
    struct truth truth;
    struct error err;
    (void)state;

    assert_non_null(sim);
    begin(sim, &truth, leaning_yaml);
    assert_int_equal(drain(sim, "seoul/news.example", &err), 0);
    assert_int_equal(drain(sim, "tokyo/news.example", &err), 0);
    assert_int_equal(drain(sim, "singapore", &err), 0);
    assert_int_equal(drain(sim, "seoul/pay.example", &err), -EBUSY);
    assert_non_null(strstr(err.message, "2 services"));
    assert_non_null(strstr(err.message, "shop.example"));
    assert_int_equal(drain(sim, "seoul", &err), -EBUSY);
    assert_non_null(strstr(err.message, "shop.example"));
    truth.endpoint = 0 << 8 | 1; /* what has fallen already is not what the drain takes */
    sim_run(sim, sim->now_ms + 10000);
    assert_int_equal(drain(sim, "seoul/pay.example", &err), -EBUSY);
    assert_null(strstr(err.message, "shop.example"));
    sim_end(sim);
    free(sim);
}

/* Of so many services beside it, what does it take to look at one that leans on another? */
static size_t bytes_for_one_of(unsigned count)
{
    struct text yaml = { 0 };
    struct sim *sim = malloc(sizeof(*sim));
    struct truth truth;
    struct simulated_service out;

    assert_non_null(sim);
    text_put(&yaml, leaning_yaml);
    for (unsigned i = 0; i < count; i++) {
        text_printf(&yaml, "  s%u.example: {minimum_healthy: 1, endpoints: {seoul: [192.0.0.9]}}\n",
                    i);
    }
    begin(sim, &truth, text_string(&yaml));
    text_fini(&yaml);
    taken_bytes = 0;
    suppose_one(sim, SHOP, OVERRIDE_FORCE_DOWN, "seoul", &out);
    size_t bytes = taken_bytes;
    sim_end(sim);
    free(sim);
    return bytes;
}

static void one_service_takes_the_same_however_many_there_are(void **state)
{
    (void)state;

    assert_int_equal(bytes_for_one_of(1), bytes_for_one_of(2000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_foretold_of_every_service_comes_to_pass),
        cmocka_unit_test(who_leans_on_a_region_that_would_be_up_is_up),
        cmocka_unit_test(capacity_goes_with_the_endpoints_that_have_it),
        cmocka_unit_test(where_clients_stick_they_are_not_all_one),
        cmocka_unit_test(what_leans_on_a_service_in_hand_is_foretold),
        cmocka_unit_test(a_drain_that_takes_away_what_another_service_leans_on_needs_force),
        cmocka_unit_test(one_service_takes_the_same_however_many_there_are),
        cmocka_unit_test(a_long_chain_of_services_is_followed_as_far_as_it_matters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
