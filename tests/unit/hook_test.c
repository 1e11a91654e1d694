#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <cmocka.h>

#include "resolver/hook.h"

#define NOW_MS  UINT64_C(1000000)
#define WALL_MS UINT64_C(1542874740000) /* 2018-11-22T08:19:00Z */
#define ROOM    49152u

static void add(struct hook *hook, const char *target, uint64_t now_ms)
{
    const struct journal_entry entry = {
        .kind = "region",
        .target = target,
        .from = "in",
        .to = "gated",
        .reason = "0 of 2 checks \"pass\"",
    };

    hook_add(hook, &entry, WALL_MS, now_ms);
}

static json_t *start(struct hook *hook)
{
    const struct text *document = hook_start(hook, "n1", "seoul");
    json_t *root = json_loadb(text_string(document), document->length, 0, NULL);

    assert_non_null(root);
    assert_true(document->length <= hook->room + HOOK_FRAME_MAX);
    assert_int_equal(hook->due_ms, HOOK_NEVER);
    return root;
}

static size_t events_in(const json_t *root)
{
    return json_array_size(json_object_get(root, "events"));
}

static uint64_t left_out_of(const json_t *root)
{
    return (uint64_t)json_integer_value(json_object_get(root, "left_out"));
}

static int setup(void **state)
{
    struct hook *hook = calloc(1, sizeof(*hook));

    assert_non_null(hook);
    hook_init(hook, 3, ROOM);
    *state = hook;
    return 0;
}

static int teardown(void **state)
{
    hook_fini(*state);
    free(*state);
    return 0;
}

static void an_event_waits_a_moment_for_others(void **state)
{
    struct hook *hook = *state;

    assert_false(hook_has_any(hook));
    assert_int_equal(hook->due_ms, HOOK_NEVER);
    add(hook, "seoul", NOW_MS);
    assert_int_equal(hook->due_ms, NOW_MS + HOOK_GATHER_MS);
    add(hook, "tokyo", NOW_MS + 50);
    assert_int_equal(hook->due_ms, NOW_MS + HOOK_GATHER_MS);
    assert_int_equal(hook_untold(hook), 2);

    json_t *root = start(hook);
    const json_t *first = json_array_get(json_object_get(root, "events"), 0);
    assert_int_equal(events_in(root), 2);
    assert_int_equal(left_out_of(root), 0);
    assert_string_equal(json_string_value(json_object_get(root, "node")), "n1");
    assert_string_equal(json_string_value(json_object_get(root, "region")), "seoul");
    assert_string_equal(json_string_value(json_object_get(first, "time")),
                        "2018-11-22T08:19:00.000Z");
    assert_string_equal(json_string_value(json_object_get(first, "target")), "seoul");
    assert_string_equal(json_string_value(json_object_get(first, "reason")),
                        "0 of 2 checks \"pass\"");
    assert_null(json_object_get(first, "author"));
    json_decref(root);
    assert_int_equal(hook_end(hook, true, NOW_MS + 200), HOOK_TOLD);
    assert_false(hook_has_any(hook));
    assert_int_equal(hook->due_ms, HOOK_NEVER);
}

static void a_node_without_a_region_says_so(void **state)
{
    struct hook *hook = *state;

    add(hook, "seoul", NOW_MS);
    const struct text *document = hook_start(hook, "n1", NULL);
    assert_non_null(strstr(text_string(document), "\"region\":null"));
}

static void a_crowd_is_told_as_a_hundred_and_a_count(void **state)
{
    struct hook *hook = *state;

    for (unsigned i = 0; i < 1000000; i++) {
        add(hook, "www.example", NOW_MS);
    }
    json_t *root = start(hook);
    assert_int_equal(events_in(root), HOOK_EVENTS_MAX);
    assert_int_equal(left_out_of(root), 1000000 - HOOK_EVENTS_MAX);
    assert_int_equal(hook_untold(hook), 1000000);
    json_decref(root);
}

static void long_events_are_bounded_by_the_room(void **state)
{
    struct hook *hook = *state;
    char target[2000];

    memset(target, 'x', sizeof(target) - 1);
    target[sizeof(target) - 1] = '\0';
    for (unsigned i = 0; i < HOOK_EVENTS_MAX; i++) {
        add(hook, target, NOW_MS);
    }
    json_t *root = start(hook);
    assert_in_range(events_in(root), 1, ROOM / sizeof(target));
    assert_int_equal(left_out_of(root), HOOK_EVENTS_MAX - events_in(root));
    json_decref(root);
}

static void a_failure_is_tried_again_later_and_later(void **state)
{
    struct hook *hook = *state;

    add(hook, "seoul", NOW_MS);
    json_decref(start(hook));
    assert_int_equal(hook_end(hook, false, NOW_MS), HOOK_AGAIN);
    assert_int_equal(hook->due_ms, NOW_MS + 1000);
    json_t *root = start(hook);
    assert_int_equal(events_in(root), 1);
    json_decref(root);
    assert_int_equal(hook_end(hook, false, NOW_MS), HOOK_AGAIN);
    assert_int_equal(hook->due_ms, NOW_MS + 2000);
    json_decref(start(hook));
    assert_int_equal(hook_end(hook, false, NOW_MS), HOOK_LOST);
    assert_int_equal(hook->lost, 1);
    assert_true(hook->failing);
    assert_false(hook_has_any(hook));
    assert_int_equal(hook->due_ms, HOOK_NEVER);
}

static void the_pause_has_a_ceiling(void **state)
{
    struct hook *hook = *state;

    hook->tries = 20;
    add(hook, "seoul", NOW_MS);
    for (unsigned i = 0; i < 19; i++) {
        json_decref(start(hook));
        assert_int_equal(hook_end(hook, false, NOW_MS), HOOK_AGAIN);
        assert_true(hook->due_ms <= NOW_MS + HOOK_RETRY_MAX_MS);
    }
    assert_int_equal(hook->due_ms, NOW_MS + HOOK_RETRY_MAX_MS);
}

static void what_happens_meanwhile_is_told_next(void **state)
{
    struct hook *hook = *state;

    add(hook, "seoul", NOW_MS);
    json_decref(start(hook));
    add(hook, "tokyo", NOW_MS);
    assert_int_equal(hook->due_ms, HOOK_NEVER); /* one run at a time */
    assert_int_equal(hook_end(hook, false, NOW_MS), HOOK_AGAIN);
    add(hook, "oregon", NOW_MS);
    assert_int_equal(hook->due_ms, NOW_MS + HOOK_RETRY_MS);
    assert_int_equal(hook_untold(hook), 3);
    json_t *root = start(hook);
    assert_int_equal(events_in(root), 1); /* the same as before */
    json_decref(root);
    assert_int_equal(hook_end(hook, true, NOW_MS), HOOK_TOLD);
    assert_int_equal(hook->due_ms, NOW_MS + HOOK_GATHER_MS);
    root = start(hook);
    assert_int_equal(events_in(root), 2);
    json_decref(root);
}

static void a_success_ends_the_episode(void **state)
{
    struct hook *hook = *state;

    hook->tries = 1;
    add(hook, "seoul", NOW_MS);
    json_decref(start(hook));
    assert_int_equal(hook_end(hook, false, NOW_MS), HOOK_LOST);
    add(hook, "seoul", NOW_MS);
    json_decref(start(hook));
    assert_int_equal(hook_end(hook, true, NOW_MS), HOOK_TOLD);
    assert_false(hook->failing);
    assert_int_equal(hook->lost, 0);
}

static void being_put_off_is_no_try(void **state)
{
    struct hook *hook = *state;

    hook->tries = 1;
    add(hook, "seoul", NOW_MS);
    json_decref(start(hook));
    hook_put_off(hook, NOW_MS);
    assert_int_equal(hook->due_ms, NOW_MS + HOOK_BUSY_MS);
    assert_false(hook->running);
    assert_int_equal(hook_untold(hook), 1);
    json_t *root = start(hook);
    assert_int_equal(events_in(root), 1);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_event_waits_a_moment_for_others, setup, teardown),
        cmocka_unit_test_setup_teardown(a_node_without_a_region_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(a_crowd_is_told_as_a_hundred_and_a_count, setup, teardown),
        cmocka_unit_test_setup_teardown(long_events_are_bounded_by_the_room, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failure_is_tried_again_later_and_later, setup, teardown),
        cmocka_unit_test_setup_teardown(the_pause_has_a_ceiling, setup, teardown),
        cmocka_unit_test_setup_teardown(what_happens_meanwhile_is_told_next, setup, teardown),
        cmocka_unit_test_setup_teardown(a_success_ends_the_episode, setup, teardown),
        cmocka_unit_test_setup_teardown(being_put_off_is_no_try, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
