#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/checks/http_response.h"

#define OK "HTTP/1.1 200 OK\r\n"

struct reading {
    const char *name;
    const char *text;
    bool closes; /* the peer closes behind the text */
    enum http_response_state state;
    unsigned status;
    const char *body; /* NULL: not looked at */
};

static const struct reading readings[] = {
    { "sized", OK "Content-Length: 5\r\n\r\nhello", false, HTTP_RESPONSE_DONE, 200, "hello" },
    { "sized, more behind", OK "content-length:5\r\n\r\nhello, you", false, HTTP_RESPONSE_DONE, 200,
      "hello" },
    { "bare line feeds", "HTTP/1.0 200\nContent-Length: 2\n\nok", false, HTTP_RESPONSE_DONE, 200,
      "ok" },
    { "no reason phrase", "HTTP/1.1 204 \r\n\r\n", false, HTTP_RESPONSE_DONE, 204, "" },
    { "empty", OK "Content-Length: 0\r\n\r\n", false, HTTP_RESPONSE_DONE, 200, "" },
    { "until close", OK "\r\nhello", true, HTTP_RESPONSE_DONE, 200, "hello" },
    { "until close, not closed", OK "\r\nhello", false, HTTP_RESPONSE_MORE, 200, "hello" },
    { "chunked", OK "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", false,
      HTTP_RESPONSE_DONE, 200, "hello" },
    { "chunked wins over a length",
      OK "Content-Length: 1\r\nTransfer-Encoding: gzip, Chunked \r\n\r\nA\r\n0123456789\r\n0\r\n",
      false, HTTP_RESPONSE_DONE, 200, "0123456789" },
    { "coded, but not chunked", OK "Content-Length: 1\r\nTransfer-Encoding: xchunked\r\n\r\n23",
      true, HTTP_RESPONSE_DONE, 200, "23" },
    { "interim responses first",
      "HTTP/1.1 100 Continue\r\nContent-Length: 9\r\n\r\nHTTP/1.1 103 \r\nLink: x\r\n\r\n"
      "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno",
      false, HTTP_RESPONSE_DONE, 500, "no" },
    { "switching is final", "HTTP/1.1 101 Up\r\n\r\n", false, HTTP_RESPONSE_DONE, 101, "" },
    { "odd headers are passed over", OK "no colon\r\n folded\r\n:\r\nContent-Length: 2\r\n\r\nok",
      false, HTTP_RESPONSE_DONE, 200, "ok" },
    { "the same length twice", OK "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", false,
      HTTP_RESPONSE_DONE, 200, "ok" },

    { "nothing", "", true, HTTP_RESPONSE_BAD, 0, NULL },
    { "cut in the status line", "HTTP/1.1 2", true, HTTP_RESPONSE_BAD, 0, NULL },
    { "cut in the headers", OK "Content-Le", true, HTTP_RESPONSE_BAD, 200, NULL },
    { "cut in the body", OK "Content-Length: 5\r\n\r\nhell", true, HTTP_RESPONSE_BAD, 200, NULL },
    { "cut in a chunk", OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhell", true, HTTP_RESPONSE_BAD,
      200, NULL },
    { "another protocol", "SSH-2.0-x", false, HTTP_RESPONSE_BAD, 0, NULL },
    { "another version", "HTTP/2.0 200 OK\r\n\r\n", false, HTTP_RESPONSE_BAD, 0, NULL },
    { "an empty line", "\r\n", false, HTTP_RESPONSE_BAD, 0, NULL },
    { "status too short", "HTTP/1.1 20\r\n", false, HTTP_RESPONSE_BAD, 0, NULL },
    { "status too long", "HTTP/1.1 2000\r\n", false, HTTP_RESPONSE_BAD, 0, NULL },
    { "status too low", "HTTP/1.1 099 x\r\n", false, HTTP_RESPONSE_BAD, 0, NULL },
    { "length no number", OK "Content-Length: +5\r\n\r\n", false, HTTP_RESPONSE_BAD, 200, NULL },
    { "length not given", OK "Content-Length:\r\n\r\n", false, HTTP_RESPONSE_BAD, 200, NULL },
    { "length too large", OK "Content-Length: 9999999999999999999\r\n", false, HTTP_RESPONSE_BAD,
      200, NULL },
    { "lengths that differ", OK "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", false,
      HTTP_RESPONSE_BAD, 200, NULL },
    { "chunk size no number", OK "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", false,
      HTTP_RESPONSE_BAD, 200, NULL },
    { "chunk size too large", OK "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", false,
      HTTP_RESPONSE_BAD, 200, NULL },
    { "chunk longer than said", OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n", false,
      HTTP_RESPONSE_BAD, 200, NULL },
};

static char body[HTTP_RESPONSE_BODY_MAX];

static void read_in_steps(const struct reading *reading, size_t step, struct http_response *out)
{
    size_t size = strlen(reading->text);

    http_response_init(out, body, sizeof(body));
    for (size_t at = 0; at < size; at += step) {
        (void)http_response_feed(out, reading->text + at, size - at < step ? size - at : step);
    }
    if (reading->closes) {
        (void)http_response_end(out);
    }
}

static void a_response_reads_the_same_however_it_is_split(void **state)
{
    struct http_response response;

    (void)state;
    for (size_t i = 0; i < sizeof(readings) / sizeof(readings[0]); i++) {
        const struct reading *reading = &readings[i];
        for (size_t step = 1; step < 130; step++) {
            read_in_steps(reading, step, &response);
            if (response.state != reading->state || response.status != reading->status) {
                fail_msg("%s in steps of %zu: state %d status %u (%s)", reading->name, step,
                         response.state, response.status,
                         response.error == NULL ? "" : response.error);
            }
            assert_int_equal(response.error != NULL, response.state == HTTP_RESPONSE_BAD);
            if (reading->body != NULL) {
                assert_int_equal(response.body_size, strlen(reading->body));
                assert_memory_equal(body, reading->body, response.body_size);
            }
        }
    }
}

static void without_a_body_the_status_line_suffices(void **state)
{
    struct http_response response;

    (void)state;
    http_response_init(&response, NULL, 0);
    assert_int_equal(http_response_feed(&response, "HTTP/1.1 301 Mo", 15), HTTP_RESPONSE_MORE);
    assert_int_equal(http_response_feed(&response, "ved\r\nLoc", 8), HTTP_RESPONSE_DONE);
    assert_int_equal(response.status, 301);
}

static void garbage_is_known_by_its_first_byte(void **state)
{
    struct http_response response;

    (void)state;
    http_response_init(&response, NULL, 0);
    assert_int_equal(http_response_feed(&response, "\x16", 1), HTTP_RESPONSE_BAD);
    assert_string_equal(response.error, "not HTTP");
}

static void headers_are_bounded(void **state)
{
    struct http_response response;
    char line[1000];

    (void)state;
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    http_response_init(&response, body, sizeof(body));
    (void)http_response_feed(&response, OK, strlen(OK));
    for (size_t sent = sizeof(line); sent < HTTP_RESPONSE_HEADER_MAX - 20; sent += sizeof(line)) {
        assert_int_equal(http_response_feed(&response, line, sizeof(line)), HTTP_RESPONSE_MORE);
    }
    assert_int_equal(http_response_feed(&response, line, sizeof(line)), HTTP_RESPONSE_BAD);
    assert_string_equal(response.error, "headers longer than 16 KiB");
}

static void a_line_without_end_is_bounded(void **state)
{
    struct http_response response;

    (void)state;
    http_response_init(&response, body, sizeof(body));
    (void)http_response_feed(&response, OK, strlen(OK));
    for (size_t i = 0; i < HTTP_RESPONSE_HEADER_MAX; i++) {
        (void)http_response_feed(&response, "x", 1);
    }
    assert_int_equal(response.state, HTTP_RESPONSE_BAD);
}

static void an_answer_to_head_has_no_body(void **state)
{
    static const char text[] = OK "Content-Length: 900\r\n\r\n";
    struct http_response response;

    (void)state;
    http_response_init(&response, body, sizeof(body));
    response.head = true;
    (void)http_response_feed(&response, text, strlen(text) - 1);
    assert_int_equal(response.state, HTTP_RESPONSE_MORE);
    (void)http_response_feed(&response, "\n", 1);
    assert_int_equal(response.state, HTTP_RESPONSE_DONE);
    assert_int_equal(response.body_size, 0);
}

static void a_long_body_is_read_to_its_bound(void **state)
{
    struct http_response response;
    char block[1024];
    size_t fed = 0;

    (void)state;
    memset(block, 'b', sizeof(block));
    http_response_init(&response, body, sizeof(body));
    (void)http_response_feed(&response, OK "\r\n", strlen(OK) + 2);
    while (http_response_feed(&response, block, sizeof(block)) == HTTP_RESPONSE_MORE) {
        fed += sizeof(block);
        assert_true(fed < HTTP_RESPONSE_BODY_MAX);
    }
    assert_int_equal(response.state, HTTP_RESPONSE_DONE);
    assert_int_equal(response.body_size, HTTP_RESPONSE_BODY_MAX);
}

static void once_decided_nothing_changes_it(void **state)
{
    struct http_response response;

    (void)state;
    http_response_init(&response, NULL, 0);
    (void)http_response_feed(&response, OK, strlen(OK));
    assert_int_equal(http_response_feed(&response, "HTTP/1.1 500 No\r\n", 17), HTTP_RESPONSE_DONE);
    assert_int_equal(http_response_end(&response), HTTP_RESPONSE_DONE);
    assert_int_equal(response.status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_reads_the_same_however_it_is_split),
        cmocka_unit_test(without_a_body_the_status_line_suffices),
        cmocka_unit_test(garbage_is_known_by_its_first_byte),
        cmocka_unit_test(headers_are_bounded),
        cmocka_unit_test(a_line_without_end_is_bounded),
        cmocka_unit_test(an_answer_to_head_has_no_body),
        cmocka_unit_test(a_long_body_is_read_to_its_bound),
        cmocka_unit_test(once_decided_nothing_changes_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
