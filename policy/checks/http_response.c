#include "policy/checks/http_response.h"

#include <string.h>
#include <strings.h>

void http_response_init(struct http_response *response, char *body, size_t body_capacity)
{
    memset(response, 0, sizeof(*response));
    response->body = body;
    response->body_capacity = body_capacity;
}

static void fail(struct http_response *r, const char *error)
{
    r->state = HTTP_RESPONSE_BAD;
    r->phase = HTTP_RESPONSE_OVER;
    r->error = error;
}

static void finish(struct http_response *r)
{
    r->state = HTTP_RESPONSE_DONE;
    r->phase = HTTP_RESPONSE_OVER;
}

/* ---- lines ---- */

/*
 * Take bytes up to a line feed into `line`; returns how many. `*out_complete`
 * tells whether the line ended, which then stands there without CR and LF.
 */
static size_t take_line(struct http_response *r, const char *bytes, size_t size, bool *out_complete)
{
    const char *feed = memchr(bytes, '\n', size);
    size_t text = feed == NULL ? size : (size_t)(feed - bytes);

    if (r->line_size < sizeof(r->line)) {
        size_t room = sizeof(r->line) - r->line_size;
        memcpy(r->line + r->line_size, bytes, text < room ? text : room);
    }
    r->line_size += text;
    *out_complete = feed != NULL;
    if (feed == NULL) {
        return text;
    }
    if (r->line_size > 0 && r->line_size <= sizeof(r->line) && r->line[r->line_size - 1] == '\r') {
        r->line_size--;
    }
    return text + 1;
}

static size_t kept(const struct http_response *r)
{
    return r->line_size < sizeof(r->line) ? r->line_size : sizeof(r->line);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* ---- the status line, RFC 9112 section 4 ---- */

#define VERSION_PREFIX "HTTP/1."
#define VERSION_SIZE   (sizeof(VERSION_PREFIX) - 1)

/* Could what has come of the line still become a status line? */
static bool begins_well(const struct http_response *r)
{
    size_t size = r->line_size < VERSION_SIZE ? r->line_size : VERSION_SIZE;

    return memcmp(r->line, VERSION_PREFIX, size) == 0;
}

static void read_status_line(struct http_response *r)
{
    const char *line = r->line;
    const char *code = line + VERSION_SIZE + 2; /* behind the minor version and a space */

    if (r->line_size < VERSION_SIZE + 5 || !is_digit(code[-2]) || code[-1] != ' ' ||
        code[0] < '1' || code[0] > '9' || !is_digit(code[1]) || !is_digit(code[2]) ||
        (r->line_size > VERSION_SIZE + 5 && code[3] != ' ')) {
        fail(r, "not HTTP");
        return;
    }
    unsigned status = (unsigned)((code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0'));
    /* 1xx announce that the response is still to come; after 101 none would. */
    r->interim = status < 200 && status != 101;
    r->phase = HTTP_RESPONSE_HEADERS;
    if (!r->interim) {
        r->status = status;
        if (r->body == NULL) {
            finish(r);
        }
    }
}

/* ---- headers ---- */

/* If the line is header `name`, its value without surrounding blanks. */
static bool header_value(const struct http_response *r, const char *name, const char **out_value,
                         size_t *out_size)
{
    size_t name_size = strlen(name);
    size_t size = kept(r);

    if (size <= name_size || r->line[name_size] != ':' ||
        strncasecmp(r->line, name, name_size) != 0) {
        return false;
    }
    const char *value = r->line + name_size + 1;
    size -= name_size + 1;
    while (size > 0 && is_blank(*value)) {
        value++;
        size--;
    }
    while (size > 0 && is_blank(value[size - 1])) {
        size--;
    }
    *out_value = value;
    *out_size = size;
    return true;
}

/* RFC 9112, section 6.3: a length that is no number, or two that differ, is an error. */
static void read_length(struct http_response *r, const char *value, size_t size)
{
    uint64_t length = 0;

    if (size == 0 || size > 18) {
        fail(r, "bad Content-Length");
        return;
    }
    for (size_t i = 0; i < size; i++) {
        if (!is_digit(value[i])) {
            fail(r, "bad Content-Length");
            return;
        }
        length = length * 10 + (uint64_t)(value[i] - '0');
    }
    if (r->length_given && r->length != length) {
        fail(r, "two Content-Lengths");
        return;
    }
    r->length_given = true;
    r->length = length;
}

/* Only the last coding matters to where the body ends (RFC 9112, section 6.3). */
static void read_coding(struct http_response *r, const char *value, size_t size)
{
    static const char chunked[] = "chunked";
    size_t length = sizeof(chunked) - 1;

    r->coded = true;
    r->chunked =
        size >= length && strncasecmp(value + size - length, chunked, length) == 0 &&
        (size == length || value[size - length - 1] == ',' || is_blank(value[size - length - 1]));
}

/*
 * A line that is no header, or folds the one before, is passed over: it does
 * not change whether the target serves.
 */
static void read_header(struct http_response *r)
{
    const char *value;
    size_t size;
    bool is_length = header_value(r, "Content-Length", &value, &size);

    if (!is_length && !header_value(r, "Transfer-Encoding", &value, &size)) {
        return;
    }
    if (r->line_size > sizeof(r->line)) {
        fail(r, "header too long");
    } else if (is_length) {
        read_length(r, value, size);
    } else {
        read_coding(r, value, size);
    }
}

/* The empty line behind the headers: how does the body end? */
static void begin_body(struct http_response *r)
{
    if (r->interim) {
        r->phase = HTTP_RESPONSE_STATUS_LINE;
        r->length_given = false;
        r->coded = false;
        r->chunked = false;
    } else if (r->head || r->status == 101 || r->status == 204 || r->status == 304) {
        finish(r);
    } else if (r->chunked) {
        r->phase = HTTP_RESPONSE_CHUNK_SIZE;
    } else if (r->coded || !r->length_given) {
        r->phase = HTTP_RESPONSE_ENDLESS_BODY;
    } else if (r->length == 0) {
        finish(r);
    } else {
        r->left = r->length;
        r->phase = HTTP_RESPONSE_SIZED_BODY;
    }
}

/* A status or header line, or a part of one. */
static size_t feed_header(struct http_response *r, const char *bytes, size_t size)
{
    bool complete;
    size_t taken = take_line(r, bytes, size, &complete);

    r->header_size += taken;
    if (r->phase == HTTP_RESPONSE_STATUS_LINE && !begins_well(r)) {
        fail(r, "not HTTP"); /* without waiting for a line end that may never come */
    } else if (r->header_size > HTTP_RESPONSE_HEADER_MAX) {
        fail(r, "headers longer than 16 KiB");
    } else if (complete && r->phase == HTTP_RESPONSE_STATUS_LINE) {
        read_status_line(r);
        r->line_size = 0;
    } else if (complete && r->line_size == 0) {
        begin_body(r);
    } else if (complete) {
        read_header(r);
        r->line_size = 0;
    }
    return taken;
}

/* ---- the body ---- */

static void keep_body(struct http_response *r, const char *bytes, size_t size)
{
    size_t room = r->body_capacity - r->body_size;
    size_t keep = size < room ? size : room;

    memcpy(r->body + r->body_size, bytes, keep);
    r->body_size += keep;
    if (r->body_size == r->body_capacity) {
        finish(r);
    }
}

static size_t feed_sized(struct http_response *r, const char *bytes, size_t size)
{
    size_t taken = r->left < size ? (size_t)r->left : size;

    r->left -= taken;
    keep_body(r, bytes, taken);
    if (r->left == 0 && r->phase == HTTP_RESPONSE_SIZED_BODY) {
        if (r->chunked) {
            r->phase = HTTP_RESPONSE_CHUNK_END;
        } else {
            finish(r);
        }
    }
    return taken;
}

static int hex_value(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

/* "1a2b" and extensions behind ";", which nobody uses; trailers are not awaited. */
static void read_chunk_size(struct http_response *r)
{
    size_t digits = 0;
    uint64_t length = 0;

    while (digits < kept(r) && hex_value(r->line[digits]) >= 0 && digits <= 15) {
        length = length << 4 | (uint64_t)hex_value(r->line[digits]);
        digits++;
    }
    if (digits == 0 || digits > 15 || r->line_size > sizeof(r->line) ||
        (digits < r->line_size && r->line[digits] != ';' && !is_blank(r->line[digits]))) {
        fail(r, "bad chunk");
    } else if (length == 0) {
        finish(r);
    } else {
        r->left = length;
        r->phase = HTTP_RESPONSE_SIZED_BODY;
    }
}

/* The line with a chunk's size, or the empty one behind its data. */
static size_t feed_chunk_line(struct http_response *r, const char *bytes, size_t size)
{
    bool complete;
    size_t taken = take_line(r, bytes, size, &complete);

    if (r->line_size > sizeof(r->line)) {
        fail(r, "bad chunk");
    } else if (complete && r->phase == HTTP_RESPONSE_CHUNK_SIZE) {
        read_chunk_size(r);
        r->line_size = 0;
    } else if (complete) {
        r->phase = HTTP_RESPONSE_CHUNK_SIZE;
        if (r->line_size != 0) {
            fail(r, "bad chunk");
        }
    }
    return taken;
}

/* ---- */

static size_t feed_some(struct http_response *r, const char *bytes, size_t size)
{
    switch (r->phase) {
    case HTTP_RESPONSE_STATUS_LINE:
    case HTTP_RESPONSE_HEADERS:
        return feed_header(r, bytes, size);
    case HTTP_RESPONSE_CHUNK_SIZE:
    case HTTP_RESPONSE_CHUNK_END:
        return feed_chunk_line(r, bytes, size);
    case HTTP_RESPONSE_SIZED_BODY:
        return feed_sized(r, bytes, size);
    case HTTP_RESPONSE_ENDLESS_BODY:
        keep_body(r, bytes, size);
        return size;
    case HTTP_RESPONSE_OVER:
        break;
    }
    return size;
}

enum http_response_state http_response_feed(struct http_response *response, const char *bytes,
                                            size_t size)
{
    while (size > 0 && response->state == HTTP_RESPONSE_MORE) {
        size_t taken = feed_some(response, bytes, size);
        bytes += taken;
        size -= taken;
    }
    return response->state;
}

enum http_response_state http_response_end(struct http_response *response)
{
    struct http_response *r = response;

    if (r->state != HTTP_RESPONSE_MORE) {
        return r->state;
    }
    switch (r->phase) {
    case HTTP_RESPONSE_ENDLESS_BODY:
        finish(r);
        break;
    case HTTP_RESPONSE_STATUS_LINE:
        fail(r, r->header_size == 0 ? "closed without a reply" : "closed within the status line");
        break;
    case HTTP_RESPONSE_HEADERS:
        fail(r, "closed within the headers");
        break;
    default:
        fail(r, "closed within the body");
        break;
    }
    return r->state;
}
