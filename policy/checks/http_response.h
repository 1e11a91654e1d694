#pragma once
/*
 * http_response - reads an HTTP/1.x response as it comes, within bounds
 *
 * For probes: it wants the status and, when asked, the first bytes of the
 * body; it follows RFC 9112 where that decides how the body is framed and is
 * lenient elsewhere. Decides only: no I/O, no allocation. One thread at a time
 * per response.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_RESPONSE_HEADER_MAX 16384 /* bytes of all header lines, interim responses included */
#define HTTP_RESPONSE_LINE_MAX   256   /* bytes kept of a line; the rest is counted only */
#define HTTP_RESPONSE_BODY_MAX   65536 /* what a body buffer need hold at most */

enum http_response_state {
    HTTP_RESPONSE_MORE, /* feed more */
    HTTP_RESPONSE_DONE, /* nothing further will change what is known */
    HTTP_RESPONSE_BAD,  /* not a response we can trust; `error` says why */
};

enum http_response_phase {
    HTTP_RESPONSE_STATUS_LINE,
    HTTP_RESPONSE_HEADERS,
    HTTP_RESPONSE_SIZED_BODY, /* Content-Length, or the data of a chunk */
    HTTP_RESPONSE_CHUNK_SIZE,
    HTTP_RESPONSE_CHUNK_END,
    HTTP_RESPONSE_ENDLESS_BODY, /* until the connection is closed */
    HTTP_RESPONSE_OVER,
};

struct http_response {
    enum http_response_state state;
    enum http_response_phase phase;
    const char *error; /* a few words, static; NULL unless BAD */
    unsigned status;   /* of the final response; 0 until its status line is read */

    char *body; /* the caller's buffer, or NULL when no body is wanted */
    size_t body_capacity;
    size_t body_size;
    bool head; /* it answers a HEAD request, so it has no body; set behind http_response_init */

    /* internal */
    char line[HTTP_RESPONSE_LINE_MAX];
    size_t line_size;   /* of the line so far, also beyond what is kept */
    size_t header_size; /* bytes of header lines so far */
    uint64_t left;      /* bytes of the body or chunk to come */
    uint64_t length;    /* Content-Length */
    bool length_given;
    bool coded;   /* a Transfer-Encoding was given */
    bool chunked; /* and its last coding is "chunked" */
    bool interim; /* the headers of a 1xx response are being read */
};

/*
 * A response of which nothing has come. Its body is kept in the `body_capacity`
 * bytes at `body`, the caller's; bytes beyond are not read. With NULL the
 * response is DONE as soon as the status line is. Between calls `body` and
 * `body_capacity` may be replaced by a larger buffer that holds the same bytes.
 */
void http_response_init(struct http_response *response, char *body, size_t body_capacity);

/* The next bytes. Once the state is DONE or BAD further bytes change nothing. */
enum http_response_state http_response_feed(struct http_response *response, const char *bytes,
                                            size_t size);

/* The peer has closed the connection: DONE where that ends the body, else BAD. */
enum http_response_state http_response_end(struct http_response *response);
