#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolver/accepted.h"
#include "tests/unit/scratch.h"

static const char body[] = "regions: {seoul: {minimum_healthy: 0}}\n"
                           "services:\n"
                           "  api.example.com: {order: [seoul], minimum_healthy: 1,\n"
                           "                    endpoints: {seoul: [192.0.2.1]}}\n";

static struct model *load(const char *path)
{
    struct config_report report = { 0 };
    struct model *model;

    assert_int_equal(config_load(path, &model, &report), 0);
    config_report_fini(&report);
    return model;
}

/* A configuration whose state directory is `state` in the scratch directory. */
static void write_config(struct scratch *s, const char *name, char *out_path, size_t cap)
{
    char text[1024];

    (void)snprintf(text, sizeof(text), "node: {state_directory: %s}\n%s", s->dir, body);
    (void)snprintf(out_path, cap, "%s", scratch_write(s, name, text));
}

static void what_was_accepted_loads_when_the_file_is_broken(void **state)
{
    struct scratch s;
    char path[256];
    struct model *kept;
    struct error err;
    (void)state;

    scratch_init(&s);
    write_config(&s, "leeward.yaml", path, sizeof(path));
    struct model *model = load(path);
    accepted_save(model);
    model_free(model);
    (void)scratch_write(&s, "leeward.yaml", "services: {oops\n");
    assert_int_equal(accepted_load(s.dir, path, &kept, &err), 0);
    assert_int_equal(kept->service_count, 1);
    assert_string_equal(kept->services[0].name, "api.example.com");
    assert_string_equal(kept->path, path);
    /* and what came of it may be accepted in turn */
    accepted_save(kept);
    model_free(kept);
    assert_int_equal(accepted_load(s.dir, path, &kept, &err), 0);
    model_free(kept);
    scratch_fini(&s);
}

static void another_files_is_not_taken(void **state)
{
    struct scratch s;
    char path[256], longer[300];
    struct model *kept;
    struct error err;
    (void)state;

    scratch_init(&s);
    write_config(&s, "leeward.yaml", path, sizeof(path));
    struct model *model = load(path);
    accepted_save(model);
    model_free(model);
    assert_int_equal(accepted_load(s.dir, "/etc/other.yaml", &kept, &err), -ENOENT);
    assert_non_null(strstr(err.message, "/etc/other.yaml"));
    (void)snprintf(longer, sizeof(longer), "%s.old", path);
    assert_int_equal(accepted_load(s.dir, longer, &kept, &err), -ENOENT);
    longer[strlen(path) - 1] = '\0'; /* the beginning of the path is another path */
    assert_int_equal(accepted_load(s.dir, longer, &kept, &err), -ENOENT);
    scratch_fini(&s);
}

static void nothing_kept_or_damage_is_told(void **state)
{
    struct scratch s;
    char path[256], text[1024];
    struct model *kept;
    struct error err;
    (void)state;

    scratch_init(&s);
    write_config(&s, "leeward.yaml", path, sizeof(path));
    assert_int_equal(accepted_load(s.dir, path, &kept, &err), -ENOENT);
    (void)scratch_write(&s, "accepted.yaml", "");
    assert_int_equal(accepted_load(s.dir, path, &kept, &err), -ENOENT);
    (void)scratch_write(&s, "accepted.yaml", "anything else");
    assert_int_equal(accepted_load(s.dir, path, &kept, &err), -ENOENT);
    (void)snprintf(text, sizeof(text),
                   "# leeward: the last accepted configuration, from %s\nservices: {cut\n", path);
    (void)scratch_write(&s, "accepted.yaml", text);
    assert_int_equal(accepted_load(s.dir, path, &kept, &err), -EINVAL);
    assert_non_null(strstr(err.path, "accepted.yaml"));
    assert_true(err.message[0] != '\0');
    scratch_fini(&s);
}

static void a_directory_that_cannot_be_written_changes_nothing(void **state)
{
    struct scratch s;
    char text[1024], path[256];
    struct model *kept;
    struct error err;
    (void)state;

    scratch_init(&s);
    (void)scratch_write(&s, "file", "not a directory");
    (void)snprintf(text, sizeof(text), "node: {state_directory: %s/file}\n%s", s.dir, body);
    (void)snprintf(path, sizeof(path), "%s", scratch_write(&s, "leeward.yaml", text));
    struct model *model = load(path);
    accepted_save(model);
    accepted_save(model);
    assert_true(accepted_load(model->state_directory, path, &kept, &err) < 0);
    model_free(model);
    scratch_fini(&s);
}

static void the_state_directory_is_found_in_a_broken_file(void **state)
{
    static const struct {
        const char *text, *directory;
    } cases[] = {
        { "node: {name: a, state_directory: /srv/state}\nservices: {oops\n", "/srv/state" },
        { "node:\n  name: a\n  state_directory: /srv/state  # here\n  oops\n", "/srv/state" },
        { "node:\n  state_directory: \"/srv/state\"\n]\n", "/srv/state" },
        { "{\"node\": {\"state_directory\": \"/srv/state\"}, oops\n", "/srv/state" },
        { "{\"node\": {\"state_directory\" : \"/srv/state\"}, oops\n", "/srv/state" },
        { "# state_directory: /srv/state\n]\n", "/var/lib/leeward" },
        { "node: {state_directory: }\n]\n", "/var/lib/leeward" },
        { "node:\n  state_directory:\n    /srv\n]\n", "/var/lib/leeward" },
        { "node: {state_directory: $HOME}\n]\n", "/var/lib/leeward" },
        { "state_directory", "/var/lib/leeward" },
        { "", "/var/lib/leeward" },
    };
    struct scratch s;
    char out[256];
    (void)state;

    scratch_init(&s);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        accepted_directory(scratch_write(&s, "leeward.yaml", cases[i].text), out, sizeof(out));
        assert_string_equal(out, cases[i].directory);
    }
    accepted_directory("/nowhere/leeward.yaml", out, sizeof(out));
    assert_string_equal(out, "/var/lib/leeward");
    scratch_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_accepted_loads_when_the_file_is_broken),
        cmocka_unit_test(another_files_is_not_taken),
        cmocka_unit_test(nothing_kept_or_damage_is_told),
        cmocka_unit_test(a_directory_that_cannot_be_written_changes_nothing),
        cmocka_unit_test(the_state_directory_is_found_in_a_broken_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
