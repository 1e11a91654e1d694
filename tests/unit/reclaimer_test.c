#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "resolver/rcu.h"
#include "resolver/reclaimer.h"

#define THREADS 3
#define MANY    20000

struct thing {
    struct retired retired;
    _Atomic unsigned *released;
};

static void release(struct retired *retired)
{
    struct thing *thing = (struct thing *)retired;

    atomic_fetch_add(thing->released, 1);
    free(thing);
}

static void retire(struct reclaimer *reclaimer, _Atomic unsigned *released)
{
    struct thing *thing = calloc(1, sizeof(*thing));

    assert_non_null(thing);
    thing->retired.release = release;
    thing->released = released;
    reclaimer_retire(reclaimer, &thing->retired);
}

static void wait_for(const _Atomic unsigned *value, unsigned wanted)
{
    while (atomic_load(value) < wanted) {
        sched_yield();
    }
}

static void what_is_retired_is_released_without_more_ado(void **state)
{
    struct reclaimer *reclaimer;
    _Atomic unsigned released = 0;
    (void)state;

    assert_int_equal(reclaimer_new(&reclaimer), 0);
    retire(reclaimer, &released);
    wait_for(&released, 1);
    retire(reclaimer, &released); /* also when the thread has slept again */
    wait_for(&released, 2);
    reclaimer_free(reclaimer);
}

static void the_end_releases_everything(void **state)
{
    struct reclaimer *reclaimer;
    _Atomic unsigned released = 0;
    (void)state;

    assert_int_equal(reclaimer_new(&reclaimer), 0);
    for (unsigned i = 0; i < 100; i++) {
        retire(reclaimer, &released);
    }
    reclaimer_free(reclaimer);
    assert_int_equal(released, 100);
    reclaimer_free(NULL);
}

struct reader {
    _Atomic unsigned wanted; /* 1: read, 2: sleep */
    _Atomic unsigned done;
};

static void *read_when_told(void *user)
{
    struct reader *reader = user;

    urcu_qsbr_register_thread();
    atomic_store(&reader->done, 1);
    wait_for(&reader->wanted, 1);
    rcu_sleep();
    atomic_store(&reader->done, 2);
    urcu_qsbr_unregister_thread();
    return NULL;
}

static void nothing_is_released_while_a_reader_may_look(void **state)
{
    struct reclaimer *reclaimer;
    struct reader reader = { .wanted = 0 };
    _Atomic unsigned released = 0;
    pthread_t thread;
    (void)state;

    assert_int_equal(reclaimer_new(&reclaimer), 0);
    assert_int_equal(pthread_create(&thread, NULL, read_when_told, &reader), 0);
    wait_for(&reader.done, 1);
    for (unsigned i = 0; i < 1000; i++) {
        retire(reclaimer, &released);
        sched_yield(); /* only lengthens the time in which it could go wrong */
    }
    assert_int_equal(released, 0);
    atomic_store(&reader.wanted, 1);
    wait_for(&released, 1000);
    pthread_join(thread, NULL);
    reclaimer_free(reclaimer);
}

struct crowd {
    struct reclaimer *reclaimer;
    _Atomic unsigned released;
};

static void *retire_many(void *user)
{
    struct crowd *crowd = user;

    for (unsigned i = 0; i < MANY; i++) {
        retire(crowd->reclaimer, &crowd->released);
    }
    return NULL;
}

static void any_thread_may_retire(void **state)
{
    struct crowd crowd = { .released = 0 };
    pthread_t threads[THREADS];
    (void)state;

    assert_int_equal(reclaimer_new(&crowd.reclaimer), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, retire_many, &crowd), 0);
    }
    wait_for(&crowd.released, THREADS * MANY);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    reclaimer_free(crowd.reclaimer);
    assert_int_equal(crowd.released, THREADS * MANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_retired_is_released_without_more_ado),
        cmocka_unit_test(the_end_releases_everything),
        cmocka_unit_test(nothing_is_released_while_a_reader_may_look),
        cmocka_unit_test(any_thread_may_retire),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
