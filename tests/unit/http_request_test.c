#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/checks/http_request.h"

#define AGENT "User-Agent: leeward/" LEEWARD_VERSION "\r\n"

static const struct tls_settings tls;

static void assert_request(const struct model_check *check, const char *target,
                           const char *expected)
{
    struct addr addr;
    struct error err;
    char *out = malloc(strlen(expected) + 1); /* as long as it is */

    assert_int_equal(addr_parse(target, 80, &addr, &err), 0);
    assert_int_equal(http_request_format(check, &addr, out, strlen(expected) + 1),
                     strlen(expected));
    assert_string_equal(out, expected);
    /* and with too little room nothing is written behind it */
    assert_int_equal(http_request_format(check, &addr, out, 10), strlen(expected));
    assert_int_equal(http_request_format(check, &addr, NULL, 0), strlen(expected));
    free(out);
}

static void what_is_not_said_has_a_default(void **state)
{
    struct model_check check = { 0 };

    (void)state;
    assert_request(&check, "192.0.2.1:8080",
                   "GET / HTTP/1.1\r\nHost: 192.0.2.1:8080\r\n" AGENT
                   "Accept: */*\r\nConnection: close\r\n\r\n");
}

static void the_usual_port_is_not_named(void **state)
{
    struct model_check check = { 0 };

    (void)state;
    assert_request(&check, "192.0.2.1:80",
                   "GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n" AGENT
                   "Accept: */*\r\nConnection: close\r\n\r\n");
    check.tls = &tls;
    assert_request(&check, "[2001:db8::1]:443",
                   "GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\n" AGENT
                   "Accept: */*\r\nConnection: close\r\n\r\n");
    assert_request(&check, "[2001:db8::1]:80",
                   "GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n" AGENT
                   "Accept: */*\r\nConnection: close\r\n\r\n");
}

static void method_path_host_and_headers_go_in(void **state)
{
    static const struct model_header headers[] = { { "X-Probe", "yes" },
                                                   { "Authorization", "Bearer abc" } };
    struct model_check check = {
        .method = "HEAD",
        .path = "/healthz?deep=1",
        .host = "api.example.com",
        .headers = headers,
        .header_count = 2,
    };

    (void)state;
    assert_request(&check, "192.0.2.1:80",
                   "HEAD /healthz?deep=1 HTTP/1.1\r\nHost: api.example.com\r\n" AGENT
                   "Accept: */*\r\nConnection: close\r\n"
                   "X-Probe: yes\r\nAuthorization: Bearer abc\r\n\r\n");
}

static void own_headers_take_the_place_of_ours(void **state)
{
    static const struct model_header headers[] = {
        { "user-agent", "probe" },
        { "ACCEPT", "text/plain" },
        { "Host", "other.example" },
        { "Connection", "keep-alive" },
    };
    struct model_check check = {
        .host = "api.example.com",
        .headers = headers,
        .header_count = 4,
    };

    (void)state;
    assert_request(&check, "192.0.2.1:80",
                   "GET / HTTP/1.1\r\nuser-agent: probe\r\nACCEPT: text/plain\r\n"
                   "Host: other.example\r\nConnection: keep-alive\r\n\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_said_has_a_default),
        cmocka_unit_test(the_usual_port_is_not_named),
        cmocka_unit_test(method_path_host_and_headers_go_in),
        cmocka_unit_test(own_headers_take_the_place_of_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
