#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/config.h"
#include "policy/config_default.h"
#include "tests/unit/config_world.h"
#include "tests/unit/scratch.h"

static void the_host_s_resolvers_are_forwarded_to(void **state)
{
    struct scratch scratch;
    struct text yaml = { 0 };
    struct error err;

    (void)state;
    scratch_init(&scratch);
    const char *path = scratch_write(&scratch, "resolv.conf",
                                     "search example\n"
                                     "nameserver 127.0.0.1:5300\n"
                                     "nameserver 10.0.0.1\n"
                                     "nameserver\t2001:db8::53 # second\n"
                                     "nameserver 127.0.0.53\n");
    assert_int_equal(config_default_build(path, &yaml, &err), 0);
    struct model *model = load_good(text_string(&yaml));
    assert_int_equal(model->listener_count, 1);
    assert_int_equal(model->listeners[0].address.port, 5300);
    assert_true(addr_is_loopback(&model->listeners[0].address));
    assert_int_equal(model->forward_count, 1);
    assert_string_equal(model->forwards[0].name, ".");
    assert_string_equal(model->forwards[0].from, path);
    assert_int_equal(model->forwards[0].upstream_count, 3);
    assert_int_equal(model->forwards[0].upstreams[0].address.port, 53);
    assert_int_equal(model->forwards[0].upstreams[1].address.family, ADDR_V6);
    assert_int_equal(model->forwards[0].upstreams[2].address.bytes[3], 53);
    assert_non_null(model->api_socket);
    model_free(model);
    text_fini(&yaml);
    scratch_fini(&scratch);
}

static void no_resolver_is_an_error(void **state)
{
    static const char *const list[] = { "", "search x\n", "nameserver 127.0.0.1:5300\n" };
    struct scratch scratch;
    struct text yaml = { 0 };
    struct error err;

    (void)state;
    scratch_init(&scratch);
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        const char *path = scratch_write(&scratch, "resolv.conf", list[i]);
        assert_int_equal(config_default_build(path, &yaml, &err), -22);
        assert_non_null(strstr(err.message, "/resolv.conf names no resolver to forward to"));
        assert_true(err.hint[0] != '\0');
    }
    assert_int_equal(config_default_build("/nonexistent", &yaml, &err), -2);
    text_fini(&yaml);
    scratch_fini(&scratch);
}

static void the_default_loads_or_explains_itself(void **state)
{
    struct config_report report;
    struct model *model = NULL;

    (void)state;
    if (config_load_default(&model, &report) == 0) {
        assert_null(model->path);
        assert_non_null(model->source);
        assert_int_equal(report.count, 0);
    } else {
        assert_null(model);
        assert_true(report.count > 0);
    }
    config_report_fini(&report);
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_s_resolvers_are_forwarded_to),
        cmocka_unit_test(no_resolver_is_an_error),
        cmocka_unit_test(the_default_loads_or_explains_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
