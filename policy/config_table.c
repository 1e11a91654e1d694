#include "policy/config_table.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "policy/config_files.h"
#include "policy/config_value.h"

#define TEXT_MAX 4096

const char config_table_required[] = "required";

const char *config_table_scalar(struct config_context *context, const struct config_item *item)
{
    const struct config_node *node = item->value;

    if (node->broken) {
        return NULL;
    }
    if (node->kind != CONFIG_NODE_SCALAR) {
        config_error_value(context, item, "must be a single value");
        return NULL;
    }
    if (config_node_is_empty(node)) {
        config_error_value(context, item, "a value is missing");
        return NULL;
    }
    return node->text;
}

void config_table_later(struct config_context *context, const struct config_item *item,
                        const char *what)
{
    config_error_key(context, item, "%s is not available yet", what);
}

static void put(void *base, const struct config_row *row, const void *value, size_t size)
{
    memcpy((char *)base + row->at, value, size);
}

static void put_unsigned(void *base, const struct config_row *row, uint64_t value)
{
    uint16_t narrow = (uint16_t)value;
    uint32_t wide = (uint32_t)value;

    if (row->kind == CONFIG_PORT) {
        put(base, row, &narrow, sizeof(narrow));
    } else if (row->kind == CONFIG_SIZE || row->kind == CONFIG_SERIAL) {
        put(base, row, &value, sizeof(value));
    } else {
        put(base, row, &wide, sizeof(wide));
    }
}

static bool has_control(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            return true;
        }
    }
    return false;
}

static int read_text(const struct config_row *row, const char *text, struct error *err)
{
    size_t length = strlen(text);
    size_t max = row->max == 0 ? TEXT_MAX : row->max;

    if (length == 0) {
        return error_set(err, -EINVAL, "must not be empty");
    }
    if (length > max || length < row->min) {
        return error_set(err, -EINVAL, "must be at most %zu bytes long", max);
    }
    if (has_control(text)) {
        return error_set(err, -EINVAL, "must not hold control characters");
    }
    return 0;
}

/* A bound as the file would have it. */
static void put_number(enum config_kind kind, uint64_t value, struct text *out)
{
    if (kind == CONFIG_MS) {
        config_value_put_ms(value, out);
    } else if (kind == CONFIG_SECONDS) {
        config_value_put_ms(value * 1000, out);
    } else if (kind == CONFIG_SIZE) {
        config_value_put_size(value, out);
    } else if (kind == CONFIG_RATE) {
        config_value_put_rate(value, out);
    } else {
        text_printf(out, kind == CONFIG_PERCENT ? "%llu%%" : "%llu", (unsigned long long)value);
    }
}

static uint64_t greatest(const struct config_row *row)
{
    bool wide = row->kind == CONFIG_SIZE || row->kind == CONFIG_SERIAL;
    uint64_t type_max = row->kind == CONFIG_PORT ? UINT16_MAX : wide ? UINT64_MAX : UINT32_MAX;

    return row->max == 0 ? type_max : row->max;
}

void config_table_put_range(const struct config_row *row, struct text *out)
{
    switch (row->kind) {
    case CONFIG_COUNT:
    case CONFIG_SERIAL:
    case CONFIG_PORT:
    case CONFIG_MS:
    case CONFIG_SECONDS:
    case CONFIG_PERCENT:
    case CONFIG_SIZE:
    case CONFIG_RATE:
        put_number(row->kind, row->min, out);
        text_put(out, " to ");
        put_number(row->kind, greatest(row), out);
        break;
    case CONFIG_MINIMUM:
        text_printf(out, "at least %llu", (unsigned long long)row->min);
        break;
    default:
        break;
    }
}

bool config_table_is_required(const struct config_row *row)
{
    return row->standard == CONFIG_REQUIRED ||
           (row->usual != NULL && strcmp(row->usual, CONFIG_REQUIRED) == 0);
}

static int check_range(const struct config_row *row, const char *written, uint64_t value,
                       struct error *err)
{
    struct text bounds = { 0 };

    if (value >= row->min && value <= greatest(row)) {
        return 0;
    }
    config_table_put_range(row, &bounds);
    error_set(err, -EINVAL, "'%.80s' is out of range: it must be %s", written,
              text_string(&bounds));
    text_fini(&bounds);
    return err->code;
}

/* What else may stand there, behind the hint that says how a number is written. */
static int add_word(const struct config_row *row, struct error *err)
{
    char hint[sizeof(err->hint)];

    if (row->word != NULL && row->word[0] != '\0') {
        memcpy(hint, err->hint, sizeof(hint));
        error_hint(err, "%s%s%s", hint, hint[0] == '\0' ? "write " : ", or ", row->word);
    }
    return err->code;
}

static int read_number(const struct config_row *row, const char *text, void *base,
                       struct error *err)
{
    uint64_t value = 0;
    int rc;

    if (row->word != NULL && strcmp(text, row->word) == 0) {
        put_unsigned(base, row, 0);
        return 0;
    }
    if (row->kind == CONFIG_MS || row->kind == CONFIG_SECONDS) {
        rc = config_value_ms(text, &value, err);
    } else if (row->kind == CONFIG_PERCENT) {
        rc = config_value_percent(text, &value, err);
    } else if (row->kind == CONFIG_SIZE) {
        rc = config_value_size(text, &value, err);
    } else if (row->kind == CONFIG_RATE) {
        rc = config_value_rate(text, &value, err);
    } else {
        rc = config_value_count(text, &value, err);
    }
    if (rc < 0 && row->kind == CONFIG_SECONDS) {
        error_hint(err, "write 30s, 5m, 2h or 3d");
    }
    if (rc < 0) {
        return add_word(row, err);
    }
    if (row->kind == CONFIG_SECONDS && value % 1000 != 0) {
        return error_set(err, -EINVAL, "'%.80s' is not a whole number of seconds", text);
    }
    value = row->kind == CONFIG_SECONDS ? value / 1000 : value;
    rc = check_range(row, text, value, err);
    if (rc < 0) {
        return rc;
    }
    put_unsigned(base, row, value);
    return 0;
}

static int read_minimum(const struct config_row *row, const char *text, void *base,
                        struct error *err)
{
    struct model_minimum minimum;
    int rc = config_value_minimum(text, &minimum, err);

    if (rc < 0) {
        return rc;
    }
    if (minimum.value < row->min) {
        error_set(err, -EINVAL, "'%.80s' is out of range: it must be at least %u%s", text,
                  (unsigned)row->min, minimum.percent ? "%" : "");
        if (row->example != NULL) {
            error_hint(err, "%s", row->example);
        }
        return err->code;
    }
    put(base, row, &minimum, sizeof(minimum));
    return 0;
}

/* The words of a choice: those available, for suggestions and hints. */
static size_t list_words(const struct config_choice *choices, const char **out, size_t cap)
{
    size_t count = 0;

    for (; choices->word != NULL && count < cap; choices++) {
        if (!choices->later) {
            out[count++] = choices->word;
        }
    }
    return count;
}

static int explain_choice(const struct config_row *row, const char *text, struct error *err)
{
    const char *words[32] = { NULL };
    struct text list = { 0 };
    size_t count = list_words(row->choices, words, 32);
    const char *nearest = text_nearest(text, words, count);

    error_set(err, -EINVAL, "unknown value '%.80s'", text);
    for (size_t i = 0; i < count; i++) {
        text_printf(&list, "%s%s", i == 0 ? "" : i + 1 == count ? " or " : ", ", words[i]);
    }
    if (nearest != NULL) {
        error_hint(err, "did you mean '%s'?", nearest);
    } else {
        error_hint(err, "it must be %s", text_string(&list));
    }
    text_fini(&list);
    return err->code;
}

static int read_choice(const struct config_row *row, const char *text, void *base,
                       struct error *err)
{
    for (const struct config_choice *choice = row->choices; choice->word != NULL; choice++) {
        if (strcmp(choice->word, text) != 0) {
            continue;
        }
        if (choice->later) {
            return error_set(err, -EINVAL, "'%s' is not available yet", text);
        }
        put(base, row, &choice->value, sizeof(choice->value));
        return 0;
    }
    return explain_choice(row, text, err);
}

/* `file` is where the text was written, NULL for a default. */
static int read_value(struct config_context *context, const struct config_row *row,
                      const char *text, const struct config_file *file, void *base,
                      struct error *err)
{
    const char *copy = NULL;
    bool yes;
    int rc;

    switch (row->kind) {
    case CONFIG_TEXT:
    case CONFIG_PATH:
        if (row->word == NULL || strcmp(text, row->word) != 0) {
            rc = read_text(row, text, err);
            if (rc < 0) {
                return rc;
            }
            copy = row->kind == CONFIG_PATH && file != NULL
                       ? config_files_resolve(context, file, text)
                       : arena_strdup(context->arena, text);
        }
        put(base, row, &copy, sizeof(copy));
        return 0;
    case CONFIG_MINIMUM:
        return read_minimum(row, text, base, err);
    case CONFIG_CHOICE:
        return read_choice(row, text, base, err);
    case CONFIG_BOOL:
        rc = config_value_bool(text, &yes, err);
        if (rc == 0) {
            put(base, row, &yes, sizeof(yes));
        }
        return rc;
    default:
        return read_number(row, text, base, err);
    }
}

static const struct config_row *find_row(const struct config_table *table, const char *key)
{
    for (size_t i = 0; i < table->row_count; i++) {
        if (strcmp(table->rows[i].key, key) == 0) {
            return &table->rows[i];
        }
    }
    return NULL;
}

/* Suggests keys that are not available yet too: the next error then says so. */
static void report_unknown(struct config_context *context, const struct config_table *table,
                           const struct config_item *parent, const struct config_item *child)
{
    const char *keys[64];
    size_t count = table->row_count < 64 ? table->row_count : 64;

    for (size_t i = 0; i < count; i++) {
        keys[i] = table->rows[i].key;
    }
    const char *nearest = text_nearest(child->name, keys, count);
    struct error *err =
        config_error_node(context, parent, child->key, "unknown key '%.80s'", child->name);
    if (context->beside != NULL && find_row(context->beside, child->name) != NULL) {
        error_hint(err, "write it beside %s, not in it", context->beside_key);
    } else if (nearest != NULL) {
        error_hint(err, "did you mean '%s'?", nearest);
    }
}

/* What may stand in the map, where it is a map of keys. */
static void hint_keys(struct error *err, const struct config_table *table)
{
    struct text list = { 0 };

    for (size_t i = 0; i < table->row_count; i++) {
        text_printf(&list, "%s%s",
                    i == 0                      ? ""
                    : i + 1 == table->row_count ? " and "
                                                : ", ",
                    table->rows[i].key);
    }
    error_hint(err, "its key%s: %s", table->row_count == 1 ? "" : "s", text_string(&list));
    text_fini(&list);
}

/* Is it written in one of the forms that the row allows? The section looks closer. */
static void check_form(struct config_context *context, const struct config_row *row,
                       const struct config_item *child)
{
    enum config_node_kind kind = child->value->kind;

    if (child->value->broken || config_node_is_empty(child->value)) {
        return;
    }
    bool map = (row->forms & (CONFIG_FORM_MAP | CONFIG_FORM_NAMED)) != 0;
    bool good = (row->forms & CONFIG_FORM_NAMED) != 0 ? kind == CONFIG_NODE_MAP
                : kind == CONFIG_NODE_MAP             ? map
                : kind == CONFIG_NODE_LIST            ? (row->forms & CONFIG_FORM_LIST) != 0
                                                      : (row->forms & CONFIG_FORM_TEXT) != 0;
    if (good) {
        return;
    }
    struct error *err = config_error_value(context, child, "must be %s", row->forms_help);
    if (row->part != NULL && (row->forms & CONFIG_FORM_MAP) != 0) {
        hint_keys(err, row->part);
    }
}

static void read_entry(struct config_context *context, const struct config_table *table,
                       const struct config_item *parent, const struct config_item *child,
                       void *base)
{
    const struct config_row *row = find_row(table, child->name);

    if (row == NULL) {
        report_unknown(context, table, parent, child);
        return;
    }
    if (row->kind == CONFIG_LATER) {
        config_error_node(context, parent, child->key, "%s is not available yet", row->key);
        return;
    }
    if (row->kind == CONFIG_PART) {
        check_form(context, row, child);
        return;
    }
    (void)config_table_read_value(context, row, child, base);
}

bool config_table_read_value(struct config_context *context, const struct config_row *row,
                             const struct config_item *item, void *base)
{
    const char *text = config_table_scalar(context, item);
    struct error err;

    if (text == NULL) {
        return false;
    }
    if (read_value(context, row, text, item->value->file, base, &err) < 0) {
        config_error_take(context, item, &err);
        return false;
    }
    return true;
}

/* Defaults first, so that what is written goes over them. */
void config_table_set_defaults(struct config_context *context, const struct config_table *table,
                               void *base)
{
    struct error err;

    for (size_t i = 0; i < table->row_count; i++) {
        const struct config_row *row = &table->rows[i];
        bool plain = row->kind != CONFIG_PART && row->kind != CONFIG_LATER;
        if (plain && row->standard != NULL && row->standard != CONFIG_REQUIRED) {
            int rc = read_value(context, row, row->standard, NULL, base, &err);
            REQUIRE(rc == 0);
        }
    }
}

static void report_missing(struct config_context *context, const struct config_table *table,
                           const struct config_item *item)
{
    struct config_item child;

    for (size_t i = 0; i < table->row_count; i++) {
        const struct config_row *row = &table->rows[i];
        if (row->standard != CONFIG_REQUIRED || config_item_get(item, row->key, &child)) {
            continue;
        }
        struct error *err = config_error_key(context, item, "%s is required", row->key);
        if (row->example != NULL) {
            error_hint(err, "%s", row->example);
        }
    }
}

/* Has its form been complained about, by the table that it is a part of? */
static bool is_reported(const struct config_context *context, const struct config_node *node)
{
    const struct config_found *last;

    if (context->found_count == 0) {
        return false;
    }
    last = &context->found[context->found_count - 1];
    return last->file == node->file && last->err.line == node->line && last->err.col == node->col;
}

bool config_table_read(struct config_context *context, const struct config_table *table,
                       const struct config_item *item, void *base)
{
    const struct config_node *map = item->value;
    size_t errors = context->error_count;

    config_table_set_defaults(context, table, base);
    if (map->broken) {
        return false;
    }
    if (map->kind != CONFIG_NODE_MAP && !config_node_is_empty(map)) {
        if (!is_reported(context, map)) {
            config_error_value(context, item, "must be a map of keys and values");
        }
        return false;
    }
    for (size_t i = 0; i < map->count; i++) {
        struct config_item child = config_item_at(item, i);
        read_entry(context, table, item, &child, base);
    }
    report_missing(context, table, item);
    return context->error_count == errors;
}

static uint64_t number_of(const struct config_row *row, const void *base)
{
    const char *at = (const char *)base + row->at;
    uint64_t wide;
    uint32_t number;
    uint16_t port;

    if (row->kind == CONFIG_SIZE || row->kind == CONFIG_SERIAL) {
        memcpy(&wide, at, sizeof(wide));
        return wide;
    }
    if (row->kind == CONFIG_PORT) {
        memcpy(&port, at, sizeof(port));
        return port;
    }
    memcpy(&number, at, sizeof(number));
    return number;
}

static const char *word_of(const struct config_choice *choices, uint64_t value)
{
    for (const struct config_choice *choice = choices; choice->word != NULL; choice++) {
        if (!choice->later && choice->value == value) {
            return choice->word;
        }
    }
    error_required("a word for each value of a choice", __FILE__, __LINE__);
}

void config_table_put_value(const struct config_row *row, const void *base, struct text *out)
{
    const char *at = (const char *)base + row->at;
    struct model_minimum minimum;
    bool yes;

    if (row->kind == CONFIG_MINIMUM) {
        memcpy(&minimum, at, sizeof(minimum));
        config_value_put_minimum(minimum, out);
        return;
    }
    if (row->kind == CONFIG_BOOL) {
        memcpy(&yes, at, sizeof(yes));
        text_put(out, yes ? "true" : "false");
        return;
    }
    uint64_t number = number_of(row, base);
    if (row->kind == CONFIG_CHOICE) {
        text_put(out, word_of(row->choices, number));
    } else if (number == 0 && row->word != NULL) {
        text_put(out, row->word);
    } else {
        put_number(row->kind, number, out);
    }
}
