#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/probe_identity.h"

static const struct tls_settings usual_tls = { .name = "api.example", .protocol = "http/1.1" };
static const uint8_t pins[][TLS_PIN_BYTES] = { { 1 }, { 2 } };
static const struct model_header headers[] = { { "A", "b" }, { "C", "d" } };
static const struct model_range statuses[] = { { 200, 299 }, { 304, 304 } };
static const char *const arguments[] = {
    "/usr/lib/check_x", "-H{address}:{port}", "{region}/{service}", "{other}", "", NULL
};

static struct addr address(const char *text)
{
    struct addr out;
    struct error err;

    assert_int_equal(addr_parse(text, 0, &out, &err), 0);
    return out;
}

static void expect_label(const struct model_check *check, const char *target, const char *label)
{
    struct addr where = { 0 };

    if (target != NULL) {
        where = address(target);
    }
    const struct probe_identity identity = { check, &where, "seoul" };
    char *found = probe_identity_label(&identity);
    assert_string_equal(found, label);
    free(found);
}

static void a_label_names_region_kind_and_target(void **state)
{
    static const struct model_check web = { .kind = MODEL_CHECK_HTTP, .path = "/healthz" };
    static const struct model_check secure = { .kind = MODEL_CHECK_HTTP,
                                               .path = "/healthz",
                                               .tls = &usual_tls };
    static const struct model_check canary = { .kind = MODEL_CHECK_DNS, .query_name = "a.b" };
    static const struct model_check handshake = { .kind = MODEL_CHECK_TLS, .tls = &usual_tls };
    static const struct model_check echo = { .kind = MODEL_CHECK_ICMP };
    static const struct model_check tcp = { .kind = MODEL_CHECK_TCP };
    static const struct model_check exec = { .kind = MODEL_CHECK_EXEC,
                                             .arguments = arguments,
                                             .argument_count = 5 };
    static const struct model_check push = { .kind = MODEL_CHECK_PUSH, .name = "deploy" };
    static const struct model_check file = { .kind = MODEL_CHECK_FILE, .file = "/run/{region}" };

    (void)state;
    expect_label(&web, "203.0.113.10:8080", "seoul http 203.0.113.10:8080/healthz");
    expect_label(&secure, "203.0.113.10:443", "seoul https api.example 203.0.113.10:443/healthz");
    expect_label(&canary, "10.1.0.2:53", "seoul dns 10.1.0.2:53 a.b");
    expect_label(&handshake, "[2001:db8::1]:443", "seoul tls api.example [2001:db8::1]:443");
    expect_label(&echo, "10.0.0.1:80", "seoul icmp 10.0.0.1");
    expect_label(&tcp, "10.0.0.1:80", "seoul tcp 10.0.0.1:80");
    expect_label(&exec, "10.0.0.1", "seoul exec 10.0.0.1 check_x");
    expect_label(&push, "10.0.0.1", "seoul push 10.0.0.1 deploy");
    expect_label(&push, NULL, "seoul push deploy");
    expect_label(&file, NULL, "seoul file /run/seoul");
}

static bool same_key(const struct probe_identity *a, const struct probe_identity *b)
{
    char *x = probe_identity_key(a);
    char *y = probe_identity_key(b);
    bool same = strcmp(x, y) == 0;

    free(x);
    free(y);
    return same;
}

/* Does the key of `check` differ from that of `usual`? */
static void expect_another(const struct model_check *usual, const struct model_check *check)
{
    struct addr target = address("10.0.0.1:80");
    const struct probe_identity a = { usual, &target, "seoul" };
    const struct probe_identity b = { check, &target, "seoul" };

    assert_false(same_key(&a, &b));
}

/* Each line changes one thing that a probe does. */
static void whatever_a_probe_does_makes_it_another_one(void **state)
{
    static const struct addr expected[2];
    static const struct model_check http = { .kind = MODEL_CHECK_HTTP,
                                             .method = "GET",
                                             .path = "/",
                                             .timing = { .interval_ms = 1000, .fall = 3 } };
    static const struct model_check tcp = { .kind = MODEL_CHECK_TCP, .send = "a", .send_size = 1 };
    static const struct model_check dns = { .kind = MODEL_CHECK_DNS, .query_name = "a" };
    static const struct model_check exec = { .kind = MODEL_CHECK_EXEC,
                                             .arguments = arguments,
                                             .argument_count = 2 };
    static const struct model_check push = { .kind = MODEL_CHECK_PUSH, .push_ttl_ms = 1 };
    static const struct model_check file = { .kind = MODEL_CHECK_FILE, .file = "/a" };
    struct tls_settings tls = usual_tls;
    struct tls_settings other = usual_tls;
    struct model_check a;
    struct model_check b;

    (void)state;
#define ANOTHER(base, member, value)                                                               \
    do {                                                                                           \
        a = base;                                                                                  \
        a.member = value;                                                                          \
        expect_another(&base, &a);                                                                 \
    } while (0)
    ANOTHER(http, timing.interval_ms, 2000);
    ANOTHER(http, timing.fall_auto, true);
    ANOTHER(http, timing.false_alarm_ms, 5);
    ANOTHER(http, timing.jitter_percent, 5);
    ANOTHER(http, degraded_ms, 5);
    ANOTHER(http, days_left, 5);
    ANOTHER(http, method, "HEAD");
    ANOTHER(http, path, "/a");
    ANOTHER(http, host, "a");
    ANOTHER(http, status_count, (a.statuses = statuses, 1));
    ANOTHER(http, header_count, (a.headers = headers, 1));
    ANOTHER(http, body, "a");
    ANOTHER(http, body_pattern, "a");
    ANOTHER(http, json_pointer, "/a");
    ANOTHER(http, json_value, "1");
    ANOTHER(http, tls, &tls);
    ANOTHER(tcp, send, "b");
    ANOTHER(tcp, send_size, 0);
    ANOTHER(tcp, expect, "a");
    ANOTHER(dns, query_name, "b");
    ANOTHER(dns, query_type, 28);
    ANOTHER(dns, over_tcp, true);
    ANOTHER(dns, expect_rcode_given, true);
    ANOTHER(dns, expect_pattern, "a");
    ANOTHER(dns, expect_address_count, (a.expect_addresses = expected, 1));
    ANOTHER(exec, argument_count, 3);
    ANOTHER(exec, name, "a");
    ANOTHER(exec, host, "a");
    ANOTHER(push, push_ttl_ms, 2);
    ANOTHER(push, name, "a");
    ANOTHER(push, host, "a");
    ANOTHER(file, file, "/b");
#undef ANOTHER
    a = b = http;
    a.tls = &tls;
    b.tls = &other;
    other.unverified = true;
    expect_another(&a, &b);
    other = usual_tls;
    other.ca_file = "/a";
    expect_another(&a, &b);
    tls.pins = &pins[0];
    other = tls;
    tls.pin_count = other.pin_count = 1;
    other.pins = &pins[1];
    expect_another(&a, &b);
}

static void what_says_the_same_is_the_same_probe(void **state)
{
    struct addr target = address("10.0.0.1:80");
    struct addr other = address("10.0.0.1:81");
    struct model_check http = { .kind = MODEL_CHECK_HTTP, .path = "/", .name = "a" };
    struct model_check again = http;
    struct model_check echo = { .kind = MODEL_CHECK_ICMP };

    (void)state;
    again.name = "b";
    again.place.line = 7;
    assert_true(same_key(&(struct probe_identity){ &http, &target, "seoul" },
                         &(struct probe_identity){ &again, &target, "tokyo" }));
    assert_false(same_key(&(struct probe_identity){ &http, &target, "seoul" },
                          &(struct probe_identity){ &http, &other, "seoul" }));
    assert_true(same_key(&(struct probe_identity){ &echo, &target, "seoul" },
                         &(struct probe_identity){ &echo, &other, "seoul" }));
}

static void a_report_is_about_a_name(void **state)
{
    struct addr target = address("10.0.0.1");
    struct model_check named = { .kind = MODEL_CHECK_PUSH, .name = "deploy", .host = "a" };
    struct model_check elsewhere = { .kind = MODEL_CHECK_PUSH, .name = "deploy", .host = "b" };

    (void)state;
    assert_true(same_key(&(struct probe_identity){ &named, &target, "seoul" },
                         &(struct probe_identity){ &elsewhere, &target, "seoul" }));
    assert_false(same_key(&(struct probe_identity){ &named, &target, "seoul" },
                          &(struct probe_identity){ &named, &target, "tokyo" }));
}

static void words_get_their_values(void **state)
{
    struct addr target = address("[2001:db8::1]:80");
    struct model_check exec = {
        .kind = MODEL_CHECK_EXEC, .host = "api.example", .arguments = arguments, .argument_count = 5
    };
    struct model_check file = { .kind = MODEL_CHECK_FILE, .file = "/run/{service}{address" };
    struct model_check copy;

    (void)state;
    probe_identity_copy(&(struct probe_identity){ &exec, &target, "seoul" }, &copy);
    assert_string_equal(copy.arguments[0], "/usr/lib/check_x");
    assert_string_equal(copy.arguments[1], "-H2001:db8::1:80");
    assert_string_equal(copy.arguments[2], "seoul/api.example");
    assert_string_equal(copy.arguments[3], "{other}");
    assert_string_equal(copy.arguments[4], "");
    assert_null(copy.arguments[5]);
    probe_identity_free(&copy);
    probe_identity_copy(&(struct probe_identity){ &file, &target, "seoul" }, &copy);
    assert_string_equal(copy.file, "/run/{address");
    probe_identity_free(&copy);
}

static void a_copy_holds_everything_itself(void **state)
{
    struct addr target = address("10.0.0.1:80");
    struct addr expected[2] = { target, target };
    struct tls_settings tls = usual_tls;
    struct model_check copy;

    (void)state;
    tls.pins = pins;
    tls.pin_count = 2;
    tls.unverified = true;
    const struct model_check check = {
        .kind = MODEL_CHECK_HTTP,
        .name = "n",
        .place = { .line = 3 },
        .query_name = "q",
        .expect_addresses = expected,
        .expect_address_count = 2,
        .expect_pattern = "p",
        .tls = &tls,
        .send = "s\1",
        .send_size = 2,
        .expect = "e",
        .method = "GET",
        .path = "/",
        .host = "h",
        .headers = headers,
        .header_count = 2,
        .statuses = statuses,
        .status_count = 2,
        .body = "b",
        .body_pattern = "m",
        .json_pointer = "/j",
        .json_value = "1",
        .file = "f",
    };
    const struct probe_identity identity = { &check, &target, "seoul" };
    probe_identity_copy(&identity, &copy);
    assert_int_equal(copy.place.line, 0);
    assert_ptr_not_equal(copy.headers, headers);
    assert_string_equal(copy.headers[1].value, "d");
    assert_memory_equal(copy.send, "s\1", 2);
    assert_memory_equal(copy.statuses, statuses, sizeof(statuses));
    assert_ptr_not_equal(copy.tls, &tls);
    assert_true(tls_settings_equal(copy.tls, &tls));
    const struct probe_identity of_copy = { &copy, &target, "seoul" };
    assert_true(same_key(&identity, &of_copy));
    probe_identity_free(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_label_names_region_kind_and_target),
        cmocka_unit_test(whatever_a_probe_does_makes_it_another_one),
        cmocka_unit_test(what_says_the_same_is_the_same_probe),
        cmocka_unit_test(a_report_is_about_a_name),
        cmocka_unit_test(words_get_their_values),
        cmocka_unit_test(a_copy_holds_everything_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
