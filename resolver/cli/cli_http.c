#include "resolver/cli/cli_http.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

#define HEAD_MAX (16u * 1024u)

struct call {
    int fd;
    const char *path;
    uint64_t deadline_ms;
};

/* Wait until the socket is ready for `events`; -ETIMEDOUT after the deadline. */
static int wait_for(const struct call *call, short events)
{
    struct pollfd ready = { .fd = call->fd, .events = events };

    for (;;) {
        uint64_t now_ms = clock_now_ms();
        if (now_ms >= call->deadline_ms) {
            return -ETIMEDOUT;
        }
        int rc = poll(&ready, 1, (int)(call->deadline_ms - now_ms));
        if (rc > 0) {
            return 0;
        }
        if (rc < 0 && errno != EINTR) {
            return -errno;
        }
    }
}

static int fail(const struct call *call, int code, struct error *err)
{
    switch (code) {
    case -ENOENT:
    case -ECONNREFUSED:
        (void)error_set(err, code, "no server listens on %s", call->path);
        error_hint(err, "is it running? --socket PATH and -c FILE tell where to look");
        return code;
    case -EACCES:
    case -EPERM:
        (void)error_set(err, code, "%s: permission denied", call->path);
        error_hint(err, "run this as the server's user or as a member of its group");
        return code;
    case -ETIMEDOUT:
        return error_set(err, code, "the server on %s does not answer", call->path);
    case -EPROTO:
        return error_set(err, code, "what listens on %s is no leeward", call->path);
    case -EFBIG:
        return error_set(err, code, "the answer of the server on %s is too long", call->path);
    default:
        return error_set(err, code, "%s: %s", call->path, strerror(-code));
    }
}

static int open_socket(struct call *call)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (strlen(call->path) >= sizeof(address.sun_path)) {
        return -ENAMETOOLONG;
    }
    memcpy(address.sun_path, call->path, strlen(call->path) + 1);
    call->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (call->fd < 0) {
        return -errno;
    }
    while (connect(call->fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        if (errno != EAGAIN) {
            return -errno;
        }
        /* its backlog is full, and nothing tells when it no longer is */
        if (clock_now_ms() >= call->deadline_ms) {
            return -ETIMEDOUT;
        }
        (void)poll(NULL, 0, 20);
    }
    return 0;
}

static int send_all(const struct call *call, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(call->fd, bytes, length, MSG_NOSIGNAL);
        if (sent >= 0) {
            bytes += sent;
            length -= (size_t)sent;
        } else if (errno == EAGAIN) {
            int rc = wait_for(call, POLLOUT);
            if (rc < 0) {
                return rc;
            }
        } else if (errno == EPIPE) {
            return 0; /* it may have answered all the same */
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

/* Read until the end of the stream; we asked for `Connection: close`. */
static int read_all(const struct call *call, struct text *out)
{
    char bytes[16384];

    for (;;) {
        ssize_t got = recv(call->fd, bytes, sizeof(bytes), 0);
        if (got == 0) {
            return 0;
        }
        if (got > 0) {
            text_put_bytes(out, bytes, (size_t)got);
            if (text_failed(out)) {
                return -ENOMEM;
            }
            if (out->length > HEAD_MAX + CLI_HTTP_BODY_MAX) {
                return -EFBIG;
            }
        } else if (errno == EAGAIN) {
            int rc = wait_for(call, POLLIN);
            if (rc < 0) {
                return rc;
            }
        } else if (errno != EINTR) {
            return -errno;
        }
    }
}

/* The Content-Length of the head, or SIZE_MAX when it has none. */
static size_t content_length(const char *head, size_t head_length)
{
    const char *line = memchr(head, '\n', head_length);

    while (line != NULL && (size_t)(line + 1 - head) < head_length) {
        line++;
        if (strncasecmp(line, "content-length:", 15) == 0) {
            return strtoul(line + 15, NULL, 10);
        }
        line = memchr(line, '\n', head_length - (size_t)(line - head));
    }
    return SIZE_MAX;
}

/* Split the head from the body and look whether the body is whole. */
static int parse(const struct text *raw, struct cli_http_reply *out)
{
    const char *bytes = text_string(raw);
    const char *end = memmem(bytes, raw->length, "\r\n\r\n", 4);

    if (end == NULL || (size_t)(end - bytes) > HEAD_MAX || strncmp(bytes, "HTTP/1.", 7) != 0 ||
        bytes[8] != ' ') {
        return -EPROTO;
    }
    unsigned long status = strtoul(bytes + 9, NULL, 10);
    if (status < 100 || status > 599) {
        return -EPROTO;
    }
    const char *body = end + 4;
    size_t length = raw->length - (size_t)(body - bytes);
    size_t promised = content_length(bytes, (size_t)(end - bytes));
    if (promised != SIZE_MAX && promised != length) {
        return -EPROTO;
    }
    out->status = (unsigned)status;
    text_put_bytes(&out->body, body, length);
    return text_failed(&out->body) ? -ENOMEM : 0;
}

int cli_http(const char *socket_path, const char *method, const char *target,
             const struct text *sent, unsigned timeout_ms, struct cli_http_reply *out,
             struct error *err)
{
    struct call call = {
        .fd = -1,
        .path = socket_path,
        .deadline_ms = clock_now_ms() + timeout_ms,
    };
    struct text request = { 0 };
    struct text raw = { 0 };

    memset(out, 0, sizeof(*out));
    text_printf(&request, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", method,
                target);
    if (sent != NULL || strcmp(method, "POST") == 0) {
        text_printf(&request, "Content-Length: %zu\r\n", sent == NULL ? 0 : sent->length);
    }
    text_put(&request, "\r\n");
    if (sent != NULL) {
        text_put_bytes(&request, text_string(sent), sent->length);
    }
    int rc = text_failed(&request) ? -ENOMEM : open_socket(&call);
    if (rc == 0) {
        rc = send_all(&call, text_string(&request), request.length);
    }
    if (rc == 0) {
        rc = read_all(&call, &raw);
    }
    if (rc == 0) {
        rc = parse(&raw, out);
    }
    if (call.fd >= 0) {
        (void)close(call.fd);
    }
    text_fini(&request);
    text_fini(&raw);
    return rc < 0 ? fail(&call, rc, err) : 0;
}

void cli_http_put_escaped(struct text *out, const char *value)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (; *value != '\0'; value++) {
        if (strchr(plain, *value) != NULL) {
            text_put_char(out, *value);
        } else {
            text_printf(out, "%%%02X", (unsigned char)*value);
        }
    }
}
