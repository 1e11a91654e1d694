#include "zones/generate.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define WIDTH_MAX 127

static bool read_number(const char **text, uint32_t *out)
{
    uint64_t value = 0;
    const char *s = *text;

    for (; *s >= '0' && *s <= '9' && value <= INT32_MAX; s++) {
        value = value * 10 + (uint64_t)(*s - '0');
    }
    if (s == *text || value > INT32_MAX) {
        return false;
    }
    *text = s;
    *out = (uint32_t)value;
    return true;
}

int generate_range(const char *text, struct generate_range *out, struct error *err)
{
    struct generate_range range = { .step = 1 };
    const char *s = text;
    bool ok = read_number(&s, &range.first) && *s++ == '-' && read_number(&s, &range.last);

    if (ok && *s == '/') {
        s++;
        ok = read_number(&s, &range.step);
    }
    if (!ok || *s != '\0' || range.step == 0 || range.last < range.first) {
        (void)error_set(err, -EINVAL, "'%.80s' is not a range", text);
        error_hint(err, "write 1-254, or 0-100/2 for every second number");
        return err->code;
    }
    if ((range.last - range.first) / range.step >= GENERATE_COUNT_MAX) {
        return error_set(err, -EINVAL, "$GENERATE makes at most %d entries", GENERATE_COUNT_MAX);
    }
    *out = range;
    return 0;
}

/* Hexadecimal digits, the lowest first, dots between them: for ip6.arpa. */
static void put_nibbles(uint32_t value, uint32_t width, bool upper, struct text *out)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";

    for (;;) {
        text_put_char(out, digits[value & 0xf]);
        value >>= 4;
        if (value == 0 && width <= 2) {
            return; /* the width counts the dots; none stands at the end */
        }
        text_put_char(out, '.');
        width -= width < 2 ? width : 2;
    }
}

static bool put_value(uint32_t value, uint32_t width, char base, struct text *out)
{
    switch (base) {
    case 'd':
        text_printf(out, "%0*u", (int)width, value);
        return true;
    case 'o':
        text_printf(out, "%0*o", (int)width, value);
        return true;
    case 'x':
        text_printf(out, "%0*x", (int)width, value);
        return true;
    case 'X':
        text_printf(out, "%0*X", (int)width, value);
        return true;
    case 'n':
    case 'N':
        put_nibbles(value, width, base == 'N', out);
        return true;
    default:
        return false;
    }
}

/* Behind "${": "offset}", "offset,width}" or "offset,width,base}". */
static bool put_modified(const char **text, uint32_t value, struct text *out)
{
    const char *s = *text;
    uint32_t offset;
    uint32_t width = 0;
    char base = 'd';
    bool negative = *s == '-';

    s += negative;
    if (!read_number(&s, &offset)) {
        return false;
    }
    if (*s == ',') {
        s++;
        if (!read_number(&s, &width) || width > WIDTH_MAX) {
            return false;
        }
    }
    if (*s == ',') {
        base = s[1];
        s += base == '\0' ? 1 : 2;
    }
    int64_t shifted = (int64_t)value + (negative ? -(int64_t)offset : (int64_t)offset);
    if (*s != '}' || shifted < 0 || shifted > UINT32_MAX) {
        return false;
    }
    *text = s + 1;
    return put_value((uint32_t)shifted, width, base, out);
}

int generate_expand(const char *template, uint32_t value, struct text *out, struct error *err)
{
    const char *s = template;

    while (*s != '\0') {
        if (*s == '\\' && s[1] == '$') {
            text_put_char(out, '$');
            s += 2;
        } else if (*s == '\\' && s[1] != '\0') {
            text_put_bytes(out, s, 2);
            s += 2;
        } else if (*s != '$') {
            text_put_char(out, *s++);
        } else if (s[1] == '$') {
            text_put_char(out, '$');
            s += 2;
        } else if (s[1] != '{') {
            text_printf(out, "%u", value);
            s++;
        } else {
            s += 2;
            if (!put_modified(&s, value, out)) {
                return error_set(err, -EINVAL, "'%.80s' has a broken ${offset,width,base}",
                                 template);
            }
        }
    }
    return text_failed(out) ? error_set(err, -ENOMEM, "out of memory") : 0;
}
