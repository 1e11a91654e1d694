#include "policy/config.h"

#include "base/json_writer.h"
#include "policy/config_sections.h"

/* A variable may stand wherever a value may. */
#define VARIABLE "\\$\\{"

static void put_pattern(struct json_writer *json, const char *pattern)
{
    json_writer_object_begin(json, NULL);
    json_writer_string(json, "type", "string");
    json_writer_string(json, "pattern", pattern);
    json_writer_object_end(json);
}

static void put_integer(struct json_writer *json, const struct config_row *row)
{
    json_writer_object_begin(json, NULL);
    json_writer_string(json, "type", "integer");
    json_writer_uint(json, "minimum", row->min);
    if (row->max > 0) {
        json_writer_uint(json, "maximum", row->max);
    }
    json_writer_object_end(json);
}

static void put_boolean(struct json_writer *json)
{
    json_writer_object_begin(json, NULL);
    json_writer_string(json, "type", "boolean");
    json_writer_object_end(json);
}

static void put_word(struct json_writer *json, const char *word)
{
    json_writer_object_begin(json, NULL);
    json_writer_string(json, "const", word);
    json_writer_object_end(json);
}

static void put_choices(struct json_writer *json, const struct config_choice *choices)
{
    for (; choices->word != NULL; choices++) {
        if (!choices->later) {
            put_word(json, choices->word);
        }
    }
}

static void put_type(struct json_writer *json, const char *const *types)
{
    json_writer_list_begin(json, "type");
    for (; *types != NULL; types++) {
        json_writer_string(json, NULL, *types);
    }
    json_writer_list_end(json);
}

static void put_any_text(struct json_writer *json)
{
    static const char *const types[] = { "string", "number", "boolean", NULL };

    json_writer_object_begin(json, NULL);
    put_type(json, types);
    json_writer_object_end(json);
}

static void put_reference(struct json_writer *json, const struct config_table *table)
{
    struct text target = { 0 };

    text_printf(&target, "#/$defs/%s", table->name);
    json_writer_object_begin(json, NULL);
    json_writer_string(json, "$ref", text_string(&target));
    json_writer_object_end(json);
    text_fini(&target);
}

/* The alternatives of a part but the list of them. */
static void put_single_forms(struct json_writer *json, const struct config_row *row)
{
    if ((row->forms & CONFIG_FORM_TEXT) != 0) {
        put_any_text(json);
    }
    if ((row->forms & CONFIG_FORM_MAP) != 0) {
        put_reference(json, row->part);
    }
}

static void put_forms(struct json_writer *json, const struct config_row *row)
{
    json_writer_list_begin(json, "anyOf");
    put_single_forms(json, row);
    if ((row->forms & CONFIG_FORM_LIST) != 0) {
        json_writer_object_begin(json, NULL);
        json_writer_string(json, "type", "array");
        json_writer_object_begin(json, "items");
        json_writer_list_begin(json, "anyOf");
        if ((row->forms & (CONFIG_FORM_TEXT | CONFIG_FORM_MAP)) == 0) {
            put_any_text(json);
        }
        put_single_forms(json, row);
        json_writer_list_end(json);
        json_writer_object_end(json);
        json_writer_object_end(json);
    }
    json_writer_list_end(json);
}

static void put_part(struct json_writer *json, const struct config_row *row)
{
    static const char *const types[] = { "object", "null", NULL };

    if ((row->forms & CONFIG_FORM_NAMED) == 0) {
        put_forms(json, row);
        return;
    }
    put_type(json, types);
    json_writer_object_begin(json, "additionalProperties");
    put_forms(json, row);
    json_writer_object_end(json);
}

static void put_alternatives(struct json_writer *json, const struct config_row *row)
{
    switch (row->kind) {
    case CONFIG_COUNT:
    case CONFIG_SERIAL:
    case CONFIG_PORT:
        put_integer(json, row);
        put_pattern(json, VARIABLE);
        break;
    case CONFIG_MS:
        put_pattern(json, "^[0-9]+(ms|s|m|h|d)$|" VARIABLE);
        break;
    case CONFIG_SECONDS:
        put_pattern(json, "^[0-9]+(s|m|h|d)$|" VARIABLE);
        break;
    case CONFIG_PERCENT:
        put_pattern(json, "^[0-9]+%$|" VARIABLE);
        break;
    case CONFIG_SIZE:
        put_pattern(json, "^[0-9]+(B|KiB|MiB|GiB)$|" VARIABLE);
        break;
    case CONFIG_RATE:
        put_pattern(json, "^[0-9]+/(s|m)$|" VARIABLE);
        break;
    case CONFIG_BOOL:
        put_boolean(json);
        put_pattern(json, "^(true|false|on|off)$|" VARIABLE);
        break;
    case CONFIG_MINIMUM:
        put_integer(json, row);
        put_pattern(json, "^[0-9]+%?$|" VARIABLE);
        break;
    case CONFIG_CHOICE:
        put_choices(json, row->choices);
        put_pattern(json, VARIABLE);
        break;
    default:
        put_any_text(json);
        break;
    }
}

static void put_row(struct json_writer *json, const struct config_row *row)
{
    json_writer_object_begin(json, row->key);
    json_writer_string(json, "description", row->help);
    if (row->kind == CONFIG_PART) {
        put_part(json, row);
    } else {
        json_writer_list_begin(json, "anyOf");
        put_alternatives(json, row);
        if (row->word != NULL) {
            put_word(json, row->word);
        }
        json_writer_list_end(json);
    }
    if (row->standard != NULL && row->standard != CONFIG_REQUIRED) {
        json_writer_string(json, "default", row->standard);
    }
    json_writer_object_end(json);
}

/* The members of a map's schema, into an object that is open. */
static void put_map(struct json_writer *json, const struct config_table *table)
{
    static const char *const types[] = { "object", "null", NULL };

    json_writer_string(json, "description", table->help);
    put_type(json, types);
    json_writer_object_begin(json, "properties");
    for (size_t i = 0; i < table->row_count; i++) {
        if (table->rows[i].kind != CONFIG_LATER) {
            put_row(json, &table->rows[i]);
        }
    }
    json_writer_object_end(json);
    json_writer_list_begin(json, "required");
    for (size_t i = 0; i < table->row_count; i++) {
        if (config_table_is_required(&table->rows[i])) {
            json_writer_string(json, NULL, table->rows[i].key);
        }
    }
    json_writer_list_end(json);
    json_writer_bool(json, "additionalProperties", false);
}

void config_print_schema(struct text *out)
{
    const struct config_table *tables[CONFIG_SECTIONS_MAX_TABLES];
    size_t count = config_sections_list(tables);
    struct json_writer json;

    json_writer_init(&json, out);
    json_writer_object_begin(&json, NULL);
    json_writer_string(&json, "$schema", "https://json-schema.org/draft/2020-12/schema");
    json_writer_string(&json, "title", "leeward.yaml");
    put_map(&json, tables[0]);
    json_writer_object_begin(&json, "$defs");
    for (size_t i = 1; i < count; i++) {
        json_writer_object_begin(&json, tables[i]->name);
        put_map(&json, tables[i]);
        json_writer_object_end(&json);
    }
    json_writer_object_end(&json);
    json_writer_object_end(&json);
    text_put_char(out, '\n');
}
