#pragma once
/*
 * api_reply - what a request is answered with
 *
 * Plain data between the pages and the connection. Control thread.
 */
#include "base/text.h"

#define API_REPLY_JSON  "application/json"
#define API_REPLY_PLAIN "text/plain; charset=utf-8"
#define API_REPLY_YAML  "text/yaml; charset=utf-8"

struct api_reply {
    unsigned status;          /* of HTTP */
    const char *content_type; /* one of the above */
    const char *allow;        /* the method that is allowed, with 405; else NULL */
    struct text body;
};

/* Free the body. */
void api_reply_fini(struct api_reply *reply);

/* Replace the reply by {"error": {"code": code, "message": ...}}. */
void api_reply_error(struct api_reply *reply, unsigned status, const char *code, const char *format,
                     ...) __attribute__((format(printf, 4, 5)));
