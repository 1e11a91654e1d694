#include "policy/config_dname.h"

#include <string.h>

#include "base/arena.h"
#include "zones/name.h"

const uint8_t *config_dname_read(struct config_context *context, const struct config_item *item,
                                 const char *text, bool key)
{
    uint8_t dname[NAME_MAX_BYTES];
    struct error err;

    int length = name_parse(text, dname, &err);
    if (length < 0) {
        if (key) {
            config_error_key(context, item, "%s", err.message);
        } else {
            config_error_value(context, item, "%s", err.message);
        }
        return NULL;
    }
    return arena_copy(context->arena, dname, (size_t)length);
}

const char *config_dname_text(struct config_context *context, const uint8_t *dname,
                              const char *otherwise)
{
    char text[NAME_TEXT_MAX];

    if (dname == NULL) {
        return arena_strdup(context->arena, otherwise);
    }
    name_format(dname, text, sizeof(text));
    return arena_strdup(context->arena, text);
}

void config_dname_check_doubles(struct config_context *context, const struct config_item *section,
                                const struct config_names *names)
{
    char place[256];

    for (size_t i = 1; i < names->count; i++) {
        if (strcmp(names->list[i - 1].name, names->list[i].name) == 0) {
            struct config_item first = config_item_at(section, names->list[i - 1].index);
            struct config_item again = config_item_at(section, names->list[i].index);
            config_node_format_place(first.key, place, sizeof(place));
            struct error *err =
                config_error_key(context, &again, "is given twice, first at %s", place);
            error_hint(err, "names are the same whatever their case and with or without the last "
                            "dot");
        }
    }
}
