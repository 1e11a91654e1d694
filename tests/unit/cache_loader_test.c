#include "resolver/cache/cache_loader.h"

#include <errno.h>

#include "base/file.h"
#include "tests/unit/cache_file_world.h"
#include "tests/unit/scratch.h"

#define FILE_MOST (64u << 20)
#define NONE      ((size_t)-1)

struct fixture {
    struct world saved;
    struct world loaded;
    struct scratch scratch;
    uv_loop_t loop;
    char path[256];
    char aside[256];
    struct cache_file_times times; /* of the saving: now */
    struct world_file file;
    size_t count; /* as told; NONE: not yet */
    unsigned calls;
};

static int setup(void **state)
{
    static struct fixture f;

    world_init(&f.saved);
    world_init(&f.loaded);
    scratch_init(&f.scratch);
    assert_int_equal(uv_loop_init(&f.loop), 0);
    (void)snprintf(f.path, sizeof(f.path), "%s/cache", f.scratch.dir);
    (void)snprintf(f.aside, sizeof(f.aside), "%s/cache.damaged", f.scratch.dir);
    f.times.wall_ms = clock_wall_ms();
    f.times.now_ms = (int64_t)clock_now_ms(); /* the later one, as in a saving */
    world_fill(f.saved.cache, f.times.now_ms);
    f.file = world_save(f.saved.cache, &f.times);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    free(f->file.bytes);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    scratch_fini(&f->scratch);
    world_fini(&f->loaded);
    world_fini(&f->saved);
    return 0;
}

static void on_done(void *user, size_t count)
{
    struct fixture *f = user;

    f->count = count;
    f->calls++;
}

static struct cache_loader *start(struct fixture *f)
{
    struct cache_loader *loader = NULL;

    f->count = NONE;
    f->calls = 0;
    assert_int_equal(
        cache_loader_start(&f->loop, f->loaded.cache, f->scratch.dir, on_done, f, &loader), 0);
    assert_non_null(loader);
    assert_int_equal(f->calls, 0);
    return loader;
}

/* Load what is there; returns how many entries, as told. */
static size_t load(struct fixture *f)
{
    (void)start(f);
    assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(f->calls, 1);
    return f->count;
}

static void write_file(struct fixture *f, const void *bytes, size_t length)
{
    (void)scratch_write_bytes(&f->scratch, "cache", bytes, length);
}

static bool exists(const char *path)
{
    struct stat info;

    return lstat(path, &info) == 0;
}

/* The file has gone to where damaged ones go, byte for byte. */
static void assert_set_aside(const struct fixture *f, const void *bytes, size_t length)
{
    struct error err = { .code = 0 };
    char *kept = NULL;
    size_t kept_length = 0;

    assert_false(exists(f->path));
    assert_int_equal(file_read(f->aside, FILE_MOST, &kept, &kept_length, &err), 0);
    assert_int_equal(kept_length, length);
    assert_memory_equal(kept, bytes, length);
    free(kept);
}

static void a_file_is_loaded_and_stays(void **state)
{
    struct fixture *f = *state;

    write_file(f, f->file.bytes, f->file.length);
    assert_int_equal(load(f), WORLD_KINDS);
    assert_int_equal(world_count(f->loaded.cache), WORLD_KINDS);
    world_assert_nothing_wrong(f->loaded.cache, f->saved.cache);
    assert_true(exists(f->path));
    assert_false(exists(f->aside));
}

static void no_file_is_no_error(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(load(f), 0);
    assert_false(exists(f->aside));
}

static void what_is_no_file_is_left_alone(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdir(f->path, 0700), 0);
    assert_int_equal(load(f), 0);
    assert_int_equal(rmdir(f->path), 0);
    assert_int_equal(mkfifo(f->path, 0600), 0); /* nobody writes: it must not wait */
    assert_int_equal(load(f), 0);
    assert_true(exists(f->path));
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(symlink("cache", f->path), 0); /* a loop: it cannot be opened */
    assert_int_equal(load(f), 0);
    assert_true(exists(f->path));
}

static void damage_at_any_byte_sets_the_file_aside(void **state)
{
    struct fixture *f = *state;

    for (size_t at = 0; at < f->file.length; at++) {
        f->file.bytes[at] ^= (uint8_t)(1u << at % 8);
        write_file(f, f->file.bytes, f->file.length);
        size_t count = load(f);
        assert_int_equal(count, world_count(f->loaded.cache));
        world_assert_nothing_wrong(f->loaded.cache, f->saved.cache);
        assert_set_aside(f, f->file.bytes, f->file.length); /* and replaces the one before */
        f->file.bytes[at] ^= (uint8_t)(1u << at % 8);
        cache_flush(f->loaded.cache, NULL, true);
    }
}

static void a_file_cut_anywhere_is_set_aside(void **state)
{
    struct fixture *f = *state;

    for (size_t length = 0; length < f->file.length; length++) {
        write_file(f, f->file.bytes, length);
        size_t count = load(f);
        assert_int_equal(count, world_count(f->loaded.cache));
        world_assert_nothing_wrong(f->loaded.cache, f->saved.cache);
        assert_set_aside(f, f->file.bytes, length);
        cache_flush(f->loaded.cache, NULL, true);
    }
}

static void a_foreign_file_is_set_aside(void **state)
{
    static const char text[] = "nameserver 127.0.0.1\n";
    struct fixture *f = *state;

    write_file(f, text, strlen(text));
    assert_int_equal(load(f), 0);
    assert_set_aside(f, text, strlen(text));
}

static void where_it_cannot_be_set_aside_it_stays(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdir(f->aside, 0700), 0);
    write_file(f, "foreign", 7);
    assert_int_equal(load(f), 0);
    assert_true(exists(f->path));
}

static void what_a_sudden_end_left_behind_is_not_looked_at(void **state)
{
    struct fixture *f = *state;

    (void)scratch_write(&f->scratch, "cache.new", "half a fi");
    write_file(f, f->file.bytes, f->file.length);
    assert_int_equal(load(f), WORLD_KINDS);
}

/* ---- large files ---- */

#define NAMES 5000u

/* Save NAMES addresses and an answer of the largest size. */
static void write_large(struct fixture *f)
{
    static struct world_message m;
    static uint8_t rdata[60000];
    uint8_t dname[NAME_MAX_BYTES];
    struct cache_entry *entry;
    uint64_t cursor = 0, count = 0;
    char name[32];
    FILE *out = fopen(f->path, "wb");
    uint8_t *record = malloc(CACHE_FILE_RECORD_MOST);
    struct cache_key key = world_key("largest.example", 65280, 0, dname);

    assert_non_null(out);
    assert_non_null(record);
    cache_flush(f->saved.cache, NULL, true);
    for (uint32_t i = 0; i < NAMES; i++) {
        (void)snprintf(name, sizeof(name), "host-%u.example", i);
        assert_true(world_store_address(f->saved.cache, name, i, 300, f->times.now_ms));
    }
    world_respond(&m, &key, 0);
    world_add(&m, 0, WIRE_QUESTION, key.type, 300, rdata, sizeof(rdata));
    assert_true(world_store(f->saved.cache, &key, &m, FORWARD_OWN, f->times.now_ms));
    size_t length = cache_file_put_header(record, &f->times);
    assert_int_equal(fwrite(record, 1, length, out), length);
    while ((entry = cache_next(f->saved.cache, &cursor)) != NULL) {
        length = cache_file_put_record(entry, &f->times, record, CACHE_FILE_RECORD_MOST);
        assert_int_equal(fwrite(record, 1, length, out), length);
        count++;
    }
    length = cache_file_put_end(count, record);
    assert_int_equal(fwrite(record, 1, length, out), length);
    assert_int_equal(fclose(out), 0);
    free(record);
}

static void the_loop_turns_while_it_loads(void **state)
{
    struct fixture *f = *state;
    unsigned turns = 0;
    size_t most = 0, before = 0;

    write_large(f);
    (void)start(f);
    while (f->calls == 0) {
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
        size_t count = (size_t)atomic_load(&cache_counters(f->loaded.cache)->stored);
        most = count - before > most ? count - before : most;
        before = count;
        turns++;
    }
    assert_int_equal(f->count, NAMES + 1);
    assert_true(turns >= NAMES / 256);
    assert_true(most <= 256);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(world_count(f->loaded.cache), NAMES + 1);
    world_assert_nothing_wrong(f->loaded.cache, f->saved.cache);
}

static void what_is_stored_meanwhile_is_not_replaced(void **state)
{
    struct fixture *f = *state;
    uint8_t dname[NAME_MAX_BYTES];
    struct cache_key key = world_key("host-7.example", WIRE_A, 0, dname);

    write_large(f);
    (void)start(f);
    assert_true(world_store_address(f->loaded.cache, "host-7.example", 0x7f000001, 60,
                                    (int64_t)clock_now_ms() + 1));
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    const struct cache_entry *entry =
        cache_find(f->loaded.cache, &key, cache_hash(f->loaded.cache, &key));
    assert_non_null(entry);
    assert_int_equal(wire_get32(cache_entry_body(entry) + 12), 0x7f000001);
}

static void a_loader_can_be_ended_at_any_turn(void **state)
{
    struct fixture *f = *state;

    write_large(f);
    for (unsigned turns = 0; turns < 10; turns++) {
        struct cache_loader *loader = start(f);
        for (unsigned i = 0; i < turns && f->calls == 0; i++) {
            (void)uv_run(&f->loop, UV_RUN_NOWAIT);
        }
        assert_int_equal(f->calls, 0);
        cache_loader_cancel(loader);
        (void)uv_run(&f->loop, UV_RUN_DEFAULT);
        assert_int_equal(f->calls, 0);
    }
    cache_loader_cancel(NULL);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    struct fixture *f = *state;
    struct cache_loader *loader = NULL;
    static char directory[8192];

    memset(directory, 'd', sizeof(directory) - 1);
    assert_int_equal(cache_loader_start(&f->loop, f->loaded.cache, directory, on_done, f, &loader),
                     -ENAMETOOLONG);
    assert_null(loader);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_loaded_and_stays),
        TEST(no_file_is_no_error),
        TEST(what_is_no_file_is_left_alone),
        TEST(damage_at_any_byte_sets_the_file_aside),
        TEST(a_file_cut_anywhere_is_set_aside),
        TEST(a_foreign_file_is_set_aside),
        TEST(where_it_cannot_be_set_aside_it_stays),
        TEST(what_a_sudden_end_left_behind_is_not_looked_at),
        TEST(the_loop_turns_while_it_loads),
        TEST(what_is_stored_meanwhile_is_not_replaced),
        TEST(a_loader_can_be_ended_at_any_turn),
        TEST(a_path_that_is_too_long_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
