#pragma once
/*
 * error - an explained error that lives on the caller's stack
 *
 * It owns no heap memory, so that reporting "out of memory" cannot fail.
 * Only the top of a program prints one.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct error {
    int code;          /* negative errno, 0 when nothing is wrong */
    char path[256];    /* file the message is about, "" when none */
    unsigned line;     /* 1-based, 0 when unknown */
    unsigned col;      /* 1-based, 0 when unknown */
    char message[384]; /* one sentence, no newline */
    char hint[192];    /* what to do about it, "" when nothing helps */
};

/* Fill `err` with a message and no place. Returns `code`, a negative errno. */
int error_set(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with the place the message is about; `line` and `col` count from 1. */
int error_set_at(struct error *err, int code, const char *path, unsigned line, unsigned col,
                 const char *format, ...) __attribute__((format(printf, 6, 7)));

/* Add what the user should do about it. */
void error_hint(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Put context in front of the message, "context: message". Returns the code. */
int error_wrap(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Write "path:line:col: message" (what is known of it) to `out`, always
 * terminated. Returns the length written.
 */
size_t error_format(const struct error *err, char *out, size_t cap);

/*
 * Is this negative errno of a socket call trouble of this node (no descriptor,
 * port, memory or address family left), and so no evidence against the peer?
 */
bool error_is_ours(int code);

/*
 * Stop the program because of our own mistake: bytes from network or file are
 * not its business. Always compiled in.
 */
_Noreturn void error_required(const char *what, const char *file, int line);
#define REQUIRE(x) ((x) ? (void)0 : error_required(#x, __FILE__, __LINE__))
