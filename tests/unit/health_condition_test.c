#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/health_world.h"

#define CHECKS 3

/* Three checks of one endpoint: ports 1001 to 1003. */
static struct model_check checks[CHECKS];

static const struct model_condition leaves[CHECKS] = {
    { .kind = MODEL_CONDITION_CHECK, .index = 0 },
    { .kind = MODEL_CONDITION_CHECK, .index = 1 },
    { .kind = MODEL_CONDITION_CHECK, .index = 2 },
};

static void set_up_one(struct world *w, const struct model_condition *condition)
{
    set_up_model(w);
    unsigned s = add_service(w, 1);
    add_endpoint(w, s, 0, "203.0.113.10");
    for (unsigned i = 0; i < CHECKS; i++) {
        checks[i] = (struct model_check){ .kind = MODEL_CHECK_TCP,
                                          .timing = timing,
                                          .port = (uint16_t)(1001 + i) };
    }
    w->services[s].checks = checks;
    w->services[s].check_count = CHECKS;
    w->services[s].condition = condition;
    begin(w);
    pass_all(w);
}

static const char *port(unsigned check)
{
    static const char *const targets[CHECKS] = { "203.0.113.10:1001", "203.0.113.10:1002",
                                                 "203.0.113.10:1003" };

    return targets[check];
}

static const char *state_of(const struct world *w, unsigned service)
{
    static struct health_endpoint_view view;

    health_view_endpoint(w->binding, service, 0, 0, &view);
    return view.state;
}

static void at_least_needs_so_many_parts(void **state)
{
    (void)state;

    for (uint32_t needed = 0; needed <= CHECKS + 1; needed++) {
        for (unsigned down = 0; down < 1u << CHECKS; down++) {
            const struct model_condition condition = { .kind = MODEL_CONDITION_AT_LEAST,
                                                       .needed = needed,
                                                       .parts = leaves,
                                                       .part_count = CHECKS };
            struct world w;
            set_up_one(&w, &condition);
            for (unsigned i = 0; i < CHECKS; i++) {
                give_times(&w, port(i), DETECT_STRONG, (down >> i) & 1 ? 3 : 0);
            }
            unsigned passing = CHECKS - (unsigned)__builtin_popcount(down);
            assert_true(up(&w, 0, 0, ADDR_V4) == (passing >= needed));
            end(&w);
        }
    }
}

static void not_inverts_and_is_never_held(void **state)
{
    const struct model_condition condition = { .kind = MODEL_CONDITION_NOT,
                                               .parts = leaves,
                                               .part_count = 1 };
    struct world w;
    (void)state;

    set_up_one(&w, &condition);
    assert_true(up(&w, 0, 0, ADDR_V4) == 0);
    assert_true(held(&w, 0, 0, ADDR_V4) == 0);
    give_times(&w, port(0), DETECT_STRONG, 3);
    assert_true(up(&w, 0, 0, ADDR_V4) == 1);
    give_times(&w, port(0), DETECT_PASS, 2); /* risen, but not up yet */
    assert_true(up(&w, 0, 0, ADDR_V4) == 1);
    bring_back(&w, port(0));
    assert_true(up(&w, 0, 0, ADDR_V4) == 0);
    assert_true(held(&w, 0, 0, ADDR_V4) == 0);
    end(&w);
}

static void what_is_unknown_counts_as_up_on_either_side_of_not(void **state)
{
    const struct model_condition condition = { .kind = MODEL_CONDITION_NOT,
                                               .parts = leaves,
                                               .part_count = 1 };
    struct world w;
    (void)state;

    set_up_model(&w);
    unsigned s = add_service(&w, 1);
    add_endpoint(&w, s, 0, "203.0.113.10");
    w.services[s].condition = &condition;
    begin(&w);
    assert_true(up(&w, s, 0, ADDR_V4) == 1);
    assert_string_equal(state_of(&w, s), "unknown");
    pass_all(&w);
    assert_true(up(&w, s, 0, ADDR_V4) == 0);
    end(&w);
}

static void the_best_parts_decide_how_well_it_is(void **state)
{
    const struct model_condition condition = {
        .kind = MODEL_CONDITION_AT_LEAST, .needed = 1, .parts = leaves, .part_count = 2
    };
    struct world w;
    (void)state;

    set_up_one(&w, &condition);
    give_times(&w, port(0), DETECT_STRONG, 1); /* suspected; the other one is not */
    assert_false(is_short(&w, 0, 0));
    give_times(&w, port(1), DETECT_STRONG, 1);
    assert_true(is_short(&w, 0, 0));
    give_times(&w, port(0), DETECT_STRONG, 2);
    give_times(&w, port(1), DETECT_STRONG, 2);
    assert_true(up(&w, 0, 0, ADDR_V4) == 0);
    give_times(&w, port(1), DETECT_PASS, 2);
    assert_true(held(&w, 0, 0, ADDR_V4) == 1); /* held alone would do */
    bring_back(&w, port(0));
    assert_true(up(&w, 0, 0, ADDR_V4) == 1);
    end(&w);
}

static void a_tree_says_which_of_its_parts_fails(void **state)
{
    const struct model_condition inner = { .kind = MODEL_CONDITION_NOT,
                                           .parts = &leaves[2],
                                           .part_count = 1 };
    const struct model_condition parts[] = { leaves[0], leaves[1], inner };
    const struct model_condition condition = {
        .kind = MODEL_CONDITION_AT_LEAST, .needed = 3, .parts = parts, .part_count = 3
    };
    struct health_endpoint_view view;
    struct world w;
    (void)state;

    set_up_one(&w, &condition);
    give_times(&w, port(1), DETECT_STRONG, 3);
    health_view_endpoint(w.binding, 0, 0, 0, &view);
    assert_string_equal(view.state, "down");
    assert_string_equal(view.failing, "seoul tcp 203.0.113.10:1002 does not pass; "
                                      "seoul tcp 203.0.113.10:1003 passes");
    give_times(&w, port(2), DETECT_STRONG, 3);
    bring_back(&w, port(1));
    health_view_endpoint(w.binding, 0, 0, 0, &view);
    assert_string_equal(view.state, "up");
    assert_string_equal(view.failing, "");
    end(&w);
}

/* ---- regions and services ---- */

/* `any` of its own check and region Tokyo. */
static void who_asks_about_a_region_follows_it(void **state)
{
    const struct model_condition parts[] = {
        { .kind = MODEL_CONDITION_CHECK, .index = 0 },
        { .kind = MODEL_CONDITION_REGION, .index = 1 },
    };
    const struct model_condition both = {
        .kind = MODEL_CONDITION_AT_LEAST, .needed = 2, .parts = parts, .part_count = 2
    };
    struct health_endpoint_view view;
    struct health_group untouched;
    struct world w;
    (void)state;

    set_up_model(&w);
    add_usual_service(&w);
    unsigned s = add_service(&w, 1);
    add_endpoint(&w, s, 0, "203.0.113.50");
    w.services[s].condition = &both;
    begin(&w);
    pass_all(&w);
    memcpy(&untouched, group(&w, 0, 0), sizeof(untouched));
    assert_true(up(&w, s, 0, ADDR_V4) == 1);
    w.now_ms += 60000;
    give_times(&w, TOKYO_DNS, DETECT_STRONG, 3);
    assert_true(up(&w, s, 0, ADDR_V4) == 0);
    assert_memory_equal(&untouched, group(&w, 0, 0), sizeof(untouched));
    health_view_endpoint(w.binding, s, 0, 0, &view);
    assert_string_equal(view.failing, "region tokyo is not in");
    assert_true(view.since_ms + 30000 > w.now_ms); /* not since its own check began to pass */
    give_times(&w, TOKYO_DNS, DETECT_PASS, 2);
    assert_true(held(&w, s, 0, ADDR_V4) == 1); /* with its region */
    bring_back(&w, TOKYO_DNS);
    assert_true(up(&w, s, 0, ADDR_V4) == 1);
    assert_true(health_override(w.health, "tokyo", HEALTH_REGION_DRAINED, true, w.now_ms));
    assert_true(up(&w, s, 0, ADDR_V4) == 0);
    end(&w);
}

/* Service 0 asks about 1, that about 2, which is written last: bound in the other order. */
static void who_asks_about_a_service_follows_it_however_far(void **state)
{
    const struct model_condition on[] = {
        { .kind = MODEL_CONDITION_SERVICE, .index = 1 },
        { .kind = MODEL_CONDITION_SERVICE, .index = 2 },
    };
    struct world w;
    (void)state;

    set_up_model(&w);
    for (unsigned i = 0; i < 3; i++) {
        char text[32];
        unsigned s = add_service(&w, 1);
        (void)snprintf(text, sizeof(text), "203.0.113.%u", 10 + i);
        add_endpoint(&w, s, i, text);
        w.services[s].name = "db.svc.example.com";
        w.services[s].condition = i < 2 ? &on[i] : NULL;
    }
    begin(&w);
    pass_all(&w);
    assert_true(up(&w, 0, 0, ADDR_V4) == 1);
    give_times(&w, "203.0.113.12:8080", DETECT_STRONG, 3);
    assert_true(up(&w, 1, 0, ADDR_V4) == 0);
    assert_true(up(&w, 0, 0, ADDR_V4) == 0);
    give_times(&w, "203.0.113.12:8080", DETECT_PASS, 2); /* second choice is good enough */
    assert_true(up(&w, 0, 0, ADDR_V4) == 1);
    give_times(&w, SINGAPORE_DNS, DETECT_STRONG, 3); /* the region of the last one */
    assert_true(up(&w, 0, 0, ADDR_V4) == 0);
    bring_back(&w, SINGAPORE_DNS);
    assert_true(up(&w, 0, 0, ADDR_V4) == 1);

    /* a reload without those it asks about keeps them as long as it does */
    struct health_binding *old = w.binding;
    w.binding = bind_model(&w);
    health_commit(w.health, w.binding, w.now_ms);
    health_unbind(w.health, old);
    give_times(&w, SINGAPORE_DNS, DETECT_STRONG, 3);
    assert_true(up(&w, 0, 0, ADDR_V4) == 0);
    end(&w);
}

static uint32_t said_of_db;

static uint32_t on_pool_word(void *user, const char *region, const char *service)
{
    (void)user;
    return strcmp(region, "seoul") == 0 && strcmp(service, "db.svc.example.com") == 0 ? said_of_db
                                                                                      : 0;
}

static void say_of_db(struct world *w, uint32_t said)
{
    said_of_db = said;
    health_pool_words_changed(w->health, w->now_ms);
}

/* Service 2 asks about 1, which asks about 0, whose endpoints another service has, too. */
static void who_asks_about_a_service_sees_the_hand_on_it(void **state)
{
    static const struct model_condition on[] = {
        { .kind = MODEL_CONDITION_SERVICE, .index = 0 },
        { .kind = MODEL_CONDITION_SERVICE, .index = 1 },
        { .kind = MODEL_CONDITION_SERVICE, .index = 3 },
    };
    static const char *const of[] = { "db.svc.example.com", "b.example", "c.example",
                                      "twin.example", "e.example" };
    struct world w;
    (void)state;

    set_up_model(&w);
    for (unsigned i = 0; i < 5; i++) {
        unsigned s = add_service(&w, 1);
        add_endpoint(&w, s, 0, i == 0 || i == 3 ? "203.0.113.10" : "203.0.113.11");
        w.services[s].name = of[i];
        w.services[s].condition = i == 1 ? &on[0] : i == 2 ? &on[1] : i == 4 ? &on[2] : NULL;
    }
    begin(&w);
    pass_all(&w);
    health_ask_pool_words(w.health, on_pool_word, NULL);
    for (unsigned i = 0; i < 2; i++) {
        say_of_db(&w, i == 0 ? HEALTH_REGION_DRAINED : HEALTH_REGION_FORCED_DOWN);
        assert_true(up(&w, 1, 0, ADDR_V4) == 0 && up(&w, 2, 0, ADDR_V4) == 0);
        assert_true(up(&w, 0, 0, ADDR_V4) == 1); /* the checks are as they were */
        assert_true(up(&w, 4, 0, ADDR_V4) == 1); /* and of its twin nothing was said */
        assert_true(health_override(w.health, "seoul", HEALTH_REGION_FORCED_UP, true, w.now_ms));
        assert_true(up(&w, 2, 0, ADDR_V4) == (i == 0)); /* a force outranks a drain */
        (void)health_override(w.health, "seoul", HEALTH_REGION_FORCED_UP, false, w.now_ms);
        say_of_db(&w, 0);
        assert_true(up(&w, 1, 0, ADDR_V4) == 1 && up(&w, 2, 0, ADDR_V4) == 1);
    }
    give_times(&w, "203.0.113.10:8080", DETECT_STRONG, 3);
    assert_true(up(&w, 2, 0, ADDR_V4) == 0);
    say_of_db(&w, HEALTH_REGION_FORCED_UP);
    assert_true(up(&w, 1, 0, ADDR_V4) == 1 && up(&w, 2, 0, ADDR_V4) == 1);
    assert_true(up(&w, 4, 0, ADDR_V4) == 0);
    struct addr only = address("203.0.113.10", 0);
    health_force_endpoint(w.health, &only, HEALTH_FORCE_DOWN, w.now_ms);
    assert_true(up(&w, 2, 0, ADDR_V4) == 0); /* there is none of it that could be answered */
    end(&w);
}

static void services_with_other_conditions_have_other_words(void **state)
{
    const struct model_condition any = {
        .kind = MODEL_CONDITION_AT_LEAST, .needed = 0, .parts = leaves, .part_count = 1
    };
    struct world w;
    (void)state;

    set_up_model(&w);
    for (unsigned i = 0; i < 3; i++) {
        unsigned s = add_service(&w, 1);
        add_endpoint(&w, s, 0, "203.0.113.10");
        w.services[s].condition = i == 0 ? NULL : &any;
    }
    begin(&w);
    pass_all(&w);
    assert_ptr_equal(group(&w, 1, 0), group(&w, 2, 0));
    assert_ptr_not_equal(group(&w, 0, 0), group(&w, 1, 0));
    give_times(&w, "203.0.113.10:8080", DETECT_STRONG, 3);
    assert_true(up(&w, 0, 0, ADDR_V4) == 0);
    assert_true(up(&w, 1, 0, ADDR_V4) == 1);
    end(&w);
}

/* Deep chains are bound and given back without a deep stack. */
static void a_long_chain_of_services_is_bound_and_given_back(void **state)
{
    enum {
        LENGTH = 20000
    };
    struct model_service *services = calloc(LENGTH, sizeof(*services));
    struct model_pool *pools = calloc(LENGTH, sizeof(*pools));
    struct model_condition *on = calloc(LENGTH, sizeof(*on));
    const struct model_endpoint endpoint = { .address = address("203.0.113.10", 0) };
    struct world w;
    (void)state;

    assert_true(services != NULL && pools != NULL && on != NULL);
    set_up_model(&w);
    w.model.services = services;
    w.model.service_count = LENGTH;
    for (uint32_t i = 0; i < LENGTH; i++) {
        pools[i] = (struct model_pool){ .endpoints = &endpoint, .endpoint_count = 1 };
        on[i] = (struct model_condition){ .kind = MODEL_CONDITION_SERVICE, .index = i + 1 };
        services[i] = (struct model_service){ .name = "x",
                                              .pools = &pools[i],
                                              .pool_count = 1,
                                              .checks = &w.web,
                                              .check_count = 1,
                                              .condition = i + 1 < LENGTH ? &on[i] : NULL };
    }
    begin(&w);
    pass_all(&w);
    assert_true(atomic_load(&health_binding_group(w.binding, 0, 0)->up[ADDR_V4]) == 1);
    give_times(&w, "203.0.113.10:8080", DETECT_STRONG, 3);
    assert_true(atomic_load(&health_binding_group(w.binding, 0, 0)->up[ADDR_V4]) == 0);
    end(&w);
    free(services);
    free(pools);
    free(on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_least_needs_so_many_parts),
        cmocka_unit_test(not_inverts_and_is_never_held),
        cmocka_unit_test(what_is_unknown_counts_as_up_on_either_side_of_not),
        cmocka_unit_test(the_best_parts_decide_how_well_it_is),
        cmocka_unit_test(a_tree_says_which_of_its_parts_fails),
        cmocka_unit_test(who_asks_about_a_region_follows_it),
        cmocka_unit_test(who_asks_about_a_service_follows_it_however_far),
        cmocka_unit_test(who_asks_about_a_service_sees_the_hand_on_it),
        cmocka_unit_test(services_with_other_conditions_have_other_words),
        cmocka_unit_test(a_long_chain_of_services_is_bound_and_given_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
