#pragma once
/*
 * check - the interface between the prober and the kinds of probes
 *
 * A probe is one attempt against one target: started by the prober, ended by
 * exactly one call of `done` (never from within `start`), or by `cancel`, after
 * which `done` is not called. The prober owns the timeout. Control loop only.
 */
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "policy/detect.h"
#include "policy/health.h"

#define CHECK_HANDLES_MAX 2
#define CHECK_REASON_MAX  160

struct check_attempt;

/* How an attempt ended; `reason` is only valid during the call. */
typedef void check_done(struct check_attempt *attempt, enum detect_outcome outcome,
                        bool misconfigured, const char *reason);

/* The part of an attempt that every kind has; kinds embed it first. */
struct check_attempt {
    const struct check_kind *kind;
    const struct health_probe *probe;
    uv_loop_t *loop;
    check_done *done;
    const char *lacking; /* static; what has not come yet: "connect: no answer", "no reply" */

    /* the prober's; set behind `start`, untouched by the kinds */
    void *user;
    void (*gone)(struct check_attempt *attempt); /* its handles are closed, it is freed next */
    uint32_t number;
    uint64_t deadline_ms;
    uint64_t stretched_ms;
    struct check_attempt *next;

    /* attempt.c's */
    uv_handle_t *handles[CHECK_HANDLES_MAX];
    unsigned handle_count;
    unsigned open_count;
    bool closing;
    bool cancelled;
    bool misconfigured;
    enum detect_outcome outcome;
    char reason[CHECK_REASON_MAX];
};

struct check_kind {
    const char *name; /* "http" */
    /*
     * Begin an attempt. Returns it, or NULL with `*out_error` a negative errno
     * when it could not be made (no descriptors left, say: that is our own
     * trouble and no evidence against the target). `probe` and what it points
     * to must stay until the attempt is done or cancelled.
     */
    struct check_attempt *(*start)(uv_loop_t *loop, const struct health_probe *probe,
                                   check_done *done, void *user, int *out_error);
    /* End it early; its memory goes when its handles are closed, after `gone`. */
    void (*cancel)(struct check_attempt *attempt);
    /* For attempt.c: all handles are closed; free what it holds and itself. */
    void (*release)(struct check_attempt *attempt);
};

extern const struct check_kind check_dns_kind;
extern const struct check_kind check_exec_kind;
extern const struct check_kind check_file_kind;
extern const struct check_kind check_http_kind;
extern const struct check_kind check_icmp_kind;
extern const struct check_kind check_push_kind;
extern const struct check_kind check_tcp_kind;
extern const struct check_kind check_tls_kind;

/* The kind of a model check; never NULL. */
const struct check_kind *check_kind_of(enum model_check_kind kind);

/* At the end of the program, with no attempt left: free what checks share. */
void check_shutdown(void);
