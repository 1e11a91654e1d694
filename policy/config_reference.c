#include "policy/config.h"

#include <string.h>

#include "policy/config_sections.h"

/* Text into a table's cell: a bar would end it. */
static void put_cell(const char *text, struct text *out)
{
    for (const char *c = text; *c != '\0'; c++) {
        text_put(out, *c == '|' ? "\\" : "");
        text_put_char(out, *c);
    }
}

static void put_choices(const struct config_choice *choices, struct text *out)
{
    const char *comma = "";

    for (; choices->word != NULL; choices++) {
        if (!choices->later) {
            text_printf(out, "%s`%s`", comma, choices->word);
            comma = ", ";
        }
    }
}

static void put_kind(const struct config_row *row, struct text *out)
{
    static const char *const kinds[] = {
        [CONFIG_TEXT] = "text",
        [CONFIG_PATH] = "path",
        [CONFIG_COUNT] = "number",
        [CONFIG_SERIAL] = "number",
        [CONFIG_PORT] = "port",
        [CONFIG_MS] = "duration",
        [CONFIG_SECONDS] = "duration",
        [CONFIG_PERCENT] = "percentage",
        [CONFIG_MINIMUM] = "number or percentage",
        [CONFIG_SIZE] = "size",
        [CONFIG_RATE] = "rate",
        [CONFIG_BOOL] = "`true` or `false`",
    };

    if (row->kind == CONFIG_CHOICE) {
        put_choices(row->choices, out);
    } else if (row->kind == CONFIG_PART) {
        put_cell(row->forms_help, out);
    } else {
        text_put(out, kinds[row->kind]);
        if (row->word != NULL) {
            text_printf(out, row->word[0] == '\0' ? " or `\"\"`" : " or `%s`", row->word);
        }
    }
}

static void put_default(const struct config_row *row, struct text *out)
{
    if (config_table_is_required(row)) {
        text_put(out, "**required**");
    } else if (row->usual != NULL) {
        put_cell(row->usual, out);
    } else if (row->standard != NULL) {
        text_printf(out, "`%s`", row->standard);
    } else {
        text_put(out, "none");
    }
}

static void put_unit(const struct config_row *row, struct text *out)
{
    struct text range = { 0 };

    config_table_put_range(row, &range);
    if (row->kind == CONFIG_MS) {
        text_put(out, "ms, s, m, h, d; ");
    } else if (row->kind == CONFIG_SECONDS) {
        text_put(out, "s, m, h, d; ");
    } else if (row->kind == CONFIG_SIZE) {
        text_put(out, "B, KiB, MiB, GiB; ");
    } else if (row->kind == CONFIG_RATE) {
        text_put(out, "/s, /m; ");
    }
    text_put(out, text_string(&range));
    text_fini(&range);
}

static void put_row(const struct config_row *row, struct text *out)
{
    text_printf(out, "| `%s` | ", row->key);
    put_kind(row, out);
    text_put(out, " | ");
    put_default(row, out);
    text_put(out, " | ");
    put_unit(row, out);
    text_put(out, " | ");
    put_cell(row->help, out);
    if (row->part != NULL) {
        text_printf(out, " See `%s`.", row->part->name);
    }
    text_put(out, " |\n");
}

/* Keys and words that are refused so far, so that nobody looks for them in vain. */
static void put_later(const struct config_table *table, struct text *out)
{
    const char *begin = "\nNot available yet: ";

    for (size_t i = 0; i < table->row_count; i++) {
        const struct config_row *row = &table->rows[i];
        if (row->kind == CONFIG_LATER) {
            text_printf(out, "%s`%s`", begin, row->key);
            begin = ", ";
        }
        for (const struct config_choice *choice = row->choices;
             choice != NULL && choice->word != NULL; choice++) {
            if (choice->later) {
                text_printf(out, "%s`%s: %s`", begin, row->key, choice->word);
                begin = ", ";
            }
        }
    }
    text_put(out, strcmp(begin, ", ") == 0 ? ".\n" : "");
}

static void put_table(const struct config_table *table, struct text *out)
{
    if (table->name[0] == '\0') {
        text_put(out, "\n## Sections\n\n");
    } else {
        text_printf(out, "\n## `%s`\n\n", table->name);
    }
    text_printf(out,
                "%s\n\n| key | kind | default | units and range | meaning |\n"
                "| --- | --- | --- | --- | --- |\n",
                table->help);
    for (size_t i = 0; i < table->row_count; i++) {
        if (table->rows[i].kind != CONFIG_LATER) {
            put_row(&table->rows[i], out);
        }
    }
    put_later(table, out);
}

void config_print_reference(struct text *out)
{
    const struct config_table *tables[CONFIG_SECTIONS_MAX_TABLES];
    size_t count = config_sections_list(tables);

    text_put(
        out,
        "# leeward.yaml\n\n"
        "What may stand in a configuration. This page is made from the tables that the "
        "program reads files with.\n\n"
        "- YAML, which includes JSON. A key given twice, an unknown key and a value out of "
        "range are errors, all of them shown at once with file, line and column.\n"
        "- Units are written: `500ms`, `30s`, `5m`, `2h`, `3d`, `30%`, `64MiB`, `900/s`. A "
        "bare number where a unit is needed is an error; counts are plain numbers. Whole numbers "
        "only.\n"
        "- `on` and `off` mean `true` and `false` where a key is one of them.\n"
        "- An address may carry a port: `10.1.0.2`, `10.1.0.2:5353`, `\"[2001:db8::1]:53\"`.\n"
        "- Names are absolute with or without the last dot.\n"
        "- `${NAME}` and `${NAME:-default}` take environment variables, quoted where they "
        "stand inside `{ }` or `[ ]`; `$${` is a plain `${`.\n"
        "- Relative paths start from the folder of the file that names them.\n"
        "- `include: [services.d/*.yaml]` reads more files; their sections are merged, and a "
        "key given twice is an error.\n"
        "- Capital words below (`NAME`, `REGION`) are names that you choose.\n");
    for (size_t i = 0; i < count; i++) {
        put_table(tables[i], out);
    }
}
