#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "resolver/cache/cache_queue.h"

#define WEIGHT 200u
#define FEW    100u

static struct cache_entry *make(uint32_t number)
{
    struct cache_entry *entry = calloc(1, sizeof(*entry));

    assert_non_null(entry);
    entry->hash = (number + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);
    entry->size_bytes = WEIGHT;
    entry->ttl_s = number; /* here: which it is */
    return entry;
}

static void add(struct cache_queue *queue, struct cache_entry *entry)
{
    if (cache_queue_need(queue) > 0) {
        cache_queue_grow(queue);
    }
    cache_queue_add(queue, entry);
}

/* Add another and have one leave for it; who that was. */
static uint32_t exchange(struct cache_queue *queue, uint32_t number)
{
    struct cache_entry *gone = cache_queue_evict(queue);
    uint32_t who = gone->ttl_s;

    free(gone);
    add(queue, make(number));
    return who;
}

static uint64_t bytes(const struct cache_queue *queue)
{
    return queue->probation.bytes + queue->proven.bytes;
}

static void end(struct cache_queue *queue)
{
    struct cache_entry *entry;

    while ((entry = cache_queue_evict(queue)) != NULL) {
        free(entry);
    }
    assert_int_equal(bytes(queue), 0);
    assert_int_equal(queue->entries, 0);
    cache_queue_fini(queue);
}

static void who_was_never_visited_leaves_first(void **state)
{
    struct cache_queue queue;
    (void)state;

    cache_queue_init(&queue);
    assert_null(cache_queue_evict(&queue));
    for (uint32_t i = 0; i < FEW; i++) {
        struct cache_entry *entry = make(i);
        entry->visits = i % 2;
        add(&queue, entry);
    }
    for (uint32_t i = 0; i < FEW / 2; i++) {
        struct cache_entry *gone = cache_queue_evict(&queue);
        assert_int_equal(gone->ttl_s, 2 * i);
        free(gone);
    }
    assert_int_equal(queue.entries, FEW / 2);
    end(&queue);
}

static void a_scan_does_not_push_out_what_was_visited(void **state)
{
    struct cache_queue queue;
    (void)state;

    cache_queue_init(&queue);
    for (uint32_t i = 0; i < FEW; i++) {
        struct cache_entry *entry = make(i);
        entry->visits = i < FEW / 2;
        add(&queue, entry);
    }
    for (uint32_t i = FEW; i < 100000; i++) {
        assert_true(exchange(&queue, i) >= FEW / 2);
    }
    end(&queue);
}

static void who_comes_back_soon_is_proven(void **state)
{
    struct cache_queue queue;
    (void)state;

    cache_queue_init(&queue);
    for (uint32_t i = 0; i < FEW; i++) {
        add(&queue, make(i));
    }
    assert_int_equal(exchange(&queue, FEW), 0);
    struct cache_entry *back = make(0);
    add(&queue, back);
    for (uint32_t i = FEW + 1; i < 10 * FEW; i++) {
        assert_int_not_equal(exchange(&queue, i), 0);
    }
    end(&queue);
}

static void what_is_replaced_keeps_place_and_visits(void **state)
{
    struct cache_queue queue;
    struct cache_entry *old[3];
    (void)state;

    for (unsigned which = 0; which < 3; which++) {
        cache_queue_init(&queue);
        for (uint32_t i = 0; i < 3; i++) {
            old[i] = make(i);
            add(&queue, old[i]);
        }
        old[which]->visits = 2;
        struct cache_entry *fresh = make(which);
        fresh->size_bytes = 2 * WEIGHT;
        cache_queue_replace(&queue, old[which], fresh);
        free(old[which]);
        assert_int_equal(fresh->visits, 2);
        assert_int_equal(bytes(&queue), 4 * WEIGHT);
        assert_int_equal(queue.entries, 3);
        for (uint32_t i = 0; i < 3; i++) {
            struct cache_entry *gone = cache_queue_evict(&queue);
            assert_int_equal(gone->ttl_s == which, i == 2);
            free(gone);
        }
        end(&queue);
    }
}

static void any_entry_can_be_removed(void **state)
{
    struct cache_queue queue;
    struct cache_entry *entries[FEW];
    (void)state;

    cache_queue_init(&queue);
    for (uint32_t i = 0; i < FEW; i++) {
        entries[i] = make(i);
        add(&queue, entries[i]);
    }
    for (uint32_t i = 0; i < FEW; i++) {
        struct cache_entry *entry = entries[i * 37 % FEW];
        cache_queue_remove(&queue, entry);
        free(entry);
        assert_int_equal(bytes(&queue), (FEW - 1 - i) * WEIGHT);
    }
    end(&queue);
}

static void its_memory_grows_with_the_entries_and_is_told(void **state)
{
    struct cache_queue queue;
    (void)state;

    cache_queue_init(&queue);
    assert_int_equal(cache_queue_memory(&queue), 0);
    for (uint32_t i = 0; i < 10000; i++) {
        size_t need = cache_queue_need(&queue);
        add(&queue, make(i));
        assert_true(need == 0 || cache_queue_memory(&queue) <= need);
    }
    assert_in_range(cache_queue_memory(&queue), 10000 * 4, 10000 * 8);
    end(&queue);
    assert_int_equal(cache_queue_memory(&queue), 0);
}

static void a_ghost_forgets_the_oldest_first_and_keeps_the_rest_when_it_grows(void **state)
{
    struct cache_ghost ghost;
    unsigned kept = 0;
    (void)state;

    cache_ghost_init(&ghost);
    assert_false(cache_ghost_recall(&ghost, 1));
    cache_ghost_remember(&ghost, 1); /* nothing to remember with */
    cache_ghost_grow(&ghost, 1);
    for (uint64_t i = 1; i <= 8; i++) {
        cache_ghost_remember(&ghost, i << 32 << 20); /* all in one set */
    }
    cache_ghost_grow(&ghost, 1000);
    cache_ghost_remember(&ghost, UINT64_C(9) << 32 << 20);
    for (uint64_t i = 1; i <= 9; i++) {
        bool is_there = cache_ghost_recall(&ghost, i << 32 << 20);
        assert_int_equal(is_there, i > 1);
        assert_false(cache_ghost_recall(&ghost, i << 32 << 20));
        kept += is_there;
    }
    assert_int_equal(kept, 8);
    cache_ghost_fini(&ghost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_was_never_visited_leaves_first),
        cmocka_unit_test(a_scan_does_not_push_out_what_was_visited),
        cmocka_unit_test(who_comes_back_soon_is_proven),
        cmocka_unit_test(what_is_replaced_keeps_place_and_visits),
        cmocka_unit_test(any_entry_can_be_removed),
        cmocka_unit_test(its_memory_grows_with_the_entries_and_is_told),
        cmocka_unit_test(a_ghost_forgets_the_oldest_first_and_keeps_the_rest_when_it_grows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
