#include "resolver/walk.h"

#include <stdlib.h>

#include "base/error.h"
#include "policy/steer.h"
#include "resolver/movements.h"
#include "resolver/parking.h"

#define SLICE_NS    2000000u /* so long other work may have to wait for a slice */
#define GAP_MS      1        /* and so long the others have the loop to themselves */
#define CLOCK_EVERY 64u      /* services between two looks at the clock */

struct walk {
    uv_timer_t timer;
    struct movements *movements;
    walk_done *done;
    void *user;
    const struct snapshot *snapshot;
    uint32_t *manual; /* services with `failback: manual`, by index */
    size_t manual_count;
    size_t next;    /* the service whose turn it is */
    size_t left;    /* services to look at until the walk is over */
    uint64_t turns; /* slices and beginnings so far */
    bool under_way; /* and the next slice is planned */
};

struct walk *walk_new(uv_loop_t *loop, struct movements *movements, walk_done *done, void *user)
{
    struct walk *walk = calloc(1, sizeof(*walk));

    if (walk == NULL) {
        return NULL;
    }
    walk->movements = movements;
    walk->done = done;
    walk->user = user;
    (void)uv_timer_init(loop, &walk->timer);
    walk->timer.data = walk;
    return walk;
}

static void find_manual(struct walk *walk, const struct snapshot *snapshot)
{
    free(walk->manual);
    walk->manual = NULL;
    walk->manual_count = 0;
    for (size_t i = 0; !snapshot->is_automatic && i < snapshot->service_count; i++) {
        size_t count = walk->manual_count;
        if (!parking_is_manual(snapshot, &snapshot->services[i])) {
            continue;
        }
        if ((count & (count - 1)) == 0) { /* full at each power of two */
            walk->manual =
                reallocarray(walk->manual, count == 0 ? 1 : 2 * count, sizeof(*walk->manual));
            REQUIRE(walk->manual != NULL);
        }
        walk->manual[walk->manual_count++] = (uint32_t)i;
    }
}

void walk_adopt(struct walk *walk, const struct snapshot *snapshot)
{
    walk->snapshot = snapshot;
    walk->next = 0;
    walk->left = walk->under_way ? snapshot->service_count : 0;
    find_manual(walk, snapshot);
}

/* What was left is parked before the new choice is what is remembered. */
static void look_at_manual(const struct walk *walk, bool may_park)
{
    for (size_t i = 0; i < walk->manual_count; i++) {
        const struct steer_service *service = &walk->snapshot->services[walk->manual[i]];
        if (may_park) {
            parking_look(service);
        }
        steer_remember(service);
    }
}

/* Returns whether the walk is over. */
static bool walk_slice(struct walk *walk)
{
    uint64_t end = uv_hrtime() + SLICE_NS;

    walk->turns++;
    for (size_t i = 1; walk->left > 0; i++, walk->left--) {
        const struct steer_service *service = &walk->snapshot->services[walk->next];
        steer_remember(service);
        movements_look(walk->movements, service);
        if (++walk->next == walk->snapshot->service_count) {
            walk->next = 0;
            movements_sum_up(walk->movements);
        }
        if (i % CLOCK_EVERY == 0 && uv_hrtime() >= end) {
            walk->left--;
            break;
        }
    }
    return walk->left == 0;
}

static void on_timer(uv_timer_t *timer);

static void go_on(struct walk *walk)
{
    walk->under_way = !walk_slice(walk);
    if (walk->under_way) {
        uv_update_time(walk->timer.loop); /* the gap begins when the slice ends */
        (void)uv_timer_start(&walk->timer, on_timer, GAP_MS, 0);
        return;
    }
    movements_sum_up(walk->movements);
    walk->done(walk->user);
}

static void on_timer(uv_timer_t *timer)
{
    go_on(timer->data);
}

void walk_begin(struct walk *walk, bool may_park)
{
    walk->turns++;
    look_at_manual(walk, may_park);
    walk->left = walk->snapshot->service_count;
    if (!walk->under_way) {
        go_on(walk);
    }
}

uint64_t walk_turns(const struct walk *walk)
{
    return walk->turns;
}

static void on_closed(uv_handle_t *handle)
{
    struct walk *walk = handle->data;

    free(walk->manual);
    free(walk);
}

void walk_close(struct walk *walk)
{
    uv_close((uv_handle_t *)&walk->timer, on_closed);
}
