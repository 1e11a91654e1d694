#pragma once
/*
 * log - one line per event that an operator can act on, to stderr
 *
 * A line is an event in two or three words and its evidence as keys. Any
 * thread; a line is written with one system call. Never on the answering path.
 */
#include <stdbool.h>

enum log_level {
    LOG_ERROR,
    LOG_WARNING,
    LOG_INFO,
    LOG_DEBUG,
};

enum log_format {
    LOG_FORMAT_LOGFMT,
    LOG_FORMAT_JSON,
};

/* What is written from now on, and how. Any thread. */
void log_configure(enum log_level level, enum log_format format);

/* Is this level written? */
bool log_enabled(enum log_level level);

/*
 * Write one event. `fields` is a printf format of the form
 * "target=%s failed=%u/%u last=%s": fields are parted by single spaces, and
 * what stands behind each "=" is quoted where it needs to be, so arguments
 * may hold anything.
 */
void log_event(enum log_level level, const char *event, const char *fields, ...)
    __attribute__((format(printf, 3, 4)));
