#pragma once
/*
 * retirement - what becomes of generations that nobody reads any more
 *
 * Their memory is given back beside the control loop and their binding in
 * slices: of a million services either would hold the loop for long. Control
 * thread.
 */
#include <stdbool.h>
#include <uv.h>

#include "resolver/slices.h"

struct health;
struct health_binding;
struct prober;
struct server;
struct snapshot;

/* Private but for its size. */
struct retirement {
    uv_async_t retired; /* a snapshot is out of use */
    uv_work_t work;
    struct slices slices;
    struct health *health;
    struct prober *prober;
    struct server *server;
    struct snapshot *leaving;       /* the one whose memory is given back now */
    struct health_binding *binding; /* of the one that was */
    bool busy;
    bool closing;
};

/* 0 or a libuv error, when descriptors are out. */
int retirement_init(struct retirement *retirement, uv_loop_t *loop);

/* From now on take what `server` retires. */
void retirement_serve(struct retirement *retirement, struct server *server, struct health *health,
                      struct prober *prober);

/*
 * Take no more; the server must wake nobody any more. What is under way ends
 * while the loop runs on, and `binding` is then to be unbound by the caller.
 */
void retirement_close(struct retirement *retirement);
