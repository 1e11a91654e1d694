#include "resolver/cli/cli_json.h"

#include <stdio.h>

json_t *cli_json_read(const struct text *body)
{
    json_t *reply = json_loadb(text_string(body), body->length, JSON_REJECT_DUPLICATES, NULL);

    if (reply == NULL) {
        (void)fputs("leeward: the server's answer cannot be read\n", stderr);
    }
    return reply;
}

const char *cli_json_string(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value != NULL ? value : "";
}

unsigned long long cli_json_number(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));

    return value > 0 ? (unsigned long long)value : 0;
}

bool cli_json_truth(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}
