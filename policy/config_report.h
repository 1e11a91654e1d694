#pragma once
/*
 * config_report - the lines that are shown beside errors
 *
 * The public part is in config.h. Control thread and command line.
 */
#include <stddef.h>

#include "policy/config.h"

/* Where reading of a text's lines stands: errors come in order, so it only moves on. */
struct config_report_cursor {
    const char *at; /* begin of line number `line` */
    const char *end;
    unsigned line;
};

/* At the first line of a text, which must outlive the cursor. */
struct config_report_cursor config_report_cursor(const char *text, size_t length);

/* Add an error and the line it is about; the cursor moves on to that line. */
void config_report_add_shown(struct config_report *report, const struct error *err,
                             struct config_report_cursor *cursor);
