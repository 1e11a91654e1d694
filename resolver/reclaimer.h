#pragma once
/*
 * reclaimer - frees what readers may still be looking at, once they no longer are
 *
 * A thread of its own waits for the grace periods, so that a reader that hangs
 * holds up nobody but the memory it looks at. What is retired is chained
 * through a member of its own: retiring allocates nothing and cannot fail.
 */
#include <stddef.h>
#include <stdint.h>

struct reclaimer;

/* A member of what is to be freed later; its first user's alone until it is retired. */
struct retired {
    struct retired *next;
    /* Called in the reclaimer's thread after a grace period, or in reclaimer_free. */
    void (*release)(struct retired *retired);
};

/* A reclaimer and its thread. -errno when it cannot be made. */
int reclaimer_new(struct reclaimer **out);

/*
 * Have `retired->release` called after all readers that are online now have
 * slept once. Any thread. Nobody can find it any more when this is called.
 */
void reclaimer_retire(struct reclaimer *reclaimer, struct retired *retired);

/*
 * End the thread; everything retired is released before this returns. Readers
 * must be gone. NULL is fine.
 */
void reclaimer_free(struct reclaimer *reclaimer);
