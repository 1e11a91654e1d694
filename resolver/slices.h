#pragma once
/*
 * slices - long work of the control loop, a millisecond at a time
 *
 * The loop that does it sends the probes and answers the api too. So it does
 * one slice in each of its turns, after its timers and sockets had theirs:
 * however many such works there are side by side, none of the others waits for
 * more than a slice of each. On the loop's own thread.
 */
#include <stdbool.h>
#include <uv.h>

/* Do a little of it, far less than a millisecond. False when nothing is left to do. */
typedef bool slices_some(void *user);
typedef void slices_done(void *user);

struct slices {
    uv_check_t turn;   /* a slice, when the sockets have been looked at */
    uv_idle_t hurry;   /* without waiting for one of them */
    slices_some *some; /* NULL: nothing is under way */
    slices_done *done;
    void *user;
    unsigned open; /* handles that are not closed yet */
};

void slices_init(struct slices *slices, uv_loop_t *loop);

/*
 * Begin what is done with `some`: the first slice now, and where that is all,
 * `done` is called from here. Nothing else is under way.
 */
void slices_begin(struct slices *slices, slices_some *some, slices_done *done, void *user);

/* Leave it where it is; `done` is not called. */
void slices_stop(struct slices *slices);

/*
 * Stop and close the handles; `slices` is needed until `closed` (NULL: nobody
 * waits for it) is called by the loop.
 */
void slices_close(struct slices *slices, slices_done *closed, void *user);
