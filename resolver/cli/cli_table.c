#include "resolver/cli/cli_table.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define GAP 2u

struct cli_table_cell {
    struct text text;
    enum cli_paint paint;
};

/* Characters, not bytes: the continuation bytes of UTF-8 take no room. */
static unsigned shown_width(const char *text)
{
    unsigned width = 0;

    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

static const char *paint_code(enum cli_paint paint)
{
    switch (paint) {
    case CLI_PAINT_GOOD:
        return "\033[32m";
    case CLI_PAINT_DOUBT:
        return "\033[33m";
    case CLI_PAINT_BAD:
        return "\033[31m";
    case CLI_PAINT_FAINT:
        return "\033[2m";
    case CLI_PAINT_STRONG:
        return "\033[1m";
    case CLI_PAINT_PLAIN:
        break;
    }
    return "";
}

/* Append at most `most` characters of `value`, none of which steers the terminal. */
static void put_clean(struct text *out, const char *value, unsigned most)
{
    for (; *value != '\0'; value++) {
        bool continues = ((unsigned char)*value & 0xc0) == 0x80;
        if (!continues && most-- == 0) {
            return;
        }
        bool steers = (unsigned char)*value < 0x20 || *value == 0x7f;
        text_put_char(out, steers ? '?' : *value);
    }
}

static void put_painted(struct text *out, bool colored, enum cli_paint paint, const char *value,
                        unsigned most)
{
    bool paints = colored && paint != CLI_PAINT_PLAIN && value[0] != '\0' && most > 0;

    if (paints) {
        text_put(out, paint_code(paint));
    }
    put_clean(out, value, most);
    if (paints) {
        text_put(out, "\033[0m");
    }
}

void cli_table_paint(struct text *out, bool colored, enum cli_paint paint, const char *value)
{
    put_painted(out, colored, paint, value, UINT32_MAX);
}

static struct cli_table_cell *new_cell(struct cli_table *table)
{
    if (table->count == table->capacity) {
        size_t capacity = table->capacity == 0 ? 64 : table->capacity * 2;
        void *cells = reallocarray(table->cells, capacity, sizeof(*table->cells));
        if (cells == NULL) {
            table->failed = true;
            return NULL;
        }
        table->cells = cells;
        table->capacity = capacity;
    }
    struct cli_table_cell *cell = &table->cells[table->count++];
    memset(cell, 0, sizeof(*cell));
    return cell;
}

void cli_table_init(struct cli_table *table, unsigned columns, const char *const *heads)
{
    REQUIRE(columns > 0 && columns <= CLI_TABLE_COLUMNS);
    memset(table, 0, sizeof(*table));
    table->columns = columns;
    for (unsigned i = 0; i < columns; i++) {
        cli_table_add(table, CLI_PAINT_FAINT, "%s", heads[i]);
    }
}

void cli_table_fini(struct cli_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        text_fini(&table->cells[i].text);
    }
    free(table->cells);
    memset(table, 0, sizeof(*table));
}

void cli_table_add(struct cli_table *table, enum cli_paint paint, const char *format, ...)
{
    struct cli_table_cell *cell = new_cell(table);
    va_list args;

    if (cell == NULL) {
        return;
    }
    cell->paint = paint;
    va_start(args, format);
    text_vprintf(&cell->text, format, args);
    va_end(args);
}

void cli_table_end_row(struct cli_table *table)
{
    while (table->count % table->columns != 0 && !table->failed) {
        (void)new_cell(table);
    }
}

static void measure(const struct cli_table *table, unsigned widths[CLI_TABLE_COLUMNS])
{
    memset(widths, 0, CLI_TABLE_COLUMNS * sizeof(widths[0]));
    for (size_t i = 0; i < table->count; i++) {
        unsigned width = shown_width(text_string(&table->cells[i].text));
        unsigned *most = &widths[i % table->columns];
        *most = width > *most ? width : *most;
    }
}

static bool rest_is_empty(const struct cli_table_cell *cells, unsigned from, unsigned columns)
{
    for (; from < columns; from++) {
        if (text_string(&cells[from].text)[0] != '\0') {
            return false;
        }
    }
    return true;
}

static void put_row(const struct cli_table *table, const struct cli_table_cell *cells,
                    const unsigned *widths, bool colored, unsigned width, struct text *out)
{
    unsigned at = 0;

    for (unsigned i = 0; i < table->columns; i++) {
        const char *value = text_string(&cells[i].text);
        unsigned most = width == 0 ? UINT32_MAX : width > at ? width - at : 0;
        put_painted(out, colored, cells[i].paint, value, most);
        if (rest_is_empty(cells, i + 1, table->columns)) {
            break;
        }
        unsigned next = at + widths[i] + GAP;
        if (width > 0 && next >= width) {
            break;
        }
        for (at += shown_width(value); at < next; at++) {
            text_put_char(out, ' ');
        }
    }
    text_put_char(out, '\n');
}

void cli_table_put(const struct cli_table *table, bool colored, unsigned width, struct text *out)
{
    unsigned widths[CLI_TABLE_COLUMNS];

    if (table->failed) {
        out->failed = true;
        return;
    }
    measure(table, widths);
    for (size_t row = 0; row + table->columns <= table->count; row += table->columns) {
        put_row(table, &table->cells[row], widths, colored, width, out);
    }
}
