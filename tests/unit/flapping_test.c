/*
 * Days of flapping in simulated time: a region comes and goes all the time, and
 * what is answered does not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/sim_world.h"

#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAYS   2u

/* hold_down 10 s, 20, 40 ... 300 s: a leave and a return for each, and one more leave */
#define MOVES_MOST 13u

static const char yaml[] =
    "node: {region: seoul}\n"
    "regions:\n"
    "  seoul: {minimum_healthy: 1, checks: [{dns: {server: 10.0.0.2, name: c.example}}]}\n"
    "  tokyo: {minimum_healthy: 1, checks: [{dns: {server: 10.1.0.2, name: c.example}}]}\n"
    "services:\n"
    "  api.example:\n"
    "    minimum_healthy: 1\n"
    "    check: {tcp: {port: 80}}\n"
    "    endpoints: {seoul: [192.0.0.1], tokyo: [192.0.1.1]}\n";

enum {
    SEOUL = 1,
    TOKYO = 2
}; /* as bits of pools */

/* One target of Seoul's flaps: dead for a while, well for a while, by the dice. */
struct flapping {
    bool resolver; /* the region's resolver, else the endpoint */
    bool dead;
    uint32_t well_least_s;
    uint32_t well_more_s;
    uint64_t turns_ms;
    uint64_t ends_ms;
    unsigned flaps;
};

static void turn(struct sim *sim, struct flapping *f)
{
    while (sim->now_ms >= f->turns_ms) {
        uint64_t s =
            f->dead ? f->well_least_s + sim_random(sim) % f->well_more_s : 3 + sim_random(sim) % 5;
        f->dead = !f->dead;
        f->flaps += f->dead;
        f->turns_ms += s * SECOND;
    }
}

static enum detect_outcome fate(struct sim *sim, const struct health_probe *probe,
                                uint32_t *out_after_ms)
{
    struct flapping *f = sim->user;
    const uint8_t *address = probe->target.bytes;
    bool is_it =
        f->resolver ? address[0] == 10 && address[1] == 0 : address[0] == 192 && address[2] == 0;

    *out_after_ms = 5;
    turn(sim, f);
    return is_it && f->dead && sim->now_ms < f->ends_ms ? DETECT_STRONG : DETECT_PASS;
}

/* Returns how often the answer changed until the flapping ended. */
static unsigned flap_for_days(struct flapping *f)
{
    struct sim *sim = malloc(sizeof(*sim));
    uint64_t last = SEOUL;
    unsigned moves = 0;

    assert_non_null(sim);
    f->turns_ms = SIM_START_MS + MINUTE;
    f->ends_ms = SIM_START_MS + DAYS * 24 * HOUR;
    sim_begin(sim, sim_load(yaml), 1, fate, f);
    while (sim->now_ms < f->ends_ms) {
        sim_run(sim, sim->now_ms + SECOND);
        uint64_t now = sim_answer(sim, 0);
        assert_true(now == SEOUL || now == TOKYO); /* one of them, and never nothing */
        moves += now != last;
        last = now;
    }
    sim_run(sim, f->ends_ms + 5 * MINUTE + 10 * SECOND); /* the longest hold_down */
    assert_int_equal(sim_answer(sim, 0), SEOUL);
    sim_end(sim);
    free(sim);
    return moves;
}

static void days_of_flapping_move_answers_a_few_times(void **state)
{
    (void)state;

    for (unsigned resolver = 0; resolver < 2; resolver++) {
        struct flapping f = { .resolver = resolver, .well_least_s = 5, .well_more_s = 200 };
        unsigned moves = flap_for_days(&f);
        assert_true(f.flaps > 1000);
        assert_in_range(moves, 1, MOVES_MOST);
    }
}

/* What is well for long enough is used again: hold_down delays, it does not exclude. */
static void what_flaps_but_seldom_is_used_in_between(void **state)
{
    struct flapping f = { .well_least_s = 3600, .well_more_s = 3600 };
    (void)state;

    unsigned moves = flap_for_days(&f);
    assert_true(f.flaps > 20);
    assert_in_range(moves, 2 * f.flaps - 2, 2 * f.flaps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_of_flapping_move_answers_a_few_times),
        cmocka_unit_test(what_flaps_but_seldom_is_used_in_between),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
