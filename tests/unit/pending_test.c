#include "resolver/forward/pending.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "resolver/forward/connection.h"
#include "zones/wire.h"

#define LENGTH 20u
#define ASKS   300u /* more than there are buckets */

static struct pending pending;
static struct pending_ids ids;
static struct connection_ask asks[ASKS];
static uint8_t messages[ASKS][LENGTH];
static uint8_t out[ASKS * (2 + LENGTH)];

static int set_up(void **state)
{
    (void)state;
    memset(&pending, 0, sizeof(pending));
    pending_init(&pending);
    memset(asks, 0, sizeof(asks));
    for (unsigned i = 0; i < ASKS; i++) {
        memset(messages[i], (int)(i & 0xff), LENGTH);
        asks[i].message = messages[i];
        asks[i].length = LENGTH;
    }
    return 0;
}

static void put(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        pending_put(&pending, &asks[i]);
    }
}

static uint16_t id_of(unsigned i)
{
    return wire_get16(messages[i]);
}

static void questions_are_sent_in_their_order_with_ids_of_their_own(void **state)
{
    static bool used[65536];

    (void)state;
    memset(used, 0, sizeof(used));
    put(ASKS);
    assert_int_equal(pending_send(&pending, &ids, out, sizeof(out)), sizeof(out));
    assert_null(pending.queue);
    assert_int_equal(pending.asks, ASKS);
    assert_int_equal(pending.unanswered, ASKS);
    for (unsigned i = 0; i < ASKS; i++) {
        const uint8_t *frame = out + (size_t)i * (2 + LENGTH);
        assert_int_equal(wire_get16(frame), LENGTH);
        assert_memory_equal(frame + 2, messages[i], LENGTH);
        assert_int_equal(frame[4], i & 0xff);
        assert_false(used[id_of(i)]);
        used[id_of(i)] = true;
    }
}

static void what_has_no_room_is_sent_later(void **state)
{
    size_t frame = 2 + LENGTH;

    (void)state;
    put(3);
    assert_int_equal(pending_send(&pending, &ids, out, 2 * frame + frame - 1), 2 * frame);
    assert_ptr_equal(pending.queue, &asks[2]);
    pending_put(&pending, &asks[3]);
    assert_int_equal(pending_send(&pending, &ids, out, sizeof(out)), 2 * frame);
    assert_int_equal(pending_send(&pending, &ids, out, sizeof(out)), 0);
    assert_int_equal(pending.unanswered, 4);
}

static void answers_find_their_questions_in_any_order(void **state)
{
    struct connection_ask *ask;

    (void)state;
    put(ASKS);
    (void)pending_send(&pending, &ids, out, sizeof(out));
    for (unsigned i = ASKS; i > 0; i--) {
        assert_true(pending_answered(&pending, id_of(i - 1), &ask));
        assert_ptr_equal(ask, &asks[i - 1]);
        assert_null(ask->pending);
    }
    assert_int_equal(pending.asks, 0);
    assert_int_equal(pending.unanswered, 0);
    assert_false(pending_answered(&pending, id_of(0), &ask));
}

static void the_id_of_a_cancelled_question_is_free_once_it_is_answered(void **state)
{
    struct connection_ask *ask;

    (void)state;
    put(2);
    (void)pending_send(&pending, &ids, out, sizeof(out));
    pending_remove(&asks[0]);
    assert_int_equal(pending.asks, 1);
    assert_int_equal(pending.unanswered, 2);
    assert_true(pending_answered(&pending, id_of(0), &ask));
    assert_null(ask);
    assert_int_equal(pending.unanswered, 1);
    assert_false(pending_answered(&pending, id_of(0), &ask));
}

static void one_may_leave_from_anywhere_in_the_queue(void **state)
{
    (void)state;
    put(4);
    pending_remove(&asks[1]);
    pending_remove(&asks[3]);
    pending_put(&pending, &asks[1]);
    pending_remove(&asks[0]);
    assert_ptr_equal(pending.queue, &asks[2]);
    assert_ptr_equal(asks[2].next, &asks[1]);
    pending_remove(&asks[2]);
    pending_remove(&asks[1]);
    assert_null(pending.queue);
    assert_int_equal(pending.asks, 0);
    pending_put(&pending, &asks[0]);
    assert_ptr_equal(pending.queue, &asks[0]);
}

static void all_that_are_left_can_be_gathered(void **state)
{
    unsigned count = 0;

    (void)state;
    put(10);
    (void)pending_send(&pending, &ids, out, 5 * (2 + LENGTH));
    pending_gather(&pending);
    for (const struct connection_ask *ask = pending.queue; ask != NULL; ask = ask->next) {
        assert_false(ask->sent);
        count++;
    }
    assert_int_equal(count, 10);
    assert_int_equal(pending.asks, 10);
}

static void nothing_is_sent_that_might_find_no_free_id(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2 * PENDING_UNANSWERED_MOST; i++) {
        pending_put(&pending, &asks[0]);
        assert_int_equal(pending_send(&pending, &ids, out, sizeof(out)), 2 + LENGTH);
        pending_remove(&asks[0]);
    }
    pending_put(&pending, &asks[0]);
    assert_int_equal(pending_send(&pending, &ids, out, sizeof(out)), 0);
    assert_ptr_equal(pending.queue, &asks[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(questions_are_sent_in_their_order_with_ids_of_their_own, set_up),
        cmocka_unit_test_setup(what_has_no_room_is_sent_later, set_up),
        cmocka_unit_test_setup(answers_find_their_questions_in_any_order, set_up),
        cmocka_unit_test_setup(the_id_of_a_cancelled_question_is_free_once_it_is_answered, set_up),
        cmocka_unit_test_setup(one_may_leave_from_anywhere_in_the_queue, set_up),
        cmocka_unit_test_setup(all_that_are_left_can_be_gathered, set_up),
        cmocka_unit_test_setup(nothing_is_sent_that_might_find_no_free_id, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
