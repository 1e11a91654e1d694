#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "config_world.h"
#include "policy/expansion.h"
#include "policy/health.h"
#include "zones/name.h"

#define NAMED                                                                                      \
    SERVICE "    minimum_healthy: 50%\n"                                                           \
            "    check: {tcp: {port: 80}}\n"                                                       \
            "    endpoints:\n"                                                                     \
            "      a: [{hostname: x.example, port: 8080}, 192.0.2.1, {hostname: y.example}]\n"     \
            "      b: [{hostname: z.example, answer: cname, keep_addresses: off}]\n"

/* What the names stand for, by their first letter. */
struct phone_book {
    struct addr x[3];
    size_t x_count;
    struct addr y[3];
    size_t y_count;
};

static struct addr address(const char *text)
{
    struct addr addr;
    struct error err;

    assert_int_equal(addr_parse(text, 0, &addr, &err), 0);
    return addr;
}

static size_t look_up(void *user, const uint8_t *dname, bool keep, struct addr out[EXPANSION_MOST])
{
    const struct phone_book *book = user;
    const struct addr *from = dname[1] == 'x' ? book->x : book->y;
    size_t count = dname[1] == 'x' ? book->x_count : dname[1] == 'y' ? book->y_count : 0;

    assert_int_equal(keep, dname[1] != 'z');
    memcpy(out, from, count * sizeof(*out));
    return count;
}

static void a_name_becomes_its_addresses(void **state)
{
    struct model *model = load_good(NAMED);
    struct phone_book book = { .x = { address("192.0.2.7"), address("2001:db8::7") },
                               .x_count = 2 };

    (void)state;
    expansion_apply(model, look_up, &book);
    const struct model_pool *pool = &model->services[0].pools[0];
    assert_int_equal(pool->endpoint_count, 3);
    assert_int_equal(pool->written_count, 3);
    struct addr first = address("192.0.2.1");
    struct addr second = address("192.0.2.7:8080");
    assert_true(addr_equal(&pool->endpoints[0].address, &first));
    assert_null(pool->endpoints[0].hostname);
    assert_true(addr_equal(&pool->endpoints[1].address, &second));
    assert_int_equal(pool->endpoints[1].hostname[1], 'x');
    assert_true(pool->endpoints[1].keep_addresses);
    assert_int_equal(pool->endpoints[2].address.family, ADDR_V6);
    assert_int_equal(pool->endpoints[2].address.port, 8080);
    model_free(model);
}

static void what_a_name_carries_is_shared_by_its_addresses(void **state)
{
    struct model *model = load_good(
        REGIONS "views: {i: {clients: loopback}}\nservices:\n  s.example:\n"
                "    minimum_healthy: 1\n"
                "    endpoints: {a: [{hostname: x.example, weight: 3, capacity: 7}, 192.0.2.1]}\n"
                "    views: {i: {endpoints: {b: {hostname: y.example, capacity: 5}}}}\n");
    struct phone_book book = {
        .x = { address("192.0.2.7"), address("192.0.2.8"), address("2001:db8::7") },
        .x_count = 3,
        .y = { address("10.0.0.1") },
        .y_count = 1,
    };

    (void)state;
    expansion_apply(model, look_up, &book);
    const struct model_endpoint *list = model->services[0].pools[0].endpoints;
    assert_int_equal(model->services[0].pools[0].endpoint_count, 4);
    assert_int_equal(list[0].capacity, 0);
    assert_int_equal(list[1].capacity, 4);
    assert_int_equal(list[2].capacity, 4);
    assert_int_equal(list[3].capacity, 7);
    assert_int_equal(list[0].weight, 1);
    assert_int_equal(list[3].weight, 3);
    assert_int_equal(model->services[0].pools[0].written[0].capacity, 7);
    assert_int_equal(model->services[1].view, 0);
    assert_int_equal(model->services[1].pools[0].endpoint_count, 1);
    assert_int_equal(model->services[1].pools[0].endpoints[0].capacity, 5);
    model_free(model);
}

static void an_address_stands_in_a_pool_once(void **state)
{
    struct model *model = load_good(NAMED);
    struct phone_book book = {
        .x = { address("192.0.2.1"), address("192.0.2.7") },
        .x_count = 2,
        .y = { address("192.0.2.7"), address("192.0.2.8") },
        .y_count = 2,
    };

    (void)state;
    expansion_apply(model, look_up, &book);
    assert_int_equal(model->services[0].pools[0].endpoint_count, 3);
    model_free(model);
}

static void a_pool_without_names_is_left_alone(void **state)
{
    struct model *model = load_good(SERVICE GOOD);
    const struct model_endpoint *before = model->services[0].pools[0].endpoints;

    (void)state;
    expansion_apply(model, look_up, NULL);
    assert_ptr_equal(model->services[0].pools[0].endpoints, before);
    assert_null(model->services[0].pools[0].written);
    model_free(model);
}

static void count_visit(void *user, const struct model_endpoint *endpoint, size_t service,
                        size_t pool)
{
    unsigned *seen = user;

    assert_int_equal(service, 0);
    assert_int_equal(pool, endpoint->hostname[1] == 'z');
    *seen = *seen * 10 + (unsigned)(endpoint->hostname[1] - 'x' + 1);
}

static void names_are_visited_before_and_after(void **state)
{
    struct model *model = load_good(NAMED);
    struct phone_book book = { 0 };
    unsigned seen = 0;

    (void)state;
    expansion_each_name(model, count_visit, &seen);
    assert_int_equal(seen, 123);
    expansion_apply(model, look_up, &book);
    expansion_each_name(model, count_visit, &seen);
    assert_int_equal(seen, 123123);
    model_free(model);
}

static void ignore(void *user, const struct health_event *event)
{
    (void)user;
    (void)event;
}

static void an_empty_pool_never_meets_its_minimum(void **state)
{
    static const char *const minimums[] = { "1", "2", "1%", "100%" };
    struct phone_book book = { 0 };
    char text[512];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(minimums); i++) {
        (void)snprintf(text, sizeof(text),
                       SERVICE "    minimum_healthy: %s\n"
                               "    endpoints: {a: [{hostname: x.example}]}\n",
                       minimums[i]);
        struct model *model = load_good(text);
        struct health *health = health_new(ignore, NULL);
        expansion_apply(model, look_up, &book);
        struct health_binding *binding = health_bind(health, model, 1);
        health_commit(health, binding, 1);
        const struct health_group *group = health_binding_group(binding, 0, 0);
        assert_true(group->minimum >= 1);
        assert_int_equal(group->up[ADDR_V4] | group->up[ADDR_V6], 0);
        health_unbind(health, binding);
        health_free(health);
        model_free(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_becomes_its_addresses),
        cmocka_unit_test(what_a_name_carries_is_shared_by_its_addresses),
        cmocka_unit_test(an_address_stands_in_a_pool_once),
        cmocka_unit_test(a_pool_without_names_is_left_alone),
        cmocka_unit_test(names_are_visited_before_and_after),
        cmocka_unit_test(an_empty_pool_never_meets_its_minimum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
