#include "policy/checks/attempt.h"

#include <errno.h>
#include <stdio.h>

#include "base/error.h"

void attempt_begin(struct check_attempt *attempt, const struct check_kind *kind, uv_loop_t *loop,
                   const struct health_probe *probe, check_done *done, void *user)
{
    attempt->kind = kind;
    attempt->loop = loop;
    attempt->probe = probe;
    attempt->done = done;
    attempt->user = user;
    attempt->lacking = "no answer";
}

void attempt_hold(struct check_attempt *attempt, uv_handle_t *handle)
{
    REQUIRE(attempt->handle_count < CHECK_HANDLES_MAX && !attempt->closing);
    handle->data = attempt;
    attempt->handles[attempt->handle_count++] = handle;
    attempt->open_count++;
}

static void end(struct check_attempt *attempt)
{
    if (!attempt->cancelled) {
        attempt->done(attempt, attempt->outcome, attempt->misconfigured, attempt->reason);
    }
    if (attempt->gone != NULL) {
        attempt->gone(attempt);
    }
    attempt->kind->release(attempt);
}

static void on_closed(uv_handle_t *handle)
{
    struct check_attempt *attempt = handle->data;

    if (--attempt->open_count == 0) {
        end(attempt);
    }
}

static void close_handles(struct check_attempt *attempt)
{
    attempt->closing = true;
    for (unsigned i = 0; i < attempt->handle_count; i++) {
        uv_close(attempt->handles[i], on_closed);
    }
}

void attempt_decide(struct check_attempt *attempt, enum detect_outcome outcome, bool misconfigured,
                    const char *reason)
{
    if (attempt->closing) {
        return;
    }
    REQUIRE(attempt->handle_count > 0);
    attempt->outcome = outcome;
    attempt->misconfigured = misconfigured;
    (void)snprintf(attempt->reason, sizeof(attempt->reason), "%s", reason);
    close_handles(attempt);
}

static enum detect_outcome outcome_of(int code)
{
    if (error_is_ours(code)) {
        return DETECT_VOID;
    }
    /* A firewall's drop on this machine is worth what one on the way is: silence. */
    if (code == -ETIMEDOUT || code == -EPERM) {
        return DETECT_SILENT;
    }
    return DETECT_STRONG;
}

static const char *words_of(int code)
{
    switch (code) {
    case -ECONNREFUSED:
        return "connection refused";
    case -ECONNRESET:
    case -EPIPE:
        return "connection reset";
    case -EHOSTUNREACH:
        return "host unreachable";
    case -ENETUNREACH:
        return "network unreachable";
    case -ETIMEDOUT:
        return "connection timed out";
    default:
        return uv_strerror(code);
    }
}

void attempt_fail(struct check_attempt *attempt, const char *where, int code)
{
    char reason[CHECK_REASON_MAX];

    (void)snprintf(reason, sizeof(reason), "%s%s%s", where == NULL ? "" : where,
                   where == NULL ? "" : ": ", words_of(code));
    attempt_decide(attempt, outcome_of(code), false, reason);
}

void attempt_cancel(struct check_attempt *attempt)
{
    attempt->cancelled = true;
    if (attempt->closing) {
        return;
    }
    if (attempt->handle_count == 0) {
        end(attempt);
        return;
    }
    close_handles(attempt);
}
