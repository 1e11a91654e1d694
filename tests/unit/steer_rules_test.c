#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/steer_world.h"

#if defined(__SANITIZE_THREAD__)
#define CASES 5000u /* one thread alone: for what they call, not for what they find */
#elif defined(__SANITIZE_ADDRESS__)
#define CASES 40000u /* they take ten times as long */
#else
#define CASES 200000u
#endif

/* ---- the rungs, from the rules ---- */

/* One endpoint as the rules see it. */
struct endpoint {
    bool up, held, proven;
};

static struct endpoint endpoint_of(const struct world *w, unsigned pool, unsigned family,
                                   unsigned end)
{
    const struct health_group *g = &w->groups[pool];
    uint32_t word = atomic_load(&w->regions[pool].word);
    bool current = (word & HEALTH_REGION_PROVE) != 0 ||
                   word >> HEALTH_EPOCH_SHIFT == atomic_load(&g->flags) >> HEALTH_EPOCH_SHIFT;
    uint64_t bit = UINT64_C(1) << end;

    return (struct endpoint){
        .up = (atomic_load(&g->up[family]) & bit) != 0,
        .held = (atomic_load(&g->held[family]) & bit) != 0,
        .proven = current && (atomic_load(&g->proven[family]) & bit) != 0,
    };
}

static bool stands_on(const struct endpoint *e, uint32_t word, unsigned rung)
{
    bool gated = (word & HEALTH_REGION_GATED) != 0;
    bool held = (word & HEALTH_REGION_HELD) != 0;
    bool drained = (word & HEALTH_REGION_DRAINED) != 0;

    if ((word & HEALTH_REGION_FORCED_DOWN) != 0 || (drained && rung < 5)) {
        return false;
    }
    switch (rung) {
    case 1:
        return ((!held && !gated) || ((word & HEALTH_REGION_PROVE) != 0 && e->proven)) && e->up;
    case 2:
        return !gated && (e->up || e->held);
    case 3:
        return gated && e->proven && (e->up || e->held);
    case 4:
        return !drained && e->up;
    default:
        return drained && e->up;
    }
}

struct verdict {
    unsigned rung; /* 0: none of 1 to 5 */
    bool any;      /* some family stands somewhere */
    uint64_t bits[POOLS];
};

/* Rungs 1 to 3 region by region, 4 and 5 together; hold_down is a half step below those. */
static struct verdict judge(const struct world *w, unsigned family)
{
    struct verdict v = { 0 };

    for (unsigned step = 0; step < 7 && v.rung == 0; step++) {
        unsigned rung = step < 3 ? step + 1 : step < 5 ? 4 : 5;
        bool held_too = step == 4 || step == 6;
        for (unsigned i = 0; i < w->service.pool_count; i++) {
            uint64_t bits[ADDR_FAMILIES] = { 0 };
            unsigned count = 0;
            for (unsigned f = 0; f < ADDR_FAMILIES; f++) {
                for (unsigned e = 0; e < w->pools[i].counts[f]; e++) {
                    struct endpoint end = endpoint_of(w, i, f, e);
                    end.up = end.up || (held_too && end.held);
                    if (stands_on(&end, atomic_load(&w->regions[i].word), rung)) {
                        bits[f] |= UINT64_C(1) << e;
                        count++;
                    }
                }
            }
            if (count < (rung < 4 ? w->groups[i].minimum : 1)) {
                continue;
            }
            v.any = true;
            v.bits[i] = bits[family];
            v.rung = bits[family] != 0 ? rung : v.rung;
            if (v.rung != 0 && rung < 4) {
                break;
            }
        }
    }
    return v;
}

static bool is_alive(const struct world *w, unsigned pool, unsigned family, uint64_t bits)
{
    return (bits & ~(atomic_load(&w->groups[pool].up[family]) |
                     atomic_load(&w->groups[pool].held[family]))) == 0;
}

static bool is_forced(const struct world *w, unsigned pool)
{
    return (atomic_load(&w->regions[pool].word) & HEALTH_REGION_FORCED_DOWN) != 0;
}

/* Does an endpoint of the family, or of any, live in a region that is not forced down? */
static bool has_life(const struct world *w, unsigned family)
{
    for (unsigned i = 0; i < w->service.pool_count; i++) {
        const struct health_group *g = &w->groups[i];
        if (!is_forced(w, i) &&
            (atomic_load(&g->up[family]) | atomic_load(&g->held[family])) != 0) {
            return true;
        }
    }
    return false;
}

static bool is_configured(const struct world *w, unsigned family)
{
    for (unsigned i = 0; i < w->service.pool_count; i++) {
        if (!is_forced(w, i) && w->pools[i].counts[family] > 0) {
            return true;
        }
    }
    return false;
}

/* What holds for every table, whatever the rungs say. */
static void check_promises(const struct world *w, unsigned family,
                           const struct steer_choice *choice)
{
    uint64_t all = 0;

    for (unsigned i = 0; i < w->service.pool_count; i++) {
        uint64_t bits = bits_of(choice, i);
        all |= bits;
        assert_true(bits >> w->pools[i].counts[family] == 0);
        assert_true(bits == 0 || !is_forced(w, i)); /* force_down is absolute */
        /* never a dead address while a living one exists */
        assert_true(choice->rung == 6 || is_alive(w, i, family, bits));
    }
    assert_true((choice->result == STEER_ADDRESSES) == (all != 0)); /* never an empty answer */
    if (has_life(w, family)) {
        assert_int_equal(choice->result, STEER_ADDRESSES);
        assert_true(choice->rung < 6);
    } else if (has_life(w, 1 - family)) {
        assert_int_equal(choice->result, STEER_NODATA);
    } else {
        assert_int_equal(choice->rung, 6);
    }
}

/* Nothing lives: what on_all_down may do. */
static void check_all_down(const struct world *w, unsigned family,
                           const struct steer_choice *choice)
{
    bool remembered = atomic_load(&w->memory.pool[1 - family]) != 0;

    assert_true(choice->short_ttl);
    switch (w->service.on_all_down) {
    case MODEL_ALL_DOWN_SERVFAIL:
        assert_int_equal(choice->result, STEER_SERVFAIL);
        break;
    case MODEL_ALL_DOWN_FALLBACK:
        assert_int_equal(choice->result,
                         w->service.fallback_counts[family] > 0 ? STEER_FALLBACK : STEER_NODATA);
        break;
    case MODEL_ALL_DOWN_LAST_GOOD:
        /* NODATA only where the family has nothing, or had nothing when it last was good */
        if (is_configured(w, family) && choice->result != STEER_ADDRESSES) {
            assert_int_equal(choice->result, STEER_NODATA);
            assert_true(remembered && atomic_load(&w->memory.pool[family]) == 0);
        }
        break;
    case MODEL_ALL_DOWN_ALL:
        assert_int_equal(choice->result, is_configured(w, family)       ? STEER_ADDRESSES
                                         : is_configured(w, 1 - family) ? STEER_NODATA
                                                                        : STEER_SERVFAIL);
        break;
    }
}

static void any_table_is_answered_by_the_rules(void **state)
{
    struct dice dice = { .state = 20181122 };
    unsigned rungs[7] = { 0 };
    (void)state;

    for (unsigned n = 0; n < CASES; n++) {
        struct world w;
        unsigned family = n & 1;
        roll_world(&w, &dice);
        struct steer_choice choice = choose(&w, family);
        struct verdict verdict = judge(&w, family);
        if (verdict.rung != 0) {
            assert_int_equal(choice.rung, verdict.rung);
            for (unsigned i = 0; i < w.service.pool_count; i++) {
                assert_true(bits_of(&choice, i) == verdict.bits[i]);
            }
        } else if (verdict.any) {
            assert_int_equal(choice.result, STEER_NODATA);
        } else {
            check_all_down(&w, family, &choice);
        }
        check_promises(&w, family, &choice);
        rungs[choice.rung]++;
    }
    for (unsigned i = 1; i <= 6; i++) {
        assert_true(rungs[i] > CASES / 200); /* all of them were met */
    }
}

static void a_gate_a_hold_or_a_drain_only_ever_demotes(void **state)
{
    static const uint32_t flags[] = { HEALTH_REGION_GATED, HEALTH_REGION_HELD,
                                      HEALTH_REGION_DRAINED };
    struct dice dice = { .state = 84 };
    (void)state;

    for (unsigned n = 0; n < CASES / 10; n++) {
        struct world w;
        unsigned family = n & 1, pool;
        roll_world(&w, &dice);
        pool = roll(&dice, w.service.pool_count);
        struct steer_choice before = choose(&w, family);
        atomic_fetch_or(&w.regions[pool].word, flags[n % 3]);
        struct steer_choice after = choose(&w, family);
        /* whoever answered still does, or others do: an answer never goes away */
        assert_true((before.result == STEER_ADDRESSES) == (after.result == STEER_ADDRESSES));
        assert_true((before.rung == 6) == (after.rung == 6));
    }
}

/* ---- words that move while they are read ---- */

struct race {
    struct world w;
    _Atomic uint64_t reads;
    _Atomic bool over;
    void (*flip)(struct world *w, bool on);
};

/* Flip the words, with some reads between any two flips. */
static void *flip_words(void *user)
{
    struct race *race = user;

    for (unsigned i = 0; i < 5000; i++) {
        uint64_t reads = atomic_load(&race->reads);
        while (atomic_load(&race->reads) < reads + 20) {
            sched_yield();
        }
        race->flip(&race->w, i % 2 == 0);
    }
    atomic_store(&race->over, true);
    return NULL;
}

static unsigned count_failures(struct race *race)
{
    pthread_t writer;
    unsigned failures = 0;

    assert_int_equal(pthread_create(&writer, NULL, flip_words, race), 0);
    while (!atomic_load(&race->over)) {
        struct steer_choice choice;
        steer_choose(&race->w.service, ADDR_V4, NULL, &choice);
        failures += choice.result != STEER_ADDRESSES;
        atomic_fetch_add(&race->reads, 1);
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
    return failures;
}

/* The first region goes as the last comes, and back: one of the two is always up. */
static void hand_over(struct world *w, bool on)
{
    unsigned last = POOLS - 1;

    atomic_store_explicit(&w->groups[on ? last : 0].up[ADDR_V4], 1, memory_order_release);
    atomic_store_explicit(&w->groups[on ? 0 : last].up[ADDR_V4], 0, memory_order_release);
}

static void a_hand_over_in_mid_read_is_not_an_outage(void **state)
{
    static struct race race;
    (void)state;

    memset(&race, 0, sizeof(race));
    begin(&race.w, POOLS, 1, 0, 1);
    for (unsigned i = 0; i < POOLS; i++) {
        set_region(&race.w, i, gate_1); /* so that all the words are needed */
    }
    set_up(&race.w, 0, 1, 0);
    race.flip = hand_over;
    assert_int_equal(count_failures(&race), 0);
}

/* Out of hold_down, in the order in which health stores; and back at once, in the other. */
static void end_hold(struct world *w, bool on)
{
    struct health_group *g = &w->groups[0];

    if (on) {
        atomic_store_explicit(&g->up[ADDR_V4], 1, memory_order_release);
        atomic_store_explicit(&g->held[ADDR_V4], 0, memory_order_release);
    } else {
        atomic_store_explicit(&g->held[ADDR_V4], 1, memory_order_release);
        atomic_store_explicit(&g->up[ADDR_V4], 0, memory_order_release);
    }
}

static void the_end_of_a_hold_in_mid_read_is_not_an_outage(void **state)
{
    static struct race race;
    (void)state;

    memset(&race, 0, sizeof(race));
    begin(&race.w, 1, 1, 0, 1);
    set_region(&race.w, 0, HEALTH_REGION_HELD);
    set_held(&race.w, 0, 1, 0);
    race.flip = end_hold;
    assert_int_equal(count_failures(&race), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_table_is_answered_by_the_rules),
        cmocka_unit_test(a_gate_a_hold_or_a_drain_only_ever_demotes),
        cmocka_unit_test(a_hand_over_in_mid_read_is_not_an_outage),
        cmocka_unit_test(the_end_of_a_hold_in_mid_read_is_not_an_outage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
