#include "policy/config_env.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "policy/config_utf8.h"

#define NAME_MAX_LENGTH 128

static bool is_name_byte(char c, bool first)
{
    bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';

    return letter || (!first && c >= '0' && c <= '9');
}

static size_t name_length(const char *s)
{
    size_t length = 0;

    while (length < NAME_MAX_LENGTH && is_name_byte(s[length], length == 0)) {
        length++;
    }
    return length;
}

/* Append the variable or its default; an empty variable counts as unset when there is one. */
static int put_variable(const char *name, const char *standard, size_t standard_length,
                        struct text *out, struct error *err)
{
    const char *value = getenv(name);

    if (value != NULL && (value[0] != '\0' || standard == NULL)) {
        if (!config_utf8_is_valid(value, strlen(value))) {
            return error_set(err, -EINVAL, "the environment variable %s is not UTF-8", name);
        }
        text_put(out, value);
        return 0;
    }
    if (standard == NULL) {
        error_set(err, -EINVAL, "the environment variable %s is not set", name);
        error_hint(err, "set it, or write ${%s:-default}", name);
        return err->code;
    }
    text_put_bytes(out, standard, standard_length);
    return 0;
}

/* The variable whose "${" stands at `*s`; moves `*s` behind its "}". */
static int expand_one(const char **s, struct text *out, struct error *err)
{
    char name[NAME_MAX_LENGTH + 1];
    const char *standard = NULL;
    const char *begin = *s + 2;
    size_t length = name_length(begin);
    const char *rest = begin + length;

    if (length > 0 && strncmp(rest, ":-", 2) == 0) {
        standard = rest + 2;
        rest = standard + strcspn(standard, "}");
    }
    if (length == 0 || *rest != '}') {
        error_set(err, -EINVAL, "'%.60s' is not a variable", *s);
        error_hint(err, "write ${NAME} or ${NAME:-default}; a plain ${ is written $${");
        return err->code;
    }
    memcpy(name, begin, length);
    name[length] = '\0';
    *s = rest + 1;
    return put_variable(name, standard, standard == NULL ? 0 : (size_t)(rest - standard), out, err);
}

int config_env_expand(const char *value, struct text *out, struct error *err)
{
    const char *s = value;

    while (*s != '\0') {
        if (strncmp(s, "$${", 3) == 0) {
            text_put(out, "${");
            s += 3;
        } else if (strncmp(s, "${", 2) == 0) {
            int rc = expand_one(&s, out, err);
            if (rc < 0) {
                return rc;
            }
        } else {
            size_t plain = 1 + strcspn(s + 1, "$");
            text_put_bytes(out, s, plain);
            s += plain;
        }
    }
    return 0;
}

void config_env_put_escaped(const char *value, struct text *out)
{
    for (const char *s = value; *s != '\0'; s++) {
        if (strncmp(s, "${", 2) == 0) {
            text_put_char(out, '$');
        }
        text_put_char(out, *s);
    }
}
