#include "resolver/cli/cli_json.h"

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
