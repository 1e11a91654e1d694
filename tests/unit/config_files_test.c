#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/config.h"
#include "tests/unit/scratch.h"

/* A directory and the file in it that is loaded. */
struct fixture {
    struct scratch scratch;
    char main[128];
    struct model *model;
    struct config_report report;
    int rc;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    REQUIRE(fixture != NULL);
    scratch_init(&fixture->scratch);
    (void)snprintf(fixture->main, sizeof(fixture->main), "%s/main.yaml", fixture->scratch.dir);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    config_report_fini(&fixture->report);
    model_free(fixture->model);
    scratch_fini(&fixture->scratch);
    free(fixture);
    return 0;
}

static void load(struct fixture *fixture, const char *text)
{
    (void)scratch_write(&fixture->scratch, "main.yaml", text);
    fixture->rc = config_load(fixture->main, &fixture->model, &fixture->report);
}

static void assert_loaded(struct fixture *fixture)
{
    struct text out = { 0 };

    config_report_print(&fixture->report, &out);
    if (fixture->rc < 0) {
        print_error("%s", text_string(&out));
    }
    text_fini(&out);
    assert_int_equal(fixture->rc, 0);
}

/* One error, in a file of the directory. */
static void assert_error(const struct fixture *fixture, const char *file, unsigned line,
                         unsigned col, const char *message)
{
    char path[256];

    assert_true(fixture->rc < 0);
    assert_int_equal(fixture->report.count, 1);
    const struct error *err = &fixture->report.errors[0];
    (void)snprintf(path, sizeof(path), "%s/%s", fixture->scratch.dir, file);
    assert_string_equal(err->path, path);
    if (strstr(err->message, message) == NULL) {
        print_error("wanted %s\ncame   %s\n", message, err->message);
        fail();
    }
    assert_int_equal(err->line, line);
    assert_int_equal(err->col, col);
}

static void a_file_that_is_not_there_says_so(void **state)
{
    struct fixture *fixture = *state;

    fixture->rc = config_load(fixture->main, &fixture->model, &fixture->report);
    assert_int_equal(fixture->rc, -ENOENT);
    assert_error(fixture, "main.yaml", 0, 0, "cannot be read: No such file");
}

static void a_directory_is_no_file(void **state)
{
    struct fixture *fixture = *state;

    fixture->rc = config_load(fixture->scratch.dir, &fixture->model, &fixture->report);
    assert_int_equal(fixture->rc, -EISDIR);
}

static void a_file_above_the_limit_is_refused(void **state)
{
    struct fixture *fixture = *state;
    size_t size = (size_t)16 * 1024 * 1024 + 1;
    char *bytes = malloc(size);

    assert_non_null(bytes);
    memset(bytes, '#', size);
    (void)scratch_write_bytes(&fixture->scratch, "main.yaml", bytes, size);
    fixture->rc = config_load(fixture->main, &fixture->model, &fixture->report);
    assert_int_equal(fixture->rc, -EFBIG);
    assert_error(fixture, "main.yaml", 0, 0, "larger than 16 MiB");
    free(bytes);
}

static void a_text_above_the_limit_is_refused(void **state)
{
    struct fixture *fixture = *state;
    size_t size = (size_t)16 * 1024 * 1024 + 1;
    char *bytes = malloc(size + 1);

    assert_non_null(bytes);
    memset(bytes, '#', size);
    bytes[size] = '\0';
    fixture->rc = config_load_text(bytes, fixture->main, &fixture->model, &fixture->report);
    assert_error(fixture, "main.yaml", 0, 0, "larger than 16 MiB");
    free(bytes);
}

static void files_together_keep_to_the_limit(void **state)
{
    struct fixture *fixture = *state;
    size_t size = (size_t)16 * 1024 * 1024 - 8;
    char *bytes = malloc(size);

    assert_non_null(bytes);
    memset(bytes, '#', size);
    (void)scratch_write_bytes(&fixture->scratch, "more.yaml", bytes, size);
    load(fixture, "include: more.yaml\n");
    assert_error(fixture, "main.yaml", 1, 10, "larger than 16 MiB with the files read before");
    free(bytes);
}

static void a_nul_byte_is_placed(void **state)
{
    struct fixture *fixture = *state;

    (void)scratch_write_bytes(&fixture->scratch, "main.yaml", "node: {}\nlog: \0{}\n", 18);
    fixture->rc = config_load(fixture->main, &fixture->model, &fixture->report);
    assert_error(fixture, "main.yaml", 2, 6, "control characters are not allowed");
}

static void included_files_are_merged(void **state)
{
    struct fixture *fixture = *state;

    (void)scratch_write(&fixture->scratch, "b.part.yaml",
                        "services:\n  b.example: {minimum_healthy: 1, check: web,"
                        " endpoints: {x: 192.0.2.2}}\nlog: {format: json}\n");
    (void)scratch_write(&fixture->scratch, "c.part.yaml",
                        "services:\n  c.example: {minimum_healthy: 1, endpoints: {x: 192.0.2.3}}\n"
                        "zones: {example: {file: example.zone}}\n");
    (void)scratch_write(&fixture->scratch, "checks.yaml", "checks: {web: {tcp: {port: 80}}}\n");
    load(fixture, "include: [\"*.part.yaml\", checks.yaml, none.d/*.yaml]\n"
                  "regions: {x: {minimum_healthy: 0}}\n"
                  "services:\n  a.example: {minimum_healthy: 1, endpoints: {x: 192.0.2.1}}\n"
                  "log: {level: debug}\n");
    assert_loaded(fixture);
    const struct model *model = fixture->model;
    assert_int_equal(model->service_count, 3);
    assert_string_equal(model->services[0].name, "a.example");
    assert_string_equal(model->services[1].name, "b.example");
    assert_string_equal(model->services[2].name, "c.example");
    assert_string_equal(model->services[1].checks[0].name, "web");
    assert_string_equal(model->services[2].place.path + strlen(fixture->scratch.dir) + 1,
                        "c.part.yaml");
    assert_int_equal(model->log_level, LOG_DEBUG);
    assert_int_equal(model->log_format, LOG_FORMAT_JSON);
    assert_int_equal(model->zone_count, 1);
    assert_memory_equal(model->zones[0].file, fixture->scratch.dir, strlen(fixture->scratch.dir));
}

static void a_key_given_twice_names_both_places(void **state)
{
    struct fixture *fixture = *state;
    char place[256];

    (void)scratch_write(&fixture->scratch, "more.yaml", "\nlog:\n  level: debug\n");
    load(fixture, "include: more.yaml\nlog:\n  level: info\n");
    (void)snprintf(place, sizeof(place), "'level' is given twice, first at %s:3:3", fixture->main);
    assert_error(fixture, "more.yaml", 3, 3, place);
}

static void a_list_in_two_files_is_given_twice(void **state)
{
    struct fixture *fixture = *state;

    (void)scratch_write(&fixture->scratch, "more.yaml", "listen: [127.0.0.2]\n");
    load(fixture, "include: more.yaml\nlisten: [127.0.0.1]\n");
    assert_error(fixture, "more.yaml", 1, 1, "'listen' is given twice");
}

static void errors_of_an_included_file_name_that_file(void **state)
{
    struct fixture *fixture = *state;

    (void)scratch_write(&fixture->scratch, "more.yaml", "log: {levle: debug}\n");
    load(fixture, "include: more.yaml\n");
    assert_error(fixture, "more.yaml", 1, 7, "unknown key 'levle'");
}

static void broken_included_files_are_all_reported(void **state)
{
    struct fixture *fixture = *state;

    (void)scratch_write(&fixture->scratch, "a.part", "log: {\n");
    (void)scratch_write(&fixture->scratch, "b.part", "node: [\n");
    load(fixture, "include: \"*.part\"\n");
    assert_true(fixture->rc < 0);
    assert_int_equal(fixture->report.count, 2);
}

static void a_plain_path_must_lead_to_a_file(void **state)
{
    struct fixture *fixture = *state;

    load(fixture, "log: {}\ninclude: [none.yaml]\n");
    assert_error(fixture, "main.yaml", 2, 11, "none.yaml cannot be read: No such file");
}

static void an_include_must_be_a_path(void **state)
{
    struct fixture *fixture = *state;

    load(fixture, "include: [[a]]\n");
    assert_error(fixture, "main.yaml", 1, 11, "must be a path or a pattern");
}

static void files_that_include_each_other_are_refused(void **state)
{
    struct fixture *fixture = *state;

    (void)scratch_write(&fixture->scratch, "more.yaml", "include: main.yaml\n");
    load(fixture, "include: more.yaml\n");
    assert_error(fixture, "more.yaml", 1, 10, "main.yaml is included twice");
}

static void includes_take_variables(void **state)
{
    struct fixture *fixture = *state;

    (void)scratch_write(&fixture->scratch, "prod.yaml", "log: {level: error}\n");
    assert_int_equal(setenv("LEEWARD_TEST", "prod", 1), 0);
    load(fixture, "include: \"${LEEWARD_TEST}.yaml\"\n");
    assert_loaded(fixture);
    assert_int_equal(fixture->model->log_level, LOG_ERROR);
}

static void the_source_holds_what_was_included(void **state)
{
    struct fixture *fixture = *state;
    struct config_report report;
    struct model *again = NULL;

    (void)scratch_write(&fixture->scratch, "more.yaml",
                        "zones: {a.example: {file: a.zone}}\nlog: {level: \"${LEEWARD_TEST}\"}\n");
    assert_int_equal(setenv("LEEWARD_TEST", "debug", 1), 0);
    load(fixture, "include: more.yaml\n");
    assert_loaded(fixture);
    assert_int_equal(unsetenv("LEEWARD_TEST"), 0);
    assert_int_equal(config_load_text(fixture->model->source, "elsewhere/x.yaml", &again, &report),
                     0);
    assert_int_equal(again->log_level, LOG_DEBUG);
    assert_string_equal(again->zones[0].file, fixture->model->zones[0].file);
    assert_string_equal(again->source, fixture->model->source);
    config_report_fini(&report);
    model_free(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_that_is_not_there_says_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_directory_is_no_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_above_the_limit_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_text_above_the_limit_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_together_keep_to_the_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_nul_byte_is_placed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(included_files_are_merged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_given_twice_names_both_places, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_list_in_two_files_is_given_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_of_an_included_file_name_that_file, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(broken_included_files_are_all_reported, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_plain_path_must_lead_to_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_include_must_be_a_path, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_that_include_each_other_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(includes_take_variables, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_source_holds_what_was_included, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
