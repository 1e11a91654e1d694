#pragma once
/*
 * inquiry - asks the service loop for the addresses of a name, without waiting
 *
 * The question goes the way that clients' questions go: our own zones, hosts
 * file, cache, upstreams, what has expired. Used by the control loop; the
 * answer comes back there. What is on its way when the desk is closed comes to
 * nothing.
 */
#include <stdbool.h>
#include <uv.h>

#include "policy/hostname.h"
#include "zones/name.h"

struct inquiry_desk;
struct server;

struct inquiry {
    struct inquiry *next; /* the desk's */
    struct inquiry_desk *desk;

    /* the question */
    uint8_t dname[NAME_MAX_BYTES];
    unsigned family; /* enum addr_family */
    bool keep;       /* the caller's */
    bool anew;       /* not from the cache */
    bool second;     /* of others than the region of `apart_from`, "": than the first */
    char apart_from[HOSTNAME_SOURCE_BYTES];

    /* what came of it; `addresses` and `source` point into here */
    struct hostname_answer answer;
    struct addr addresses[HOSTNAME_MOST];
    char source[HOSTNAME_SOURCE_BYTES];
};

/* An answer has come; the inquiry is the callee's until it returns. In the loop's thread. */
typedef void inquiry_done(void *user, const struct inquiry *inquiry);

/* NULL when memory is out. */
struct inquiry_desk *inquiry_desk_new(uv_loop_t *loop, inquiry_done *done, void *user);

/* An inquiry to be filled in and sent, or NULL when memory is out. */
struct inquiry *inquiry_new(struct inquiry_desk *desk);

/* Ask. The inquiry is no longer the caller's. False: nothing will come. */
bool inquiry_send(struct inquiry *inquiry, struct server *server);

/* Hear nothing any more; it is freed when the last inquiry is. NULL is fine. */
void inquiry_desk_close(struct inquiry_desk *desk);
