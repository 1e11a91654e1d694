#include "policy/checks/http_body.h"

#include <stdio.h>
#include <string.h>

#include "policy/checks/check_pattern.h"
#include "policy/checks/check_quote.h"
#include "policy/checks/http_response.h"
#include "policy/checks/json_match.h"

/*
 * A pattern is matched against everything that has come whenever more comes. A
 * body that trickles in would make that slow, so beyond so many bytes in all it
 * is matched only when the body is complete.
 */
#define EXAMINED_MOST (4 * HTTP_RESPONSE_BODY_MAX)

bool http_body_is_wanted(const struct model_check *check)
{
    return check->body != NULL || check->body_pattern != NULL || check->json_pointer != NULL;
}

/* Look for the text in what has come since the last look. */
static bool find_text(struct http_body *body, const char *text, const char *bytes, size_t size)
{
    size_t length = strlen(text);

    if (size < length || length == 0) {
        return length == 0;
    }
    if (memmem(bytes + body->searched, size - body->searched, text, length) != NULL) {
        return true;
    }
    body->searched = size - length + 1; /* it may have come in part */
    return false;
}

/* As check_pattern_match. */
static int find_pattern(struct http_body *body, const char *pattern, const char *bytes, size_t size,
                        bool complete)
{
    if (!complete && body->examined + size > EXAMINED_MOST) {
        return 0;
    }
    body->examined += size;
    return check_pattern_match(pattern, bytes, size);
}

static enum http_body_verdict tell_missing(const char *what, const char *expected, size_t size,
                                           char *reason, size_t cap)
{
    char shown[CHECK_QUOTE_MAX];

    (void)snprintf(reason, cap, "body does not %s '%s'%s", what,
                   check_quote(expected, strlen(expected), shown),
                   size == HTTP_RESPONSE_BODY_MAX ? " in its first 64 KiB" : "");
    return HTTP_BODY_WRONG;
}

static enum http_body_verdict judge_json(const struct model_check *check, const char *bytes,
                                         size_t size, char *reason, size_t cap)
{
    if (size == HTTP_RESPONSE_BODY_MAX) {
        (void)snprintf(reason, cap, "body of JSON is 64 KiB or longer");
        return HTTP_BODY_WRONG;
    }
    int rc = json_match(check->json_pointer, check->json_value, bytes, size, reason, cap);
    return rc < 0 ? HTTP_BODY_UNKNOWN : rc == 1 ? HTTP_BODY_FITS : HTTP_BODY_WRONG;
}

enum http_body_verdict http_body_judge(struct http_body *body, const struct model_check *check,
                                       const char *bytes, size_t size, bool complete, char *reason,
                                       size_t cap)
{
    if (check->body != NULL && !body->has_text) {
        body->has_text = find_text(body, check->body, bytes, size);
        if (!body->has_text) {
            return complete ? tell_missing("contain", check->body, size, reason, cap)
                            : HTTP_BODY_MORE;
        }
    }
    if (check->body_pattern != NULL && !body->has_pattern) {
        int rc = find_pattern(body, check->body_pattern, bytes, size, complete);
        if (rc < 0) {
            return HTTP_BODY_UNKNOWN;
        }
        body->has_pattern = rc == 1;
        if (rc == 0) {
            return complete ? tell_missing("match", check->body_pattern, size, reason, cap)
                            : HTTP_BODY_MORE;
        }
    }
    if (check->json_pointer == NULL) {
        return HTTP_BODY_FITS;
    }
    return complete ? judge_json(check, bytes, size, reason, cap) : HTTP_BODY_MORE;
}
