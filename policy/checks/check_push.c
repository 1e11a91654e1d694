/*
 * check_push - what was last reported about the target from outside?
 *
 * No packet is sent: the report on the board is looked at. One that says "down"
 * is strong evidence, and so is the silence of one that has expired, for whoever
 * reports promised to come back within the ttl. A check that has never been
 * reported proves nothing until its ttl has passed.
 */
#include "policy/checks/check_push.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "policy/checks/attempt.h"

struct check_push {
    struct check_attempt attempt; /* first: the two are one object */
    uv_timer_t timer;             /* never started: an attempt needs a handle to close */
};

struct push_board *check_push_board(void)
{
    static struct push_board *board;

    if (board == NULL) {
        board = push_board_new();
    }
    return board;
}

const char *check_push_name(const struct health_probe *probe)
{
    if (!probe->used || probe->check->kind != MODEL_CHECK_PUSH) {
        return NULL;
    }
    return probe->check->name != NULL ? probe->check->name : probe->check->host;
}

bool check_push_is_about(const struct health_probe *probe, const char *target)
{
    const char *name = check_push_name(probe);
    size_t length = name == NULL ? 0 : strlen(name);
    char address[ADDR_TEXT_MAX];

    if (name == NULL || strncmp(target, name, length) != 0) {
        return false;
    }
    if (target[length] != '/' || addr_is_any(&probe->target)) {
        return target[length] == '\0';
    }
    addr_format(&probe->target, address, sizeof(address));
    return strcmp(target + length + 1, address) == 0;
}

static void decide_reported(struct check_attempt *attempt, const struct push_view *view)
{
    static const enum detect_outcome outcomes[] = {
        [PUSH_UP] = DETECT_PASS,
        [PUSH_DEGRADED] = DETECT_WARNING,
        [PUSH_DOWN] = DETECT_STRONG,
    };
    char reason[CHECK_REASON_MAX];

    (void)snprintf(reason, sizeof(reason), "reported %s%s%s", push_state_name(view->state),
                   view->message[0] != '\0' ? ": " : "", view->message);
    attempt_decide(attempt, outcomes[view->state], false, reason);
}

static void decide_silent(struct check_attempt *attempt, const struct push_view *view)
{
    struct text reason = { 0 };

    text_put(&reason, "no report for ");
    /* whole seconds, once there are some: the reason is not to change all the time */
    text_put_duration(&reason, view->age_ms < 1000 ? view->age_ms : view->age_ms / 1000 * 1000);
    attempt_decide(attempt, DETECT_STRONG, false, text_string(&reason));
    text_fini(&reason);
}

static void decide(struct check_attempt *attempt, const struct push_view *view)
{
    switch (view->standing) {
    case PUSH_REPORTED:
        decide_reported(attempt, view);
        break;
    case PUSH_AWAITED:
        attempt_decide(attempt, DETECT_NEUTRAL, false, "not reported yet");
        break;
    case PUSH_MISSING:
    case PUSH_EXPIRED:
        decide_silent(attempt, view);
        break;
    }
}

static void look(struct check_attempt *attempt, struct push_board *board)
{
    const struct health_probe *probe = attempt->probe;
    const char *name = check_push_name(probe);
    char address[ADDR_TEXT_MAX];
    struct push_view view;

    if (name == NULL) {
        attempt_decide(attempt, DETECT_VOID, false, "the check has no name to be reported by");
        return;
    }
    addr_format(&probe->target, address, sizeof(address));
    push_board_look(board, name, addr_is_any(&probe->target) ? NULL : address,
                    probe->check->push_ttl_ms, clock_now_ms(), &view);
    decide(attempt, &view);
}

static struct check_attempt *start(uv_loop_t *loop, const struct health_probe *probe,
                                   check_done *done, void *user, int *out_error)
{
    struct push_board *board = check_push_board();
    struct check_push *push = calloc(1, sizeof(*push));

    if (push == NULL || board == NULL) {
        free(push);
        *out_error = UV_ENOMEM;
        return NULL;
    }
    attempt_begin(&push->attempt, &check_push_kind, loop, probe, done, user);
    (void)uv_timer_init(loop, &push->timer);
    attempt_hold(&push->attempt, (uv_handle_t *)&push->timer);
    look(&push->attempt, board);
    return &push->attempt;
}

static void release(struct check_attempt *attempt)
{
    free(attempt);
}

const struct check_kind check_push_kind = {
    .name = "push",
    .start = start,
    .cancel = attempt_cancel,
    .release = release,
};
