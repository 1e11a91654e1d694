#include "resolver/cache/cache_file.h"

#include <errno.h>

#include "tests/unit/cache_file_world.h"

#define NOW_MS  INT64_C(50000000)
#define WALL_MS UINT64_C(1542873600000)

static const struct cache_file_times then = { NOW_MS, WALL_MS };

struct fixture {
    struct world saved;  /* what was there */
    struct world loaded; /* what comes of the file */
    struct world_file file;
};

static int setup(void **state)
{
    static struct fixture f;

    world_init(&f.saved);
    world_init(&f.loaded);
    world_fill(f.saved.cache, NOW_MS);
    f.file = world_save(f.saved.cache, &then);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    free(f->file.bytes);
    world_fini(&f->loaded);
    world_fini(&f->saved);
    return 0;
}

/* Load a copy of just its size, so that a sanitizer sees a step beyond the end. */
static int load(struct fixture *f, const uint8_t *bytes, size_t length,
                const struct cache_file_times *times)
{
    uint8_t *copy = malloc(length > 0 ? length : 1);

    assert_non_null(copy);
    memcpy(copy, bytes, length);
    int rc = world_load(f->loaded.cache, copy, length, times, NULL);
    free(copy);
    return rc;
}

static int load_all(struct fixture *f, const struct cache_file_times *times)
{
    return load(f, f->file.bytes, f->file.length, times);
}

static void every_kind_of_answer_comes_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    uint64_t cursor = 0;
    struct cache_entry *entry;

    assert_int_equal(load_all(f, &then), 0);
    assert_int_equal(world_count(f->loaded.cache), WORLD_KINDS);
    world_assert_nothing_wrong(f->loaded.cache, f->saved.cache);
    while ((entry = cache_next(f->loaded.cache, &cursor)) != NULL) {
        assert_true(entry->stored_ms == NOW_MS);
    }
}

static void a_failure_is_not_kept(void **state)
{
    struct fixture *f = *state;
    uint8_t out[1000];
    uint64_t cursor = 0;
    unsigned failures = 0;
    struct cache_entry *entry;

    while ((entry = cache_next(f->saved.cache, &cursor)) != NULL) {
        if (entry->kind == CACHE_FAILURE) {
            failures++;
            assert_int_equal(cache_file_put_record(entry, &then, out, sizeof(out)), 0);
        }
    }
    assert_int_equal(failures, 1);
}

static void a_record_that_does_not_fit_is_not_begun(void **state)
{
    struct fixture *f = *state;
    uint8_t out[CACHE_FILE_RECORD_MOST];
    uint64_t cursor = 0;
    struct cache_entry *entry;

    while ((entry = cache_next(f->saved.cache, &cursor)) != NULL) {
        size_t length = cache_file_put_record(entry, &then, out, sizeof(out));
        if (length > 0) {
            memset(out, 0x55, sizeof(out));
            assert_int_equal(cache_file_put_record(entry, &then, out, length - 1), 0);
            assert_int_equal(out[0], 0x55);
            assert_int_equal(cache_file_put_record(entry, &then, out, length), length);
        }
    }
}

static void how_often_it_was_asked_comes_back(void **state)
{
    struct fixture *f = *state;
    uint64_t cursor = 0;
    struct cache_entry *entry;

    while ((entry = cache_next(f->saved.cache, &cursor)) != NULL) {
        atomic_store(&entry->asked, entry->type == WIRE_MX ? 0 : 42);
    }
    free(f->file.bytes);
    f->file = world_save(f->saved.cache, &then);
    assert_int_equal(load_all(f, &then), 0);
    for (cursor = 0; (entry = cache_next(f->loaded.cache, &cursor)) != NULL;) {
        assert_int_equal(atomic_load(&entry->asked), entry->type == WIRE_MX ? 0 : 42);
        assert_int_equal(atomic_load(&entry->visits) > 0, entry->type != WIRE_MX);
    }
}

static void a_file_of_an_empty_cache_is_whole(void **state)
{
    struct fixture *f = *state;

    cache_flush(f->saved.cache, NULL, true);
    free(f->file.bytes);
    f->file = world_save(f->saved.cache, &then);
    assert_int_equal(load_all(f, &then), 0);
    assert_int_equal(world_count(f->loaded.cache), 0);
}

/* ---- damage ---- */

static void no_damaged_byte_goes_unnoticed(void **state)
{
    struct fixture *f = *state;

    for (size_t at = 0; at < f->file.length; at++) {
        uint8_t was = f->file.bytes[at];
        const uint8_t damaged[] = { (uint8_t)~was, (uint8_t)(was ^ 1u << at % 8),
                                    was == 0 ? 0xff : 0 };
        for (size_t i = 0; i < sizeof(damaged); i++) {
            f->file.bytes[at] = damaged[i];
            assert_int_equal(load_all(f, &then), -EINVAL);
            world_assert_nothing_wrong(f->loaded.cache, f->saved.cache);
            cache_flush(f->loaded.cache, NULL, true);
        }
        f->file.bytes[at] = was;
    }
}

static void a_file_cut_anywhere_is_noticed(void **state)
{
    struct fixture *f = *state;
    size_t most = 0;

    for (size_t length = 0; length < f->file.length; length++) {
        assert_int_equal(load(f, f->file.bytes, length, &then), -EINVAL);
        world_assert_nothing_wrong(f->loaded.cache, f->saved.cache);
        size_t count = world_count(f->loaded.cache);
        assert_true(count >= most);
        most = count;
        cache_flush(f->loaded.cache, NULL, true);
    }
    assert_int_equal(most, WORLD_KINDS);
}

static void a_byte_put_in_or_taken_out_is_noticed(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = malloc(f->file.length + 1);

    assert_non_null(bytes);
    for (size_t at = 0; at <= f->file.length; at++) {
        memcpy(bytes, f->file.bytes, at);
        bytes[at] = 0;
        memcpy(bytes + at + 1, f->file.bytes + at, f->file.length - at);
        assert_int_equal(load(f, bytes, f->file.length + 1, &then), -EINVAL);
        if (at < f->file.length) {
            memmove(bytes + at, f->file.bytes + at + 1, f->file.length - at - 1);
            assert_int_equal(load(f, bytes, f->file.length - 1, &then), -EINVAL);
        }
        world_assert_nothing_wrong(f->loaded.cache, f->saved.cache);
        cache_flush(f->loaded.cache, NULL, true);
    }
    free(bytes);
}

static void what_stood_before_the_damage_stays(void **state)
{
    struct fixture *f = *state;

    f->file.bytes[f->file.length - 1] ^= 1;
    assert_int_equal(load_all(f, &then), -EINVAL);
    assert_int_equal(world_count(f->loaded.cache), WORLD_KINDS);
}

static void a_missing_record_is_noticed(void **state)
{
    struct fixture *f = *state;
    uint8_t *first = f->file.bytes + f->file.first;
    size_t length = wire_get32(first);

    memmove(first, first + length, f->file.length - f->file.first - length);
    assert_int_equal(load(f, f->file.bytes, f->file.length - length, &then), -EINVAL);
}

static void bytes_behind_the_end_are_noticed(void **state)
{
    struct fixture *f = *state;

    f->file.bytes[f->file.length] = 0;
    assert_int_equal(load(f, f->file.bytes, f->file.length + 1, &then), -EINVAL);
}

static void another_format_is_refused(void **state)
{
    struct fixture *f = *state;

    wire_put16(f->file.bytes + 8, 2);
    cache_file_seal(f->file.bytes, CACHE_FILE_HEADER_BYTES);
    assert_int_equal(load_all(f, &then), -EINVAL);
    assert_int_equal(load(f, (const uint8_t *)"#!/bin/sh\n", 10, &then), -EINVAL);
    assert_int_equal(world_count(f->loaded.cache), 0);
}

/* ---- nonsense with a right checksum ---- */

/* Offsets in a record, and what is wrong there. */
struct forgery {
    const char *what;
    size_t at;
    uint8_t byte;
};

#define NAME_AT 36
#define BODY_AT (NAME_AT + 13) /* behind two.example */

static const struct forgery forgeries[] = {
    { "shorter than it claims", 3, 0 }, /* replaced by its length less 1 */
    { "kind", 4, 3 },
    { "origin", 5, 3 },
    { "rcode", 6, 16 },
    { "flags", 7, 2 },
    { "key flags", 8, 4 },
    { "longer name", 10, 14 },
    { "shorter name", 10, 12 },
    { "no name", 10, 0 },
    { "more records", 17, 3 },
    { "fewer records", 17, 1 },
    { "a record in another section", 19, 1 },
    { "longer body", 23, 33 },
    { "shorter body", 23, 31 },
    { "far longer body", 22, 0xff },
    { "longer life than its records", 34, 2 },
    { "shorter life than its records", 35, 1 },
    { "label beyond the name", NAME_AT, 63 },
    { "label of a forbidden kind", NAME_AT, 0x40 },
    { "compressed name", NAME_AT, 0xc0 },
    { "upper case", NAME_AT + 1, 'T' },
    { "name that ends early", NAME_AT + 4, 0 },
    { "owner that points at itself", BODY_AT + 1, 29 },
    { "owner that points ahead", BODY_AT + 1, 60 },
    { "owner that points into the header", BODY_AT + 1, 2 },
    { "owner of a forbidden kind", BODY_AT, 0x80 },
    { "rdata beyond the body", BODY_AT + 16 + 11, 5 },
    { "rdata far beyond the body", BODY_AT + 16 + 10, 0xff },
};

/* A file of two.example alone. */
static struct world_file one_record(void)
{
    static const uint8_t address[4] = { 10, 0, 0, 1 };
    static struct world_message m;
    uint8_t dname[NAME_MAX_BYTES];
    struct world world;
    struct cache_key key = world_key("two.example", WIRE_A, 0, dname);

    world_init(&world);
    world_respond(&m, &key, 0);
    world_add(&m, 0, WIRE_QUESTION, WIRE_A, WORLD_TTL_S, address, 4);
    world_add(&m, 0, WIRE_QUESTION, WIRE_A, WORLD_TTL_S, address, 4);
    assert_true(world_store(world.cache, &key, &m, FORWARD_OWN, NOW_MS));
    struct world_file file = world_save(world.cache, &then);
    world_fini(&world);
    return file;
}

static void nonsense_with_a_right_checksum_is_refused(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(forgeries) / sizeof(forgeries[0]); i++) {
        const struct forgery *forgery = &forgeries[i];
        struct world_file file = one_record();
        uint8_t *record = file.bytes + file.first;
        size_t length = wire_get32(record);
        assert_int_equal(length, BODY_AT + 32 + CACHE_FILE_CHECKSUM_BYTES);
        if (forgery->at == 3) {
            wire_put32(record, (uint32_t)--length);
        } else {
            record[forgery->at] = forgery->byte;
        }
        cache_file_seal(record, length);
        if (load(f, file.bytes, file.length, &then) != -EINVAL ||
            world_count(f->loaded.cache) != 0) {
            fail_msg("taken: %s", forgery->what);
        }
        free(file.bytes);
    }
}

static void lengths_are_not_believed(void **state)
{
    static const uint32_t lengths[] = { 0,          1,         20, 44, CACHE_FILE_RECORD_MOST + 1,
                                        0x7fffffff, 0xffffffff };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        wire_put32(f->file.bytes + f->file.first, lengths[i]);
        assert_int_equal(load_all(f, &then), -EINVAL);
    }
    assert_int_equal(world_count(f->loaded.cache), 0);
}

/* ---- times ---- */

struct moment {
    int64_t wall_later_ms;
    int64_t now_ms; /* the machine may have started anew */
    bool is_there;
    uint32_t left_s;
};

#define S INT64_C(1000)

static const struct moment moments[] = {
    { 0, NOW_MS, true, 300 },
    { 100 * S, NOW_MS + 100 * S, true, 200 },
    { 100 * S, 7 * S, true, 200 }, /* a new boot */
    { 299 * S, 1, true, 1 },
    { 300 * S, 1, true, 0 },
    { 1000 * S, 1, true, 0 },
    { 1299 * S, 1, true, 0 },
    { 1301 * S, 1, false, 0 }, /* too old to be served stale */
    { INT64_C(1) << 60, 1, false, 0 },
    { -1, NOW_MS, true, 0 }, /* the clock went back: nothing is known to be fresh */
    { -3600 * S, 1, true, 0 },
    { -(int64_t)WALL_MS, 1, true, 0 },
};

static void nothing_comes_back_fresher_than_it_was(void **state)
{
    struct fixture *f = *state;
    uint8_t dname[NAME_MAX_BYTES];
    struct cache_key key = world_key("two.example", WIRE_A, 0, dname);

    for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
        const struct moment *moment = &moments[i];
        struct cache_file_times times = {
            .now_ms = moment->now_ms,
            .wall_ms = (uint64_t)((int64_t)WALL_MS + moment->wall_later_ms),
        };
        assert_int_equal(load_all(f, &times), 0);
        struct cache_entry *entry =
            cache_find(f->loaded.cache, &key, cache_hash(f->loaded.cache, &key));
        if ((entry != NULL) != moment->is_there) {
            fail_msg("moment %zu: there or not", i);
        }
        if (entry != NULL && cache_left_s(entry, moment->now_ms) != moment->left_s) {
            fail_msg("moment %zu: %u s left", i, cache_left_s(entry, moment->now_ms));
        }
        cache_flush(f->loaded.cache, NULL, true);
    }
}

static void a_clock_that_goes_back_each_time_does_not_keep_it_for_ever(void **state)
{
    struct fixture *f = *state;
    struct cache_file_times back = { 5 * S, WALL_MS - 86400 * S };
    struct cache_file_times on = back;
    uint64_t stored = 1;
    unsigned rounds = 0;

    /* each time it runs for 400 s and starts again a day earlier */
    for (; stored > 0 && rounds < 20; rounds++) {
        assert_int_equal(world_load(f->loaded.cache, f->file.bytes, f->file.length, &back, &stored),
                         0);
        free(f->file.bytes);
        on = (struct cache_file_times){ back.now_ms + 400 * S, back.wall_ms + 400 * S };
        f->file = world_save(f->loaded.cache, &on);
        cache_flush(f->loaded.cache, NULL, true);
        back.wall_ms = on.wall_ms - 86400 * S;
    }
    assert_true(rounds == 4);
}

static void times_of_any_size_do_no_harm(void **state)
{
    static const uint64_t extremes[] = { 0, 1, WALL_MS, INT64_MAX, UINT64_MAX - 1, UINT64_MAX };
    const size_t count = sizeof(extremes) / sizeof(extremes[0]);
    struct fixture *f = *state;
    struct world_file file = one_record();
    uint8_t *record = file.bytes + file.first;

    for (size_t i = 0; i < count * count * count; i++) {
        struct cache_file_times saved = { 0, extremes[i % count] };
        struct cache_file_times now = { NOW_MS, extremes[i / count % count] };
        uint64_t stored = extremes[i / count / count];
        (void)cache_file_put_header(file.bytes, &saved);
        wire_put32(record + 24, (uint32_t)(stored >> 32));
        wire_put32(record + 28, (uint32_t)stored);
        cache_file_seal(record, wire_get32(record));
        assert_int_equal(load(f, file.bytes, file.length, &now), 0);
        uint64_t cursor = 0;
        const struct cache_entry *entry = cache_next(f->loaded.cache, &cursor);
        if (entry != NULL) {
            assert_true(entry->stored_ms <= NOW_MS);
            assert_true(stored <= now.wall_ms || cache_left_s(entry, NOW_MS) == 0);
        }
        cache_flush(f->loaded.cache, NULL, true);
    }
    free(file.bytes);
}

static void what_was_stored_during_the_save_is_not_from_the_future(void **state)
{
    struct fixture *f = *state;
    const struct cache_file_times before = { NOW_MS - 5000, WALL_MS - 5000 };

    free(f->file.bytes);
    f->file = world_save(f->saved.cache, &before);
    assert_int_equal(load_all(f, &then), 0);
    assert_int_equal(world_count(f->loaded.cache), WORLD_KINDS);
    world_assert_nothing_wrong(f->loaded.cache, f->saved.cache);
}

static void expired_answers_stay_away_when_none_are_served_stale(void **state)
{
    struct fixture *f = *state;
    struct model_cache settings = world_settings;
    const struct cache_file_times later = { NOW_MS, WALL_MS + 300 * S };

    settings.serve_stale_s = 0;
    cache_configure(f->loaded.cache, &settings);
    assert_int_equal(load_all(f, &later), 0);
    assert_int_equal(world_count(f->loaded.cache), 0);
}

static void other_limits_do_not_make_it_fresher(void **state)
{
    struct fixture *f = *state;
    struct model_cache settings = world_settings;
    struct world lower;
    uint64_t cursor = 0;
    struct cache_entry *entry;

    /* saved under a low limit, loaded under a high floor and no limit to speak of */
    settings.max_ttl_s = 100;
    settings.max_negative_ttl_s = 100;
    world_init_with(&lower, &settings);
    world_fill(lower.cache, NOW_MS);
    free(f->file.bytes);
    f->file = world_save(lower.cache, &then);
    settings = world_settings;
    settings.min_ttl_s = 500;
    cache_configure(f->loaded.cache, &settings);
    assert_int_equal(load_all(f, &then), 0);
    assert_int_equal(world_count(f->loaded.cache), WORLD_KINDS);
    while ((entry = cache_next(f->loaded.cache, &cursor)) != NULL) {
        assert_true(cache_left_s(entry, NOW_MS) <= 100);
    }
    world_fini(&lower);
}

static void what_was_stored_later_stays(void **state)
{
    struct fixture *f = *state;
    uint8_t dname[NAME_MAX_BYTES];
    struct cache_key key = world_key("two.example", WIRE_A, 0, dname);

    assert_true(world_store_address(f->loaded.cache, "two.example", 0x7f000001, 60, NOW_MS + 1000));
    assert_int_equal(load_all(f, &then), 0);
    assert_int_equal(world_count(f->loaded.cache), WORLD_KINDS);
    struct cache_entry *entry =
        cache_find(f->loaded.cache, &key, cache_hash(f->loaded.cache, &key));
    assert_non_null(entry);
    assert_int_equal(entry->records[0], 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_kind_of_answer_comes_back_as_it_was),
        TEST(a_failure_is_not_kept),
        TEST(a_record_that_does_not_fit_is_not_begun),
        TEST(how_often_it_was_asked_comes_back),
        TEST(a_file_of_an_empty_cache_is_whole),
        TEST(no_damaged_byte_goes_unnoticed),
        TEST(a_file_cut_anywhere_is_noticed),
        TEST(a_byte_put_in_or_taken_out_is_noticed),
        TEST(what_stood_before_the_damage_stays),
        TEST(a_missing_record_is_noticed),
        TEST(bytes_behind_the_end_are_noticed),
        TEST(another_format_is_refused),
        TEST(nonsense_with_a_right_checksum_is_refused),
        TEST(lengths_are_not_believed),
        TEST(nothing_comes_back_fresher_than_it_was),
        TEST(a_clock_that_goes_back_each_time_does_not_keep_it_for_ever),
        TEST(times_of_any_size_do_no_harm),
        TEST(what_was_stored_during_the_save_is_not_from_the_future),
        TEST(expired_answers_stay_away_when_none_are_served_stale),
        TEST(other_limits_do_not_make_it_fresher),
        TEST(what_was_stored_later_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
