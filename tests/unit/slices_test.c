/*
 * slices: what is short is done at once, what is long leaves the loop its turns,
 * and several works side by side starve neither one another nor the loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "resolver/slices.h"

#define PIECE_NS 100000u /* of work that is long */

struct work {
    struct slices slices;
    unsigned left;
    unsigned pieces;
    bool done;
    bool closed;
};

static bool some(void *user)
{
    struct work *work = user;
    uint64_t end = uv_hrtime() + PIECE_NS;

    while (uv_hrtime() < end) {
    }
    work->pieces++;
    return --work->left > 0;
}

static void on_done(void *user)
{
    struct work *work = user;

    work->done = true;
}

static void on_closed(void *user)
{
    struct work *work = user;

    work->closed = true;
}

static void start(uv_loop_t *loop, struct work *work, unsigned pieces)
{
    memset(work, 0, sizeof(*work));
    work->left = pieces;
    slices_init(&work->slices, loop);
    slices_begin(&work->slices, some, on_done, work);
}

static void finish(uv_loop_t *loop, struct work *work)
{
    slices_close(&work->slices, on_closed, work);
    (void)uv_run(loop, UV_RUN_DEFAULT);
    assert_true(work->closed);
}

static void what_is_short_is_done_before_begin_returns(void **state)
{
    uv_loop_t loop;
    struct work work;

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    start(&loop, &work, 1);
    assert_true(work.done);
    finish(&loop, &work);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void on_beat(uv_timer_t *timer)
{
    unsigned *beats = timer->data;

    (*beats)++;
}

/* A slice is ten pieces at most, so that the timer has its turn at least so often. */
static void works_side_by_side_leave_the_loop_its_turns(void **state)
{
    uv_loop_t loop;
    uv_timer_t timer;
    struct work works[3];
    unsigned beats = 0;

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    (void)uv_timer_init(&loop, &timer);
    timer.data = &beats;
    (void)uv_timer_start(&timer, on_beat, 0, 1);
    for (unsigned i = 0; i < 3; i++) {
        start(&loop, &works[i], 300);
        assert_false(works[i].done);
    }
    for (unsigned turns = 0; !works[0].done || !works[1].done || !works[2].done; turns++) {
        unsigned before[3] = { works[0].pieces, works[1].pieces, works[2].pieces };
        assert_true(turns < 2000);
        (void)uv_run(&loop, UV_RUN_ONCE);
        for (unsigned i = 0; i < 3; i++) {
            assert_true(works[i].pieces - before[i] <= 10); /* one slice a turn */
            assert_true(works[i].done || works[i].pieces > before[i]);
        }
    }
    assert_true(beats > 0);
    uv_close((uv_handle_t *)&timer, NULL);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(works[i].pieces, 300);
        finish(&loop, &works[i]);
    }
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void what_is_stopped_is_not_done(void **state)
{
    uv_loop_t loop;
    struct work work;

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    start(&loop, &work, 300);
    slices_stop(&work.slices);
    unsigned pieces = work.pieces;
    (void)uv_run(&loop, UV_RUN_DEFAULT); /* nothing keeps it */
    assert_int_equal(work.pieces, pieces);
    assert_false(work.done);
    slices_begin(&work.slices, some, on_done, &work); /* and it may go on */
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(work.done);
    assert_int_equal(work.pieces, 300);
    finish(&loop, &work);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void what_is_closed_midway_is_not_done(void **state)
{
    uv_loop_t loop;
    struct work work;

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    start(&loop, &work, 300);
    finish(&loop, &work);
    assert_false(work.done);
    assert_true(work.left > 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_short_is_done_before_begin_returns),
        cmocka_unit_test(works_side_by_side_leave_the_loop_its_turns),
        cmocka_unit_test(what_is_stopped_is_not_done),
        cmocka_unit_test(what_is_closed_midway_is_not_done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
