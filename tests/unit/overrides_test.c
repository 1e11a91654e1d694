#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/overrides.h"

static struct override make(const char *target, enum override_kind kind)
{
    struct override o = { .kind = kind, .since_s = 1000 };

    (void)snprintf(o.target, sizeof(o.target), "%s", target);
    (void)snprintf(o.reason, sizeof(o.reason), "because \"of\" it\n");
    (void)snprintf(o.author, sizeof(o.author), "alice (uid 1000)");
    return o;
}

static void set(struct overrides *overrides, const struct override *o)
{
    struct error err;

    assert_int_equal(overrides_set(overrides, o, &err), 0);
}

static void a_target_means_regions_pools_or_endpoints(void **state)
{
    struct override region = make("seoul", OVERRIDE_DRAIN);
    struct override pool = make("tokyo/api", OVERRIDE_DRAIN);
    struct override whole = make("tokyo/api.example.com.", OVERRIDE_DRAIN);
    struct override nothing = make("tokyo/", OVERRIDE_DRAIN);
    struct override glob = make("*/db.example.com", OVERRIDE_DRAIN);
    struct override address = make("203.0.113.10", OVERRIDE_FORCE_DOWN);
    struct addr with_port, other;
    struct error err;

    (void)state;
    assert_int_equal(addr_parse("203.0.113.10:8080", 0, &with_port, &err), 0);
    assert_int_equal(addr_parse("203.0.113.11", 0, &other, &err), 0);
    assert_true(override_means_region(&region, "seoul"));
    assert_false(override_means_region(&region, "seoul2"));
    assert_false(override_means_pool(&region, "seoul", "api.example.com"));
    assert_true(override_means_pool(&pool, "tokyo", "api.example.com"));
    assert_true(override_means_pool(&pool, "tokyo", "API.example.com"));
    assert_true(override_means_pool(&whole, "tokyo", "api.example.com"));
    assert_false(override_means_pool(&nothing, "tokyo", "api.example.com"));
    assert_false(override_means_pool(&pool, "tokyo", "api2.example.com"));
    assert_false(override_means_pool(&pool, "seoul", "api.example.com"));
    assert_false(override_means_region(&pool, "tokyo"));
    assert_true(override_means_pool(&glob, "anywhere", "db.example.com"));
    assert_true(override_means_endpoint(&address, &with_port));
    assert_false(override_means_endpoint(&address, &other));
    assert_false(override_means_endpoint(&region, &other));
}

static void one_that_was_ended_early_means_nothing(void **state)
{
    struct overrides *overrides = overrides_new();
    struct override o = make("seoul", OVERRIDE_DRAIN);

    (void)state;
    o.scheduled = true;
    set(overrides, &o);
    assert_int_equal(overrides_mute(overrides, "seoul"), 1);
    assert_int_equal(overrides_mute(overrides, "seoul"), 0);
    assert_false(override_means_region(overrides_at(overrides, 0), "seoul"));
    overrides_free(overrides);
}

static void a_drain_and_a_force_stand_side_by_side(void **state)
{
    struct overrides *overrides = overrides_new();
    struct override drain = make("seoul", OVERRIDE_DRAIN);
    struct override up = make("seoul", OVERRIDE_FORCE_UP);
    struct override down = make("seoul", OVERRIDE_FORCE_DOWN);

    (void)state;
    set(overrides, &drain);
    set(overrides, &up);
    set(overrides, &down); /* takes the place of up */
    assert_int_equal(overrides_count(overrides), 2);
    assert_int_equal(overrides_at(overrides, 1)->kind, OVERRIDE_FORCE_DOWN);
    assert_int_equal(overrides_release(overrides, "seoul", OVERRIDE_RELEASE_DRAIN, false), 1);
    assert_int_equal(overrides_count(overrides), 1);
    assert_int_equal(overrides_release(overrides, "seoul", OVERRIDE_RELEASE_ALL, false), 1);
    assert_int_equal(overrides_release(overrides, "seoul", OVERRIDE_RELEASE_ALL, false), 0);
    overrides_free(overrides);
}

static void only_those_whose_time_is_over_expire(void **state)
{
    struct overrides *overrides = overrides_new();
    struct override forever = make("seoul", OVERRIDE_DRAIN);
    struct override soon = make("tokyo", OVERRIDE_DRAIN);
    struct override gone;

    (void)state;
    soon.until_s = 2000;
    set(overrides, &forever);
    assert_true(overrides_next_s(overrides) == INT64_MAX);
    set(overrides, &soon);
    assert_true(overrides_next_s(overrides) == 2000);
    assert_false(overrides_expire(overrides, 1999, &gone));
    assert_true(overrides_expire(overrides, 2000, &gone));
    assert_string_equal(gone.target, "tokyo");
    assert_false(overrides_expire(overrides, INT64_MAX, &gone));
    overrides_free(overrides);
}

static void what_is_rendered_is_taken_in_again_without_the_scheduled(void **state)
{
    struct overrides *overrides = overrides_new();
    struct overrides *again = overrides_new();
    struct override kept = make("tokyo/api", OVERRIDE_FORCE_UP);
    struct override scheduled = make("seoul", OVERRIDE_DRAIN);
    struct text text = { 0 };
    struct error err;

    (void)state;
    kept.until_s = 5000;
    scheduled.scheduled = true;
    set(overrides, &kept);
    set(overrides, &scheduled);
    overrides_render(overrides, &text);
    assert_int_equal(overrides_parse(again, text_string(&text), text.length, &err), 0);
    assert_int_equal(overrides_count(again), 1);
    const struct override *o = overrides_at(again, 0);
    assert_string_equal(o->target, "tokyo/api");
    assert_string_equal(o->reason, kept.reason);
    assert_string_equal(o->author, kept.author);
    assert_int_equal(o->kind, OVERRIDE_FORCE_UP);
    assert_true(o->since_s == 1000 && o->until_s == 5000);
    text_fini(&text);
    overrides_free(overrides);
    overrides_free(again);
}

static void damage_anywhere_takes_nothing_in(void **state)
{
    struct overrides *overrides = overrides_new();
    struct overrides *again = overrides_new();
    struct override o = make("seoul", OVERRIDE_DRAIN);
    struct text text = { 0 };
    struct error err;

    (void)state;
    set(overrides, &o);
    set(again, &o);
    overrides_render(overrides, &text);
    for (size_t length = 0; length + 2 < text.length; length++) {
        assert_int_equal(overrides_parse(again, text_string(&text), length, &err), -EINVAL);
        assert_int_equal(overrides_count(again), 1);
    }
    static const char foreign[] = "{\"version\":2,\"overrides\":[]}";
    assert_int_equal(overrides_parse(again, foreign, strlen(foreign), &err), -EINVAL);
    static const char wrong[] = "{\"version\":1,\"overrides\":[{\"target\":\"x\"}]}";
    assert_int_equal(overrides_parse(again, wrong, strlen(wrong), &err), -EINVAL);
    assert_non_null(strstr(err.message, "entry 1"));
    text_fini(&text);
    overrides_free(overrides);
    overrides_free(again);
}

static void their_number_is_bounded(void **state)
{
    struct overrides *overrides = overrides_new();
    struct error err;
    char target[32];

    (void)state;
    for (unsigned i = 0; i < OVERRIDES_MAX; i++) {
        (void)snprintf(target, sizeof(target), "region%u", i);
        struct override o = make(target, OVERRIDE_DRAIN);
        set(overrides, &o);
    }
    struct override more = make("one-more", OVERRIDE_DRAIN);
    assert_int_equal(overrides_set(overrides, &more, &err), -E2BIG);
    struct override again = make("region7", OVERRIDE_DRAIN);
    set(overrides, &again); /* replacing is always possible */
    overrides_free(overrides);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_means_regions_pools_or_endpoints),
        cmocka_unit_test(one_that_was_ended_early_means_nothing),
        cmocka_unit_test(a_drain_and_a_force_stand_side_by_side),
        cmocka_unit_test(only_those_whose_time_is_over_expire),
        cmocka_unit_test(what_is_rendered_is_taken_in_again_without_the_scheduled),
        cmocka_unit_test(damage_anywhere_takes_nothing_in),
        cmocka_unit_test(their_number_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
