/* http checks against a small server on loopback. */
#include "check_world.h"

static int set_up_http(void **state)
{
    return set_up(state, MODEL_CHECK_HTTP, sizeof(struct fixture));
}

static void http_asks_as_configured(void **state)
{
    struct fixture *f = *state;

    f->check.path = "/healthz?x=1";
    f->check.host = "api.svc.example.com";
    serve_stream(f, SEND_AT_ONCE, false, "HTTP/1.1 200 OK\r\n");
    assert_probe(f, DETECT_PASS, "status 200");
    assert_string_equal(f->request, "GET /healthz?x=1 HTTP/1.1\r\n"
                                    "Host: api.svc.example.com\r\n"
                                    "User-Agent: leeward/" LEEWARD_VERSION "\r\n"
                                    "Accept: */*\r\n"
                                    "Connection: close\r\n\r\n");
}

static void http_without_a_host_names_the_target(void **state)
{
    struct fixture *f = *state;
    char target[ADDR_TEXT_MAX];
    char line[128];

    serve_stream(f, SEND_AT_ONCE, false, "HTTP/1.1 204 \r\n\r\n");
    assert_probe(f, DETECT_PASS, "status 204");
    addr_format_port(&f->probe.target, target, sizeof(target));
    (void)snprintf(line, sizeof(line), "GET / HTTP/1.1\r\nHost: %s\r\n", target);
    assert_memory_equal(f->request, line, strlen(line));
}

static void http_tells_what_was_wrong(void **state)
{
    static const struct {
        const char *reply;
        const char *reason;
        enum manner manner;
        bool closes;
    } cases[] = {
        { "HTTP/1.1 500 No\r\nContent-Length: 900\r\n\r\n", "status 500", SEND_AT_ONCE, false },
        { "HTTP/1.1 302 Elsewhere\r\nLocation: /\r\n\r\n", "status 302", SEND_AT_ONCE, true },
        { "220 smtp.example ESMTP\r\n", "not HTTP", SEND_AT_ONCE, false },
        { "HTTP/1.1 20", "closed within the status line", SEND_AT_ONCE, true },
        { "", "closed without a reply", HANG_UP, false },
        { "", "connection reset", RESET, false },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        serve_stream(f, cases[i].manner, cases[i].closes, cases[i].reply);
        assert_probe(f, DETECT_STRONG, cases[i].reason);
    }
}

static void http_tells_a_refusal(void **state)
{
    struct fixture *f = *state;

    bind_stream(f);
    assert_probe(f, DETECT_STRONG, "connection refused");
}

static void http_takes_the_statuses_configured(void **state)
{
    static const struct model_range ranges[] = { { 200, 204 }, { 401, 401 } };
    struct fixture *f = *state;

    f->check.statuses = ranges;
    f->check.status_count = 2;
    serve_stream(f, SEND_AT_ONCE, true, "HTTP/1.1 401 Who\r\n\r\n");
    assert_probe(f, DETECT_PASS, "status 401");
    serve_stream(f, SEND_AT_ONCE, true, "HTTP/1.1 205 Reset\r\n\r\n");
    assert_probe(f, DETECT_STRONG, "status 205");
}

static void http_finds_a_body_in_pieces(void **state)
{
    struct fixture *f = *state;

    f->check.body = "all is well";
    serve_stream(f, SEND_BY_BYTES, false,
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "8\r\nall is w\r\n7\r\nell, I \r\n6\r\nthink.");
    assert_probe(f, DETECT_PASS, "body as expected");
}

static void http_misses_a_body(void **state)
{
    struct fixture *f = *state;

    f->check.body = "ok";
    serve_stream(f, SEND_AT_ONCE, false, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nfailed");
    assert_probe(f, DETECT_STRONG, "body does not contain 'ok'");
    serve_stream(f, SEND_BY_BYTES, true, "HTTP/1.0 200 OK\r\n\r\nfailed");
    assert_probe(f, DETECT_STRONG, "body does not contain 'ok'");
    serve_stream(f, SEND_AT_ONCE, true, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nfai");
    assert_probe(f, DETECT_STRONG, "closed within the body");
    serve_stream(f, SEND_AT_ONCE, true, "HTTP/1.1 503 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_probe(f, DETECT_STRONG, "status 503");
}

static void http_reads_64_kib_of_a_body(void **state)
{
    struct fixture *f = *state;
    size_t head = strlen("HTTP/1.1 200 OK\r\n\r\n");
    size_t size = head + 100000;
    char *reply = malloc(size + 1);

    assert_non_null(reply);
    f->check.body = "ok";
    memset(reply, 'x', size);
    memcpy(reply, "HTTP/1.1 200 OK\r\n\r\n", head);
    reply[size] = '\0';
    memcpy(reply + head + 65534, "ok", 2);
    serve_stream(f, SEND_AT_ONCE, false, reply);
    assert_probe(f, DETECT_PASS, "body as expected");
    memcpy(reply + head + 65534, "xok", 3);
    serve_stream(f, SEND_AT_ONCE, false, reply);
    assert_probe(f, DETECT_STRONG, "body does not contain 'ok' in its first 64 KiB");
    free(reply);
}

static void a_silent_http_server_lacks_a_reply(void **state)
{
    struct fixture *f = *state;

    serve_stream(f, STAY_SILENT, false, "");
    assert_lacks(f, "no reply");
}

static void a_slow_http_server_lacks_the_rest(void **state)
{
    struct fixture *f = *state;

    f->check.body = "ok";
    serve_stream(f, SEND_AT_ONCE, false, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nslow");
    assert_lacks(f, "reply not complete");
}

static void http_matches_a_pattern_in_the_body(void **state)
{
    struct fixture *f = *state;

    f->check.body_pattern = "\"load\": *0\\.[0-9]+";
    serve_stream(f, SEND_BY_BYTES, false,
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "6\r\n{\"load\r\n8\r\n\":  0.25\r\n");
    assert_probe(f, DETECT_PASS, "body as expected");
    serve_stream(f, SEND_AT_ONCE, true, "HTTP/1.1 200 OK\r\n\r\n{\"load\": 1.25}");
    assert_probe(f, DETECT_STRONG, "body does not match '\"load\": *0\\.[0-9]+'");
}

static void http_finds_a_value_in_json(void **state)
{
    struct fixture *f = *state;

    f->check.json_pointer = "/checks/0/status";
    f->check.json_value = "ok";
    serve_stream(f, SEND_BY_BYTES, false,
                 "HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n"
                 "{\"checks\": [{\"status\": \"ok\"  }]}");
    assert_probe(f, DETECT_PASS, "body as expected");
    serve_stream(f, SEND_AT_ONCE, false,
                 "HTTP/1.1 200 OK\r\nContent-Length: 31\r\n\r\n"
                 "{\"checks\": [{\"status\": \"bad\"}]}");
    assert_probe(f, DETECT_STRONG, "/checks/0/status is \"bad\", expected ok");
    serve_stream(f, SEND_AT_ONCE, false, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    assert_probe(f, DETECT_STRONG, "body has no /checks/0/status");
    serve_stream(f, SEND_AT_ONCE, false, "HTTP/1.1 204 No\r\n\r\n");
    assert_probe(f, DETECT_STRONG, "body is not JSON");
    /* as long as it goes it would do, but it was cut short */
    f->check.json_pointer = "";
    f->check.json_value = NULL;
    serve_stream(f, SEND_AT_ONCE, true, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n12");
    assert_probe(f, DETECT_STRONG, "closed within the body");
}

static void http_head_has_no_body(void **state)
{
    struct fixture *f = *state;

    f->check.method = "HEAD";
    serve_stream(f, SEND_AT_ONCE, false, "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n");
    assert_probe(f, DETECT_PASS, "status 200");
    assert_memory_equal(f->request, "HEAD / HTTP/1.1\r\n", 17);
    f->check.body = "ok";
    assert_probe(f, DETECT_STRONG, "body does not contain 'ok'");
}

static void http_sends_a_request_of_any_length(void **state)
{
    struct fixture *f = *state;
    char value[3001];
    struct model_header header = { "X-Long", value };

    memset(value, 'v', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    f->check.headers = &header;
    f->check.header_count = 1;
    serve_stream(f, SEND_AT_ONCE, false, "HTTP/1.1 200 OK\r\n\r\n");
    assert_probe(f, DETECT_PASS, "status 200");
    assert_non_null(strstr(f->request, value));
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, set_up_http, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(http_asks_as_configured),
        CLAIM(http_without_a_host_names_the_target),
        CLAIM(http_tells_what_was_wrong),
        CLAIM(http_tells_a_refusal),
        CLAIM(http_takes_the_statuses_configured),
        CLAIM(http_finds_a_body_in_pieces),
        CLAIM(http_misses_a_body),
        CLAIM(http_reads_64_kib_of_a_body),
        CLAIM(http_matches_a_pattern_in_the_body),
        CLAIM(http_finds_a_value_in_json),
        CLAIM(http_head_has_no_body),
        CLAIM(http_sends_a_request_of_any_length),
        CLAIM(a_silent_http_server_lacks_a_reply),
        CLAIM(a_slow_http_server_lacks_the_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
