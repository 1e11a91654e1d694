#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>
#include <cmocka.h>

#include "base/clock.h"
#include "policy/journal.h"

static char directory[64];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof(directory), "/tmp/leeward-journal-XXXXXX");
    return mkdtemp(directory) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    char path[128];

    (void)state;
    for (unsigned age = 0; age < 8; age++) {
        (void)snprintf(path, sizeof(path), age == 0 ? "%s/journal.jsonl" : "%s/journal.jsonl.%u",
                       directory, age);
        (void)unlink(path);
    }
    return rmdir(directory);
}

static void note(struct journal *journal, const char *target, const char *reason)
{
    const struct journal_entry entry = {
        .kind = "region",
        .target = target,
        .from = "in",
        .to = "gated",
        .reason = reason,
    };

    journal_note(journal, &entry);
}

/* The entries that fit, as a JSON list; the caller's. */
static json_t *read_cut(const struct journal_query *query, bool *out_cut)
{
    struct text list = { 0 };
    struct text whole = { 0 };

    size_t count = journal_read(directory, query, &list, out_cut);
    text_printf(&whole, "[%s]", text_string(&list));
    json_t *entries = json_loads(text_string(&whole), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(entries);
    assert_int_equal(json_array_size(entries), count);
    text_fini(&list);
    text_fini(&whole);
    return entries;
}

static json_t *read_back(const struct journal_query *query)
{
    bool ignored;

    return read_cut(query, &ignored);
}

/* The same once the loop has written what was noted. */
static json_t *read_written(uv_loop_t *loop, const struct journal_query *query, bool *out_cut,
                            size_t count)
{
    (void)uv_run(loop, UV_RUN_DEFAULT);
    json_t *entries = read_cut(query, out_cut);
    assert_int_equal(json_array_size(entries), count);
    return entries;
}

static const char *member(const json_t *entries, size_t index, const char *key)
{
    return json_string_value(json_object_get(json_array_get(entries, index), key));
}

static void what_was_noted_is_read_in_order(void **state)
{
    uv_loop_t loop;
    struct journal_query query = { .limit = 100 };

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct journal *journal = journal_new(&loop);
    note(journal, "seoul", "before there is a directory");
    journal_open(journal, directory, 1 << 20, 4);
    note(journal, "tokyo", "with \"quotes\"\nand lines");
    journal_close(journal);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    json_t *entries = read_back(&query);
    assert_int_equal(json_array_size(entries), 2);
    assert_string_equal(member(entries, 0, "target"), "seoul");
    assert_string_equal(member(entries, 1, "reason"), "with \"quotes\"\nand lines");
    assert_string_equal(member(entries, 1, "to"), "gated");
    assert_null(member(entries, 1, "author"));
    json_decref(entries);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void only_what_is_asked_for_is_read(void **state)
{
    uv_loop_t loop;
    struct journal_query all = { .limit = 100 };
    struct journal_query newest = { .limit = 3 };
    struct journal_query named = { .limit = 100, .target = "tok" };
    struct journal_query later = { .limit = 100, .since_ms = clock_wall_ms() + 3600000 };

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct journal *journal = journal_new(&loop);
    journal_open(journal, directory, 1 << 20, 4);
    for (unsigned i = 0; i < 10; i++) {
        note(journal, i % 2 == 0 ? "seoul" : "tokyo", "");
    }
    journal_close(journal);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    json_t *entries = read_back(&all);
    assert_int_equal(json_array_size(entries), 10);
    json_decref(entries);
    entries = read_back(&newest);
    assert_int_equal(json_array_size(entries), 3);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(entries, 2), "number")), 10);
    json_decref(entries);
    entries = read_back(&named);
    assert_int_equal(json_array_size(entries), 5);
    json_decref(entries);
    entries = read_back(&later);
    assert_int_equal(json_array_size(entries), 0);
    json_decref(entries);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void files_are_rotated_and_the_oldest_go(void **state)
{
    uv_loop_t loop;
    struct journal_query all = { .limit = 1000 };
    char path[128];

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct journal *journal = journal_new(&loop);
    journal_open(journal, directory, 300, 3);
    for (unsigned i = 0; i < 40; i++) {
        note(journal, "seoul", "");
        (void)uv_run(&loop, UV_RUN_DEFAULT); /* written one by one */
    }
    journal_close(journal);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    json_t *entries = read_back(&all);
    size_t count = json_array_size(entries);
    assert_true(count >= 3 && count < 12);
    for (size_t i = 1; i < count; i++) {
        json_int_t before =
            json_integer_value(json_object_get(json_array_get(entries, i - 1), "number"));
        json_int_t now = json_integer_value(json_object_get(json_array_get(entries, i), "number"));
        assert_true(now == before + 1);
    }
    json_decref(entries);
    (void)snprintf(path, sizeof(path), "%s/journal.jsonl.3", directory);
    assert_int_equal(access(path, F_OK), -1);
    (void)snprintf(path, sizeof(path), "%s/journal.jsonl.2", directory);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void a_line_cut_off_by_a_crash_is_passed_over(void **state)
{
    uv_loop_t loop;
    struct journal_query all = { .limit = 100 };
    char path[128];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/journal.jsonl", directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("{\"time\":\"2018-11-22T08:19:00.000Z\",\"target\":\"se\n", file);
    (void)fclose(file);
    assert_int_equal(uv_loop_init(&loop), 0);
    struct journal *journal = journal_new(&loop);
    journal_open(journal, directory, 1 << 20, 4);
    note(journal, "seoul", "");
    journal_close(journal);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    json_t *entries = read_back(&all);
    assert_int_equal(json_array_size(entries), 1);
    json_decref(entries);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void half_a_line_does_not_take_the_next_one_along(void **state)
{
    uv_loop_t loop;
    struct journal_query all = { .limit = 100 };
    char path[128];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/journal.jsonl", directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("{\"time\":\"2018-11-22T08:19:00.000Z\",\"target\":\"se", file);
    (void)fclose(file);
    assert_int_equal(uv_loop_init(&loop), 0);
    struct journal *journal = journal_new(&loop);
    journal_open(journal, directory, 1 << 20, 4);
    note(journal, "seoul", "");
    journal_close(journal);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    json_t *entries = read_back(&all);
    assert_int_equal(json_array_size(entries), 1);
    json_decref(entries);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void a_directory_that_cannot_be_written_ends_nothing(void **state)
{
    uv_loop_t loop;

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct journal *journal = journal_new(&loop);
    journal_open(journal, "/proc/nowhere", 1 << 20, 4);
    for (unsigned i = 0; i < 20000; i++) {
        note(journal, "seoul", "what cannot be written is left out in the end");
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(journal_trouble(journal) < 0);
    journal_close(journal);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* What is too old to be looked at, or too much, is told of. */
static void that_there_is_more_is_said(void **state)
{
    char filler[2000];
    uv_loop_t loop;
    bool cut;

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct journal *journal = journal_new(&loop);
    journal_open(journal, directory, 1 << 20, 20);
    for (unsigned i = 0; i < 10; i++) {
        note(journal, "oldest", "");
    }
    uint64_t then_ms = clock_wall_ms();
    struct journal_query all = { .limit = 10 }, some = { .limit = 9 };
    json_t *entries = read_written(&loop, &all, &cut, 10);
    assert_false(cut);
    json_decref(entries);
    json_decref(read_cut(&some, &cut));
    assert_true(cut);

    memset(filler, 'x', sizeof(filler) - 1);
    filler[sizeof(filler) - 1] = '\0';
    for (size_t written = 0; written < JOURNAL_READ_MAX; written += sizeof(filler)) {
        note(journal, "tokyo", filler);
        (void)uv_run(&loop, UV_RUN_DEFAULT);
    }
    struct journal_query oldest = { .limit = 100, .target = "oldest" };
    entries = read_cut(&oldest, &cut);
    assert_int_equal(json_array_size(entries), 0);
    assert_true(cut); /* they are there, but nobody looked so far back */
    json_decref(entries);
    struct journal_query later = { .limit = 100, .target = "oldest", .since_ms = then_ms + 60000 };
    json_decref(read_cut(&later, &cut));
    assert_false(cut); /* what was not looked at is older than that */
    journal_close(journal);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_noted_is_read_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_what_is_asked_for_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_are_rotated_and_the_oldest_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_cut_off_by_a_crash_is_passed_over, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(half_a_line_does_not_take_the_next_one_along, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_directory_that_cannot_be_written_ends_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(that_there_is_more_is_said, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
