#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config_world.h"

/* A service whose one check is written in place, and its region's. */
#define CHECK(map)  SERVICE GOOD "    check: {" map "}\n"
#define REGION(map) "regions: {a: {minimum_healthy: 1, checks: {" map "}}}\n"

static const struct model_check *only_check(const struct model *model)
{
    assert_int_equal(model->services[0].check_count, 1);
    assert_null(model->services[0].condition);
    return &model->services[0].checks[0];
}

static void a_dns_check_knows_its_transports(void **state)
{
    struct model *model = load_good(CHECK("dns: {name: a.example, type: TYPE65}"));
    const struct model_check *check = only_check(model);

    (void)state;
    assert_int_equal(check->query_type, 65);
    assert_int_equal(check->port, 53);
    assert_false(check->over_tcp);
    assert_null(check->tls);
    model_free(model);

    model = load_good(CHECK("dns: {name: a.example, transport: tcp, expect: {match: '^192[.]'}}"));
    check = only_check(model);
    assert_true(check->over_tcp);
    assert_null(check->tls);
    assert_string_equal(check->expect_pattern, "^192[.]");
    model_free(model);

    model = load_good(CHECK("dns: {name: a.example, transport: tls}"));
    check = only_check(model);
    assert_true(check->over_tcp);
    assert_int_equal(check->port, 853);
    assert_string_equal(check->tls->name, "s.example");
    assert_string_equal(check->tls->protocol, "dot");
    model_free(model);

    model = load_good(REGION("dns: {name: a.example, server: 10.0.0.1, tls: dns.example}"));
    check = &model->regions[0].checks[0];
    assert_true(check->over_tcp);
    assert_int_equal(check->server.port, 853);
    assert_string_equal(check->tls->name, "dns.example");
    model_free(model);
}

static void a_tcp_check_talks(void **state)
{
    struct model *model = load_good(CHECK("tcp: {port: 25, send: \"EHLO me\\r\\n\", expect: "
                                          "\"250\", tls: {verify: off}}"));
    const struct model_check *check = only_check(model);

    (void)state;
    assert_string_equal(check->send, "EHLO me\r\n");
    assert_int_equal(check->send_size, 9);
    assert_string_equal(check->expect, "250");
    assert_true(check->tls->unverified);
    assert_string_equal(check->tls->name, "s.example"); /* asked for, if not looked for */
    assert_int_equal(check->days_left, 0);
    model_free(model);
    model = load_good(CHECK("tcp: {port: 25, tls: off}"));
    assert_null(only_check(model)->tls);
    assert_null(only_check(model)->send);
    model_free(model);
    model = load_good(CHECK("tcp: {port: 25, tls: on}"));
    assert_string_equal(only_check(model)->tls->name, "s.example");
    assert_int_equal(only_check(model)->days_left, 14);
    model_free(model);
}

static void an_http_check_says_all_of_its_request(void **state)
{
    struct model *model = load_good(
        CHECK("http: {port: 80, method: POST, path: /q?a=b, host: \"h.example:81\", headers: "
              "{X-Check: leeward, Accept: \"*/*\", X-Empty: \"\"}, expect: {status: 204, body: "
              "\"a\\nb\", match: 'ok|fine', json: {pointer: /a~1b/0, value: true}}}"));
    const struct model_check *check = only_check(model);

    (void)state;
    assert_int_equal(check->kind, MODEL_CHECK_HTTP);
    assert_null(check->tls);
    assert_string_equal(check->method, "POST");
    assert_string_equal(check->path, "/q?a=b");
    assert_string_equal(check->host, "h.example:81");
    assert_int_equal(check->header_count, 3);
    assert_string_equal(check->headers[0].name, "X-Check");
    assert_string_equal(check->headers[0].value, "leeward");
    assert_string_equal(check->headers[2].value, "");
    assert_int_equal(check->statuses[0].first, 204);
    assert_string_equal(check->body, "a\nb");
    assert_string_equal(check->body_pattern, "ok|fine");
    assert_string_equal(check->json_pointer, "/a~1b/0");
    assert_string_equal(check->json_value, "true");
    model_free(model);
    model = load_good(CHECK("http: {port: 80, expect: {json: {pointer: \"\", value: null}}}"));
    check = only_check(model);
    assert_string_equal(check->method, "GET");
    assert_string_equal(check->json_pointer, "");
    assert_string_equal(check->json_value, "null");
    model_free(model);
}

static void an_https_check_verifies_the_host_s_name(void **state)
{
    struct model *model = load_good(CHECK("https: {path: /healthz}"));
    const struct model_check *check = only_check(model);

    (void)state;
    assert_int_equal(check->kind, MODEL_CHECK_HTTP);
    assert_string_equal(model_check_word(check), "https");
    assert_int_equal(check->port, 443);
    assert_string_equal(check->host, "s.example");
    assert_string_equal(check->tls->name, "s.example");
    assert_string_equal(check->tls->protocol, "http/1.1");
    assert_false(check->tls->unverified);
    assert_int_equal(check->days_left, 14);
    model_free(model);

    model = load_good(CHECK("https: {port: 8443, host: \"api.example:8443\", ca_file: /dev/null}"));
    check = only_check(model);
    assert_string_equal(check->tls->name, "api.example");
    assert_string_equal(check->tls->ca_file, "/dev/null");
    model_free(model);

    model = load_good(CHECK("https: {host: 10.0.0.1}"));
    assert_string_equal(only_check(model)->tls->name, "10.0.0.1");
    model_free(model);

    model = load_good(REGION("https: {server: 10.0.0.1, host: api.example}"));
    assert_int_equal(model->regions[0].checks[0].server.port, 443);
    assert_string_equal(model->regions[0].checks[0].tls->name, "api.example");
    model_free(model);

    model = load_good(CHECK("https: {pins: 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=}"));
    assert_null(only_check(model)->tls->name); /* pins alone decide */
    assert_int_equal(only_check(model)->tls->pin_count, 1);
    model_free(model);
}

static void the_other_kinds_are_read(void **state)
{
    struct model *model = load_good(CHECK("tls: {name: b.example, days_left: 30}"));
    const struct model_check *check = only_check(model);

    (void)state;
    assert_int_equal(check->kind, MODEL_CHECK_TLS);
    assert_int_equal(check->port, 443);
    assert_int_equal(check->days_left, 30);
    assert_string_equal(check->tls->name, "b.example");
    model_free(model);

    model = load_good(CHECK("icmp: "));
    assert_int_equal(only_check(model)->kind, MODEL_CHECK_ICMP);
    assert_int_equal(only_check(model)->port, 0);
    model_free(model);

    model = load_good(CHECK("push: {}"));
    check = only_check(model);
    assert_int_equal(check->kind, MODEL_CHECK_PUSH);
    assert_int_equal(check->push_ttl_ms, 30000);
    assert_string_equal(check->host, "s.example");
    model_free(model);

    model = load_good(CHECK("file: {path: \"state/{address}\"}"));
    check = only_check(model);
    assert_int_equal(check->kind, MODEL_CHECK_FILE);
    assert_string_equal(check->file, "state/{address}");
    model_free(model);
}

static void a_program_has_time_and_arguments(void **state)
{
    struct model *model =
        load_good(CHECK("exec: {command: [/bin/true, -H, \"{address}\", \"\", \"{a: {b}}\"]}"));
    const struct model_check *check = only_check(model);

    (void)state;
    assert_int_equal(check->kind, MODEL_CHECK_EXEC);
    assert_int_equal(check->argument_count, 5);
    assert_string_equal(check->arguments[0], "/bin/true");
    assert_string_equal(check->arguments[2], "{address}");
    assert_string_equal(check->arguments[3], "");
    assert_null(check->arguments[5]);
    assert_int_equal(check->timing.interval_ms, 10000);
    assert_int_equal(check->timing.timeout_ms, 5000);
    assert_int_equal(check->timing.confirm_interval_ms, 500);
    model_free(model);
    model = load_good(CHECK("exec: {command: /bin/true, port: 80}, interval: 2s, timeout: 1s"));
    check = only_check(model);
    assert_int_equal(check->port, 80);
    assert_int_equal(check->timing.interval_ms, 2000);
    assert_int_equal(check->timing.timeout_ms, 1000);
    model_free(model);
}

static void checks_that_ask_nobody_fit_a_region(void **state)
{
    struct model *model =
        load_good("checks: {told: {push: }}\n"
                  "regions: {a: {minimum_healthy: 3, checks: [told, {file: "
                  "{path: \"/run/{region}\"}}, {exec: {command: /bin/true}}]}}\n");

    (void)state;
    assert_int_equal(model->regions[0].check_count, 3);
    assert_null(model->regions[0].checks[0].host);
    model_free(model);
}

static void how_many_failures_decide_may_be_left_to_the_evidence(void **state)
{
    struct model *model = load_good(CHECK("tcp: {port: 1}"));
    const struct model_timing *timing = &only_check(model)->timing;

    (void)state;
    assert_true(timing->fall_auto); /* and is, unless a number is written */
    assert_true(timing->false_alarm_ms == 30ull * 86400000);
    assert_non_null(strstr(model->source, "fall: auto"));
    assert_non_null(strstr(model->source, "false_alarm: 1/30d"));
    model_free(model);
    model = load_good(CHECK("tcp: {port: 1}, fall: auto, false_alarm: 1/7d"));
    timing = &only_check(model)->timing;
    assert_true(timing->fall_auto);
    assert_true(timing->false_alarm_ms == 7ull * 86400000);
    assert_int_equal(timing->fall, 3); /* of a target that loses nothing */
    model_free(model);
    model = load_good(CHECK("tcp: {port: 1}, fall: 5, degraded_above: 250ms"));
    timing = &only_check(model)->timing;
    assert_false(timing->fall_auto);
    assert_int_equal(timing->fall, 5);
    assert_null(strstr(model->source, "false_alarm"));
    assert_int_equal(only_check(model)->degraded_ms, 250);
    model_free(model);
}

static void what_a_kind_cannot_mean_is_refused(void **state)
{
    static const struct bad list[] = {
        { "checks: {c: {dns: {name: a, transport: udp, tls: on}}}\n", 1, 45, "transport is not tls",
          "transport: tls" },
        { "checks: {c: {dns: {name: a, transport: tls, tls: off}}}\n", 1, 40, "tls is off", NULL },
        { "checks: {c: {dns: {name: a, transport: quic}}}\n", 1, 40, "unknown value 'quic'",
          "udp, tcp or tls" },
        { "checks: {c: {dns: {name: a, expect: {match: \"(\"}}}}\n", 1, 45,
          "'(' is not a good regular expression", "POSIX" },
        { "checks: {c: {dns: {name: a, expect: {match: a, rcode: NXDOMAIN}}}}\n", 1, 55,
          "holds no data to match", NULL },
        { "checks: {c: {tcp: {port: 1, tls: \"a b\"}}}\n", 1, 34, "'a b' is not a name", NULL },
        { "checks: {c: {tcp: {port: 1, send: \"\"}}}\n", 1, 35, "must not be empty", NULL },
        { "checks: {c: {tcp: {port: 1, send: [a]}}}\n", 1, 35, "must be a text", NULL },
        { "checks: {c: {http: {port: 1, method: get}}}\n", 1, 38, "'get' is not a method",
          "capitals" },
        { "checks: {c: {http: {port: 1, method: CONNECT}}}\n", 1, 38, "CONNECT", NULL },
        { "checks: {c: {http: {port: 1, headers: {\"a b\": c}}}}\n", 1, 40,
          "not a good name of a header", NULL },
        { "checks: {c: {http: {port: 1, headers: {a: \"b\\r\\nc: d\"}}}}\n", 1, 43,
          "not a good value of a header", "one line" },
        { "checks: {c: {http: {port: 1, headers: {HOST: b}}}}\n", 1, 40, "is not for you to set",
          "host:" },
        { "checks: {c: {http: {port: 1, headers: [a]}}}\n", 1, 39, "must be a map from names",
          NULL },
        { "checks: {c: {http: {port: 1, expect: {match: \"a{1,2\"}}}}\n", 1, 46,
          "is not a good regular expression", NULL },
        { "checks: {c: {http: {port: 1, expect: {match: \"((a{99}){99})\"}}}}\n", 1, 46,
          "it repeats too much", NULL },
        { "checks: {c: {http: {port: 1, expect: {match: '(a)\\1'}}}}\n", 1, 46, "back references",
          NULL },
        { "checks: {c: {http: {port: 1, expect: {json: {pointer: a}}}}}\n", 1, 55,
          "'a' is not a JSON pointer", "begins with a slash" },
        { "checks: {c: {http: {port: 1, expect: {json: {pointer: /a~2}}}}}\n", 1, 55,
          "is not a JSON pointer", NULL },
        { "checks: {c: {http: {port: 1, expect: {json: {value: a}}}}}\n", 1, 39,
          "pointer is required", NULL },
        { "checks: {c: {http: {port: 1, expect: {json: {pointer: /a, value: [1]}}}}}\n", 1, 66,
          "must be a value", NULL },
        { "checks: {c: {http: {port: 1, method: HEAD, expect: {body: a}}}}\n", 1, 44,
          "the response to HEAD has no body", NULL },
        { "checks: {c: {http: {port: 1, verify: off}}}\n", 1, 30, "unknown key 'verify'", NULL },
        { "checks: {c: {https: {name: \"a/b c\"}}}\n", 1, 28, "is not a name", NULL },
        { "checks: {c: {https: {ca_file: /nonexistent/ca.pem}}}\n", 1, 31, "cannot be read", NULL },
        { "checks: {c: {https: {pins: abc}}}\n", 1, 28, "is not a pin", NULL },
        { "checks: {c: {https: {verify: off, ca_file: /dev/null}}}\n", 1, 35,
          "is of no use with verify: off", NULL },
        { "checks: {c: {tls: {days_left: -1}}}\n", 1, 31, "is not a whole number", NULL },
        { "checks: {c: {icmp: {port: 1}}}\n", 1, 21, "unknown key 'port'", NULL },
        { "checks: {c: {icmp: {server: \"10.0.0.1:7\"}}}\n", 1, 29, "an echo has no port", NULL },
        { "checks: {c: {exec: {}}}\n", 1, 14, "command is required", "check_tcp" },
        { "checks: {c: {exec: [/bin/true]}}\n", 1, 20, "must be a map", NULL },
        { "checks: {c: {exec: {command: []}}}\n", 1, 21, "a program is missing", NULL },
        { "checks: {c: {exec: {command: /nonexistent/plugin}}}\n", 1, 30,
          "/nonexistent/plugin cannot be run: No such file", "executable on this machine" },
        { "checks: {c: {exec: {command: [check_nothing_here]}}}\n", 1, 31, "cannot be run",
          "PATH is not searched" },
        { "checks: {c: {exec: {command: /etc/passwd}}}\n", 1, 30, "cannot be run: Permission",
          NULL },
        { "checks: {c: {exec: {command: /usr}}}\n", 1, 30, "/usr is not a program", NULL },
        { "checks: {c: {exec: {command: [/bin/true, \"{adress}\"]}}}\n", 1, 42,
          "unknown word '{adress}'", "'{address}'" },
        { "checks: {c: {push: {ttl: 1ms}}}\n", 1, 26, "1s to 1d", NULL },
        { "checks: {c: {file: {}}}\n", 1, 14, "path is required", NULL },
        { "checks: {c: {tcp: {port: 1}, fall: never}}\n", 1, 36, "'never' is not a whole number",
          ", or auto" },
        { "checks: {c: {tcp: {port: 1}, false_alarm: 1/30d, fall: 3}}\n", 1, 30, "needs fall: auto",
          NULL },
        { "checks: {c: {tcp: {port: 1}, false_alarm: 30d, fall: auto}}\n", 1, 43,
          "'30d' is not a rate of false alarms", "1/30d" },
        { "checks: {c: {tcp: {port: 1}, false_alarm: 1/1m, fall: auto}}\n", 1, 43, "out of range",
          NULL },
        { "checks: {c: {tcp: {port: 1}, degraded_above: 0s}}\n", 1, 46, "1ms to 1m", NULL },
        { "checks: {c: {tcp: {port: 1}, degraded_above: 1s}}\n", 1, 46,
          "no pass takes longer: timeout is 500ms", "raise timeout" },
        { "checks: {c: {tcp: {port: 1, timeout: 1s}}}\n", 1, 29, "unknown key 'timeout'",
          "write it beside tcp, not in it" },
        { "checks: {c: {http: {port: 1, expect: 200}}}\n", 1, 38, "must be a map",
          "its keys: status, body, match and json" },
        { "checks: {c: {dns: {name: \"{randm}.a\"}}}\n", 1, 26, "unknown word '{randm}'",
          "only {random}" },
        { "checks: {c: {exec: {command: /bin/true -H}}}\n", 1, 30, "cannot be run",
          "elements of a list" },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
}

static void a_region_s_check_needs_somebody_to_ask(void **state)
{
    static const struct bad list[] = {
        { REGION("icmp: "), 1, 43, "server is required", NULL },
        { REGION("tls: {}"), 1, 43, "server is required", NULL },
        { REGION("https: {server: 10.0.0.1}"), 1, 43, "name is required", "verify: off" },
        { REGION("tls: {server: 10.0.0.1}"), 1, 43, "name is required", NULL },
        { REGION("dns: {name: a, transport: tls, server: 10.0.0.1}"), 1, 43, "name is required",
          NULL },
        { REGION("push: "), 1, 43, "it has no name", "under checks:" },
        { REGION("file: {path: \"/run/{address}\"}"), 1, 43, "{address} stands for nothing",
          "{region}" },
        { REGION("exec: {command: [/bin/true, \"-s{service}\"]}"), 1, 43,
          "{service} stands for nothing", NULL },
        { SERVICE GOOD "    check: {https: {host: \"_.-.*\"}}\n", 6, 12, "name is required", NULL },
    };

    (void)state;
    expect_bad(list, COUNT_OF(list));
    model_free(load_good(REGION("https: {server: 10.0.0.1, verify: off}")));
    model_free(load_good(REGION("tls: {server: 10.0.0.1, name: 10.0.0.1}")));
}

/* Every key of every kind. */
static const char whole[] =
    "regions:\n"
    "  a:\n"
    "    minimum_healthy: 2\n"
    "    checks:\n"
    "      - {icmp: {server: \"2001:db8::1\"}}\n"
    "      - {exec: {command: [/bin/true, \"{region}\", \"a b\"]}, fall: auto}\n"
    "      - told\n"
    "      - {file: {path: /run/a}}\n"
    "      - {https: {server: 10.0.0.1, verify: off}}\n"
    "      - dns: {server: 10.0.0.1, name: a, transport: tls, tls: {name: d.example, pins:"
    " e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, ca_file: /dev/null}}\n"
    "      - secure\n"
    "checks:\n"
    "  secure: {https: {server: 10.0.0.3, host: \"x.example:1\", name: y.example}}\n"
    "  told: {push: {ttl: 90s}}\n"
    "  plain: {https: {path: /a, days_left: 0}, timeout: 2s, degraded_above: 1s}\n"
    "  mail: {tcp: {port: 25, send: \"Q\\r\\n\\t\\x01\", expect: \"250 \\\"\", tls: on}}\n"
    "  none: {dns: {name: a, transport: tcp, expect: {match: \"^a.*[0-9]{1,3}$\"}}}\n"
    "services:\n"
    "  s.example:\n"
    "    minimum_healthy: 1\n"
    "    endpoints: {a: [192.0.2.1]}\n"
    "    check:\n"
    "      - plain\n"
    "      - mail\n"
    "      - {http: {port: 80, method: HEAD, headers: {X: \"y: z\", \"yes\": \"no\"}}}\n"
    "      - {http: {port: 80, expect: {body: \"a\\nb\", match: \"\\\\.\", json: {pointer: \"/a\","
    " value: \"1\"}}}, fall: auto, false_alarm: 1/90d}\n"
    "      - {tls: {pins: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855}}\n"
    "      - {exec: {command: [/bin/true, \"{address}\"], port: 9}}\n"
    "      - none\n"
    "  t.example: {minimum_healthy: 1, endpoints: {a: [192.0.2.1]}, check: [plain, mail]}\n";

static void what_is_printed_reads_back_the_same(void **state)
{
    struct model *first = load_good(whole);
    struct model *second = load_good(first->source);
    const struct model_check *checks = second->services[0].checks;

    (void)state;
    assert_string_equal(first->source, second->source);
    assert_int_equal(second->services[0].check_count, 7);
    for (size_t i = 0; i < 7; i++) {
        const struct model_check *was = &first->services[0].checks[i];
        assert_memory_equal(&was->timing, &checks[i].timing, sizeof(was->timing));
        assert_true(tls_settings_equal(was->tls, checks[i].tls));
        assert_int_equal(was->kind, checks[i].kind);
        assert_int_equal(was->days_left, checks[i].days_left);
    }
    assert_string_equal(checks[0].tls->name, "s.example");
    assert_string_equal(second->services[1].checks[0].tls->name, "t.example");
    assert_string_equal(checks[1].send, "Q\r\n\t\x01");
    assert_string_equal(checks[1].expect, "250 \"");
    assert_string_equal(checks[2].headers[1].name, "yes");
    assert_string_equal(checks[2].headers[1].value, "no");
    assert_string_equal(checks[3].json_value, "1");
    assert_true(checks[3].timing.false_alarm_ms == 90ull * 86400000);
    assert_string_equal(second->regions[0].checks[6].tls->name, "y.example");
    assert_string_equal(second->regions[0].checks[6].host, "x.example:1");
    model_free(first);
    model_free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dns_check_knows_its_transports),
        cmocka_unit_test(a_tcp_check_talks),
        cmocka_unit_test(an_http_check_says_all_of_its_request),
        cmocka_unit_test(an_https_check_verifies_the_host_s_name),
        cmocka_unit_test(the_other_kinds_are_read),
        cmocka_unit_test(a_program_has_time_and_arguments),
        cmocka_unit_test(checks_that_ask_nobody_fit_a_region),
        cmocka_unit_test(how_many_failures_decide_may_be_left_to_the_evidence),
        cmocka_unit_test(what_a_kind_cannot_mean_is_refused),
        cmocka_unit_test(a_region_s_check_needs_somebody_to_ask),
        cmocka_unit_test(what_is_printed_reads_back_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
