#include "policy/checks/json_match.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/checks/check_quote.h"

/*
 * A number too large for 64 bits is taken as a fraction, and all others with
 * it. 1, 0 when it is no JSON, or -ENOMEM.
 */
static int parse(const char *bytes, size_t size, json_t **out)
{
    json_error_t error;

    *out = json_loadb(bytes, size, JSON_DECODE_ANY, &error);
    if (*out == NULL && json_error_code(&error) == json_error_numeric_overflow) {
        *out = json_loadb(bytes, size, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &error);
    }
    if (*out == NULL && json_error_code(&error) == json_error_out_of_memory) {
        return -ENOMEM;
    }
    return *out != NULL;
}

/* ---- the pointer ---- */

/*
 * Take the next token, behind its slash, unescaped (RFC 6901, section 4), into
 * `out`, which is as long as the pointer. NULL when it is none, else what
 * follows.
 */
static const char *take_token(const char *at, char *out)
{
    if (*at++ != '/') {
        return NULL;
    }
    for (; *at != '\0' && *at != '/'; at++) {
        if (*at == '~') {
            at++;
            if (*at != '0' && *at != '1') {
                return NULL;
            }
            *out++ = *at == '0' ? '~' : '/';
        } else {
            *out++ = *at;
        }
    }
    *out = '\0';
    return at;
}

static json_t *element(const json_t *array, const char *token)
{
    size_t index = 0;

    /* "0", or digits without a zero in front; nine of them are enough for 64 KiB */
    if (token[0] == '\0' || strlen(token) > 9 || (token[0] == '0' && token[1] != '\0')) {
        return NULL;
    }
    for (const char *c = token; *c != '\0'; c++) {
        if (*c < '0' || *c > '9') {
            return NULL;
        }
        index = index * 10 + (size_t)(*c - '0');
    }
    return json_array_get(array, index);
}

/* A borrowed reference, NULL when nothing is there. */
static json_t *look_up(json_t *root, const char *pointer, char *token)
{
    json_t *at = root;

    while (at != NULL && *pointer != '\0') {
        pointer = take_token(pointer, token);
        if (pointer == NULL) {
            return NULL;
        }
        at = json_is_array(at) ? element(at, token) : json_object_get(at, token);
    }
    return at;
}

/* ---- the value ---- */

static bool is_same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b) && !(json_is_integer(a) && json_is_integer(b))) {
        return !(json_number_value(a) < json_number_value(b)) &&
               !(json_number_value(a) > json_number_value(b));
    }
    return json_equal(a, b) == 1;
}

/* 1 or 0, or -ENOMEM. */
static int is_equal(const json_t *found, const char *value)
{
    json_t *wanted;

    if (json_is_string(found) && strcmp(json_string_value(found), value) == 0) {
        return 1;
    }
    int rc = parse(value, strlen(value), &wanted);
    if (rc == 1) {
        rc = is_same(found, wanted);
        json_decref(wanted);
    }
    return rc;
}

static void tell_difference(const char *pointer, const json_t *found, const char *value,
                            char *reason, size_t cap)
{
    char *text = json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT);
    char where[CHECK_QUOTE_MAX];
    char got[CHECK_QUOTE_MAX];
    char wanted[CHECK_QUOTE_MAX];

    (void)snprintf(reason, cap, "%s is %s, expected %s",
                   *pointer == '\0' ? "body" : check_quote(pointer, strlen(pointer), where),
                   text != NULL ? check_quote(text, strlen(text), got) : "something else",
                   check_quote(value, strlen(value), wanted));
    free(text);
}

/* ---- */

static int judge(json_t *root, const char *pointer, const char *value, char *reason, size_t cap)
{
    char *token = malloc(strlen(pointer) + 1);
    char where[CHECK_QUOTE_MAX];

    if (token == NULL) {
        return -ENOMEM;
    }
    const json_t *found = look_up(root, pointer, token);
    free(token);
    if (found == NULL) {
        (void)snprintf(reason, cap, "body has no %s", check_quote(pointer, strlen(pointer), where));
        return 0;
    }
    int rc = value == NULL ? 1 : is_equal(found, value);
    if (rc == 0) {
        tell_difference(pointer, found, value, reason, cap);
    }
    return rc;
}

int json_match(const char *pointer, const char *value, const char *bytes, size_t size, char *reason,
               size_t cap)
{
    json_t *root;
    int rc = parse(bytes, size, &root);

    if (rc == 0) {
        (void)snprintf(reason, cap, "body is not JSON");
    }
    if (rc != 1) {
        return rc;
    }
    rc = judge(root, pointer, value, reason, cap);
    json_decref(root);
    return rc;
}
