#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>

#include "resolver/handover.h"

#define MANY 100000

static void put(struct handover_ring *ring, uint16_t id)
{
    struct handover *slot = handover_next(ring);

    assert_non_null(slot);
    slot->question.id = id;
    handover_put(ring);
}

static void take(struct handover_ring *ring, uint16_t id)
{
    const struct handover *slot = handover_peek(ring);

    assert_non_null(slot);
    assert_int_equal(slot->question.id, id);
    handover_done(ring);
}

static void questions_come_out_in_the_order_they_went_in(void **state)
{
    struct handover_ring ring;
    (void)state;

    assert_true(handover_init(&ring));
    assert_null(handover_peek(&ring));
    put(&ring, 1);
    put(&ring, 2);
    take(&ring, 1);
    put(&ring, 3);
    take(&ring, 2);
    take(&ring, 3);
    assert_null(handover_peek(&ring));
    handover_fini(&ring);
}

static void a_slot_that_was_not_put_is_not_seen(void **state)
{
    struct handover_ring ring;
    (void)state;

    assert_true(handover_init(&ring));
    struct handover *slot = handover_next(&ring);
    assert_non_null(slot);
    assert_null(handover_peek(&ring));
    assert_ptr_equal(handover_next(&ring), slot);
    handover_fini(&ring);
}

static void a_full_ring_says_so_until_one_is_done(void **state)
{
    struct handover_ring ring;
    (void)state;

    assert_true(handover_init(&ring));
    /* near the end of the counters: they go round */
    atomic_store(&ring.head, UINT32_MAX - 3);
    atomic_store(&ring.tail, UINT32_MAX - 3);
    for (uint16_t i = 0; i < HANDOVER_SLOTS; i++) {
        put(&ring, i);
    }
    assert_null(handover_next(&ring));
    (void)handover_peek(&ring);
    assert_null(handover_next(&ring)); /* looked at, not done */
    take(&ring, 0);
    put(&ring, HANDOVER_SLOTS);
    assert_null(handover_next(&ring));
    for (uint16_t i = 1; i <= HANDOVER_SLOTS; i++) {
        take(&ring, i);
    }
    assert_null(handover_peek(&ring));
    handover_fini(&ring);
}

static void *fill(void *user)
{
    struct handover_ring *ring = user;

    for (unsigned i = 0; i < MANY;) {
        struct handover *slot = handover_next(ring);
        if (slot == NULL) {
            sched_yield();
            continue;
        }
        slot->question.id = (uint16_t)i;
        slot->question.type = (uint16_t)(i * 7);
        handover_put(ring);
        i++;
    }
    return NULL;
}

static void two_threads_lose_and_mix_nothing(void **state)
{
    struct handover_ring ring;
    pthread_t thread;
    unsigned wrong = 0;
    (void)state;

    assert_true(handover_init(&ring));
    assert_int_equal(pthread_create(&thread, NULL, fill, &ring), 0);
    for (unsigned i = 0; i < MANY;) {
        const struct handover *slot = handover_peek(&ring);
        if (slot == NULL) {
            sched_yield();
            continue;
        }
        wrong += slot->question.id != (uint16_t)i || slot->question.type != (uint16_t)(i * 7);
        handover_done(&ring);
        i++;
    }
    pthread_join(thread, NULL);
    assert_int_equal(wrong, 0);
    assert_null(handover_peek(&ring));
    handover_fini(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_come_out_in_the_order_they_went_in),
        cmocka_unit_test(a_slot_that_was_not_put_is_not_seen),
        cmocka_unit_test(a_full_ring_says_so_until_one_is_done),
        cmocka_unit_test(two_threads_lose_and_mix_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
