#include "policy/config_utf8.h"

static bool is_tail(const char *s, size_t count)
{
    for (size_t i = 1; i <= count; i++) {
        if (((uint8_t)s[i] & 0xc0) != 0x80) {
            return false;
        }
    }
    return true;
}

size_t config_utf8_read(const char *s, size_t left, uint32_t *out)
{
    static const uint32_t lowest[5] = { 0, 0, 0x80, 0x800, 0x10000 };

    if (left == 0) {
        return 0;
    }
    uint8_t first = (uint8_t)s[0];
    if (first < 0x80) {
        *out = first;
        return 1;
    }
    size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc0 || first > 0xf7 || size > left || !is_tail(s, size - 1)) {
        return 0;
    }
    uint32_t code = first & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        code = code << 6 | ((uint8_t)s[i] & 0x3fu);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    if (code < lowest[size] || code > 0x10ffff || surrogate) {
        return 0;
    }
    *out = code;
    return size;
}

bool config_utf8_is_valid(const char *text, size_t length)
{
    uint32_t code;

    for (size_t i = 0; i < length;) {
        size_t size = config_utf8_read(text + i, length - i, &code);
        if (size == 0) {
            return false;
        }
        i += size;
    }
    return true;
}

bool config_utf8_is_shown(uint32_t code)
{
    bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
    bool direction = (code >= 0x200e && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
                     (code >= 0x2066 && code <= 0x2069);

    return !control && !direction && code != 0xfeff && code != 0xfffe && code != 0xffff;
}

struct span {
    uint32_t first;
    uint32_t last;
};

static bool is_in(uint32_t code, const struct span *spans, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (code >= spans[i].first && code <= spans[i].last) {
            return true;
        }
    }
    return false;
}

unsigned config_utf8_width(uint32_t code)
{
    static const struct span none[] = {
        { 0x300, 0x36f },
        { 0x200b, 0x200d },
        { 0x20d0, 0x20ff },
        { 0xfe00, 0xfe0f },
    };
    /* the wide blocks of Unicode's UAX 11 that a configuration may meet */
    static const struct span wide[] = {
        { 0x1100, 0x115f },   { 0x2e80, 0xa4cf },   { 0xac00, 0xd7a3 }, { 0xf900, 0xfaff },
        { 0xfe30, 0xfe6f },   { 0xff00, 0xff60 },   { 0xffe0, 0xffe6 }, { 0x1f300, 0x1f64f },
        { 0x1f900, 0x1f9ff }, { 0x20000, 0x3fffd },
    };

    if (code < 0x300) {
        return 1;
    }
    if (is_in(code, none, sizeof(none) / sizeof(none[0]))) {
        return 0;
    }
    return is_in(code, wide, sizeof(wide) / sizeof(wide[0])) ? 2 : 1;
}
