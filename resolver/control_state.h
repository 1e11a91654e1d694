#pragma once
/*
 * control_state - what the control loop works with
 *
 * The inside of control, shared by control.c (start, end, the table's news)
 * and reload.c (how one generation follows another). Control thread only.
 */
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/hash.h"
#include "resolver/control.h"

struct announcer;
struct api;
struct config_report;
struct hand;
struct hostnames;
struct keeper;
struct movements;
struct prober;
struct removals;
struct review;
struct walk;
struct watch;

/* A generation on its way. */
struct reload {
    struct model *model;            /* NULL: none is */
    struct health_binding *binding; /* NULL: addresses of its names are waited for, else results */
    struct review *review;          /* what it changes; NULL of a rebuild */
    bool rebuild;                   /* the same configuration with other addresses */
    control_reload_done *done;
    void *user;
};

struct control {
    struct control_options options;
    char *path; /* of the config, NULL: the embedded default */
    char *warning;
    uv_loop_t loop;
    uv_signal_t signals[3];
    uv_async_t retired;   /* a snapshot is out of use */
    uv_prepare_t prepare; /* remembers choices after transitions */
    uv_timer_t round;     /* the end of the wait for addresses or first results */
    uv_timer_t poll;      /* looks whether they are in */
    uv_timer_t settle;    /* a moment before changed addresses are taken */
    uv_timer_t tick;      /* when time acts on the table: ramps, guards */
    bool stopping;
    bool ready;
    bool is_accepted; /* it is the last accepted configuration that runs, not the file */
    bool changed; /* the table said something new */
    uint64_t started_ms;
    uint64_t tick_ms; /* when the tick is due; UINT64_MAX: it is not */
    uint64_t generation;
    struct hash_key key;
    struct health *health;
    struct prober *prober;
    struct server *server;
    struct snapshot *snapshot;
    struct hostnames *hostnames;
    struct hand *hand;
    struct keeper *keeper; /* of the table on disk */
    struct announcer *announcer; /* of the journal and of hooks */
    struct removals *removals;
    struct movements *movements;
    struct walk *walk; /* of what services do about the table's news */
    struct api *api;
    struct watch *watch; /* of files the configuration was made from */
    struct reload reload;
    bool reload_again;    /* when it has ended: the file has changed meanwhile */
    uint64_t rebuilt_ms;  /* when addresses were taken last */
    unsigned closing;     /* parts that still have handles */
};

/*
 * Make `snapshot` the one in force. Only the first time can fail: -errno,
 * explained.
 */
int control_put_in_force(struct control *control, struct snapshot *snapshot, struct error *err);

/* The first verdicts are in, or their time has passed. */
void control_become_ready(struct control *control);

/* NULL: there is nothing to warn of. */
void control_set_warning(struct control *control, const char *warning);
