#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/config.h"
#include "policy/config_default.h"

static struct model *load(const char *yaml)
{
    struct config_report report;
    struct model *model = NULL;
    struct text out = { 0 };

    if (config_load_text(yaml, "t.yaml", &model, &report) < 0) {
        config_report_print(&report, &out);
        print_error("of:\n%s\n%s", yaml, text_string(&out));
        fail();
    }
    config_report_fini(&report);
    return model;
}

static void the_host_s_resolvers_are_forwarded_to(void **state)
{
    struct text yaml = { 0 };
    struct error err;

    (void)state;
    assert_int_equal(config_default_build("# nameserver 10.9.9.9\n"
                                          "search example\n"
                                          "nameserver 10.0.0.1\n"
                                          "nameserver\t2001:db8::53 # second\n"
                                          "nameservers 10.0.0.7\n"
                                          "nameserver 10.0.0.1\n"
                                          "nameserver \n"
                                          "nameserver not.an.address\n"
                                          "nameserver 0.0.0.0\n"
                                          "nameserver 127.0.0.53",
                                          &yaml, &err),
                     0);
    struct model *model = load(text_string(&yaml));
    assert_int_equal(model->listener_count, 1);
    assert_int_equal(model->listeners[0].address.port, 5300);
    assert_true(addr_is_loopback(&model->listeners[0].address));
    assert_int_equal(model->forward_count, 1);
    assert_string_equal(model->forwards[0].name, ".");
    assert_int_equal(model->forwards[0].upstream_count, 3);
    assert_int_equal(model->forwards[0].upstreams[0].address.port, 53);
    assert_int_equal(model->forwards[0].upstreams[1].address.family, ADDR_V6);
    assert_int_equal(model->forwards[0].upstreams[2].address.bytes[3], 53);
    assert_non_null(model->api_socket);
    model_free(model);
    text_fini(&yaml);
}

static void no_resolver_is_an_error(void **state)
{
    struct text yaml = { 0 };
    struct error err;

    (void)state;
    assert_int_equal(config_default_build("", &yaml, &err), -22);
    assert_int_equal(config_default_build("search x\n", &yaml, &err), -22);
    assert_non_null(strstr(err.message, "/etc/resolv.conf names no resolver"));
    assert_true(err.hint[0] != '\0');
    text_fini(&yaml);
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
