#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/config_world.h"

static void its_values_have_units_and_ranges(void **state)
{
    static const struct bad list[] = {
        { "cache: {size: 255KiB}\n", 1, 15, "it must be 256KiB to 64GiB", NULL },
        { "cache: {size: 65GiB}\n", 1, 15, "it must be 256KiB to 64GiB", NULL },
        { "cache: {size: 64}\n", 1, 15, "cache.size: '64' has no unit", "64MiB" },
        { "cache: {serve_stale: 31d}\n", 1, 22, "it must be 1s to 30d", NULL },
        { "cache: {stale_ttl: 0s}\n", 1, 20, "it must be 1s to 1h", NULL },
        { "cache: {stale_ttl: 2h}\n", 1, 20, "it must be 1s to 1h", NULL },
        { "cache: {stale_wait: 6s}\n", 1, 21, "it must be 0s to 5s", NULL },
        { "cache: {min_ttl: 2h}\n", 1, 18, "it must be 0s to 1h", NULL },
        { "cache: {max_ttl: 8d}\n", 1, 18, "it must be 1s to 7d", NULL },
        { "cache: {max_ttl: 30s, min_ttl: 1m}\n", 1, 32,
          "cache.min_ttl: 60s is longer than "
          "max_ttl, 30s",
          NULL },
        { "cache: {prefetch: 1}\n", 1, 19, "'1' is neither on nor off", "true, false" },
        { "cache: on\n", 1, 8, "must be off or a map", "size" },
        { "cache: 64MiB\n", 1, 8, "must be off or a map", "size" },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

static void the_cache_is_read_whole(void **state)
{
    struct model *model =
        load_good("hosts: hosts\naccess: {in_flight: 64, in_flight_per_client: 7}\n"
                  "cache: {size: 2GiB, serve_stale: off, stale_ttl: 1s, stale_wait: 0ms,"
                  " prefetch: off, persist: False, min_ttl: 5s, max_ttl: 5s,"
                  " max_negative_ttl: 1s}\n");

    (void)state;
    assert_string_equal(model->hosts, "hosts");
    assert_int_equal(model->in_flight, 64);
    assert_int_equal(model->in_flight_per_client, 7);
    assert_true(model->cache.size_bytes == 2ull * 1024 * 1024 * 1024);
    assert_int_equal(model->cache.serve_stale_s, 0);
    assert_int_equal(model->cache.stale_ttl_s, 1);
    assert_int_equal(model->cache.stale_wait_ms, 0);
    assert_false(model->cache.prefetch || model->cache.persist);
    assert_int_equal(model->cache.min_ttl_s, 5);
    assert_int_equal(model->cache.max_ttl_s, 5);
    assert_int_equal(model->cache.max_negative_ttl_s, 1);
    model_free(model);
}

static void a_cache_may_be_off(void **state)
{
    static const char *const list[] = { "cache: off\n", "cache: false\n", "cache: {size: off}\n" };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(list); i++) {
        struct model *model = load_good(list[i]);
        assert_true(model->cache.size_bytes == 0);
        assert_int_equal(model->cache.stale_ttl_s, 30);
        model_free(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_values_have_units_and_ranges),
        cmocka_unit_test(the_cache_is_read_whole),
        cmocka_unit_test(a_cache_may_be_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
