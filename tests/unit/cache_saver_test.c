#include "resolver/cache/cache_saver.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/file.h"
#include "tests/unit/cache_file_world.h"
#include "tests/unit/scratch.h"

#define PATIENCE_MS 60000u /* a run that takes longer hangs */
#define FILE_MOST   (64u << 20)

struct fixture {
    struct world world;
    struct world loaded;
    struct scratch scratch;
    char path[256];
    char beside[256];
};

static int setup(void **state)
{
    static struct fixture f;

    world_init(&f.world);
    world_init(&f.loaded);
    scratch_init(&f.scratch);
    (void)snprintf(f.path, sizeof(f.path), "%s/cache", f.scratch.dir);
    (void)snprintf(f.beside, sizeof(f.beside), "%s/cache.new", f.scratch.dir);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    scratch_fini(&f->scratch);
    world_fini(&f->loaded);
    world_fini(&f->world);
    return 0;
}

static struct cache_saver *start(struct fixture *f)
{
    struct cache_saver *saver = NULL;

    assert_int_equal(cache_saver_start(f->world.cache, f->scratch.dir, &saver), 0);
    assert_non_null(saver);
    return saver;
}

/* Load the file, which must be whole; returns how many entries it held. */
static uint64_t load(struct fixture *f)
{
    struct cache_file_times times = { .now_ms = (int64_t)clock_now_ms() };
    struct error err = { .code = 0 };
    char *bytes = NULL;
    size_t length = 0;
    uint64_t stored = 0;

    times.wall_ms = clock_wall_ms(); /* the later one, as in a loading */
    cache_flush(f->loaded.cache, NULL, true);
    assert_int_equal(file_read(f->path, FILE_MOST, &bytes, &length, &err), 0);
    assert_int_equal(world_load(f->loaded.cache, (uint8_t *)bytes, length, &times, &stored), 0);
    free(bytes);
    return stored;
}

static bool exists(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0;
}

static int64_t now(void)
{
    return (int64_t)clock_now_ms();
}

static void the_end_saves_what_is_there(void **state)
{
    struct fixture *f = *state;
    struct cache_saver *saver = start(f);
    struct stat info;

    world_fill(f->world.cache, now());
    cache_saver_stop(saver);
    assert_int_equal(load(f), WORLD_KINDS);
    world_assert_nothing_wrong(f->loaded.cache, f->world.cache);
    assert_int_equal(stat(f->path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_false(exists(f->beside));
}

static void it_is_saved_while_the_server_runs(void **state)
{
    struct fixture *f = *state;
    const struct timespec moment = { .tv_nsec = 10000000 };
    uint64_t end = clock_now_ms() + PATIENCE_MS;

    world_fill(f->world.cache, now());
    struct cache_saver *saver = start(f);
    while (!exists(f->path) && clock_now_ms() < end) {
        (void)nanosleep(&moment, NULL);
    }
    assert_int_equal(load(f), WORLD_KINDS);
    cache_saver_stop(saver);
}

static void an_empty_cache_is_not_saved(void **state)
{
    struct fixture *f = *state;

    cache_saver_stop(start(f));
    assert_false(exists(f->path));
}

static void what_was_flushed_does_not_come_back(void **state)
{
    struct fixture *f = *state;

    world_fill(f->world.cache, now());
    cache_saver_stop(start(f));
    struct cache_saver *saver = start(f);
    (void)cache_flush(f->world.cache, NULL, true);
    cache_saver_stop(saver);
    assert_int_equal(load(f), 0);
}

static void what_a_sudden_end_left_behind_is_replaced(void **state)
{
    struct fixture *f = *state;

    (void)scratch_write(&f->scratch, "cache.new", "half a fi");
    assert_int_equal(chmod(f->beside, 0644), 0);
    world_fill(f->world.cache, now());
    cache_saver_stop(start(f));
    assert_int_equal(load(f), WORLD_KINDS);
    assert_false(exists(f->beside));
}

static void a_directory_that_is_not_there_does_no_harm(void **state)
{
    struct fixture *f = *state;
    struct cache_saver *saver = NULL;

    world_fill(f->world.cache, now());
    assert_int_equal(cache_saver_start(f->world.cache, f->path, &saver), 0);
    cache_saver_stop(saver);
    assert_false(exists(f->path));
}

static void a_file_that_cannot_be_replaced_leaves_nothing_beside(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdir(f->path, 0700), 0);
    world_fill(f->world.cache, now());
    cache_saver_stop(start(f));
    assert_false(exists(f->beside));
    assert_int_equal(rmdir(f->path), 0);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    struct fixture *f = *state;
    struct cache_saver *saver = NULL;
    static char directory[8192];

    memset(directory, 'd', sizeof(directory) - 1);
    assert_int_equal(cache_saver_start(f->world.cache, directory, &saver), -ENAMETOOLONG);
    assert_null(saver);
    cache_saver_stop(NULL);
}

/* ---- beside a writer ---- */

#define NAMES 3000u

struct writer {
    struct cache *cache;
    _Atomic bool stop;
};

/* What is stored for the name of `number`; the file must hold nothing else. */
static uint32_t address_of(uint32_t number)
{
    return number * 2654435761u;
}

/* Store, evict and flush as fast as it goes. */
static void *write_always(void *user)
{
    struct writer *writer = user;
    uint8_t dname[NAME_MAX_BYTES];
    struct error err;
    char name[32];

    for (uint32_t i = 0; !atomic_load(&writer->stop); i++) {
        uint32_t number = i * 7919u % NAMES;
        (void)snprintf(name, sizeof(name), "host-%u.example", number);
        (void)world_store_address(writer->cache, name, address_of(number), 3600, now());
        if (i % 101 == 0) {
            (void)name_parse(name, dname, &err);
            (void)cache_flush(writer->cache, dname, false);
        }
        if (i % 50000 == 49999) {
            (void)cache_flush(writer->cache, NULL, true);
        }
    }
    return NULL;
}

static void assert_addresses_right(struct cache *cache)
{
    uint64_t cursor = 0;
    struct cache_entry *entry;
    unsigned number;
    char name[NAME_TEXT_MAX];

    while ((entry = cache_next(cache, &cursor)) != NULL) {
        (void)name_format(cache_entry_name(entry), name, sizeof(name));
        assert_int_equal(sscanf(name, "host-%u.example", &number), 1);
        assert_int_equal(entry->body_length, 16);
        assert_int_equal(wire_get32(cache_entry_body(entry) + 12), address_of(number));
    }
}

static void every_file_is_whole_and_right_while_a_writer_goes_on(void **state)
{
    struct fixture *f = *state;
    struct model_cache small = world_settings;
    struct writer writer;
    pthread_t thread;
    uint64_t loaded = 0;

    small.size_bytes = 256u << 10; /* full after a third of the names or so */
    cache_configure(f->world.cache, &small);
    writer.cache = f->world.cache;
    atomic_init(&writer.stop, false);
    assert_int_equal(pthread_create(&thread, NULL, write_always, &writer), 0);
    for (unsigned round = 0; round < 60; round++) {
        cache_saver_stop(start(f));
        if (exists(f->path)) {
            loaded += load(f);
            assert_addresses_right(f->loaded.cache);
        }
    }
    atomic_store(&writer.stop, true);
    (void)pthread_join(thread, NULL);
    assert_true(loaded > 0);
    assert_true(atomic_load(&cache_counters(f->world.cache)->evicted) > 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_end_saves_what_is_there),
        TEST(it_is_saved_while_the_server_runs),
        TEST(an_empty_cache_is_not_saved),
        TEST(what_was_flushed_does_not_come_back),
        TEST(what_a_sudden_end_left_behind_is_replaced),
        TEST(a_directory_that_is_not_there_does_no_harm),
        TEST(a_file_that_cannot_be_replaced_leaves_nothing_beside),
        TEST(a_path_that_is_too_long_is_refused),
        TEST(every_file_is_whole_and_right_while_a_writer_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
