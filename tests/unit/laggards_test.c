#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "resolver/laggards.h"

#define SERVICE UINT64_C(0x1234)
#define OTHER   UINT64_C(0x5678)
#define NOW_MS  UINT64_C(1000000)
#define ROUNDS  20000u

static struct laggards_answer answer_to(uint32_t client, uint64_t regions, uint64_t asked_ms)
{
    struct laggards_answer answer = {
        .client = { .family = ADDR_V4 },
        .known_bits = 32,
        .family = ADDR_V4,
        .service = SERVICE,
        .view = 7,
        .ttl_s = 30,
        .regions = regions,
        .asked_ms = asked_ms,
    };

    memcpy(answer.client.bytes, &client, sizeof(client));
    return answer;
}

struct seen {
    size_t count;
    struct laggards_answer last;
    bool is_torn;
};

static void on_answer(void *user, const struct laggards_answer *answer)
{
    struct seen *seen = user;

    seen->count++;
    seen->last = *answer;
    /* the writer below keeps these equal */
    seen->is_torn = seen->is_torn || answer->regions + NOW_MS != answer->asked_ms;
}

static struct seen walk(const struct laggards *laggards, uint64_t service)
{
    struct seen seen = { 0 };

    laggards_walk(laggards, service, on_answer, &seen);
    return seen;
}

static void the_last_answer_is_remembered(void **state)
{
    struct laggards *laggards = laggards_new(100);
    struct laggards_answer first = answer_to(1, 11, NOW_MS);
    struct laggards_answer second = answer_to(1, 22, NOW_MS + 5);

    (void)state;
    assert_non_null(laggards);
    assert_int_equal(walk(laggards, SERVICE).count, 0);
    laggards_note(laggards, &first);
    laggards_note(laggards, &second);
    struct seen seen = walk(laggards, SERVICE);
    assert_int_equal(seen.count, 1);
    assert_memory_equal(&seen.last, &second, sizeof(second));
    laggards_free(laggards);
}

static void clients_families_and_services_are_apart(void **state)
{
    struct laggards *laggards = laggards_new(100);
    struct laggards_answer answer = answer_to(1, 11, NOW_MS);

    (void)state;
    laggards_note(laggards, &answer);
    answer.family = ADDR_V6;
    laggards_note(laggards, &answer);
    answer.known_bits = 24;
    laggards_note(laggards, &answer);
    answer.service = OTHER;
    laggards_note(laggards, &answer);
    assert_int_equal(walk(laggards, SERVICE).count, 3);
    assert_int_equal(walk(laggards, OTHER).count, 1);
    laggards_free(laggards);
}

static void where_it_is_full_the_oldest_makes_room(void **state)
{
    struct laggards *laggards = laggards_new(1); /* one bucket */

    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        struct laggards_answer answer = answer_to(i, 11, NOW_MS + i);
        laggards_note(laggards, &answer);
    }
    struct seen seen = walk(laggards, SERVICE);
    assert_in_range(seen.count, 1, 8);
    for (uint32_t i = 1000 - (uint32_t)seen.count; i < 1000; i++) {
        struct laggards_answer answer = answer_to(i, 22, NOW_MS + 2000 + i);
        laggards_note(laggards, &answer); /* each of them is there */
    }
    assert_int_equal(walk(laggards, SERVICE).count, seen.count);
    laggards_free(laggards);
}

static void almost_as_many_as_wanted_find_room(void **state)
{
    struct laggards *laggards = laggards_new(10000);

    (void)state;
    for (uint32_t i = 0; i < 5000; i++) {
        struct laggards_answer answer = answer_to(i * 256, 11, NOW_MS);
        laggards_note(laggards, &answer);
    }
    assert_in_range(walk(laggards, SERVICE).count, 4500, 5000);
    laggards_free(laggards);
}

struct race {
    struct laggards *laggards;
    _Atomic bool over;
};

static void *write_on(void *user)
{
    struct race *race = user;

    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct laggards_answer answer = answer_to(i % 3, i, NOW_MS + i);
        laggards_note(race->laggards, &answer);
    }
    atomic_store(&race->over, true);
    return NULL;
}

static void what_is_read_while_it_is_written_is_whole(void **state)
{
    struct race race = { .laggards = laggards_new(8) };
    pthread_t writer;

    (void)state;
    assert_int_equal(pthread_create(&writer, NULL, write_on, &race), 0);
    while (!atomic_load(&race.over)) {
        assert_false(walk(race.laggards, SERVICE).is_torn);
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_int_equal(walk(race.laggards, SERVICE).count, 3);
    laggards_free(race.laggards);
}

static void the_regions_of_a_choice_have_no_order(void **state)
{
    const struct steer_pool pools[] = { { .region_name = "seoul" },
                                        { .region_name = "tokyo" },
                                        { .region_name = "oregon" } };
    const struct steer_pool turned[] = { pools[2], pools[0], pools[1] };
    const struct steer_service service = { .pools = pools, .pool_count = 3 };
    const struct steer_service other = { .pools = turned, .pool_count = 3 };
    struct steer_choice choice = { .result = STEER_ADDRESSES, .pool = 1 };
    struct steer_choice same = { .result = STEER_ADDRESSES, .pool = 2 };

    (void)state;
    assert_int_equal(laggards_regions(&service, &choice), laggards_key("tokyo", 5));
    assert_int_equal(laggards_regions(&service, &choice), laggards_regions(&other, &same));
    choice.several = true;
    choice.bits_of[0] = 1;
    choice.bits_of[1] = 3;
    same.several = true;
    same.bits_of[1] = 1;
    same.bits_of[2] = 1;
    assert_int_equal(laggards_regions(&service, &choice), laggards_regions(&other, &same));
    choice.result = STEER_NODATA;
    assert_int_equal(laggards_regions(&service, &choice), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_answer_is_remembered),
        cmocka_unit_test(clients_families_and_services_are_apart),
        cmocka_unit_test(where_it_is_full_the_oldest_makes_room),
        cmocka_unit_test(almost_as_many_as_wanted_find_room),
        cmocka_unit_test(what_is_read_while_it_is_written_is_whole),
        cmocka_unit_test(the_regions_of_a_choice_have_no_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
