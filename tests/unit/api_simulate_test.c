/*
 * api_simulate in pieces: another generation in the middle of it is what it is
 * about from then on, and never the memory of the one before.
 */
#include "tests/unit/api_world.h"

#include "resolver/api/api_simulate.h"
#include "resolver/snapshot.h"

static struct api_simulation *begin(struct fixture *f, const char *body)
{
    struct api_reply reply = { 0 };
    const struct api_request request = { .body = body, .body_length = strlen(body) };
    struct api_simulation *simulation = api_simulate_begin(&f->control, &request, &reply);

    assert_non_null(simulation);
    return simulation;
}

static struct api_reply take(struct api_simulation *simulation)
{
    struct api_reply reply = { 0 };

    api_simulate_take(simulation, &reply);
    api_simulate_free(simulation);
    return reply;
}

static void a_new_generation_begins_it_anew(void **state)
{
    struct fixture *f = *state;
    struct api_simulation *simulation = begin(f, "{\"every_region\": true}");

    f->control.snapshot->generation++;
    while (api_simulate_some(simulation)) {
    }
    struct api_reply reply = take(simulation);
    assert_int_equal(reply.status, 200);
    json_t *root = json_loads(text_string(&reply.body), 0, NULL);
    assert_int_equal(json_array_size(json_object_get(root, "scenarios")), 2);
    json_decref(root);
    api_reply_fini(&reply);
}

static void generations_without_end_are_told_of(void **state)
{
    struct fixture *f = *state;
    struct api_simulation *simulation = begin(f, "{\"down\": [\"seoul\"]}");
    unsigned pieces = 0;

    do {
        f->control.snapshot->generation++;
        assert_true(++pieces < 10);
    } while (api_simulate_some(simulation));
    struct api_reply reply = take(simulation);
    assert_int_equal(reply.status, 503);
    assert_non_null(strstr(text_string(&reply.body), "changes all the time"));
    api_reply_fini(&reply);
}

static void a_simulation_may_be_left_midway(void **state)
{
    api_simulate_free(begin(*state, "{\"every_region\": true}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_generation_begins_it_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(generations_without_end_are_told_of, setup, teardown),
        cmocka_unit_test_setup_teardown(a_simulation_may_be_left_midway, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
