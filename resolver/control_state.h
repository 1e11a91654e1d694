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
#include "policy/config.h"
#include "resolver/control.h"
#include "resolver/retirement.h"
#include "resolver/slices.h"

struct announcer;
struct api;
struct hand;
struct hostnames;
struct keeper;
struct movements;
struct prober;
struct removals;
struct removals_inquiry;
struct review;
struct walk;
struct watch;

struct control;

/* A generation on its way. */
struct reload {
    bool under_way;
    bool at_work; /* a step of it is done beside the loop, which leaves the rest alone meanwhile */
    bool begun;   /* the file is good: addresses or first results are waited for, or it is built */
    bool rebuild; /* the same configuration with other addresses */
    struct model *model;            /* NULL: not read yet */
    struct health_binding *binding; /* NULL: addresses of its names are waited for */
    struct removals_inquiry *inquiry;
    struct review *review;       /* what it changes; NULL of a rebuild */
    struct snapshot *fresh;      /* what was built */
    const struct model *saved;   /* what is in force and now kept on disk */
    uint32_t longest_ms;         /* the longest timeout of a check */
    uint64_t turns;              /* of the walk, when building it began */
    struct config_report report; /* why it could not be read */
    struct error err;            /* or built */
    int rc;
    void (*after)(struct control *control); /* the step beside the loop */
    char words[256];                        /* how it ended */
    control_reload_done *done;
    void *user;
};

/* Somebody who waits until a rebuild has given way. */
struct reload_wish {
    bool is_there;
    control_reload_done *done;
    void *user;
};

struct control {
    struct control_options options;
    char *path; /* of the config, NULL: the embedded default */
    char *warning;
    uv_loop_t loop;
    uv_signal_t signals[3];
    uv_prepare_t prepare; /* remembers choices after transitions */
    uv_timer_t round;     /* the end of the wait for addresses or first results */
    uv_timer_t poll;      /* looks whether they are in */
    uv_timer_t settle;    /* a moment before changed addresses are taken */
    uv_timer_t tick;      /* when time acts on the table: ramps, guards */
    bool stopping;
    bool ready;
    bool is_accepted; /* it is the last accepted configuration that runs, not the file */
    bool changed;     /* the table said something new */
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
    struct keeper *keeper;       /* of the table on disk */
    struct announcer *announcer; /* of the journal and of hooks */
    struct removals *removals;
    struct movements *movements;
    struct walk *walk; /* of what services do about the table's news */
    struct api *api;
    struct watch *watch;          /* of files the configuration was made from */
    struct retirement retirement; /* of generations out of use */
    struct reload reload;
    struct reload_wish wish;
    uv_work_t work;       /* the step of the reload beside the loop */
    struct slices slices; /* of its steps that are long but the loop's */
    struct slices commit; /* of what groups owe to the guards of the generation in force */
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
