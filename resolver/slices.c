#include "resolver/slices.h"

#include <stddef.h>
#include <stdint.h>

#define SLICE_NS 1000000u /* so long other work may have to wait for a slice */

void slices_init(struct slices *slices, uv_loop_t *loop)
{
    (void)uv_check_init(loop, &slices->turn);
    (void)uv_idle_init(loop, &slices->hurry);
    slices->turn.data = slices;
    slices->hurry.data = slices;
    slices->some = NULL;
}

static void on_hurry(uv_idle_t *idle)
{
    (void)idle; /* it is there so that the loop does not sleep */
}

/* False when nothing is left. */
static bool do_slice(struct slices *slices)
{
    uint64_t end = uv_hrtime() + SLICE_NS;

    while (slices->some(slices->user)) {
        if (uv_hrtime() >= end) {
            return true;
        }
    }
    return false;
}

static void end(struct slices *slices)
{
    slices_stop(slices);
    slices->done(slices->user);
}

static void on_turn(uv_check_t *check)
{
    struct slices *slices = check->data;

    if (!do_slice(slices)) {
        end(slices);
    }
}

void slices_begin(struct slices *slices, slices_some *some, slices_done *done, void *user)
{
    slices->some = some;
    slices->done = done;
    slices->user = user;
    if (!do_slice(slices)) {
        end(slices);
        return;
    }
    (void)uv_idle_start(&slices->hurry, on_hurry);
    (void)uv_check_start(&slices->turn, on_turn);
}

void slices_stop(struct slices *slices)
{
    (void)uv_idle_stop(&slices->hurry);
    (void)uv_check_stop(&slices->turn);
    slices->some = NULL;
}

static void on_closed(uv_handle_t *handle)
{
    struct slices *slices = handle->data;

    if (--slices->open == 0 && slices->done != NULL) {
        slices->done(slices->user);
    }
}

void slices_close(struct slices *slices, slices_done *closed, void *user)
{
    slices_stop(slices);
    slices->done = closed;
    slices->user = user;
    slices->open = 2;
    uv_close((uv_handle_t *)&slices->turn, on_closed);
    uv_close((uv_handle_t *)&slices->hurry, on_closed);
}
