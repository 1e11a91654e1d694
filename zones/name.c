#include "zones/name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/*
 * One byte of presentation text at `*text`, escapes resolved; moves `*text`
 * behind it. Returns -1 for a broken escape.
 */
static int read_byte(const char **text)
{
    const char *s = *text;

    if (*s != '\\') {
        *text = s + 1;
        return name_fold_byte((uint8_t)*s);
    }
    if (s[1] == '\0') {
        return -1;
    }
    if (!is_digit(s[1])) {
        *text = s + 2;
        return name_fold_byte((uint8_t)s[1]);
    }
    if (!is_digit(s[2]) || !is_digit(s[3])) {
        return -1;
    }
    int value = (s[1] - '0') * 100 + (s[2] - '0') * 10 + (s[3] - '0');
    *text = s + 4;
    return value > 255 ? -1 : name_fold_byte((uint8_t)value);
}

/* One label of at most 63 bytes at `*text`; returns its length or -EINVAL. */
static int read_label(const char **text, uint8_t *out, size_t room, const char *whole,
                      struct error *err)
{
    size_t length = 0;

    while (**text != '\0' && **text != '.') {
        int c = read_byte(text);
        if (c < 0) {
            return error_set(err, -EINVAL, "'%.200s' has a broken escape", whole);
        }
        if (length == NAME_MAX_LABEL) {
            return error_set(err, -EINVAL, "'%.200s' has a label of more than 63 bytes", whole);
        }
        if (length == room) {
            return error_set(err, -EINVAL, "'%.200s' is longer than 255 bytes", whole);
        }
        out[length++] = (uint8_t)c;
    }
    return length > 0 ? (int)length : error_set(err, -EINVAL, "'%.200s' has an empty label", whole);
}

/*
 * The labels of `text` into `wire`, the root's byte behind them; returns the
 * length with it. `*out_absolute` tells whether a dot stood at the end.
 */
static int parse_labels(const char *text, uint8_t wire[NAME_MAX_BYTES], bool *out_absolute,
                        struct error *err)
{
    const char *s = text;
    size_t used = 0;

    *out_absolute = false;
    while (*s != '\0') {
        /* the label's own length byte and the root's must fit too */
        size_t room = used + 2 <= NAME_MAX_BYTES ? NAME_MAX_BYTES - used - 2 : 0;
        int length = read_label(&s, wire + used + 1, room, text, err);
        if (length < 0) {
            return length;
        }
        wire[used] = (uint8_t)length;
        used += (size_t)length + 1;
        *out_absolute = *s == '.';
        if (*s == '.') {
            s++;
        }
    }
    wire[used++] = 0;
    return (int)used;
}

int name_parse(const char *text, uint8_t out[NAME_MAX_BYTES], struct error *err)
{
    uint8_t wire[NAME_MAX_BYTES];
    bool absolute;

    if (*text == '\0') {
        return error_set(err, -EINVAL, "an empty name; the root is written '.'");
    }
    if (strcmp(text, ".") == 0) {
        out[0] = 0;
        return 1;
    }
    int length = parse_labels(text, wire, &absolute, err);
    if (length > 0) {
        memcpy(out, wire, (size_t)length);
    }
    return length;
}

int name_parse_within(const char *text, const uint8_t *origin, uint8_t out[NAME_MAX_BYTES],
                      struct error *err)
{
    uint8_t wire[NAME_MAX_BYTES];
    size_t origin_length = name_length(origin);
    bool absolute;

    if (strcmp(text, "@") == 0) {
        memcpy(out, origin, origin_length);
        return (int)origin_length;
    }
    if (*text == '\0' || strcmp(text, ".") == 0) {
        return name_parse(text, out, err);
    }
    int length = parse_labels(text, wire, &absolute, err);
    if (length < 0) {
        return length;
    }
    size_t own = absolute ? (size_t)length : (size_t)length - 1;
    size_t rest = absolute ? 0 : origin_length;
    if (own + rest > NAME_MAX_BYTES) {
        return error_set(err, -EINVAL,
                         "'%.200s' with the origin behind it is longer than 255 bytes", text);
    }
    memcpy(out, wire, own);
    memcpy(out + own, origin, rest);
    return (int)(own + rest);
}

static bool is_plain(uint8_t c)
{
    return c > ' ' && c < 0x7f && strchr(".\\\"();@$", c) == NULL;
}

size_t name_format(const uint8_t *dname, char *out, size_t cap)
{
    char text[NAME_TEXT_MAX];
    size_t used = 0;

    if (*dname == 0) {
        text[used++] = '.';
    }
    while (*dname != 0) {
        unsigned length = *dname++;
        for (unsigned i = 0; i < length; i++) {
            uint8_t c = *dname++;
            if (is_plain(c)) {
                text[used++] = (char)c;
            } else if (c > ' ' && c < 0x7f) {
                text[used++] = '\\';
                text[used++] = (char)c;
            } else {
                used += (size_t)snprintf(text + used, sizeof(text) - used, "\\%03u", c);
            }
        }
        if (*dname != 0) {
            text[used++] = '.';
        }
    }
    if (used >= cap) {
        used = cap - 1;
    }
    memcpy(out, text, used);
    out[used] = '\0';
    return used;
}

size_t name_length(const uint8_t *dname)
{
    const uint8_t *s = dname;

    while (*s != 0) {
        s += *s + 1;
    }
    return (size_t)(s - dname) + 1;
}

bool name_equal(const uint8_t *a, const uint8_t *b)
{
    size_t length = name_length(a);

    return length == name_length(b) && memcmp(a, b, length) == 0;
}

bool name_is_within(const uint8_t *dname, const uint8_t *tree)
{
    unsigned mine = name_labels(dname);
    unsigned its = name_labels(tree);

    if (mine < its) {
        return false;
    }
    for (; mine > its; mine--) {
        dname = name_parent(dname);
    }
    return name_equal(dname, tree);
}
