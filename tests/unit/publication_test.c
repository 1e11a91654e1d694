#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "resolver/publication.h"
#include "resolver/rcu.h"

#define PATIENCE_MS 60000u /* a run that takes longer hangs */
#define READERS     3
#define MANY        500

static struct snapshot *make(uint64_t generation)
{
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

    assert_non_null(snapshot);
    snapshot->generation = generation;
    return snapshot;
}

/* What is retired next, waited for. */
static struct snapshot *take(struct publication *p)
{
    const struct timespec moment = { .tv_nsec = 1000000 };
    uint64_t end = clock_now_ms() + PATIENCE_MS;
    struct snapshot *snapshot;

    while ((snapshot = publication_take(p)) == NULL && clock_now_ms() < end) {
        (void)nanosleep(&moment, NULL);
    }
    return snapshot;
}

static void begin(struct publication *p)
{
    publication_init(p);
    publication_put(p, make(1));
    assert_int_equal(publication_start(p), 0);
}

static void end(struct publication *p)
{
    struct snapshot *snapshot;

    free(publication_stop(p));
    while ((snapshot = publication_take(p)) != NULL) {
        free(snapshot);
    }
    publication_fini(p);
}

static void the_last_one_put_is_in_force_and_comes_back(void **state)
{
    struct publication p;
    (void)state;

    begin(&p);
    assert_int_equal(publication_read(&p)->generation, 1);
    publication_put(&p, make(2));
    assert_int_equal(publication_read(&p)->generation, 2);
    struct snapshot *old = take(&p);
    assert_non_null(old);
    assert_int_equal(old->generation, 1);
    free(old);
    assert_null(publication_take(&p));
    struct snapshot *current = publication_stop(&p);
    assert_int_equal(current->generation, 2);
    free(current);
    assert_null(publication_stop(&p));
    publication_fini(&p);
}

static void nothing_put_is_nothing_in_force(void **state)
{
    struct publication p;
    (void)state;

    publication_init(&p);
    assert_null(publication_stop(&p));
    assert_null(publication_take(&p));
    publication_fini(&p);
}

static void the_end_waits_for_what_was_retired_last(void **state)
{
    struct publication p;
    struct snapshot *old;
    unsigned count = 0;
    (void)state;

    begin(&p);
    for (unsigned i = 2; i <= 10; i++) {
        publication_put(&p, make(i));
    }
    free(publication_stop(&p));
    while ((old = publication_take(&p)) != NULL) {
        free(old);
        count++;
    }
    assert_int_equal(count, 9);
    publication_fini(&p);
}

/* ---- a reader that is told when to read and when to sleep ---- */

struct reader {
    struct publication *publication;
    _Atomic int wanted; /* 1: read, 2: sleep */
    _Atomic int done;
    uint64_t seen_first;
    uint64_t seen_last;
};

static void wait_for(const _Atomic int *value, int wanted)
{
    while (atomic_load(value) < wanted) {
        sched_yield();
    }
}

static void *read_when_told(void *user)
{
    struct reader *r = user;

    urcu_qsbr_register_thread();
    rcu_sleep();
    wait_for(&r->wanted, 1);
    rcu_wake();
    const struct snapshot *snapshot = publication_read(r->publication);
    r->seen_first = snapshot->generation;
    atomic_store(&r->done, 1);
    wait_for(&r->wanted, 2);
    r->seen_last = snapshot->generation; /* still there */
    rcu_sleep();
    atomic_store(&r->done, 2);
    urcu_qsbr_unregister_thread();
    return NULL;
}

static void a_reader_keeps_what_it_reads(void **state)
{
    const struct timespec while_ms = { .tv_nsec = 20000000 };
    struct publication p;
    struct reader reader = { .publication = &p };
    pthread_t thread;
    (void)state;

    begin(&p);
    assert_int_equal(pthread_create(&thread, NULL, read_when_told, &reader), 0);
    atomic_store(&reader.wanted, 1);
    wait_for(&reader.done, 1);
    publication_put(&p, make(2));
    (void)nanosleep(&while_ms, NULL); /* only shortens what could go wrong */
    assert_null(publication_take(&p));
    atomic_store(&reader.wanted, 2);
    struct snapshot *old = take(&p);
    assert_non_null(old);
    pthread_join(thread, NULL);
    assert_int_equal(reader.seen_first, 1);
    assert_int_equal(reader.seen_last, 1);
    free(old);
    end(&p);
}

static void count_wake(void *user)
{
    atomic_fetch_add((_Atomic int *)user, 1);
}

static void who_takes_is_woken_until_that_is_ended(void **state)
{
    _Atomic int wakes = 0;
    struct publication p;
    (void)state;

    begin(&p);
    publication_on_retired(&p, count_wake, &wakes);
    publication_put(&p, make(2));
    wait_for(&wakes, 1);
    free(take(&p));
    publication_on_retired(&p, NULL, NULL);
    int before = atomic_load(&wakes);
    publication_put(&p, make(3));
    free(take(&p));
    assert_int_equal(atomic_load(&wakes), before);
    end(&p);
}

/* ---- many of everything ---- */

struct crowd {
    struct publication *publication;
    _Atomic bool stop;
    _Atomic unsigned wrong;
    _Atomic int running;
};

static void *read_all_the_time(void *user)
{
    struct crowd *crowd = user;
    uint64_t last = 0;

    urcu_qsbr_register_thread();
    rcu_sleep();
    atomic_fetch_add(&crowd->running, 1);
    while (!atomic_load_explicit(&crowd->stop, memory_order_relaxed)) {
        rcu_wake();
        uint64_t generation = publication_read(crowd->publication)->generation;
        if (generation < last || generation > MANY) {
            atomic_fetch_add(&crowd->wrong, 1);
        }
        last = generation;
        rcu_sleep();
    }
    urcu_qsbr_unregister_thread();
    return NULL;
}

static void readers_never_see_one_that_was_freed(void **state)
{
    struct publication p;
    struct crowd crowd = { .publication = &p };
    pthread_t threads[READERS];
    struct snapshot *old;
    (void)state;

    begin(&p);
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_all_the_time, &crowd), 0);
    }
    wait_for(&crowd.running, READERS);
    for (unsigned i = 2; i <= MANY; i++) {
        publication_put(&p, make(i));
        while ((old = publication_take(&p)) != NULL) {
            old->generation = UINT64_MAX; /* to be seen where it must not be */
            free(old);
        }
    }
    atomic_store(&crowd.stop, true);
    for (unsigned i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&crowd.wrong), 0);
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_one_put_is_in_force_and_comes_back),
        cmocka_unit_test(nothing_put_is_nothing_in_force),
        cmocka_unit_test(the_end_waits_for_what_was_retired_last),
        cmocka_unit_test(a_reader_keeps_what_it_reads),
        cmocka_unit_test(who_takes_is_woken_until_that_is_ended),
        cmocka_unit_test(readers_never_see_one_that_was_freed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
