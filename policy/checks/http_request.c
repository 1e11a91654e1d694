#include "policy/checks/http_request.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HTTP_PORT  80
#define HTTPS_PORT 443

struct writer {
    char *out;
    size_t cap;
    size_t length; /* also of what had no room */
};

static void put_bytes(struct writer *writer, const char *bytes, size_t size)
{
    if (writer->length + size < writer->cap) {
        memcpy(writer->out + writer->length, bytes, size + 1);
    }
    writer->length += size;
}

static void put(struct writer *writer, const char *text)
{
    put_bytes(writer, text, strlen(text));
}

static void put_header(struct writer *writer, const char *name, const char *value)
{
    put(writer, name);
    put(writer, ": ");
    put(writer, value);
    put(writer, "\r\n");
}

static bool has_own(const struct model_check *check, const char *name)
{
    for (size_t i = 0; i < check->header_count; i++) {
        if (strcasecmp(check->headers[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* A header that the check may give in its place. */
static void put_usual(struct writer *writer, const struct model_check *check, const char *name,
                      const char *value)
{
    if (check->header_count == 0 || !has_own(check, name)) {
        put_header(writer, name, value);
    }
}

/* The Host of a check that names none: the target, its port unless it is the usual one. */
static void put_target(struct writer *writer, const struct model_check *check,
                       const struct addr *target)
{
    struct addr plain = *target;
    char text[ADDR_TEXT_MAX];

    plain.scope = 0; /* RFC 9110, section 7.2: an address of ours alone has no place there */
    addr_format_port(&plain, text, sizeof(text));
    if (plain.port == (check->tls != NULL ? HTTPS_PORT : HTTP_PORT)) {
        *strrchr(text, ':') = '\0';
    }
    put_usual(writer, check, "Host", text);
}

size_t http_request_format(const struct model_check *check, const struct addr *target, char *out,
                           size_t cap)
{
    struct writer writer = { .out = out, .cap = cap };

    put(&writer, check->method != NULL ? check->method : "GET");
    put(&writer, " ");
    put(&writer, check->path != NULL ? check->path : "/");
    put(&writer, " HTTP/1.1\r\n");
    if (check->host != NULL) {
        put_usual(&writer, check, "Host", check->host);
    } else {
        put_target(&writer, check, target);
    }
    put_usual(&writer, check, "User-Agent", "leeward/" LEEWARD_VERSION);
    put_usual(&writer, check, "Accept", "*/*");
    put_usual(&writer, check, "Connection", "close");
    for (size_t i = 0; i < check->header_count; i++) {
        put_header(&writer, check->headers[i].name, check->headers[i].value);
    }
    put(&writer, "\r\n");
    return writer.length;
}
