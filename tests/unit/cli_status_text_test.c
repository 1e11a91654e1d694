#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "resolver/cli/cli_status_text.h"

static const char status[] =
    "{\"version\":\"0.1.0\",\"node\":\"app-17\",\"generation\":2,\"ready\":true,"
    "\"uptime_ms\":192000,\"config\":{\"path\":\"leeward.yaml\",\"warning\":\"\"},"
    "\"listeners\":[\"127.0.0.1:53\"],"
    "\"queries\":{\"total\":10,\"dropped\":0,\"ring_full\":0,"
    "\"by_source\":{\"service\":7,\"forward\":3,\"zone\":0},\"by_rcode\":{\"NOERROR\":10}},"
    "\"regions\":["
    "{\"name\":\"seoul\",\"state\":\"gated\",\"lifted\":false,\"up\":0,\"held\":0,\"total\":1,"
    "\"minimum\":1,\"since_ms_ago\":12000,\"reason\":\"0 of 1 checks up, 1 needed\",\"checks\":["
    "{\"label\":\"seoul dns 10.1.0.2:53\",\"state\":\"down\",\"since_ms_ago\":12000,"
    "\"last_result_ms_ago\":40,\"usual_ms\":3,\"reason\":\"no answer within 500ms\","
    "\"misconfigured\":false,\"failed\":40,\"sent\":100}]},"
    "{\"name\":\"tokyo\",\"state\":\"in\",\"lifted\":false,\"up\":1,\"held\":0,\"total\":1,"
    "\"minimum\":1,\"since_ms_ago\":192000,\"reason\":\"all is well\",\"checks\":["
    "{\"label\":\"tokyo dns 10.2.0.2:53\",\"state\":\"up\",\"since_ms_ago\":192000,"
    "\"last_result_ms_ago\":40,\"usual_ms\":3,\"reason\":\"ok\",\"misconfigured\":false,"
    "\"failed\":0,\"sent\":100}]}],"
    "\"services\":[{\"name\":\"api.svc.example.com\",\"answer\":{\"A\":{\"result\":\"addresses\","
    "\"rung\":1,\"ttl_s\":30,\"regions\":[\"tokyo\"],\"addresses\":[\"198.51.100.10\"]},"
    "\"AAAA\":null},\"ttl_s\":30,\"pools\":[{\"region\":\"seoul\",\"endpoints\":["
    "{\"address\":\"203.0.113.10\",\"state\":\"down\",\"since_ms_ago\":900,"
    "\"reason\":\"connection refused\"}]},{\"region\":\"tokyo\",\"endpoints\":["
    "{\"address\":\"198.51.100.10\",\"state\":\"up\",\"since_ms_ago\":192000,\"reason\":\"\"}]}]}],"
    "\"upstreams\":[{\"address\":\"10.1.0.2:53\",\"region\":\"seoul\",\"class\":\"own\","
    "\"state\":\"suspect\",\"since_ms_ago\":11000,\"reason\":\"no answer to 3 questions in a row\","
    "\"transport\":\"udp\",\"rtt_ms\":11,\"p95_ms\":19,\"loss_percent\":4,"
    "\"sent\":90,\"failed\":3}],"
    "\"cache\":{\"entries\":812,\"bytes\":419000,\"size_bytes\":67108864,\"hits\":900,"
    "\"misses\":100,\"stale\":12,\"shed\":0}}";

static void render(const char *json, const struct cli_status_view *view, struct text *out)
{
    json_error_t error;
    json_t *root = json_loads(json, 0, &error);

    if (root == NULL) {
        fail_msg("%s", error.text);
    }
    cli_status_text_put(root, view, out);
    json_decref(root);
}

static void assert_shows(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("'%s' is not in:\n%s", part, text);
    }
}

/* Whoever took something out, and what lies over a pool, is shown with its reason. */
static void what_was_said_by_hand_is_shown_with_its_reason(void **state)
{
    static const char hands[] =
        "{\"regions\":[{\"name\":\"seoul\",\"state\":\"drained\",\"reason\":\"\",\"override\":"
        "{\"target\":\"seoul\",\"state\":\"drain\",\"author\":\"alice\",\"reason\":\"kernel "
        "update\",\"until\":\"2026-11-22T18:00:00.000Z\"}}],"
        "\"overrides\":[{\"target\":\"seoul\",\"state\":\"drain\",\"author\":\"alice\","
        "\"reason\":\"kernel update\",\"until\":null}],"
        "\"guards\":{\"isolated\":{\"since_ms_ago\":4000,\"reason\":\"no witness answers\"}},"
        "\"probing\":{\"checks\":3,\"started\":900,\"late_p99_ms\":2,\"late_most_ms\":5,"
        "\"in_flight\":1,\"put_off\":0},"
        "\"services\":[{\"name\":\"a.example\",\"steer\":\"nearest\",\"answer\":{\"A\":"
        "{\"result\":\"addresses\",\"rung\":1,\"ttl_s\":30,\"regions\":[\"tokyo\"],"
        "\"addresses\":[\"10.2.0.2\"]},\"AAAA\":null},\"pools\":[{\"region\":\"seoul\","
        "\"parked\":true,\"endpoints\":[]}],\"views\":[{\"view\":\"apps\",\"answer\":{\"A\":"
        "{\"result\":\"addresses\",\"rung\":2,\"ttl_s\":5,\"regions\":[\"tokyo\"],"
        "\"addresses\":[\"10.2.0.9\"]},\"AAAA\":null},\"pools\":[]}]}]}";
    const struct cli_status_view view = { .colored = false };
    struct text out = { 0 };

    (void)state;
    render(hands, &view, &out);
    assert_shows(text_string(&out), "drained by alice: kernel update, until 2026-11-22T18:00:00Z");
    assert_shows(text_string(&out), "THIS NODE IS CUT OFF for 4s: no witness answers");
    assert_shows(text_string(&out), "OVERRIDE  WHAT");
    assert_shows(text_string(&out), "parked");
    assert_shows(text_string(&out), "second choice, waits to be released (failback: manual)");
    assert_shows(text_string(&out), "  view apps");
    assert_shows(text_string(&out), "checks: 3, 900 probes sent; late by 2ms at p99, 5ms at most");
    text_fini(&out);
}

/* An endpoint that is not up says by what evidence. */
static void the_evidence_stands_behind_the_reason(void **state)
{
    static const char one[] =
        "{\"services\":[{\"name\":\"a.example\",\"answer\":{\"A\":null,\"AAAA\":null},"
        "\"pools\":[{\"region\":\"seoul\",\"endpoints\":[{\"address\":\"10.1.0.2\",\"state\":"
        "\"suspect\",\"since_ms_ago\":900,\"reason\":\"status 500\",\"evidence\":\"2 of 3 "
        "failures\",\"failing\":\"any of: web\"}]}]}]}";
    const struct cli_status_view view = { .colored = false };
    struct text out = { 0 };

    (void)state;
    render(one, &view, &out);
    assert_shows(text_string(&out), "status 500 (2 of 3 failures); fails any of: web");
    text_fini(&out);
}

/* A name that is kept, one that nobody knows, and one that is as it should be. */
static void names_that_resolvers_take_away_are_shown(void **state)
{
    static const char names[] =
        "{\"services\":[{\"name\":\"a.example\",\"answer\":{\"A\":null,\"AAAA\":null},"
        "\"pools\":[{\"region\":\"seoul\",\"endpoints\":[]}],\"hostnames\":["
        "{\"name\":\"x.example\",\"region\":\"seoul\",\"type\":\"A\",\"addresses\":"
        "[\"192.0.2.1\"],\"kept_ms_ago\":720000,\"reason\":\"the upstream says NXDOMAIN\"},"
        "{\"name\":\"x.example\",\"region\":\"seoul\",\"type\":\"AAAA\",\"addresses\":[],"
        "\"kept_ms_ago\":null,\"reason\":\"\",\"last_answer\":\"NODATA\"},"
        "{\"name\":\"y.example\",\"region\":\"tokyo\",\"type\":\"A\",\"addresses\":[],"
        "\"kept_ms_ago\":null,\"reason\":\"\",\"last_answer\":\"NXDOMAIN\","
        "\"last_answer_ms_ago\":4000},"
        "{\"name\":\"y.example\",\"region\":\"tokyo\",\"type\":\"AAAA\",\"addresses\":[],"
        "\"kept_ms_ago\":null,\"reason\":\"\",\"last_answer\":\"NXDOMAIN\","
        "\"last_answer_ms_ago\":4000}]}]}";
    struct cli_status_view view = { 0 };
    struct text out = { 0 };

    (void)state;
    render(names, &view, &out);
    assert_non_null(strstr(text_string(&out), "seoul x.example  A     kept"));
    assert_non_null(strstr(text_string(&out), "12m 0s"));
    assert_non_null(strstr(text_string(&out), "the upstream says NXDOMAIN"));
    assert_null(strstr(text_string(&out), "seoul x.example  AAAA"));
    assert_non_null(strstr(text_string(&out), "tokyo y.example  AAAA  unresolved"));
    text_fini(&out);
}

static void an_engineer_sees_what_is_wrong(void **state)
{
    static const char wanted[] =
        "leeward 0.1.0 on app-17: ready, up 3m 12s, generation 2 of leeward.yaml\n"
        "listens on 127.0.0.1:53; 10 queries: service 7, forward 3; NOERROR 10\n"
        "\n"
        "REGION             STATE  CHECKS           SINCE   REASON\n"
        "seoul              gated  0/1 up, needs 1  12s     0 of 1 checks up, 1 needed\n"
        "  dns 10.1.0.2:53  down   ~3ms             12s     no answer within 500ms\n"
        "tokyo              in     1/1 up, needs 1  3m 12s\n"
        "\n"
        "SERVICE               TYPE  FROM   BY      TTL  ADDRESSES\n"
        "api.svc.example.com   A     tokyo  rung 1  30s  198.51.100.10\n"
        "  seoul 203.0.113.10        down   900ms        connection refused\n"
        "\n"
        "cache: 812 entries, 410 KiB of 64.0 MiB; 900 hits, 100 misses (90%), 12 stale\n"
        "\n"
        "UPSTREAM     REGION  CLASS  VIA  STATE    SINCE  RTT   P95   LOSS  SENT  FAILED  REASON\n"
        "10.1.0.2:53  seoul   own    udp  suspect  11s    11ms  19ms  4%    90    3       no "
        "answer to 3 questions in a row\n";
    struct cli_status_view view = { 0 };
    struct text out = { 0 };

    (void)state;
    render(status, &view, &out);
    assert_string_equal(text_string(&out), wanted);
    text_fini(&out);
}

static void all_shows_what_is_healthy_too(void **state)
{
    struct cli_status_view view = { .all = true };
    struct text out = { 0 };

    (void)state;
    render(status, &view, &out);
    assert_non_null(strstr(text_string(&out), "  dns 10.2.0.2:53"));
    assert_non_null(strstr(text_string(&out), "  tokyo 198.51.100.10"));
    text_fini(&out);
}

static void bad_states_are_red(void **state)
{
    struct cli_status_view view = { .colored = true };
    struct text out = { 0 };

    (void)state;
    render(status, &view, &out);
    assert_non_null(strstr(text_string(&out), "\033[31mgated\033[0m"));
    assert_non_null(strstr(text_string(&out), "\033[33msuspect\033[0m"));
    assert_non_null(strstr(text_string(&out), "\033[32mtokyo\033[0m"));
    text_fini(&out);
}

static void a_warning_is_shown_first(void **state)
{
    struct cli_status_view view = { 0 };
    struct text out = { 0 };

    (void)state;
    render("{\"version\":\"1\",\"node\":\"n\",\"ready\":false,\"config\":{\"path\":\"p\","
           "\"warning\":\"p:1:1: no such key\"},\"queries\":{\"total\":1}}",
           &view, &out);
    assert_string_equal(text_string(&out), "leeward 1 on n: not ready, up 0ms, generation 0 of p\n"
                                           "NOT the file on disk: running the last accepted "
                                           "configuration, because p:1:1: no such key\n"
                                           "1 query:;\n");
    text_fini(&out);
}

static void a_canary_gone_everywhere_says_so(void **state)
{
    static const char region[] =
        "{\"regions\":[{\"name\":\"seoul\",\"state\":\"in\",\"up\":1,\"total\":1,\"minimum\":1,"
        "\"since_ms_ago\":5,\"checks\":[{\"label\":\"seoul dns c.example\",\"state\":\"up\","
        "\"misconfigured\":true,\"since_ms_ago\":5,\"reason\":\"NXDOMAIN for c.example\"}]}]}";
    struct cli_status_view view = { 0 };
    struct text out = { 0 };

    (void)state;
    render(region, &view, &out);
    assert_non_null(strstr(text_string(&out), "1/1 up (1 misconfigured), needs 1"));
    assert_non_null(
        strstr(text_string(&out), "NXDOMAIN for c.example: does the name still exist?"));
    text_fini(&out);
}

static void zones_are_listed_with_file_and_serial(void **state)
{
    struct cli_status_view view = { 0 };
    struct text out = { 0 };

    (void)state;
    render("{\"zones\":[{\"name\":\"corp.example\",\"file\":\"corp.zone\",\"serial\":7},"
           "{\"name\":\"svc.example\",\"file\":null,\"serial\":1}]}",
           &view, &out);
    assert_non_null(strstr(text_string(&out), "\nZONE          SERIAL  FILE\n"
                                              "corp.example  7       corp.zone\n"
                                              "svc.example   1       made for services\n"));
    text_fini(&out);
}

/* `count` services, of which number `away` is answered by its second region. */
static void put_many(struct text *json, unsigned count, unsigned away)
{
    text_put(json, "{\"services\":[");
    for (unsigned i = 0; i < count; i++) {
        text_printf(json,
                    "%s{\"name\":\"s%u.example\",\"answer\":{\"A\":{\"result\":\"addresses\","
                    "\"rung\":1,\"ttl_s\":30,\"regions\":[\"%s\"],\"addresses\":[\"192.0.2.1\"]}},"
                    "\"pools\":[{\"region\":\"seoul\",\"endpoints\":[]}]}",
                    i > 0 ? "," : "", i, i == away ? "tokyo" : "seoul");
    }
    text_put(json, "]}");
}

static void of_many_services_only_those_in_trouble_are_listed(void **state)
{
    struct cli_status_view view = { 0 };
    struct text json = { 0 };
    struct text out = { 0 };

    (void)state;
    put_many(&json, CLI_STATUS_SERVICES + 10, 7);
    render(text_string(&json), &view, &out);
    assert_non_null(strstr(text_string(&out), "s7.example"));
    assert_null(strstr(text_string(&out), "s8.example"));
    assert_non_null(strstr(text_string(&out), "49 more services answer from their first region"));
    text_fini(&json);
    text_fini(&out);
}

static void those_that_the_server_left_out_are_counted(void **state)
{
    struct cli_status_view view = { 0 };
    struct text json = { 0 };
    struct text out = { 0 };

    (void)state;
    put_many(&json, 1, 0);
    json.length--; /* the closing brace */
    text_put(&json, ",\"services_left_out\":99}");
    render(text_string(&json), &view, &out);
    assert_non_null(strstr(text_string(&out), "s0.example"));
    assert_non_null(strstr(text_string(&out), "99 more services answer from their first region"));
    text_fini(&out);
    render("{\"services\":[],\"services_left_out\":99}", &view, &out);
    assert_non_null(strstr(text_string(&out), "\n99 services answer from their first region"));
    assert_null(strstr(text_string(&out), "SERVICE"));
    text_fini(&json);
    text_fini(&out);
}

static void anything_may_be_missing(void **state)
{
    static const char *const bodies[] = {
        "{}",
        "[]",
        "{\"regions\":[1,{}],\"services\":[{},null],\"upstreams\":[{}]}",
        "{\"services\":[{\"answer\":{\"A\":{}}}],\"listeners\":[1]}",
    };
    struct cli_status_view view = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct text out = { 0 };
        render(bodies[i], &view, &out);
        assert_false(text_failed(&out));
        text_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_said_by_hand_is_shown_with_its_reason),
        cmocka_unit_test(the_evidence_stands_behind_the_reason),
        cmocka_unit_test(an_engineer_sees_what_is_wrong),
        cmocka_unit_test(names_that_resolvers_take_away_are_shown),
        cmocka_unit_test(all_shows_what_is_healthy_too),
        cmocka_unit_test(bad_states_are_red),
        cmocka_unit_test(a_warning_is_shown_first),
        cmocka_unit_test(a_canary_gone_everywhere_says_so),
        cmocka_unit_test(zones_are_listed_with_file_and_serial),
        cmocka_unit_test(of_many_services_only_those_in_trouble_are_listed),
        cmocka_unit_test(those_that_the_server_left_out_are_counted),
        cmocka_unit_test(anything_may_be_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
