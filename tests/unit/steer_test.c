#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/steer_names.h"
#include "tests/unit/steer_world.h"

/* ---- each rung ---- */

static void the_first_region_that_is_in_answers(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 3, 2, 0, 1);
    for (unsigned i = 0; i < 3; i++) {
        set_up(&w, i, 3, 0);
    }
    assert_choice(&w, ADDR_V4, 1, 0, 3);
    assert_false(choose(&w, ADDR_V4).short_ttl);
    set_up(&w, 0, 2, 0);
    assert_choice(&w, ADDR_V4, 1, 0, 2);
    set_up(&w, 0, 0, 0);
    assert_choice(&w, ADDR_V4, 1, 1, 3);
    set_region(&w, 1, gate_1);
    assert_choice(&w, ADDR_V4, 1, 2, 3);
}

static void a_region_below_its_minimum_is_passed_over(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 3, 0, 2);
    set_up(&w, 0, 4, 0);
    set_up(&w, 1, 6, 0);
    assert_choice(&w, ADDR_V4, 1, 1, 6);
    set_up(&w, 0, 5, 0);
    assert_choice(&w, ADDR_V4, 1, 0, 5);
}

static void both_families_count_for_the_minimum(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 2, 2, 3);
    set_up(&w, 0, 3, 1);
    set_up(&w, 1, 3, 3);
    assert_choice(&w, ADDR_V4, 1, 0, 3);
    assert_choice(&w, ADDR_V6, 1, 0, 1);
    set_up(&w, 0, 2, 1);
    assert_choice(&w, ADDR_V4, 1, 1, 3);
}

static void hold_down_is_second_choice(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 2, 0, 1);
    set_up(&w, 0, 3, 0);
    set_up(&w, 1, 3, 0);
    set_region(&w, 0, HEALTH_REGION_HELD);
    assert_choice(&w, ADDR_V4, 1, 1, 3); /* seoul waits while tokyo is in */
    set_up(&w, 1, 0, 0);
    assert_choice(&w, ADDR_V4, 2, 0, 3); /* but it answers when nothing better does */
    assert_true(choose(&w, ADDR_V4).short_ttl);

    set_region(&w, 0, 0);
    set_up(&w, 0, 0, 0);
    set_held(&w, 0, 1, 0);
    assert_choice(&w, ADDR_V4, 2, 0, 1); /* the same when its endpoints are held */
    set_held(&w, 1, 2, 0);
    assert_choice(&w, ADDR_V4, 2, 0, 1);
    set_held(&w, 0, 0, 0);
    assert_choice(&w, ADDR_V4, 2, 1, 2);
}

static void a_gated_region_needs_proof_made_since(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 2, 0, 1);
    set_up(&w, 0, 3, 0);
    set_region(&w, 0, gate_1);
    assert_choice(&w, ADDR_V4, 4, 0, 3); /* no proof yet: not more than alive */
    set_proven(&w, 0, 1, 2, 0);
    assert_choice(&w, ADDR_V4, 3, 0, 2);
    set_region(&w, 0, HEALTH_REGION_GATED | 2u << HEALTH_EPOCH_SHIFT);
    assert_choice(&w, ADDR_V4, 4, 0, 3); /* what was proven before this gate counts no more */
    set_proven(&w, 0, 2, 3, 0);
    assert_choice(&w, ADDR_V4, 3, 0, 3);
    set_up(&w, 0, 1, 0);
    assert_choice(&w, ADDR_V4, 3, 0, 1); /* proven, but it died after that */
    set_up(&w, 1, 1, 0);
    assert_choice(&w, ADDR_V4, 1, 1, 1);
}

static void a_gate_alone_never_decides(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 3, 2, 0, 1);
    set_up(&w, 0, 3, 0);
    set_region(&w, 0, gate_1);
    /* the others are in, but their endpoints are dead */
    assert_choice(&w, ADDR_V4, 4, 0, 3);
    set_region(&w, 1, gate_1);
    set_region(&w, 2, gate_1);
    set_up(&w, 1, 1, 0);
    struct steer_choice choice = choose(&w, ADDR_V4);
    assert_int_equal(choice.rung, 4);
    assert_true(choice.bits_of[0] == 3 && choice.bits_of[1] == 1 && choice.bits_of[2] == 0);
}

static void a_region_that_proves_itself_stays_first_when_gated(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 2, 0, 1);
    set_up(&w, 0, 3, 0);
    set_up(&w, 1, 3, 0);
    set_proven(&w, 0, 0, 3, 0); /* passing, whatever the epoch */
    set_region(&w, 0, gate_1 | HEALTH_REGION_PROVE);
    assert_choice(&w, ADDR_V4, 1, 0, 3);
    set_up(&w, 0, 2, 0);
    assert_choice(&w, ADDR_V4, 1, 0, 2);
    set_proven(&w, 0, 0, 0, 0);
    assert_choice(&w, ADDR_V4, 1, 1, 3);
    /* proof excuses a gate, not a drain */
    set_proven(&w, 0, 0, 3, 0);
    set_region(&w, 0, gate_1 | HEALTH_REGION_PROVE | HEALTH_REGION_DRAINED);
    assert_choice(&w, ADDR_V4, 1, 1, 3);
}

static void below_every_minimum_all_that_is_up_answers_together(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 3, 3, 0, 2);
    set_up(&w, 0, 1, 0);
    set_up(&w, 2, 4, 0);
    set_held(&w, 1, 1, 0);
    struct steer_choice choice = choose(&w, ADDR_V4);
    assert_int_equal(choice.rung, 4);
    assert_true(choice.several && choice.short_ttl);
    assert_true(choice.bits_of[0] == 1 && choice.bits_of[1] == 0 && choice.bits_of[2] == 4);
    set_up(&w, 0, 0, 0);
    set_up(&w, 2, 0, 0);
    choice = choose(&w, ADDR_V4); /* who is in hold_down is better than nobody */
    assert_int_equal(choice.rung, 4);
    assert_true(choice.bits_of[1] == 1);
}

static void a_drained_region_is_the_last_that_lives(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 2, 0, 1);
    set_up(&w, 0, 3, 0);
    set_region(&w, 0, HEALTH_REGION_DRAINED);
    set_held(&w, 1, 1, 0);
    assert_choice(&w, ADDR_V4, 2, 1, 1);
    set_region(&w, 1, gate_1);
    assert_choice(&w, ADDR_V4, 4, 1, 1);
    set_held(&w, 1, 0, 0);
    assert_choice(&w, ADDR_V4, 5, 0, 3);
    set_up(&w, 0, 0, 0);
    set_held(&w, 0, 2, 0);
    assert_choice(&w, ADDR_V4, 5, 0, 2);
}

static void force_down_is_absolute(void **state)
{
    static const enum model_all_down modes[] = { MODEL_ALL_DOWN_LAST_GOOD, MODEL_ALL_DOWN_ALL };
    struct world w;
    (void)state;

    for (size_t m = 0; m < 2; m++) {
        begin(&w, 2, 2, 0, 1);
        w.service.on_all_down = modes[m];
        set_up(&w, 0, 3, 0);
        steer_remember(&w.service); /* seoul is remembered */
        set_region(&w, 0, HEALTH_REGION_FORCED_DOWN | HEALTH_REGION_PROVE | gate_1);
        set_proven(&w, 0, 1, 3, 0);
        assert_choice(&w, ADDR_V4, 6, 1, 3); /* all of tokyo, dead as it is */
        set_region(&w, 1, HEALTH_REGION_FORCED_DOWN);
        assert_result(&w, ADDR_V4, STEER_SERVFAIL);
    }
}

/* ---- address families ---- */

static void each_family_takes_the_first_region_that_has_it(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 2, 1, 1);
    set_up(&w, 0, 3, 0);
    set_up(&w, 1, 3, 1);
    assert_choice(&w, ADDR_V4, 1, 0, 3);
    assert_choice(&w, ADDR_V6, 1, 1, 1);
    set_region(&w, 1, gate_1);
    assert_choice(&w, ADDR_V6, 4, 1, 1); /* a lower rung rather than nothing */
}

static void a_family_without_anything_up_gets_nodata_while_another_lives(void **state)
{
    static const enum model_all_down modes[] = {
        MODEL_ALL_DOWN_LAST_GOOD,
        MODEL_ALL_DOWN_ALL,
        MODEL_ALL_DOWN_SERVFAIL,
        MODEL_ALL_DOWN_FALLBACK,
    };
    (void)state;

    for (size_t m = 0; m < 4; m++) {
        struct world w;
        begin(&w, 2, 2, 2, 1);
        w.service.on_all_down = modes[m];
        set_region(&w, 0, HEALTH_REGION_DRAINED);
        set_up(&w, 0, 1, 0); /* even the last of the rungs */
        assert_choice(&w, ADDR_V4, 5, 0, 1);
        assert_result(&w, ADDR_V6, STEER_NODATA);
        assert_true(choose(&w, ADDR_V6).short_ttl);
        set_region(&w, 0, HEALTH_REGION_FORCED_DOWN); /* but what is forced down does not live */
        assert_true(choose(&w, ADDR_V6).rung == 6);
    }
}

/* ---- on_all_down ---- */

static void when_all_is_down_the_configured_thing_happens(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 2, 1, 1);
    assert_result(&w, ADDR_V4, STEER_SERVFAIL);

    w.service.on_all_down = MODEL_ALL_DOWN_ALL;
    struct steer_choice choice = choose(&w, ADDR_V4);
    assert_int_equal(choice.result, STEER_ADDRESSES);
    assert_true(choice.several && choice.short_ttl && choice.rung == 6);
    assert_true(choice.bits_of[0] == 3 && choice.bits_of[1] == 3);

    w.service.on_all_down = MODEL_ALL_DOWN_FALLBACK;
    w.service.fallback_counts[ADDR_V4] = 1;
    assert_result(&w, ADDR_V4, STEER_FALLBACK);
    assert_result(&w, ADDR_V6, STEER_NODATA); /* there is none of that family */

    w.service.on_all_down = MODEL_ALL_DOWN_LAST_GOOD;
    choice = choose(&w, ADDR_V4); /* nothing is remembered: all */
    assert_true(choice.bits_of[0] == 3 && choice.bits_of[1] == 3);
}

static void the_last_good_set_is_remembered(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 3, 2, 1);
    w.service.on_all_down = MODEL_ALL_DOWN_LAST_GOOD;
    set_up(&w, 0, 7, 1);
    set_up(&w, 1, 7, 3);
    steer_remember(&w.service);
    set_up(&w, 0, 0, 0);
    set_up(&w, 1, 5, 2);
    steer_remember(&w.service); /* tokyo now */
    set_region(&w, 0, gate_1);
    set_region(&w, 1, gate_1);
    set_up(&w, 1, 1, 0);
    steer_remember(&w.service); /* rung 4 is not good */
    set_up(&w, 1, 0, 0);
    steer_remember(&w.service);
    assert_choice(&w, ADDR_V4, 6, 1, 5);
    assert_choice(&w, ADDR_V6, 6, 1, 2);
}

/* All regions together, as of `policy: all`. */
static const struct steer_policy together = { .filters = STEER_ALL };

static void begin_together(struct world *w, unsigned pools, unsigned v4, unsigned v6)
{
    begin(w, pools, v4, v6, 1);
    w->service.policy = &together;
    w->service.way[ADDR_V4] = w->service.way[ADDR_V6] = STEER_WAY_CHOOSE;
    w->service.on_all_down = MODEL_ALL_DOWN_LAST_GOOD;
}

static void die(struct world *w)
{
    for (uint32_t i = 0; i < w->service.pool_count; i++) {
        set_up(w, i, 0, 0);
    }
}

static void several_regions_are_remembered_together(void **state)
{
    struct world w;
    (void)state;

    begin_together(&w, 3, 4, 2);
    set_up(&w, 0, 5, 1);
    set_up(&w, 2, 10, 2);
    steer_remember(&w.service);
    die(&w);
    struct steer_choice choice = choose(&w, ADDR_V4);
    assert_int_equal(choice.rung, 6);
    assert_true(bits_of(&choice, 0) == 5 && bits_of(&choice, 1) == 0 && bits_of(&choice, 2) == 10);
    choice = choose(&w, ADDR_V6);
    assert_true(bits_of(&choice, 0) == 1 && bits_of(&choice, 1) == 0 && bits_of(&choice, 2) == 2);

    set_region(&w, 0, HEALTH_REGION_FORCED_DOWN);
    atomic_store(&w.groups[2].barred[ADDR_V4], 2);
    assert_choice(&w, ADDR_V4, 6, 2, 8); /* what an operator has taken out is answered no more */
    set_region(&w, 2, HEALTH_REGION_FORCED_DOWN);
    assert_choice(&w, ADDR_V4, 6, 1, 15); /* nothing is left of it: all that may be */
}

static void of_very_many_endpoints_the_regions_are_remembered(void **state)
{
    struct world w;
    (void)state;

    for (unsigned more = 0; more < 2; more++) { /* 64 endpoints are kept one by one, 65 are not */
        begin_together(&w, 3, 0, 0);
        set_pool(&w, 0, 31, 0, 1);
        set_pool(&w, 1, 2, 0, 1);
        set_pool(&w, 2, 31 + more, 0, 1);
        set_up(&w, 0, 3, 0);
        set_up(&w, 2, UINT64_C(1) << 30, 0);
        steer_remember(&w.service);
        die(&w);
        struct steer_choice choice = choose(&w, ADDR_V4);
        assert_int_equal(choice.rung, 6);
        assert_true(bits_of(&choice, 0) == (more == 0 ? 3 : UINT64_MAX >> 33));
        assert_true(bits_of(&choice, 1) == 0);
        assert_true(bits_of(&choice, 2) ==
                    (more == 0 ? UINT64_C(1) << 30 : UINT64_MAX >> (64 - 32)));
    }
}

static void several_regions_are_inherited_by_name_and_address(void **state)
{
    struct world old, w;
    (void)state;

    begin_together(&old, 3, 4, 0);
    set_up(&old, 0, 9, 0);
    set_up(&old, 1, 6, 0);
    set_up(&old, 2, 1, 0);
    steer_remember(&old.service);

    begin_together(&w, 2, 4, 0); /* singapore, with seoul's behind it; tokyo is gone */
    w.pools[0].region_name = names[2];
    w.pools[1].region_name = names[0];
    uint8_t *room = add_records(w.records[ADDR_V4], 2, ADDR_V4, 4);
    (void)add_records(room, 0, ADDR_V4, 4);
    steer_inherit(&w.service, &old.service);
    struct steer_choice choice = choose(&w, ADDR_V4);
    assert_int_equal(choice.rung, 6);
    assert_true(bits_of(&choice, 0) == 1 && bits_of(&choice, 1) == 9);
}

static void several_regions_come_back_from_their_names(void **state)
{
    struct addr addresses[HEALTH_FILE_GOOD_MAX];
    struct health_good good;
    struct world old, w;
    unsigned lines = 0;
    (void)state;

    begin_together(&old, 3, 4, 0);
    set_up(&old, 0, 9, 0);
    set_up(&old, 2, 6, 0);
    steer_remember(&old.service);
    begin_together(&w, 3, 4, 0);
    for (uint32_t pool = 0; pool < 3; pool++) {
        if (steer_names_of(&old.service, ADDR_V4, pool, addresses, &good)) {
            assert_true(steer_names_recall(&w.service, &good));
            lines++;
        }
    }
    assert_int_equal(lines, 2);
    struct steer_choice choice = choose(&w, ADDR_V4);
    assert_int_equal(choice.rung, 6);
    assert_true(bits_of(&choice, 0) == 9 && bits_of(&choice, 1) == 0 && bits_of(&choice, 2) == 6);
    good.region = "elsewhere";
    assert_false(steer_names_recall(&w.service, &good));
    choice = choose(&w, ADDR_V4);
    assert_true(bits_of(&choice, 0) == 9); /* that took nothing away */
}

static void families_are_remembered_where_each_was(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 0, 0, 1);
    set_pool(&w, 0, 2, 0, 1);
    set_pool(&w, 1, 0, 2, 1);
    w.service.on_all_down = MODEL_ALL_DOWN_LAST_GOOD;
    set_up(&w, 0, 1, 0);
    set_up(&w, 1, 0, 2);
    steer_remember(&w.service);
    set_up(&w, 0, 0, 0);
    set_up(&w, 1, 0, 0);
    assert_choice(&w, ADDR_V4, 6, 0, 1);
    assert_choice(&w, ADDR_V6, 6, 1, 2);
}

static void a_family_that_was_not_answered_last_stays_unanswered(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 1, 2, 2, 1);
    w.service.on_all_down = MODEL_ALL_DOWN_LAST_GOOD;
    set_up(&w, 0, 3, 3);
    steer_remember(&w.service);
    set_up(&w, 0, 3, 0);
    steer_remember(&w.service);
    set_up(&w, 0, 0, 0);
    assert_choice(&w, ADDR_V4, 6, 0, 3);
    assert_result(&w, ADDR_V6, STEER_NODATA);
}

static void memory_is_inherited_by_region_and_address(void **state)
{
    struct world old, w;
    (void)state;

    begin(&old, 2, 4, 1, 1);
    set_up(&old, 0, 0, 0);
    set_up(&old, 1, 0xb, 1); /* tokyo's endpoints 0, 1 and 3 */
    steer_remember(&old.service);

    /* tokyo comes first now, has lost endpoint 0, and the others moved */
    begin(&w, 2, 1, 0, 1);
    set_pool(&w, 0, 3, 0, 1);
    w.pools[0].region_name = names[1];
    w.pools[1].region_name = names[0];
    for (unsigned i = 0; i < 3; i++) {
        struct addr address = address_of(1, ADDR_V4, 3 - i);
        steer_record_put(w.records[ADDR_V4] + i * 16, &address, NORMAL);
    }
    w.service.on_all_down = MODEL_ALL_DOWN_LAST_GOOD;
    steer_inherit(&w.service, &old.service);
    assert_choice(&w, ADDR_V4, 6, 0, 5); /* 3 and 1; 2 was dead then, too */

    /* a region that is gone leaves nothing: all */
    w.pools[0].region_name = names[2];
    steer_inherit(&w.service, &old.service);
    struct steer_choice choice = choose(&w, ADDR_V4);
    assert_true(choice.several && choice.bits_of[0] == 7 && choice.bits_of[1] == 1);

    /* and so do endpoints that are all gone */
    w.pools[0].region_name = names[1];
    add_records(w.records[ADDR_V4], 50, ADDR_V4, 3);
    steer_inherit(&w.service, &old.service);
    assert_true(choose(&w, ADDR_V4).several);
}

/* ---- putting records ---- */

struct answer {
    uint8_t bytes[8 + 8 * 28 + 8]; /* with a guard at each end */
    unsigned count;
    size_t length;
    bool cut;
};

static void put(const struct world *w, unsigned family, uint16_t owner, uint32_t turn, size_t cap,
                struct answer *out)
{
    struct steer_choice choice;

    assert_true(cap <= 8 * 28);
    steer_choose(&w->service, family, NULL, &choice);
    memset(out, 0xee, sizeof(*out));
    out->count = steer_put(&w->service, family, &choice, owner, turn, out->bytes + 8, cap,
                           &out->length, &out->cut);
    assert_true(out->length <= cap);
    assert_int_equal(out->length, out->count * steer_record_bytes(family));
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(out->bytes[i], 0xee);
    }
    for (size_t i = 8 + out->length; i < sizeof(out->bytes); i++) {
        assert_int_equal(out->bytes[i], 0xee);
    }
}

static const uint8_t *record_at(const struct answer *answer, unsigned family, unsigned i)
{
    return answer->bytes + 8 + i * steer_record_bytes(family);
}

/* The endpoint whose address the record holds; the pool in `*out_pool`. */
static unsigned end_of(const uint8_t *record, unsigned family, unsigned *out_pool)
{
    *out_pool = record[13];
    return record[family == ADDR_V4 ? 15 : 27] - 1u;
}

static void records_carry_owner_type_and_ttl(void **state)
{
    static const uint16_t owners[] = { WIRE_QUESTION, 40, 0x3fff };
    struct answer answer;
    struct world w;
    (void)state;

    begin(&w, 1, 2, 2, 1);
    set_up(&w, 0, 3, 3);
    for (unsigned family = 0; family < ADDR_FAMILIES; family++) {
        for (size_t i = 0; i < 3; i++) {
            put(&w, family, owners[i], 0, 200, &answer);
            assert_int_equal(answer.count, 2);
            for (unsigned r = 0; r < 2; r++) {
                const uint8_t *record = record_at(&answer, family, r);
                struct addr address = address_of(0, family, r);
                assert_int_equal(wire_get16(record), 0xc000 | owners[i]);
                assert_int_equal(wire_get16(record + 2), family == ADDR_V4 ? WIRE_A : WIRE_AAAA);
                assert_int_equal(wire_get16(record + 4), WIRE_IN);
                assert_int_equal(wire_get32(record + 6), NORMAL);
                assert_int_equal(wire_get16(record + 10), addr_size_bytes(&address));
                assert_memory_equal(record + 12, address.bytes, addr_size_bytes(&address));
            }
        }
    }
}

static void doubt_shortens_the_ttl(void **state)
{
    struct answer answer;
    struct world w;
    (void)state;

    begin(&w, 1, 1, 0, 1);
    set_up(&w, 0, 1, 0);
    put(&w, ADDR_V4, 12, 0, 16, &answer);
    assert_int_equal(wire_get32(record_at(&answer, ADDR_V4, 0) + 6), NORMAL);
    set_region(&w, 0, HEALTH_REGION_SUSPECT);
    put(&w, ADDR_V4, 12, 0, 16, &answer);
    assert_int_equal(wire_get32(record_at(&answer, ADDR_V4, 0) + 6), SUSPECT);
    set_region(&w, 0, 0);
    atomic_store(&w.groups[0].flags, HEALTH_GROUP_SUSPECT);
    put(&w, ADDR_V4, 12, 0, 16, &answer);
    assert_int_equal(wire_get32(record_at(&answer, ADDR_V4, 0) + 6), SUSPECT);
    atomic_store(&w.groups[0].flags, 0);
    set_region(&w, 0, HEALTH_REGION_HELD); /* every lower rung */
    put(&w, ADDR_V4, 12, 0, 16, &answer);
    assert_int_equal(wire_get32(record_at(&answer, ADDR_V4, 0) + 6), SUSPECT);
}

static void no_byte_goes_beyond_the_room_there_is(void **state)
{
    (void)state;

    for (unsigned family = 0; family < ADDR_FAMILIES; family++) {
        for (unsigned ends = 1; ends <= 8; ends++) {
            for (size_t cap = 0; cap <= 8 * 28; cap++) {
                struct answer answer;
                struct world w;
                unsigned size = steer_record_bytes(family);
                begin(&w, 2, ends, ends, (cap & 1) == 0 ? 1 : 99); /* one pool, or together */
                set_up(&w, 0, (1u << ends) - 1, (1u << ends) - 1);
                put(&w, family, 12, 0x9e3779b9u * (uint32_t)cap, cap, &answer);
                assert_int_equal(answer.count, cap / size < ends ? cap / size : ends);
                assert_int_equal(answer.cut, cap / size < ends);
            }
        }
    }
}

/* Put often with turns all over; each chosen address must stand in front equally often. */
static void check_rotation(struct world *w, unsigned total, unsigned shown)
{
    enum {
        TURNS = 6000
    };
    unsigned first[POOLS][STEER_ENDPOINTS_MAX] = { 0 }, seen[POOLS][STEER_ENDPOINTS_MAX] = { 0 };
    unsigned met = 0;

    for (uint32_t i = 0; i < TURNS; i++) {
        struct answer answer;
        unsigned pool, end;
        put(w, ADDR_V4, 12, (uint32_t)(((uint64_t)i << 32) / TURNS), 8 * 28, &answer);
        assert_int_equal(answer.count, shown);
        end = end_of(record_at(&answer, ADDR_V4, 0), ADDR_V4, &pool);
        first[pool][end]++;
        for (unsigned r = 0; r < shown; r++) {
            end = end_of(record_at(&answer, ADDR_V4, r), ADDR_V4, &pool);
            seen[pool][end]++;
        }
    }
    for (unsigned pool = 0; pool < POOLS; pool++) {
        for (unsigned end = 0; end < STEER_ENDPOINTS_MAX; end++) {
            if (seen[pool][end] == 0) {
                continue;
            }
            met++;
            assert_in_range(first[pool][end], TURNS / total - 2, TURNS / total + 2);
            assert_in_range(seen[pool][end], TURNS * shown / total - 20,
                            TURNS * shown / total + 20);
        }
    }
    assert_int_equal(met, total);
}

static void rotation_covers_every_address_fairly(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 64, 0, 1);
    set_up(&w, 0, 0x15, 0);
    check_rotation(&w, 3, 3);
    w.service.max_addresses = 2;
    check_rotation(&w, 3, 2);
    w.service.max_addresses = 8;
    set_up(&w, 0, UINT64_MAX, 0);
    check_rotation(&w, 64, 8);
    /* over regions together as well */
    w.groups[0].minimum = 65;
    w.groups[1].minimum = 65;
    set_up(&w, 0, 0x8000000000000001u, 0);
    set_up(&w, 1, 7, 0);
    check_rotation(&w, 5, 5);
    w.service.max_addresses = 3;
    check_rotation(&w, 5, 3);
}

static void an_answer_names_no_address_twice(void **state)
{
    struct dice dice = { .state = 7 };
    (void)state;

    for (unsigned n = 0; n < 20000; n++) {
        struct world w;
        struct answer answer;
        bool seen[POOLS][ENDS] = { { false } };
        roll_world(&w, &dice);
        w.service.max_addresses = 1 + roll(&dice, 8);
        if (choose(&w, n & 1).result != STEER_ADDRESSES) {
            continue;
        }
        put(&w, n & 1, 12, roll(&dice, UINT32_MAX), 8 * 28, &answer);
        assert_true(answer.count >= 1 && answer.count <= w.service.max_addresses);
        for (unsigned r = 0; r < answer.count; r++) {
            unsigned pool;
            unsigned end = end_of(record_at(&answer, n & 1, r), n & 1, &pool);
            assert_false(seen[pool][end]);
            seen[pool][end] = true;
        }
    }
}

static void the_fallback_is_put_with_the_short_ttl(void **state)
{
    struct answer answer;
    struct world w;
    (void)state;

    begin(&w, 1, 1, 0, 1);
    w.service.on_all_down = MODEL_ALL_DOWN_FALLBACK;
    w.service.fallback_counts[ADDR_V4] = 2;
    add_records(w.fallback[ADDR_V4], 99, ADDR_V4, 2);
    put(&w, ADDR_V4, 12, UINT32_MAX, 100, &answer);
    assert_int_equal(answer.count, 2);
    for (unsigned r = 0; r < 2; r++) {
        unsigned pool;
        assert_int_equal(end_of(record_at(&answer, ADDR_V4, r), ADDR_V4, &pool), 1 - r);
        assert_int_equal(pool, 99);
        assert_int_equal(wire_get32(record_at(&answer, ADDR_V4, r) + 6), SUSPECT);
    }
}

/* ---- explaining ---- */

static void the_explanation_names_regions_and_rungs(void **state)
{
    struct text trace = { 0 };
    struct steer_choice choice;
    struct world w;
    (void)state;

    begin(&w, 2, 2, 0, 1);
    set_up(&w, 0, 1, 0);
    set_up(&w, 1, 3, 0);
    set_region(&w, 0, gate_1);
    steer_explain(&w.service, ADDR_V4, NULL, &choice, &trace);
    assert_non_null(strstr(text_string(&trace), "region seoul is gated by its own checks"));
    assert_non_null(
        strstr(text_string(&trace), "rung 1 (region in or proving itself, minimum met): tokyo"));
    text_fini(&trace);
}

static void assert_explained(struct world *w, const char *part)
{
    struct text trace = { 0 };
    struct steer_choice choice;

    steer_explain(&w->service, ADDR_V4, NULL, &choice, &trace);
    if (strstr(text_string(&trace), part) == NULL) {
        fail_msg("'%s' is not in:\n%s", part, text_string(&trace));
    }
    text_fini(&trace);
}

static void the_explanation_says_what_became_of_on_all_down(void **state)
{
    struct world w;
    (void)state;

    begin(&w, 2, 2, 0, 1);
    w.service.on_all_down = MODEL_ALL_DOWN_LAST_GOOD;
    assert_explained(&w, ": last_good, but nothing is remembered: all\n");
    set_up(&w, 0, 3, 0);
    steer_remember(&w.service);
    set_up(&w, 0, 0, 0);
    assert_explained(&w, ": last_good\n");
    atomic_store(&w.groups[0].barred[ADDR_V4], 3);
    assert_explained(&w, ": last_good, but what is remembered is forced down: all\n");
    atomic_store(&w.groups[1].barred[ADDR_V4], 3);
    assert_explained(&w, ": last_good, but everything is forced down: servfail\n");
    w.service.on_all_down = MODEL_ALL_DOWN_ALL;
    assert_explained(&w, ": all, but everything is forced down: servfail\n");
}

static void the_explanation_leaves_no_rung_out(void **state)
{
    struct text trace = { 0 };
    struct steer_choice choice;
    struct world w;
    (void)state;

    begin(&w, 2, 2, 0, 1);
    set_up(&w, 0, 0, 0);
    set_up(&w, 1, 0, 0);
    steer_explain(&w.service, ADDR_V4, NULL, &choice, &trace);
    assert_int_equal(choice.rung, 6);
    for (char rung = '1'; rung <= '6'; rung++) {
        char line[] = "\nrung 0 (";
        line[6] = rung;
        assert_non_null(strstr(text_string(&trace), line));
    }
    text_fini(&trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_region_that_is_in_answers),
        cmocka_unit_test(a_region_below_its_minimum_is_passed_over),
        cmocka_unit_test(both_families_count_for_the_minimum),
        cmocka_unit_test(hold_down_is_second_choice),
        cmocka_unit_test(a_gated_region_needs_proof_made_since),
        cmocka_unit_test(a_gate_alone_never_decides),
        cmocka_unit_test(a_region_that_proves_itself_stays_first_when_gated),
        cmocka_unit_test(below_every_minimum_all_that_is_up_answers_together),
        cmocka_unit_test(a_drained_region_is_the_last_that_lives),
        cmocka_unit_test(force_down_is_absolute),
        cmocka_unit_test(each_family_takes_the_first_region_that_has_it),
        cmocka_unit_test(a_family_without_anything_up_gets_nodata_while_another_lives),
        cmocka_unit_test(when_all_is_down_the_configured_thing_happens),
        cmocka_unit_test(the_last_good_set_is_remembered),
        cmocka_unit_test(several_regions_are_remembered_together),
        cmocka_unit_test(of_very_many_endpoints_the_regions_are_remembered),
        cmocka_unit_test(several_regions_are_inherited_by_name_and_address),
        cmocka_unit_test(several_regions_come_back_from_their_names),
        cmocka_unit_test(families_are_remembered_where_each_was),
        cmocka_unit_test(a_family_that_was_not_answered_last_stays_unanswered),
        cmocka_unit_test(memory_is_inherited_by_region_and_address),
        cmocka_unit_test(records_carry_owner_type_and_ttl),
        cmocka_unit_test(doubt_shortens_the_ttl),
        cmocka_unit_test(no_byte_goes_beyond_the_room_there_is),
        cmocka_unit_test(rotation_covers_every_address_fairly),
        cmocka_unit_test(an_answer_names_no_address_twice),
        cmocka_unit_test(the_fallback_is_put_with_the_short_ttl),
        cmocka_unit_test(the_explanation_names_regions_and_rungs),
        cmocka_unit_test(the_explanation_says_what_became_of_on_all_down),
        cmocka_unit_test(the_explanation_leaves_no_rung_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
