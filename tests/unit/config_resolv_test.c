#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/config.h"
#include "policy/config_resolv.h"
#include "tests/unit/scratch.h"

/* ------------------------------------------------------------------ the file itself */

static void only_nameserver_lines_count(void **state)
{
    struct config_resolv resolv;

    (void)state;
    config_resolv_parse("# nameserver 10.9.9.9\n"
                        "; nameserver 10.9.9.9\n"
                        "search example\n"
                        "domain corp.example\n"
                        "options edns0 timeout:1\n"
                        "nameserver 10.0.0.1\r\n"
                        "nameserver\t 2001:db8::53 # second\n"
                        "nameservers 10.0.0.7\n"
                        " nameserver 10.0.0.8\n"
                        "nameserver10.0.0.9\n"
                        "nameserver 10.0.0.1\n"
                        "nameserver 127.0.0.53",
                        &resolv);
    assert_int_equal(resolv.count, 3);
    assert_int_equal(resolv.skipped, 0);
    assert_int_equal(resolv.list[0].bytes[3], 1);
    assert_int_equal(resolv.list[0].port, 53);
    assert_int_equal(resolv.list[1].family, ADDR_V6);
    assert_int_equal(resolv.list[1].port, 53);
    assert_int_equal(resolv.list[2].bytes[3], 53);
}

static void what_cannot_be_asked_is_skipped_and_counted(void **state)
{
    struct config_resolv resolv;

    (void)state;
    config_resolv_parse("options x\n"
                        "nameserver \n"
                        "nameserver not.an.address\n"
                        "nameserver 0.0.0.0\n"
                        "nameserver 224.0.0.251\n"
                        "nameserver fe80::1%nointerface9\n"
                        "nameserver 10.0.0.1:0\n"
                        "nameserver 1111111111111111111111111111111111111111111111111111111111111\n"
                        "nameserver 10.0.0.1\n",
                        &resolv);
    assert_int_equal(resolv.count, 1);
    assert_int_equal(resolv.skipped, 7);
    assert_int_equal(resolv.skipped_line, 2);
}

static void a_scope_is_the_number_of_its_interface(void **state)
{
    struct config_resolv resolv;

    (void)state;
    config_resolv_parse("nameserver fe80::1%lo\n", &resolv);
    assert_int_equal(resolv.count, 1);
    assert_int_equal(resolv.list[0].scope, 1);
}

static void a_long_list_is_cut(void **state)
{
    struct config_resolv resolv;
    struct text text = { 0 };

    (void)state;
    for (unsigned i = 1; i <= CONFIG_RESOLV_MAX + 5; i++) {
        text_printf(&text, "nameserver 10.0.0.%u\n", i);
    }
    config_resolv_parse(text_string(&text), &resolv);
    assert_int_equal(resolv.count, CONFIG_RESOLV_MAX);
    assert_int_equal(resolv.skipped, 0);
    text_fini(&text);
}

static void an_empty_file_names_nobody(void **state)
{
    struct config_resolv resolv;
    struct scratch scratch;
    struct error err;

    (void)state;
    scratch_init(&scratch);
    assert_int_equal(config_resolv_read(scratch_write(&scratch, "empty", ""), &resolv, &err), 0);
    assert_int_equal(resolv.count, 0);
    assert_int_equal(config_resolv_read("/nonexistent/resolv.conf", &resolv, &err), -2);
    assert_int_equal(resolv.count, 0);
    assert_string_equal(err.path, "/nonexistent/resolv.conf");
    scratch_fini(&scratch);
}

/* ------------------------------------------------------------------ a rule that takes it */

/* Load `yaml` with the resolv.conf at its side, named by a relative path. */
static int load(const char *resolv, const char *yaml, struct model **out,
                struct config_report *report)
{
    struct scratch scratch;
    char path[128];

    scratch_init(&scratch);
    if (resolv != NULL) {
        (void)scratch_write(&scratch, "resolv.conf", resolv);
    }
    (void)snprintf(path, sizeof(path), "%s/t.yaml", scratch.dir);
    *out = NULL;
    int rc = config_load_text(yaml, path, out, report);
    scratch_fini(&scratch);
    return rc;
}

static struct model *load_good(const char *resolv, const char *yaml)
{
    struct config_report report;
    struct model *model;
    struct text out = { 0 };

    if (load(resolv, yaml, &model, &report) < 0) {
        config_report_print(&report, &out);
        print_error("%s", text_string(&out));
        fail();
    }
    config_report_fini(&report);
    return model;
}

static void expect_bad(const char *resolv, const char *yaml, const char *message, const char *hint)
{
    struct config_report report;
    struct model *model;

    assert_true(load(resolv, yaml, &model, &report) < 0);
    assert_int_equal(report.count, 1);
    if (strstr(report.errors[0].message, message) == NULL ||
        strstr(report.errors[0].hint, hint) == NULL || report.errors[0].line != 1) {
        print_error("%s\n%s\n", report.errors[0].message, report.errors[0].hint);
        fail();
    }
    config_report_fini(&report);
}

#define FROM "forward: {\".\": {from: resolv.conf}}\n"

static void its_resolvers_are_upstreams(void **state)
{
    struct model *model = load_good("nameserver 10.0.0.1\nnameserver 10.0.0.2\n", FROM);
    const struct model_forward *rule = &model->forwards[0];

    (void)state;
    assert_int_equal(rule->upstream_count, 2);
    assert_int_equal(rule->from_count, 2);
    assert_int_equal(rule->upstreams[1].address.bytes[3], 2);
    assert_int_equal(rule->upstreams[1].region, MODEL_NONE);
    assert_non_null(strstr(rule->from, "/resolv.conf"));
    assert_true(rule->from[0] == '/');
    model_free(model);
}

static void they_come_behind_those_written(void **state)
{
    struct model *model = load_good("nameserver 10.0.0.1\nnameserver 10.0.0.9\n",
                                    "forward: {.: {from: resolv.conf, upstreams: [10.0.0.9,"
                                    " 10.0.0.8]}}\n");
    const struct model_forward *rule = &model->forwards[0];

    (void)state;
    assert_int_equal(rule->upstream_count, 3);
    assert_int_equal(rule->from_count, 1);
    assert_int_equal(rule->upstreams[0].address.bytes[3], 9);
    assert_int_equal(rule->upstreams[2].address.bytes[3], 1);
    model_free(model);
}

static void with_others_written_it_may_be_missing_or_empty(void **state)
{
    static const char yaml[] = "forward: {.: {from: resolv.conf, upstreams: 10.0.0.9}}\n";
    struct model *missing = load_good(NULL, yaml);
    struct model *empty = load_good("", yaml);

    (void)state;
    assert_int_equal(missing->forwards[0].upstream_count, 1);
    assert_int_equal(missing->forwards[0].from_count, 0);
    assert_non_null(missing->forwards[0].from);
    assert_int_equal(empty->forwards[0].upstream_count, 1);
    model_free(missing);
    model_free(empty);
}

static void we_are_left_out_of_it(void **state)
{
    struct model *model = load_good("nameserver 127.0.0.1\nnameserver 10.0.0.1\n", FROM);

    (void)state;
    assert_int_equal(model->forwards[0].upstream_count, 1);
    assert_int_equal(model->forwards[0].upstreams[0].address.bytes[0], 10);
    model_free(model);
}

static void alone_it_must_name_somebody(void **state)
{
    (void)state;
    expect_bad(NULL, FROM, "resolv.conf cannot be read: No such file", "");
    expect_bad("", FROM, "resolv.conf names no resolver", "nameserver line");
    expect_bad("search x\n", FROM, "resolv.conf names no resolver", "nameserver line");
    expect_bad("#\nnameserver x\n", FROM, "names no resolver that can be asked", "line 2");
    expect_bad("nameserver 127.0.0.1\n", FROM, "names no resolver but this server", "DHCP");
    expect_bad("nameserver 10.0.0.1\n", "forward: {.: {from: [resolv.conf]}}\n",
               "must be a single value", "");
}

static void what_is_printed_names_the_file(void **state)
{
    struct scratch scratch;
    struct config_report report;
    struct model *first = NULL;
    struct model *second = NULL;
    char yaml[512];

    (void)state;
    scratch_init(&scratch);
    (void)snprintf(yaml, sizeof(yaml), "forward: {.: {from: %s, upstreams: 10.0.0.9}}\n",
                   scratch_write(&scratch, "resolv.conf", "nameserver 10.0.0.1\n"));
    assert_int_equal(config_load_text(yaml, "t.yaml", &first, &report), 0);
    config_report_fini(&report);
    assert_non_null(strstr(first->source, "resolv.conf # 10.0.0.1:53\n"));
    assert_int_equal(config_load_text(first->source, "s.yaml", &second, &report), 0);
    config_report_fini(&report);
    assert_string_equal(first->source, second->source);
    assert_int_equal(second->forwards[0].upstream_count, 2);
    assert_int_equal(second->forwards[0].from_count, 1);
    model_free(first);
    model_free(second);
    scratch_fini(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_nameserver_lines_count),
        cmocka_unit_test(what_cannot_be_asked_is_skipped_and_counted),
        cmocka_unit_test(a_scope_is_the_number_of_its_interface),
        cmocka_unit_test(a_long_list_is_cut),
        cmocka_unit_test(an_empty_file_names_nobody),
        cmocka_unit_test(its_resolvers_are_upstreams),
        cmocka_unit_test(they_come_behind_those_written),
        cmocka_unit_test(with_others_written_it_may_be_missing_or_empty),
        cmocka_unit_test(we_are_left_out_of_it),
        cmocka_unit_test(alone_it_must_name_somebody),
        cmocka_unit_test(what_is_printed_names_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
