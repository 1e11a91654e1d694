#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(char *out, size_t cap, const char *format, va_list args)
{
    (void)vsnprintf(out, cap, format, args);
    for (char *c = out; *c != '\0'; c++) {
        if (*c == '\n' || *c == '\r') {
            *c = ' ';
        }
    }
}

int error_set(struct error *err, int code, const char *format, ...)
{
    va_list args;

    memset(err, 0, sizeof(*err));
    err->code = code;
    va_start(args, format);
    put(err->message, sizeof(err->message), format, args);
    va_end(args);
    return code;
}

int error_set_at(struct error *err, int code, const char *path, unsigned line, unsigned col,
                 const char *format, ...)
{
    va_list args;

    memset(err, 0, sizeof(*err));
    err->code = code;
    err->line = line;
    err->col = col;
    (void)snprintf(err->path, sizeof(err->path), "%s", path == NULL ? "" : path);
    va_start(args, format);
    put(err->message, sizeof(err->message), format, args);
    va_end(args);
    return code;
}

void error_hint(struct error *err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    put(err->hint, sizeof(err->hint), format, args);
    va_end(args);
}

int error_wrap(struct error *err, const char *format, ...)
{
    char context[sizeof(err->message)];
    char joined[2 * sizeof(err->message) + 2];
    va_list args;

    va_start(args, format);
    put(context, sizeof(context), format, args);
    va_end(args);
    (void)snprintf(joined, sizeof(joined), "%s: %s", context, err->message);
    joined[sizeof(err->message) - 1] = '\0';
    memcpy(err->message, joined, strlen(joined) + 1);
    return err->code;
}

size_t error_format(const struct error *err, char *out, size_t cap)
{
    int n;

    if (err->path[0] == '\0') {
        n = snprintf(out, cap, "%s", err->message);
    } else if (err->line == 0) {
        n = snprintf(out, cap, "%s: %s", err->path, err->message);
    } else if (err->col == 0) {
        n = snprintf(out, cap, "%s:%u: %s", err->path, err->line, err->message);
    } else {
        n = snprintf(out, cap, "%s:%u:%u: %s", err->path, err->line, err->col, err->message);
    }
    if (n < 0) {
        return 0;
    }
    return (size_t)n < cap ? (size_t)n : cap - 1;
}

bool error_is_ours(int code)
{
    switch (code) {
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM:
    case -ENOBUFS:
    case -EAGAIN:        /* no port left for a datagram, or no room to send it from */
    case -EADDRNOTAVAIL: /* no port left for a connection, or no address */
    case -EADDRINUSE:
    case -EAFNOSUPPORT: /* a node without IPv6 knows nothing about IPv6 targets */
    case -ECANCELED:
        return true;
    default:
        return false;
    }
}

_Noreturn void error_required(const char *what, const char *file, int line)
{
    fprintf(stderr, "leeward: internal error: %s does not hold at %s:%d\n", what, file, line);
    abort();
}
