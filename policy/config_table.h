#pragma once
/*
 * config_table - one table per map of the file, and the walker that reads it
 *
 * A row says everything about a key: kind, place in the model, range, default,
 * unit and meaning. The walker, the reference page, the schema and the
 * printed configuration are all made from the same rows. Control thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "policy/config_context.h"

enum config_kind {
    CONFIG_TEXT,    /* const char *; min and max are lengths, 4096 when max is 0 */
    CONFIG_PATH,    /* const char *, relative to the file that names it */
    CONFIG_COUNT,   /* uint32_t */
    CONFIG_SERIAL,  /* uint64_t; a plain number */
    CONFIG_PORT,    /* uint16_t */
    CONFIG_MS,      /* uint32_t, milliseconds; a duration in the file */
    CONFIG_SECONDS, /* uint32_t; a duration of whole seconds in the file */
    CONFIG_PERCENT, /* uint32_t */
    CONFIG_SIZE,    /* uint64_t, bytes */
    CONFIG_RATE,    /* uint32_t, a minute */
    CONFIG_BOOL,    /* bool */
    CONFIG_MINIMUM, /* struct model_minimum; min is the least of both */
    CONFIG_CHOICE,  /* an enum */
    CONFIG_PART,    /* whatever `forms` says; its section reads it */
    CONFIG_LATER,   /* known, refused: not available yet */
};

/* How a CONFIG_PART may be written. */
enum {
    CONFIG_FORM_TEXT = 1, /* one value */
    CONFIG_FORM_LIST = 2, /* a list of what else is allowed */
    CONFIG_FORM_MAP = 4,  /* a map by the table `part` */
    CONFIG_FORM_NAMED = 8 /* a map from names of the user's to all that */
};

struct config_choice {
    const char *word; /* NULL ends the list */
    unsigned value;
    bool later; /* known, refused: not available yet */
};

struct config_table;

struct config_row {
    const char *key;
    enum config_kind kind;
    size_t at;            /* in the struct the table is read into */
    uint64_t min;         /* in the units of the struct */
    uint64_t max;         /* 0: no limit but the type's */
    const char *standard; /* the default as it would be written, CONFIG_REQUIRED, or NULL */
    const char *help;     /* one sentence, for the reference */
    const char *usual;    /* the default in words, where it is computed */
    const char *word;     /* a word that stands for 0, or for no text */
    const char *example;  /* for the hint when it is required */
    const struct config_choice *choices;
    unsigned forms;
    const char *forms_help; /* "an address" */
    const struct config_table *part;
};

/* Stands as `standard` of what the user must say. Compared by address. */
extern const char config_table_required[];
#define CONFIG_REQUIRED config_table_required

struct config_table {
    const char *name; /* "services.NAME"; "" for the file itself */
    const char *help;
    const struct config_row *rows;
    size_t row_count;
};

/*
 * Read the map `item` into `base`, the struct the rows are about: plain values
 * and defaults. Reports unknown keys, values out of range and required keys
 * that are missing. Parts are left to the caller. `base` may be NULL when the
 * table has parts only. An empty value counts as an empty map. Returns false,
 * reported, when anything was wrong.
 */
bool config_table_read(struct config_context *context, const struct config_table *table,
                       const struct config_item *item, void *base);

/* Read one plain value by its row. Returns false, reported, when it is wrong. */
bool config_table_read_value(struct config_context *context, const struct config_row *row,
                             const struct config_item *item, void *base);

/* Write the defaults of a table that the file does not mention. */
void config_table_set_defaults(struct config_context *context, const struct config_table *table,
                               void *base);

/* Write one value as the file would have it. */
void config_table_put_value(const struct config_row *row, const void *base, struct text *out);

/* Write the range of a row as "10ms to 1h", or nothing. */
void config_table_put_range(const struct config_row *row, struct text *out);

/* Must it be written? */
bool config_table_is_required(const struct config_row *row);

/* The text of a single value; NULL, reported, when it is a list, a map or empty. */
const char *config_table_scalar(struct config_context *context, const struct config_item *item);

/* Report that something named is "not available yet". */
void config_table_later(struct config_context *context, const struct config_item *item,
                        const char *what);
