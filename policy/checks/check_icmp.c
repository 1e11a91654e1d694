/*
 * check_icmp - does the target answer an echo?
 *
 * It tells that a machine is there, not that it serves. Who on the way says
 * that it cannot be reached is believed, when it quotes our request.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/error.h"
#include "policy/checks/attempt.h"
#include "policy/checks/icmp_socket.h"

struct check_icmp {
    struct check_attempt attempt; /* first: the two are one object */
    uv_timer_t timer;             /* never started: an attempt needs a handle to close */
    struct icmp_echo echo;
};

static void on_ended(struct icmp_echo *echo, const char *error)
{
    char *at = (char *)echo;
    struct check_icmp *icmp = (struct check_icmp *)(void *)(at - offsetof(struct check_icmp, echo));

    if (error == NULL) {
        attempt_decide(&icmp->attempt, DETECT_PASS, false, "echoed");
    } else {
        attempt_decide(&icmp->attempt, DETECT_STRONG, false, error);
    }
}

/* Returns 0, or a negative errno of our own trouble. */
static int begin(struct check_icmp *icmp)
{
    const struct addr *target = &icmp->attempt.probe->target;
    struct error err;

    if (icmp_socket_ready(target->family, &err) < 0) {
        if (err.code == -EMFILE || err.code == -ENFILE || err.code == -ENOMEM) {
            return err.code;
        }
        attempt_decide(&icmp->attempt, DETECT_VOID, false, err.message);
        return 0;
    }
    int rc = icmp_echo_send(icmp->attempt.loop, &icmp->echo, target);
    if (rc < 0 && !error_is_ours(rc)) {
        attempt_fail(&icmp->attempt, NULL, rc);
        return 0;
    }
    return rc;
}

static struct check_attempt *start(uv_loop_t *loop, const struct health_probe *probe,
                                   check_done *done, void *user, int *out_error)
{
    struct check_icmp *icmp = calloc(1, sizeof(*icmp));

    if (icmp == NULL) {
        *out_error = UV_ENOMEM;
        return NULL;
    }
    attempt_begin(&icmp->attempt, &check_icmp_kind, loop, probe, done, user);
    icmp->attempt.lacking = "no echo";
    icmp->echo.ended = on_ended;
    (void)uv_timer_init(loop, &icmp->timer);
    attempt_hold(&icmp->attempt, (uv_handle_t *)&icmp->timer);
    int rc = begin(icmp);
    if (rc < 0) {
        attempt_cancel(&icmp->attempt);
        *out_error = rc;
        return NULL;
    }
    return &icmp->attempt;
}

static void cancel(struct check_attempt *attempt)
{
    icmp_echo_cancel(&((struct check_icmp *)attempt)->echo);
    attempt_cancel(attempt);
}

static void release(struct check_attempt *attempt)
{
    free(attempt);
}

const struct check_kind check_icmp_kind = {
    .name = "icmp",
    .start = start,
    .cancel = cancel,
    .release = release,
};
