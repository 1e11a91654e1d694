#pragma once
/*
 * probe_world - one probe in a loop, and what came of it
 *
 * Include it behind cmocka's headers.
 */
#include <stdio.h>
#include <string.h>

#include "policy/checks/check.h"

#define PROBE_PATIENCE_MS 60000 /* for a slow and busy machine */

struct probe_world {
    uv_loop_t loop;
    uv_timer_t patience;
    struct model_check check; /* the probe's */
    struct health_probe probe;
    struct check_attempt *attempt;
    unsigned done_count;
    unsigned gone_count;
    enum detect_outcome outcome;
    char reason[200];
    bool impatient;
};

static inline void probe_on_patience(uv_timer_t *timer)
{
    ((struct probe_world *)timer->data)->impatient = true;
}

static inline void probe_on_done(struct check_attempt *attempt, enum detect_outcome outcome,
                                 bool misconfigured, const char *reason)
{
    struct probe_world *w = attempt->user;

    assert_false(misconfigured);
    w->done_count++;
    w->outcome = outcome;
    (void)snprintf(w->reason, sizeof(w->reason), "%s", reason);
}

static inline void probe_on_gone(struct check_attempt *attempt)
{
    struct probe_world *w = attempt->user;

    w->gone_count++;
    w->attempt = NULL;
}

static inline void probe_world_init(struct probe_world *w, enum model_check_kind kind,
                                    const char *target)
{
    struct error err;

    memset(w, 0, sizeof(*w));
    assert_int_equal(uv_loop_init(&w->loop), 0);
    (void)uv_timer_init(&w->loop, &w->patience);
    w->patience.data = w;
    (void)uv_timer_start(&w->patience, probe_on_patience, PROBE_PATIENCE_MS, 0);
    w->check.kind = kind;
    w->probe.check = &w->check;
    w->check.timing.timeout_ms = PROBE_PATIENCE_MS;
    w->probe.label = "seoul probe";
    if (target != NULL) {
        assert_int_equal(addr_parse(target, 0, &w->probe.target, &err), 0);
    }
}

static inline void probe_world_fini(struct probe_world *w)
{
    uv_close((uv_handle_t *)&w->patience, NULL);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0); /* no handle was left behind */
}

static inline void probe_start(struct probe_world *w)
{
    int error = 0;

    w->done_count = 0;
    w->gone_count = 0;
    w->attempt =
        check_kind_of(w->check.kind)->start(&w->loop, &w->probe, probe_on_done, w, &error);
    assert_non_null(w->attempt);
    assert_int_equal(w->done_count, 0); /* never from within start */
    w->attempt->gone = probe_on_gone;
}

static inline void probe_wait_gone(struct probe_world *w)
{
    while (w->gone_count == 0 && !w->impatient) {
        (void)uv_run(&w->loop, UV_RUN_ONCE);
    }
    assert_false(w->impatient);
    assert_int_equal(w->gone_count, 1);
}

/* Cancel it; `done` must not be called. */
static inline void probe_cancel(struct probe_world *w)
{
    check_kind_of(w->check.kind)->cancel(w->attempt);
    probe_wait_gone(w);
    assert_int_equal(w->done_count, 0);
}

static inline void assert_probe(struct probe_world *w, enum detect_outcome outcome,
                                const char *reason)
{
    probe_start(w);
    probe_wait_gone(w);
    assert_int_equal(w->done_count, 1);
    assert_string_equal(w->reason, reason);
    assert_int_equal(w->outcome, outcome);
}
