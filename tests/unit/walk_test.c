#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "resolver/movements.h"
#include "resolver/walk.h"
#include "tests/unit/world.h"

#define MANY 30000u /* services; far more than fit into one slice */

struct fixture {
    struct world world;
    uv_loop_t loop;
    struct movements *movements;
    struct walk *walk;
    size_t told;   /* movements, one by one or counted */
    size_t crowds; /* lines that count */
    unsigned done;
};

static void on_movement(void *user, const char *service, const char *from, const char *to,
                        const char *reason)
{
    struct fixture *f = user;

    (void)from;
    (void)to;
    (void)reason;
    f->crowds += service[0] == '(';
    f->told += service[0] == '(' ? strtoul(service + 1, NULL, 10) : 1;
}

static void on_done(void *user)
{
    struct fixture *f = user;

    f->done++;
}

static void put_services(struct text *text, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        text_printf(text, "  s%u.x: %s\n", i,
                    i > 0 ? "*s"
                          : "&s {minimum_healthy: 1, failback: manual, "
                            "endpoints: {a: [127.0.0.1], b: [127.0.0.2]}}");
    }
}

/* `failback` of all of them. */
static void start(struct fixture *f, unsigned count, const char *failback)
{
    struct text text = { 0 };

    memset(f, 0, sizeof(*f));
    text_put(&text, "regions: {a: {minimum_healthy: 0}, b: {minimum_healthy: 0}}\nservices:\n");
    put_services(&text, count);
    if (strcmp(failback, "manual") != 0) {
        char *word = strstr(text.bytes, "failback: manual, ");
        memset(word, ' ', strlen("failback: manual, "));
    }
    assert_true(world_init(&f->world, text_string(&text)));
    text_fini(&text);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    f->movements = movements_new(on_movement, f);
    f->walk = walk_new(&f->loop, f->movements, on_done, f);
    movements_adopt(f->movements, NULL, f->world.snapshot);
    walk_adopt(f->walk, f->world.snapshot);
}

static void stop(struct fixture *f)
{
    walk_close(f->walk);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    movements_free(f->movements);
    world_fini(&f->world);
}

static void finish_walk(struct fixture *f)
{
    uv_run(&f->loop, UV_RUN_DEFAULT); /* until nothing is planned any more */
}

static void drain_first(struct fixture *f, bool drained)
{
    assert_true(health_override(f->world.health, "a", HEALTH_REGION_DRAINED, drained, 2000));
}

static uint32_t remembered(const struct fixture *f, size_t service)
{
    return atomic_load(&f->world.snapshot->services[service].memory->pool[ADDR_V4]);
}

static void expect_all(const struct fixture *f, uint32_t pool)
{
    for (size_t i = 0; i < f->world.snapshot->service_count; i++) {
        assert_int_equal(remembered(f, i), pool);
    }
}

static void every_service_remembers_what_it_answers_when_the_walk_is_over(void **state)
{
    struct fixture f;

    (void)state;
    start(&f, MANY, "auto");
    walk_begin(f.walk, true);
    finish_walk(&f);
    assert_int_equal(f.done, 1);
    expect_all(&f, 1);
    stop(&f);
}

static void a_change_during_a_walk_is_seen_by_every_service(void **state)
{
    struct fixture f;

    (void)state;
    start(&f, MANY, "auto");
    walk_begin(f.walk, true);
    drain_first(&f, true);
    walk_begin(f.walk, true);
    finish_walk(&f);
    expect_all(&f, 2);
    stop(&f);
}

static void movements_beyond_the_limit_are_told_by_number(void **state)
{
    struct fixture f;

    (void)state;
    start(&f, MANY, "auto");
    walk_begin(f.walk, true);
    finish_walk(&f);
    assert_int_equal(f.told, 0); /* the first region is no news */
    drain_first(&f, true);
    walk_begin(f.walk, true);
    finish_walk(&f);
    assert_int_equal(f.told, MANY);
    assert_int_equal(f.crowds, 1);
    stop(&f);
}

static void a_generation_in_the_middle_of_a_walk_is_walked_too(void **state)
{
    struct fixture f;

    (void)state;
    start(&f, MANY, "auto");
    walk_begin(f.walk, true);
    movements_adopt(f.movements, f.world.snapshot, f.world.snapshot);
    walk_adopt(f.walk, f.world.snapshot);
    walk_begin(f.walk, true);
    finish_walk(&f);
    expect_all(&f, 1);
    stop(&f);
}

static void what_is_left_and_back_within_a_walk_is_parked_all_the_same(void **state)
{
    struct fixture f;

    (void)state;
    start(&f, MANY, "manual");
    walk_begin(f.walk, true);
    finish_walk(&f);
    drain_first(&f, true);
    walk_begin(f.walk, true);
    drain_first(&f, false);
    walk_begin(f.walk, true);
    finish_walk(&f);
    expect_all(&f, 2);
    for (size_t i = 0; i < f.world.snapshot->service_count; i++) {
        assert_true(steer_has_hand(&f.world.snapshot->services[i], 0, STEER_HAND_PARKED));
    }
    stop(&f);
}

static void nothing_is_parked_before_verdicts_are_real(void **state)
{
    struct fixture f;

    (void)state;
    start(&f, 1, "manual");
    walk_begin(f.walk, false);
    drain_first(&f, true);
    walk_begin(f.walk, false);
    finish_walk(&f);
    assert_false(steer_has_hand(&f.world.snapshot->services[0], 0, STEER_HAND_PARKED));
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_service_remembers_what_it_answers_when_the_walk_is_over),
        cmocka_unit_test(a_change_during_a_walk_is_seen_by_every_service),
        cmocka_unit_test(movements_beyond_the_limit_are_told_by_number),
        cmocka_unit_test(a_generation_in_the_middle_of_a_walk_is_walked_too),
        cmocka_unit_test(what_is_left_and_back_within_a_walk_is_parked_all_the_same),
        cmocka_unit_test(nothing_is_parked_before_verdicts_are_real),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
