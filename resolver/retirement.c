#include "resolver/retirement.h"

#include <stddef.h>

#include "policy/checks/prober.h"
#include "policy/health.h"
#include "resolver/server.h"

static void take_next(struct retirement *r);

static bool unbind_some(void *user)
{
    struct retirement *r = user;

    return health_unbind_some(r->health, r->binding);
}

static void on_unbound(void *user)
{
    struct retirement *r = user;

    r->binding = NULL;
    r->busy = false;
    prober_sync(r->prober);
    take_next(r);
}

static void on_work(uv_work_t *work)
{
    struct retirement *r = work->data;

    r->binding = snapshot_free(r->leaving);
}

static void on_freed(uv_work_t *work, int status)
{
    struct retirement *r = work->data;

    (void)status; /* it is never cancelled */
    r->leaving = NULL;
    if (!r->closing) {
        slices_begin(&r->slices, unbind_some, on_unbound, r);
    }
}

static void take_next(struct retirement *r)
{
    if (r->busy) {
        return;
    }
    r->leaving = server_take_retired(r->server);
    if (r->leaving != NULL) {
        r->busy = true;
        (void)uv_queue_work(r->retired.loop, &r->work, on_work, on_freed);
    }
}

static void on_retired(uv_async_t *async)
{
    take_next(async->data);
}

static void wake(void *user)
{
    struct retirement *r = user;

    (void)uv_async_send(&r->retired);
}

int retirement_init(struct retirement *retirement, uv_loop_t *loop)
{
    retirement->retired.data = retirement;
    retirement->work.data = retirement;
    slices_init(&retirement->slices, loop);
    return uv_async_init(loop, &retirement->retired, on_retired);
}

void retirement_serve(struct retirement *retirement, struct server *server, struct health *health,
                      struct prober *prober)
{
    retirement->health = health;
    retirement->prober = prober;
    retirement->server = server;
    server_on_retired(server, wake, retirement);
}

void retirement_close(struct retirement *retirement)
{
    retirement->closing = true;
    slices_close(&retirement->slices, NULL, NULL);
    uv_close((uv_handle_t *)&retirement->retired, NULL);
}
