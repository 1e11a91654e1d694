/*
 * check_exec - what does a program of the user's say about the target?
 *
 * A monitoring plugin, or anything with such an exit code. The program is told
 * about the target by its arguments (in which "{address}" and the like were
 * replaced when the probe was made) and by its environment: PATH, and
 *
 *     LEEWARD_ADDRESS, LEEWARD_PORT   of the target, when it has them
 *     LEEWARD_FAMILY                  4 or 6
 *     LEEWARD_CHECK, LEEWARD_SERVICE  names, when the configuration gives them
 *     LEEWARD_TIMEOUT_MS              what it has before it is killed
 *
 * What cannot be run is trouble of this node and no evidence.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "policy/checks/attempt.h"
#include "policy/checks/plugin_output.h"
#include "policy/programs.h"

#define USUAL_PATH    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define VARIABLES_MAX 8

/* An attempt may be stretched to twice its timeout; the spawner's limit is for a lost cancel. */
#define LIMIT_TIMES   2
#define LIMIT_MORE_MS 1000

struct check_exec {
    struct check_attempt attempt; /* first: the two are one object */
    uv_timer_t timer;             /* never started: an attempt needs a handle to close */
    uint32_t program;             /* 0: none runs */
};

/* ---- the environment ---- */

struct environment {
    char *words[VARIABLES_MAX + 1];
    size_t count;
    bool failed;
};

static void put_variable(struct environment *environment, const char *name, const char *value)
{
    char *word;

    if (asprintf(&word, "%s=%s", name, value) < 0) {
        environment->failed = true;
        return;
    }
    environment->words[environment->count++] = word;
    environment->words[environment->count] = NULL;
}

static void put_number(struct environment *environment, const char *name, unsigned value)
{
    char digits[16];

    (void)snprintf(digits, sizeof(digits), "%u", value);
    put_variable(environment, name, digits);
}

static void fill_environment(struct environment *environment, const struct health_probe *probe)
{
    const char *path = getenv("PATH");
    char address[ADDR_TEXT_MAX];

    put_variable(environment, "PATH", path == NULL ? USUAL_PATH : path);
    if (!addr_is_any(&probe->target)) {
        addr_format(&probe->target, address, sizeof(address));
        put_variable(environment, "LEEWARD_ADDRESS", address);
        put_number(environment, "LEEWARD_FAMILY", probe->target.family == ADDR_V4 ? 4 : 6);
    }
    if (probe->target.port != 0) {
        put_number(environment, "LEEWARD_PORT", probe->target.port);
    }
    if (probe->check->name != NULL) {
        put_variable(environment, "LEEWARD_CHECK", probe->check->name);
    }
    if (probe->check->host != NULL) {
        put_variable(environment, "LEEWARD_SERVICE", probe->check->host);
    }
    put_number(environment, "LEEWARD_TIMEOUT_MS", probe->check->timing.timeout_ms);
}

static void free_environment(struct environment *environment)
{
    for (size_t i = 0; i < environment->count; i++) {
        free(environment->words[i]);
    }
}

/* ---- the verdict ---- */

static void judge_exit(struct check_attempt *attempt, const struct spawner_result *result)
{
    struct plugin_verdict verdict;

    plugin_output_judge(result->value, result->output, result->output_size, result->complaint,
                        result->complaint_size, &verdict);
    attempt_decide(attempt, verdict.outcome, false, verdict.reason);
}

static void on_ended(void *user, const struct spawner_result *result)
{
    struct check_exec *exec = user;
    struct check_attempt *attempt = &exec->attempt;
    char reason[CHECK_REASON_MAX];

    exec->program = 0;
    switch (result->end) {
    case SPAWNER_EXITED:
        judge_exit(attempt, result);
        break;
    case SPAWNER_KILLED:
        (void)snprintf(reason, sizeof(reason), "the program was ended by signal %d (%s)",
                       result->value, strsignal(result->value));
        attempt_decide(attempt, DETECT_VOID, false, reason);
        break;
    case SPAWNER_TIMED_OUT:
        attempt_decide(attempt, DETECT_SILENT, false, attempt->lacking);
        break;
    case SPAWNER_NOT_STARTED:
        (void)snprintf(reason, sizeof(reason), "%s: %s", attempt->probe->check->arguments[0],
                       strerror(result->value));
        attempt_decide(attempt, DETECT_VOID, false, reason);
        break;
    case SPAWNER_REFUSED:
        attempt_decide(attempt, DETECT_VOID, false, "too many programs are running already");
        break;
    }
}

/* ---- the attempt ---- */

static int run(struct check_exec *exec)
{
    const struct health_probe *probe = exec->attempt.probe;
    struct environment environment = { .failed = false };
    struct error err;
    int rc = UV_ENOMEM;

    fill_environment(&environment, probe);
    if (!environment.failed) {
        struct spawner_program program = {
            .arguments = probe->check->arguments,
            .environment = (const char *const *)environment.words,
            .timeout_ms = LIMIT_TIMES * probe->check->timing.timeout_ms + LIMIT_MORE_MS,
        };
        rc = programs_run(exec->attempt.loop, &program, on_ended, exec, &exec->program, &err);
        if (rc < 0) {
            log_event(LOG_DEBUG, "program not run", "target=%s error=%s", probe->label,
                      err.message);
        }
    }
    free_environment(&environment);
    return rc;
}

static struct check_attempt *start(uv_loop_t *loop, const struct health_probe *probe,
                                   check_done *done, void *user, int *out_error)
{
    struct check_exec *exec = calloc(1, sizeof(*exec));

    if (exec == NULL) {
        *out_error = UV_ENOMEM;
        return NULL;
    }
    attempt_begin(&exec->attempt, &check_exec_kind, loop, probe, done, user);
    exec->attempt.lacking = "the program has not ended";
    int rc = uv_timer_init(loop, &exec->timer);
    if (rc == 0) {
        attempt_hold(&exec->attempt, (uv_handle_t *)&exec->timer);
        rc = run(exec);
    }
    if (rc < 0) {
        attempt_cancel(&exec->attempt);
        *out_error = rc;
        return NULL;
    }
    return &exec->attempt;
}

/* What still runs is killed at once, not when the handle has closed. */
static void cancel(struct check_attempt *attempt)
{
    struct check_exec *exec = (struct check_exec *)attempt;

    programs_cancel(exec->program);
    exec->program = 0;
    attempt_cancel(attempt);
}

static void release(struct check_attempt *attempt)
{
    free(attempt);
}

const struct check_kind check_exec_kind = {
    .name = "exec",
    .start = start,
    .cancel = cancel,
    .release = release,
};
