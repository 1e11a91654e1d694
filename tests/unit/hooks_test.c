#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <cmocka.h>

#include <unistd.h>

#include "base/file.h"
#include "base/spawner.h"
#include "base/spawner_helper.h"
#include "policy/programs.h"
#include "resolver/hooks.h"
#include "resolver/webhook.h"
#include "tests/unit/scratch.h"

#define PATIENCE_MS 60000

struct world {
    uv_loop_t loop;
    uv_timer_t patience;
    uv_timer_t glance; /* files appear without a word to the loop */
    bool impatient;
    struct hooks *hooks;
    struct scratch scratch;
    const char *folder;
    char script[2][512];
    const char *arguments[2][5];
    struct model_hook list[2];
    struct model model;
    unsigned failures, losses, recoveries;
    char reason[512];
};

static void on_patience(uv_timer_t *timer)
{
    ((struct world *)timer->data)->impatient = true;
}

static void on_glance(uv_timer_t *timer)
{
    (void)timer;
}

static void on_tell(void *user, const struct journal_entry *entry)
{
    struct world *w = user;

    assert_string_equal(entry->kind, "hook");
    w->failures += strcmp(entry->to, "fails") == 0;
    w->losses += strcmp(entry->to, "gave up") == 0;
    w->recoveries += strcmp(entry->to, "works") == 0;
    (void)snprintf(w->reason, sizeof(w->reason), "%s", entry->reason);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    (void)uv_timer_init(&w->loop, &w->patience);
    w->patience.data = w;
    (void)uv_timer_start(&w->patience, on_patience, PATIENCE_MS, 0);
    uv_unref((uv_handle_t *)&w->patience);
    (void)uv_timer_init(&w->loop, &w->glance);
    (void)uv_timer_start(&w->glance, on_glance, 10, 10);
    uv_unref((uv_handle_t *)&w->glance);
    scratch_init(&w->scratch);
    w->folder = w->scratch.dir;
    w->hooks = hooks_new(&w->loop, on_tell, w);
    assert_non_null(w->hooks);
    w->model.node_name = "n1";
    w->model.node_region = MODEL_NONE;
    w->model.hooks = w->list;
    *state = w;
    return 0;
}

static void close_hooks(struct world *w)
{
    if (w->hooks != NULL) {
        hooks_close(w->hooks);
        w->hooks = NULL;
        while (uv_run(&w->loop, UV_RUN_ONCE) != 0 && !w->impatient) {
        }
        assert_false(w->impatient);
    }
}

static int teardown(void **state)
{
    struct world *w = *state;

    close_hooks(w);
    programs_stop();
    uv_close((uv_handle_t *)&w->patience, NULL);
    uv_close((uv_handle_t *)&w->glance, NULL);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    scratch_fini(&w->scratch);
    free(w);
    return 0;
}

/* Hook `i` is this script, in which $0 is the folder of the test. */
static void set_hook(struct world *w, size_t i, const char *script, unsigned on)
{
    const char *arguments[] = { "/bin/sh", "-c", w->script[i], w->folder, NULL };

    (void)snprintf(w->script[i], sizeof(w->script[i]), "%s", script);
    memcpy(w->arguments[i], arguments, sizeof(arguments));
    w->list[i] = (struct model_hook){
        .arguments = w->arguments[i],
        .argument_count = 4,
        .on = on,
        .timeout_ms = PATIENCE_MS,
        .tries = 5,
    };
    w->model.hook_count = w->model.hook_count > i ? w->model.hook_count : i + 1;
}

static void say(struct world *w, unsigned category, const char *target)
{
    const struct journal_entry entry = { .kind = "region", .target = target, .to = "gated" };

    hooks_say(w->hooks, category, &entry);
}

/* What stands in a file of the folder; "" while there is none. */
static const char *content_of(struct world *w, const char *name)
{
    static char content[65536];
    char path[512];
    char *bytes;
    size_t length;
    struct error ignored;

    (void)snprintf(path, sizeof(path), "%s/%s", w->folder, name);
    content[0] = '\0';
    if (file_read(path, sizeof(content) - 1, &bytes, &length, &ignored) == 0) {
        memcpy(content, bytes, length);
        content[length] = '\0';
        free(bytes);
    }
    return content;
}

/* Until `text` stands in the file. */
static void wait_for(struct world *w, const char *name, const char *text)
{
    while (strstr(content_of(w, name), text) == NULL && !w->impatient) {
        (void)uv_run(&w->loop, UV_RUN_ONCE);
    }
    assert_non_null(strstr(content_of(w, name), text));
}

static void wait_for_count(struct world *w, const unsigned *count, unsigned wanted)
{
    while (*count < wanted && !w->impatient) {
        (void)uv_run(&w->loop, UV_RUN_ONCE);
    }
    assert_int_equal(*count, wanted);
}

static void a_program_reads_what_happened(void **state)
{
    struct world *w = *state;

    set_hook(w, 0, "cat >>$0/out; echo . >>$0/out", MODEL_NOTIFY_REGION | MODEL_NOTIFY_GUARD);
    hooks_adopt(w->hooks, &w->model);
    say(w, MODEL_NOTIFY_REGION, "seoul");
    say(w, MODEL_NOTIFY_SERVICE, "www.example");
    say(w, MODEL_NOTIFY_GUARD, "isolation");
    wait_for(w, "out", ".\n");
    json_t *root = json_loads(content_of(w, "out"), JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(root);
    const json_t *events = json_object_get(root, "events");
    assert_int_equal(json_array_size(events), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(events, 1), "target")),
                        "isolation");
    json_decref(root);
    assert_int_equal(w->failures, 0);
}

static void a_failure_is_told_once_and_so_is_its_end(void **state)
{
    struct world *w = *state;

    set_hook(w, 0,
             "echo x >>$0/tries; [ $(wc -l <$0/tries) -ge 3 ] && exit 0\n"
             "echo no way >&2; exit 3",
             MODEL_NOTIFY_REGION);
    hooks_adopt(w->hooks, &w->model);
    say(w, MODEL_NOTIFY_REGION, "seoul");
    wait_for_count(w, &w->failures, 1);
    assert_string_equal(w->reason, "no way");
    wait_for_count(w, &w->recoveries, 1);
    assert_string_equal(content_of(w, "tries"), "x\nx\nx\n");
    assert_int_equal(w->failures, 1);
    assert_int_equal(w->losses, 0);
}

static void what_is_given_up_is_told_with_its_number(void **state)
{
    struct world *w = *state;

    set_hook(w, 0, "exit 4", MODEL_NOTIFY_REGION);
    w->list[0].tries = 1;
    hooks_adopt(w->hooks, &w->model);
    say(w, MODEL_NOTIFY_REGION, "seoul");
    say(w, MODEL_NOTIFY_REGION, "tokyo");
    wait_for_count(w, &w->losses, 1);
    assert_string_equal(w->reason, "2 events not told: exit status 4");
    assert_int_equal(w->failures, 1);
    say(w, MODEL_NOTIFY_REGION, "seoul");
    wait_for_count(w, &w->losses, 2);
    assert_int_equal(w->failures, 1); /* still the same episode */
}

static void a_program_that_cannot_be_run_is_a_failure(void **state)
{
    static const char *const arguments[] = { "/no/such/program", NULL };
    struct world *w = *state;

    set_hook(w, 0, "", MODEL_NOTIFY_REGION);
    w->list[0].arguments = arguments;
    w->list[0].argument_count = 1;
    hooks_adopt(w->hooks, &w->model);
    say(w, MODEL_NOTIFY_REGION, "seoul");
    wait_for_count(w, &w->failures, 1);
    assert_non_null(strstr(w->reason, "cannot be run"));
}

static void one_that_hangs_delays_no_other(void **state)
{
    struct world *w = *state;

    set_hook(w, 0, "sleep 1000", MODEL_NOTIFY_REGION);
    set_hook(w, 1, "cat >>$0/out", MODEL_NOTIFY_REGION);
    hooks_adopt(w->hooks, &w->model);
    say(w, MODEL_NOTIFY_REGION, "seoul");
    wait_for(w, "out", "seoul");
    say(w, MODEL_NOTIFY_REGION, "tokyo");
    wait_for(w, "out", "tokyo");
}

static void a_reload_keeps_what_waits(void **state)
{
    struct world *w = *state;

    set_hook(w, 0, "cat >>$0/first", MODEL_NOTIFY_REGION);
    set_hook(w, 1, "cat >>$0/second", MODEL_NOTIFY_REGION);
    hooks_adopt(w->hooks, &w->model);
    say(w, MODEL_NOTIFY_REGION, "seoul");
    w->list[0] = w->list[1]; /* the first one goes */
    w->list[0].on = MODEL_NOTIFY_GUARD;
    w->model.hook_count = 1;
    hooks_adopt(w->hooks, &w->model);
    say(w, MODEL_NOTIFY_REGION, "tokyo");
    say(w, MODEL_NOTIFY_GUARD, "isolation");
    wait_for(w, "second", "isolation");
    assert_non_null(strstr(content_of(w, "second"), "seoul"));
    assert_null(strstr(content_of(w, "second"), "tokyo"));
    assert_string_equal(content_of(w, "first"), "");
}

static void the_end_tells_what_waits(void **state)
{
    struct world *w = *state;

    set_hook(w, 0, "cat >>$0/out; echo . >>$0/out", MODEL_NOTIFY_REGION);
    hooks_adopt(w->hooks, &w->model);
    say(w, MODEL_NOTIFY_REGION, "seoul");
    close_hooks(w);
    assert_int_equal(w->failures, 0); /* nobody is told of hooks any more */
    if (!w->impatient && content_of(w, "out")[0] != '\0') {
        assert_non_null(strstr(content_of(w, "out"), "seoul"));
    }
}

static void the_end_waits_for_no_program(void **state)
{
    struct world *w = *state;

    set_hook(w, 0, "echo >$0/begun; sleep 1000", MODEL_NOTIFY_REGION);
    set_hook(w, 1, "sleep 1000", MODEL_NOTIFY_GUARD);
    hooks_adopt(w->hooks, &w->model);
    say(w, MODEL_NOTIFY_REGION, "seoul");
    wait_for(w, "begun", "\n");
    say(w, MODEL_NOTIFY_REGION, "tokyo");
    say(w, MODEL_NOTIFY_GUARD, "isolation");
    close_hooks(w); /* neither under way nor waiting */
}

static void a_webhook_that_cannot_be_reached_says_why(void **state)
{
    struct world *w = *state;

    /* the discard port of an address where nobody listens */
    w->list[0] = (struct model_hook){
        .url = "http://127.255.255.254:9/secret",
        .on = MODEL_NOTIFY_REGION,
        .timeout_ms = PATIENCE_MS,
        .tries = 1,
    };
    w->model.hook_count = 1;
    hooks_adopt(w->hooks, &w->model);
    say(w, MODEL_NOTIFY_REGION, "seoul");
    wait_for_count(w, &w->losses, 1);
    assert_true(strstr(w->reason, "onnect") != NULL || strstr(w->reason, "libcurl") != NULL);
    assert_null(strstr(w->reason, "secret"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_program_reads_what_happened, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failure_is_told_once_and_so_is_its_end, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_given_up_is_told_with_its_number, setup, teardown),
        cmocka_unit_test_setup_teardown(a_program_that_cannot_be_run_is_a_failure, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_hangs_delays_no_other, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reload_keeps_what_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_tells_what_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_waits_for_no_program, setup, teardown),
        cmocka_unit_test_setup_teardown(a_webhook_that_cannot_be_reached_says_why, setup, teardown),
    };

    if (argc == 2 && strcmp(argv[1], SPAWNER_COMMAND) == 0) {
        return spawner_helper_run();
    }
    if (argc == 2 && strcmp(argv[1], WEBHOOK_COMMAND) == 0) {
        return webhook_run();
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
