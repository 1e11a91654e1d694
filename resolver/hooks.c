#include "resolver/hooks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "policy/programs.h"
#include "resolver/hook.h"
#include "resolver/webhook.h"

#define USUAL_PATH    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define DOCUMENT_MAX  49152u /* as long as arguments and environment leave so much */
#define REQUEST_FRAME 256u   /* of a request to the spawner, beside its strings */
#define WHY_BYTES     192u

/* One hook, its program and its clock. */
struct runner {
    struct runner *next;
    struct hooks *hooks;
    struct hook hook;
    char **arguments; /* as run */
    char **environment;
    char *label; /* for people: no part of a URL that may be a secret */
    unsigned on;
    uint32_t timeout_ms;
    uint32_t program;   /* that runs; 0: none */
    bool has_told_loss; /* in the log, in this episode */
    uint64_t failing_since_ms;
    char why[WHY_BYTES]; /* the last try was in vain */
    uv_timer_t timer;
};

struct hooks {
    uv_loop_t *loop;
    hooks_tell *tell;
    void *user;
    char *node;
    char *region; /* NULL: none */
    struct runner *runners;
    bool closing;
    uint64_t end_ms; /* of the last chance */
    uv_timer_t end;
};

/* ---- lists of strings ---- */

static void free_strings(char **strings)
{
    for (size_t i = 0; strings != NULL && strings[i] != NULL; i++) {
        free(strings[i]);
    }
    free(strings);
}

static char **copy_strings(const char *const *strings, size_t count)
{
    char **copy = calloc(count + 1, sizeof(*copy));

    for (size_t i = 0; copy != NULL && i < count; i++) {
        copy[i] = strdup(strings[i]);
        if (copy[i] == NULL) {
            free_strings(copy);
            return NULL;
        }
    }
    return copy;
}

static bool are_equal(char **a, char **b)
{
    size_t i = 0;

    while (a[i] != NULL && b[i] != NULL && strcmp(a[i], b[i]) == 0) {
        i++;
    }
    return a[i] == b[i]; /* both are at their end */
}

static size_t strings_size(char **strings)
{
    size_t size = 0;

    for (size_t i = 0; strings[i] != NULL; i++) {
        size += strlen(strings[i]) + 1;
    }
    return size;
}

/* ---- telling of hooks themselves ---- */

static void note(const struct runner *runner, const char *from, const char *to, const char *reason)
{
    const struct journal_entry entry = {
        .kind = "hook",
        .target = runner->label,
        .from = from,
        .to = to,
        .reason = reason,
    };

    if (runner->hooks->tell != NULL) {
        runner->hooks->tell(runner->hooks->user, &entry);
    }
}

static void tell_failure(struct runner *runner, const char *why)
{
    log_event(LOG_WARNING, "hook failed", "hook=%s error=%s tries=%u", runner->label, why,
              runner->hook.tries);
    note(runner, "works", "fails", why);
}

static void tell_loss(struct runner *runner, uint64_t events, const char *why)
{
    char reason[WHY_BYTES + 64];

    (void)snprintf(reason, sizeof(reason), "%" PRIu64 " event%s not told: %s", events,
                   events == 1 ? "" : "s", why);
    if (!runner->has_told_loss) {
        runner->has_told_loss = true;
        log_event(LOG_WARNING, "hook gave up", "hook=%s events=%" PRIu64 " tries=%u error=%s",
                  runner->label, events, runner->hook.tries, why);
    }
    note(runner, NULL, "gave up", reason);
}

static void tell_recovery(struct runner *runner, uint64_t lost)
{
    char reason[64];

    (void)snprintf(reason, sizeof(reason), "%" PRIu64 " event%s lost meanwhile", lost,
                   lost == 1 ? "" : "s");
    runner->has_told_loss = false;
    log_event(LOG_INFO, "hook works again", "hook=%s lost=%" PRIu64, runner->label, lost);
    note(runner, "fails", "works", reason);
}

static void tell_written_off(const struct runner *runner)
{
    log_event(LOG_WARNING, "hook was not told", "hook=%s events=%" PRIu64 " error=%s",
              runner->label, hook_untold(&runner->hook), "stopping");
}

/* ---- the end of one ---- */

static void free_hooks(uv_handle_t *handle)
{
    struct hooks *hooks = handle->data;

    free(hooks->node);
    free(hooks->region);
    free(hooks);
}

static void free_runner(struct runner *runner)
{
    hook_fini(&runner->hook);
    free_strings(runner->arguments);
    free_strings(runner->environment);
    free(runner->label);
    free(runner);
}

static void on_runner_closed(uv_handle_t *handle)
{
    free_runner(handle->data);
}

/* Off the list, and gone when the loop has run. The last one to go ends it all. */
static void close_runner(struct runner *runner)
{
    struct hooks *hooks = runner->hooks;
    struct runner **link = &hooks->runners;

    programs_cancel(runner->program);
    while (*link != runner) {
        link = &(*link)->next;
    }
    *link = runner->next;
    uv_close((uv_handle_t *)&runner->timer, on_runner_closed);
    if (hooks->closing && hooks->runners == NULL) {
        uv_close((uv_handle_t *)&hooks->end, free_hooks);
    }
}

/* ---- running ---- */

static void on_due(uv_timer_t *timer);

/* Wake up when the hook is due. */
static void arm(struct runner *runner)
{
    uint64_t now_ms = clock_now_ms();
    uint64_t due_ms = runner->hook.due_ms;

    if (due_ms == HOOK_NEVER) {
        (void)uv_timer_stop(&runner->timer);
        return;
    }
    uv_update_time(runner->hooks->loop);
    (void)uv_timer_start(&runner->timer, on_due, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

/* Why the program did not do it, in a line. */
static void format_end(const struct runner *runner, const struct spawner_result *result, char *out,
                       size_t cap)
{
    const char *said = result->complaint_size > 0 ? result->complaint : result->output;
    int length = (int)strcspn(said, "\r\n");

    switch (result->end) {
    case SPAWNER_EXITED:
        if (length > 0) {
            (void)snprintf(out, cap, "%.*s", length, said);
        } else {
            (void)snprintf(out, cap, "exit status %d", result->value);
        }
        break;
    case SPAWNER_KILLED:
        (void)snprintf(out, cap, "killed by signal %d", result->value);
        break;
    case SPAWNER_TIMED_OUT:
        (void)snprintf(out, cap, "no end within %u ms", runner->timeout_ms);
        break;
    case SPAWNER_NOT_STARTED:
    case SPAWNER_REFUSED:
        (void)snprintf(out, cap, "cannot be run: %s", strerror(result->value));
        break;
    }
}

static void start(struct runner *runner);

/* Its last chance is used up, or it has more to tell within it. */
static void end_last(struct runner *runner, bool is_told)
{
    if (is_told && hook_has_any(&runner->hook) && clock_now_ms() < runner->hooks->end_ms) {
        start(runner);
        return;
    }
    if (hook_has_any(&runner->hook)) {
        tell_written_off(runner);
    }
    close_runner(runner);
}

static void end_run(struct runner *runner, bool is_told, const char *why)
{
    struct hook *hook = &runner->hook;
    bool was_failing = hook->failing;
    uint64_t lost = hook->lost;
    uint64_t events = hook->told;

    if (runner->hooks->closing) {
        if (is_told) {
            (void)hook_end(hook, true, clock_now_ms());
        }
        end_last(runner, is_told);
        return;
    }
    enum hook_outcome outcome = hook_end(hook, is_told, clock_now_ms());
    if (!is_told) {
        (void)snprintf(runner->why, sizeof(runner->why), "%s", why);
        runner->failing_since_ms = was_failing ? runner->failing_since_ms : clock_now_ms();
    }
    if (!is_told && !was_failing) {
        tell_failure(runner, why);
    }
    if (outcome == HOOK_LOST) {
        tell_loss(runner, events, why);
    } else if (is_told && was_failing) {
        tell_recovery(runner, lost);
    }
    arm(runner);
}

static void on_done(void *user, const struct spawner_result *result)
{
    struct runner *runner = user;
    char why[WHY_BYTES] = "";

    runner->program = 0;
    if (result->end == SPAWNER_REFUSED && !runner->hooks->closing) {
        hook_put_off(&runner->hook, clock_now_ms());
        arm(runner);
        return;
    }
    bool is_told = result->end == SPAWNER_EXITED && result->value == 0;
    if (!is_told) {
        format_end(runner, result, why, sizeof(why));
    }
    end_run(runner, is_told, why);
}

static uint32_t time_limit(const struct runner *runner)
{
    uint64_t now_ms = clock_now_ms();

    if (!runner->hooks->closing) {
        return runner->timeout_ms;
    }
    uint64_t left_ms = runner->hooks->end_ms > now_ms ? runner->hooks->end_ms - now_ms : 1;
    return left_ms < runner->timeout_ms ? (uint32_t)left_ms : runner->timeout_ms;
}

static void start(struct runner *runner)
{
    struct hooks *hooks = runner->hooks;
    const struct text *document = hook_start(&runner->hook, hooks->node, hooks->region);
    const struct spawner_program program = {
        .arguments = (const char *const *)runner->arguments,
        .environment = (const char *const *)runner->environment,
        .input = text_string(document),
        .input_size = document->length,
        .timeout_ms = time_limit(runner),
    };
    struct error err = { 0 };
    int rc = text_failed(document)
                 ? error_set(&err, -ENOMEM, "out of memory")
                 : programs_run(hooks->loop, &program, on_done, runner, &runner->program, &err);

    if (rc == -EAGAIN && !hooks->closing) {
        hook_put_off(&runner->hook, clock_now_ms());
        arm(runner);
    } else if (rc < 0) {
        end_run(runner, false, err.message);
    }
}

static void on_due(uv_timer_t *timer)
{
    struct runner *runner = timer->data;

    if (!runner->hook.running && hook_has_any(&runner->hook)) {
        start(runner);
    }
}

/* ---- what the configuration says ---- */

/* "https://hooks.example.com": what follows is often a key. */
static char *label_of_url(const char *url)
{
    const char *host = strstr(url, "://");

    if (host == NULL) {
        return strdup(url);
    }
    return strndup(url, (size_t)(host - url) + 3 + strcspn(host + 3, "/?#"));
}

static char **build_environment(const struct model_hook *hook)
{
    const char *path = getenv("PATH");
    char *words[2] = { NULL, NULL };
    char **copy = NULL;
    int rc = hook->url == NULL ? asprintf(&words[0], "PATH=%s", path == NULL ? USUAL_PATH : path)
                               : asprintf(&words[0], WEBHOOK_URL "=%s", hook->url);

    if (rc >= 0) {
        rc = asprintf(&words[1], WEBHOOK_TIMEOUT "=%u", hook->timeout_ms);
        if (rc >= 0) {
            copy = copy_strings((const char *const *)words, hook->url == NULL ? 1 : 2);
            free(words[1]);
        }
        free(words[0]);
    }
    return copy;
}

static struct runner *new_runner(struct hooks *hooks, const struct model_hook *hook)
{
    static const char *const own[] = { "/proc/self/exe", WEBHOOK_COMMAND };
    struct runner *runner = calloc(1, sizeof(*runner));

    if (runner == NULL) {
        return NULL;
    }
    runner->hooks = hooks;
    runner->arguments = hook->url == NULL ? copy_strings(hook->arguments, hook->argument_count)
                                          : copy_strings(own, 2);
    runner->environment = build_environment(hook);
    runner->label = hook->url == NULL ? strdup(hook->arguments[0]) : label_of_url(hook->url);
    runner->timeout_ms = hook->timeout_ms;
    if (runner->arguments == NULL || runner->environment == NULL || runner->label == NULL) {
        free_runner(runner);
        return NULL;
    }
    size_t used = strings_size(runner->arguments) + strings_size(runner->environment) +
                  REQUEST_FRAME + HOOK_FRAME_MAX + 2 * 6 * 255; /* names, each byte escaped */
    size_t room = used < SPAWNER_REQUEST_MAX ? SPAWNER_REQUEST_MAX - used : 0;
    hook_init(&runner->hook, hook->tries, room < DOCUMENT_MAX ? room : DOCUMENT_MAX);
    runner->on = hook->on;
    (void)uv_timer_init(hooks->loop, &runner->timer);
    runner->timer.data = runner;
    return runner;
}

/* The one of `list` that does the same, taken off it; NULL: none does. */
static struct runner *take_same(struct runner **list, const struct runner *wanted)
{
    for (struct runner **link = list; *link != NULL; link = &(*link)->next) {
        struct runner *runner = *link;
        if (are_equal(runner->arguments, wanted->arguments) &&
            strcmp(runner->environment[0], wanted->environment[0]) == 0) {
            *link = runner->next;
            return runner;
        }
    }
    return NULL;
}

static void rename_to(char **name, const char *value)
{
    free(*name);
    *name = value == NULL ? NULL : strdup(value);
}

/* `runner`, which goes on, gets what `fresh` says, which goes. */
static void renew(struct runner *runner, struct runner *fresh)
{
    char **environment = runner->environment;

    runner->environment = fresh->environment; /* the time limit is in it */
    fresh->environment = environment;
    runner->on = fresh->on;
    runner->timeout_ms = fresh->timeout_ms;
    runner->hook.tries = fresh->hook.tries;
    uv_close((uv_handle_t *)&fresh->timer, on_runner_closed);
}

/* The configuration has it no more. */
static void drop(struct hooks *hooks, struct runner *runner)
{
    if (hook_has_any(&runner->hook)) {
        log_event(LOG_WARNING, "hook was not told", "hook=%s events=%" PRIu64 " error=%s",
                  runner->label, hook_untold(&runner->hook), "not configured any more");
    }
    runner->next = hooks->runners; /* where close_runner seeks it */
    hooks->runners = runner;
    close_runner(runner);
}

void hooks_adopt(struct hooks *hooks, const struct model *model)
{
    struct runner *old = hooks->runners;
    struct runner **end = &hooks->runners;

    rename_to(&hooks->node, model->node_name);
    rename_to(&hooks->region,
              model->node_region == MODEL_NONE ? NULL : model->regions[model->node_region].name);
    hooks->runners = NULL;
    for (size_t i = 0; i < model->hook_count; i++) {
        struct runner *runner = new_runner(hooks, &model->hooks[i]);
        if (runner == NULL) {
            log_event(LOG_ERROR, "hook is not told", "error=%s", "out of memory");
            continue;
        }
        struct runner *same = take_same(&old, runner);
        if (same != NULL) {
            renew(same, runner);
            runner = same;
        }
        runner->next = NULL;
        *end = runner;
        end = &runner->next;
    }
    while (old != NULL) {
        struct runner *gone = old;
        old = gone->next;
        drop(hooks, gone);
    }
}

void hooks_say(struct hooks *hooks, unsigned category, const struct journal_entry *entry)
{
    for (struct runner *runner = hooks->runners; runner != NULL; runner = runner->next) {
        if ((runner->on & category) == 0) {
            continue;
        }
        uint64_t due_ms = runner->hook.due_ms;
        /* in a crowd almost all are only counted, and no clock is read for them */
        bool is_one_more = runner->hook.left_out > 0;
        hook_add(&runner->hook, entry, is_one_more ? 0 : clock_wall_ms(),
                 is_one_more ? 0 : clock_now_ms());
        if (runner->hook.due_ms != due_ms) {
            arm(runner);
        }
    }
}

void hooks_walk_failing(const struct hooks *hooks, hooks_visit *visit, void *user)
{
    for (const struct runner *runner = hooks->runners; runner != NULL; runner = runner->next) {
        const struct hooks_failure failure = {
            .label = runner->label,
            .why = runner->why,
            .since_ms = runner->failing_since_ms,
            .untold = hook_untold(&runner->hook) + runner->hook.lost,
        };
        if (runner->hook.failing) {
            visit(user, &failure);
        }
    }
}

/* ---- beginning and end ---- */

struct hooks *hooks_new(uv_loop_t *loop, hooks_tell *tell, void *user)
{
    struct hooks *hooks = calloc(1, sizeof(*hooks));

    if (hooks == NULL) {
        return NULL;
    }
    hooks->loop = loop;
    hooks->tell = tell;
    hooks->user = user;
    (void)uv_timer_init(loop, &hooks->end);
    hooks->end.data = hooks;
    return hooks;
}

static void on_end(uv_timer_t *timer)
{
    struct hooks *hooks = timer->data;
    struct runner *next;

    for (struct runner *runner = hooks->runners; runner != NULL; runner = next) {
        next = runner->next; /* after the last one `hooks` is on its way out */
        tell_written_off(runner);
        close_runner(runner);
    }
}

void hooks_close(struct hooks *hooks)
{
    struct runner *next;

    if (hooks == NULL) {
        return;
    }
    hooks->tell = NULL;
    hooks->closing = true;
    hooks->end_ms = clock_now_ms() + HOOKS_LAST_CHANCE_MS;
    if (hooks->runners == NULL) {
        uv_close((uv_handle_t *)&hooks->end, free_hooks);
        return;
    }
    uv_update_time(hooks->loop);
    (void)uv_timer_start(&hooks->end, on_end, HOOKS_LAST_CHANCE_MS, 0);
    for (struct runner *runner = hooks->runners; runner != NULL; runner = next) {
        next = runner->next;
        (void)uv_timer_stop(&runner->timer);
        if (runner->hook.running) {
            continue; /* what is under way may be over in time */
        }
        if (hook_has_any(&runner->hook)) {
            start(runner);
        } else {
            close_runner(runner);
        }
    }
}
