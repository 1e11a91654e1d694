#pragma once
/*
 * cli_table - columns of text, aligned and coloured
 *
 * Text of strangers (reasons, names) is shown with control characters
 * replaced, so that it cannot steer the terminal. One thread.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

enum cli_paint {
    CLI_PAINT_PLAIN,
    CLI_PAINT_GOOD,
    CLI_PAINT_DOUBT,
    CLI_PAINT_BAD,
    CLI_PAINT_FAINT,
    CLI_PAINT_STRONG,
};

#define CLI_TABLE_COLUMNS 12

struct cli_table_cell;

struct cli_table {
    unsigned columns;
    struct cli_table_cell *cells; /* rows * columns */
    size_t count;
    size_t capacity;
    bool failed;
};

/* Append `value` to `out`, in colour when `colored`. */
void cli_table_paint(struct text *out, bool colored, enum cli_paint paint, const char *value);

/* A new table; `heads` are the `columns` (at most CLI_TABLE_COLUMNS) first cells. */
void cli_table_init(struct cli_table *table, unsigned columns, const char *const *heads);
void cli_table_fini(struct cli_table *table);

/* Add the next cell, row by row. */
void cli_table_add(struct cli_table *table, enum cli_paint paint, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Fill the rest of the row with empty cells. */
void cli_table_end_row(struct cli_table *table);

/*
 * Write the table. With `width` above 0 lines are cut to it; the last column
 * is never padded.
 */
void cli_table_put(const struct cli_table *table, bool colored, unsigned width, struct text *out);
