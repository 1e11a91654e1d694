#pragma once
/*
 * cli_http - one HTTP request over a Unix socket
 *
 * Blocking, with a deadline and a bound on what is read. One thread.
 */
#include "base/error.h"
#include "base/text.h"

#define CLI_HTTP_TIMEOUT_MS 5000u
#define CLI_HTTP_BODY_MAX   (256u * 1024u * 1024u)

struct cli_http_reply {
    unsigned status;
    struct text body; /* the caller's to free, also after failures */
};

/*
 * Ask the server that listens on `socket_path`. `target` is the path with its
 * query string, already escaped; `sent` is the body, or NULL. 0, or -errno, explained: -ENOENT and
 * -ECONNREFUSED when nobody listens there, -EACCES, -ETIMEDOUT, -EPROTO.
 */
int cli_http(const char *socket_path, const char *method, const char *target,
             const struct text *sent, unsigned timeout_ms, struct cli_http_reply *out,
             struct error *err);

/* Append `value` escaped for a query string or a path segment (RFC 3986, section 2). */
void cli_http_put_escaped(struct text *out, const char *value);
